"""Compiling for the audio thread: one decorator, and the bridge from a state to a C callback.

The only file that knows numba's insides. A kernel is compiled without the GIL and without numba's memory
runtime, so that allocating is a compile error; a state (a NamedTuple of arrays) is written once into plain
memory, and a C callback gets it back from its `void *`.

Numba caches compiled code but looks only at the file of the function itself, so a change in a function that it
calls would go unseen. Our cache therefore lies in a folder named after the text of all files that hold kernels.
"""

import ctypes
import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

PACKAGE = Path(__file__).parent


def _digest() -> str:
    texts = {path: path.read_bytes() for path in sorted(PACKAGE.rglob("*.py"))}
    # Kernels, and what they hold as constants.
    held = [
        text
        for path, text in texts.items()
        if b"@kernel" in text or b"@callback" in text or path.name in ("parameters.py", "settings.py")
    ]
    return hashlib.sha256(b"".join(held) + version("rocket-fft").encode()).hexdigest()[:12]


def _cache_folder() -> Path:
    """RTSEP_CACHE where it is set, else beside the package, else (a package of the system) the user's cache."""
    chosen = os.environ.get("RTSEP_CACHE")
    if chosen:
        return Path(chosen) / _digest()
    if os.access(PACKAGE, os.W_OK):
        return PACKAGE / "__pycache__" / f"kernels-{_digest()}"
    return platformdirs.user_cache_path("rtsep") / _digest()


CACHE_FOLDER = _cache_folder()


@contextmanager
def compiling(part: str, told: Callable[[str], object]) -> Iterator[None]:
    """Around code that compiles the kernels of `part`: the first time it `told` a person to be patient."""
    mark = CACHE_FOLDER / f"{part}-is-compiled"
    if not mark.exists():
        told(f"compiling the {part} for this machine, once: one to two minutes ...")
    yield
    with suppress(OSError):
        mark.touch()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile `function` so that it neither allocates, raises nor needs Python (tests/test_realtime.py checks)."""
    # Only these two freedoms: the full set would also let the compiler drop every test for NaN.
    decorator = numba.njit(
        cache=True,
        nogil=True,
        error_model="numpy",
        no_cfunc_wrapper=True,
        _nrt=False,
        fastmath={"reassoc", "contract"},
    )
    return _in_our_cache(decorator, function)


class Callback:
    """A function to be called by C, compiled when its address is first asked for."""

    def __init__(self, signature: Any, function: Callable[..., Any]) -> None:
        self._signature, self._function = signature, function

    @cached_property
    def address(self) -> int:
        """The C pointer, good for as long as this object lives."""
        self._compiled = _in_our_cache(numba.cfunc(self._signature, cache=True, error_model="numpy"), self._function)
        return int(self._compiled.address)


def callback(signature: Any) -> Callable[[Callable[..., Any]], Callback]:
    """Make a function of numba's `signature` a `Callback`."""
    return lambda function: Callback(signature, function)


def _in_our_cache(decorator: Callable[..., Any], function: Callable[..., Any]) -> Any:
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(CACHE_FOLDER)
    try:
        return decorator(function)
    finally:
        numba.config.CACHE_DIR = before


def numba_type(state: type) -> Any:
    """The numba type of a state class, read from its annotations."""
    fields = [numba_type(field) if hasattr(field, "_fields") else field for field in state.__annotations__.values()]
    if len(set(fields)) == 1:  # numba has a type of its own for this case
        return types.NamedUniTuple(fields[0], len(fields), state)
    return types.NamedTuple(fields, state)


def native(state: Any) -> np.ndarray:
    """The bytes of `state` as compiled code holds it. Keep these and `state` while a callback may run."""
    block = np.zeros(_size_of(state), np.uint8)
    _write(block.ctypes.data, state)
    return block


@intrinsic
def load(typing_context, pointer, kind):
    """In compiled code: the state of numba type `kind` whose `native` bytes lie at `pointer` (an address)."""
    state = kind.instance_type

    def generate(context, builder, signature, arguments):
        at, place = arguments[0], context.get_data_type(state).as_pointer()
        address = builder.inttoptr(at, place) if isinstance(pointer, types.Integer) else builder.bitcast(at, place)
        value = context.data_model_manager[state].from_data(builder, builder.load(address))
        return _borrowed(context, builder, state, value)

    return state(pointer, kind), generate


