"""The library of compiled kernels: found, checked and loaded; built where there is none that fits.

It comes with the package (`rtsep/compiled/`, made by the build hook) or lies in the cache: in RTSEP_CACHE, else in the
user's cache folder, else, where nothing can be written, in a folder of this process alone. Its name holds the digest of
all that it was made of and the machine that it is for, so that an edited kernel is a library that is missing. Machine
code runs with all rights of the user: what others could have written, or what is not as it was built, is never loaded.
"""

import atexit
import ctypes
import hashlib
import inspect
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import platformdirs

from . import disk
from .errors import BadInput, Unavailable
from .kernels import C_TYPES, Array, Image, Kernel, Scalar

PACKAGE = Path(__file__).parent
COMPILED = PACKAGE / "compiled"
"""Where the library of the package lies."""

OBJECT = "-object"
"""Behind the name of a target: object code of what hosts in C call."""

_TABLES = ("parameters.py", "places.py", "settings.py")  # whose values kernels hold as constants
_LOCK = RLock()  # two threads may ask for the first time


class Library(NamedTuple):
    """A loaded library: `description` as `build/describe.py` makes it, and the addresses of its functions."""

    description: dict[str, Any]
    address: Callable[[str], int]
    keep: Any


@cache
def digest(stages: tuple[str, ...] = ()) -> str:
    """Of all the text that the library is made of, with that of `stages` of one's own."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
    held = {
        name: text
        for name, text in texts.items()
        if b"\n@kernel" in text or name.startswith("build/") or name in (*_TABLES, "kernels.py", "lanes.py")
    }
    told = [{name: text.decode() for name, text in held.items()}, *(Path(stage).read_text() for stage in stages)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@cache
def target() -> str:
    """This machine, as `build/emit.py` names it.

    Raises
    ------
    Unavailable : if there is no machine code for it.
    """
    system = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}.get(platform.system(), platform.system())
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if machine != "x86_64":
        return f"{system}-{machine}"
    features = _features()
    if all(features.get(name) for name in ("AVX2", "FMA3", "F16C")):
        return f"{system}-x86_64-v3"
    if all(features.get(name) for name in ("SSE42", "POPCNT", "SSSE3")):
        return f"{system}-x86_64-v2"
    raise Unavailable("this processor is too old: rtsep needs SSE 4.2, which came in 2008.")


def _features() -> dict[str, bool]:
    """What the processor can do, as NumPy found out to choose its own loops."""
    return dict(import_module("numpy._core._multiarray_umath").__cpu_features__)


def warm_up(told: Callable[[str], object] = lambda sentence: None, stages: tuple[str, ...] = ()) -> None:
    """Load the library, with `stages` of one's own in it; `told` hears of it if it must be built first."""
    _library(told, stages)


def address(symbol: str, stages: tuple[str, ...] = ()) -> int:
    """Where a C function of the library lies that has these `stages` in it."""
    return _library(stages=stages).address(symbol)


def place() -> Path:
    """The file that is loaded."""
    return Path(_library().description["path"])


_loaded: dict[tuple[str, ...], Library] = {}


def _library(told: Callable[[str], object] = lambda sentence: None, stages: tuple[str, ...] = ()) -> Library:
    with _LOCK:
        if stages not in _loaded:
            _loaded[stages] = _find(stages) or _build(told, stages)
        return _loaded[stages]


def _name(stages: tuple[str, ...] = ()) -> str:
    return f"rtsep-{target()}-{digest(stages)}"


def _find(stages: tuple[str, ...]) -> Library | None:
    """The library that fits, from where one may lie."""
    for folder in (COMPILED, cache_folder()):
        library = _open(folder / f"{_name(stages)}.json")
        if library is not None:
            return library
    return None


def cache_folder() -> Path:
    """Where libraries are kept that are built here."""
    chosen = os.environ.get("RTSEP_CACHE")
    return Path(chosen) if chosen else platformdirs.user_cache_path("rtsep")


def usable(path: Path) -> dict[str, Any] | None:
    """The description at `path`, if the library that it speaks of is there, as it was built, and nobody else's."""
    try:
        if not _trusted(path):
            return None
        description: dict[str, Any] = json.loads(path.read_bytes())
        code = path.with_name(description["file"])
        if not _trusted(code) or hashlib.sha256(code.read_bytes()).hexdigest() != description["sha256"]:
            return None
        return description | {"path": str(code)}
    except (OSError, ValueError, KeyError, TypeError):  # cut off, altered, not there
        return None


