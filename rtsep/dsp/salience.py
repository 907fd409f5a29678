"""Salience: how strongly each pitch sounds.

Each peak of the spectrum, placed by its instantaneous frequency, speaks for all the fundamentals whose harmonic it
could be. What sounds on and on at one pitch is the accompaniment more often than the lead, so that a share of each
pitch's recent past is taken off.

Salamon and Gómez, "Melody extraction from polyphonic music signals using pitch contour characteristics", IEEE
Transactions on Audio, Speech, and Language Processing 20(6), 2012 (weighting of low frequencies, harmonic summation);
Müller, "Fundamentals of Music Processing", Springer 2015, ch. 8.2. The last step is ours.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import float32, kernel
from . import peaks

LOWEST_HZ, HIGHEST_HZ = 55.0, 1760.0
PER_OCTAVE = 120  # pitches: 10 cents each
PITCHES = 5 * PER_OCTAVE + 1

_PEAKS_TO_HZ = 4500.0
_HARMONICS = 16
_DECAY = 0.88  # from one harmonic to the next
_REACH = 8  # pitches on each side of a peak to which it speaks
_FRACTIONS = 16  # of a pitch, by which the lobe around a peak is placed
_FAINT = 0.003  # of the strongest peak: -50 dB
_PAST_S, _PAST_SHARE = 0.5, 0.6

_PER_LOG = np.float32(PER_OCTAVE / math.log(2))


class State(NamedTuple):
    peaks: peaks.State
    # tables: read only
    center: float32[::1]  # (1,) pitch, in steps of 10 cents from LOWEST_HZ, of a frequency of one bin
    shift: float32[::1]  # (harmonics,) pitches from each harmonic down to its fundamental
    lobe: float32[:, ::1]  # (fractions, 2 reach + 1) what a peak gives to the pitches around it
    forget: float32[::1]  # (1,) part of the slow mean that is renewed each time
    # memory: cleared by reset
    past: float32[::1]  # (pitches,) slow mean of the salience
    # scratch: meaningless between calls
    room: float32[::1]  # (pitches + 4 reach,) the salience, with margins


def prepare(sample_rate: float, window_size: int, hop_size: int) -> State:
    """A state for spectra of `window_size` samples that come every `hop_size` samples."""
    inner = peaks.prepare(sample_rate, window_size, hop_size, _PEAKS_TO_HZ)
    step_s = inner.stride[0] * hop_size / sample_rate
    distance = np.arange(-_REACH, _REACH + 1) - np.arange(_FRACTIONS)[:, np.newaxis] / _FRACTIONS
    return State(
        peaks=inner,
        center=np.array([PER_OCTAVE * math.log2(sample_rate / window_size / LOWEST_HZ)], np.float32),
        shift=(PER_OCTAVE * np.log2(np.arange(1, _HARMONICS + 1))).astype(np.float32),
        lobe=(np.cos(np.pi / 2 * np.clip(distance / _REACH, -1, 1)) ** 2).astype(np.float32),
        forget=np.array([-math.expm1(-step_s / _PAST_S)], np.float32),
        past=np.zeros(PITCHES, np.float32),
        room=np.zeros(PITCHES + 4 * _REACH, np.float32),
    )


@kernel
def reset(state):
    """Forget the sound."""
    peaks.reset(state.peaks)
    state.past[:] = 0


@kernel
def process(state, spectra, salience, fresh):
    """Write `salience` (pitches,) of `spectra` (channels, bins), and `fresh` (pitches,): the same without its past.

    Returns the sum of what all bins hold, in the unit of the salience: a pitch can be no more than a share of it.
    """
    strongest, magnitude, room = peaks.hear(state.peaks, spectra), state.peaks.magnitude, state.room
    total = np.float32(0)
    for k in range(magnitude.shape[0]):
        total += _compressed(magnitude[k])
    room[:] = 0
    faint = strongest * np.float32(_FAINT)
    for k in range(2, magnitude.shape[0] - 1):
        if magnitude[k] > faint and peaks.is_peak(state.peaks, k):
            _summate(state, peaks.place(state.peaks, k), _compressed(magnitude[k]))
    for p in range(salience.shape[0]):
        salience[p] = room[2 * _REACH + p]
    for p in range(fresh.shape[0]):
        fresh[p] = max(salience[p] - np.float32(_PAST_SHARE) * state.past[p], np.float32(0))
        state.past[p] += state.forget[0] * (salience[p] - state.past[p]) + np.float32(1e-20)
    return total


@kernel
def _compressed(magnitude):
    """The magnitude to the power of 3/4: strong partials count for more, but not for all."""
    root = math.sqrt(magnitude)
    return root * math.sqrt(root)


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
