"""Kernels: the functions that run on the audio thread, and the states that they work on.

A kernel is compiled ahead of time into the library (`rtsep/build/`), where it can neither allocate, raise nor call
Python. A state is a NamedTuple of arrays; compiled code sees it as an image: the address and the shape of each array,
one after the other. Called from Python, a kernel runs in the library (`library.py`); one that the library does not
offer by itself, as in a test, is compiled when it is first called.
"""

import ctypes
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNJITTED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
"""Whether kernels run as plain Python, for tests."""


class Array(NamedTuple):
    """An array as compiled code knows it; written `float32[:, ::1]`, or `float32[:, :]` if rows may lie apart."""

    dtype: str
    dimensions: int
    contiguous: bool

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join([':'] * (self.dimensions - 1) + ['::1' if self.contiguous else ':'])}]"


class Scalar(NamedTuple):
    """A number as compiled code knows it; indexed with slices, an `Array` of them."""

    dtype: str

    def __getitem__(self, index: Any) -> Any:
        axes = index if isinstance(index, tuple) else (index,)
        return Array(self.dtype, len(axes), axes[-1].step == 1)

    def __str__(self) -> str:
        return self.dtype


# For mypy they are anything, as what they annotate is.
float32: Any = Scalar("float32")
float64: Any = Scalar("float64")
int64: Any = Scalar("int64")
complex64: Any = Scalar("complex64")
pointer: Any = Scalar("pointer")  # what C calls void *
ulong: Any = Scalar("ulong")  # what C calls unsigned long


class Kernel:
    """A function for compiled code. Called from Python it runs compiled too; `function` is what it was made of."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        from . import library

        return library.call(self, arguments)


def kernel(function: Callable[..., Any]) -> Any:
    """Make `function` a kernel: the build compiles it and refuses it if it allocates, raises or needs Python."""
    return function if UNJITTED else Kernel(function)


class External(NamedTuple):
    """What a kernel asks of the system: `build/system.py` compiles it, `function` stands in for it in plain Python."""

    name: str
    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def _publish(array: NDArray[np.int64], index: int, value: int) -> None:
    array[index] = value


clock = External("clock", time.monotonic)
"""Seconds on a clock that never goes back, as float64."""

thread_id = External("thread_id", threading.get_native_id)
"""The system's number for the thread that asks, as int64; 0 where the system has none to offer."""

wait = External("wait", time.sleep)
"""Sleep for some seconds (float64, positive). For the virtual device's host loop, never for a callback."""

publish = External("publish", _publish)
"""`publish(array, index, value)`: `array[index] = value` (int64), which others see only after all written before."""


def leaves(state: Any) -> Iterator[tuple[str, Array]]:
    """The arrays of a state class, those of states within it among them, in the order of its image."""
    for name, kind in state.__annotations__.items():
        if isinstance(kind, Array):
            yield name, kind
        else:
            yield from ((f"{name}.{inner}", leaf) for inner, leaf in leaves(kind))


def words(kind: Any) -> int:
    """How many numbers of 64 bits an array, or a whole state class, takes in an image: address and shape."""
    return 1 + kind.dimensions if isinstance(kind, Array) else sum(words(leaf) for _, leaf in leaves(kind))


class Image:
    """A state as compiled code sees it. Keep it while that may run; it keeps the state.

    With the paths of `stages` of one's own it runs in a library that has them compiled in (`own.py`).

    Raises
    ------
    TypeError : if an array is not what its state class says.
    """

    def __init__(self, state: Any, stages: tuple[str, ...] = ()) -> None:
        self.state, self.stages = state, stages
        content: list[int] = []
        self._draw(state, content)
        self.words = np.array(content, np.int64)
        self.address = int(self.words.ctypes.data)

    def _draw(self, state: Any, content: list[int]) -> None:
        for value, (name, kind) in zip(state, type(state).__annotations__.items(), strict=True):
            if not isinstance(kind, Array):
                self._draw(value, content)
                continue
            if value.dtype != kind.dtype or value.ndim != kind.dimensions or not value.flags.c_contiguous:
                owner = f"{type(state).__module__}.{name}"
                raise TypeError(f"{owner} is {value.dtype} {value.shape}, strides {value.strides}: it must be {kind}.")
            content += (value.ctypes.data, *value.shape)


def aligned(*shape: int) -> NDArray[np.float32]:
    """Zeros that start with a cache line, so that no vector of lanes lies across two: 15 against 29 us a frame."""
    size = math.prod(shape)
    room = np.zeros(size + 15, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + size].reshape(shape)


C_TYPES = {
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
    "int64": ctypes.c_int64,
    "bool": ctypes.c_bool,
    "int32": ctypes.c_int32,
    "pointer": ctypes.c_void_p,
    "ulong": ctypes.c_ulong,
}
