"""Melody: one pitch followed through the saliences, and the part of each bin that belongs to its harmonics.

How much each pitch stands out is told by salience or, with learned masks, by a network (`pitchnet.py`). A Viterbi
search keeps, for every pitch, the best score of a path that ends there: a step to a near pitch costs a little, a leap
anywhere a fixed price. Where the mask may wait, paths that lead on into the following frames count as well. What is
masked is not the one best path alone: the combs of several pitches are weighed by their scores, so that a doubtful
pitch does less harm. A harmonic counts for as much as it stands out from the gaps beside it.

Müller, "Fundamentals of Music Processing", Springer 2015, ch. 8.2 (tracking, scores as constraints, harmonic masks);
Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm", IEEE Transactions
on Information Theory 13(2), 1967; Salamon and Gómez, "Melody extraction from polyphonic music signals using pitch
contour characteristics", IEEE Transactions on Audio, Speech, and Language Processing 20(6), 2012.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels import float32, int64, kernel
from ..lanes import WIDTH, largest, load, maximum, splat, store
from . import pitchnet, salience
from .salience import LOWEST_HZ, PER_OCTAVE, PITCHES

SCORE_STEP_S = 0.01
"""Seconds from one row of a score to the next."""

_REACH = 12  # pitches: farther is a leap
_STEP_COST, _LEAP_COST = 0.02, 6.0  # for each 10 cents; in units of a frame at the loudest pitch
_FORGET_S = 11.0  # how long the loudest salience is the measure of others
_SHARPNESS, _SHARPNESS_AHEAD = 2.0, 1.0  # of the weights, without and with a look ahead
_CANDIDATES = 8
_LEAST_WEIGHT = 0.02
_FORBIDDEN = -1e3
_TRUST, _DOUBT = 0.75, 0.003  # in a network: weight of the logarithm of its likelihoods, and the least of them
_SPOKEN = 0.5  # its probability of a lead from which on there is one
_NEAR = 3  # pitches to the top of the salience, which tells finer where the likeliest lies

# Confidence: the part that the harmonics of the pitch have in all that is heard, one for a clear voice alone.
_CLEAR = 0.15
_SMOOTH_S = 0.016
_ON, _OFF = 0.5, 0.4  # voiced from here on, and until there
_SURE_S = 0.05  # it takes this long to be believed, and a drum that rings has faded by then:
_SUSTAINED, _FADED = 0.5, 0.3  # part of its peak that a voice keeps before it is believed, and after
_PEAK_S = 0.3  # how slowly the peak is forgotten
_SAME = 8.0  # pitches: a step that is not a new sound
_GATE_CLOSED, _GATE_OPEN = 0.27, 0.4  # below, no mask; above, all of it
_MISFIT = 0.05  # confidence below which nothing sounds where the score says
_RING_S = 0.1  # a voice rings on in the room
_REST_S = 0.25  # where a network masks, what is sung without a pitch goes on for about as long
_WITHIN = 0.5  # part of a network's likelihoods within the bounds from which on all of the lead may sound
_INAUDIBLE = 0.3  # added to all that is heard: what lies below -80 dBFS is no melody

# Widths in bins, whose analysis window is 43 to 48 ms long at all usual rates
_WIDTH, _WIDENING = 2.4, 0.005  # half of a harmonic's lobe, and what it gains with each bin of frequency
_DETUNED = 0.015  # part of its frequency by which a harmonic may be off

_PER_PITCH = np.float32(math.log(2) / PER_OCTAVE)

# Places in `State.kept`
_LOUDEST, _CONFIDENCE, _GATE, _PEAK, _OPEN = 0, 1, 2, 3, 4


class State(NamedTuple):
    salience: salience.State
    pitchnet: pitchnet.State
    # tables: read only
    enabled: int64[::1]  # (1,) 0: no melody is looked for
    center: float32[::1]  # (1,) samples by which a pitch is older than the frame that tells it
    row: float32[::1]  # (1,) samples per row of the score
    kept: float32[::1]  # (5,) parts that loudest, confidence, gate, peak and open keep from one salience to the next
    sure: int64[::1]  # (1,) saliences until a voice is believed
    lowest: float32[::1]  # (1,) LOWEST_HZ in bins
    sharpness: float32[::1]  # (1,) of the weights
    score: float32[:, ::1]  # (rows, 2) lowest and highest pitch that is looked for at each moment of a song; or none
    # memory: cleared by reset
    hops: int64[::1]  # (1,) until the next salience
    newest: int64[::1]  # (1,) row of the following rings
    heard: float32[:, ::1]  # (lag + 1, pitches) saliences
    total: float32[::1]  # (lag + 1,) what saliences are a part of, or the probability of a lead
    within: float32[::1]  # (lag + 1,) part of what is heard that lies within the bounds, for all that is known
    reward: float32[:, ::1]  # (lag + 1, pitches) what a path gains at each pitch
    path: float32[:, ::1]  # (lag + 1, pitches) score of the best path up to there
    loudest: float32[::1]  # (1,) salience of the last seconds
    peak: float32[::1]  # (1,) of the salience of the sound that is followed
    steady: int64[::1]  # (1,) saliences for which it might be a voice
    voiced: int64[::1]  # (1,)
    gate: float32[::1]  # (1,) part of the mask that is applied
    open: float32[::1]  # (1,) 0 where a lead would be beyond the bounds, or the score says that there is none
    pitch: float32[::1]  # (candidates,) pitches, the likeliest first
    weight: float32[::1]  # (candidates,) their weights, which add up to one
    place: float32[::1]  # (candidates,) their F0 in bins
    # measurements: cleared by reset
    f0: float32[::1]  # (1,) Hz, 0 where there is no melody
    likeliest: float32[::1]  # (1,) Hz of the likeliest pitch, melody or not
    confidence: float32[::1]  # (1,) 0 to 1
    # scratch: meaningless between calls
    fresh: float32[::1]  # (pitches,)
    likelihood: float32[::1]  # (pitches of the network,)
    padded: float32[::1]  # (pitches + 2 reach,)
    best: float32[::1]  # (pitches,)


def prepare(
    sample_rate: float,
    window_size: int,
    hop_size: int,
    center: float,
    network: pitchnet.Network,
    gain: float,
    lookahead: int = 0,
    score: NDArray[np.float32] | None = None,
    *,
    enabled: bool = True,
) -> State:
    """A state for spectra of `window_size` samples that come every `hop_size` samples and wait for `lookahead` more.

    `center` is how many samples the middle of a window's weight lies before its end; a pitch, which two frames tell
    together, lies half their distance before that. `network` tells pitches where it is asked, `gain` is the magnitude
    of a sine of full scale. `score` (rows, 2) holds the lowest and highest F0 in Hz at each SCORE_STEP_S of a song, 0
    where there is no melody.
    """
    inner = salience.prepare(sample_rate, window_size, hop_size)
    stride = int(inner.peaks.stride[0])
    rows = lookahead // stride + 1
    step_s = stride * hop_size / sample_rate
    regions = np.zeros((0, 2)) if score is None else np.asarray(score, np.float64)
    with np.errstate(divide="ignore"):  # no melody: pitches that are below all that is looked for
        regions = PER_OCTAVE * np.log2(regions / LOWEST_HZ)
    return State(
        salience=inner,
        pitchnet=pitchnet.prepare(sample_rate, window_size, hop_size, gain, network),
        enabled=np.array([int(enabled)]),
        center=np.array([center + stride * hop_size / 2], np.float32),
        row=np.array([SCORE_STEP_S * sample_rate], np.float32),
        kept=np.exp(-step_s / np.array([_FORGET_S, _SMOOTH_S, _RING_S, _PEAK_S, _REST_S])).astype(np.float32),
        sure=np.array([max(round(_SURE_S / step_s), 1)]),
        lowest=np.array([LOWEST_HZ * window_size / sample_rate], np.float32),
        sharpness=np.array([_SHARPNESS if rows == 1 else _SHARPNESS_AHEAD], np.float32),
        score=np.clip(regions, -1, PITCHES).astype(np.float32),
        hops=np.zeros(1, np.int64),
        newest=np.zeros(1, np.int64),
        heard=np.zeros((rows, PITCHES), np.float32),
        total=np.zeros(rows, np.float32),
        within=np.zeros(rows, np.float32),
        reward=np.zeros((rows, PITCHES), np.float32),
        path=np.zeros((rows, PITCHES), np.float32),
        loudest=np.zeros(1, np.float32),
        peak=np.zeros(1, np.float32),
        steady=np.zeros(1, np.int64),
        voiced=np.zeros(1, np.int64),
        gate=np.zeros(1, np.float32),
        open=np.zeros(1, np.float32),
        pitch=np.zeros(_CANDIDATES, np.float32),
        weight=np.zeros(_CANDIDATES, np.float32),
        place=np.zeros(_CANDIDATES, np.float32),
        f0=np.zeros(1, np.float32),
        likeliest=np.zeros(1, np.float32),
        confidence=np.zeros(1, np.float32),
        fresh=np.zeros(PITCHES, np.float32),
        likelihood=np.zeros(pitchnet.PITCHES, np.float32),
        padded=np.full(PITCHES + 2 * _REACH, -np.inf, np.float32),
        best=np.zeros(PITCHES, np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    salience.reset(state.salience)
    pitchnet.reset(state.pitchnet)
    state.hops[0] = 0
    state.newest[0] = 0
    state.heard[:] = 0
    state.total[:] = 0
    state.within[:] = 0
    state.reward[:] = 0
    state.path[:] = 0
    state.loudest[0] = 0
    state.peak[0] = 0
    state.steady[0] = 0
    state.voiced[0] = 0
    state.gate[0] = 0
    state.open[0] = 0
    state.pitch[:] = 0
    state.weight[:] = 0
    state.place[:] = 0
    state.f0[0] = 0
    state.likeliest[0] = 0
    state.confidence[0] = 0


@kernel
def process(state, spectra, magnitude, low_hz, high_hz, position, head, share):
    """Write the `share` (bins,) that the melody has in `magnitude` (bins,), that of the frame to be masked.

    `spectra` (channels, bins) is the newest frame, which came in up to sample `position` of a song; F0 is looked for
    between `low_hz` and `high_hz`, and where the score says. By salience if `head` is negative, else by that of the
    network.
    """
    share[:] = 0
    if state.enabled[0] == 0:
        return
    if state.hops[0] == 0:
        _hear(state, spectra, low_hz, high_hz, position, head)
        _find(state, head >= 0)
        state.hops[0] = state.salience.peaks.stride[0]
    state.hops[0] -= 1
    gate = state.gate[0]
    if gate > 0:
        for i in range(state.pitch.shape[0]):
            if state.weight[i] > 0:
                _comb(state.place[i], state.weight[i], magnitude, share)
        for k in range(share.shape[0]):
            root = math.sqrt(share[k])
            share[k] = gate * root * math.sqrt(root)


@kernel
def _hear(state, spectra, low_hz, high_hz, position, head):
    """One frame more: what each pitch gains, and the best path to it."""
    last = state.newest[0]
    newest = (last + 1) % state.heard.shape[0]
    state.newest[0] = newest
    reward, path = state.reward[newest], state.path[newest]
    low = math.log(low_hz / np.float32(LOWEST_HZ)) / _PER_PITCH
    high = math.log(high_hz / np.float32(LOWEST_HZ)) / _PER_PITCH
    rows = state.score.shape[0]
    if rows > 0:
        row = math.floor((position - state.center[0]) / state.row[0])
        low = max(low, state.score[row, 0]) if 0 <= row < rows else np.float32(PITCHES)
        high = min(high, state.score[row, 1]) if 0 <= row < rows else np.float32(-1)
    # A region narrower than a pitch still holds the nearest.
    first, end = max(int(low + np.float32(0.5)), 0), min(int(high + np.float32(1.5)), reward.shape[0])
    total = salience.process(state.salience, spectra, state.heard[newest], state.fresh)
    if head < 0:
        _by_salience(state, total, first, end)
    else:
        _by_network(state, spectra, head, first, end)
    for p in range(reward.shape[0]):
        if not first <= p < end:
            reward[p] = np.float32(_FORBIDDEN)
    for p in range(path.shape[0]):
        state.padded[_REACH + p] = state.path[last, p]
    _step(state.padded, np.float32(-_LEAP_COST), state.best)
    top = np.float32(-np.inf)
    for p in range(path.shape[0]):
        path[p] = state.best[p] + reward[p]
        top = max(top, path[p])
    for p in range(path.shape[0]):
        path[p] -= top


@kernel
def _by_salience(state, total, first, end):
    """What a path gains by salience, whose sum is `total`, at the pitches from `first` on, and before `end`."""
    newest, fresh, reward = state.newest[0], state.fresh, state.reward[state.newest[0]]
    loudest = np.float32(0)
    for p in range(first, end):
        loudest = max(loudest, fresh[p])
    state.loudest[0] = max(loudest, state.loudest[0] * state.kept[_LOUDEST]) + np.float32(1e-9)
    state.total[newest] = total if first < end else np.float32(np.inf)
    state.within[newest] = 1
    for p in range(reward.shape[0]):
        reward[p] = fresh[p] / state.loudest[0]


@kernel
def _by_network(state, spectra, head, first, end):
    """The same by the network, whose pitches are twice as far apart: between two of them lies the mean."""
    newest, likelihood = state.newest[0], state.likelihood
    reward = state.reward[newest]
    lead = pitchnet.process(state.pitchnet, spectra, head, likelihood)
    scored = state.score.shape[0] > 0
    if scored:  # it knows better whether there is one
        lead = np.float32(1) if first < end else np.float32(0)
    for p in range(likelihood.shape[0]):
        reward[2 * p] = np.float32(_TRUST) * math.log(lead * likelihood[p] + np.float32(_DOUBT))
    for p in range(1, reward.shape[0], 2):
        reward[p] = np.float32(0.5) * (reward[p - 1] + reward[p + 1])
    inside = np.float32(0)
    for p in range((first + 1) // 2, (end + 1) // 2):
        inside += likelihood[p]
    state.total[newest] = lead
    state.within[newest] = lead if scored else inside


@kernel
def _step(padded, leap, best):
    """Write the `best` (pitches,) score with which each pitch is reached from those in `padded`, or by a leap."""
    for k in range(0, best.shape[0], 4 * WIDTH):
        p = min(k, best.shape[0] - 4 * WIDTH)  # the last ones overlap those before
        a, b, c, d = splat(leap), splat(leap), splat(leap), splat(leap)
        for s in range(2 * _REACH + 1):
            cost, near = splat(np.float32(_STEP_COST) * np.float32(abs(s - _REACH))), p + s
            a = maximum(a, load(padded, near) - cost)
            b = maximum(b, load(padded, near + WIDTH) - cost)
            c = maximum(c, load(padded, near + 2 * WIDTH) - cost)
            d = maximum(d, load(padded, near + 3 * WIDTH) - cost)
        store(best, p, a)
        store(best, p + WIDTH, b)
        store(best, p + 2 * WIDTH, c)
        store(best, p + 3 * WIDTH, d)


@kernel
def _find(state, by_network):
    """Find the pitches of the frame that is due, and whether they are a melody."""
    due, before = (state.newest[0] + 1) % state.heard.shape[0], state.pitch[0]
    heard = state.heard[due]
    _look_ahead(state)
    _choose(state, heard, _NEAR if by_network else 1)
    pitch = state.pitch[0]
    if by_network:
        state.confidence[0] = state.total[due] * state.within[due]
        state.voiced[0] = 1 if state.confidence[0] > np.float32(_SPOKEN) else 0
    else:
        _judge(state, heard[int(pitch + np.float32(0.5))], state.total[due], abs(pitch - before))
    _open(state, due)
    state.likeliest[0] = np.float32(LOWEST_HZ) * math.exp(pitch * _PER_PITCH)
    state.f0[0] = state.likeliest[0] if state.voiced[0] != 0 else np.float32(0)


@kernel
def _look_ahead(state):
    """Write to `best` the score of the best path through each pitch of the frame that is due."""
    rows, best, padded = state.heard.shape[0], state.best, state.padded
    # What the frames that follow add to a path, from the newest back.
    best[:] = 0
    top = np.float32(0)
    for i in range(rows - 1):
        reward = state.reward[(state.newest[0] + rows - i) % rows]
        highest = splat(np.float32(-np.inf))
        for k in range(0, best.shape[0], WIDTH):
            p = min(k, best.shape[0] - WIDTH)
            score = load(best, p) - splat(top) + load(reward, p)
            store(padded, _REACH + p, score)
            highest = maximum(highest, score)
        top = largest(highest)
        _step(padded, top - np.float32(_LEAP_COST), best)
    path = state.path[(state.newest[0] + 1) % rows]
    for p in range(best.shape[0]):
        best[p] += path[p] - top


@kernel
def _choose(state, heard, reach):
    """Choose the candidates from the peaks of `best`, with weights, and place them by what is `heard` (pitches,)."""
    best, weight, pitch = state.best, state.weight, state.pitch
    last, top = best.shape[0] - 1, np.float32(-np.inf)
    for p in range(best.shape[0]):
        top = max(top, best[p])
    weight[:] = 0
    for p in range(last + 1):
        if (p == 0 or best[p] >= best[p - 1]) and (p == last or best[p] > best[p + 1]):
            score = math.exp(state.sharpness[0] * (best[p] - top))
            i = weight.shape[0] - 1
            if score > max(weight[i], np.float32(_LEAST_WEIGHT)):
                while i > 0 and weight[i - 1] < score:
                    weight[i], pitch[i] = weight[i - 1], pitch[i - 1]
                    i -= 1
                weight[i], pitch[i] = score, np.float32(p)
    whole = np.float32(1e-9)
    for i in range(weight.shape[0]):
        whole += weight[i]
    for i in range(weight.shape[0]):
        weight[i] /= whole
        pitch[i] = _refine(heard, int(pitch[i]), reach)
        state.place[i] = state.lowest[0] * math.exp(pitch[i] * _PER_PITCH)


@kernel
def _judge(state, strength, total, leap):
    """Decide from the `strength` of the likeliest pitch, a part of `total`, whether it is a melody."""
    confidence = state.confidence
    part = min(strength / (np.float32(_CLEAR) * (total + np.float32(_INAUDIBLE))), np.float32(1))
    confidence[0] = part + state.kept[_CONFIDENCE] * (confidence[0] - part) + np.float32(1e-20)
    state.peak[0] *= np.float32(0) if leap > np.float32(_SAME) else state.kept[_PEAK]
    state.peak[0] = max(state.peak[0], strength) + np.float32(1e-20)
    voiced = state.voiced[0] != 0
    clear = confidence[0] > np.float32(_OFF if voiced else _ON)
    sustained = strength > state.peak[0] * np.float32(_FADED if voiced else _SUSTAINED)
    state.steady[0] = state.steady[0] + 1 if clear and sustained else 0
    state.voiced[0] = 1 if state.steady[0] >= (1 if voiced else state.sure[0]) else 0


@kernel
def _open(state, due):
    """Set the gate by the confidence, and what may be a melody at all by the row that is `due`."""
    low, high = np.float32(_GATE_CLOSED), np.float32(_GATE_OPEN)
    if state.score.shape[0] > 0:  # it knows better whether there is a melody, if it fits at all
        low, high = np.float32(_MISFIT), np.float32(2 * _MISFIT)
    gate = min((state.confidence[0] - low) / (high - low), np.float32(1))
    state.gate[0] = max(gate, state.gate[0] * state.kept[_GATE] - np.float32(1e-3), np.float32(0))
    within = min(state.within[due] / np.float32(_WITHIN), np.float32(1))
    state.open[0] = max(within, state.open[0] * state.kept[_OPEN] - np.float32(1e-3), np.float32(0))


@kernel
def _refine(heard, p, reach):
    """The top of the salience within `reach` of pitch `p`, finer than a pitch."""
    for _ in range(reach):
        if heard[max(p - 1, 0)] > heard[p]:
            p = max(p - 1, 0)
        elif heard[min(p + 1, heard.shape[0] - 1)] > heard[p]:
            p = min(p + 1, heard.shape[0] - 1)
    if not 0 < p < heard.shape[0] - 1:
        return np.float32(p)
    a, b, c = heard[p - 1], heard[p], heard[p + 1]
    curve = a - np.float32(2) * b + c
    offset = np.float32(0.5) * (a - c) / curve if curve < 0 else np.float32(0)
    return np.float32(p) + min(max(offset, np.float32(-1)), np.float32(1))


@kernel
def _comb(f0, weight, magnitude, share):
    """Raise `share` (bins,) to `weight` on the harmonics of `f0` (in bins)."""
    bins = magnitude.shape[0]
    for h in range(1, int(np.float32(bins - 1) / f0) + 1):
        center = np.float32(h) * f0
        k, off = int(center + np.float32(0.5)), max(int(np.float32(_DETUNED) * center + np.float32(0.5)), 1)
        peak = np.float32(1e-20)
        for i in range(max(k - off, 0), min(k + off + 1, bins)):
            peak = max(peak, magnitude[i])
        below = magnitude[int(center - np.float32(0.5) * f0 + np.float32(0.5))]
        above = magnitude[min(int(center + np.float32(0.5) * f0 + np.float32(0.5)), bins - 1)]
        gap = np.float32(0.5) * (below + above) / peak
        height = weight * (np.float32(1) - gap * gap)
        if height > 0:
            width = np.float32(_WIDTH) + np.float32(_WIDENING) * center
            for i in range(max(int(center - width) + 1, 0), min(int(center + width) + 1, bins)):
                distance = (np.float32(i) - center) / width
                lobe = np.float32(1) - distance * distance
                share[i] = max(share[i], height * lobe * lobe)
