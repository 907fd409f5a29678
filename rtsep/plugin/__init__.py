"""The engine as a plugin, with no Python in it: CLAP, LV2 and LADSPA, from one library.

The library is the engine's object code, pages of C that speak for it (`core.h`, `ports.c`, `notes.h`, `clap.c`), the
images of a prepared state for each sample rate, and `tables.h`, made from PARAMETERS, which names all that a host can
move.
"""

import plistlib
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from .. import __version__, library
from ..build import describe
from ..engine import Engine
from ..errors import BadInput, Unavailable, unknown
from ..idle import worth_showing
from ..parameters import Parameter
from ..settings import Settings
from . import header, lv2

FORMATS = ("clap", "lv2", "ladspa")
RATES = (44_100, 48_000, 88_200, 96_000)
NATIVE = "native"
_HERE = Path(__file__).parent
_NAME = re.compile(r"\w(?:[\w.-]{0,38}\w)?", re.ASCII)
_SHORT = 4  # words of zeros that are not worth a new run


@dataclass(frozen=True)
class Plugin:
    """What a host is told of a plugin; `parameters` have their numbers in the engine, and where they start."""

    name: str  # as in karaoke
    channels: int
    stems: tuple[str, ...]
    stems_out: bool
    parameters: tuple[tuple[int, Parameter, float], ...]
    seen_by_ladspa: int  # how many of these, from the first on
    images: tuple[header.Image, ...]
    key_of: tuple[tuple[int, int], ...]  # pitch and part of each template that has a pitch


def write(
    folder: str | Path,
    name: str,
    settings: Settings,
    values: Mapping[str, float | str],
    *,
    formats: Collection[str] = FORMATS,
    channels: int = 2,
    stems_out: bool = False,
    rendering: Settings | None = None,
    machine: str = NATIVE,
    force: bool = False,
    told: Callable[[str], object] = lambda sentence: None,
) -> list[Path]:
    """Write the plugin `name` into `folder`, in each of the `formats`; the files and bundles.

    Parameters
    ----------
    values : where parameters start, by id; others at their defaults
    channels : 1 or 2
    stems_out : an output for each stem beside that of the mix
    rendering : what a CLAP plugin works by where a host renders a file, with the same stems; None: by `settings` too
    machine : "native", or a target of `rtsep.build.emit`, which ziglang links
    force : replace what exists
    told : hears of what takes long

    Raises
    ------
    BadInput : for an unknown format or machine, other channels, or what exists already.
    Unavailable : without a compiler, or if it cannot be written.
    """
    from ..build.emit import TARGETS
    from ..build.link import SUFFIX, can_link, link

    for each in formats:
        if each not in FORMATS:
            raise unknown("format", each, FORMATS)
    if not _NAME.fullmatch(name):
        raise BadInput(f"the plugin {name!r}: a name has letters, digits, . and -, at most 40 of them.")
    if channels not in (1, 2):
        raise BadInput(f"{channels} channels: a plugin has 1 or 2.")
    machines = [each for each, target in TARGETS.items() if target.system != "none"]
    if machine != NATIVE and machine not in machines:
        raise unknown("target", machine, [NATIVE, *machines])
    machine = library.target() if machine == NATIVE else machine
    target, here = TARGETS[machine], machine == library.target()
    places = {each: Path(folder) / _place(name, each, SUFFIX[target.system]) for each in formats}
    for path in places.values():
        if path.exists() and not force:
            raise BadInput(f"{path} exists already: choose another folder, or add --force to replace it.")
    if here and not can_link():
        raise Unavailable("a plugin takes a C compiler, and there is no cc here (Debian: apt install gcc libc6-dev).")
    code = library.for_plugins(machine, told, settings.stages)
    told("preparing the engine for each sample rate ...")
    try:
        with tempfile.TemporaryDirectory(prefix="rtsep-") as made:
            work = Path(made)
            plugin, packed = _prepared(name, settings, values, channels, stems_out, rendering)
            (work / "images.bin").write_bytes(packed)
            (work / "tables.h").write_text(header.text(plugin, work / "images.bin"))
            (work / "rtsep.h").write_text(describe.header())
            built = work / f"plugin{SUFFIX[target.system]}"
            sources = [_HERE / "ports.c", _HERE / "clap.c", code]
            options = ["-O2", "-std=gnu11", "-fPIC", "-fvisibility=hidden", f"-I{work}", f"-I{_HERE}"]
            link(sources, built, target, here, options)
            for format, path in places.items():
                _put(plugin, format, built, path, target.system)
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable(f"cannot write {error.filename or folder}: {error.strerror}.") from error
    return list(places.values())


