"""Sung lines whose F0 is known exactly: an utterance is stretched onto a tune, and a vocoder sings it.

Vowels are stretched to the notes and consonants keep their speed, as singers do it (Sundberg, "The science of the
singing voice", 1987, for these habits, the singer's formant and the ranges).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_opening, maximum_filter1d

from . import effects, formants, speech
from .effects import RATE, Sound
from .tunes import FRAME_S, Curve, Manner, hertz, perform, pick, walk, wander
from .vocoder import BINS, HOP, Frames, Vocoder

TYPES = {
    "bass": (40, 60),
    "baritone": (43, 65),
    "tenor": (48, 70),
    "alto": (53, 75),
    "mezzo": (56, 78),
    "soprano": (60, 83),
}
"""MIDI numbers that kinds of voices reach; a singer uses part of them."""

LOWEST_HZ, HIGHEST_HZ = 65.0, 1050.0

_MALE = ("bass", "baritone", "tenor")
_HZ = (np.arange(BINS) * RATE / 2 / (BINS - 1)).astype(np.float32)
_OCTAVES = np.log2(np.maximum(_HZ, 80) / 1000)  # above 1 kHz
_HEARD = 1e-4  # of the power of the loudest frame: below, a frame has no pitch


@dataclass(frozen=True)
class Singer:
    """Who sings, and how.

    Parameters
    ----------
    language, variant : of espeak-ng; both empty for a singer made of formulas
    kind : one of TYPES
    low, high : MIDI numbers of the range in use
    manner : from note to note
    beats : lengths of syllables, one of which is drawn for each
    melisma : how likely a syllable has two to four notes, 0 to 1
    held : 1 for vowels stretched evenly, more to stay at their middle
    tract : scale of the formants
    tilt, air, ring : dB per octave, dB of breath against the voice, dB of the singer's formant
    doubles : 0 or 2 further takes of the same line
    harmony : semitones of a second voice, 0 for none
    rap : whether it is spoken in rhythm
    """

    language: str
    variant: str
    kind: str
    low: int
    high: int
    manner: Manner
    beats: tuple[float, ...]
    melisma: float
    held: float
    tract: float
    tilt: float
    air: float
    ring: float
    doubles: int
    harmony: int
    rap: bool


def cast(rng: Generator) -> Singer:
    """A singer at random: two of three speak a language, one is made of formulas."""
    kind = pick(rng, list(TYPES))
    male, spoken, rap = kind in _MALE, rng.random() < 0.65, rng.random() < 0.08
    span = int(rng.integers(9, 17))
    lowest, highest = TYPES[kind]
    low = int(rng.integers(lowest, max(lowest, highest - span) + 1))
    manner = Manner(
        glide_s=rng.uniform(0.008, 0.035),
        vibrato_hz=rng.uniform(4.5, 7),
        vibrato=pick(rng, (0.0, 0.1, 0.2, 0.35, 0.5, 0.8)),
        vibrato_after_s=rng.uniform(0.1, 0.4),
        drift=rng.uniform(0.08, 0.3),
        jitter=rng.uniform(0.01, 0.08),
        scoops=rng.uniform(0.2, 0.8),
        falls=rng.uniform(0, 0.6),
    )
    beats: tuple[float, ...] = pick(
        rng, ((0.25, 0.5, 0.5, 0.5, 1), (0.5, 0.5, 1, 1, 2), (0.25, 0.25, 0.5), (1, 1, 1.5, 3))
    )
    if rap:
        manner = replace(manner, glide_s=0.03, vibrato=0.0, drift=rng.uniform(0.6, 1.6), falls=0.8)
        beats, span = (0.25, 0.25, 0.25, 0.5), 12
    tracts = ((0.95, 1.1) if not male else (0.86, 1.02)) if spoken else ((1.02, 1.25) if not male else (0.88, 1.06))
    return Singer(
        language=pick(rng, list(speech.LANGUAGES)) if spoken else "",
        variant=pick(rng, (speech.MALE if male else speech.FEMALE).split()) if spoken else "",
        kind=kind,
        low=low,
        high=low + max(12, span),
        manner=manner,
        beats=beats,
        melisma=0.0 if rap else rng.uniform(0, 0.3),
        held=rng.uniform(1, 3),
        tract=rng.uniform(*tracts),
        tilt=rng.uniform(-2, 2),
        air=rng.uniform(-40, -16),
        ring=rng.uniform(3, 12) if rng.random() < 0.3 else 0.0,
        doubles=2 if rng.random() < 0.3 else 0,
        harmony=pick(rng, (-12, -5, -4, -3, 3, 4, 7, 12)) if rng.random() < 0.1 else 0,
        rap=rap,
    )


def sing(
    rng: Generator, singer: Singer, seconds: float, beat_s: float, key: int, scale: tuple[int, ...]
) -> tuple[Sound, NDArray[np.float32]]:
    """A line of phrases and rests: sound (samples, 2) without effects, and its F0 each 10 ms, in Hz, 0 where unvoiced.

    Second takes and voices sound along; the F0 is that of the first.
    """
    frames = round(seconds / FRAME_S)
    pitch = np.zeros(frames)
    envelope, aperiodicity = np.full((frames, BINS), -30, np.float32), np.full((frames, BINS), 0.999, np.float32)
    breaths = []
    throat = formants.throat(rng, singer.tract)
    start = int(rng.uniform(0, 1) / FRAME_S)
    while start < frames - 100:  # a second
        said = _utter(rng, singer, throat)
        places, notes = _phrase(rng, singer, said.syllables, beat_s, key, scale)
        curve = np.where(_sung(said.voiced, places), hertz(perform(rng, notes, singer.manner)), 0)
        curve = np.where(curve > 0, np.clip(curve, LOWEST_HZ, HIGHEST_HZ), 0)
        if rng.random() < 0.5 and start > 60:
            breaths.append(start)
        end = min(frames, start + len(notes))
        here = slice(start, end)
        pitch[here] = curve[: end - start]
        below = np.minimum(places[: end - start].astype(int), len(said.voiced) - 1)
        above, part = (
            np.minimum(below + 1, len(said.voiced) - 1),
            (places[: end - start] % 1)[:, np.newaxis].astype(np.float32),
        )
        for line, spoken in ((envelope, said.envelope), (aperiodicity, said.aperiodicity)):
            line[here] = spoken[below] + part * (spoken[above] - spoken[below])
        loud = np.exp(envelope[here]).sum(1)
        envelope[here] -= np.log(np.mean(loud[pitch[here] > 0]) if pitch[here].any() else np.mean(loud))
        start = end + int(pick(rng, (0.25, 0.5, 0.5, 1, 1, 2, 2, 6)) * beat_s * rng.uniform(0.8, 1.2) / FRAME_S)
    envelope += _color(rng, singer, frames)
    voiced = pitch > 0
    breath = 10 ** (np.minimum(singer.air + 24 * np.minimum(_HZ / 8000, 1), -0.5) / 20)
    aperiodicity[voiced] = np.maximum(aperiodicity[voiced], breath)
    vocoder = Vocoder(rng, envelope, aperiodicity)
    first = vocoder.sing(pitch)
    sound = np.stack((first, first), 1)
    for side in range(singer.doubles):
        take = np.roll(vocoder.sing(pitch * _detune(rng, frames)), int(rng.uniform(0.008, 0.03) * RATE))
        take *= rng.uniform(0.3, 0.8)
        sound[:, side] += take
        sound[:, 1 - side] += rng.uniform(0, 0.9) * take
    if singer.harmony:
        second = vocoder.sing(pitch * _detune(rng, frames) * 2 ** (singer.harmony / 12))
        sound += rng.uniform(0.25, 0.6) * second[:, np.newaxis]
    for begin in breaths:
        _breathe(rng, sound, begin * HOP)
    return sound, _truth(pitch, first)


def treat(rng: Generator, sound: Sound) -> tuple[Sound, list[str]]:
    """A sung line through a studio's vocal chain, and the names of what was applied."""
    applied = []
    sound = effects.equalize(rng, effects.band(sound, rng.uniform(60, 120), 20e3))
    sound = sound * np.float32(0.1 / max(effects.loudness(sound), 1e-9))
    if rng.random() < 0.7:
        applied.append("compressor")
        sound = sound * effects.compression(sound, -rng.uniform(18, 34), rng.uniform(2, 6), 0.005, 0.12)
    if rng.random() < 0.15:
        applied.append("saturation")
        sound = sound * effects.saturation(sound, rng.uniform(2, 8))
    if rng.random() < 0.75:
        applied.append("room")
        sound = effects.room(rng, sound, rng.uniform(0.3, 2.2), -rng.uniform(7, 22))
    if rng.random() < 0.2:
        applied.append("echo")
        sound = effects.echo(sound, rng.uniform(0.12, 0.45), rng.uniform(0.1, 0.3))
    return effects.place(sound, float(np.clip(rng.normal(0, 0.1), -0.5, 0.5)), rng.uniform(0.3, 1)), applied


