"""What a screen may read at any time: peaks that fall back as on a peak programme meter, melody and pitches of late."""

from typing import NamedTuple

import numpy as np

from ..kernels import float32, int64, kernel

_FALL_S = 0.3
HISTORY = 2048  # frames of melody that are kept: seconds
HEARD = 1024  # frames of pitches that are kept: those of 4096 samples, the most that a file gives at once


class State(NamedTuple):
    # tables: read only
    fall: float32[::1]  # (1,) part of a level that is lost with each sample
    # measurements: cleared by reset
    input: float32[::1]  # (1,) peak of all channels, linear
    output: float32[::1]  # (1,) the same
    stems: float32[::1]  # (stems,) the same, before the faders
    over: int64[::1]  # (2 + stems,) blocks so far in which input, output, and each stem reached full scale
    f0: float32[::1]  # (1,) Hz of the melody, 0 where there is none
    confidence: float32[::1]  # (1,) 0 to 1
    frames: int64[::1]  # (1,) frames so far
    melody: float32[:, ::1]  # (history, 2) F0, negative where there is none, and confidence of the last frames, a ring
    pitches: float32[:, ::1]  # (heard, components) activations of the last frames, a ring; none without pitches


def prepare(sample_rate: float, stems: int, pitches: int = 0) -> State:
    """A state for `stems`, and templates of so many `pitches`."""
    return State(
        fall=np.array([1 / (_FALL_S * sample_rate)], np.float32),
        input=np.zeros(1, np.float32),
        output=np.zeros(1, np.float32),
        stems=np.zeros(stems, np.float32),
        over=np.zeros(2 + stems, np.int64),
        f0=np.zeros(1, np.float32),
        confidence=np.zeros(1, np.float32),
        frames=np.zeros(1, np.int64),
        melody=np.zeros((HISTORY, 2), np.float32),
        pitches=np.zeros((HEARD, pitches), np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.input[0] = 0
    state.output[0] = 0
    state.stems[:] = 0
    state.over[:] = 0
    state.f0[0] = 0
    state.confidence[0] = 0
    state.frames[0] = 0
    state.melody[:] = 0
    state.pitches[:] = 0


@kernel
def note(state, f0, likeliest, confidence):
    """Note the melody of a frame: its F0 (Hz, 0 for none), the likeliest pitch even so, and how sure it is."""
    row = state.melody[state.frames[0] % state.melody.shape[0]]
    row[0], row[1] = f0 if f0 > 0 else -likeliest, confidence
    state.f0[0], state.confidence[0] = f0, confidence
    state.frames[0] += 1


@kernel
def hear(state, activations):
    """Note the `activations` (components,) of the frame whose melody was noted last, if they are those of pitches."""
    row = state.pitches[(state.frames[0] - 1) % state.pitches.shape[0]]
    for r in range(row.shape[0]):
        row[r] = activations[r]


@kernel
def process(state, block, output, stems):
    """Measure a block: `block` and `output` (samples, channels), `stems` (stems, samples, channels)."""
    kept = max(np.float32(1) - block.shape[0] * state.fall[0], np.float32(0))
    _rise(state, state.input, 0, 0, _peak(block), kept)
    _rise(state, state.output, 0, 1, _peak(output), kept)
    for s in range(stems.shape[0]):
        _rise(state, state.stems, s, 2 + s, _peak(stems[s]), kept)


@kernel
def _rise(state, levels, at, place, peak, kept):
    """The level there is now, and whether it is full scale, counted at its `place`."""
    levels[at] = max(peak, levels[at] * kept)
    state.over[place] += int(peak >= 1)


@kernel
def _peak(block):
    """The largest magnitude in `block` (samples, channels); what is not finite counts as nothing."""
    peak = np.float32(0)
    for i in range(block.shape[0]):
        for c in range(block.shape[1]):
            x = abs(block[i, c])
            peak = x if peak < x < np.float32(np.inf) else peak
    return peak
