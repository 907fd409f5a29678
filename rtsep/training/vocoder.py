"""Pulses and noise through the envelopes of a voice: ten times as fast as WORLD's own synthesis, for the same sound.

Pulses stand at the very places where the phase of the F0 turns, between samples too. Every 10 ms the excitation is
windowed and filtered with the minimum-phase response of the envelope (Oppenheim and Schafer, "Discrete-time signal
processing", 3rd ed., 2010, section 13.5.4), so that neighbouring filters are crossfaded.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from .effects import RATE
from .tunes import FRAME_S, Curve

Frames = NDArray[np.float32]  # (frames, BINS)

BINS = 1025
"""Of an envelope from 0 Hz to half the sample rate."""

HOP = round(FRAME_S * RATE)

_TAPS = 16  # of a pulse between samples


class Vocoder:
    """Filters of a line.

    Parameters
    ----------
    envelope : natural logarithm of the power (frames, BINS), FRAME_S apart
    aperiodicity : part of the amplitude that is noise (frames, BINS), 0 to 1
    """

    def __init__(self, rng: Generator, envelope: Frames, aperiodicity: Frames):
        size = 2 * (BINS - 1)
        cepstrum = irfft(envelope / 2, axis=1)
        cepstrum[:, 1 : size // 2] *= 2
        cepstrum[:, size // 2 + 1 :] = 0
        response = np.exp(rfft(cepstrum, axis=1))
        noise = rng.standard_normal(HOP * len(envelope), np.float32)
        self.noisy = response * aperiodicity * _cut(noise)
        self.tonal = response * np.sqrt(1 - aperiodicity**2)

    def sing(self, f0: Curve) -> NDArray[np.float32]:
        """The line at `f0` (frames,), in Hz, 0 where unvoiced: (HOP * frames,) samples."""
        parts = irfft(self.noisy + self.tonal * _cut(pulses(f0)), axis=1)
        size, hops = parts.shape[1], -(-parts.shape[1] // HOP)
        parts = np.pad(parts, ((0, 0), (0, hops * HOP - size))).reshape(len(parts), hops, HOP)
        sound = np.zeros((len(parts) + hops, HOP), np.float32)
        for hop in range(hops):
            sound[hop : hop + len(parts)] += parts[:, hop]
        return sound.ravel()[HOP : HOP * (len(parts) + 1)]  # frame k is about the sample k * HOP


def pulses(f0: Curve) -> NDArray[np.float32]:
    """A train of band-limited pulses (HOP * frames,) of power 1 while `f0` (frames,) is not 0."""
    train = np.zeros(HOP * len(f0) + 2 * _TAPS, np.float32)
    voiced = np.flatnonzero(f0)
    if not len(voiced):
        return train[: HOP * len(f0)]
    place = np.arange(HOP * len(f0)) / HOP
    step = np.interp(place, voiced, f0[voiced]) / RATE  # cycles per sample
    phase = np.cumsum(step)
    turns = np.flatnonzero(np.diff(np.floor(phase)))
    turns = turns[f0[np.minimum(np.rint(place[turns]).astype(int), len(f0) - 1)] > 0]
    since = np.ceil(phase[turns]) - phase[turns]
    exact = turns + since / step[turns]
    taps = np.arange(-_TAPS, _TAPS)
    nearest = np.rint(exact).astype(int)
    away = nearest[:, np.newaxis] + taps - exact[:, np.newaxis]
    shapes = np.sinc(away) * np.cos(np.pi * away / (2 * _TAPS + 1)) ** 2 / np.sqrt(step[turns])[:, np.newaxis]
    np.add.at(train, nearest[:, np.newaxis] + taps + _TAPS, shapes.astype(np.float32))
    return train[_TAPS : _TAPS + HOP * len(f0)]


def _cut(sound: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Spectra (frames, BINS) of windows of two hops around each frame."""
    padded = np.concatenate((np.zeros(HOP, np.float32), sound)).reshape(-1, HOP)
    hops = np.concatenate((padded[:-1], padded[1:]), 1)
    window = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * HOP) / HOP)).astype(np.float32)
    return np.asarray(rfft(hops * window, 2 * (BINS - 1), axis=1))
