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

from ..kernels import aligned, float32, int64, kernel
from ..lanes import WIDTH, kept_below, load, maximum, minimum, splat, store

_LANES = 2 * WIDTH  # stretches of the spectrum whose medians along frequency slide side by side


class State(NamedTuple):
    # tables: read only
    lookahead: int64[::1]  # (1,) frames that come after the one being masked
    bands: int64[:, ::1]  # (bands, 3) first bin, bin after the last, span of the median along frequency
    # memory: cleared by reset
    history: float32[:, ::1]  # (frames, bins) the last magnitudes, a ring
    ordered: float32[:, ::1]  # (frames, padded bins) the same magnitudes, sorted for each bin
    oldest: int64[::1]  # (1,) row of `history` to be replaced next
    # scratch: meaningless between calls
    old: float32[::1]  # (padded bins,) the magnitudes that leave, and zeros
    new: float32[::1]  # (padded bins,) those that come, and zeros
    lanes: float32[:, ::1]  # (rows, lanes) a band in overlapping stretches, one in each lane
    window: float32[:, ::1]  # (longest span, lanes) the magnitudes around a bin, sorted


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
    padded = -(-bins // WIDTH) * WIDTH  # whole vectors
    rows = max(-(-(last - first) // _LANES) + span - 1 for first, last, span in table)
    return State(
        lookahead=np.array([lookahead]),
        bands=table,
        history=np.zeros((frames, bins), np.float32),
        ordered=aligned(frames, padded),
        oldest=np.zeros(1, np.int64),
        old=aligned(padded),
        new=aligned(padded),
        lanes=aligned(rows, _LANES),
        window=aligned(max(spans), _LANES),
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
    for k in range(magnitude.shape[0]):
        state.old[k], state.new[k] = state.history[newest, k], magnitude[k]
        state.history[newest, k] = magnitude[k]
    for k in range(0, state.new.shape[0], WIDTH):
        _replace(state.ordered, frames, k, load(state.old, k), load(state.new, k))
    for k in range(magnitude.shape[0]):
        harmonic[k] = state.ordered[frames // 2, k]
    state.oldest[0] = (newest + 1) % frames
    for b in range(state.bands.shape[0]):
        _median_frequency(state, state.bands[b], state.history[due(state)], percussive)


@kernel
def _stretch(bins):
    """How many of `bins` fall to each lane."""
    return (bins + _LANES - 1) // _LANES


@kernel
def _replace(window, ranks, k, old, new):
    """Put `new` in the place of `old` in eight columns of `window` (ranks, columns), from `k` on, which are sorted."""
    # A column a[0] <= ... <= a[n-1] without `old` is b[i] = a[i] if a[i] < old else a[i+1]; with `new` it is
    # max(b[i-1], min(b[i], new)).
    before = splat(np.float32(-2))  # below every magnitude, and the -1 of places that are not filled yet
    for i in range(ranks - 1):
        value = load(window[i], k)
        value = kept_below(value, old, load(window[i + 1], k))
        store(window[i], k, maximum(before, minimum(value, new)))
        before = value
    store(window[ranks - 1], k, maximum(before, new))


@kernel
def _median_frequency(state, band, x, median):
    """Write to `median` (bins,) what `x` (bins,) has around each bin of `band`; `x` is mirrored at both ends."""
    first, last, span = band[0], band[1], band[2]
    stretch, reach, bins = _stretch(last - first), span // 2, x.shape[0]
    rows, lanes, window = stretch + span - 1, state.lanes, state.window
    for j in range(rows):
        for s in range(_LANES):
            k = first + s * stretch + j - reach
            k = -k - 1 if k < 0 else k
            k = 2 * bins - 1 - k if k >= bins else k
            lanes[j, s] = x[max(k, 0)]  # the last stretches may lie wholly beyond the spectrum: never read
    window[:] = -1
    for j in range(rows):
        for s in range(0, _LANES, WIDTH):
            old = load(lanes[j - span], s) if j >= span else splat(np.float32(-1))
            _replace(window, span, s, old, load(lanes[j], s))
        if j >= span - 1:
            for s in range(_LANES):
                k = first + s * stretch + j - span + 1
                if k < last:
                    median[k] = window[reach, s]
