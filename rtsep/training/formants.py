"""A singer made of formulas: a glottal source with a tilt through resonances that glide from vowel to vowel.

No speech is in it. Formants of vowels: Peterson and Barney, "Control methods used in a study of the vowels", Journal
of the Acoustical Society of America 24(2), 1952 (means of the men). Cascaded resonances: Fant, "Acoustic theory of
speech production", 1960. Consonants are dips of the voice or shaped noise between the vowels.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .effects import RATE
from .speech import Syllable, Utterance
from .tunes import pick
from .vocoder import BINS

VOWELS = (
    (730.0, 1090.0, 2440.0), (270.0, 2290.0, 3010.0), (300.0, 870.0, 2240.0), (530.0, 1840.0, 2480.0),
    (570.0, 840.0, 2410.0), (440.0, 1020.0, 2240.0), (660.0, 1720.0, 2410.0), (490.0, 1350.0, 1690.0),
    (640.0, 1190.0, 2390.0), (390.0, 1990.0, 2550.0),
)  # fmt: skip
"""Hz."""
CONSONANTS = ("none", "nasal", "nasal", "liquid", "liquid", "hiss", "hiss", "buzz", "stop", "stop", "h")

_HUM = np.array([260.0, 1100.0, 2200.0])  # of a nasal
_SILENT_DB = -90.0
_VOWEL = 16  # frames; the tune stretches it
_HZ = (np.arange(BINS) * RATE / 2 / (BINS - 1)).astype(np.float32)


class Throat(NamedTuple):
    """What of a singer stays the same: a scale of the vocal tract, its fourth formant in Hz, the tilt in dB/octave."""

    scale: float
    fourth: float
    tilt: float


class _Control(NamedTuple):
    """One frame."""

    formants: NDArray[np.float64]  # (3,) Hz
    gain_db: float
    wide: float  # of the bandwidths
    hiss_db: float  # against the voice
    hiss_hz: float
    hiss_width: float
    voiced: bool


def throat(rng: Generator, scale: float) -> Throat:
    """A singer whose vocal tract makes the formants `scale` times as high as those of a man."""
    return Throat(scale, rng.uniform(3300, 4200), rng.uniform(-6, 0))


def babble(rng: Generator, who: Throat) -> Utterance:
    """Four to nine syllables of a consonant and a vowel."""
    controls: list[_Control] = []
    syllables = []
    vowel = _vowel(rng)
    for _ in range(int(rng.integers(4, 10))):
        before, vowel = vowel, _vowel(rng) * rng.uniform(0.93, 1.07, 3)
        begin = len(controls)
        controls += _consonant(rng, before, vowel)
        first = len(controls)
        controls += [_Control(vowel, 0, 1, _SILENT_DB, 5000, 3000, True)] * _VOWEL
        syllables.append(Syllable(begin, first, first + _VOWEL // 2, len(controls) - 1, len(controls)))
    voice, hiss = _voice(controls, who), _hiss(controls)
    level = voice.sum(1).mean()
    power = voice + level * hiss + 1e-12 * level
    aperiodicity = np.clip(np.sqrt(level * hiss / power), 1e-3, 0.999)
    voiced = np.array([control.voiced for control in controls])
    return Utterance(voiced, np.log(power).astype(np.float32), aperiodicity.astype(np.float32), syllables)


def _vowel(rng: Generator) -> NDArray[np.float64]:
    return np.array(pick(rng, VOWELS))


def _consonant(rng: Generator, before: NDArray[np.float64], vowel: NDArray[np.float64]) -> list[_Control]:
    kind, frames = pick(rng, CONSONANTS), int(rng.integers(4, 13))
    loud, hz, width = rng.uniform(-24, -10), float(pick(rng, (2500, 4500, 6500, 8500))), rng.uniform(900, 2600)
    controls = []
    for through in (np.arange(frames) + 0.5) / frames:
        formants = before + (vowel - before) * (0.5 - 0.5 * math.cos(math.pi * through))
        arch = math.sin(math.pi * through)
        gain, wide, hiss, voiced = 0.0, 1.0, _SILENT_DB, True
        if kind == "nasal":
            formants, gain, wide = _HUM, -8 if through < 0.8 else -3, 1.5
        elif kind == "liquid":
            gain = -10 * arch
        elif kind == "h":
            gain, hiss, hz, width, voiced = _SILENT_DB, loud - 6, formants[1], 2000, False
        elif kind == "hiss":
            gain, hiss, voiced = _SILENT_DB, loud + 14 * math.log10(arch + 1e-3), False
        elif kind == "buzz":
            gain, hiss = -12 * arch, loud - 8 + 14 * math.log10(arch + 1e-3)
        elif kind == "stop":
            burst = loud - 39 * (through - 0.6) if through > 0.6 else _SILENT_DB
            gain, hiss, voiced = _SILENT_DB, burst, False
        controls.append(_Control(formants, gain, wide, hiss, hz, width, voiced))
    return controls


def _voice(controls: list[_Control], who: Throat) -> NDArray[np.float64]:
    """The power of the voiced part."""
    formants = who.scale * np.array([control.formants for control in controls])
    wide = np.array([[control.wide] for control in controls])
    power = np.ones((len(controls), BINS))
    upper = np.array([0, 950, 2000, 3100]) + who.fourth
    for hz in [*formants.T[:, :, np.newaxis], *upper]:
        width = (60 + 0.05 * hz) * wide
        power *= hz**4 / ((hz**2 - _HZ**2) ** 2 + (width * _HZ) ** 2 + 1)
    # For the poles above those that are written down (Fant's correction).
    power *= 1 + (_HZ / 4000) ** 6
    tilt = who.tilt * np.log2(np.maximum(_HZ, 100) / 100)
    gain = np.array([[control.gain_db] for control in controls])
    return np.asarray(power * 10 ** ((tilt + gain) / 10))


def _hiss(controls: list[_Control]) -> NDArray[np.float64]:
    """The power of the noise, its sum 1 at 0 dB."""
    hz, width, gain = (
        np.array([[getattr(control, name)] for control in controls]) for name in ("hiss_hz", "hiss_width", "hiss_db")
    )
    power = np.exp(-0.5 * ((_HZ - hz) / width) ** 2) + 1e-5
    return np.asarray(10 ** (gain / 10) * power / power.sum(1, keepdims=True))
