"""The command line: what it takes, which part of the program does it, and how it ends.

Exit codes: 0 well, 2 asked for what cannot be, 3 a device, a library or the disk cannot be had, 130 Ctrl-C.
Everything that makes sound is imported only when it is needed, so that --help answers at once.
"""

import argparse
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from . import __version__
from .errors import BadInput, Unavailable
from .idle import idle_for_now, moves_the_mix_alone, refuse_idle
from .live.bindings import KINDS, TAKEOVERS
from .live.controls import (
    PRESETS,
    delete_preset,
    export_preset,
    import_preset,
    load_session,
    preset,
    presets,
    save_preset,
)
from .parameters import PARAMETERS, Parameter, checked, find
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
    live.add_argument("-b", "--block", type=int, metavar="BLOCK", help="block size in samples")
    live.add_argument("-c", "--channels", type=int, metavar="N", help="channels (default: at most 2)")
    live.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    live.add_argument("--score", metavar="FILE", help=_SCORE_HELP)
    live.add_argument("--record", metavar="DIR", help="write input, output and stems to DIR")
    live.add_argument("--force", action="store_true", help="replace files that exist")
    live.add_argument("--stems-out", action="store_true", help="play the mix on the first output channels, and behind "
                      "it each stem on channels of its own, before its fader, mute and solo; the start tells which is "
                      "where")  # fmt: skip
    live.add_argument("--learn", action="append", default=[], metavar="NAME", help="a stem to be learned while it "
                      "sounds: choose its row, press n, let it sound, press n")  # fmt: skip
    live.add_argument("--room", action="store_true", help="take the room's noise away: choose the row room, keep "
                      "quiet, press n, wait two seconds, press n")  # fmt: skip
    live.add_argument("--plain", action="store_true", help="one status line in place of the view")
    _hand_options(live)
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
    karaoke.add_argument("--guide", metavar="DB", help="the lead's level (default: -18; =-inf is none)")
    karaoke.add_argument("--key", metavar="N", help="semitones up or down, -12 to 12")
    karaoke.add_argument("--no-duck", action="store_true", help="leave the guide on while the singer is on pitch")
    karaoke.add_argument("--score", metavar="FILE", help=_SCORE_HELP)
    karaoke.add_argument("--loop", action="store_true", help="start the song again at its end")
    karaoke.add_argument("-b", "--block", type=int, metavar="BLOCK", help="block size in samples")
    karaoke.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    karaoke.add_argument("--picture", metavar="PNG", help="draw the pitches of song and singer at the end")
    karaoke.add_argument("--record", metavar="DIR", help="write input, output, stems and microphone to DIR")
    karaoke.add_argument("--force", action="store_true", help="replace files that exist")
    _hand_options(karaoke)
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
    separate.add_argument("--score", metavar="FILE", help=_SCORE_HELP)
    separate.add_argument("--by", metavar="B", help="let the score part the sound: track, hand or note (it must be "
                          "aligned with the sound)")  # fmt: skip
    separate.add_argument(
        "--split-at", default="C4", metavar="PITCH", help="the lowest of the upper hand (default: C4)"
    )
    separate.add_argument(
        "--tolerance", type=_positive, default=0.1, metavar="S", help="of the alignment (default: 0.1)"
    )
    separate.add_argument("--mix", action="store_true", help="also write the mix with the faders as set")
    separate.add_argument("--midi-out", action="store_true", help="also write the notes, notes.mid and notes.svg, by "
                          "templates that have pitches")  # fmt: skip
    separate.add_argument("--format", default="wav", metavar="F", help="wav (32-bit float) or flac (24 bit)")
    separate.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="files at a time")
    separate.add_argument("--force", action="store_true", help="replace files that exist")
    separate.add_argument("-r", "--rate", type=_positive, metavar="RATE", help="sample rate of standard input, Hz")
    separate.add_argument("-c", "--channels", type=int, metavar="N", help="channels of standard input")
    _engine_options(separate, "quality")
    separate.set_defaults(run=_separate)

    learn = commands.add_parser(
        "learn",
        help="learn sounds that split a stem into parts",
        description="Learn what parts sound like, from recordings of each alone or from a mix; --templates uses it.",
    )
    learn.add_argument(
        "recordings",
        nargs="+",
        metavar="PART=FILE",
        help="a part alone, a part may have "
        "several; PART=FILE@12-14 for its seconds 12 to 14; rest=FILE for what sounds beside them in a mix",
    )
    learn.add_argument("-o", "--output", required=True, metavar="FILE", help="template file, as in kit.rtsep")
    learn.add_argument("--splits", metavar="STEM", help="percussive (default), harmony, or mix: all that is heard "
                       "(default with --score, or a single part)")  # fmt: skip
    learn.add_argument("--components", type=int, metavar="N", help="spectra of each part (default: 8, blindly 4)")
    learn.add_argument("--method", metavar="M", help="for parts alone: k-means (default), nmf, spa, snpa, xray or "
                       "autoencoder")  # fmt: skip
    learn.add_argument("--parts", type=int, metavar="N", help="take one mix apart blindly into N parts")
    learn.add_argument("--score", action="append", default=[], metavar="FILE", help="learn the pitches of one "
                       "instrument from pieces and their scores, one for each in order")  # fmt: skip
    learn.add_argument("--split-at", metavar="PITCH", help="with --score: two parts, the upper from PITCH (as in C4)")
    learn.add_argument("--mode", default="balanced", metavar="M", help=f"{', '.join(MODES)} (default: balanced)")
    learn.add_argument("--force", action="store_true", help="replace a file that exists")
    learn.set_defaults(run=_learn)

    _midi_commands(commands.add_parser("midi", help="bind the controls of MIDI controllers"))
    _preset_commands(commands.add_parser("preset", help="keep and pass on levels"))

    devices = commands.add_parser("devices", help="list the sound devices")
    devices.add_argument("--json", action="store_true", help="as JSON")
    devices.set_defaults(run=_devices)

    doctor = commands.add_parser("doctor", help="check this machine: versions, devices, speed, risks")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _midi_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")

    def command(name: str, help: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help)
        added.add_argument("--jack", action="store_true", help="look on the JACK server too")
        if name != "list":
            whole = name in ("bind", "forget", "feedback", "map")
            added.add_argument(
                "--port",
                metavar="NAME",
                required=whole,
                help="the controller's name, as 'midi list' shows it" if whole else "part of the controller's name",
            )
        added.set_defaults(run=run)
        return added

    def bind_options(added: argparse.ArgumentParser) -> None:
        added.add_argument("--takeover", metavar="T", help=f"{', '.join(TAKEOVERS)}")
        added.add_argument("--low", metavar="VALUE", help="the parameter's value at the bottom")
        added.add_argument("--high", metavar="VALUE", help="the parameter's value at the top")
        added.add_argument("--invert", action="store_true", help="turn it round")
        added.add_argument("--add", action="store_true", help="leave to the control what it does already")

    command("list", "list the ports", _midi_list)
    monitor = command("monitor", "print what arrives", _midi_monitor)
    monitor.add_argument("--channel", type=int, metavar="N", help="this channel alone")
    monitor.add_argument("--seconds", type=_positive, metavar="N", help="stop after N seconds")
    learn = command("learn", "bind the control that is moved next", _midi_learn)
    learn.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.gain_db")
    bind_options(learn)
    bind = command("bind", "bind a control by its number", _midi_bind)
    bind.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.gain_db")
    bind.add_argument("control", metavar="CONTROL", help="'cc 7', 'note 36', 'nrpn 1000', 'rpn 0' or 'bend'")
    bind.add_argument("--channel", type=int, metavar="N", help="on this channel alone")
    bind.add_argument("--kind", metavar="K", help=f"{', '.join(KINDS)}")
    bind.add_argument("--bits", type=int, metavar="N", help="14 for a pair of control changes")
    bind_options(bind)
    forget = command("forget", "forget the controls of a parameter", _midi_forget)
    forget.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.gain_db")
    feedback = command("feedback", "let motor faders, rings and lights follow the values, or not", _midi_feedback)
    feedback.add_argument("on", choices=("on", "off"))
    command("map", "show what each control does", _midi_map)


