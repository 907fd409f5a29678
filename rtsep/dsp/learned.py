"""Masks of percussive, melody and harmony from a small network that looks at each band and its neighbors.

What it sees of a band are differences of logarithms, so that it hears alike at any level: to the band's own past, to
the bands around, of the frame's level to those before, and the combs of the pitches that the melody may have. In the
bass a band is a bin; above, four bins share one, which costs an ideal mask less than 0.1 dB.

Where frames follow one another closely, parts of the spectrum take turns: each frame brings the masks of one of them up
to date, and of those where the sound rises, as attacks cannot wait; the others are held for `_EVERY_S` at most. About
half of the parts are asked for, and it costs 0.05 dB of the drums.

Two convolutions along frequency stand between two layers within each band, trained on phase-sensitive masks (Erdogan,
Hershey, Watanabe and Le Roux, "Phase-sensitive and recognition-boosted speech separation using deep recurrent neural
networks", ICASSP 2015). A layer is computed for four of its rows and sixteen bands at a time, whose sums stay in
registers.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels import float32, int64, kernel
from ..lanes import WIDTH, load, maximum, splat, store
from .masks import HARMONY, MELODY, PERCUSSIVE

FEATURES, AHEAD = 21, 6
"""What is heard of a band, and what more where the masks may wait for the frames that follow."""

REACH = 4
"""Bands, the farthest neighbor that a layer asks."""

_EVERY_S = 512 / 48_000
_RISE = 0.08  # of the logarithms of a part, on an average of its bands, from one frame to the next
_SINGLE_HZ, _TOGETHER = 4000.0, 4  # above, so many bins share a band
_HIGHEST_HZ = 22050.0  # the end of what it was trained on; above, all is masked as the last band is
_AVERAGES_S = (0.01, 0.03, 0.09, 0.25, 1.5)
_STEADY, _SLOW = 2, 4  # which of them is compared with its neighbors, and follows the level
_AGO_S = (0.0174, 0.0464, 0.0116)  # the last is the level's
_SOON_S, _MEANS_S = (0.006, 0.0174, 0.0464), (0.03, 0.07)  # what follows, at once and on an average; the level's is
_LEVELS = 1  # that of `_SOON_S`
_AROUND_HZ = (125.0, 300.0, 750.0)
_FALL_S = 3.0  # how slowly the loudest level is forgotten
_FAINT = 1e-4  # part of it that no longer counts, and magnitude that never does
_MOST = 8.0  # of a feature: beyond, differences of logarithms mean nothing more
_WIDTH, _WIDENING = 2.4, 0.005  # half of a harmonic's lobe in bins, and what it gains with each bin: as was trained


class Network(NamedTuple):
    """Trained weights; all sizes but the number of features, taps and masks are free multiples of four."""

    first: NDArray[np.float32]  # (rows, FEATURES), or (rows, FEATURES + AHEAD)
    second: NDArray[np.float32]  # (rows, rows of the first, 3) to the band below, the band and the one above
    third: NDArray[np.float32]  # (rows, rows of the second, 3) to the band REACH below, the band, the one REACH above
    last: NDArray[np.float32]  # (3, rows of the third) in the order of the masks
    first_bias: NDArray[np.float32]  # (rows,)
    second_bias: NDArray[np.float32]
    third_bias: NDArray[np.float32]
    last_bias: NDArray[np.float32]


def shapes(network: Network, features: int) -> tuple[tuple[int, ...], ...]:
    """The shapes that the arrays of `network` must have, given how many rows its layers have: multiples of four."""
    return shapes_of(features, *(-(-len(layer) // 4) * 4 for layer in network[:3]))


def shapes_of(features: int, one: int, two: int, three: int) -> tuple[tuple[int, ...], ...]:
    """The shapes of a network of so many `features` whose layers have so many rows."""
    return (one, features), (two, one, 3), (three, two, 3), (3, three), (one,), (two,), (three,), (3,)


class State(NamedTuple):
    # tables: read only
    edges: int64[::1]  # (bands + 1,) first bin of each band, and the bin after the last
    whole: float32[::1]  # (1,) bins up to the end of what was trained, whether this rate has them or not
    around: int64[:, :, ::1]  # (spans, bands, 2) first band of those around each, and the band after the last
    place: float32[::1]  # (bands,) logarithm of the frequency
    ago: int64[::1]  # (3,) frames
    turns: int64[::1]  # (turns + 1,) first band of the part that each frame in turn has, and the band after the last
    lookahead: int64[::1]  # (1,) frames that come before a frame is masked
    soon: int64[::1]  # (5,) frames to what follows, and in the means of it
    kept: float32[::1]  # (averages,) part that an average keeps from one frame to the next
    fall: float32[::1]  # (1,) part that the loudest level keeps
    first: float32[:, :, :, ::1]  # (rows / 4, inputs / 3, 4, 3) weights as `_layer` takes them
    second: float32[:, :, :, ::1]
    third: float32[:, :, :, ::1]
    last: float32[:, ::1]  # (3, inputs)
    first_bias: float32[::1]  # (rows,)
    second_bias: float32[::1]
    third_bias: float32[::1]
    last_bias: float32[::1]
    # memory: cleared by reset
    frame: int64[::1]  # (1,) the newest, counted from the first with sound; -1 before
    loudest: float32[::1]  # (1,) level of the last seconds
    past: float32[:, ::1]  # (frames, bands) logarithms of the magnitude, a ring
    level: float32[::1]  # (frames,) of the whole frame, a ring
    average: float32[:, ::1]  # (averages, bands) of the logarithms
    slow: float32[::1]  # (2,) averages of the bands' mean and of the level
    masked: int64[::1]  # (1,) the frame for which masks were last asked for
    held: float32[:, ::1]  # (3, bands) masks
    # scratch: meaningless between calls
    now: float32[::1]  # (bands,) logarithms
    total: float32[::1]  # (bands + 1,) sums of all bands below
    mean: float32[::1]  # (bands,)
    comb: float32[::1]  # (bins,)
    features: float32[:, ::1]  # (features, bands + margins)
    one: float32[:, ::1]  # (rows, bands + margins) outputs of the layers
    two: float32[:, ::1]
    three: float32[:, ::1]


def prepare(sample_rate: float, window_size: int, hop_size: int, network: Network, lookahead: int = 0) -> State:
    """A state for magnitudes of windows of `window_size` samples that come every `hop_size` samples.

    Each is masked when `lookahead` more have come.
    """
    bins, bin_hz, step_s = window_size // 2 + 1, sample_rate / window_size, hop_size / sample_rate
    whole = _HIGHEST_HZ / bin_hz + 1
    heard = min(round(whole), bins)
    single = min(round(_SINGLE_HZ / bin_hz), heard)
    edges = np.array([*range(single), *range(single, heard, _TOGETHER), heard])
    hz = (edges[:-1] + edges[1:] - 1) / 2 * bin_hz
    bands, padded = len(hz), len(hz) + 2 * WIDTH + 2 * REACH  # the last vectors may reach beyond, and margins
    turns = max(round(_EVERY_S / step_s), 1)
    ago = np.maximum(np.rint(np.array(_AGO_S) / step_s), 1).astype(np.int64)
    rows = [len(layer) for layer in network[:3]]
    soon = np.rint(np.array(_SOON_S + _MEANS_S) / step_s).astype(np.int64)
    frames = ago.max() + 1 + lookahead
    return State(
        edges=edges,
        whole=np.array([whole], np.float32),
        around=np.array([_around(hz, reach_hz) for reach_hz in _AROUND_HZ]),
        place=(np.log2(hz / 1000 + 0.02) / 4).astype(np.float32),
        turns=np.arange(turns + 1) * bands // turns,
        ago=ago,
        lookahead=np.array([lookahead]),
        soon=np.clip(soon, min(lookahead, 1), lookahead),
        kept=np.exp(-step_s / np.array(_AVERAGES_S)).astype(np.float32),
        fall=np.exp(np.array([-step_s / _FALL_S])).astype(np.float32),
        first=_fours(network.first.reshape(rows[0], -1, 3)),
        second=_fours(network.second),
        third=_fours(network.third),
        last=np.ascontiguousarray(network.last),
        first_bias=network.first_bias,
        second_bias=network.second_bias,
        third_bias=network.third_bias,
        last_bias=network.last_bias,
        frame=np.full(1, -1),
        loudest=np.zeros(1, np.float32),
        past=np.zeros((frames, bands), np.float32),
        level=np.zeros(frames, np.float32),
        average=np.zeros((len(_AVERAGES_S), bands), np.float32),
        slow=np.zeros(2, np.float32),
        masked=np.zeros(1, np.int64),
        held=np.zeros((3, bands), np.float32),
        now=np.zeros(bands, np.float32),
        total=np.zeros(bands + 1, np.float32),
        mean=np.zeros(bands, np.float32),
        comb=np.zeros(bins, np.float32),
        features=np.zeros((network.first.shape[1], padded), np.float32),
        one=np.zeros((rows[0], padded), np.float32),
        two=np.zeros((rows[1], padded), np.float32),
        three=np.zeros((rows[2], padded), np.float32),
    )


def _around(hz: NDArray[np.float64], reach_hz: float) -> NDArray[np.int64]:
    """The bands within `reach_hz` of each band, and at least its neighbors: (bands, 2)."""
    band = np.arange(len(hz))
    first = np.minimum(np.searchsorted(hz, hz - reach_hz - 1e-6), band - 1)
    end = np.maximum(np.searchsorted(hz, hz + reach_hz + 1e-6, side="right"), band + 2)
    return np.clip(np.stack([first, end], 1), 0, len(hz))


def _fours(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights (rows, inputs, 3) as (rows / 4, inputs, 4, 3)."""
    rows, inputs, taps = weights.shape
    return np.ascontiguousarray(weights.reshape(rows // 4, 4, inputs, taps).swapaxes(1, 2))


@kernel
def reset(state):
    """Forget the sound."""
    state.frame[0] = -1
    state.loudest[0] = 0
    state.past[:] = 0
    state.level[:] = 0
    state.average[:] = 0
    state.slow[:] = 0


@kernel
def process(state, magnitude, f0, weight, gate, share, masks):
    """Take the newest `magnitude` (bins,); write `masks` (3, bins: percussive, melody, harmony) of the frame due.

    Of that, `f0` (candidates,) are the pitches that the melody may have, in bins, the likeliest first, `weight`
    (candidates,) how likely each is, `gate` whether there is a melody (0 to 1), `share` (bins,) what it may have.
    """
    hear(state, magnitude)
    if state.frame[0] < 0:
        masks[:] = np.float32(1 / 3)
        return
    _compare(state)
    if state.features.shape[0] > FEATURES:
        _look_ahead(state)
    _pitches(state, f0, weight, gate, share)
    _renew(state)
    _write(state, masks)


@kernel
def _renew(state):
    """Ask for the masks of the parts of the spectrum that are not held, of neighbors at once."""
    turns, frame, first = state.turns, state.frame[0], -1
    parts = turns.shape[0] - 1
    whole = frame == 0 or frame != state.masked[0] + 1  # there is nothing to hold
    for part in range(parts + 1):
        if part < parts and (whole or part == frame % parts or _rises(state, turns[part], turns[part + 1])):
            first = part if first < 0 else first
        elif first >= 0:
            _ask(state, turns[first], turns[part])
            first = -1
    state.masked[0] = frame


@kernel
def _rises(state, first, end):
    """Whether the sound rises in the bands from `first` to before `end`."""
    before, rise = state.past[_row(state, -1)], np.float32(0)
    for b in range(first, end):
        rise += max(state.now[b] - before[b], np.float32(0))
    return rise > np.float32(_RISE) * np.float32(end - first)


@kernel
def _ask(state, first, end):
    """Bring the masks of the bands from `first` to before `end` up to date."""
    bands = state.now.shape[0]
    far, beyond = max(first - REACH, 0), min(end + REACH, bands)  # the third layer asks so far
    farther, further = max(far - 1, 0), min(beyond + 1, bands)
    _layer(state.features, state.first, state.first_bias, 1, 0, farther, further, state.one)
    _layer(state.one, state.second, state.second_bias, 0, 1, far, beyond, state.two)
    _layer(state.two, state.third, state.third_bias, 0, REACH, first, end, state.three)
    _share(state, first, end)


@kernel
def hear(state, magnitude):
    """Take the newest `magnitude` (bins,) and write no masks: for frames whose masks are others'.

    All begins with the first sound, so that it matters not how long a silence, of which the past then consists, came
    before.
    """
    edges, now, average, slow, frame = state.edges, state.now, state.average, state.slow, state.frame[0] + 1
    bands, rows = now.shape[0], state.past.shape[0]
    newest = state.past[frame % rows]
    power = np.float32(0)
    for b in range(bands):
        inside = np.float32(0)
        for k in range(edges[b], edges[b + 1]):
            inside += magnitude[k] * magnitude[k]
        newest[b] = inside / np.float32(edges[b + 1] - edges[b])
        power += inside
    power /= state.whole[0]
    if frame == 0 and power == 0:
        return
    state.frame[0] = frame
    state.loudest[0] = max(state.loudest[0] * state.fall[0], math.sqrt(power))
    faint = np.float32(_FAINT) * (state.loudest[0] + np.float32(1))
    for b in range(bands):
        newest[b] = np.float32(0.5) * math.log(newest[b] + faint * faint)
    state.level[frame % rows] = np.float32(0.5) * math.log(power + faint * faint)
    if frame == 0:
        state.level[1:] = math.log(faint)
        state.past[1:] = math.log(faint)
    due, mean = _row(state, 0), np.float32(0)
    level = state.level[due]
    for b in range(bands):
        now[b] = state.past[due, b]
        mean += now[b]
    mean /= np.float32(bands)
    # The first frames with sound count alike, so that no average has to come up from nothing.
    heard = max(frame - state.lookahead[0], 0)
    early = np.float32(heard) / np.float32(heard + 1)
    for a in range(average.shape[0]):
        kept, line = min(state.kept[a], early), average[a]
        for b in range(bands):
            line[b] = now[b] + kept * (line[b] - now[b])
    slow[0] = mean + min(state.kept[_STEADY], early) * (slow[0] - mean)
    slow[1] = level + min(state.kept[_SLOW], early) * (slow[1] - level)
    _fill(state.features[11], state.level[_row(state, -state.ago[2])] - level)
    _fill(state.features[12], slow[0] - mean)
    _fill(state.features[16], slow[1] - level)
    for b in range(bands):
        state.features[10, REACH + b] = state.place[b]
        state.features[13, REACH + b] = np.float32(0.3) * (now[b] - level)


@kernel
def _row(state, frames):
    """The row of the rings that came `frames` after the frame that is due."""
    rows = state.past.shape[0]
    return (state.frame[0] - state.lookahead[0] + frames + rows) % rows


@kernel
def _fill(feature, value):
    """Write what is the same for all bands."""
    feature[:] = min(max(value, np.float32(-_MOST)), np.float32(_MOST))


@kernel
def _compare(state):
    """The features that compare a band with its own past and with those around."""
    features, now, average, mean = state.features, state.now, state.average, state.mean
    for a in range(average.shape[0]):
        _difference(average[a], now, features[a])
    for i in range(2):
        _difference(state.past[_row(state, -state.ago[i])], now, features[5 + i])
    for i in range(3):
        _smooth(now, state.around[i], state.total, mean)
        _difference(mean, now, features[7 + i])
    for i in range(2):
        _smooth(average[_STEADY], state.around[i], state.total, mean)
        _difference(mean, average[_STEADY], features[14 + i])


@kernel
def _look_ahead(state):
    """The features that compare a band with what follows."""
    features, now, mean, soon = state.features[FEATURES:], state.now, state.mean, state.soon
    for i in range(3):
        _difference(state.past[_row(state, soon[i])], now, features[i])
    mean[:] = 0
    longest, each = soon[4], features[3]
    for t in range(1, longest + 1):
        row = state.past[_row(state, t)]
        for b in range(mean.shape[0]):
            mean[b] += row[b]
        if t == soon[3] or t == longest:
            for b in range(mean.shape[0]):
                state.total[b] = mean[b] / np.float32(t)
            _difference(state.total, now, each)
            each = features[4]
    _fill(features[5], state.level[_row(state, soon[_LEVELS])] - state.level[_row(state, 0)])


@kernel
def _difference(a, b, feature):
    """Write `a` less `b` (bands,) as a `feature`."""
    for k in range(b.shape[0]):
        feature[REACH + k] = min(max(a[k] - b[k], np.float32(-_MOST)), np.float32(_MOST))


@kernel
def _smooth(x, around, total, mean):
    """Write the `mean` (bands,) of `x` over the bands `around` each."""
    whole = np.float32(0)
    for b in range(x.shape[0]):
        total[b] = whole
        whole += x[b]
    total[x.shape[0]] = whole
    for b in range(x.shape[0]):
        mean[b] = (total[around[b, 1]] - total[around[b, 0]]) / np.float32(around[b, 1] - around[b, 0])


@kernel
def _pitches(state, f0, weight, gate, share):
    """The features that tell where the melody may be."""
    features, comb = state.features, state.comb
    _gather(state, share, features[17])
    comb[:] = 0
    for i in range(f0.shape[0]):
        if weight[i] > 0:
            _comb(f0[i], weight[i], comb)
    _gather(state, comb, features[18])
    comb[:] = 0
    if weight[0] > 0:
        _comb(f0[0], np.float32(1), comb)
    _gather(state, comb, features[19])
    features[20] = gate


@kernel
def _comb(f0, weight, comb):
    """Raise `comb` (bins,) to lobes of the height `weight` on the harmonics of `f0` (in bins)."""
    bins = comb.shape[0]
    for h in range(1, int(np.float32(bins - 1) / f0) + 1):
        center = np.float32(h) * f0
        width = np.float32(_WIDTH) + np.float32(_WIDENING) * center
        for k in range(max(int(center - width) + 1, 0), min(int(center + width) + 1, bins)):
            distance = (np.float32(k) - center) / width
            lobe = np.float32(1) - distance * distance
            comb[k] = max(comb[k], weight * lobe * lobe)


@kernel
def _gather(state, x, feature):
    """Write the mean of `x` (bins,) within each band as a `feature`."""
    edges = state.edges
    for b in range(edges.shape[0] - 1):
        inside = np.float32(0)
        for k in range(edges[b], edges[b + 1]):
            inside += x[k]
        feature[REACH + b] = inside / np.float32(edges[b + 1] - edges[b])


@kernel
def _layer(inputs, weights, bias, apart, reach, first, end, outputs):
    """Write the bands from `first` to before `end` of `outputs`, four rows at a time.

    They come from three rows of `inputs` at a time, or from one row heard thrice, `apart` rows and `reach` bands from
    one another. All sums of sixteen bands stay in registers.
    """
    for o in range(weights.shape[0]):
        one, two, three, four = outputs[4 * o], outputs[4 * o + 1], outputs[4 * o + 2], outputs[4 * o + 3]
        for k in range(REACH + first, REACH + end, 2 * WIDTH):
            a, b = splat(bias[4 * o]), splat(bias[4 * o])
            c, d = splat(bias[4 * o + 1]), splat(bias[4 * o + 1])
            e, f = splat(bias[4 * o + 2]), splat(bias[4 * o + 2])
            g, h = splat(bias[4 * o + 3]), splat(bias[4 * o + 3])
            for i in range(weights.shape[1]):
                w, row = weights[o, i], (2 * apart + 1) * i
                for t in range(3):
                    x = inputs[row + t * apart]
                    at = k + (t - 1) * reach
                    near, far = load(x, at), load(x, at + WIDTH)
                    v = splat(w[0, t])
                    a, b = a + v * near, b + v * far
                    v = splat(w[1, t])
                    c, d = c + v * near, d + v * far
                    v = splat(w[2, t])
                    e, f = e + v * near, f + v * far
                    v = splat(w[3, t])
                    g, h = g + v * near, h + v * far
            zero = splat(np.float32(0))
            store(one, k, maximum(a, zero))
            store(one, k + WIDTH, maximum(b, zero))
            store(two, k, maximum(c, zero))
            store(two, k + WIDTH, maximum(d, zero))
            store(three, k, maximum(e, zero))
            store(three, k + WIDTH, maximum(f, zero))
            store(four, k, maximum(g, zero))
            store(four, k + WIDTH, maximum(h, zero))
    for r in range(outputs.shape[0]):  # beyond their ends the outermost bands go on
        row = outputs[r]
        for k in range(REACH):
            row[k] = row[REACH]
            row[REACH + end + k] = row[REACH + end - 1]


@kernel
def _share(state, first, end):
    """The last layer: shares that add up to one."""
    last, bias, rows = state.last, state.last_bias, state.three
    percussive, melody, harmony = state.one[0], state.one[1], state.one[2]  # no longer needed
    percussive[:] = bias[PERCUSSIVE]
    melody[:] = bias[MELODY]
    harmony[:] = bias[HARMONY]
    for i in range(rows.shape[0]):
        row = rows[i]
        for k in range(REACH + first, REACH + end):
            percussive[k] += last[PERCUSSIVE, i] * row[k]
            melody[k] += last[MELODY, i] * row[k]
            harmony[k] += last[HARMONY, i] * row[k]
    for b in range(first, end):
        p, m, h = percussive[REACH + b], melody[REACH + b], harmony[REACH + b]
        top = max(p, m, h)
        p, m, h = math.exp(p - top), math.exp(m - top), math.exp(h - top)
        whole = p + m + h
        state.held[PERCUSSIVE, b], state.held[MELODY, b], state.held[HARMONY, b] = p / whole, m / whole, h / whole


@kernel
def _write(state, masks):
    """Write the shares of bands for all their bins, and for those above the last."""
    edges, held = state.edges, state.held
    for m in range(masks.shape[0]):
        for b in range(edges.shape[0] - 1):
            for k in range(edges[b], edges[b + 1]):
                masks[m, k] = held[m, b]
    end = edges[edges.shape[0] - 1]
    for m in range(masks.shape[0]):
        for k in range(end, masks.shape[1]):
            masks[m, k] = masks[m, end - 1]
