"""What a studio does to a sound: equalizer, compressor, saturation, room, echo, pan and width, drawn at random.

All sounds are float32 (samples, 2) at RATE. Compressor and saturation give the gain, so that a bus can put one gain
on all of its stems and they still add up. Peaks and shelves: Bristow-Johnson, "Cookbook formulae for audio EQ biquad
filter coefficients"; the compressor: Giannoulis, Massberg and Reiss, "Digital dynamic range compressor design",
Journal of the Audio Engineering Society 60(6), 2012.
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

Sound = NDArray[np.float32]

RATE = 44100

_BLOCK = 64  # samples of the compressor's detector


def equalize(rng: Generator, sound: Sound) -> Sound:
    """Up to three peaks of up to 8 dB."""
    for _ in range(int(rng.integers(0, 4))):
        hz, gain, q = 10 ** rng.uniform(2, 4.1), 10 ** (rng.uniform(-8, 8) / 40), rng.uniform(0.5, 2)
        angle = 2 * math.pi * hz / RATE
        alpha, middle = math.sin(angle) / (2 * q), -2 * math.cos(angle)
        b, a = [1 + alpha * gain, middle, 1 - alpha * gain], [1 + alpha / gain, middle, 1 - alpha / gain]
        sound = lfilter(b, a, sound, axis=0).astype(np.float32)
    return sound


def band(sound: Sound, low_hz: float, high_hz: float, order: int = 2) -> Sound:
    """What lies between two frequencies, with slopes of 6 dB per octave and order; one at 20 Hz or 20 kHz is none."""
    if low_hz > 20:
        sound = sosfilt(butter(order, low_hz, "high", fs=RATE, output="sos"), sound, axis=0).astype(np.float32)
    if high_hz < 20e3:
        sound = sosfilt(butter(order, high_hz, "low", fs=RATE, output="sos"), sound, axis=0).astype(np.float32)
    return sound


def compression(sound: Sound, threshold_db: float, ratio: float, attack_s: float, release_s: float) -> Sound:
    """Gain (samples, 1) that takes what is louder than `threshold_db` (of full scale) down."""
    blocks = np.pad(sound, ((0, -len(sound) % _BLOCK), (0, 0))).reshape(-1, _BLOCK * sound.shape[1])
    level = 10 * np.log10((blocks.astype(float) ** 2).mean(1) + 1e-12)
    wanted = np.minimum(0, (threshold_db - level) * (1 - 1 / ratio))
    attack, release = (math.exp(-_BLOCK / RATE / seconds) for seconds in (attack_s, release_s))
    smooth, now = [], 0.0
    for aim in wanted.tolist():
        keep = attack if aim < now else release
        now = keep * now + (1 - keep) * aim
        smooth.append(now)
    times = _BLOCK * (np.arange(len(smooth)) + 0.5)
    gain = 10 ** (np.interp(np.arange(len(sound)), times, smooth) / 20)
    return np.asarray(gain[:, np.newaxis], np.float32)


def saturation(sound: Sound, drive: float) -> Sound:
    """Gain (samples, 2) that bends `sound` as tanh does, `drive` times as far into it; 1 where it is silent."""
    far = np.maximum(np.abs(drive * sound), 1e-6)
    return np.asarray(np.tanh(far) / far)


def room(rng: Generator, sound: Sound, decay_s: float, wet_db: float) -> Sound:
    """A room around `sound`: reflections, and noise that falls by 60 dB in `decay_s`, sooner the higher."""
    samples = int(0.8 * decay_s * RATE)
    time = np.arange(samples, dtype=np.float32)[:, np.newaxis] / RATE
    noise = rng.standard_normal((samples, 2), np.float32)
    dark = lfilter([0.3], [1, -0.7], noise, axis=0).astype(np.float32)
    response = dark * np.exp(-6.9 * time / decay_s) + 0.5 * (noise - dark) * np.exp(-6.9 * time / (0.4 * decay_s))
    response *= np.minimum(1, time / 0.004)
    for _ in range(6):
        response[int(rng.integers(samples // 8 + 1)), int(rng.integers(2))] += rng.uniform(-3, 3)
    response = np.pad(response, ((int(rng.uniform(0, 0.04) * RATE), 0), (0, 0)))
    response *= 10 ** (wet_db / 20) / np.sqrt((response**2).sum(0))
    wet = oaconvolve(sound, response, axes=0)[: len(sound)]
    return np.asarray(sound + wet, np.float32)


def echo(sound: Sound, delay_s: float, gain: float) -> Sound:
    """`sound` and two repetitions of it."""
    delay, repeated = int(delay_s * RATE), sound.copy()
    repeated[delay:] += gain * sound[:-delay]
    repeated[2 * delay :] += gain**2 * sound[: -2 * delay]
    return repeated


def place(sound: Sound, pan: float, width: float) -> Sound:
    """`sound` at `pan` (-1 left to 1 right), its sides `width` times as wide (0 is mono)."""
    middle, side = sound.mean(1), 0.5 * width * (sound[:, 0] - sound[:, 1])
    angle = math.pi / 4 * (1 + pan)
    left, right = math.sqrt(2) * math.cos(angle), math.sqrt(2) * math.sin(angle)
    return np.stack((left * (middle + side), right * (middle - side)), 1).astype(np.float32)


def loudness(sound: Sound) -> float:
    """RMS of the 50 ms that are less than 40 dB below the loudest such; 0 for silence."""
    size = RATE // 20
    power = (sound[: len(sound) // size * size].astype(float) ** 2).reshape(-1, 2 * size).mean(1)
    heard = power[power > 1e-4 * power.max()]
    return math.sqrt(heard.mean()) if len(heard) else 0.0
