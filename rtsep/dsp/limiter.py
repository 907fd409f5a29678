"""The last stage: a limiter, so that nothing leaves louder than its ceiling.

It has no look-ahead and so no delay: its gain falls at once with each peak and recovers slowly; see Zölzer (ed.),
"DAFX: Digital Audio Effects", 2nd edition, Wiley 2011, ch. 4.2. Where the ceiling is lowered it comes down from where
the sound is, gliding.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import float32, int64, kernel

_GLIDE_S = 0.01
_RELEASE_S = 0.1

_LEAST = np.float32(2**-23)


class State(NamedTuple):
    # tables: read only
    glide: float32[::1]  # (1,) part that a ceiling on its way down loses with each sample
    release: float32[::1]  # (1,) part of the way to one that the gain goes with each sample
    # memory: cleared by reset
    gain: float32[::1]  # (1,)
    ceiling: float32[::1]  # (1,) the ceiling in force
    started: int64[::1]  # (1,) 0 before the first block: the ceiling then is where it should be


def prepare(sample_rate: float) -> State:
    """A state for any number of channels."""
    return State(
        glide=np.array([-math.expm1(-1 / (_GLIDE_S * sample_rate))], np.float32),
        release=np.array([-math.expm1(-1 / (_RELEASE_S * sample_rate))], np.float32),
        gain=np.ones(1, np.float32),
        ceiling=np.full(1, np.inf, np.float32),
        started=np.zeros(1, np.int64),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.gain[0] = 1
    state.started[0] = 0


@kernel
def process(state, ceiling, sound):
    """Keep `sound` (samples, channels) within `ceiling` (linear; infinite: off), in place."""
    held = ceiling if state.started[0] == 0 else state.ceiling[0]
    state.started[0] = 1
    for i in range(sound.shape[0]):
        peak = np.float32(0)
        for c in range(sound.shape[1]):
            peak = max(peak, abs(sound[i, c]))
        held = max(ceiling, min(held, peak) * (np.float32(1) - state.glide[0])) if held > ceiling else ceiling
        needed = held / peak if peak > held else np.float32(1)
        # Steps smaller than the least would be lost in rounding, and the gain never again be one.
        step = max((np.float32(1) - state.gain[0]) * state.release[0], _LEAST)
        state.gain[0] = min(needed, state.gain[0] + step, np.float32(1))
        for c in range(sound.shape[1]):
            sound[i, c] = min(max(sound[i, c] * state.gain[0], -held), held)
    state.ceiling[0] = held