def _open(path: Path) -> Library | None:
    """The library that the description at `path` speaks of; None if there is none that can be used."""
    description = usable(path)
    if description is None:
        return None
    try:
        return Library(description, *_load(Path(description["path"])))
    except (OSError, RuntimeError):
        return None


def _trusted(path: Path) -> bool:
    """Whether nobody but this user and root can have written a file, or put it where it lies."""
    if sys.platform == "win32":
        return path.is_file()
    for part in (path.parent, path):
        told = part.stat()
        if told.st_uid not in (0, os.getuid()) or told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return False
    return True


def _load(code: Path) -> tuple[Callable[[str], int], Any]:
    """How to find a function, and what to keep: of a shared library, or of object code where nothing could link it."""
    if code.suffix != ".o":
        library = ctypes.CDLL(str(code))
        return lambda symbol: int(ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value or 0), library
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    engine = llvm.create_mcjit_compiler(
        llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine()
    )
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.read_bytes()))
    engine.finalize_object()
    return engine.get_function_address, engine


def _build(told: Callable[[str], object], stages: tuple[str, ...]) -> Library:
    """Build the library where it can be kept, and load it.

    Raises
    ------
    BadInput : if a kernel is at fault.
    Unavailable : if it cannot be built, with the reason.
    """
    reason = ""
    for folder in _places():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with disk.alone(folder):  # of two that start at once one waits for the other
                library = _open(folder / f"{_name(stages)}.json")
                if library is None:
                    more = "".join(f" with {Path(stage).stem}" for stage in stages)
                    told(f"building the engine for this machine{more}, once: about half a minute ...")
                    reason = build(folder, target(), stages)
                    library = _open(folder / f"{_name(stages)}.json")
            if library is not None:
                return library
            reason = reason or f"{folder} may be written by others, or what was written there is not what was read"
        except OSError as error:
            reason = f"{folder}: {error.strerror}"
    raise Unavailable(f"the engine cannot be built: {reason}. Set RTSEP_CACHE to a folder of your own with 10 MB free.")


def _places() -> Iterator[Path]:
    yield cache_folder()
    private = Path(tempfile.mkdtemp(prefix="rtsep-"))
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    yield private


def for_browsers(told: Callable[[str], object] = lambda sentence: None) -> Path:
    """The library as a module of WebAssembly; built into the cache if there is none, which `told` hears of.

    Raises
    ------
    Unavailable : if it cannot be built, with the reason.
    """
    return _built("wasm32", "browsers", told)


def for_plugins(
    machine: str, told: Callable[[str], object] = lambda sentence: None, stages: tuple[str, ...] = ()
) -> Path:
    """Object code for that `machine` (a target of `build/emit.py`), to be linked into a plugin; as `for_browsers`."""
    return _built(machine + OBJECT, f"plugins on {machine}", told, stages)


def _built(target: str, whom: str, told: Callable[[str], object], stages: tuple[str, ...] = ()) -> Path:
    reason = ""
    for folder in (COMPILED, cache_folder()):
        description = folder / f"rtsep-{target}-{digest(stages)}.json"
        if folder != COMPILED and usable(description) is None:
            told(f"building the engine for {whom}, once: about half a minute ...")
            reason = build(folder, target, stages)
        found = usable(description)
        if found is not None:
            return Path(found["path"])
    raise Unavailable(f"the engine cannot be built: {reason or f'{folder} may be written by others'}.")


def build(folder: Path, target: str, stages: tuple[str, ...] = ()) -> str:
    """Build the library for `target` into `folder`, in a process of its own; why it failed, or nothing.

    Raises
    ------
    BadInput : if it could not be built anywhere: a kernel is at fault.
    """
    paths = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "rtsep.build", target, str(folder), *(f"--stage={stage}" for stage in stages)],
        env={**os.environ, "PYTHONPATH": paths, "NUMBA_DISABLE_INTEL_SVML": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode == 2:
        raise BadInput(done.stdout.strip())
    return "" if done.returncode == 0 else done.stdout.strip().removesuffix(".") or f"exit code {done.returncode}"


class _Function:
    """A C function that stands for a kernel with arguments of some kinds."""

    def __init__(self, place: int, kinds: Sequence[Any], results: Sequence[str]) -> None:
        self._kinds = kinds
        self._scalar = len(results) == 1
        self._results = np.dtype([(str(i), name) for i, name in enumerate(results)], align=True)
        arguments: list[Any] = [C_TYPES[kind.dtype] if isinstance(kind, Scalar) else ctypes.c_void_p for kind in kinds]
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *arguments)(place)

    def takes(self, arguments: Sequence[Any]) -> bool:
        return len(arguments) == len(self._kinds) and all(map(_fits, self._kinds, arguments))

    def __call__(self, arguments: Sequence[Any]) -> Any:
        result, keep = np.zeros(1, self._results), []
        given = [result.ctypes.data]
        for kind, value in zip(self._kinds, arguments, strict=True):
            if isinstance(kind, Scalar):
                given.append(value.item() if isinstance(value, np.generic) else value)
            elif isinstance(kind, Array):
                strides = () if kind.contiguous else value.strides
                words = (ctypes.c_int64 * (1 + value.ndim + len(strides)))(value.ctypes.data, *value.shape, *strides)
                keep.append(words)
                given.append(ctypes.addressof(words))
            else:
                image = value if isinstance(value, Image) else Image(value)
                keep.append(image)
                given.append(image.address)
        self._call(*given)
        if not self._results.names:
            return None
        values = result[0].item()
        return values[0] if self._scalar else values