def _utter(rng: Generator, singer: Singer, throat: formants.Throat) -> speech.Utterance:
    for _ in range(4):
        if not singer.language:
            break
        said = speech.speak(rng, singer.language, singer.variant)
        if len(said.syllables) > 1:
            places = np.clip(np.arange(BINS) / singer.tract, 0, BINS - 1)
            below = np.minimum(places.astype(int), BINS - 2)
            part = places - below
            envelope, aperiodicity = (
                frames[:, below] * (1 - part) + frames[:, below + 1] * part
                for frames in (said.envelope, said.aperiodicity)
            )
            return said._replace(envelope=envelope, aperiodicity=aperiodicity)
    return formants.babble(rng, throat)


def _phrase(
    rng: Generator,
    singer: Singer,
    syllables: list[speech.Syllable],
    beat_s: float,
    key: int,
    scale: tuple[int, ...],
) -> tuple[Curve, Curve]:
    """For each frame of a phrase its place in the utterance, in frames, and its note."""
    places, notes, last = [], [], 0
    for begin, first, nucleus, last, end in syllables:
        length = int(pick(rng, singer.beats) * beat_s / FRAME_S)
        # Most of the way to the middle of the vowel and back the mouth moves as fast as when it speaks.
        first = max(first, round(nucleus - 0.3 * (nucleus - begin)))
        last = min(last, round(nucleus + 0.4 * (end - nucleus)))
        away = np.linspace(-1, 1, max(4, length - (first - begin) - (end - last)))
        reach = np.where(away < 0, nucleus - first, last - nucleus)
        vowel = nucleus + np.sign(away) * np.abs(away) ** singer.held * reach
        place = np.concatenate((np.arange(begin, first), vowel, np.arange(last, end)))
        count = int(rng.integers(2, 5)) if rng.random() < singer.melisma else 1
        tune = walk(rng, count, singer.low, singer.high, key, scale, last)
        last = tune[-1]
        turns = np.linspace(first - begin, len(place), count + 1)[1:-1]
        places.append(place)
        notes.append(np.array(tune, float)[np.searchsorted(turns, np.arange(len(place)), "right")])
    return np.concatenate(places), np.concatenate(notes)


