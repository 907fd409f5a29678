"""Key change: sound moved up or down by semitones, its tempo kept, by shifting the peaks of its spectrum.

Every peak of the magnitude moves, with the bins around it, to the bin nearest to its new frequency, and is turned by
a phase that grows from frame to frame, so that the frequency is exact. What belongs to one partial moves as one, and
all channels move and turn alike, so that the stereo image stays. Notes below some 55 Hz, whose partials are closer than
five bins, get rough.

Laroche and Dolson, "New phase-vocoder techniques for pitch-shifting, harmonizing and other exotic effects", WASPAA
1999. There an attack is smeared, for its peaks come and go and each turns as it likes: here a peak that takes over from
another one while an attack is new is turned so that the attack stays where it is in time, and neighbors that move apart
overlap by a bin.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import complex64, float32, int64, kernel
from . import fft, stft, windows

_LONGEST_S = 0.05  # of the synthesis window, which is the latency
_WINDOW_RATIO = 2  # length of the analysis window in synthesis windows
_OVERLAP = 8  # hops in a synthesis window: half as many make a shifted sine flutter at -45 instead of -65 dB
_REACH = 3  # bins on either side that a peak towers above: two smear attacks more, four blur notes below 65 Hz
_STAY = np.float32(0.6)  # bins that a shift may miss before it changes: at 0.5 some steady sines flutter at -28 dB

_STEP = np.float32(1 / (_WINDOW_RATIO * _OVERLAP))  # hop, in analysis windows
_CENTER = np.float32(1 - 1 / (2 * _WINDOW_RATIO))  # middle of the synthesis window, in analysis windows
_TAU = np.float32(2 * math.pi)
_FLOOR = np.float32(1e-9)  # softer samples could make denormal (slow) powers, and nobody hears them


class State(NamedTuple):
    # tables: read only
    analysis: float32[::1]  # (window,) analysis window
    synthesis: float32[::1]  # (synthesis,) synthesis window, with the scale of the inverse transform
    product: float32[::1]  # (synthesis,) what both windows do to a frame that is not changed
    fft: fft.State
    # memory: cleared by reset
    phase: int64[::1]  # (1,) samples since the last frame
    fresh: float32[:, ::1]  # (channels, hop) input since the last frame
    past: float32[:, ::1]  # (channels, window) input up to the last frame, newest at the end
    overlap: float32[:, ::1]  # (channels, synthesis) sums of the frames so far
    ready: float32[:, ::1]  # (channels, hop) sums that are complete: heard during this hop
    shifting: int64[::1]  # (1,) hops for which a shifted frame is still heard
    spectra: complex64[:, :, ::1]  # (2, channels, bins) the last two frames; zero where they were not shifted
    newest: int64[::1]  # (1,) row of the newest frame in `spectra`
    frequency: float32[::1]  # (bins,) of the peak that the bin belonged to, in bins
    turn: float32[::1]  # (bins,) phase by which that peak was turned in the middle of the synthesis window, cycles
    bend: float32[::1]  # (bins,) how `turn` goes on beside that peak, cycles per bin
    shifts: int64[::1]  # (bins,) how far that peak was moved, bins
    # scratch: meaningless between calls
    frame: float32[::1]  # (window,)
    shifted: complex64[:, ::1]  # (channels, bins)
    power: float32[::1]  # (bins,) of all channels together
    peaks: int64[::1]  # (bins,) where the peaks are, ascending


def prepare(sample_rate: float, channels: int) -> State:
    """A state for `channels` at `sample_rate` (Hz, 8,000 to 192,000)."""
    synthesis = latency(sample_rate)
    window, hop = synthesis * _WINDOW_RATIO, synthesis // _OVERLAP
    bins = window // 2 + 1
    rising, falling = windows.pair(window, synthesis, hop)
    return State(
        analysis=rising.astype(np.float32),
        synthesis=(falling / window).astype(np.float32),
        product=(rising[-synthesis:] * falling).astype(np.float32),
        fft=fft.prepare(window),
        phase=np.zeros(1, np.int64),
        fresh=np.zeros((channels, hop), np.float32),
        past=np.zeros((channels, window), np.float32),
        overlap=np.zeros((channels, synthesis), np.float32),
        ready=np.zeros((channels, hop), np.float32),
        shifting=np.zeros(1, np.int64),
        spectra=np.zeros((2, channels, bins), np.complex64),
        newest=np.zeros(1, np.int64),
        frequency=np.zeros(bins, np.float32),
        turn=np.zeros(bins, np.float32),
        bend=np.zeros(bins, np.float32),
        shifts=np.zeros(bins, np.int64),
        frame=np.zeros(window, np.float32),
        shifted=np.zeros((channels, bins), np.complex64),
        power=np.zeros(bins, np.float32),
        peaks=np.zeros(bins, np.int64),
    )


def latency(sample_rate: float) -> int:
    """Samples between input and output, whatever the key: the synthesis window, a power of two."""
    return 1 << (int(_LONGEST_S * sample_rate).bit_length() - 1)


@kernel
def reset(state):
    """Forget the sound."""
    state.phase[0] = 0
    state.fresh[:] = 0
    state.past[:] = 0
    state.overlap[:] = 0
    state.ready[:] = 0
    state.shifting[0] = 0
    state.spectra[:] = 0
    state.newest[0] = 0
    state.frequency[:] = 0
    state.turn[:] = 0
    state.bend[:] = 0
    state.shifts[:] = 0


@kernel
def process(state, semitones, sound):
    """Shift `sound` (samples, channels) by `semitones` (-12 to 12), in place; it comes out `latency` samples late.

    Where no shifted frame is heard, it is the very input.
    """
    samples, hop = sound.shape[0], state.fresh.shape[1]
    due = state.past.shape[1] - state.overlap.shape[1]
    done = 0
    while done < samples:
        phase = state.phase[0]
        end = min(done + hop - phase, samples)
        block = sound[done:end]
        for c in range(block.shape[1]):
            fresh = state.fresh[c]
            heard = state.ready[c] if state.shifting[0] > 0 else state.past[c, due : due + hop]
            for i in range(block.shape[0]):
                fresh[phase + i] = block[i, c]
                block[i, c] = heard[phase + i]
        state.phase[0] = phase + end - done
        if state.phase[0] == hop:
            state.phase[0] = 0
            _frame(state, semitones)
        done = end


@kernel
def _frame(state, semitones):
    """A hop is full: make a frame of the newest window, shift it, and add it to the sums."""
    channels, hop = state.fresh.shape
    window, size = state.past.shape[1], state.overlap.shape[1]
    for c in range(channels):
        stft.slide(state.past[c], state.fresh[c])
    if semitones == 0:  # what the transforms would give back is known: 25 instead of 80 us
        state.shifting[0] = max(state.shifting[0] - 1, 0)
        state.spectra[:] = 0
        for c in range(channels):
            stft.overlap_add(state.past[c, window - size :], state.product, state.overlap[c], state.ready[c])
        return
    state.shifting[0] = size // hop
    state.newest[0] = 1 - state.newest[0]
    for c in range(channels):
        past = state.past[c]
        for i in range(window):
            x = past[i] * state.analysis[i]
            state.frame[i] = x if abs(x) > _FLOOR else np.float32(0)
        fft.forward(state.fft, state.frame, state.spectra[state.newest[0], c])
    _shift(state, np.float32(2) ** (semitones / np.float32(12)) - np.float32(1))
    for c in range(channels):
        fft.inverse(state.fft, state.shifted[c], state.frame)
        stft.overlap_add(state.frame[window - size :], state.synthesis, state.overlap[c], state.ready[c])


@kernel
def _shift(state, stretch):
    """Write to `shifted` the newest frame with each frequency raised by `stretch` (-0.5 to 1) times itself."""
    frequency, turn, bend, shifts = state.frequency, state.turn, state.bend, state.shifts
    bins = state.power.shape[0]
    peaks = state.peaks[: _find_peaks(state)]
    state.shifted[:] = 0
    first, filled = 0, 0
    for j in range(peaks.shape[0]):
        k = peaks[j]
        last = (k + peaks[j + 1] + 1) // 2 if j + 1 < peaks.shape[0] else bins
        known, f = _frequency(state, k)
        move = stretch * f
        # An attack that is still in the newer half of the window comes from all bins at once. A peak that is new
        # at its place gets the turn that keeps it in time with the peak that was there before.
        slope = -stretch * max(_delay(state, k) - _CENTER, np.float32(0))
        t = turn[k] + bend[k] * (f - frequency[k]) + move * _STEP if known else slope * f
        t -= np.rint(t)
        shift = shifts[k] if known and abs(move - np.float32(shifts[k])) < _STAY else int(np.rint(move))
        for q in range(first, last):
            frequency[q], turn[q], bend[q], shifts[q] = f, t, slope, shift
        if f + move < bins - 1:
            # Between regions that move apart is a gap. One bin of the neighbor in it keeps noise from getting softer:
            # by 0.7 instead of 1.1 dB at most.
            start = first - 1 if first > 0 and first + shift > filled else first
            _move(state, start, last, shift, t, move - np.float32(shift))
        first, filled = last, last + shift


@kernel
def _find_peaks(state):
    """Write the `power` of the newest frame and its `peaks`; return how many there are."""
    power, spectra = state.power, state.spectra[state.newest[0]]
    power[:] = 0
    for c in range(spectra.shape[0]):
        x = spectra[c]
        for k in range(power.shape[0]):
            power[k] += x[k].real ** 2 + x[k].imag ** 2
    count, bins = 0, power.shape[0]
    for k in range(bins):
        p = power[k]
        if (k == 0 or p > power[k - 1]) and (k == bins - 1 or p >= power[k + 1]) and p > 0:
            peak = True
            for q in range(max(k - _REACH, 0), k):
                peak &= p > power[q]
            for q in range(k + 1, min(k + _REACH + 1, bins)):
                peak &= p >= power[q]
            if peak:
                state.peaks[count] = k
                count += 1
    return count


@kernel
def _frequency(state, k):
    """Whether the sound at bin `k` goes on from the frame before, and its frequency, in bins."""
    new, old = state.spectra[state.newest[0]], state.spectra[1 - state.newest[0]]
    real, imag = np.float32(0), np.float32(0)
    for c in range(new.shape[0]):
        x, y = new[c, k], old[c, k]
        real += x.real * y.real + x.imag * y.imag
        imag += x.imag * y.real - x.real * y.imag
    if k == 0 or (real == 0 and imag == 0):  # at bin 0 an offset, or rumble, is to stay where it is
        return False, np.float32(k)
    advance = math.atan2(imag, real) / _TAU - np.float32(k) * _STEP
    return True, np.float32(k) + (advance - np.rint(advance)) / _STEP


@kernel
def _delay(state, k):
    """When the sound around bin `k` happens: its group delay, as part of the analysis window (0 to 1)."""
    real, imag = np.float32(0), np.float32(0)
    for c in range(state.spectra.shape[1]):
        x = state.spectra[state.newest[0], c]
        for q in range(max(k - 1, 0), min(k + 1, x.shape[0] - 1)):
            real += x[q + 1].real * x[q].real + x[q + 1].imag * x[q].imag
            imag += x[q + 1].imag * x[q].real - x[q + 1].real * x[q].imag
    delay = -math.atan2(imag, real) / _TAU
    return delay - np.floor(delay)


@kernel
def _move(state, first, last, shift, turn, rest):
    """Add the bins from `first` to before `last` to those `shift` higher, turned by `turn` cycles.

    `rest` is what the shift misses, in bins: the windows then weaken the sound a little, which is made good.
    """
    # Shifted by whole bins, phases stay as they are at the start of the window, but are to stay in its middle.
    angle = turn - np.float32(shift) * _CENTER
    angle = (angle - np.rint(angle)) * _TAU
    missed = rest / np.float32(_WINDOW_RATIO)
    level = np.float32(1) + np.float32(math.pi**2 / 6 - 1) * missed**2  # one by the transform of a Hann window
    factor = np.complex64(complex(level * math.cos(angle), level * math.sin(angle)))
    for c in range(state.shifted.shape[0]):
        x, y = state.spectra[state.newest[0], c], state.shifted[c]
        for q in range(max(first, -shift), min(last, y.shape[0] - shift)):
            y[q + shift] += x[q] * factor
