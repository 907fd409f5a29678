"""`rtsep separate`: sound files into stems."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..errors import BadInput, Unavailable
from ..idle import moves_the_mix_alone
from ..library import warm_up
from ..live.painter import printable
from ..offline.informed import separate_file_by_score
from ..offline.many import FILENAME, Report, separate_files, sound_files
from ..settings import GROUPS, STEMS, Settings
from ..streams import say, tell
from .options import SCORE_HELP, engine_options, pairs, positive, settings_of, values_of

_FEW = 3  # files whose failures need not be counted

# What stems are called elsewhere.
_ELSEWHERE = {
    **dict.fromkeys(("vocals", "vocal", "voice", "lead"), "melody"),
    "drums": "percussive",
    **dict.fromkeys(("bass", "guitar", "piano", "other"), "harmony"),
    **dict.fromkeys(("instrumental", "no_vocals"), "accompaniment"),
    "no_drums": "harmonic",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = "Sound files into stems, and the melody's pitch into f0.csv. Mode offline is librosa's HPSS."
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound files, or folders of them; - is raw float32 "
                        "on standard input")  # fmt: skip
    parser.add_argument("-o", "--output", default="stems", metavar="DIR", help="folder (default: stems); - is "
                        "standard output")  # fmt: skip
    parser.add_argument("--filename", metavar="PATTERN", help="where in the folder files go (default: "
                        "{track}/{stem}.{ext}); {folder} is the song's folder")  # fmt: skip
    parser.add_argument("--stems", metavar="A,B", help=f"which of {', '.join((*STEMS, *GROUPS))}; or vocals, drums, "
                        "bass, other")  # fmt: skip
    parser.add_argument("--score", metavar="FILE", help=SCORE_HELP)
    parser.add_argument("--by", metavar="B", help="let the score, if aligned, part the sound: track, hand or note")
    parser.add_argument("--split-at", default="C4", metavar="PITCH", help="the lowest of the upper hand (default: C4)")
    parser.add_argument("--tolerance", type=positive, default=0.1, metavar="S", help="of the alignment (default: 0.1)")
    parser.add_argument("--mix", action="store_true", help="also write the mix with the faders as set")
    parser.add_argument("--midi-out", action="store_true", help="also write notes.mid and notes.svg, from pitched kits")
    parser.add_argument("--format", default="wav", metavar="F", help="wav (default), flac, mp3, ogg or opus")
    parser.add_argument("--bits", type=int, metavar="N", help="of a sample: 32 (float, default), 24 or 16 in wav, "
                        "24 (default) or 16 in flac")  # fmt: skip
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="files at a time")
    parser.add_argument("--cluster", metavar="WHERE", help="let workers of Dask do it: local, local:N, or where its "
                        "scheduler is; implies --resume")  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="leave what is done, do what is missing or has changed")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    parser.add_argument("-r", "--rate", type=positive, metavar="RATE", help="sample rate of standard input, Hz")
    parser.add_argument("-c", "--channels", type=int, metavar="N", help="channels of standard input")
    engine_options(parser, "quality")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    if options.by is not None:
        _by_score(options)
        return
    settings = settings_of(options)
    assignments = values_of(options, settings)
    if not options.mix:
        _refuse_without_mix(options, assignments, settings)
    stems = _stems(options.stems, settings)
    files = [file for source in options.files for file in sound_files(source)]
    resume = options.resume or options.cluster is not None
    reports: list[Report] = []
    try:
        with ExitStack() as stack:
            bars = stack.enter_context(_Bars(len(files)))
            if options.cluster is None:
                how = {"jobs": options.jobs, "progress": bars.move, "begin": partial(warm_up, tell)}
            else:
                how = _on_cluster(stack, options, files, bars)

            def reported(report: Report) -> None:
                reports.append(report)
                bars.end(report.source)

            separate_files(
                files,
                options.output,
                settings=settings,
                stems=stems,
                parameters=assignments,
                mix=options.mix,
                format=options.format,
                bits=options.bits,
                filename=options.filename or FILENAME,
                resume=resume,
                force=options.force,
                sample_rate=options.rate,
                channels=options.channels,
                score=options.score,
                midi_out=options.midi_out,
                report=reported,
                **how,
            )
    except (KeyboardInterrupt, Unavailable) as end:
        _tell_of(reports)
        done = {report.source for report in reports if report.written}
        left = [file for file in files if file not in done]
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        if resume and (reports or isinstance(end, KeyboardInterrupt)):
            tell(f"interrupted: {len(done)} of {len(files)} done, and the same command goes on with the rest.")
        elif isinstance(end, KeyboardInterrupt):
            tell(f"interrupted: {len(done)} done, nothing is written of {', '.join(left[:3])}{more}.")
        raise
    _tell_of(reports)
    # The one that decides the exit code comes last: a machine that cannot, before a file that makes no sense.
    errors = sorted((report.error for report in reports if report.error), key=lambda error: isinstance(error, OSError))
    if len(files) > _FEW and errors:
        tell(f"{len(errors)} of {len(files)} files failed:")
    for error in errors[:-1]:
        tell(str(error))
    if errors:
        raise errors[-1]


class _Bars(Progress):
    """How far all files are, and each that is being worked on, where standard error is a terminal."""

    def __init__(self, files: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        super().__init__(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._whole = self.add_task(f"{files} files", total=files, visible=files > 1)
        self._of: dict[str, TaskID | None] = {}  # None: it is done
        self._one = Lock()  # word from elsewhere may come when all is over

    def move(self, source: str, done: int, length: int | None) -> None:
        """`source` is so far, in samples."""
        with self._one:
            if source not in self._of:
                self._of[source] = self.add_task(printable(os.fsencode(source).decode(errors="replace")), total=None)
            task = self._of[source]
            if task is not None:
                self.update(task, completed=done, total=length)

    def end(self, source: str) -> None:
        """`source` is done."""
        with self._one:
            task = self._of.get(source)
            self._of[source] = None
            if task is not None:
                self.remove_task(task)
            self.update(self._whole, advance=1)


def _on_cluster(stack: ExitStack, options: argparse.Namespace, files: Sequence[str], bars: _Bars) -> dict[str, Any]:
    """How workers of Dask separate; `stack` ends them."""
    from ..offline.cluster import connected

    if options.jobs != 1:
        raise BadInput(f"-j {options.jobs} is for this process alone, and workers are asked: leave it out.")
    cluster = stack.enter_context(connected(options.cluster))

    def begin() -> None:
        warm_up(tell)
        os.makedirs(options.output, exist_ok=True)
        cluster.prepare({os.path.abspath(options.output), *filter(os.path.isdir, map(_folder, files))})
        many = cluster.threads()
        tell(f"{many} files at a time." if many else "no worker is there yet, and the files wait for the first.")
        tell(f"what the workers do: {cluster.dashboard}")

    return {
        "executor": cluster.executor,
        "jobs": cluster.jobs,
        "progress": cluster.watched(bars.move),
        "begin": begin,
    }


def _folder(file: str) -> str:
    return os.path.dirname(os.path.abspath(file))


def _tell_of(reports: Sequence[Report]) -> None:
    kept = sum(report.kept for report in reports)
    if kept:
        tell(f"{kept} of {len(reports)} files were done before.")
    for report in reports:
        tell(*report.warnings)
        if report.kept:
            continue
        for path in report.written:
            say(str(path))


def _stems(text: str | None, settings: Settings) -> list[str] | None:
    """The stems of --stems; those that have other names elsewhere are told of."""
    if text is None:
        return None
    named = [name.strip() for name in text.split(",") if name.strip()]
    theirs: dict[str, list[str]] = {}
    stems: list[str] = []
    for name in named:
        known = name in (*settings.stems, *settings.groups)
        stem = name if known else _ELSEWHERE.get(name.lower(), name)
        stems.append(stem)
        if stem != name:
            theirs.setdefault(stem, []).append(name)
    if theirs:
        said = [f"{' and '.join(names)} as {stem}" for stem, names in theirs.items()]
        tell(f"written under their names here: {', '.join(said)}.")
    return list(dict.fromkeys(stems))


def _refuse_without_mix(options: argparse.Namespace, assignments: Mapping[str, Any], settings: Settings) -> None:
    """Stems are written as they are before the faders."""
    chosen = pairs(options.set)
    for id in chosen:
        if moves_the_mix_alone(id, settings):
            raise BadInput(f"{id} moves the mix alone, and the stems are written without it: add --mix.")
    if options.preset and all(moves_the_mix_alone(id, settings) for id in assignments if id not in chosen):
        tell(f"the preset {options.preset} moves the mix alone, and the stems are written without it: add --mix.")


def _by_score(options: argparse.Namespace) -> None:
    if options.score is None or len(options.files) != 1:
        raise BadInput("--by needs one sound file and its --score.")
    if options.resume or options.cluster is not None:
        raise BadInput("--by is for one file at a time: leave --resume and --cluster out.")
    if options.filename is not None:
        raise BadInput("--filename goes without --by: the stems are called as the score's.")

    tell(f"by the score {options.score}, a few seconds for each minute of sound ...")
    for path in separate_file_by_score(
        options.files[0],
        options.score,
        options.output,
        by=options.by,
        split_at=options.split_at,
        tolerance_s=options.tolerance,
        format=options.format,
        bits=options.bits,
        force=options.force,
    ):
        say(str(path))
