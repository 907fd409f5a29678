"""The command line: what it takes, which part of the program does it, and how it ends.

Exit codes: 0 well, 2 asked for what cannot be, 3 a device, a library or the disk cannot be had, 130 Ctrl-C.
Everything that makes sound is imported only when it is needed, so that --help answers at once.
"""

import argparse
import os
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from . import __version__, streams
from .errors import BadInput, Unavailable, unknown
from .idle import idle_for_now, moves_the_mix_alone, refuse_idle
from .live.bindings import KINDS, TAKEOVERS
from .live.controls import (
    PRESETS,
    delete_preset,
    export_preset,
    import_preset,
    load_session,
    preset,
    preset_text,
    presets,
    save_preset,
)
from .parameters import PARAMETERS, Parameter, checked, find
from .settings import GROUPS, MODES, STEMS, Settings

if TYPE_CHECKING:
    from .offline.render import Report

COMMANDS = ("demo", "live", "karaoke", "separate", "web", "learn", "midi", "preset", "export", "devices", "doctor")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process if None); the exit code."""
    if arguments is None:
        streams.own()
    code = _ended(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.stdout.flush()
    except OSError as error:
        streams.silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            _warn([f"cannot write standard output: {error.strerror}."])
            return code or 3
    return code


def _ended(arguments: list[str]) -> int:
    """Run the command line; how it ended."""
    for name in ("SIGTERM", "SIGHUP"):  # a polite request to end, and a terminal that closes, do what Ctrl-C does
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    warnings.showwarning = lambda message, *_: _warn([str(message)])
    try:
        _understood(arguments)
        options = _parser().parse_args(_joined(arguments))
        options.run(options)
    except (BadInput, Unavailable) as error:
        _warn([str(error)])
        return 2 if isinstance(error, BadInput) else 3
    except SystemExit as end:  # of argparse
        return int(end.code or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        streams.silence(sys.stdout)
    except OSError as error:
        _warn([_said(error)])
        return 3
    return 0


def _understood(arguments: list[str]) -> None:
    """Answer with the line to type what begins with no command."""
    if not arguments or arguments[0].startswith("-") or arguments[0] in COMMANDS:
        return
    first, *rest = arguments
    if os.path.exists(first) or os.path.splitext(first)[1]:
        name = shlex.quote(first)
        raise BadInput(f"{first} is no command: rtsep live {name} plays it, rtsep separate {name} writes its stems.")
    near = get_close_matches(first.lower(), COMMANDS, 1)
    if near:
        line = shlex.join(["rtsep", near[0], *rest])
        raise BadInput(f"unknown command {first!r}: did you mean {line}?")
    raise BadInput(f"unknown command {first!r}: rtsep --help lists what there is.")


def _said(error: OSError) -> str:
    """The sentence for what nobody expected of the system."""
    try:
        os.getcwd()
    except OSError:
        return "the folder that this was started in is gone: change to another."
    return f"{error.filename or 'cannot write standard output'}: {error.strerror or error}."


def _joined(arguments: list[str]) -> list[str]:
    """`--guide -inf` as `--guide=-inf`: argparse would take the value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if re.fullmatch(r"-inf(inity)?", argument, re.IGNORECASE) and joined and re.match(r"--\w[\w-]*$", joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


class _Parser(argparse.ArgumentParser):
    """Names the nearest choices, not all of them."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, str(unknown("choice", value, map(str, action.choices))))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
    live.add_argument("song", nargs="?", metavar="SONG", help="sound file to play, as -i")
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
    separate.add_argument("files", nargs="+", metavar="FILE", help="sound files, or folders of them; - is raw float32 "
                          "on standard input")  # fmt: skip
    separate.add_argument("-o", "--output", default="stems", metavar="DIR", help="folder (default: stems); - is "
                          "standard output")  # fmt: skip
    separate.add_argument("--filename", metavar="PATTERN", help="where in the folder files go (default: "
                          "{track}/{stem}.{ext}); {folder} is the song's folder")  # fmt: skip
    separate.add_argument("--stems", metavar="A,B", help=f"which of {', '.join((*STEMS, *GROUPS))}; or vocals, drums, "
                          "bass, other")  # fmt: skip
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
    separate.add_argument("--format", default="wav", metavar="F", help="wav (default), flac, mp3, ogg or opus")
    separate.add_argument("--bits", type=int, metavar="N", help="of a sample: 32 (float, default), 24 or 16 in wav, "
                          "24 (default) or 16 in flac")  # fmt: skip
    separate.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="files at a time")
    separate.add_argument("--force", action="store_true", help="replace files that exist")
    separate.add_argument("-r", "--rate", type=_positive, metavar="RATE", help="sample rate of standard input, Hz")
    separate.add_argument("-c", "--channels", type=int, metavar="N", help="channels of standard input")
    _engine_options(separate, "quality")
    separate.set_defaults(run=_separate)

    web = commands.add_parser("web", help="un-mix in the browser: opens a page, which sends nothing anywhere")
    web.add_argument("--port", type=_port, default=8765, help="of the page on this machine (default: 8765; 0: any)")
    web.add_argument("--no-browser", action="store_true", help="only tell the address")
    web.set_defaults(run=_web)

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

    export = commands.add_parser("export", help="write the engine for other programs")
    kinds = export.add_subparsers(dest="kind", required=True, metavar="KIND")
    page = kinds.add_parser("web", help="write the page of rtsep web into a folder, for any web server")
    page.add_argument("folder", metavar="OUT", help="a new folder, or one that holds a page")
    page.set_defaults(run=_export_web)

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
                help="part of the controller's name, as 'midi list' shows it",
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
    learn.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
    bind_options(learn)
    bind = command("bind", "bind a control by its number", _midi_bind)
    bind.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
    bind.add_argument("control", metavar="CONTROL", help="'cc 7', 'note 36', 'nrpn 1000', 'rpn 0' or 'bend'")
    bind.add_argument("--channel", type=int, metavar="N", help="on this channel alone")
    bind.add_argument("--kind", metavar="K", help=f"{', '.join(KINDS)}")
    bind.add_argument("--bits", type=int, metavar="N", help="14 for a pair of control changes")
    bind_options(bind)
    forget = command("forget", "forget the controls of a parameter", _midi_forget)
    forget.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
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
        command.add_argument("file", metavar="FILE", help="- is standard output" if command is export else None)
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
    parser.add_argument("--web", action="store_true", help="move it from a page in the browser too")
    parser.add_argument("--lan", action="store_true", help="the same from a phone: other devices may open the page, by "
                        "an address that holds a secret")  # fmt: skip
    parser.add_argument("--port", type=_port, default=8765, help="of the page (default: 8765; 0: any)")


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
        id, equals, value = (part.strip() for part in text.partition("="))
        pairs[id] = value
        if not equals:
            raise BadInput(f"--set {text}: write it as ID=VALUE, as in --set percussive.gain_db=-12.")
    return pairs


def _warn(sentences: list[str]) -> None:
    for sentence in sentences:
        print(f"rtsep: {sentence}", file=sys.stderr, flush=True)


def _say(sentence: str) -> None:
    _warn([sentence])


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
    web = options.port if options.web or options.lan else None
    midi = not options.no_midi, options.midi, options.midi_channel
    return Hands(options.command, given, *midi, web=web, lan=options.lan)


def _demo(options: argparse.Namespace) -> None:
    settings = _settings(options)
    assignments = _assignments(options, settings)
    from .demo import demo

    demo(settings, assignments, options.output, options.folder, options.seconds)


def _live(options: argparse.Namespace) -> None:
    remembered = ("mode", "templates", "splits", "networks", "input", "output", "rate", "block", "channels", "score")
    if options.song is not None:
        if options.input is not None:
            raise BadInput(f"both {options.song} and {options.input} are to be heard: name one of them.")
        options.input = options.song
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
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from .library import warm_up
    from .live.painter import printable
    from .live.terminal import tell
    from .offline.render import FILENAME, separate_files, sound_files

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    reports: list[Report] = []
    tasks: dict[str, TaskID] = {}

    def advance(source: str, done: int, length: int | None) -> None:
        if source not in tasks:
            tasks[source] = bars.add_task(printable(os.fsencode(source).decode(errors="replace")), total=None)
        bars.update(tasks[source], completed=done, total=length)

    stems = _stems(options.stems, settings)
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bars:
            separate_files(
                options.files,
                options.output,
                settings=settings,
                stems=stems,
                parameters=assignments,
                mix=options.mix,
                format=options.format,
                bits=options.bits,
                filename=options.filename or FILENAME,
                jobs=options.jobs,
                force=options.force,
                sample_rate=options.rate,
                channels=options.channels,
                score=options.score,
                midi_out=options.midi_out,
                progress=advance,
                report=reports.append,
                begin=lambda: warm_up(tell),
            )
    except KeyboardInterrupt:
        _tell_of(reports)
        done = {report.source for report in reports if report.written}
        left = [file for source in options.files for file in sound_files(source) if file not in done]
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        tell(f"interrupted: {len(done)} done, nothing is written of {', '.join(left[:3])}{more}.")
        raise
    _tell_of(reports)
    # The one that decides the exit code comes last: a machine that cannot, before a file that makes no sense.
    errors = sorted((report.error for report in reports if report.error), key=lambda error: isinstance(error, OSError))
    for error in errors[:-1]:
        tell(str(error))
    if errors:
        raise errors[-1]


def _tell_of(reports: Iterable["Report"]) -> None:
    for report in reports:
        _warn(list(report.warnings))
        for path in report.written:
            streams.say(str(path))


# What stems are called elsewhere.
_ELSEWHERE = {
    **dict.fromkeys(("vocals", "vocal", "voice", "lead"), "melody"),
    "drums": "percussive",
    **dict.fromkeys(("bass", "guitar", "piano", "other"), "harmony"),
    **dict.fromkeys(("instrumental", "no_vocals"), "accompaniment"),
    "no_drums": "harmonic",
}


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
        _warn([f"written under their names here: {', '.join(said)}."])
    return list(dict.fromkeys(stems))


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
    from .midi import learn, meant

    parameter = meant(options.parameter)
    learn(parameter, _changes(options, parameter), jack=options.jack, port=options.port, add=options.add)


def _midi_bind(options: argparse.Namespace) -> None:
    from .midi import bind, meant

    parameter, at = meant(options.parameter), {"jack": options.jack, "port": options.port}
    bind(parameter, options.control, _changes(options, parameter), add=options.add, **at)


def _midi_forget(options: argparse.Namespace) -> None:
    from .midi import forget

    forget(options.parameter, jack=options.jack, port=options.port)


def _midi_feedback(options: argparse.Namespace) -> None:
    from .midi import feedback

    feedback(options.on == "on", jack=options.jack, port=options.port)


def _midi_map(options: argparse.Namespace) -> None:
    from .midi import show

    show(jack=options.jack, port=options.port)


def _changes(options: argparse.Namespace, parameter: str) -> dict[str, Any]:
    """The fields of a binding of `parameter` that are given on the command line."""
    check = checked(parameter).check
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
    if options.file == "-":
        sys.stdout.write(preset_text(options.name))
        return
    export_preset(options.name, options.file, force=options.force)


def _preset_import(options: argparse.Namespace) -> None:
    _warn(import_preset(options.file, options.name, force=options.force).warnings)


def _separate_by_score(options: argparse.Namespace) -> None:
    if options.score is None or len(options.files) != 1:
        raise BadInput("--by needs one sound file and its --score.")
    if options.filename is not None:
        raise BadInput("--filename goes without --by: the stems are called as the score's.")
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
        bits=options.bits,
        force=options.force,
    ):
        streams.say(str(path))


def _devices(options: argparse.Namespace) -> None:
    from .doctor import print_devices

    print_devices(options.json)


def _web(options: argparse.Namespace) -> None:
    from webbrowser import open_new_tab

    from . import page
    from .library import cache_folder

    folder = page.write(cache_folder() / "page", _say)

    def ready(address: str) -> None:
        _say(f"the page is at {address}. Ctrl-C ends.")
        if not options.no_browser:
            open_new_tab(address)

    page.serve(folder, options.port, ready)


def _export_web(options: argparse.Namespace) -> None:
    from . import page

    folder = page.write(options.folder, _say)
    print(f"{folder}: any web server can offer it. To hear a microphone it must come over https.")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it must be a number from 0 to 65535.")
    return int(text)


def _doctor(options: argparse.Namespace) -> None:
    from .doctor import doctor

    doctor(options.json)


if __name__ == "__main__":
    sys.exit(main())