def _place(name: str, format: str, suffix: str) -> str:
    return f"rtsep-{name}-ladspa{suffix}" if format == "ladspa" else f"rtsep-{name}.{format}"


def _prepared(
    name: str,
    settings: Settings,
    values: Mapping[str, float | str],
    channels: int,
    stems_out: bool,
    rendering: Settings | None,
) -> tuple[Plugin, bytes]:
    """What is told of the plugin, and its images, packed one behind the other."""
    images, packed = [], b""
    for (offline, by), rate in product(enumerate([settings, rendering] if rendering else [settings]), RATES):
        engine = Engine(by)
        engine.parameters.update(values)
        engine.prepare(sample_rate=rate, channels=channels)
        image = describe.image(engine.state)
        start, packed = len(packed), packed + _packed(image)
        images.append(header.Image(rate, offline, len(image), start, len(packed), engine.latency, engine.full_scale))
    engine = Engine(settings)
    engine.parameters.update(values)
    start_at, templates = engine.parameters.snapshot(), settings.templates
    key_of = zip(templates.pitches, templates.part_of.tolist(), strict=True) if templates and templates.pitches else ()
    rows = [
        (number, info, max(start_at[id], info.low))
        for number, (id, info) in enumerate((id, control.info) for id, control in engine.parameters.items())
        if worth_showing(id, settings)
    ]
    rows.sort(key=lambda row: not _seen_by_ladspa(*row[1:]))  # else as they were
    seen = sum(_seen_by_ladspa(info, start) for _, info, start in rows)
    return Plugin(name, channels, engine.stems, stems_out, tuple(rows), seen, tuple(images), tuple(key_of)), packed


def _seen_by_ladspa(info: Parameter, start: float) -> bool:
    """Whether LADSPA can tell where a parameter starts: at 0, 1, an end; a fader is given a range around it."""
    return start in (0, 1, info.low, info.high) or info.id.endswith(".gain_db")


def _packed(image: bytes) -> bytes:
    """An image as core.h unpacks it: how many words are zero, how many follow, and these."""
    words = np.frombuffer(image, "<u8")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], words != 0, [0]]).astype(np.int8)))
    packed, at = [], 0
    runs = edges.reshape(-1, 2).tolist()
    while runs:
        first, last = runs.pop(0)
        while runs and runs[0][0] - last < _SHORT:
            last = runs.pop(0)[1]
        packed += [np.array([first - at, last - first], "<u4").tobytes(), words[first:last].tobytes()]
        at = last
    return b"".join(packed)


def _put(plugin: Plugin, format: str, built: Path, path: Path, system: str) -> None:
    """Copy what was built to its place, with what the format wants beside it."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)  # a host may have it loaded: it keeps the old file
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "lv2":
        path.mkdir()
        binary = f"rtsep{built.suffix}"
        shutil.copyfile(built, path / binary)
        (path / "manifest.ttl").write_text(lv2.manifest(plugin, binary))
        (path / "rtsep.ttl").write_text(lv2.description(plugin))
    elif format == "clap" and system == "macos":
        inside = path / "Contents"
        (inside / "MacOS").mkdir(parents=True)
        shutil.copyfile(built, inside / "MacOS" / path.stem)
        (inside / "MacOS" / path.stem).chmod(0o755)
        about = {
            "CFBundleExecutable": path.stem,
            "CFBundleIdentifier": f"rtsep.{plugin.name}",
            "CFBundleName": header.title(plugin),
            "CFBundlePackageType": "BNDL",
            "CFBundleShortVersionString": __version__,
            "CFBundleVersion": __version__,
        }
        (inside / "Info.plist").write_bytes(plistlib.dumps(about))
    else:
        shutil.copyfile(built, path)
