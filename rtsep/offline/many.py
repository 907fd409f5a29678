"""Many sound files into stems: where each goes, how all of a source appear together, and what became of them."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import NamedTuple

import soundfile

from .. import disk
from ..errors import BadInput, Unavailable, unknown
from ..settings import Settings
from . import notes as rolls
from . import score as scores
from .beside import completed_by_file, unknown_beside
from .files import Name, RawReader, Reader, Sound, name_of
from .render import Melody, engine_of, melody_of, names_of, pitched, render, score_of, timed
from .writer import FORMATS, RawWriter, Writer, encoded

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


class Report(NamedTuple):
    """What became of one source."""

    source: str
    written: tuple[Path, ...]  # empty if it failed
    warnings: tuple[str, ...]  # sentences
    error: BadInput | Unavailable | None  # why it failed


_Outputs = Mapping[tuple[str, str], Path]  # by stem and format, or what else is written


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
    names = names_of(stems, mix, settings)
    engine_of(settings, parameters)
    if score is not None and len(places) != 1:
        raise BadInput("a score belongs to one song: separate the others without it.")
    regions = score_of(score)
    if not names:
        raise BadInput("nothing to write: name stems, or ask for the mix.")
    encoded(format, bits)
    if jobs < 1:
        raise BadInput(f"{jobs} jobs: there must be at least 1.")
    if PIPE in places and (sample_rate is None or channels is None):
        raise BadInput("raw sound does not tell its rate and channels: add -r RATE -c CHANNELS.")
    templates = pitched(settings) if midi_out else None
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
                engine = engine_of(known, parameters)
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
                for parts in render(engine, reader.blocks(), track if table else None, heard if templates else None):
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
                    _write_table(table, melody_of(engine, track, done / reader.sample_rate))
                if templates:
                    duration_s = done / reader.sample_rate
                    notes = rolls.notes_in(*timed(engine, heard, duration_s), templates)
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


def _write_table(path: Path, melody: Melody) -> None:
    rows = (f"{time:.2f},{f0:.2f},{sure:.3f}\n" for time, f0, sure in zip(*melody, strict=True))
    disk.write(path, ("time_s,f0_hz,confidence\n" + "".join(rows)).encode())


def _remove_empty(folder: Path, within: Path) -> None:
    """Remove what is empty of the folders from `folder` up to `within`."""
    with suppress(OSError):
        while folder != within and within in folder.parents:
            folder.rmdir()
            folder = folder.parent
