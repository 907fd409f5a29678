"""Harmonic and percussive parts of the magnitude by sliding medians.

Steady partials are ridges along time and drum hits are ridges along frequency, so a median along one axis keeps
the one and drops the other. Both windows slide without branches: a sorted window loses its oldest value and takes
the newest in one pass of compares and min/max, all bins side by side, which fills the vector unit.

FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010. There the median along time is
centered; here the frame that is masked may stand anywhere in it, at its very end for no look-ahead. There the
median along frequency is equally long everywhere; here it may have a length per band, for a bass drum fills two or
three bins, which a long median would never see.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..kernel import aligned, float32, int64, kernel

_LANES = 16  # stretches of the spectrum whose medians along frequency slide side by side: one vector of float32


class State(NamedTuple):
    # tables: read only
    lookahead: int64[::1]  # (1,) frames that come after the one being masked
    bands: int64[:, ::1]  # (bands, 3) first bin, bin after the last, span of the median along frequency
    # memory: cleared by reset
    history: float32[:, ::1]  # (frames, bins) the last magnitudes, a ring
    ordered: float32[:, ::1]  # (frames, bins) the same magnitudes, sorted for each bin
    oldest: int64[::1]  # (1,) row of `history` to be replaced next
    # scratch: meaningless between calls
    lanes: float32[:, ::1]  # (rows, lanes) a band in overlapping stretches, one in each lane
    window: float32[:, ::1]  # (longest span, lanes) the magnitudes around a bin, sorted
    carry: float32[::1]  # (lanes,) the value on its way up the window


def prepare(bins: int, frames: int, bands: Sequence[tuple[int, int]], lookahead: int = 0) -> State:
    """A state for medians over `frames` (odd, `lookahead` of them in the future) and along frequency.

    `bands` are pairs of a first bin and the span (odd, in bins) of the median from there on; the first starts at 0.
    """
    spans = [span for _, span in bands]
    if any(length % 2 == 0 for length in (frames, *spans)):
        raise ValueError(f"median lengths must be odd: {frames} frames, bands {bands}")
    if not 0 <= lookahead <= frames // 2:
        raise ValueError(f"lookahead must lie between 0 and {frames // 2} frames: {lookahead}")
    edges = [first for first, _ in bands] + [bins]
    if edges != sorted(edges) or edges[0] != 0:
        raise ValueError(f"bands must start at bin 0, ascend, and end within {bins} bins: {bands}")
    table = np.array([*zip(edges[:-1], edges[1:], spans, strict=True)])
    rows = max(-(-(last - first) // _LANES) + span - 1 for first, last, span in table)
    return State(
        lookahead=np.array([lookahead]),
        bands=table,
        history=np.zeros((frames, bins), np.float32),
        ordered=np.zeros((frames, bins), np.float32),
        oldest=np.zeros(1, np.int64),
        lanes=aligned(rows, _LANES),
        window=aligned(max(spans), _LANES),
        carry=aligned(_LANES),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.history[:] = 0
    state.ordered[:] = 0
    state.oldest[0] = 0


@kernel
def due(state):
    """The row of `history` that the medians of the last call belong to: the frame to be masked."""
    frames = state.history.shape[0]
    return (state.oldest[0] + frames - 1 - state.lookahead[0]) % frames


@kernel
def process(state, magnitude, harmonic, percussive):
    """Take the newest `magnitude` (bins,); write both medians (bins,) of the frame `lookahead` frames before it."""
    frames = state.history.shape[0]
    newest = state.oldest[0]
    _median_time(state.ordered, state.history[newest], magnitude, harmonic)
    for k in range(magnitude.shape[0]):
        state.history[newest, k] = magnitude[k]
    state.oldest[0] = (newest + 1) % frames
    for b in range(state.bands.shape[0]):
        _median_frequency(state, state.bands[b], state.history[due(state)], percussive)


@kernel
def _stretch(bins):
    """How many of `bins` fall to each lane."""
    return (bins + _LANES - 1) // _LANES


@kernel
def _median_time(ordered, old, new, median):
    """Replace `old` (bins,) by `new` (bins,) in the sorted windows `ordered` (frames, bins)."""
    frames, bins = ordered.shape
    # A window a[0] <= ... <= a[n-1] without `old` is b[i] = a[i] if a[i] < old else a[i+1]; with `new` it is
    # max(b[i-1], min(b[i], new)). `median` carries b[i-1] from rank to rank.
    for k in range(bins):
        median[k] = -1  # below every magnitude
    for i in range(frames - 1):
        row, above = ordered[i], ordered[i + 1]
        for k in range(bins):
            b = row[k] if row[k] < old[k] else above[k]
            m = b if b < new[k] else new[k]
            row[k] = median[k] if median[k] > m else m
            median[k] = b
    top, middle = ordered[frames - 1], ordered[frames // 2]
    for k in range(bins):
        top[k] = median[k] if median[k] > new[k] else new[k]
    for k in range(bins):
        median[k] = middle[k]


@kernel
def _median_frequency(state, band, x, median):
    """Write to `median` (bins,) what `x` (bins,) has around each bin of `band`; `x` is mirrored at both ends."""
    first, last, span = band[0], band[1], band[2]
    stretch, reach, bins = _stretch(last - first), span // 2, x.shape[0]
    rows, lanes, window, carry = stretch + span - 1, state.lanes, state.window, state.carry
    width = window.shape[1]  # of this very array: else the compiler cannot tell its rows apart, and makes no vectors
    for j in range(rows):
        for s in range(width):
            k = first + s * stretch + j - reach
            k = -k - 1 if k < 0 else k
            k = 2 * bins - 1 - k if k >= bins else k
            lanes[j, s] = x[max(k, 0)]  # the last stretches may lie wholly beyond the spectrum: never read
    window[:] = -1
    for j in range(rows):
        new = lanes[j]
        for s in range(width):
            carry[s] = -2  # below the -1 of the places not filled yet
        for i in range(span - 1):
            row, above = window[i], window[i + 1]
            for s in range(width):
                old = lanes[j - span, s] if j >= span else np.float32(-1)
                b = row[s] if row[s] < old else above[s]
                m = b if b < new[s] else new[s]
                row[s] = carry[s] if carry[s] > m else m
                carry[s] = b
        for s in range(width):
            window[span - 1, s] = carry[s] if carry[s] > new[s] else new[s]
        if j >= span - 1:
            for s in range(width):
                k = first + s * stretch + j - span + 1
                if k < last:
                    median[k] = window[reach, s]
