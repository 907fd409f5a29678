"""Levels that a screen may read at any time: peaks that fall back as on a peak programme meter."""

from typing import NamedTuple

import numpy as np
from numba import float32

from ..kernel import kernel

_FALL_S = 0.3


class State(NamedTuple):
    # tables: read only
    fall: float32[::1]  # (1,) part of a level that is lost with each sample
    # measurements: cleared by reset
    input: float32[::1]  # (1,) peak of all channels, linear
    output: float32[::1]  # (1,) the same
    stems: float32[::1]  # (stems,) the same, before the faders


def prepare(sample_rate: float, stems: int) -> State:
    """A state for `stems`."""
    return State(
        fall=np.array([1 / (_FALL_S * sample_rate)], np.float32),
        input=np.zeros(1, np.float32),
        output=np.zeros(1, np.float32),
        stems=np.zeros(stems, np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.input[0] = 0
    state.output[0] = 0
    state.stems[:] = 0


@kernel
def process(state, block, output, stems):
    """Measure a block: `block` and `output` (samples, channels), `stems` (stems, samples, channels)."""
    kept = max(np.float32(1) - block.shape[0] * state.fall[0], np.float32(0))
    state.input[0] = max(_peak(block), state.input[0] * kept)
    state.output[0] = max(_peak(output), state.output[0] * kept)
    for s in range(stems.shape[0]):
        state.stems[s] = max(_peak(stems[s]), state.stems[s] * kept)


@kernel
def _peak(block):
    """The largest magnitude in `block` (samples, channels); what is not finite counts as nothing."""
    peak = np.float32(0)
    for i in range(block.shape[0]):
        for c in range(block.shape[1]):
            x = abs(block[i, c])
            peak = x if peak < x < np.float32(np.inf) else peak
    return peak
