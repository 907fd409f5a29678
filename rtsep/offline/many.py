"""Many sound files into stems: where each goes, how all of a source appear together, and what became of them."""

import os
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray

from .. import disk
from ..errors import BadInput, Unavailable, unknown
from ..settings import Settings
from ..templates import Templates
from . import notes as rolls
from . import score as scores
from .beside import completed_by_file, unknown_beside
from .files import Name, RawReader, Reader, Sound, name_of
from .render import Melody, engine_of, melody_of, names_of, pitched, render, score_of, timed
from .resume import Record, fingerprint
from .writer import FORMATS, RawWriter, Writer, encoded

T = TypeVar("T")

_TABLE, _MIDI, _ROLL = ("f0", "csv"), ("notes", "mid"), ("notes", "svg")  # what is no sound among the outputs

FILENAME = "{track}/{stem}.{ext}"
"""Where the files of a source go; {folder} is that of the source, {trackext} what its name ends in."""

# What a folder is searched for, beside what libsndfile and ffmpeg name after themselves.
_SUFFIXES = {".wave", ".aif", ".aifc", ".oga", ".opus", ".snd", ".mp2", ".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv"}
_SUFFIXES |= {".webm", ".wma", ".ac3", ".ape", ".wv"}

PIPE = "-"
"""The name of standard input among sources, and of standard output as a folder."""

Progress = Callable[[str, int, int | None], None]
"""Called as `progress(source, samples done, samples in all or None)`, from the thread that works on the source.

The work on it ends if `concurrent.futures.CancelledError` is raised.
"""


class Report(NamedTuple):
    """What became of one source."""

    source: str
    written: tuple[Path, ...]  # empty if it failed
    warnings: tuple[str, ...]  # sentences
    error: BadInput | Unavailable | None  # why it failed
    kept: bool = False  # all that is `written` was there already


Outputs = Mapping[tuple[str, str], Path]  # by stem and format, or what else is written


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
    jobs: int | Callable[[], int] = 1,
    executor: Executor | None = None,
    resume: bool = False,
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
    jobs : sources worked on at a time, each in a thread; or how many an `executor` holds at a time, which may be a
        function, for workers that come and go
    executor : does the work in place of threads, as `concurrent.futures.ProcessPoolExecutor` or those of clusters do;
        paths must mean the same to its workers, and those that may die at work need `resume`
    resume : leave what is done as it is, and replace what was made of another content or with other settings; both are
        known by the records in FOLDER/.rtsep, which are written too
    force : replace files that are there already
    sample_rate, channels : of standard input
    midi_out : also write the notes by templates that have pitches: notes.mid, and notes.svg, a picture of them
    progress : is told how far each source is; an `executor` may have to send it to other processes
    report : is told of each source when it is done, in the thread that called
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
    if PIPE in (folder, *places) and (executor is not None or resume):
        raise BadInput("- is a pipe, which neither workers nor --resume can have: name sound files and a folder.")
    base = "" if executor is None else os.getcwd()  # workers may have been started elsewhere
    folder = os.path.join(base, folder)
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
    most = jobs() if callable(jobs) else jobs
    if most < 1:
        raise BadInput(f"{most} jobs: there must be at least 1.")
    if PIPE in places and (sample_rate is None or channels is None):
        raise BadInput("raw sound does not tell its rate and channels: add -r RATE -c CHANNELS.")
    templates = pitched(settings) if midi_out else None
    if templates and folder == PIPE:
        raise BadInput("standard output takes one sound: name a folder for the notes.")
    others = [_TABLE] if settings.melody else []
    others += [_MIDI, _ROLL] if templates else []
    plan = _plan(places, folder, filename, [*((name, format) for name in names), *others], force, resume)
    stop = Event()

    def going(source: str, done: int, length: int | None) -> None:
        if stop.is_set():
            raise CancelledError
        if progress:
            progress(source, done, length)

    work = _Work(
        base=base,
        folder=folder,
        filename=filename,
        settings=settings,
        parameters=dict(parameters or {}),
        names=names,
        format=format,
        bits=bits,
        force=force,
        regions=regions,
        templates=templates,
        raw=(sample_rate or 0, channels or 0),
        resume=resume,
        progress=going if executor is None else progress,
    )
    begin()
    if executor is not None:
        return spread(executor, work, plan, jobs, report)
    threads = min(most, len(plan))
    with ThreadPoolExecutor(threads) if threads > 1 else Here() as pool:
        return spread(pool, work, plan, threads, report, stop.set)


