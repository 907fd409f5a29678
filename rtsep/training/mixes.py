"""Mixes to train on: parts of several items put together anew, so that there are far more mixes than items.

For the network of pitch the voice of one item is laid over the band of another, both moved in pitch by their speed; for
that of masks the drums of another are laid under an item. Levels, colors and band limits are drawn at random.

Uhlich, Porcu, Giron, Enenkl, Kemp, Takahashi and Mitsufuji, "Improving music source separation based on deep neural
networks through data augmentation and network blending", ICASSP 2017 (instruments of several songs in one mix).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from . import material
from .effects import RATE, Sound
from .material import F0, STEMS
from .tunes import FRAME_S, pick

SECONDS = 14.0
"""Of a mix with known pitch; one with known stems is as long as an item."""

_SAMPLES, _FRAMES = round(SECONDS * RATE), round(SECONDS / FRAME_S)


class Led(NamedTuple):
    """A mix of which the pitch is known."""

    sound: Sound  # (samples, 1)
    f0: F0  # (frames,) Hz of the voice, FRAME_S from one to the next, 0 where there is none
    lead_f0: F0  # (frames,) of the lead instrument


class Parted(NamedTuple):
    """A mix of which the stems are known."""

    stems: Sound  # (3, samples, 2) percussive, melody, harmony
    f0: F0  # (frames,) Hz of the melody


def led(rng: Generator, items: Sequence[Path]) -> Led:
    """One of `items` (folders as `material` renders them), or the voice of one over the band of another."""
    if rng.random() < 0.35:
        item = pick(rng, items)
        whole = _moved(_sum(_stems(item)), *_curves(item), rng.uniform(-3, 3))
        sound, f0, lead_f0 = _colored(rng, whole.sound), whole.f0, whole.lead_f0
    else:
        singer, player = _one_with(rng, items, "voice"), _one_with(rng, items, "backing")
        sounds, (_, lead_f0) = _stems(player), _curves(player)
        if sounds["drums"].any() and rng.random() < 0.25:
            sounds["backing"] *= np.float32(0 if rng.random() < 0.2 else rng.uniform(0.3, 1))
        if rng.random() < 0.4:
            sounds["lead"][:], lead_f0[:] = 0, 0
        band = sounds["drums"] + sounds["backing"] + sounds["lead"]
        played = _moved(band, np.zeros_like(lead_f0), lead_f0, rng.uniform(-3, 3))
        sung = _moved(_stems(singer)["voice"], *_curves(singer), rng.uniform(-9, 3.5))
        f0, lead_f0 = sung.f0, played.lead_f0
        voice, band = _colored(rng, sung.sound), _colored(rng, played.sound)
        voiced = _rms(voice[np.repeat(f0 > 0, _SAMPLES // _FRAMES)])
        level = (_rms(band) or 1) / max(voiced, 1e-9) * _gain(rng.triangular(-10, -2, 7))
        sound = band + voice * np.float32(level)
    sound = sound * np.float32(_gain(-rng.uniform(0, 20)) / max(np.abs(sound).max(), 1e-9))
    if rng.random() < 0.3:
        sound += rng.standard_normal(sound.shape, np.float32) * np.float32(_gain(-rng.uniform(50, 80)))
    return Led(sound, f0, lead_f0)


def parted(rng: Generator, item: Path, items: Sequence[Path]) -> Parted:
    """One `item` with its own drums, those of one of `items`, or none; often as if recorded at a low rate."""
    sounds, (f0, lead_f0) = _stems(item), _curves(item)
    name = "voice" if sounds["voice"].any() else "lead"
    drums, melody = sounds.pop("drums"), sounds.pop(name) * np.float32(_gain(rng.normal(0, 2.5)))
    harmony = _sum(sounds)
    if not harmony.any() and rng.random() < 0.5:
        other = _stems(_one_with(rng, items, "backing"))["backing"]
        harmony = other * np.float32(_rms(melody) / max(_rms(other), 1e-9) * _gain(rng.uniform(-8, 8)))
    tuned = _rms(melody + harmony)
    if tuned > 0:
        chance = rng.random()
        if chance > 0.25:
            drums = _stems(_one_with(rng, items, "drums"))["drums"] if chance < 0.93 else np.zeros_like(drums)
        drums *= np.float32(tuned / max(_rms(drums), 1e-9) * _gain(rng.uniform(-13, 5)))
    stems = np.stack([_colored(rng, sound) for sound in (drums, melody, harmony)])
    if rng.random() < 0.4:
        rate = 2 * math.exp(rng.uniform(math.log(3500), math.log(17000)))
        stems = np.stack([_fitted(soxr.resample(soxr.resample(stem, RATE, rate), rate, RATE), stem) for stem in stems])
    level = 0.1 / max(_rms(stems.sum(0)), 1e-9) * _gain(rng.uniform(-8, 8))
    return Parted(stems * np.float32(level), f0 if name == "voice" else lead_f0)


def mistaken(rng: Generator, f0: F0, often: float) -> F0:
    """`f0` as a tracker hears it that errs for the part `often` of the time: octaves, other pitches, misses, alarms."""
    f0, frame = f0.copy(), 0
    while frame < len(f0):
        here = f0[frame : frame + int(rng.uniform(10, 90))]
        frame += len(here)
        if rng.random() < often:
            kind, other = rng.random(), math.exp(rng.uniform(math.log(90), math.log(900)))
            if kind < 0.25:
                here *= pick(rng, (2, 0.5, 0.5, 1.5))
            elif kind < 0.55:
                here[here > 0] = other
            elif kind < 0.85:
                here[:] = 0
            else:
                here[here == 0] = other
    return f0


def at(time_s: NDArray[np.floating], f0: F0) -> F0:
    """`f0` at other times: between two pitches that are near, else the nearest frame's."""
    place = np.clip(time_s / FRAME_S, 0, len(f0) - 1)
    below = np.minimum(place.astype(int), len(f0) - 2)
    part, a, b = place - below, f0[below], f0[below + 1]
    log_a, log_b = np.log2(np.maximum(a, 1)), np.log2(np.maximum(b, 1))
    near = (a > 0) & (b > 0) & (np.abs(log_a - log_b) < 0.1)
    found: F0 = np.where(near, 2 ** (log_a + part * (log_b - log_a)), np.where(part < 0.5, a, b)).astype(np.float32)
    return found


