"""The noise of a room (hum, hiss, fans), known by its power in each bin, and what it leaves of a frame.

Noise is steady, so that a profile learned while nothing else sounds stays true, and what stands out of it is music.
From the power of a frame more than the mean of the noise is subtracted, or its peaks would be left over as chirps
("musical noise"): Berouti, Schwartz and Makhoul, "Enhancement of speech corrupted by acoustic noise", ICASSP 1979. Here
it is the mean and the deviation, which for hiss is much and for hum little, of powers averaged over neighboring bins
and a moment, which deviate less. What they leave as a floor is a fader: the noise becomes a stem.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..kernels import float32, int64, kernel, publish

# Chosen among forty rules on four recordings in hum, pink noise and the noise of a fan.
_DEVIATIONS = 1.5
_MOMENT_S = 0.01

_TINY = np.float32(1e-30)


class State(NamedTuple):
    # written by the control thread
    profile: float32[:, ::1]  # (2 banks, bins) power below which all is noise
    bank: int64[::1]  # (1,) to be used from the next frame on
    # tables: read only
    fresh: float32[::1]  # (1,) part that each frame has in the average
    # memory: cleared by reset
    power: float32[::1]  # (bins,) average of the last frames
    left: float32[:, ::1]  # (frames, bins) what the noise leaves of a frame, 0 to 1; without frames nothing is done


def prepare(sample_rate: float, hop_size: int, bins: int, frames: int) -> State:
    """A state that knows no noise, for magnitudes (bins,), of which `frames` wait for their masks (0: does nothing)."""
    state = State(
        profile=np.zeros((2, bins), np.float32),
        bank=np.zeros(1, np.int64),
        fresh=np.array([-math.expm1(-hop_size / (_MOMENT_S * sample_rate))], np.float32),
        power=np.zeros(bins, np.float32),
        left=np.ones((frames, bins), np.float32),
    )
    fill(state, np.zeros((1, bins), np.float32))
    return state


def fill(state: State, magnitudes: ArrayLike) -> None:
    """From the next frame on the noise is what sounds in the frames `magnitudes` (frames, bins); zeros: none.

    Raises
    ------
    ValueError : for another shape.
    """
    frames = np.asarray(magnitudes, np.float32)
    if frames.shape != (len(frames), len(state.power)) or not len(frames):
        raise ValueError(f"magnitudes {frames.shape}: they must be (frames, {len(state.power)}).")
    powers, power = np.empty(frames.shape, np.float32), np.square(frames[0])
    for row, frame in zip(powers, frames, strict=True):
        _average(power, frame, state.fresh[0])
        row[:] = power
    idle = 1 - int(state.bank[0])
    state.profile[idle] = powers.mean(0) + _DEVIATIONS * powers.std(0)
    _flip(state.bank, idle)


@kernel
def _flip(bank, idle):
    publish(bank, 0, idle)


@kernel
def reset(state):
    """Forget the sound; the noise is still known."""
    state.power[:] = 0
    state.left[:] = 1


@kernel
def process(state, row, magnitude):
    """Take the noise out of the newest `magnitude` (bins,) in place; keep what it leaves in `row` of `left`."""
    if state.left.shape[0] == 0:
        return
    power, left, profile = state.power, state.left[row], state.profile[state.bank[0]]
    _average(power, magnitude, state.fresh[0])
    for k in range(magnitude.shape[0]):
        left[k] = max(np.float32(1) - profile[k] / (power[k] + _TINY), np.float32(0))
        magnitude[k] *= left[k]


@kernel
def _average(power, magnitude, fresh):
    """Bring `power` (bins,) nearer to that of `magnitude` (bins,), by the part `fresh`."""
    last = power.shape[0] - 1
    for k in range(power.shape[0]):
        low, x, high = magnitude[max(k - 1, 0)], magnitude[k], magnitude[min(k + 1, last)]
        now = np.float32(0.25) * (low * low + high * high) + np.float32(0.5) * x * x
        new = power[k] + fresh * (now - power[k])
        power[k] = new if new > _TINY else np.float32(0)  # denormals are slow


@kernel
def take_out(state, row, spectra):
    """Take the noise out of the `spectra` (channels, bins) of the frame in `row`, in place."""
    if state.left.shape[0] == 0:
        return
    left = state.left[row]
    for c in range(spectra.shape[0]):
        for k in range(left.shape[0]):
            spectra[c, k] *= left[k]


@kernel
def weigh(state, row, masks):
    """Weigh `masks` (stems - 1, bins) by what the noise leaves of the frame in `row`; the last of them is its own."""
    if state.left.shape[0] == 0:
        return
    left, last = state.left[row], masks.shape[0] - 1
    for m in range(last):
        mask = masks[m]
        for k in range(left.shape[0]):
            mask[k] *= left[k]
    mask = masks[last]
    for k in range(left.shape[0]):
        mask[k] = np.float32(1) - left[k]
