"""Salience: how strongly each pitch sounds, from one spectrum and the one before.

Spectral peaks are placed by their instantaneous frequency, which the phase tells far more finely than the bin, and
each peak speaks for all the fundamentals whose harmonic it could be. What sounds on and on at one pitch is the
accompaniment more often than the lead, so that a share of each pitch's recent past is taken off.

Flanagan and Golden, "Phase vocoder", Bell System Technical Journal 45, 1966 (instantaneous frequency); Salamon and
Gómez, "Melody extraction from polyphonic music signals using pitch contour characteristics", IEEE Transactions on
Audio, Speech, and Language Processing 20(6), 2012 (weighting of low frequencies, harmonic summation); Müller,
"Fundamentals of Music Processing", Springer 2015, ch. 8.2. The last step is ours.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import complex64, float32, int64

from ..kernel import kernel

LOWEST_HZ, HIGHEST_HZ = 55.0, 1760.0
PER_OCTAVE = 120  # pitches: 10 cents each
PITCHES = 5 * PER_OCTAVE + 1

_STEP_S = 0.0058  # between saliences: singing moves little meanwhile
_PEAKS_TO_HZ = 4500.0
_WEAK_HZ = 200.0  # the ear, and lead voices, have little below
_HARMONICS = 16
_DECAY = 0.88  # from one harmonic to the next
_REACH = 8  # pitches on each side of a peak to which it speaks
_FRACTIONS = 16  # of a pitch, by which the lobe around a peak is placed
_FAINT = 0.003  # of the strongest peak: -50 dB
_PAST_S, _PAST_SHARE = 0.5, 0.6

_PER_LOG = np.float32(PER_OCTAVE / math.log(2))


class State(NamedTuple):
    # tables: read only
    stride: int64[::1]  # (1,) hops from one salience to the next
    advance: float32[::1]  # (bins,) radians by which the middle of each bin turns meanwhile
    bins_per_turn: float32[::1]  # (1,) deviation in bins for a radian more
    loudness: float32[::1]  # (bins,) weight of each bin
    center: float32[::1]  # (1,) pitch, in steps of 10 cents from LOWEST_HZ, of a frequency of one bin
    shift: float32[::1]  # (harmonics,) pitches from each harmonic down to its fundamental
    lobe: float32[:, ::1]  # (fractions, 2 reach + 1) what a peak gives to the pitches around it
    forget: float32[::1]  # (1,) part of the slow mean that is renewed each time
    # memory: cleared by reset
    previous: complex64[::1]  # (bins,) the spectrum of the last time
    past: float32[::1]  # (pitches,) slow mean of the salience
    # scratch: meaningless between calls
    spectrum: complex64[::1]  # (bins,) all channels together
    magnitude: float32[::1]  # (bins,)
    room: float32[::1]  # (pitches + 4 reach,) the salience, with margins


def prepare(sample_rate: float, window_size: int, hop_size: int) -> State:
    """A state for spectra of `window_size` samples that come every `hop_size` samples."""
    stride = max(round(_STEP_S * sample_rate / hop_size), 1)
    step = stride * hop_size
    hertz = sample_rate / window_size  # of a bin
    k = np.arange(min(int(_PEAKS_TO_HZ / hertz), window_size // 2) + 1)
    turns = k * step % window_size / window_size
    distance = np.arange(-_REACH, _REACH + 1) - np.arange(_FRACTIONS)[:, np.newaxis] / _FRACTIONS
    return State(
        stride=np.array([stride]),
        advance=(2 * np.pi * turns).astype(np.float32),
        bins_per_turn=np.array([window_size / (2 * np.pi * step)], np.float32),
        loudness=(k * hertz / np.hypot(k * hertz, _WEAK_HZ)).astype(np.float32),
        center=np.array([PER_OCTAVE * math.log2(hertz / LOWEST_HZ)], np.float32),
        shift=(PER_OCTAVE * np.log2(np.arange(1, _HARMONICS + 1))).astype(np.float32),
        lobe=(np.cos(np.pi / 2 * np.clip(distance / _REACH, -1, 1)) ** 2).astype(np.float32),
        forget=np.array([-math.expm1(-step / sample_rate / _PAST_S)], np.float32),
        previous=np.zeros(len(k), np.complex64),
        past=np.zeros(PITCHES, np.float32),
        spectrum=np.zeros(len(k), np.complex64),
        magnitude=np.zeros(len(k), np.float32),
        room=np.zeros(PITCHES + 4 * _REACH, np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    state.previous[:] = 0
    state.past[:] = 0


@kernel
def process(state, spectra, salience, fresh):
    """Write `salience` (pitches,) of `spectra` (channels, bins), and `fresh` (pitches,): the same without its past.

    Returns the sum of what all bins hold, in the unit of the salience: a pitch can be no more than a share of it.
    """
    spectrum, magnitude, previous, room = state.spectrum, state.magnitude, state.previous, state.room
    _add_channels(spectra, spectrum)
    strongest, total = np.float32(0), np.float32(0)
    for k in range(magnitude.shape[0]):
        magnitude[k] = state.loudness[k] * math.sqrt(spectrum[k].real ** 2 + spectrum[k].imag ** 2)
        strongest = max(strongest, magnitude[k])
        total += _compressed(magnitude[k])
    room[:] = 0
    faint = strongest * np.float32(_FAINT)
    for k in range(2, magnitude.shape[0] - 1):
        if magnitude[k] > faint and magnitude[k] > magnitude[k - 1] and magnitude[k] >= magnitude[k + 1]:
            _summate(state, _place(state, k), _compressed(magnitude[k]))
    for k in range(previous.shape[0]):
        previous[k] = spectrum[k]
    for p in range(salience.shape[0]):
        salience[p] = room[2 * _REACH + p]
    for p in range(fresh.shape[0]):
        fresh[p] = max(salience[p] - np.float32(_PAST_SHARE) * state.past[p], np.float32(0))
        state.past[p] += state.forget[0] * (salience[p] - state.past[p]) + np.float32(1e-20)
    return total


@kernel
def _add_channels(spectra, spectrum):
    """All channels together; voices stand in the middle of the stereo image."""
    for k in range(spectrum.shape[0]):
        spectrum[k] = spectra[0, k]
    for c in range(1, spectra.shape[0]):
        channel = spectra[c]
        for k in range(spectrum.shape[0]):
            spectrum[k] += channel[k]


@kernel
def _compressed(magnitude):
    """The magnitude to the power of 3/4: strong partials count for more, but not for all."""
    root = math.sqrt(magnitude)
    return root * math.sqrt(root)


@kernel
def _place(state, k):
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


@kernel
def _summate(state, place, strength):
    """Add a peak at `place` (in bins) to all pitches that it could be a harmonic of."""
    room, pitch = state.room, state.center[0] + math.log(place) * _PER_LOG
    for h in range(state.shift.shape[0]):
        fundamental = pitch - state.shift[h]
        whole = math.floor(fundamental)
        first = int(whole) + _REACH
        if first < 0:
            return
        if first + 2 * _REACH < room.shape[0]:
            lobe = state.lobe[int((fundamental - whole) * _FRACTIONS)]
            target = room[first : first + 2 * _REACH + 1]
            for i in range(lobe.shape[0]):
                target[i] += strength * lobe[i]
        strength *= np.float32(_DECAY)


def pitch_of(hertz: float) -> float:
    """The place of a frequency among the pitches."""
    return PER_OCTAVE * math.log2(hertz / LOWEST_HZ)
