"""The engine over files, arrays and pipes: the code that sounds live, with its latency taken off.

What an engine owes at the end of the sound comes out while it is fed `latency` samples of silence; its first
`latency` samples are dropped. Files stream through in blocks, whatever their length, each through its own engine.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from threading import Event
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..engine import Engine, process
from ..errors import BadInput, Unavailable, unknown
from ..settings import MOST_CHANNELS, STEMS, Settings
from .files import BLOCK, FORMATS, Name, RawReader, RawWriter, Reader, Sound, Writer, load

PIPE = "-"
"""The name of standard input among sources, and of standard output as a folder."""

Progress = Callable[[str, int, int | None], None]
"""Called as `progress(source, samples done, samples in all or None)`, from the thread that works on the source."""


class Report(NamedTuple):
    """What became of one source."""

    source: str
    written: tuple[Path, ...]  # empty if it failed
    warnings: tuple[str, ...]  # sentences
    error: BadInput | Unavailable | None  # why it failed


def separate(
    source: ArrayLike | Name,
    *,
    sample_rate: float | None = None,
    mode: str = "offline",
    settings: Settings | None = None,
    stems: Sequence[str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    mix: bool = False,
) -> dict[str, Sound]:
    """Separate an array or a sound file into stems, which are aligned with it to the sample and add up to it.

    Parameters
    ----------
    source : floats (samples, channels) or (samples,), or the path of a sound file
    sample_rate : of an array, Hz, 8,000 to 192,000; a file has its own
    mode : a name of MODES
    settings : takes the place of `mode`
    stems : which of STEMS to return; all of them if left out
    parameters : values by the ids of PARAMETERS, as {"hpss.separation": 2}
    mix : whether to return "mix" too: the stems as the faders of `parameters` weigh them

    Returns
    -------
    {stem: float32 of the shape of `source`}; (samples, channels) for a file

    Raises
    ------
    BadInput : for an unknown name, a value out of its range, or a file that cannot be read.
    """
    names = _names(stems, mix)
    engine = _engine(settings or Settings(mode=mode), parameters)
    if isinstance(source, str | os.PathLike):
        if sample_rate is not None:
            raise BadInput("a file has its own sample rate: leave sample_rate out.")
        sound, rate = load(source)
    else:
        if sample_rate is None:
            raise BadInput("an array needs its sample rate: separate(array, sample_rate=44100).")
        sound, rate = np.asarray(source), sample_rate
        if sound.ndim not in (1, 2) or sound.shape[1:] > (MOST_CHANNELS,):
            raise BadInput(
                f"an array of shape {sound.shape}: it must be (samples,) or (samples, channels), with at most "
                f"{MOST_CHANNELS} channels."
            )
        if not np.issubdtype(sound.dtype, np.floating):
            raise BadInput(f"an array of {sound.dtype}: it must hold floats, full scale being -1 to 1.")
    shape = sound.shape
    sound = sound[:, np.newaxis] if sound.ndim == 1 else sound
    engine.prepare(sample_rate=rate, channels=sound.shape[1])
    results = {name: np.empty(sound.shape, np.float32) for name in names}
    done = 0
    for parts in _render(engine, (sound[start : start + BLOCK] for start in range(0, len(sound), BLOCK))):
        samples = len(parts["mix"])
        for name in names:
            results[name][done : done + samples] = parts[name]
        done += samples
    return {name: result.reshape(shape) for name, result in results.items()}


def separate_files(
    sources: Sequence[Name],
    folder: Name,
    *,
    settings: Settings | None = None,
    stems: Sequence[str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    mix: bool = False,
    format: str = "wav",
    jobs: int = 1,
    force: bool = False,
    sample_rate: float | None = None,
    channels: int | None = None,
    progress: Progress | None = None,
) -> list[Report]:
    """Separate sound files into FOLDER/<name>/<stem>.<format>, in constant memory.

    The files of a source appear together when all of them are whole; a source that fails leaves nothing, and the
    others go on. An interrupt leaves nothing unfinished either.

    Parameters
    ----------
    sources : paths; "-" is raw little-endian float32 from standard input, channels interleaved, and is named stdin
    folder : made if need be; "-" sends one stem (or, if no stems are named, the mix) of one source to standard
        output as raw little-endian float32. It ends quietly when nobody reads any more.
    settings : Settings(mode="offline") if left out
    stems, parameters, mix : as for `separate`
    format : "wav" (32-bit float) or "flac" (24 bit)
    jobs : sources worked on at a time, each in a thread
    force : replace files that are there already
    sample_rate, channels : of standard input
    progress : is told how far each source is

    Returns
    -------
    a report per source, in their order

    Raises
    ------
    BadInput : before any work begins, if what is asked for makes no sense or would replace a file.
    """
    places, folder = [os.fspath(source) for source in sources], os.fspath(folder)
    if stems is None and mix and folder == PIPE:
        stems = ()
    names = _names(stems, mix)
    settings = settings or Settings(mode="offline")
    _engine(settings, parameters)
    if not names:
        raise BadInput("nothing to write: name stems, or ask for the mix.")
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if jobs < 1:
        raise BadInput(f"{jobs} jobs: there must be at least 1.")
    if PIPE in places and (sample_rate is None or channels is None):
        raise BadInput("raw sound does not tell its rate and channels: add -r RATE -c CHANNELS.")
    plan = _plan(places, folder, names, format, force)
    raw = (sample_rate or 0, channels or 0)
    stop = Event()

    def work(source: str, outputs: dict[str, Path]) -> Report:
        try:
            with ExitStack() as stack:
                reader = RawReader(sys.stdin.buffer, *raw) if source == PIPE else Reader(source)
                stack.enter_context(reader)
                engine = _engine(settings, parameters)
                engine.prepare(sample_rate=reader.sample_rate, channels=reader.channels)
                writers: dict[str, Writer | RawWriter] = {}
                for name, path in outputs.items():
                    stack.callback(_remove_empty, path.parent)
                    writers[name] = (
                        RawWriter(sys.stdout.buffer)
                        if folder == PIPE
                        else Writer(path, reader.sample_rate, reader.channels, force=force)
                    )
                    stack.enter_context(writers[name])
                done = 0
                for parts in _render(engine, reader.blocks()):
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
        except BrokenPipeError:
            return Report(source, (), (), None)
        except (BadInput, Unavailable) as error:
            return Report(source, (), (), error)
        warnings = [part.warning for part in (reader, *writers.values()) if part.warning]
        return Report(source, tuple(outputs.values()) if folder != PIPE else (), tuple(warnings), None)

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


def _names(stems: Sequence[str] | None, mix: bool) -> tuple[str, ...]:
    """The names of the sounds that are wanted."""
    for stem in stems or ():
        if stem not in STEMS:
            raise unknown("stem", stem, STEMS)
    return (*(STEMS if stems is None else stems), *(["mix"] if mix else []))


def _engine(settings: Settings, parameters: Mapping[str, float | str] | None) -> Engine:
    engine = Engine(settings)
    engine.parameters.update(parameters or {})
    return engine


def _plan(
    sources: Sequence[str], folder: str, names: Sequence[str], format: str, force: bool
) -> dict[str, dict[str, Path]]:
    """Where each sound of each source goes; `BadInput` if two would go to one place or one is taken."""
    if folder == PIPE:
        if len(sources) != 1 or len(names) != 1:
            raise BadInput("standard output takes one sound of one source: name one stem, or the mix alone.")
        return {sources[0]: {names[0]: Path(PIPE)}}
    plan: dict[str, dict[str, Path]] = {}
    taken: dict[str, str] = {}
    for source in sources:
        home = Path(folder) / ("stdin" if source == PIPE else Path(source).stem)
        first = taken.get(home.name.casefold())  # upper and lower case are one on many disks
        if first is not None:
            raise BadInput(f"{first} and {source} would both go to {home}: separate them into two folders.")
        taken[home.name.casefold()] = source
        plan[source] = {name: home / f"{name}.{format}" for name in names}
    outputs = [path for paths in plan.values() for path in paths.values()]
    inputs = {Path(source).resolve() for source in sources}
    for path in outputs:
        if path.resolve() in inputs:
            raise BadInput(f"{path} is one of the sources: choose another folder.")
    there = [path for path in outputs if path.exists()]
    if there and not force:
        others = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise BadInput(f"{there[0]}{others} exists already: choose another folder, or add --force to replace.")
    return plan


def _render(engine: Engine, blocks: Iterable[Sound]) -> Iterator[dict[str, Sound]]:
    """The stems and "mix" of `blocks` (at most BLOCK, channels), aligned with them and as long in all.

    The arrays are views which the next block overwrites.
    """
    channels, late = engine.channels, engine.latency
    block, mix = (np.zeros((BLOCK, channels), np.float32) for _ in range(2))
    stems = np.zeros(len(STEMS) * BLOCK * channels, np.float32)
    silence = np.zeros((late, channels), np.float32)
    rest = (silence[start : start + BLOCK] for start in range(0, late, BLOCK))
    for given in chain(blocks, rest):
        samples = len(given)
        block[:samples] = given
        parts = stems[: len(STEMS) * samples * channels].reshape(len(STEMS), samples, channels)
        process(engine.state, block[:samples], mix[:samples], parts)
        early = min(late, samples)
        late -= early
        if early < samples:
            yield dict(zip(STEMS, parts[:, early:], strict=True)) | {"mix": mix[early:samples]}


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