def _preset_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what", required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list all presets")
    show = commands.add_parser("show", help="print a preset")
    save = commands.add_parser("save", help="keep the levels of the last 'rtsep live' (or of the one that runs)")
    delete = commands.add_parser("delete", help="delete a preset")
    export = commands.add_parser("export", help="write a preset to a file")
    importing = commands.add_parser("import", help="take a preset from a file")
    for command in (show, save, delete, export):
        command.add_argument("name", metavar="NAME")
    for command in (export, importing):
        command.add_argument("file", metavar="FILE")
    save.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="these values and no others")
    save.add_argument("--program", type=int, metavar="N", help="MIDI program that recalls it, 1 to 128")
    save.add_argument("--bank", type=int, default=0, metavar="N", help="bank of that program (default: 0)")
    importing.add_argument("--name", metavar="NAME", help="its name here (default: the file's)")
    for command in (save, export, importing):
        command.add_argument("--force", action="store_true", help="replace what exists")
    for command, run in (
        (listing, _preset_list),
        (show, _preset_show),
        (save, _preset_save),
        (delete, _preset_delete),
        (export, _preset_export),
        (importing, _preset_import),
    ):
        command.set_defaults(run=run)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


_SCORE_HELP = "where the song's melody lies: MIDI, CSV, MusicXML (.musicxml, .mxl) or a song for UltraStar (.txt)"

