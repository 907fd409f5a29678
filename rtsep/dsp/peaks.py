"""Peaks: where the partials of a sound lie, from its spectrum and the one before.

The phase tells how far a partial has turned since, and so its frequency far more finely than the bin it is in.
Flanagan and Golden, "Phase vocoder", Bell System Technical Journal 45, 1966 (instantaneous frequency).
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import complex64, float32, int64, kernel

_STEP_S = 0.0058  # between the spectra that are compared: singing moves little meanwhile
_WEAK_HZ = 200.0  # the ear, and lead voices, have little below


class State(NamedTuple):
    # tables: read only
    stride: int64[::1]  # (1,) hops from one spectrum to the next
    advance: float32[::1]  # (bins,) radians by which the middle of each bin turns meanwhile
    bins_per_turn: float32[::1]  # (1,) deviation in bins for a radian more
    loudness: float32[::1]  # (bins,) weight of each bin
    # memory: cleared by reset
    spectrum: complex64[::1]  # (bins,) the newest, all channels together
    # scratch: meaningless between calls
    previous: complex64[::1]  # (bins,) the spectrum before
    magnitude: float32[::1]  # (bins,) weighed by loudness


def prepare(sample_rate: float, window_size: int, hop_size: int, highest_hz: float) -> State:
    """A state for spectra of `window_size` samples that come every `hop_size` samples, up to `highest_hz`."""
    stride = max(round(_STEP_S * sample_rate / hop_size), 1)
    step = stride * hop_size
    hertz = sample_rate / window_size  # of a bin
    k = np.arange(min(int(highest_hz / hertz), window_size // 2) + 1)
    turns = k * step % window_size / window_size
    return State(
        stride=np.array([stride]),
        advance=(2 * np.pi * turns).astype(np.float32),
        bins_per_turn=np.array([window_size / (2 * np.pi * step)], np.float32),
        loudness=(k * hertz / np.hypot(k * hertz, _WEAK_HZ)).astype(np.float32),
        spectrum=np.zeros(len(k), np.complex64),
        previous=np.zeros(len(k), np.complex64),
        magnitude=np.zeros(len(k), np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.spectrum[:] = 0


@kernel
def hear(state, spectra):
    """Take `spectra` (channels, bins): all channels together, since voices stand in the middle of the stereo image.

    Returns the largest magnitude.
    """
    previous, spectrum, magnitude = state.previous, state.spectrum, state.magnitude
    for k in range(spectrum.shape[0]):
        previous[k] = spectrum[k]
        spectrum[k] = spectra[0, k]
    for c in range(1, spectra.shape[0]):
        channel = spectra[c]
        for k in range(spectrum.shape[0]):
            spectrum[k] += channel[k]
    strongest = np.float32(0)
    for k in range(magnitude.shape[0]):
        magnitude[k] = state.loudness[k] * math.sqrt(spectrum[k].real ** 2 + spectrum[k].imag ** 2)
        strongest = max(strongest, magnitude[k])
    return strongest


@kernel
def is_peak(state, k):
    """Whether bin `k`, neither the first nor the last, is louder than both beside it."""
    magnitude = state.magnitude
    return magnitude[k] > magnitude[k - 1] and magnitude[k] >= magnitude[k + 1]


@kernel
def place(state, k):
    """The frequency of the peak in bin `k`, in bins."""
    now, before = state.spectrum[k], state.previous[k]
    real = now.real * before.real + now.imag * before.imag
    imag = now.imag * before.real - now.real * before.imag
    turn = math.atan2(imag, real) - state.advance[k]
    full = np.float32(2 * math.pi)
    deviation = (turn - full * np.rint(turn / full)) * state.bins_per_turn[0]
    if abs(deviation) > 1 or real**2 + imag**2 == 0:  # another sound than a moment ago, or none: by the peak's shape
        a, b, c = state.magnitude[k - 1], state.magnitude[k], state.magnitude[k + 1]
        deviation = np.float32(0.5) * (a - c) / (a - np.float32(2) * b + c - np.float32(1e-20))
    return np.float32(k) + deviation