def _borrowed(context, builder, kind, value):
    """`value` with no owner noted in its arrays: those seen by `native` were gone when it returned."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value=value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(kind, types.BaseTuple):
        parts = [_borrowed(context, builder, part, builder.extract_value(value, i)) for i, part in enumerate(kind)]
        return context.make_tuple(builder, kind, parts)
    return value


@intrinsic
def _size(typing_context, value):
    def generate(context, builder, signature, arguments):
        return context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(value)))

    return types.intp(value), generate


@intrinsic
def _store(typing_context, address, value):
    def generate(context, builder, signature, arguments):
        data = context.data_model_manager[value].as_data(builder, arguments[1])
        builder.store(data, builder.inttoptr(arguments[0], data.type.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, value), generate


@kernel
def _size_of(state):
    return _size(state)


@kernel
def _write(address, state):
    _store(address, state)


# What compiled code may ask of the operating system: the time, which thread it is, and (the virtual device) to wait.

_MONOTONIC = 6 if sys.platform == "darwin" else 1


@intrinsic
def clock(typing_context):
    """Seconds on a clock that never goes back, as float64."""

    def generate(context, builder, signature, arguments):
        i32, i64, double = ir.IntType(32), ir.IntType(64), ir.DoubleType()
        if sys.platform == "win32":
            ticks = cgutils.alloca_once(builder, i64)
            name, kind = "QueryPerformanceCounter", ir.FunctionType(i32, [i64.as_pointer()])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [ticks])
            frequency = ctypes.c_int64()
            ctypes.windll.kernel32.QueryPerformanceFrequency(ctypes.byref(frequency))
            return builder.fmul(builder.sitofp(builder.load(ticks), double), ir.Constant(double, 1 / frequency.value))
        timespec = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))
        kind = ir.FunctionType(i32, [i32, timespec.type])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(function, [ir.Constant(i32, _MONOTONIC), timespec])
        seconds, nanoseconds = (
            builder.sitofp(builder.extract_value(builder.load(timespec), i), double) for i in (0, 1)
        )
        return builder.fadd(seconds, builder.fmul(nanoseconds, ir.Constant(double, 1e-9)))

    return types.float64(), generate


@intrinsic
def thread_id(typing_context):
    """The system's number for the thread that asks, as int64; 0 where the system has none to offer."""

    def generate(context, builder, signature, arguments):
        if sys.platform != "linux":
            return ir.Constant(ir.IntType(64), 0)
        kind = ir.FunctionType(ir.IntType(32), [])
        number = builder.call(cgutils.get_or_insert_function(builder.module, kind, "gettid"), [])
        return builder.sext(number, ir.IntType(64))

    return types.int64(), generate


@intrinsic
def wait(typing_context, seconds):
    """Sleep for `seconds` (float64, positive). For the virtual device's host loop, never for a callback."""

    def generate(context, builder, signature, arguments):
        i32, i64, double = ir.IntType(32), ir.IntType(64), ir.DoubleType()
        if sys.platform == "win32":
            kind = ir.FunctionType(ir.VoidType(), [i32])
            milliseconds = builder.fptosi(builder.fmul(arguments[0], ir.Constant(double, 1e3)), i32)
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "Sleep"), [milliseconds])
            return context.get_dummy_value()
        whole = builder.fptosi(arguments[0], i64)
        part = builder.fsub(arguments[0], builder.sitofp(whole, double))
        timespec = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))
        value = builder.insert_value(ir.Constant(timespec.type.pointee, ir.Undefined), whole, 0)
        value = builder.insert_value(value, builder.fptosi(builder.fmul(part, ir.Constant(double, 1e9)), i64), 1)
        builder.store(value, timespec)
        null = ir.Constant(timespec.type, None)
        kind = ir.FunctionType(i32, [timespec.type, timespec.type])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "nanosleep"), [timespec, null])
        return context.get_dummy_value()

    return types.void(types.float64), generate


@intrinsic
def call_portaudio(typing_context, address, inputs, outputs, frames, flags, user):
    """Call the PortAudio callback that lies at `address`, as a host does; its time info is NULL."""

    def generate(context, builder, signature, arguments):
        void, ulong = ir.IntType(8).as_pointer(), ir.IntType(8 * ctypes.sizeof(ctypes.c_ulong))
        kind = ir.FunctionType(ir.IntType(32), [void, void, ulong, void, ulong, void])
        function = builder.inttoptr(arguments[0], kind.as_pointer())
        pointers = [builder.inttoptr(arguments[i], void) for i in (1, 2, 5)]
        counts = [builder.trunc(arguments[i], ulong) if ulong.width < 64 else arguments[i] for i in (3, 4)]
        null = ir.Constant(void, None)
        return builder.call(function, [pointers[0], pointers[1], counts[0], null, counts[1], pointers[2]])

    return types.int32(*[types.int64] * 6), generate


@intrinsic
def publish(typing_context, array, index, value):
    """`array[index] = value` (int64), seen by other threads only after everything written before it."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, value=arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


def aligned(*shape: int) -> NDArray[np.float32]:
    """Zeros that start with a cache line, so that no vector of lanes lies across two: 15 against 29 us a frame."""
    size = math.prod(shape)
    room = np.zeros(size + 15, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + size].reshape(shape)