_RAW: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}


def _described(parameter: Parameter) -> str:
    return f"  {parameter.id:22} {parameter.range_text()} (default {parameter.format(parameter.default)})"


_PARAMETER_HELP = (
    "parameters for --set (live, limiter is on; masks, bias and exponent start where the mode puts them):\n"
    + "\n".join(_described(parameter) for parameter in PARAMETERS.values())
)


def _engine_options(parser: argparse.ArgumentParser, mode: str) -> None:
    parser.add_argument("--mode", metavar="M", help=f"{', '.join(MODES)} (default: {mode})")
    parser.add_argument("--templates", metavar="FILE", help="split a stem by what 'rtsep learn' has learned; 'drums' "
                        "and 'piano' are kits that come along")  # fmt: skip
    parser.add_argument("--splits", metavar="STEM", help="what they split: percussive, harmony or mix (default: as "
                        "learned)")  # fmt: skip
    parser.add_argument("--networks", metavar="FILE", help="networks that you trained, in place of ours")
    parser.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}, or one of your own")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="set a parameter")
    parser.set_defaults(default_mode=mode)


def _hand_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="go on with the levels and options of the last time")
    parser.add_argument("--midi", metavar="NAME", help="listen only to controllers whose names contain NAME")
    parser.add_argument("--midi-channel", type=int, metavar="N", help="listen only to this channel, 1 to 16")
    parser.add_argument("--no-midi", action="store_true", help="listen to no controller")


def _settings(options: argparse.Namespace, **more: Any) -> Settings:
    if options.templates is not None:
        from .templates import named

        templates = named(options.templates)
        if options.splits == "mix" and not templates.pitches:
            templates = templates.with_rest()  # or what was not learned goes to the part that it is most like
        more["templates"] = replace(templates, splits=options.splits or templates.splits)
    elif options.splits is not None:
        raise BadInput(f"--splits {options.splits} says what --templates split: name a template file too.")
    return Settings(options.mode or options.default_mode, networks=options.networks, **more)


def _assignments(options: argparse.Namespace, settings: Settings) -> dict[str, float | str]:
    """What --preset and --set say: values by the ids of parameters, those of --set unchecked."""
    return _there(_recalled(options), settings) | _chosen(options, settings)


def _chosen(options: argparse.Namespace, settings: Settings) -> dict[str, float | str]:
    """The values of --set; refuses those that would do nothing, and warns of those that do nothing yet."""
    chosen = _pairs(options.set)
    for id, value in chosen.items():
        if (info := find(id)) is not None:
            info.check(value)
    sings = options.command == "karaoke" and options.mic != "none"
    refuse_idle(chosen, settings, singer=sings)
    _warn(idle_for_now(chosen, settings, limiter=options.command in ("live", "karaoke")))
    return chosen


