"""The command line: what it takes, which part of the program does it, and how it ends.

Exit codes: 0 well, 2 asked for what cannot be, 3 a device, a library or the disk cannot be had, 130 Ctrl-C.
Everything that makes sound is imported only when it is needed, so that --help answers at once.
"""

import argparse
import signal
import sys
import warnings
from typing import Any

from . import __version__
from .errors import BadInput, Unavailable, unknown
from .live.controls import PRESETS
from .parameters import PARAMETERS, Parameter
from .settings import GROUPS, MODES, STEMS, Settings


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process if None); the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite request to end does what Ctrl-C does
    warnings.showwarning = lambda message, *_: print(f"rtsep: {message}", file=sys.stderr)
    try:
        options.run(options)
    except (BadInput, Unavailable) as error:
        print(f"rtsep: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadInput) else 3
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rtsep",
        description="Live un-mixing: drums, lead and harmonies apart while the music sounds.",
        epilog="Start with: rtsep demo",
    )
    parser.add_argument("--version", action="version", version=f"rtsep {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="un-mix the bundled song live, and write what came of it; needs nothing")
    demo.add_argument("-o", "--output", metavar="DEV", help="sound device (default: the system's, else virtual)")
    demo.add_argument("-d", "--folder", default="rtsep-demo", help="where to write (default: rtsep-demo)")
    demo.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    _engine_options(demo, "balanced")
    demo.set_defaults(run=_demo)

    live = commands.add_parser("live", help="un-mix what a sound card hears", epilog=_PARAMETER_HELP, **_RAW)
    live.add_argument("-i", "--input", metavar="DEV", help="device (name, unique part of it, or number), a sound file, "
                      "or 'virtual' (the bundled song)")  # fmt: skip
    live.add_argument("-o", "--output", metavar="DEV", help="device, or 'virtual'")
    live.add_argument("-r", "--rate", type=_positive, metavar="RATE", help="sample rate in Hz (default: the device's)")
    live.add_argument("-b", "--block", type=int, default=0, metavar="BLOCK", help="block size in samples")
    live.add_argument("-c", "--channels", type=int, metavar="N", help="channels (default: at most 2)")
    live.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    live.add_argument("--score", metavar="FILE", help="MIDI or CSV file of the song's melody")
    live.add_argument("--record", metavar="DIR", help="write input, output and stems to DIR")
    live.add_argument("--force", action="store_true", help="replace files that exist")
    live.add_argument("--stems-out", action="store_true", help="play each stem on output channels of its own")
    _engine_options(live, "balanced")
    live.set_defaults(run=_live)

    karaoke = commands.add_parser(
        "karaoke",
        help="sing in the lead's place",
        description="A song loses its lead; the microphone takes its place, and is judged by it.",
        epilog=_PARAMETER_HELP,
        **_RAW,
    )
    karaoke.add_argument("song", nargs="?", default="virtual", metavar="SONG", help="sound file, input device, or "
                         "'virtual' (the bundled song, default)")  # fmt: skip
    karaoke.add_argument("-o", "--output", metavar="DEV", help="device, or 'virtual'")
    karaoke.add_argument("--mic", metavar="DEV", help="device, sound file, or 'none' (default: the default input)")
    karaoke.add_argument("--mic-channel", type=int, metavar="N", help="which input of the device the microphone is")
    karaoke.add_argument("--guide", default="-18", metavar="DB", help="the lead's level (default: -18; =-inf is none)")
    karaoke.add_argument("--key", default="0", metavar="N", help="semitones up or down, -12 to 12")
    karaoke.add_argument("--no-duck", action="store_true", help="leave the guide on while the singer is on pitch")
    karaoke.add_argument("--score", metavar="FILE", help="MIDI or CSV file of the song's melody")
    karaoke.add_argument("--loop", action="store_true", help="start the song again at its end")
    karaoke.add_argument("-b", "--block", type=int, default=0, metavar="BLOCK", help="block size in samples")
    karaoke.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    karaoke.add_argument("--picture", metavar="PNG", help="draw the pitches of song and singer at the end")
    karaoke.add_argument("--record", metavar="DIR", help="write input, output, stems and microphone to DIR")
    karaoke.add_argument("--force", action="store_true", help="replace files that exist")
    _engine_options(karaoke, "balanced")
    karaoke.set_defaults(run=_karaoke)

    separate = commands.add_parser(
        "separate",
        help="sound files into stems",
        description="Sound files into stems, and the melody's pitch into f0.csv. Mode offline is librosa's HPSS.",
        epilog=_PARAMETER_HELP,
        **_RAW,
    )
    separate.add_argument("files", nargs="+", metavar="FILE", help="sound files; - is raw float32 on standard input")
    separate.add_argument("-o", "--output", required=True, metavar="DIR", help="folder; - is standard output")
    separate.add_argument("--stems", metavar="A,B", help=f"which of {', '.join((*STEMS, *GROUPS))}")
    separate.add_argument("--score", metavar="FILE", help="MIDI or CSV file that tells where the melody is")
    separate.add_argument("--mix", action="store_true", help="also write the mix with the faders as set")
    separate.add_argument("--format", default="wav", metavar="F", help="wav (32-bit float) or flac (24 bit)")
    separate.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="files at a time")
    separate.add_argument("--force", action="store_true", help="replace files that exist")
    separate.add_argument("-r", "--rate", type=_positive, metavar="RATE", help="sample rate of standard input, Hz")
    separate.add_argument("-c", "--channels", type=int, metavar="N", help="channels of standard input")
    _engine_options(separate, "quality")
    separate.set_defaults(run=_separate)

    devices = commands.add_parser("devices", help="list the sound devices")
    devices.add_argument("--json", action="store_true", help="as JSON")
    devices.set_defaults(run=_devices)

    doctor = commands.add_parser("doctor", help="check this machine: versions, devices, speed, risks")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


