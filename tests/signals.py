"""Test sounds: short, seeded, float32 of (samples, channels)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]


def noise(samples: int, channels: int = 1, level: float = 0.1, seed: int = 1) -> Sound:
    """White Gaussian noise with the standard deviation `level`."""
    return (level * np.random.default_rng(seed).standard_normal((samples, channels))).astype(np.float32)


def noise_24_bit(samples: int, channels: int = 1, seed: int = 1) -> Sound:
    """Noise up to full scale whose values are 24-bit samples, as files and sound cards hold them."""
    steps = np.random.default_rng(seed).integers(-(2**23), 2**23, (samples, channels))
    return (steps / 2**23).astype(np.float32)


def impulse(samples: int, at: int, channels: int = 1) -> Sound:
    """A single one at the sample `at`."""
    sound = np.zeros((samples, channels), np.float32)
    sound[at] = 1
    return sound


def music(samples: int, sample_rate: float, channels: int = 1, seed: int = 1) -> Sound:
    """Chords of decaying partials that change each 0.4 s, with hits of noise each 0.1 s; channels differ in balance."""
    random = np.random.default_rng(seed)
    seconds = np.arange(samples) / sample_rate
    chords, hits = np.zeros(samples), np.zeros(samples)
    for number, start in enumerate(np.arange(0, samples / sample_rate, 0.4)):
        since = seconds - start
        envelope = np.where((since >= 0) & (since < 0.4), np.exp(-2 * np.abs(since)), 0)
        for root in (110, 138.6, 164.8):
            for partial in range(1, 6):
                pitch = root * partial * 2 ** (number % 3 / 12)
                chords += envelope * np.sin(2 * np.pi * pitch * seconds + number) / partial
    for start in np.arange(0.03, samples / sample_rate, 0.1):
        since = seconds - start
        hits += np.where(since >= 0, np.exp(-80 * np.abs(since)), 0) * random.standard_normal(samples)
    balance = np.linspace(1, 0.3, channels)
    return (0.06 * chords[:, None] * balance + 0.15 * hits[:, None] * balance[::-1]).astype(np.float32)


def tune(samples: int, sample_rate: float, pitches: Sequence[float] = (220,), note_s: float = 1.0) -> Sound:
    """A voice of eight partials that goes to the next of `pitches` (Hz) each `note_s`, and stays at the last."""
    notes = np.minimum(np.arange(samples) / sample_rate / note_s, len(pitches) - 1).astype(int)
    turns = np.cumsum(np.asarray(pitches, float)[notes]) / sample_rate
    partials = [number for number in range(1, 9) if number * max(pitches) < 0.45 * sample_rate]
    return 0.1 * sum(np.sin(2 * np.pi * n * turns) / n for n in partials).astype(np.float32)[:, None]


def song(samples: int, sample_rate: float, channels: int = 1, seed: int = 1) -> Sound:
    """Music with a voice in front, something for every stem; its values are 24-bit samples."""
    voice = tune(samples, sample_rate, (330, 392, 349.2), 0.3)
    return (np.rint((music(samples, sample_rate, channels, seed) / 2 + voice) * 2**23) / 2**23).astype(np.float32)


def hum(samples: int, sample_rate: float, seed: int = 1) -> Sound:
    """A steady smooth sound with something for every stem: low sines, and noise below some 300 Hz."""
    random = np.random.default_rng(seed)
    seconds = np.arange(samples) / sample_rate
    spectrum = np.fft.rfft(random.standard_normal(samples))
    spectrum *= np.exp(-((np.fft.rfftfreq(samples, 1 / sample_rate) / 200) ** 2))
    rumble = np.fft.irfft(spectrum, samples)
    sines = sum(np.sin(2 * np.pi * pitch * seconds) for pitch in (110, 165, 220))
    return (0.1 * sines + 0.1 * rumble / rumble.std()).astype(np.float32)[:, None]


def square(samples: int, channels: int = 1, period: int = 100) -> Sound:
    """Full scale, as loud as a sound can be."""
    wave = np.where(np.arange(samples) % period < period // 2, 1, -1)
    return np.repeat(wave[:, None], channels, 1).astype(np.float32)


def constant(samples: int, value: float, channels: int = 1) -> Sound:
    """Silence (0), a steady offset, denormals (1e-40), or what no sound should hold (NaN, infinity)."""
    return np.full((samples, channels), value, np.float32)