def _recalled(options: argparse.Namespace) -> dict[str, float | str]:
    """The values of --preset."""
    if options.preset is None:
        return {}
    recalled = preset(options.preset)
    _warn(recalled.warnings)
    return dict(recalled.values)


def _there(values: Mapping[str, float | str], settings: Settings) -> dict[str, float | str]:
    """Those of the stems that there are: templates may have brought others."""
    return {id: value for id, value in values.items() if id in PARAMETERS or id.rpartition(".")[0] in settings.stems}


def _pairs(texts: list[str]) -> dict[str, float | str]:
    pairs: dict[str, float | str] = {}
    for text in texts:
        id, equals, value = text.partition("=")
        pairs[id] = value
        if not equals:
            raise BadInput(f"--set {text}: write it as ID=VALUE, as in --set percussive.gain_db=-12.")
    return pairs


def _warn(sentences: list[str]) -> None:
    for sentence in sentences:
        print(f"rtsep: {sentence}", file=sys.stderr)


def _resume(options: argparse.Namespace, remembered: tuple[str, ...]) -> dict[str, float | str]:
    """With --resume, the values of the last time; what is `remembered` of its options is set where none is given."""
    if not options.resume:
        return {}
    values, settings, warnings = load_session(options.command)
    _warn(warnings)
    for name in remembered:
        if getattr(options, name) is None:
            setattr(options, name, settings.get(name))
    return dict(values)


def _hands(options: argparse.Namespace, remembered: tuple[str, ...]) -> Any:
    from .hands import Hands

    given = {name: value for name in remembered if (value := getattr(options, name)) is not None}
    return Hands(options.command, given, not options.no_midi, options.midi, options.midi_channel)


def _demo(options: argparse.Namespace) -> None:
    settings = _settings(options)
    assignments = _assignments(options, settings)
    from .demo import demo

    demo(settings, assignments, options.output, options.folder, options.seconds)


def _live(options: argparse.Namespace) -> None:
    remembered = ("mode", "templates", "splits", "networks", "input", "output", "rate", "block", "channels", "score")
    # Templates of the last time step back before what is to be learned now.
    resumed = _resume(options, tuple({*remembered} - {"templates", "splits"}) if options.learn else remembered)
    settings = _settings(options, learn=tuple(options.learn), room=options.room)
    assignments = _there(resumed, settings) | _assignments(options, settings)
    from .perform import perform

    perform(
        settings,
        assignments,
        _hands(options, remembered),
        input=options.input,
        output=options.output,
        sample_rate=options.rate,
        block_size=options.block or 0,
        channels=options.channels,
        score=options.score,
        stems_out=options.stems_out,
        limiter=PARAMETERS["limiter"].check(assignments.get("limiter", "on")) == 1,
        record=options.record,
        force=options.force,
        seconds=options.seconds,
        plain=options.plain,
    )


def _karaoke(options: argparse.Namespace) -> None:
    remembered = ("mode", "templates", "splits", "networks", "output", "mic", "mic_channel", "block")
    resumed = _resume(options, remembered)
    settings = _settings(options, transpose=True)
    assignments: dict[str, float | str] = {"melody.gain_db": -18.0}
    assignments |= _there(resumed | _recalled(options), settings)
    for id, value in (("melody.gain_db", options.guide), ("key.semitones", options.key)):
        if value is not None:
            assignments[id] = value
    assignments |= _chosen(options, settings)
    from .karaoke import karaoke

    karaoke(
        options.song,
        settings,
        assignments,
        _hands(options, remembered),
        microphone=options.mic,
        microphone_channel=options.mic_channel,
        output=options.output,
        score=options.score,
        duck=not options.no_duck,
        loop=options.loop,
        block_size=options.block or 0,
        picture=options.picture,
        record=options.record,
        force=options.force,
        seconds=options.seconds,
    )


def _separate(options: argparse.Namespace) -> None:
    if options.by is not None:
        _separate_by_score(options)
        return
    settings = _settings(options)
    assignments = _assignments(options, settings)
    if not options.mix:
        _refuse_without_mix(options, assignments, settings)
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
            midi_out=options.midi_out,
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


