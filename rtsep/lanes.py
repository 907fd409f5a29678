"""Eight numbers side by side, for the loops where the compiler alone would not fill the vector unit.

`load(x, i)` takes eight numbers of an array, `+ - *` work on all of them at once, `store(x, i, lanes)` puts them back.
Every processor can do this: an AVX2 register holds them all, NEON and WebAssembly take two. Nobody looks whether an
index lies within the array: the caller must know. In plain Python, lanes are arrays of eight.
"""

from typing import Any

import numpy as np

from .kernels import External

WIDTH = 8


def _load(x: Any, i: int) -> Any:
    return x[i : i + WIDTH].copy()


def _store(x: Any, i: int, lanes: Any) -> None:
    x[i : i + WIDTH] = lanes


def _splat(value: Any) -> Any:
    return np.full(WIDTH, value, np.float32)


def _reverse(lanes: Any) -> Any:
    return lanes[::-1].copy()


def _load_pairs(x: Any, i: int) -> tuple[Any, Any]:
    given = x.view(np.float32)[2 * i : 2 * i + 2 * WIDTH]
    return given[::2].copy(), given[1::2].copy()


def _store_pairs(x: Any, i: int, even: Any, odd: Any) -> None:
    target = x.view(np.float32)
    target[2 * i : 2 * i + 2 * WIDTH : 2], target[2 * i + 1 : 2 * i + 2 * WIDTH : 2] = even, odd


def _store_fours(x: Any, i: int, a: Any, b: Any, c: Any, d: Any) -> None:
    x[i : i + 4 * WIDTH] = np.stack([a, b, c, d], 1).ravel()


def _store_blocks(x: Any, i: int, a: Any, b: Any, c: Any, d: Any) -> None:
    x[i : i + 4 * WIDTH] = np.stack([lanes.reshape(2, 4) for lanes in (a, b, c, d)], 1).ravel()


def _maximum(a: Any, b: Any) -> Any:
    return np.maximum(a, b)


def _minimum(a: Any, b: Any) -> Any:
    return np.minimum(a, b)


def _kept_below(a: Any, b: Any, other: Any) -> Any:
    return np.where(a < b, a, other)


def _largest(lanes: Any) -> Any:
    return lanes.max()


load = External("load_lanes", _load)
"""`load(x, i)`: x[i] to x[i + 7] of a float32 array."""

store = External("store_lanes", _store)
"""`store(x, i, lanes)`: the reverse of it."""

splat = External("splat", _splat)
"""`splat(value)`: the float32 `value` in all lanes."""

reverse = External("reverse", _reverse)
"""`reverse(lanes)`: the last first."""

maximum = External("maximum", _maximum)
"""`maximum(a, b)`: the larger of both, lane by lane."""

minimum = External("minimum", _minimum)
"""`minimum(a, b)`: the smaller of both, lane by lane."""

kept_below = External("kept_below", _kept_below)
"""`kept_below(a, b, other)`: `a` in the lanes where it is less than `b`, else `other`."""

largest = External("largest", _largest)
"""`largest(lanes)`: the largest of the eight, as float32."""

load_pairs = External("load_pairs", _load_pairs)
"""`load_pairs(x, i)`: eight pairs from the i-th on, as (first of each, second of each): real and imaginary parts."""

store_pairs = External("store_pairs", _store_pairs)
"""`store_pairs(x, i, first, second)`: the reverse of it."""

store_fours = External("store_fours", _store_fours)
"""`store_fours(x, i, a, b, c, d)`: a[0], b[0], c[0], d[0], a[1] and so on, to x[i] to x[i + 31]."""

store_blocks = External("store_blocks", _store_blocks)
"""`store_blocks(x, i, a, b, c, d)`: the lower half of each, then the upper half of each, to x[i] to x[i + 31]."""