@dataclass(frozen=True)
class _Work:
    """What is done with each source. It can be sent to another process, if `progress` can."""

    base: str  # what paths of sources are relative to
    folder: str
    filename: str
    settings: Settings
    parameters: Mapping[str, float | str]
    names: tuple[str, ...]
    format: str
    bits: int | None
    force: bool
    regions: NDArray[np.float32] | None  # of a score
    templates: Templates | None  # whose notes are written
    raw: tuple[float, int]  # sample rate in Hz and channels of standard input
    resume: bool
    progress: Progress | None

    def __call__(self, source: str, outputs: Outputs) -> Report:
        """Separate a source; what is wrong with it, or with the disk, is in the report."""
        try:
            return self._separated(source, os.path.join(self.base, source), outputs)
        except BrokenPipeError:
            return Report(source, (), (), None)
        except (BadInput, Unavailable) as error:
            return Report(source, (), (), error)
        except OSError as error:  # a disk or a network that fails amid reading
            return Report(source, (), (), Unavailable(f"cannot read {source}: {error.strerror or error}."))

    def _separated(self, source: str, place: str, outputs: Outputs) -> Report:
        settings, regions = self.settings, self.regions
        with ExitStack() as stack:
            reader = RawReader(sys.stdin.buffer, *self.raw) if source == PIPE else Reader(place)
            stack.enter_context(reader)
            record, made_of, ours = None, "", set[Path]()
            if self.resume:
                record = _record(self.folder, self.filename, place)
                made_of, ours = self._made_of(place), record.files()
                if not self.force and record.holds(made_of, outputs.values()):
                    return Report(source, tuple(outputs.values()), (), None, kept=True)
            if source == PIPE:
                known, beside = settings, unknown_beside(settings)
            else:
                known, beside = completed_by_file(settings, place)
            engine = engine_of(known, self.parameters)
            engine.prepare(sample_rate=reader.sample_rate, channels=reader.channels, score=regions)
            writers: dict[str, Writer | RawWriter] = {}
            track: list[Sound] = []
            heard: list[Sound] = []
            table = outputs.get(_TABLE)
            for name in self.names:
                path = outputs[name, self.format]
                stack.callback(_remove_empty, path.parent, Path(self.folder))
                force = self.force or path in ours
                writers[name] = (
                    RawWriter(sys.stdout.buffer)
                    if self.folder == PIPE
                    else Writer(
                        path, reader.sample_rate, reader.channels, format=self.format, bits=self.bits, force=force
                    )
                )
                stack.enter_context(writers[name])
            done = 0
            notes_of = heard if self.templates else None
            for parts in render(engine, reader.blocks(), track if table else None, notes_of):
                for name, writer in writers.items():
                    writer.write(parts[name])
                done += len(parts["mix"])
                if self.progress:
                    self.progress(source, done, reader.length)
            # All are whole before the first gets its name.
            for writer in writers.values():
                writer.finish()
            if record:
                record.write(made_of, outputs.values(), whole=False)
            if table:
                _write_table(table, melody_of(engine, track, done / reader.sample_rate))
            if self.templates:
                duration_s = done / reader.sample_rate
                notes = rolls.notes_in(*timed(engine, heard, duration_s), self.templates)
                colors = dict(zip(self.templates.parts, self.templates.colors, strict=True))
                rolls.write_midi(outputs[_MIDI], notes)
                rolls.write_picture(outputs[_ROLL], notes, colors, duration_s)
        if record:
            record.write(made_of, outputs.values(), whole=True)
        misfit = scores.fits(regions, done / reader.sample_rate) if regions is not None else None
        told = [*(part.warning for part in (reader, *writers.values())), misfit, beside]
        warnings = [sentence for sentence in told if sentence]
        return Report(source, tuple(outputs.values()) if self.folder != PIPE else (), tuple(warnings), None)

    def _made_of(self, place: str) -> str:
        parameters = sorted(self.parameters.items())
        return fingerprint(place, self.settings, parameters, self.names, self.format, self.bits, self.regions)