def _refuse_without_mix(options: argparse.Namespace, assignments: Mapping[str, Any], settings: Settings) -> None:
    """Stems are written as they are before the faders."""
    chosen = _pairs(options.set)
    for id in chosen:
        if moves_the_mix_alone(id, settings):
            raise BadInput(f"{id} moves the mix alone, and the stems are written without it: add --mix.")
    if options.preset and all(moves_the_mix_alone(id, settings) for id in assignments if id not in chosen):
        _warn([f"the preset {options.preset} moves the mix alone, and the stems are written without it: add --mix."])


def _learn(options: argparse.Namespace) -> None:
    settings = Settings(options.mode)
    from .learn import learn_files

    learn_files(
        options.recordings,
        options.output,
        settings=settings,
        components=options.components,
        method=options.method,
        parts=options.parts,
        scores=options.score,
        split_at=options.split_at,
        splits=options.splits,
        force=options.force,
    )


def _midi_list(options: argparse.Namespace) -> None:
    from .midi import list_ports

    list_ports(options.jack)


def _midi_monitor(options: argparse.Namespace) -> None:
    from .midi import monitor

    monitor(options.jack, options.port, options.channel, options.seconds)


def _midi_learn(options: argparse.Namespace) -> None:
    from .midi import learn

    learn(options.parameter, _changes(options), jack=options.jack, port=options.port, add=options.add)


def _midi_bind(options: argparse.Namespace) -> None:
    from .midi import bind

    bind(options.parameter, options.control, _changes(options), port=options.port, add=options.add)


def _midi_forget(options: argparse.Namespace) -> None:
    from .midi import forget

    forget(options.parameter, options.port)


def _midi_feedback(options: argparse.Namespace) -> None:
    from .midi import feedback

    feedback(options.port, options.on == "on")


def _midi_map(options: argparse.Namespace) -> None:
    from .midi import show

    show(options.port)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of a binding that are given on the command line."""
    check = checked(options.parameter).check
    ends = {name: check(value) for name in ("low", "high") if (value := getattr(options, name)) is not None}
    fields = ("takeover", "kind", "bits", "channel")
    given = {name: value for name in fields if (value := getattr(options, name, None)) is not None}
    return given | ends | ({"invert": True} if options.invert else {})


def _preset_list(options: argparse.Namespace) -> None:
    for each in presets(lambda sentence: _warn([sentence])):
        number = "" if each.program is None else f"{each.program}" + (f" of bank {each.bank}" if each.bank else "")
        print(f"{each.name:24} {number:16} {'shipped' if each.shipped else 'yours'}")


def _preset_show(options: argparse.Namespace) -> None:
    shown = preset(options.name)
    _warn(shown.warnings)
    for id, value in shown.values.items():
        print(f"{id} = {checked(id).format(value)}")


def _preset_save(options: argparse.Namespace) -> None:
    values: Mapping[str, float | str] = _pairs(options.set)
    if not values:
        values, _, warnings = load_session("live")
        _warn(warnings)
    save_preset(options.name, values, program=options.program, bank=options.bank, force=options.force)


def _preset_delete(options: argparse.Namespace) -> None:
    delete_preset(options.name)


def _preset_export(options: argparse.Namespace) -> None:
    export_preset(options.name, options.file, force=options.force)


def _preset_import(options: argparse.Namespace) -> None:
    _warn(import_preset(options.file, options.name, force=options.force).warnings)


def _separate_by_score(options: argparse.Namespace) -> None:
    if options.score is None or len(options.files) != 1:
        raise BadInput("--by needs one sound file and its --score.")
    from .live.terminal import tell
    from .offline.informed import separate_file_by_score

    tell(f"by the score {options.score}, a few seconds for each minute of sound ...")
    for path in separate_file_by_score(
        options.files[0],
        options.score,
        options.output,
        by=options.by,
        split_at=options.split_at,
        tolerance_s=options.tolerance,
        format=options.format,
        force=options.force,
    ):
        print(path)


def _devices(options: argparse.Namespace) -> None:
    from .doctor import print_devices

    print_devices(options.json)


def _doctor(options: argparse.Namespace) -> None:
    from .doctor import doctor

    doctor(options.json)


if __name__ == "__main__":
    sys.exit(main())
