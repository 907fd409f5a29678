"""Tunes: notes that walk along a scale, and the curve of pitch with which a singer or a player performs them.

What a curve holds beside its notes (glides, late vibrato, drift, jitter, scoops and falls) is what real singing has:
Saitou, Unoki and Akagi, "Development of an F0 control model based on F0 dynamic characteristics for singing-voice
synthesis", Speech Communication 46(3-4), 2005. Preparation and overshoot are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

T = TypeVar("T")
Curve = NDArray[np.float64]  # (frames,)

FRAME_S = 0.01
"""From one frame of a curve to the next."""

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 5, 7, 9, 10))
"""Major, minor, Dorian and Mixolydian: semitones above the key."""

_STEPS = (-7, -5, -4, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5, 7)


@dataclass(frozen=True)
class Manner:
    """How someone moves from note to note.

    Parameters
    ----------
    glide_s : time constant of each of the two poles that a step passes
    vibrato_hz, vibrato, vibrato_after_s : its rate, its amplitude in semitones, and how long a note waits for it
    drift, jitter : standard deviations in semitones of what wanders slowly, and of what does so fast
    scoops, falls : how likely a phrase begins below its first note and falls at its end, 0 to 1
    """

    glide_s: float = 0.015
    vibrato_hz: float = 5.5
    vibrato: float = 0.0
    vibrato_after_s: float = 0.25
    drift: float = 0.0
    jitter: float = 0.0
    scoops: float = 0.0
    falls: float = 0.0


def pick(rng: Generator, things: Sequence[T]) -> T:
    """One of `things`, each as likely."""
    return things[int(rng.integers(len(things)))]


def walk(rng: Generator, count: int, low: int, high: int, key: int, scale: Sequence[int], start: int = 0) -> list[int]:
    """`count` notes of a scale as MIDI numbers from `low` to `high`, at least an octave apart, mostly a step apart.

    `key` is the pitch class that `scale` (semitones) counts from; the first note is a step from `start`, if given.
    """
    allowed = [note for note in range(low, high + 1) if (note - key) % 12 in scale]
    now, notes = start or int(rng.integers(low, high + 1)), []
    for _ in range(count):
        wanted = now + pick(rng, _STEPS)
        if not low <= wanted <= high:  # back from where the range ends
            wanted = 2 * now - wanted
        now = min(allowed, key=lambda note: abs(note - wanted))
        notes.append(now)
    return notes


def wander(rng: Generator, frames: int, hz: float, deviation: float) -> Curve:
    """Noise (frames,) with the standard deviation `deviation` below about `hz`."""
    pole = np.exp(-2 * np.pi * hz * FRAME_S)
    before = int(3 / (1 - pole))
    white = rng.standard_normal(before + frames) * np.sqrt(1 - pole**2)
    noise: Curve = deviation * lfilter([1], [1, -pole], white)[before:]
    return noise


def perform(rng: Generator, notes: Curve, manner: Manner) -> Curve:
    """The pitch of a phrase (frames,) in semitones (MIDI numbers) from the note that is due in each of its frames."""
    frames = len(notes)
    pole = np.exp(-FRAME_S / manner.glide_s)
    pitch = notes
    for _ in range(2):
        pitch = lfilter([1 - pole], [1, -pole], pitch, zi=[pole * pitch[0]])[0]
    begins = np.flatnonzero(np.diff(notes, prepend=notes[0] - 1))
    since = np.arange(frames) - begins[np.searchsorted(begins, np.arange(frames), "right") - 1]
    swell = np.clip((since * FRAME_S - manner.vibrato_after_s) / 0.25, 0, 1)
    phase = 2 * np.pi * FRAME_S * np.cumsum(manner.vibrato_hz * (1 + wander(rng, frames, 1, 0.04)))
    pitch = pitch + manner.vibrato * swell * (1 + wander(rng, frames, 1, 0.2)) * np.sin(phase)
    pitch += wander(rng, frames, 1.5, manner.drift) + wander(rng, frames, 25, manner.jitter)
    scooped, fallen = (min(frames, int(seconds / FRAME_S)) for seconds in rng.uniform([0.06, 0.1], [0.16, 0.25]))
    if rng.random() < manner.scoops:
        pitch[:scooped] -= rng.uniform(0.5, 3) * np.linspace(1, 0, scooped) ** 2
    if rng.random() < manner.falls:
        pitch[frames - fallen :] -= rng.uniform(1, 5) * np.linspace(0, 1, fallen) ** 2
    return np.asarray(pitch)


def hertz(pitch: Curve) -> Curve:
    """Hz of MIDI numbers."""
    return np.asarray(440 * 2 ** ((pitch - 69) / 12))
