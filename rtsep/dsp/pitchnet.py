"""A small trained network tells how likely each pitch is that of the lead, and how likely nothing leads.

It sees the peaks of the spectrum, placed by their instantaneous frequency, on an axis of equal steps of pitch, where
the harmonics of all pitches lie the same way: shifted by each harmonic's interval and laid over one another, a few
narrow convolutions find what a voice is. Beside them lie the spectrum itself, the peaks of a moment ago, since a voice
moves, and two slow means of the peaks, since what sounds on and on at one pitch is the accompaniment more often than
the lead. All is relative to the loudest of the last seconds. A recurrent layer, once a frame, tells whether there is a
voice at all.

Windows last 43 to 48 ms, by the sample rate. Shorter ones show fewer peaks and fuller gaps between them, which sounds
like a voice more often: what the recurrent layer hears is moved by as much as its mean differs from that of the windows
that it was trained on.

Bittner, McFee, Salamon, Li and Bello, "Deep salience representations for F0 estimation in polyphonic music", ISMIR
2017 (harmonics as channels); Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
machine translation", EMNLP 2014 (the recurrent layer); Li, Wang, Shi, Hou and Liu, "Adaptive batch normalization for
practical domain adaptation", Pattern Recognition 80, 2018 (the mean under other conditions). What lies between
harmonics, the slow means, and the octaves as neighbours of a pitch are ours.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels import aligned, float32, int64, kernel
from ..lanes import WIDTH, load, splat, store
from . import peaks

LOWEST_HZ = 55.0
PER_OCTAVE = 60  # pitches: 20 cents each
PITCHES = 5 * PER_OCTAVE + 1  # to 1760 Hz
HEADS = 2
"""Whose pitch: 0 the voice's, 1 that of any lead."""

PLACES = 460  # of the axis, which begins an octave below the lowest pitch
_PEAKS_TO_HZ = 5700.0
_RANGE = 3.0  # powers of ten below the loudest
_LOUDEST_S = 3.0  # how slowly it is forgotten
_INAUDIBLE = 1e-4  # -80 dBFS
_REACH = 2  # places on each side of a peak to which it speaks
_MEANS_S = (0.1, 0.8)
_TRAINED_S = 2048 / 44100  # window that was trained on
_LAGS_S = (0.035, 0.093)  # vibrato and glides show against what was a moment ago
MAPS = 2 + len(_MEANS_S) + len(_LAGS_S)
_HARMONICS = (1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 5 / 2, 3, 4, 5, 6, 7, 8, 10, 12)
SHIFTS = [PER_OCTAVE + round(PER_OCTAVE * math.log2(h)) for h in _HARMONICS]  # from a pitch to their places
OCTAVES = (-95, -60, 60, 95)  # from a pitch to those it is mistaken for
MARGIN = 128  # on both sides of whatever is shifted: the farthest harmonic of the last places lies within it
_STRIDE = 3 * WIDTH  # places at a time

Floats = NDArray[np.float32]

_PER_LOG = np.float32(1 / math.log(10) / _RANGE)
_HALF_PLACE = np.float32(2 ** (0.5 / PER_OCTAVE))
_PLACE_PER_LOG = np.float32(PER_OCTAVE / math.log(2))


class Network(NamedTuple):
    """Trained weights. Layers take and give rows; how many each gives is free."""

    first: Floats  # (rows, maps x 5) from two places below to two above
    first_bias: Floats  # (rows, 1)
    stack: Floats  # (rows, harmonics x rows of the first)
    stack_bias: Floats  # (rows, pitches)
    second: Floats  # (rows, rows of the stack x 3 + octaves x as many of them as speak to their octaves)
    second_bias: Floats  # (rows, 1)
    third: Floats  # (rows, rows of the second x 3)
    third_bias: Floats  # (rows, 1)
    last: Floats  # (heads, rows of the third)
    last_bias: Floats  # (heads, 1)
    context: Floats  # (rows of the second x 2 + maps + 1, context): from pools; the last row is the bias, as below
    color: Floats  # (context + 1, rows of the third): what is added to the third layer
    unvoiced: Floats  # (context + 1, heads)
    enter: Floats  # (context + heads + 1, units): to the recurrent layer
    gates: Floats  # (2, units + 1, 3 units): of its input and of its memory: reset, update, new
    leave: Floats  # (units + 1, heads)
    drift: Floats  # (context + heads,) what goes to the recurrent layer gains in windows that last e times as long