def _fits(kind: Any, value: Any) -> bool:
    if isinstance(kind, Array):
        same = isinstance(value, np.ndarray) and (value.dtype, value.ndim) == (kind.dtype, kind.dimensions)
        return same and (not kind.contiguous or bool(value.flags.c_contiguous))
    if isinstance(kind, Scalar):
        return isinstance(value, int | float | np.generic) and (
            kind.dtype in ("float32", "float64") or isinstance(value, int | np.integer | np.bool_)
        )
    state = value.state if isinstance(value, Image) else value
    return bool(f"{type(state).__module__}.{type(state).__qualname__}" == kind)


def _kind(text: str) -> Any:
    """A kind of argument from its words in a description; a state class stays its name."""
    if text.endswith("]"):
        dtype, axes = text[:-1].split("[")
        return Array(dtype, axes.count(",") + 1, axes.endswith("::1"))
    return Scalar(text) if text in C_TYPES else text


_functions: dict[tuple[str, tuple[str, ...]], list[_Function]] = {}


def call(kernel: Kernel, arguments: Sequence[Any]) -> Any:
    """Run `kernel` in the library, or, if that does not offer it for such arguments, compiled for itself."""
    stages = next((value.stages for value in arguments if isinstance(value, Image)), ())
    known = _functions.get((kernel.name, stages))
    if known is None:
        with _LOCK:
            known = _functions[kernel.name, stages] = list(_offered(kernel, stages))
    for function in known:
        if function.takes(arguments):
            return function(arguments)
    with _LOCK:
        function = _compiled(kernel, arguments)
        known.append(function)
    return function(arguments)


def _offered(kernel: Kernel, stages: tuple[str, ...]) -> Iterator[_Function]:
    library = _library(stages=stages)
    told = library.description["functions"].get(kernel.name)
    if told is not None:
        yield _Function(library.address(told["symbol"]), [_kind(text) for text in told["arguments"]], told["results"])


def _compiled(kernel: Kernel, arguments: Sequence[Any]) -> _Function:
    """`kernel` for just these arguments: kept in the cache, as tests and experiments ask for the same again."""
    kinds = [_kind_of(value) for value in arguments]
    words = [f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind) for kind in kinds]
    source = Path(inspect.getfile(kernel.function)).read_bytes()
    mark = hashlib.sha256(json.dumps([_name(), kernel.name, words]).encode() + source).hexdigest()[:24]
    folder = cache_folder() / "single"
    library = _open(folder / f"{mark}.json")
    if library is None:
        from .build import single

        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        single.build(kernel, kinds, folder / mark, target())
        library = _open(folder / f"{mark}.json")
        if library is None:
            raise Unavailable(f"{folder} may be written by others: compiled code is not kept there.")
    _keep.append(library)
    return _Function(library.address("single"), [_kind(text) for text in words], library.description["results"])


_keep: list[Library] = []


def _kind_of(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Array(str(value.dtype), value.ndim, bool(value.flags.c_contiguous))
    if isinstance(value, bool | np.bool_):
        return Scalar("bool")
    if isinstance(value, np.generic):
        return Scalar(str(value.dtype))
    if isinstance(value, int | float):
        return Scalar("int64" if isinstance(value, int) else "float64")
    state = value.state if isinstance(value, Image) else value
    if not hasattr(type(state), "_fields"):
        raise BadInput(f"a kernel takes states, arrays and numbers, and no {type(value).__name__}.")
    return type(state)