class Here(Executor):
    """Works at once, in the thread that submits."""

    def submit(self, fn: Callable[..., T], /, *arguments: Any, **more: Any) -> Future[T]:
        """What has been done already."""
        future = Future[T]()
        try:
            future.set_result(fn(*arguments, **more))
        except Exception as error:
            future.set_exception(error)
        return future


def spread(
    executor: Executor,
    work: Callable[[str, Outputs], Report],
    plan: Mapping[str, Outputs],
    jobs: int | Callable[[], int],
    report: Callable[[Report], object] | None = None,
    stop: Callable[[], object] = lambda: None,
) -> list[Report]:
    """Have `executor` do the `work` on each source of a `plan`; a report for each, in their order.

    At most `jobs` are submitted and not yet done. Workers that die, and errors that nobody foresaw, fail the sources
    that they concern, and no others. On an interrupt `stop` is called, what has not begun is cancelled, and the rest is
    waited for.

    Raises
    ------
    Unavailable : if the executor takes no more, or has given up what it took.
    """
    running: dict[Future[Report], str] = {}
    reports: dict[str, Report] = {}

    def take(future: Future[Report]) -> None:
        source = running.pop(future)
        reports[source] = _outcome(source, future)
        if report:
            report(reports[source])

    waiting = deque(plan.items())
    try:
        while waiting or running:
            while waiting and len(running) < max(jobs() if callable(jobs) else jobs, 1):
                source, outputs = waiting.popleft()
                try:
                    future = executor.submit(work, source, outputs)
                except RuntimeError as error:
                    raise Unavailable(f"there are no workers any more: {error}.") from error
                running[future] = source
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                if future.cancelled():
                    raise Unavailable("there are no workers any more: what was asked of them is given up.")
                take(future)
    except BaseException:
        stop()
        begun = [future for future in running if not future.cancel()]
        for future in wait(begun).done:
            if future.exception() is None:  # it was done meanwhile
                take(future)
        raise
    return [reports[source] for source in plan]


def _outcome(source: str, future: Future[Report]) -> Report:
    """What `future` reports; if it failed, that."""
    try:
        return future.result()
    except Exception as error:  # also of the executor: the worker was killed, or is out of reach
        failed = Unavailable(f"{source} was given up: {type(error).__name__}: {str(error).strip() or 'no reason told'}")
        failed.__cause__ = error
        return Report(source, (), (), failed)


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
    sources: Sequence[str], folder: str, pattern: str, kinds: Sequence[tuple[str, str]], force: bool, resume: bool
) -> dict[str, Outputs]:
    """Where each of `kinds` of each source goes; `BadInput` if two would go to one place or one is taken.

    With `resume` what was written of a source before is its own.
    """
    if folder == PIPE:
        sounds = [kind for kind in kinds if kind[1] in FORMATS]
        if len(sources) != 1 or len(sounds) != 1:
            raise BadInput("standard output takes one sound of one source: name one stem, or the mix alone.")
        return {sources[0]: {sounds[0]: Path(PIPE)}}
    plan: dict[str, Outputs] = {}
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
    places = {path: source for source, outputs in plan.items() for path in outputs.values()}
    inputs = {os.path.realpath(source) for source in sources}
    for path in places:
        if os.path.realpath(path) in inputs:
            raise BadInput(f"{path} is one of the sources: choose another folder.")
    there = [path for path in places if os.path.lexists(path)] if not force else []
    if resume:
        ours = {source: _record(folder, pattern, source).files() for source in {places[path] for path in there}}
        there = [path for path in there if path not in ours[places[path]]]
    if there:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise BadInput(f"{there[0]}{more} exists already: choose another folder, or add --force to replace.")
    return plan


def _record(folder: str, pattern: str, source: str) -> Record:
    """What is known of the outputs of a source, whatever their stems and formats."""
    return Record(Path(folder), "/".join(_parts(pattern, source, "", "")))


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
