"""Stems into channels: faders that glide, output level, bypass and mute.

The last stem is what the others leave of the input, and the faders weigh what each stem adds to the *unchanged*
input: with all of them at unity the output is the input to the last bit, with all of them closed it is nothing.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import float32, int64, kernel

_GLIDE_S = 0.01

# Stems are rounded to steps of a 24-bit sample: sums and differences of such numbers are exact in float32.
_STEPS = np.float32(2**23)
_LEAST = np.float32(2**-23)


class State(NamedTuple):
    # tables: read only
    glide: float32[::1]  # (1,) part of the way to its goal that a gain goes with each sample
    # memory: cleared by reset
    gain: float32[::1]  # (stems + 3,) gain of each stem, output gain, share of the bypass, what the mute lets through
    goal: float32[::1]  # (stems + 3,) where they are gliding
    started: int64[::1]  # (1,) 0 before the first block: gains then start at their goals
    # scratch: meaningless between calls
    path: float32[:, ::1]  # (stems + 3, hop) the gains at each sample


def prepare(sample_rate: float, hop_size: int, stems: int) -> State:
    """A state for `stems` and chunks of at most `hop_size` samples."""
    gain = np.ones(stems + 3, np.float32)
    gain[stems + 1] = 0
    return State(
        glide=np.array([-math.expm1(-1 / (_GLIDE_S * sample_rate))], np.float32),
        gain=gain,
        goal=gain.copy(),
        started=np.zeros(1, np.int64),
        path=np.zeros((stems + 3, hop_size), np.float32),
    )


@kernel
def reset(state):
    """Forget the sound; gains start at their goals again."""
    state.started[0] = 0


@kernel
def process(state, phase, dry, ready, stems, output):
    """Mix one chunk that lies within a hop and starts at `phase` in it.

    `dry` (samples, channels) is the delayed input, `ready` (stems - 1, channels, hop) all stems but the last. Writes
    `stems` (stems, samples, channels) as they are before the faders, and `output` (samples, channels).
    """
    samples, channels = output.shape
    last = stems.shape[0] - 1
    _glide(state, samples)
    for i in range(samples):
        level, bypassed, heard = state.path[last + 1, i], state.path[last + 2, i], state.path[last + 3, i]
        for c in range(channels):
            x = dry[i, c]
            rest, wet = x, x
            for s in range(last):
                stem = np.rint(ready[s, c, phase + i] * _STEPS) / _STEPS
                stems[s, i, c] = stem
                rest -= stem
                wet += (state.path[s, i] - np.float32(1)) * stem
            stems[last, i, c] = rest
            wet += (state.path[last, i] - np.float32(1)) * rest
            output[i, c] = (wet * level * (np.float32(1) - bypassed) + x * bypassed) * heard


@kernel
def _glide(state, samples):
    """Write the gains of the next `samples` to `path`: each sample goes a part of the way that is left."""
    for g in range(state.gain.shape[0]):
        gain, goal = state.gain[g], state.goal[g]
        if state.started[0] == 0:
            gain = goal
        # A glide ends with a step that nobody hears, just before its own steps would be lost in rounding.
        near = _LEAST * max(goal, np.float32(1)) / state.glide[0]
        for i in range(samples):
            gain += (goal - gain) * state.glide[0]
            gain = gain if abs(goal - gain) > near else goal
            state.path[g, i] = gain
        state.gain[g] = gain
    state.started[0] = 1