def _sung(voiced: NDArray[np.bool_], places: Curve) -> NDArray[np.bool_]:
    """Whether a frame is voiced, without specks of a few frames."""
    here = voiced[np.minimum(np.rint(places).astype(int), len(voiced) - 1)]
    return np.asarray(binary_opening(binary_closing(here, iterations=1), iterations=2))


def _color(rng: Generator, singer: Singer, frames: int) -> Frames:
    """Gain (frames, BINS) in nepers of power: how a voice is pressed, rings and swells; what is louder is brighter."""
    swell = wander(rng, frames, 1, 2.5)[:, np.newaxis]
    gain = singer.tilt * _OCTAVES + singer.ring * np.exp(-0.5 * ((_HZ - 2900) / 400) ** 2)
    ripple = np.sin(2 * np.pi * _HZ / RATE * rng.uniform(4, 12) + rng.uniform(0, 6))
    flicker = wander(rng, frames, 3, 1)[:, np.newaxis] * ripple
    return np.asarray((gain + swell * (1 + 0.25 * _OCTAVES) + flicker) * np.log(10) / 10)


def _detune(rng: Generator, frames: int) -> Curve:
    """Factor of the pitch by which another take differs."""
    return np.asarray(2 ** ((wander(rng, frames, 1.5, 0.12) + 0.06 * rng.standard_normal()) / 12))


def _breathe(rng: Generator, sound: Sound, end: int) -> None:
    """Add a breath that ends at the sample `end`."""
    samples = min(end, int(rng.uniform(0.2, 0.5) * RATE))
    noise = effects.band(
        rng.standard_normal((samples, 1)).astype(np.float32), rng.uniform(500, 1200), rng.uniform(4e3, 9e3)
    )
    noise *= 10 ** (-rng.uniform(28, 46) / 20) * np.hanning(samples)[:, np.newaxis] ** 1.5
    sound[end - samples : end] += noise * np.abs(sound).max()


def _truth(pitch: Curve, sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The F0 of each frame: none where the voice has faded."""
    power = (sound.reshape(-1, HOP) ** 2).mean(1)
    power = maximum_filter1d(power, 3)
    return np.where(power > _HEARD * power.max(), pitch, 0).astype(np.float32)
