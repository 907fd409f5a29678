"""`rtsep hum`: which song it is that somebody hums."""

import argparse
import json

from ..errors import BadInput
from ..library import warm_up
from ..offline.hum import Match, add_files, contour, load
from ..offline.many import Report
from ..streams import say, tell
from .options import json_too


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    adding = commands.add_parser("add", help="follow the melodies of songs and keep them in an index file")
    adding.add_argument("index", metavar="INDEX", help="index file, as in songs.hum; made if there is none")
    adding.add_argument("files", nargs="+", metavar="FILE", help="sound files, or folders of them")
    adding.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="files at a time")
    adding.add_argument("--force", action="store_true", help="follow those too that it knows already")
    adding.set_defaults(run=_add)
    finding = commands.add_parser("find", help="list the songs that are most like what is hummed, sung or whistled")
    finding.add_argument("index", metavar="INDEX", help="index file that 'hum add' wrote")
    finding.add_argument("queries", nargs="+", metavar="HUM", help="sound file of a voice alone, best 6 to 15 s")
    finding.add_argument("--top", type=int, default=5, metavar="N", help="songs to list (default: 5)")
    json_too(finding)
    finding.set_defaults(run=_find)


def _add(options: argparse.Namespace) -> None:
    warm_up(tell)

    def told(report: Report) -> None:
        tell(*report.warnings)
        if not report.error and not report.kept:
            say(report.source)

    try:
        reports = add_files(options.index, options.files, jobs=options.jobs, force=options.force, report=told)
    except KeyboardInterrupt:
        tell("interrupted: what was followed is kept, and the same command goes on with the rest.")
        raise
    # The one that decides the exit code comes last: a machine that cannot, before a file that makes no sense.
    errors = sorted((report.error for report in reports if report.error), key=lambda error: isinstance(error, OSError))
    kept = sum(report.kept for report in reports)
    tell(f"{options.index}: {len(reports) - kept - len(errors)} songs added, {kept} were known, {len(errors)} failed.")
    for error in errors[:-1]:
        tell(str(error))
    if errors:
        raise errors[-1]


def _find(options: argparse.Namespace) -> None:
    if options.top < 1:
        raise BadInput(f"--top {options.top}: it must be at least 1.")
    index = load(options.index)
    if not index.songs:
        raise BadInput(f"{options.index} holds no songs: add some with rtsep hum add.")
    warm_up(tell)
    found = []
    for query in options.queries:
        melody = contour(query)
        try:
            matches = index.search(melody, options.top)
        except BadInput as error:
            raise BadInput(f"{query}: {error}") from error
        found.append({"query": query, "matches": [match._asdict() for match in matches]})
        if not options.json:
            say(query)
            for place, match in enumerate(matches, 1):
                say(_line(place, match))
    if options.json:
        print(json.dumps(found, indent=2))


def _line(place: int, match: Match) -> str:
    semitones = round(match.semitones)
    unit, way = "semitones" if abs(semitones) > 1 else "semitone", "lower" if semitones < 0 else "higher"
    key = f"{abs(semitones)} {unit} {way}" if semitones else "the same key"
    when = f"{_clock(match.start_s)} to {_clock(match.end_s)}"
    return f"{place:4}  {match.score:.2f}  {when:16}  {key:19}  {match.song}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
