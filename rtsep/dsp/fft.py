"""The Fourier transform of real signals, and its inverse, in memory of their own: nothing is planned or allocated.

A real signal of N samples is transformed as N/2 complex numbers, from whose spectrum its own follows. The complex
transform takes four numbers at a time, by Stockham's order, which needs no bit reversal: each stage reads from one
buffer and writes to the other, always eight neighbors at once. In the first two stages, whose results lie closer
together than eight, these are shuffled on their way to memory. Where the size has a factor of three, one of the last
two stages takes three numbers at a time.

Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics of Computation
19(90), 1965; Cochran and others, "What is the fast Fourier transform?", Proceedings of the IEEE 55(10), 1967
(Stockham's order); Sorensen, Jones, Heideman and Burrus, "Real-valued fast Fourier transform algorithms", IEEE
Transactions on Acoustics, Speech, and Signal Processing 35(6), 1987.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import aligned, float32, kernel
from ..lanes import WIDTH, load, load_pairs, reverse, splat, store, store_blocks, store_fours, store_pairs

SMALLEST, LARGEST = 64, 32768
"""Samples that can be transformed: powers of two between these, and three times those from SMALLEST to LARGEST / 4."""


class State(NamedTuple):
    # tables: read only
    near: float32[:, :, ::1]  # (2 stages, 6, N/8) turns of the first two: real and imaginary, once, twice, three times
    turns: float32[:, ::1]  # (2, N/2) exp(-2 pi i k / N), real and imaginary parts
    # scratch: meaningless between calls
    work: float32[:, ::1]  # (4, N/2) two buffers, real and imaginary parts


def prepare(size: int) -> State:
    """A state for `size` real samples: a power of two from 64 to 32,768, or three times one from 64 to 8,192.

    Raises
    ------
    ValueError : for another size.
    """
    power = size if size & (size - 1) == 0 or size % 3 else size // 3
    if not SMALLEST <= power <= size <= LARGEST or power & (power - 1):
        raise ValueError(
            f"a transform of {size} samples: it must be a power of two, {SMALLEST} to {LARGEST}, or three times one "
            f"from {SMALLEST} on."
        )
    half = size // 2
    near = np.zeros((2, 6, half // 4))
    for stage, step in enumerate((1, 4)):
        angle = -2j * np.pi * (np.arange(half // 4) // step * step) / half
        for times in range(1, 4):
            turn = np.exp(times * angle)
            near[stage, 2 * times - 2], near[stage, 2 * times - 1] = turn.real, turn.imag
    turn = np.exp(-2j * np.pi * np.arange(half) / size)
    return State(
        near=near.astype(np.float32),
        turns=np.stack([turn.real, turn.imag]).astype(np.float32),
        work=aligned(4, half),
    )


@kernel
def forward(state, signal, spectrum):
    """From a real `signal` (N,) to its `spectrum` (N/2 + 1,)."""
    work, turns = state.work, state.turns
    half = work.shape[1]
    for k in range(0, half, WIDTH):
        real, imag = load_pairs(signal, k)
        store(work[0], k, real)
        store(work[1], k, imag)
    at = _transform(state)
    real, imag = work[at], work[at + 1]
    first, last = real[0] + imag[0], real[0] - imag[0]
    two = splat(np.float32(0.5))
    # The ends meet in the middle, where eight numbers may be written twice.
    for k in range(1, half // 2 + 1, WIDTH):
        j = half - k - WIDTH + 1
        a_r, a_i = two * load(real, k), two * load(imag, k)
        b_r, b_i = two * reverse(load(real, j)), two * reverse(load(imag, j))
        c, s = load(turns[0], k), load(turns[1], k)
        even_r, even_i, odd_r, odd_i = a_r + b_r, a_i - b_i, a_i + b_i, b_r - a_r
        turned_r, turned_i = c * odd_r - s * odd_i, c * odd_i + s * odd_r
        store_pairs(spectrum, k, even_r + turned_r, even_i + turned_i)
        store_pairs(spectrum, j, reverse(even_r - turned_r), reverse(turned_i - even_i))
    spectrum[0], spectrum[half] = complex(first, np.float32(0)), complex(last, np.float32(0))


@kernel
def inverse(state, spectrum, signal):
    """From a `spectrum` (N/2 + 1,) to its real `signal` (N,), N times too large. What has no meaning is ignored."""
    work, turns = state.work, state.turns
    half = work.shape[1]
    real, imag = work[0], work[1]
    # Conjugate on the way in and on the way out, so that the forward transform serves.
    for k in range(1, half // 2 + 1, WIDTH):
        j = half - k - WIDTH + 1
        a_r, a_i = load_pairs(spectrum, k)
        c_r, c_i = load_pairs(spectrum, j)
        b_r, b_i = reverse(c_r), reverse(c_i)
        c, s = load(turns[0], k), load(turns[1], k)
        even_r, even_i, odd_r, odd_i = a_r + b_r, a_i - b_i, a_r - b_r, a_i + b_i
        turned_r, turned_i = c * odd_r + s * odd_i, c * odd_i - s * odd_r
        store(real, k, even_r - turned_i)
        store(imag, k, splat(np.float32(0)) - even_i - turned_r)
        store(real, j, reverse(even_r + turned_i))
        store(imag, j, reverse(even_i - turned_r))
    first, last = spectrum[0].real, spectrum[half].real
    real[0], imag[0] = first + last, last - first
    at = _transform(state)
    real, imag, zero = work[at], work[at + 1], splat(np.float32(0))
    for k in range(0, half, WIDTH):
        store_pairs(signal, k, load(real, k), zero - load(imag, k))


@kernel
def _transform(state):
    """The complex transform of rows 0 and 1 of `work`; the first of the two rows in which the result lies."""
    work, half = state.work, state.work.shape[1]
    _near(work[0], work[1], work[2], work[3], state.near[0], True)
    _near(work[2], work[3], work[0], work[1], state.near[1], False)
    at, step = 0, 16
    while step < half:
        to, left = 2 - at, half // step
        if left % 4 == 0:
            _fours(work[at], work[at + 1], work[to], work[to + 1], step, state.turns)
            step *= 4
        elif left % 3 == 0:
            _threes(work[at], work[at + 1], work[to], work[to + 1], step, state.turns)
            step *= 3
        else:
            _twos(work[at], work[at + 1], work[to], work[to + 1])
            step *= 2
        at = to
    return at


@kernel
def _four(a_r, a_i, b_r, b_i, c_r, c_i, d_r, d_i):
    """The transform of four numbers."""
    s_r, s_i, t_r, t_i = a_r + c_r, a_i + c_i, a_r - c_r, a_i - c_i
    u_r, u_i, v_r, v_i = b_r + d_r, b_i + d_i, b_r - d_r, b_i - d_i
    return s_r + u_r, s_i + u_i, t_r + v_i, t_i - v_r, s_r - u_r, s_i - u_i, t_r - v_i, t_i + v_r


@kernel
def _near(real, imag, to_real, to_imag, turns, first):
    """The first stage, or the second, whose results for eight neighbors lie one, or four, apart."""
    quarter = real.shape[0] // 4
    for i in range(0, quarter, WIDTH):
        j, k, m = i + quarter, i + 2 * quarter, i + 3 * quarter
        a_r, a_i, b_r, b_i, c_r, c_i, d_r, d_i = _four(
            load(real, i),
            load(imag, i),
            load(real, j),
            load(imag, j),
            load(real, k),
            load(imag, k),
            load(real, m),
            load(imag, m),
        )
        b_c, b_s, c_c, c_s = load(turns[0], i), load(turns[1], i), load(turns[2], i), load(turns[3], i)
        d_c, d_s = load(turns[4], i), load(turns[5], i)
        b_r, b_i = b_r * b_c - b_i * b_s, b_r * b_s + b_i * b_c
        c_r, c_i = c_r * c_c - c_i * c_s, c_r * c_s + c_i * c_c
        d_r, d_i = d_r * d_c - d_i * d_s, d_r * d_s + d_i * d_c
        if first:
            store_fours(to_real, 4 * i, a_r, b_r, c_r, d_r)
            store_fours(to_imag, 4 * i, a_i, b_i, c_i, d_i)
        else:
            store_blocks(to_real, 4 * i, a_r, b_r, c_r, d_r)
            store_blocks(to_imag, 4 * i, a_i, b_i, c_i, d_i)


@kernel
def _fours(real, imag, to_real, to_imag, step, turns):
    """A later stage: results for neighbors are neighbors, and turn alike."""
    half = real.shape[0]
    quarter = half // 4
    p = 0
    while p < quarter:  # a range might have a step of zero, and raise
        # exp(-2 pi i p / half), twice and three times as far: every second entry of the table, which holds N turns.
        b_c, b_s = splat(turns[0, 2 * p]), splat(turns[1, 2 * p])
        c_c, c_s = b_c * b_c - b_s * b_s, b_c * b_s + b_c * b_s
        d_c, d_s = b_c * c_c - b_s * c_s, b_c * c_s + b_s * c_c
        for i in range(p, p + step, WIDTH):
            j, k, m = i + quarter, i + 2 * quarter, i + 3 * quarter
            a_r, a_i, b_r, b_i, c_r, c_i, d_r, d_i = _four(
                load(real, i),
                load(imag, i),
                load(real, j),
                load(imag, j),
                load(real, k),
                load(imag, k),
                load(real, m),
                load(imag, m),
            )
            to = 3 * p + i
            store(to_real, to, a_r)
            store(to_imag, to, a_i)
            store(to_real, to + step, b_r * b_c - b_i * b_s)
            store(to_imag, to + step, b_r * b_s + b_i * b_c)
            store(to_real, to + 2 * step, c_r * c_c - c_i * c_s)
            store(to_imag, to + 2 * step, c_r * c_s + c_i * c_c)
            store(to_real, to + 3 * step, d_r * d_c - d_i * d_s)
            store(to_imag, to + 3 * step, d_r * d_s + d_i * d_c)
        p += step


@kernel
def _threes(real, imag, to_real, to_imag, step, turns):
    """A later stage that takes three numbers at a time."""
    third = real.shape[0] // 3
    two, root = splat(np.float32(0.5)), splat(np.float32(math.sqrt(0.75)))
    p = 0
    while p < third:  # as in `_fours`
        b_c, b_s = splat(turns[0, 2 * p]), splat(turns[1, 2 * p])
        c_c, c_s = b_c * b_c - b_s * b_s, b_c * b_s + b_c * b_s
        for i in range(p, p + step, WIDTH):
            j, k = i + third, i + 2 * third
            a_r, a_i = load(real, i), load(imag, i)
            s_r, s_i = load(real, j) + load(real, k), load(imag, j) + load(imag, k)
            d_r, d_i = root * (load(real, j) - load(real, k)), root * (load(imag, j) - load(imag, k))
            m_r, m_i = a_r - two * s_r, a_i - two * s_i
            b_r, b_i, c_r, c_i = m_r + d_i, m_i - d_r, m_r - d_i, m_i + d_r
            to = 2 * p + i
            store(to_real, to, a_r + s_r)
            store(to_imag, to, a_i + s_i)
            store(to_real, to + step, b_r * b_c - b_i * b_s)
            store(to_imag, to + step, b_r * b_s + b_i * b_c)
            store(to_real, to + 2 * step, c_r * c_c - c_i * c_s)
            store(to_imag, to + 2 * step, c_r * c_s + c_i * c_c)
        p += step


@kernel
def _twos(real, imag, to_real, to_imag):
    """The last stage where the size asks for one of two numbers."""
    step = real.shape[0] // 2
    for i in range(0, step, WIDTH):
        a_r, a_i, b_r, b_i = load(real, i), load(imag, i), load(real, i + step), load(imag, i + step)
        store(to_real, i, a_r + b_r)
        store(to_imag, i, a_i + b_i)
        store(to_real, i + step, a_r - b_r)
        store(to_imag, i + step, a_i - b_i)
