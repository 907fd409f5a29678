"""`python -m rtsep.build TARGET ... FOLDER [--stage=FILE ...]`: the library for machines; `native` is this one.

Writes rtsep-TARGET-DIGEST with the suffix of a shared library (.o where this machine has nothing that links), .json,
its description, and rtsep.h. TARGET-object is what a host in C calls, as object code for others to link.
Stages are modules of one's own that are compiled in (`own.py`). What went wrong is one line on standard output.
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from .. import disk, library, own
from ..errors import BadInput, Unavailable


def main(arguments: list[str]) -> int:
    """Build; 0, or 2 for what makes no sense and 3 for what cannot be had."""
    try:
        if len(arguments) < 2:
            raise BadInput("usage: python -m rtsep.build TARGET ... FOLDER.")
        stages = tuple(each.removeprefix("--stage=") for each in arguments if each.startswith("--stage="))
        *targets, folder = (each for each in arguments if not each.startswith("--stage="))
        if stages:
            own.compose(stages)  # refuses what is no stage, before the long part
        for target in targets:
            _build(library.target() if target == "native" else target, Path(folder), stages)
        return 0
    except BadInput as error:
        print(error)
        return 2
    except ImportError as error:
        print(f"{error.name} is not installed: pip install numba.")
        return 3
    except OSError as error:
        print(error)
        return 3
    except KeyboardInterrupt:
        return 130


def _build(name: str, folder: Path, stages: tuple[str, ...]) -> None:
    mark = f"rtsep-{name}-{library.digest(stages)}"
    if library.usable(folder / f"{mark}.json"):
        return
    from numba.core.errors import NumbaError

    from . import browser, entries, system
    from .describe import describe, header
    from .emit import TARGETS, emit
    from .link import SUFFIX, link
    from .lower import lower

    machine = name.removesuffix(library.OBJECT)
    if machine not in TARGETS:
        raise BadInput(f"unknown target {machine!r}: there are {', '.join(TARGETS)}.")
    target = TARGETS[machine]
    system.SYSTEM[0] = target.system
    offered = [*entries.PYTHON, *entries.HOST, entries.PORTAUDIO]
    if target.system == "none" or name != machine:
        offered = list(entries.HOST)
    # Numba's part takes twice as long as LLVM's, and nearly all of it is the first entry.
    _show(0.05)
    try:
        module = lower(offered, lambda count: _show(0.05 + 0.6 * min(count / 190, 1)))
    except NumbaError as error:
        print(f"\n{error}", file=sys.stderr)
        raise BadInput("a kernel cannot be compiled, numba says why above.") from error
    _show(0.65)
    code = emit(module.texts, [entry.symbol for entry in offered], target, hidden=name != machine)
    _show(0.97)
    here = name == library.target()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rtsep-") as place:
        made = Path(place) / f"{mark}.o"
        made.write_bytes(code)
        shared = made.with_suffix(SUFFIX[target.system])
        if target.system == "none":
            made = shared
            made.write_bytes(browser.module(code, {entry.symbol for entry in offered}))
        elif name == machine:
            try:
                link([made], shared, target, here)
                made = shared
            except Unavailable:
                if not here:
                    raise
                # llvmlite loads the object code as it is
        content = made.read_bytes()
    told = describe(offered, module) | {
        "target": name,
        "digest": library.digest(stages),
        "file": f"{mark}{made.suffix}",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    for path, data in (
        (folder / "rtsep.h", header().encode()),
        (folder / told["file"], content),
        (folder / f"{mark}.json", json.dumps(told).encode()),
    ):
        path.unlink(missing_ok=True)  # its permissions, which may be why it was not used, go with it
        disk.write(path, data)
    _show(1)


def _show(part: float) -> None:
    """A bar for a person who waits."""
    if sys.stderr.isatty():
        width = 40
        done = round(part * width)
        end = "\r\x1b[K" if part == 1 else ""
        print(f"\r[{'#' * done}{' ' * (width - done)}] {part:4.0%}{end}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")
    sys.exit(main(sys.argv[1:]))