def _stems(item: Path) -> dict[str, Sound]:
    """All stems of an item, each (samples, 2); zeros for what is silent."""
    sounds = {}
    for name in STEMS:
        path = item / f"{name}.flac"
        if path.exists():
            sounds[name] = soundfile.read(path, dtype="float32")[0]
        else:
            sounds[name] = np.zeros((round(material.SECONDS * RATE), 2), np.float32)
    return sounds


def _sum(sounds: dict[str, Sound]) -> Sound:
    return np.asarray(sum(sounds.values()))


def _curves(item: Path) -> tuple[F0, F0]:
    """F0 of the voice and of the lead instrument."""
    return np.load(item / "f0.npy"), np.load(item / "lead_f0.npy")


def _one_with(rng: Generator, items: Sequence[Path], stem: str) -> Path:
    """One of the items that have the `stem`, if any has."""
    return pick(rng, [item for item in items if (item / f"{stem}.flac").exists()] or items)


def _moved(sound: Sound, f0: F0, lead_f0: F0, semitones: float) -> Led:
    """The middle of `sound` (samples, 2) and its pitches, higher by `semitones` and as much faster, SECONDS of it."""
    speed = 2 ** (semitones / 12)
    middle = soxr.resample(sound.mean(1, keepdims=True), RATE * speed, RATE, "MQ")
    time = np.arange(_FRAMES) * FRAME_S * speed
    within = time < len(f0) * FRAME_S
    curves = [np.where(within, at(time, curve) * np.float32(speed), 0) for curve in (f0, lead_f0)]
    return Led(_fitted(middle, np.zeros((_SAMPLES, 1))), *curves)


def _fitted(sound: Sound, other: NDArray[np.generic]) -> Sound:
    """`sound` as long as `other`."""
    return np.pad(sound[: len(other)], ((0, max(len(other) - len(sound), 0)), (0, 0)))


def _colored(rng: Generator, sound: Sound) -> Sound:
    """`sound`, brighter or darker, as loud."""
    tilted = lfilter([1, rng.uniform(-0.35, 0.35)], [1], sound, axis=0).astype(np.float32)
    return np.asarray(tilted * np.float32(_rms(sound) / max(_rms(tilted), 1e-9)))


def _rms(sound: Sound) -> float:
    return math.sqrt(np.mean(sound.astype(np.float64) ** 2)) if sound.size else 0.0


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))
