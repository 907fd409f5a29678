"""The engine over files, arrays and pipes: the code that sounds live, with its latency taken off.

What an engine owes at the end of the sound comes out while it is fed `latency` samples of silence; what comes before
the first sample is dropped. Files stream through in blocks, whatever their length, each through its own engine.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..chain import process, room
from ..engine import Engine
from ..errors import BadInput, unknown
from ..idle import refuse_idle
from ..settings import MOST_CHANNELS, Settings
from ..templates import Templates
from . import notes as rolls
from . import score as scores
from .beside import completed
from .files import BLOCK, Name, Sound, load, sum_of


class Melody(NamedTuple):
    """A melody every 10 ms from the start of the sound."""

    time_s: NDArray[np.floating]  # (rows,)
    f0_hz: NDArray[np.float32]  # (rows,) 0 where there is none
    confidence: NDArray[np.float32]  # (rows,) 0 to 1


def separate(
    source: ArrayLike | Name,
    sample_rate: float | None = None,
    *,
    mode: str = "quality",
    settings: Settings | None = None,
    stems: Sequence[str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    mix: bool = False,
    score: ArrayLike | Name | None = None,
) -> dict[str, Sound]:
    """Separate an array or a sound file into stems, which are aligned with it to the sample and add up to it.

    Parameters
    ----------
    source : floats (samples, channels) or (samples,), or the path of a sound file
    sample_rate : of an array, Hz, 8,000 to 192,000; a file has its own
    mode : a name of MODES
    settings : takes the place of `mode`
    stems : which of `Settings.stems` and `Settings.groups` to return; if left out, stems that add up to the source
    parameters : values by the ids of PARAMETERS, as {"hpss.separation": 2}
    mix : whether to return "mix" too: the stems as the faders of `parameters` weigh them
    score : where alone the melody is looked for: a file of those that `rtsep.offline.score.load` reads, or an array as
        for `Engine.prepare`

    Returns
    -------
    {stem: float32 of the shape of `source`}; (samples, channels) for a file

    Raises
    ------
    BadInput : for an unknown name, a value out of its range, or a file that cannot be read.
    """
    settings = settings or Settings(mode=mode)
    names = names_of(stems, mix, settings)
    sound, rate, shape = sound_of(source, sample_rate)
    engine = engine_of(completed(settings, sound, rate), parameters)
    engine.prepare(sample_rate=rate, channels=sound.shape[1], score=score_of(score))
    results = {name: np.empty(sound.shape, np.float32) for name in names}
    done = dict.fromkeys(names, 0)
    for parts in render(engine, _blocks(sound)):
        for name in names:
            part = parts[name]
            results[name][done[name] : done[name] + len(part)] = part
            done[name] += len(part)
    return {name: result.reshape(shape) for name, result in results.items()}


def follow(
    source: ArrayLike | Name,
    sample_rate: float | None = None,
    *,
    mode: str = "quality",
    settings: Settings | None = None,
    parameters: Mapping[str, float | str] | None = None,
    score: ArrayLike | Name | None = None,
) -> Melody:
    """The melody of an array or a sound file, as the engine hears it live; parameters and errors of `separate`."""
    settings = settings or Settings(mode=mode)
    if not settings.melody:
        raise BadInput(f"the mode {settings.mode} follows no melody: take another, or Settings(..., melody=True).")
    sound, rate, _ = sound_of(source, sample_rate)
    engine = engine_of(settings, parameters)
    engine.prepare(sample_rate=rate, channels=sound.shape[1], score=score_of(score))
    track: list[Sound] = []
    for _ in render(engine, _blocks(sound), track):
        pass
    return melody_of(engine, track, len(sound) / rate)


def pitch_activations(
    source: ArrayLike | Name, *, sample_rate: float | None = None, settings: Settings
) -> tuple[Sound, NDArray[np.float64]]:
    """Activations (rows, components) of the templates of `settings`, as the engine hears them live, and times (rows,).

    A row is kept about every 5 ms; times are in seconds. Parameters and errors as of `separate`.

    Raises
    ------
    BadInput : also if there are no templates, or they have no pitches.
    """
    pitched(settings)
    sound, rate, _ = sound_of(source, sample_rate)
    engine = engine_of(settings, None)
    engine.prepare(sample_rate=rate, channels=sound.shape[1])
    heard: list[Sound] = []
    for _ in render(engine, _blocks(sound), heard=heard):
        pass
    return timed(engine, heard, len(sound) / rate)


def transcribe(source: ArrayLike | Name, *, sample_rate: float | None = None, settings: Settings) -> list[scores.Note]:
    """The notes of an array or a sound file by the templates of `settings`, in the order of their onsets.

    Parameters and errors as of `pitch_activations`.
    """
    activations, time_s = pitch_activations(source, sample_rate=sample_rate, settings=settings)
    return rolls.notes_in(activations, time_s, pitched(settings))


def names_of(stems: Sequence[str] | None, mix: bool, settings: Settings) -> tuple[str, ...]:
    """The names of the sounds that are wanted, each once."""
    for stem in stems or ():
        if stem not in (*settings.stems, *settings.groups):
            raise unknown("stem", stem, (*settings.stems, *settings.groups))
    if stems is None:
        stems = settings.stems
        if not settings.melody and settings.groups:
            stems = [stem for stem in (*stems[:-1], "harmonic", stems[-1]) if stem not in settings.groups["harmonic"]]
    return tuple(dict.fromkeys((*stems, *(["mix"] if mix else []))))


def sound_of(source: ArrayLike | Name, sample_rate: float | None) -> tuple[Sound, float, tuple[int, ...]]:
    """A source as (samples, channels), its rate, and the shape it had."""
    if isinstance(source, str | os.PathLike):
        if sample_rate is not None:
            raise BadInput("a file has its own sample rate: leave sample_rate out.")
        sound, rate = load(source)
        return sound, rate, sound.shape
    if sample_rate is None:
        raise BadInput("an array needs its sample rate: separate(array, sample_rate=44100).")
    sound = np.asarray(source)
    if sound.ndim not in (1, 2) or sound.shape[1:] > (MOST_CHANNELS,):
        raise BadInput(
            f"an array of shape {sound.shape}: it must be (samples,) or (samples, channels), with at most "
            f"{MOST_CHANNELS} channels."
        )
    if not np.issubdtype(sound.dtype, np.floating):
        raise BadInput(f"an array of {sound.dtype}: it must hold floats, full scale being -1 to 1.")
    return (sound[:, np.newaxis] if sound.ndim == 1 else sound), sample_rate, sound.shape


def _blocks(sound: Sound) -> Iterator[Sound]:
    return (sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK))


def score_of(score: ArrayLike | Name | None) -> NDArray[np.float32] | None:
    if isinstance(score, str | os.PathLike):
        return scores.load(score)
    return None if score is None else np.asarray(score, np.float32)


def engine_of(settings: Settings, parameters: Mapping[str, float | str] | None) -> Engine:
    engine = Engine(settings)
    engine.parameters.update(parameters or {})
    refuse_idle(parameters or {}, settings)
    return engine


def render(
    engine: Engine, blocks: Iterable[Sound], track: list[Sound] | None = None, heard: list[Sound] | None = None
) -> Iterator[dict[str, Sound]]:
    """The stems, groups and "mix" of `blocks` (at most BLOCK, channels), aligned with them and as long in all.

    The arrays are views which the next block overwrites. `track` grows by the melody of each block (frames, 2), `heard`
    by the activations of the pitches (frames, components), of which each `_stride` is kept.
    """
    channels, late, frames = engine.channels, engine.latency, 0
    block, mix = (np.zeros((BLOCK, channels), np.float32) for _ in range(2))
    stems = room(len(engine.stems), BLOCK, channels)
    silence = np.zeros((late, channels), np.float32)
    rest = [silence[start : start + BLOCK] for start in range(0, late, BLOCK)]
    done = length = 0  # samples that came out, samples of the source
    for given, real in chain(((given, True) for given in blocks), ((given, False) for given in rest)):
        samples = len(given)
        length += samples if real else 0
        block[:samples] = given
        parts = stems[:, :samples]
        process(engine.image, block[:samples], np.zeros((samples, 0), np.float32), mix[:samples], parts)
        newest = int(engine.meters.frames[0])
        if track is not None:
            track.append(engine.meters.melody[np.arange(frames, newest) % len(engine.meters.melody)])
        if heard is not None:
            stride = _stride(engine)
            kept = np.arange(-(-frames // stride) * stride, newest, stride)
            heard.append(engine.meters.pitches[kept % len(engine.meters.pitches)])
        frames = newest
        first, end = (
            [min(max(place + latency - done, 0), samples) for latency in (engine.stem_latency, late)]
            for place in (0, length)
        )
        sounds = dict(zip(engine.stems, parts[:, first[0] : end[0]], strict=True))
        sounds |= {name: sum_of({stem: sounds[stem] for stem in members}) for name, members in engine.groups.items()}
        yield sounds | {"mix": mix[first[1] : end[1]]}
        done += samples


def melody_of(engine: Engine, track: Sequence[Sound], duration_s: float) -> Melody:
    """The frames of `track` every 10 ms. Here, where nothing is live, a melody counts from where it began to sound."""
    frames = np.concatenate([*track, np.zeros((1, 2), np.float32)])
    voiced = frames[:, 0] > 0
    for onset in np.flatnonzero(voiced[1:] & ~voiced[:-1]) + 1:
        begun = slice(max(onset - engine.melody_onset, 0), onset)
        frames[begun, 0] = np.abs(frames[begun, 0])
    time_s = np.arange(int(duration_s / scores.STEP_S + 1e-6)) * scores.STEP_S  # 0.29 s are 28.999... steps
    step_s = engine.melody_time(1) - engine.melody_time(0)
    nearest = np.rint((time_s - engine.melody_time(0)) / step_s).astype(int)
    rows = frames[np.clip(nearest, 0, len(frames) - 1)]
    return Melody(time_s, np.maximum(rows[:, 0], 0), rows[:, 1])


def pitched(settings: Settings) -> Templates:
    """The templates of `settings`, which have pitches."""
    templates = settings.templates
    if not isinstance(templates, Templates) or not templates.pitches:
        raise BadInput("notes need templates that have pitches: take the kit piano, or rtsep learn with --score.")
    return templates


def _stride(engine: Engine) -> int:
    """Frames from one row of activations to the next."""
    return max(int(rolls.STEP_S * engine.sample_rate / engine.sizes.hop_size), 1)


def timed(engine: Engine, heard: Sequence[Sound], duration_s: float) -> tuple[Sound, NDArray[np.float64]]:
    """The rows `heard` that lie before the end of the sound, and the times in seconds where they do."""
    activations = np.concatenate([*heard, np.zeros((0, engine.meters.pitches.shape[1]), np.float32)])
    time_s = np.array([engine.frame_time(row * _stride(engine)) for row in range(len(activations))])
    return activations[time_s < duration_s], time_s[time_s < duration_s]