def shapes(network: Network) -> tuple[tuple[int, ...], ...]:
    """The shapes that the arrays of `network` must have, given how many rows its layers have."""
    rows = tuple(len(bias) for bias in network[1:8:2])
    neighbors = (network.second.size // rows[2] - 3 * rows[1]) // len(OCTAVES)
    return shapes_of(rows, min(max(neighbors, 0), rows[1]), network.context.shape[-1], network.leave.shape[0] - 1)


def shapes_of(rows: tuple[int, ...], neighbors: int, context: int, units: int) -> tuple[tuple[int, ...], ...]:
    """The shapes of a network of four layers of so many `rows`; see `Network`."""
    one, two, three, four = rows
    return (
        (one, MAPS * 5),
        (one, 1),
        (two, len(_HARMONICS) * one),
        (two, PITCHES),
        (three, 3 * two + len(OCTAVES) * neighbors),
        (three, 1),
        (four, 3 * three),
        (four, 1),
        (HEADS, four),
        (HEADS, 1),
        (2 * three + MAPS + 1, context),
        (context + 1, four),
        (context + 1, HEADS),
        (context + HEADS + 1, units),
        (2, units + 1, 3 * units),
        (units + 1, HEADS),
        (context + HEADS,),
    )


class Layer(NamedTuple):
    # tables: read only
    places: int64[::1]  # (1,)
    row: int64[::1]  # (taps,) of the input that is heard
    start: int64[::1]  # (taps,) where in that row the first output hears it
    weight: float32[:, ::1]  # (outputs, taps)
    bias: float32[:, ::1]  # (outputs, places and up to 23 zeros)


class State(NamedTuple):
    peaks: peaks.State
    first: Layer
    stack: Layer
    second: Layer
    third: Layer
    last: Layer
    # tables: read only
    center: float32[::1]  # (1,) place of a frequency of one bin
    bin: float32[::1]  # (places,) frequency of each place, in bins
    floor: float32[::1]  # (1,) magnitude of what nobody hears
    kept: float32[::1]  # (1,) part of the loudest that is kept
    lag: int64[::1]  # (lags,) frames
    forget: float32[::1]  # (means,) parts of the slow means that are renewed
    context: float32[:, ::1]  # (inputs + 1, context) from pools to context; its bias at the end
    color: float32[:, ::1]  # (context + 1, third) from context to what is added to the third layer
    unvoiced: float32[:, ::1]  # (context + 1, heads)
    enter: float32[:, ::1]  # (context + heads + 1, units) from the context to the recurrent layer
    gates: float32[:, :, ::1]  # (2, units + 1, 3 units) of its input and of its memory: reset, update, new
    leave: float32[:, ::1]  # (units + 1, heads)
    # memory: cleared by reset
    loudest: float32[::1]  # (1,) magnitude of the last seconds
    means: float32[:, ::1]  # (means, places) of the peaks
    past: float32[:, ::1]  # (longest lag, places) peaks of the last frames, a ring
    oldest: int64[::1]  # (1,) row of it
    memory: float32[::1]  # (units,) of the recurrent layer
    # scratch: meaningless between calls
    level: float32[::1]  # (bins,) 0 (inaudible) to 1 (the loudest)
    maps: float32[:, ::1]  # (maps, places + 2 margins) peaks, spectrum, means, earlier peaks
    local: float32[:, ::1]  # (first, places + 2 margins)
    stacked: float32[:, ::1]  # (stack, pitches + 2 margins)
    joined: float32[:, ::1]  # (second, pitches + 2 margins)
    colored: float32[:, ::1]  # (third, pitches + 2 margins)
    logits: float32[:, ::1]  # (heads, pitches + 2 margins)
    pool: float32[::1]  # (inputs,)
    heard: float32[::1]  # (context + heads,) context, and the logits of no voice against all pitches
    silence: float32[::1]  # (heads,) logits
    shift: float32[::1]  # (third,)
    entered: float32[::1]  # (units,)
    turned: float32[:, ::1]  # (2, 3 units)


def prepare(sample_rate: float, window_size: int, hop_size: int, gain: float, network: Network) -> State:
    """A state for spectra of `window_size` samples that come every `hop_size` samples.

    `gain` is the magnitude that a sine of full scale has there.
    """
    inner = peaks.prepare(sample_rate, window_size, hop_size, _PEAKS_TO_HZ)
    step_s = inner.stride[0] * hop_size / sample_rate
    hertz, bins = sample_rate / window_size, len(inner.magnitude)
    w = network
    first, stack, second, third = (len(bias) for bias in w[1:8:2])
    neighbors = (w.second.shape[1] - 3 * stack) // len(OCTAVES)
    context, units = w.context.shape[1], len(w.leave) - 1
    lag = np.array([round(seconds / step_s) for seconds in _LAGS_S])
    enter = w.enter.copy()
    enter[-1] -= math.log(window_size / sample_rate / _TRAINED_S) * w.drift @ w.enter[:-1]
    return State(
        peaks=inner,
        first=_layer(w.first, w.first_bias, PLACES, _taps(MAPS, range(-2, 3))),
        stack=_layer(w.stack, w.stack_bias, PITCHES, _taps(first, SHIFTS, inner=True)),
        second=_layer(
            w.second,
            w.second_bias,
            PITCHES,
            _taps(stack, range(-1, 2)) + _taps(neighbors, OCTAVES, inner=True),
        ),
        third=_layer(w.third, w.third_bias, PITCHES, _taps(second, range(-1, 2))),
        last=_layer(w.last, w.last_bias, PITCHES, _taps(third, range(1))),
        center=np.array([PER_OCTAVE * math.log2(2 * hertz / LOWEST_HZ)], np.float32),
        bin=(LOWEST_HZ / 2 / hertz * 2 ** (np.arange(PLACES) / PER_OCTAVE)).astype(np.float32),
        floor=np.array([_INAUDIBLE * gain], np.float32),
        kept=np.array([math.exp(-step_s / _LOUDEST_S)], np.float32),
        lag=lag,
        forget=-np.expm1(-step_s / np.array(_MEANS_S)).astype(np.float32),
        context=w.context,
        color=w.color,
        unvoiced=w.unvoiced,
        enter=enter,
        gates=w.gates,
        leave=w.leave,
        loudest=np.zeros(1, np.float32),
        means=np.zeros((len(_MEANS_S), PLACES), np.float32),
        past=np.zeros((lag[-1], PLACES), np.float32),
        oldest=np.zeros(1, np.int64),
        memory=np.zeros(units, np.float32),
        level=np.zeros(bins, np.float32),
        maps=aligned(MAPS, PLACES + 2 * MARGIN),
        local=aligned(first, PLACES + 2 * MARGIN),
        stacked=aligned(stack, PITCHES + 2 * MARGIN),
        joined=aligned(second, PITCHES + 2 * MARGIN),
        colored=aligned(third, PITCHES + 2 * MARGIN),
        logits=aligned(HEADS, PITCHES + 2 * MARGIN),
        pool=np.zeros(len(w.context) - 1, np.float32),
        heard=np.zeros(context + HEADS, np.float32),
        silence=np.zeros(HEADS, np.float32),
        shift=np.zeros(third, np.float32),
        entered=np.zeros(units, np.float32),
        turned=np.zeros((2, 3 * units), np.float32),
    )


def _taps(rows: int, shifts: Iterable[int], *, inner: bool = False) -> list[tuple[int, int]]:
    """Rows of an input and the shifts by which they are heard, the shifts changing fastest, or the rows (`inner`)."""
    shifts = list(shifts)
    if inner:
        return [(row, shift) for shift in shifts for row in range(rows)]
    return [(row, shift) for row in range(rows) for shift in shifts]


def _layer(weight: Floats, bias: Floats, places: int, taps: list[tuple[int, int]]) -> Layer:
    whole = -(-places // _STRIDE) * _STRIDE
    padded = np.zeros((len(bias), whole), np.float32)
    padded[:, :places] = bias
    return Layer(
        places=np.array([places]),
        row=np.array([row for row, _ in taps]),
        start=np.array([MARGIN + shift for _, shift in taps]),
        weight=np.ascontiguousarray(weight),
        bias=padded,
    )


@kernel
def reset(state):
    """Forget the sound."""
    peaks.reset(state.peaks)
    state.loudest[0] = 0
    state.means[:] = 0
    state.past[:] = 0
    state.oldest[0] = 0
    state.memory[:] = 0


@kernel
def process(state, spectra, head, likelihood):
    """Write the `likelihood` (pitches,) of `head`'s pitch in `spectra` (channels, bins), if there is one.

    Returns the probability that there is one: none before the first sound, with which all begins.
    """
    if not draw(state, spectra):
        likelihood[:] = 0
        return np.float32(0)
    _convolve(state.first, state.maps, state.local)
    _rectify(state.local, PLACES)
    _convolve(state.stack, state.local, state.stacked)
    _rectify(state.stacked, PITCHES)
    _convolve(state.second, state.stacked, state.joined)
    _rectify(state.joined, PITCHES)
    _pool(state)
    _convolve(state.third, state.joined, state.colored)
    _dense(state.heard[: state.color.shape[0] - 1], state.color, state.shift)
    for c in range(state.shift.shape[0]):
        row = state.colored[c, MARGIN : MARGIN + PITCHES]
        for p in range(PITCHES):
            row[p] += state.shift[c]
    _rectify(state.colored, PITCHES)
    _convolve(state.last, state.colored, state.logits)
    for i in range(HEADS):
        whole = _soften(state.logits[i, MARGIN : MARGIN + PITCHES])
        state.heard[state.context.shape[1] + i] = state.silence[i] - whole
    row = state.logits[head, MARGIN : MARGIN + PITCHES]
    for p in range(PITCHES):
        likelihood[p] = row[p]
    return _remember(state, head)


@kernel
def draw(state, spectra):
    """Write the `maps` of a frame: its peaks, its spectrum, the means of earlier peaks, and earlier peaks.

    Returns whether there has been any sound.
    """
    strongest, magnitude, level = peaks.hear(state.peaks, spectra), state.peaks.magnitude, state.level
    if state.loudest[0] == 0 and strongest == 0:
        return False
    state.loudest[0] = max(strongest, state.loudest[0] * state.kept[0], state.floor[0])
    for k in range(level.shape[0]):
        part = math.log(magnitude[k] / state.loudest[0] + np.float32(1e-9)) * _PER_LOG
        level[k] = min(max(np.float32(1) + part, np.float32(0)), np.float32(1))
    marks = state.maps[0, MARGIN : MARGIN + PLACES]
    marks[:] = 0
    for k in range(2, magnitude.shape[0] - 1):
        if level[k] > 0 and peaks.is_peak(state.peaks, k):
            _mark(marks, state.center[0] + math.log(peaks.place(state.peaks, k)) * _PLACE_PER_LOG, level[k])
    for i in range(PLACES):
        state.maps[1, MARGIN + i] = _sampled(level, state.bin[i])
    for m in range(state.means.shape[0]):
        mean, row = state.means[m], state.maps[2 + m, MARGIN : MARGIN + PLACES]
        for i in range(PLACES):
            row[i] = mean[i]
            mean[i] += state.forget[m] * (marks[i] - mean[i]) + np.float32(1e-20)
    past, oldest = state.past, state.oldest[0]
    for j in range(state.lag.shape[0]):
        earlier = past[(oldest + past.shape[0] - state.lag[j]) % past.shape[0]]
        row = state.maps[2 + state.means.shape[0] + j, MARGIN : MARGIN + PLACES]
        for i in range(PLACES):
            row[i] = earlier[i]
    for i in range(PLACES):
        past[oldest, i] = marks[i]
    state.oldest[0] = (oldest + 1) % past.shape[0]
    return True


@kernel
def _mark(marks, place, level):
    """Raise `marks` (places,) around `place` to a lobe as high as `level`."""
    low = max(math.ceil(place - np.float32(_REACH)), 0)
    high = min(math.floor(place + np.float32(_REACH)), marks.shape[0] - 1)
    for i in range(low, high + 1):
        lobe = math.cos((np.float32(i) - place) * np.float32(math.pi / 2 / _REACH))
        marks[i] = max(marks[i], level * lobe * lobe)


@kernel
def _sampled(level, k):
    """The `level` (bins,) at `k` bins: between two of them, or the highest that is nearer than half a place."""
    below = int(k)
    if below + 1 >= level.shape[0]:
        return np.float32(0)
    highest = level[below] + (k - np.float32(below)) * (level[below + 1] - level[below])
    for i in range(math.ceil(k / _HALF_PLACE), min(math.floor(k * _HALF_PLACE), level.shape[0] - 1) + 1):
        highest = max(highest, level[i])
    return highest


@kernel
def _convolve(layer, source, target):
    """Write to the rows of `target` what the `layer` makes of those of `source`, both with margins of zeros.

    Two rows and twenty-four places at a time, whose sums stay in registers.
    """
    places, last = layer.places[0], layer.weight.shape[0] - 1
    for o in range(0, last + 1, 2):
        p = min(o + 1, last)  # an odd last row is made twice
        one, two, w, v = target[o], target[p], layer.weight[o], layer.weight[p]
        for k in range(0, places, _STRIDE):
            a, b, c = load(layer.bias[o], k), load(layer.bias[o], k + WIDTH), load(layer.bias[o], k + 2 * WIDTH)
            d, e, f = load(layer.bias[p], k), load(layer.bias[p], k + WIDTH), load(layer.bias[p], k + 2 * WIDTH)
            for i in range(w.shape[0]):
                x, at = source[layer.row[i]], layer.start[i] + k
                q, r, s = load(x, at), load(x, at + WIDTH), load(x, at + 2 * WIDTH)
                u, n = splat(w[i]), splat(v[i])
                a, b, c = a + u * q, b + u * r, c + u * s
                d, e, f = d + n * q, e + n * r, f + n * s
            store(one, MARGIN + k, a)
            store(one, MARGIN + k + WIDTH, b)
            store(one, MARGIN + k + 2 * WIDTH, c)
            store(two, MARGIN + k, d)
            store(two, MARGIN + k + WIDTH, e)
            store(two, MARGIN + k + 2 * WIDTH, f)
        one[MARGIN + places : MARGIN + places + _STRIDE] = 0  # the margins stay zeros
        two[MARGIN + places : MARGIN + places + _STRIDE] = 0


@kernel
def _rectify(rows, places):
    for c in range(rows.shape[0]):
        row = rows[c, MARGIN : MARGIN + places]
        for p in range(places):
            row[p] = max(row[p], np.float32(0))


@kernel
def _pool(state):
    """What there is in all of the frame, wherever: `heard`, and the logits of `silence`."""
    channels, pool = state.joined.shape[0], state.pool
    for c in range(channels):
        row = state.joined[c, MARGIN : MARGIN + PITCHES]
        highest, total = np.float32(0), np.float32(0)
        for p in range(PITCHES):
            highest = max(highest, row[p])
            total += row[p]
        pool[c] = highest
        pool[channels + c] = total * np.float32(1 / PITCHES)
    for m in range(MAPS):
        row, total = state.maps[m, MARGIN : MARGIN + PLACES], np.float32(0)
        for i in range(PLACES):
            total += row[i]
        pool[2 * channels + m] = total * np.float32(4 / PLACES)
    heard = state.heard[: state.context.shape[1]]
    _dense(pool, state.context, heard)
    for i in range(heard.shape[0]):
        heard[i] = max(heard[i], np.float32(0))
    _dense(heard, state.unvoiced, state.silence)


@kernel
def _dense(source, weight, target):
    """Write to `target` what `weight` (inputs + 1, outputs) makes of `source`; its last row is the bias."""
    last = weight[source.shape[0]]
    for o in range(target.shape[0]):
        target[o] = last[o]
    for i in range(source.shape[0]):
        row = weight[i]
        for o in range(target.shape[0]):
            target[o] += source[i] * row[o]


@kernel
def _soften(row):
    """Logits (pitches,) become probabilities; returns the logarithm of the sum of their exponentials."""
    highest, total = np.float32(-np.inf), np.float32(0)
    for p in range(row.shape[0]):
        highest = max(highest, row[p])
    for p in range(row.shape[0]):
        row[p] = math.exp(row[p] - highest)
        total += row[p]
    for p in range(row.shape[0]):
        row[p] /= total
    return highest + math.log(total)


@kernel
def _remember(state, head):
    """One step of the recurrent layer; returns the probability of a voice."""
    memory, turned, units = state.memory, state.turned, state.memory.shape[0]
    _dense(state.heard, state.enter, state.entered)
    for i in range(units):
        state.entered[i] = _tanh(state.entered[i])
    _dense(state.entered, state.gates[0], turned[0])
    _dense(memory, state.gates[1], turned[1])
    for i in range(units):
        again = _sigmoid(turned[0, i] + turned[1, i])
        keep = _sigmoid(turned[0, units + i] + turned[1, units + i])
        new = _tanh(turned[0, 2 * units + i] + again * turned[1, 2 * units + i])
        memory[i] = new + keep * (memory[i] - new)
    _dense(memory, state.leave, state.silence)
    return _sigmoid(state.silence[head])


@kernel
def _sigmoid(x):
    return np.float32(1) / (np.float32(1) + math.exp(-x))


@kernel
def _tanh(x):
    return np.float32(2) * _sigmoid(np.float32(2) * x) - np.float32(1)