_RAW: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}


def _described(parameter: Parameter) -> str:
    return f"  {parameter.id:22} {parameter.range_text()} (default {parameter.format(parameter.default)})"


_PARAMETER_HELP = (
    "parameters for --set (live, limiter is on; bias and exponent start where the mode puts them):\n"
    + "\n".join(_described(parameter) for parameter in PARAMETERS.values())
)


def _engine_options(parser: argparse.ArgumentParser, mode: str) -> None:
    parser.add_argument("--mode", default=mode, metavar="M", help=f"{', '.join(MODES)} (default: {mode})")
    parser.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="set a parameter")


def _assignments(options: argparse.Namespace) -> dict[str, float | str]:
    """What --preset and --set say: values by the ids of parameters, unchecked."""
    if options.preset not in (None, *PRESETS):
        raise unknown("preset", options.preset, PRESETS)
    pairs = dict(PRESETS.get(options.preset, {}))
    for text in options.set:
        id, equals, value = text.partition("=")
        pairs[id] = value
        if not equals:
            raise BadInput(f"--set {text}: write it as ID=VALUE, as in --set percussive.gain_db=-12.")
    return pairs


def _demo(options: argparse.Namespace) -> None:
    settings, assignments = Settings(options.mode), _assignments(options)
    from .demo import demo

    demo(settings, assignments, options.output, options.folder, options.seconds)


def _live(options: argparse.Namespace) -> None:
    settings, assignments = Settings(options.mode), _assignments(options)
    from pathlib import Path

    from .engine import Engine
    from .live.devices import VIRTUAL, find
    from .live.stream import Source, open_stream, warm_up
    from .live.terminal import summary, tell, watch
    from .offline import score
    from .offline.files import song, sum_of

    engine = Engine(settings)
    engine.parameters.update(assignments)
    regions = score.load(options.score) if options.score else None
    rate = options.rate
    source: Source | None = None
    if options.input is None and options.output == VIRTUAL:
        options.input = VIRTUAL  # no microphone: the bundled song
    if options.input == VIRTUAL:
        if rate is None:
            rate = 48_000 if options.output == VIRTUAL else find(options.output, "output").sample_rate
        source = sum_of(song(rate))
    elif options.input is not None and Path(options.input).is_file():
        source = options.input
    warm_up(tell)
    with open_stream(
        engine,
        (options.input, options.output) if source is None else options.output,
        sample_rate=rate,
        block_size=options.block,
        channels=options.channels if source is None else None,
        source=source,
        loop=options.input == VIRTUAL,
        score=regions,
        stems_out=options.stems_out,
        limiter=PARAMETERS["limiter"].check(assignments.get("limiter", "on")) == 1,
        record=options.record,
        force=options.force,
    ) as stream:
        tell(f"{stream.description}. Ctrl-C ends.")
        watch(stream, seconds=options.seconds)
    if stream.player and stream.player.warning:
        tell(stream.player.warning)
    print(summary(stream))
    if stream.recorder and stream.recorder.error:
        raise Unavailable(stream.recorder.error)


def _karaoke(options: argparse.Namespace) -> None:
    settings = Settings(options.mode, transpose=True)
    assignments = {"melody.gain_db": options.guide, "key.semitones": options.key} | _assignments(options)
    from .karaoke import karaoke

    karaoke(
        options.song,
        settings,
        assignments,
        microphone=options.mic,
        microphone_channel=options.mic_channel,
        output=options.output,
        score=options.score,
        duck=not options.no_duck,
        loop=options.loop,
        block_size=options.block,
        picture=options.picture,
        record=options.record,
        force=options.force,
        seconds=options.seconds,
    )


def _separate(options: argparse.Namespace) -> None:
    settings, assignments = Settings(options.mode), _assignments(options)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from .engine import warm_up
    from .live.terminal import tell
    from .offline.render import separate_files

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks = {file: bars.add_task(file, total=None) for file in options.files}
        warm_up(tell)
        reports = separate_files(
            options.files,
            options.output,
            settings=settings,
            stems=options.stems.split(",") if options.stems else None,
            parameters=assignments,
            mix=options.mix,
            format=options.format,
            jobs=options.jobs,
            force=options.force,
            sample_rate=options.rate,
            channels=options.channels,
            score=options.score,
            progress=lambda source, done, length: bars.update(tasks[source], completed=done, total=length),
        )
    for report in reports:
        for warning in report.warnings:
            tell(warning)
        for path in report.written:
            print(path)
    # The one that decides the exit code comes last: a machine that cannot, before a file that makes no sense.
    errors = sorted((report.error for report in reports if report.error), key=lambda error: isinstance(error, OSError))
    for error in errors[:-1]:
        tell(str(error))
    if errors:
        raise errors[-1]


def _devices(options: argparse.Namespace) -> None:
    from .doctor import print_devices

    print_devices(options.json)


def _doctor(options: argparse.Namespace) -> None:
    from .doctor import doctor

    doctor(options.json)


if __name__ == "__main__":
    sys.exit(main())
