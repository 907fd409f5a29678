"""The engine over files, arrays and pipes: the code that sounds live, with its latency taken off.

What an engine owes at the end of the sound comes out while it is fed `latency` samples of silence; what comes before
the first sample is dropped. Files stream through in blocks, whatever their length, each through its own engine.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from .. import disk
from ..engine import Engine, process, room
from ..errors import BadInput, Unavailable, unknown
from ..idle import refuse_idle
from ..settings import MOST_CHANNELS, Settings
from ..templates import Templates
from . import notes as rolls
from . import score as scores
from .beside import completed, completed_by_file, unknown_beside
from .files import BLOCK, FORMATS, Name, RawReader, RawWriter, Reader, Sound, Writer, encoded, load, name_of, sum_of

_TABLE, _MIDI, _ROLL = ("f0", "csv"), ("notes", "mid"), ("notes", "svg")  # what is no sound among the outputs

FILENAME = "{track}/{stem}.{ext}"
"""Where the files of a source go; {folder} is that of the source, {trackext} what its name ends in."""

# What a folder is searched for, beside what libsndfile and ffmpeg name after themselves.
_SUFFIXES = {".wave", ".aif", ".aifc", ".oga", ".opus", ".snd", ".mp2", ".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv"}
_SUFFIXES |= {".webm", ".wma", ".ac3", ".ape", ".wv"}

PIPE = "-"
"""The name of standard input among sources, and of standard output as a folder."""

Progress = Callable[[str, int, int | None], None]
"""Called as `progress(source, samples done, samples in all or None)`, from the thread that works on the source."""


class Melody(NamedTuple):
    """A melody every 10 ms from the start of the sound."""

    time_s: NDArray[np.floating]  # (rows,)
    f0_hz: NDArray[np.float32]  # (rows,) 0 where there is none
    confidence: NDArray[np.float32]  # (rows,) 0 to 1


class Report(NamedTuple):
    """What became of one source."""

    source: str
    written: tuple[Path, ...]  # empty if it failed
    warnings: tuple[str, ...]  # sentences
    error: BadInput | Unavailable | None  # why it failed


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
    names = _names(stems, mix, settings)
    sound, rate, shape = _sound(source, sample_rate)
    engine = _engine(completed(settings, sound, rate), parameters)
    engine.prepare(sample_rate=rate, channels=sound.shape[1], score=_score(score))
    results = {name: np.empty(sound.shape, np.float32) for name in names}
    done = dict.fromkeys(names, 0)
    for parts in _render(engine, _blocks(sound)):
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
    sound, rate, _ = _sound(source, sample_rate)
    engine = _engine(settings, parameters)
    engine.prepare(sample_rate=rate, channels=sound.shape[1], score=_score(score))
    track: list[Sound] = []
    for _ in _render(engine, _blocks(sound), track):
        pass
    return _melody(engine, track, len(sound) / rate)


def pitch_activations(
    source: ArrayLike | Name, *, sample_rate: float | None = None, settings: Settings
) -> tuple[Sound, NDArray[np.float64]]:
    """Activations (rows, components) of the templates of `settings`, as the engine hears them live, and times (rows,).

    A row is kept about every 5 ms; times are in seconds. Parameters and errors as of `separate`.

    Raises
    ------
    BadInput : also if there are no templates, or they have no pitches.
    """
    _pitched(settings)
    sound, rate, _ = _sound(source, sample_rate)
    engine = _engine(settings, None)
    engine.prepare(sample_rate=rate, channels=sound.shape[1])
    heard: list[Sound] = []
    for _ in _render(engine, _blocks(sound), heard=heard):
        pass
    return _timed(engine, heard, len(sound) / rate)


def transcribe(source: ArrayLike | Name, *, sample_rate: float | None = None, settings: Settings) -> list[scores.Note]:
    """The notes of an array or a sound file by the templates of `settings`, in the order of their onsets.

    Parameters and errors as of `pitch_activations`.
    """
    activations, time_s = pitch_activations(source, sample_rate=sample_rate, settings=settings)
    return rolls.notes_in(activations, time_s, _pitched(settings))


def separate_files(
    sources: Sequence[Name],
    folder: Name,
    *,
    settings: Settings | None = None,
    stems: Sequence[str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    mix: bool = False,
    format: str = "wav",
    bits: int | None = None,
    filename: str = FILENAME,
    jobs: int = 1,
    force: bool = False,
    sample_rate: float | None = None,
    channels: int | None = None,
    score: Name | None = None,
    midi_out: bool = False,
    progress: Progress | None = None,
    report: Callable[[Report], object] | None = None,
    begin: Callable[[], object] = lambda: None,
) -> list[Report]:
    """Separate sound files into FOLDER/<name>/<stem>.<format> and f0.csv (time_s, f0_hz, confidence), block by block.

    The files of a source appear together when all of them are whole; a source that fails leaves nothing, and the
    others go on. An interrupt leaves nothing unfinished either.

    Parameters
    ----------
    sources : paths; a folder stands for the sound files in it; "-" is raw little-endian float32 from standard input,
        channels interleaved, and is named stdin
    folder : made if need be; "-" sends one stem (or, if no stems are named, the mix) of one source to standard
        output as raw little-endian float32. It ends quietly when nobody reads any more.
    settings : Settings(mode="quality") if left out
    stems, parameters, mix, score : as for `separate`; a score goes with a single source
    format, bits : as for `Writer`
    filename : a pattern for where in the folder the files go, with {track}, {trackext}, {folder}, {stem} and {ext}
    jobs : sources worked on at a time, each in a thread
    force : replace files that are there already
    sample_rate, channels : of standard input
    midi_out : also write the notes by templates that have pitches: notes.mid, and notes.svg, a picture of them
    progress : is told how far each source is
    report : is told of each source when it is done, as `progress` is
    begin : called before the work, once all that is asked for is known to make sense

    Returns
    -------
    a report per source, in their order

    Raises
    ------
    BadInput : before any work begins, if what is asked for makes no sense or would replace a file.
    """
    places = [file for source in sources for file in sound_files(os.fspath(source))]
    folder = os.fspath(folder)
    if stems is None and mix and folder == PIPE:
        stems = ()
    settings = settings or Settings(mode="quality")
    names = _names(stems, mix, settings)
    _engine(settings, parameters)
    if score is not None and len(places) != 1:
        raise BadInput("a score belongs to one song: separate the others without it.")
    regions = _score(score)
    if not names:
        raise BadInput("nothing to write: name stems, or ask for the mix.")
    encoded(format, bits)
    if jobs < 1:
        raise BadInput(f"{jobs} jobs: there must be at least 1.")
    if PIPE in places and (sample_rate is None or channels is None):
        raise BadInput("raw sound does not tell its rate and channels: add -r RATE -c CHANNELS.")
    templates = _pitched(settings) if midi_out else None
    if templates and folder == PIPE:
        raise BadInput("standard output takes one sound: name a folder for the notes.")
    others = [_TABLE] if settings.melody else []
    others += [_MIDI, _ROLL] if templates else []
    plan = _plan(places, folder, filename, [*((name, format) for name in names), *others], force)
    raw = (sample_rate or 0, channels or 0)
    stop = Event()

    def work(source: str, outputs: _Outputs) -> Report:
        done = separated(source, outputs)
        if report:
            report(done)
        return done

    def separated(source: str, outputs: _Outputs) -> Report:
        try:
            with ExitStack() as stack:
                reader = RawReader(sys.stdin.buffer, *raw) if source == PIPE else Reader(source)
                stack.enter_context(reader)
                if source == PIPE:
                    known, beside = settings, unknown_beside(settings)
                else:
                    known, beside = completed_by_file(settings, source)
                engine = _engine(known, parameters)
                engine.prepare(sample_rate=reader.sample_rate, channels=reader.channels, score=regions)
                writers: dict[str, Writer | RawWriter] = {}
                track: list[Sound] = []
                heard: list[Sound] = []
                table = outputs.get(_TABLE)
                for name in names:
                    path = outputs[name, format]
                    stack.callback(_remove_empty, path.parent, Path(folder))
                    writers[name] = (
                        RawWriter(sys.stdout.buffer)
                        if folder == PIPE
                        else Writer(path, reader.sample_rate, reader.channels, format=format, bits=bits, force=force)
                    )
                    stack.enter_context(writers[name])
                done = 0
                for parts in _render(engine, reader.blocks(), track if table else None, heard if templates else None):
                    if stop.is_set():
                        raise CancelledError
                    for name, writer in writers.items():
                        writer.write(parts[name])
                    done += len(parts["mix"])
                    if progress:
                        progress(source, done, reader.length)
                # All are whole before the first gets its name.
                for writer in writers.values():
                    writer.finish()
                if table:
                    _write_table(table, _melody(engine, track, done / reader.sample_rate))
                if templates:
                    duration_s = done / reader.sample_rate
                    notes = rolls.notes_in(*_timed(engine, heard, duration_s), templates)
                    colors = dict(zip(templates.parts, templates.colors, strict=True))
                    rolls.write_midi(outputs[_MIDI], notes)
                    rolls.write_picture(outputs[_ROLL], notes, colors, duration_s)
        except BrokenPipeError:
            return Report(source, (), (), None)
        except (BadInput, Unavailable) as error:
            return Report(source, (), (), error)
        except OSError as error:  # a disk or a network that fails amid reading
            return Report(source, (), (), Unavailable(f"cannot read {source}: {error.strerror or error}."))
        misfit = scores.fits(regions, done / reader.sample_rate) if regions is not None else None
        told = [*(part.warning for part in (reader, *writers.values())), misfit, beside]
        warnings = [sentence for sentence in told if sentence]
        return Report(source, tuple(outputs.values()) if folder != PIPE else (), tuple(warnings), None)

    begin()
    pool = ThreadPoolExecutor(jobs)
    try:
        if jobs == 1 or len(plan) == 1:
            return [work(source, outputs) for source, outputs in plan.items()]
        return list(pool.map(work, plan.keys(), plan.values()))
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _names(stems: Sequence[str] | None, mix: bool, settings: Settings) -> tuple[str, ...]:
    """The names of the sounds that are wanted, each once."""
    for stem in stems or ():
        if stem not in (*settings.stems, *settings.groups):
            raise unknown("stem", stem, (*settings.stems, *settings.groups))
    if stems is None:
        stems = settings.stems
        if not settings.melody and settings.groups:
            stems = [stem for stem in (*stems[:-1], "harmonic", stems[-1]) if stem not in settings.groups["harmonic"]]
    return tuple(dict.fromkeys((*stems, *(["mix"] if mix else []))))


def _sound(source: ArrayLike | Name, sample_rate: float | None) -> tuple[Sound, float, tuple[int, ...]]:
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


def _score(score: ArrayLike | Name | None) -> NDArray[np.float32] | None:
    if isinstance(score, str | os.PathLike):
        return scores.load(score)
    return None if score is None else np.asarray(score, np.float32)


def _engine(settings: Settings, parameters: Mapping[str, float | str] | None) -> Engine:
    engine = Engine(settings)
    engine.parameters.update(parameters or {})
    refuse_idle(parameters or {}, settings)
    return engine


_Outputs = Mapping[tuple[str, str], Path]  # by stem and format, or what else is written


def sound_files(source: str) -> list[str]:
    """`source` itself; of a folder the sound files in it, by what their names end in, if there are any."""
    if source == PIPE or not os.path.isdir(source):
        return [source]
    known = _SUFFIXES | {f".{name.lower()}" for name in (*soundfile.available_formats(), *FORMATS)} - {".raw"}
    names: list[str] = []
    with suppress(OSError):  # reading it will tell
        names = sorted(os.listdir(source))
    found = [name for name in names if os.path.splitext(name)[1].lower() in known and not name.startswith(".")]
    return [os.path.join(source, name) for name in found] or [source]


def _plan(
    sources: Sequence[str], folder: str, pattern: str, kinds: Sequence[tuple[str, str]], force: bool
) -> dict[str, _Outputs]:
    """Where each of `kinds` of each source goes; `BadInput` if two would go to one place or one is taken."""
    if folder == PIPE:
        sounds = [kind for kind in kinds if kind[1] in FORMATS]
        if len(sources) != 1 or len(sounds) != 1:
            raise BadInput("standard output takes one sound of one source: name one stem, or the mix alone.")
        return {sources[0]: {sounds[0]: Path(PIPE)}}
    plan: dict[str, _Outputs] = {}
    taken: dict[str, str] = {}
    for source in sources:
        outputs = {kind: Path(folder, *_parts(pattern, source, *kind)) for kind in kinds}
        for path in outputs.values():
            place = str(path).casefold()  # upper and lower case are one on many disks
            first = taken.setdefault(place, source)
            if source in plan or first != source:
                raise BadInput(
                    f"{first} and {source} would both go to {path.parent}: separate them into two folders, or give "
                    f"them places of their own, as in --filename '{{folder}}/{FILENAME}'."
                )
        if len({str(path).casefold() for path in outputs.values()}) < len(outputs):
            raise BadInput(f"all stems would be called {next(iter(outputs.values()))}: put {{stem}} into --filename.")
        plan[source] = outputs
    places = [path for outputs in plan.values() for path in outputs.values()]
    inputs = {os.path.realpath(source) for source in sources}
    for path in places:
        if os.path.realpath(path) in inputs:
            raise BadInput(f"{path} is one of the sources: choose another folder.")
    there = [path for path in places if os.path.lexists(path)]
    if there and not force:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise BadInput(f"{there[0]}{more} exists already: choose another folder, or add --force to replace.")
    return plan


def _parts(pattern: str, source: str, stem: str, ext: str) -> list[str]:
    """The folders and the name that the pattern gives a file; never a way out of the folder they are in."""
    track = name_of(source)
    fields = {"track": track, "stem": stem, "ext": ext, "trackext": os.path.splitext(source)[1][1:]}
    fields["folder"] = Path(os.path.abspath(source)).parent.name if "{folder}" in pattern and source != PIPE else ""
    parts = []
    for part in pattern.replace(os.sep, "/").split("/"):
        for field in re.findall(r"{([^{}]*)}", part):
            if field not in fields:
                raise unknown("field", field, fields)
        name = re.sub(r"{(\w+)}", lambda field: fields[field[1]], part)
        if not part or part.strip(".") == "" or os.path.splitdrive(name)[0]:
            raise BadInput(f"--filename {pattern}: write it as in {FILENAME}; all stays within the output folder.")
        parts.append(name if name.strip(".") else "_")
    return parts


def _render(
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
        process(engine.state, block[:samples], np.zeros((samples, 0), np.float32), mix[:samples], parts)
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


def _melody(engine: Engine, track: Sequence[Sound], duration_s: float) -> Melody:
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


def _pitched(settings: Settings) -> Templates:
    """The templates of `settings`, which have pitches."""
    templates = settings.templates
    if not isinstance(templates, Templates) or not templates.pitches:
        raise BadInput("notes need templates that have pitches: take the kit piano, or rtsep learn with --score.")
    return templates


def _stride(engine: Engine) -> int:
    """Frames from one row of activations to the next."""
    return max(int(rolls.STEP_S * engine.sample_rate / engine.sizes.hop_size), 1)


def _timed(engine: Engine, heard: Sequence[Sound], duration_s: float) -> tuple[Sound, NDArray[np.float64]]:
    """The rows `heard` that lie before the end of the sound, and the times in seconds where they do."""
    activations = np.concatenate([*heard, np.zeros((0, engine.meters.pitches.shape[1]), np.float32)])
    time_s = np.array([engine.frame_time(row * _stride(engine)) for row in range(len(activations))])
    return activations[time_s < duration_s], time_s[time_s < duration_s]


def _write_table(path: Path, melody: Melody) -> None:
    rows = (f"{time:.2f},{f0:.2f},{sure:.3f}\n" for time, f0, sure in zip(*melody, strict=True))
    disk.write(path, ("time_s,f0_hz,confidence\n" + "".join(rows)).encode())


def _remove_empty(folder: Path, within: Path) -> None:
    """Remove what is empty of the folders from `folder` up to `within`."""
    with suppress(OSError):
        while folder != within and within in folder.parents:
            folder.rmdir()
            folder = folder.parent
