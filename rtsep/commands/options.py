"""Options that several commands share, and what they make of them.

A preset or a session may know more stems than there are; what is typed with --set must be right.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import BadInput, Unavailable
from ..idle import idle_for_now, refuse_idle
from ..live.presets import PRESETS, preset
from ..live.sessions import load_session
from ..parameters import PARAMETERS, find
from ..settings import MODES, Settings
from ..streams import tell

SCORE_HELP = "the song's melody, as MIDI, CSV, MusicXML or for UltraStar (.txt)"


class ParametersHelp(argparse.Action):
    """Prints what each parameter does, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print, and end."""
        print("Parameters for --set, presets and controllers; a mode or a command may begin with other values.")
        for parameter in PARAMETERS.values():
            print(f"\n{parameter.id}  {parameter.range_text()}, default {parameter.format(parameter.default)}")
            print(f"    {parameter.effect}")
        parser.exit()


def parameters_help(parser: argparse.ArgumentParser) -> None:
    """Add the option that tells of all parameters."""
    parser.add_argument("--help-parameters", action=ParametersHelp, nargs=0, help="tell what each parameter does")


def json_too(parser: argparse.ArgumentParser) -> None:
    """Let a command that lists or measures print JSON."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def engine_options(parser: argparse.ArgumentParser, mode: str) -> None:
    """Options of what has an engine, whose mode is `mode` unless another is asked for."""
    parser.add_argument("--mode", metavar="M", help=f"{', '.join(MODES)} (default: {mode})")
    parser.add_argument("--templates", metavar="FILE", help="split a stem: a file of 'rtsep learn', 'drums' or 'piano'")
    parser.add_argument("--splits", metavar="STEM", help="what they split: percussive, harmony or mix (default: as "
                        "learned)")  # fmt: skip
    parser.add_argument("--networks", metavar="FILE", help="networks that you trained, in place of ours")
    parser.add_argument("--stage", action="append", default=[], metavar="FILE", help="a stage of your own, in Python")
    parser.add_argument("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}, or one of your own")
    parser.add_argument("--set", action="append", default=[], metavar="ID=VALUE", help="set a parameter")
    parameters_help(parser)
    parser.set_defaults(default_mode=mode)


def hand_options(parser: argparse.ArgumentParser) -> None:
    """Options of what moves a run: the session, controllers, the page."""
    parser.add_argument("--resume", action="store_true", help="go on with the levels and options of the last time")
    parser.add_argument("--midi", metavar="NAME", help="listen only to controllers whose names contain NAME")
    parser.add_argument("--midi-channel", type=int, metavar="N", help="listen only to this channel, 1 to 16")
    parser.add_argument("--no-midi", action="store_true", help="listen to no controller")
    parser.add_argument("--web", action="store_true", help="move it from a page in the browser too")
    parser.add_argument("--lan", action="store_true", help="the same for a phone, by an address that holds a secret")
    parser.add_argument("--port", type=port, default=8765, help="of the page (default: 8765; 0: any)")


def check_picture(path: Path, force: bool) -> None:
    """Refuse what could not be drawn at the end."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"the picture {path} would be a PNG file: give it a name that ends in .png.")
    if os.path.lexists(path) and not force:
        raise BadInput(f"{path} exists already: choose another name, or add --force to replace it.")
    if not os.path.isdir(path.parent):
        raise BadInput(f"the picture {path} cannot be written: there is no folder {path.parent}; make it first.")
    if find_spec("matplotlib") is None:
        raise Unavailable("no picture can be drawn without matplotlib: pip install 'rtsep[plot]'.")


def positive(text: str) -> float:
    """A number above 0, as a type of argparse."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def port(text: str) -> int:
    """The number of a port, as a type of argparse."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: it must be a number from 0 to 65535.")
    return int(text)


def settings_of(options: argparse.Namespace, **more: Any) -> Settings:
    """The settings that the options of an engine ask for, and `more` of them."""
    if options.templates is not None:
        from ..templates import named

        templates = named(options.templates)
        if options.splits == "mix" and not templates.pitches:
            templates = templates.with_rest()  # or what was not learned goes to the part that it is most like
        more["templates"] = replace(templates, splits=options.splits or templates.splits)
    elif options.splits is not None:
        raise BadInput(f"--splits {options.splits} says what --templates split: name a template file too.")
    return Settings(options.mode or options.default_mode, networks=options.networks, stages=options.stage, **more)


def values_of(options: argparse.Namespace, settings: Settings) -> dict[str, float | str]:
    """What --preset and --set say: values by the ids of parameters, those of --set unchecked."""
    return there(recalled(options), settings) | chosen(options, settings)


def chosen(options: argparse.Namespace, settings: Settings) -> dict[str, float | str]:
    """The values of --set; refuses those that would do nothing, and warns of those that do nothing yet."""
    chosen = pairs(options.set)
    for id, value in chosen.items():
        if (info := find(id)) is not None:
            info.check(value)
    sings = options.command == "karaoke" and options.mic != "none"
    refuse_idle(chosen, settings, singer=sings)
    tell(*idle_for_now(chosen, settings, limiter=options.command in ("live", "karaoke")))
    return chosen


def recalled(options: argparse.Namespace) -> dict[str, float | str]:
    """The values of --preset."""
    if options.preset is None:
        return {}
    recalled = preset(options.preset)
    tell(*recalled.warnings)
    return dict(recalled.values)


def there(values: Mapping[str, float | str], settings: Settings) -> dict[str, float | str]:
    """Those of the stems that there are: templates may have brought others."""
    return {id: value for id, value in values.items() if id in PARAMETERS or id.rpartition(".")[0] in settings.stems}


def pairs(texts: list[str]) -> dict[str, float | str]:
    """ID=VALUE of --set, apart; `BadInput` for what is written otherwise."""
    pairs: dict[str, float | str] = {}
    for text in texts:
        id, equals, value = (part.strip() for part in text.partition("="))
        pairs[id] = value
        if not equals:
            raise BadInput(f"--set {text}: write it as ID=VALUE, as in --set percussive.gain_db=-12.")
    return pairs


def resume(options: argparse.Namespace, remembered: tuple[str, ...]) -> dict[str, float | str]:
    """With --resume, the values of the last time; what is `remembered` of its options is set where none is given."""
    if not options.resume:
        return {}
    values, settings, warnings = load_session(options.command)
    tell(*warnings)
    for name in remembered:
        if getattr(options, name) is None:
            setattr(options, name, settings.get(name))
    return dict(values)


def hands_of(options: argparse.Namespace, remembered: tuple[str, ...]) -> Any:
    """The hands that the options ask for; their session keeps what is `remembered` of the options."""
    from ..live.hands import Hands

    given = {name: value for name in remembered if (value := getattr(options, name)) is not None}
    web = options.port if options.web or options.lan else None
    midi = not options.no_midi, options.midi, options.midi_channel
    return Hands(options.command, given, *midi, web=web, lan=options.lan)
