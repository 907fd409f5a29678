"""`rtsep midi`: what the controls of MIDI controllers do."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import BadInput, Unavailable, some, unknown
from ..live import controller_files, ports
from ..live.bindings import KINDS, TAKEOVERS, Binding, document
from ..live.controllers import Midi
from ..live.hands import controllers, keep, read
from ..live.messages import Message
from ..live.surface import Surface
from ..parameters import INDEX, PARAMETERS, Parameters, checked, find
from ..streams import tell
from .options import json_too, positive

_TURN_S = 0.05


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
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

    json_too(command("list", "list the ports", _list))
    monitor = command("monitor", "print what arrives", _monitor)
    monitor.add_argument("--channel", type=int, metavar="N", help="this channel alone")
    monitor.add_argument("--seconds", type=positive, metavar="N", help="stop after N seconds")
    learn = command("learn", "bind the control that is moved next", _learn)
    learn.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
    bind_options(learn)
    bind = command("bind", "bind a control by its number", _bind)
    bind.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
    bind.add_argument("control", metavar="CONTROL", help="'cc 7', 'note 36', 'nrpn 1000', 'rpn 0' or 'bend'")
    bind.add_argument("--channel", type=int, metavar="N", help="on this channel alone")
    bind.add_argument("--kind", metavar="K", help=f"{', '.join(KINDS)}")
    bind.add_argument("--bits", type=int, metavar="N", help="14 for a pair of control changes")
    bind_options(bind)
    forget = command("forget", "forget the controls of a parameter", _forget)
    forget.add_argument("parameter", metavar="PARAMETER", help="its id, as in percussive.mute; a stem is its fader")
    feedback = command("feedback", "let motor faders, rings and lights follow the values, or not", _feedback)
    feedback.add_argument("on", choices=("on", "off"))
    json_too(command("map", "show what each control does", _map))


def _list(options: argparse.Namespace) -> None:
    list_ports(options.jack, options.json)


def _monitor(options: argparse.Namespace) -> None:
    monitor(options.jack, options.port, options.channel, options.seconds)


def _learn(options: argparse.Namespace) -> None:
    parameter = meant(options.parameter)
    learn(parameter, _changes(options, parameter), jack=options.jack, port=options.port, add=options.add)


def _bind(options: argparse.Namespace) -> None:
    parameter, at = meant(options.parameter), {"jack": options.jack, "port": options.port}
    bind(parameter, options.control, _changes(options, parameter), add=options.add, **at)


def _forget(options: argparse.Namespace) -> None:
    forget(options.parameter, jack=options.jack, port=options.port)


def _feedback(options: argparse.Namespace) -> None:
    feedback(options.on == "on", jack=options.jack, port=options.port)


def _map(options: argparse.Namespace) -> None:
    show(jack=options.jack, port=options.port, as_json=options.json)


def _changes(options: argparse.Namespace, parameter: str) -> dict[str, Any]:
    """The fields of a binding of `parameter` that are given on the command line."""
    check = checked(parameter).check
    ends = {name: check(value) for name in ("low", "high") if (value := getattr(options, name)) is not None}
    fields = ("takeover", "kind", "bits", "channel")
    given = {name: value for name in fields if (value := getattr(options, name, None)) is not None}
    return given | ends | ({"invert": True} if options.invert else {})


def list_ports(jack: bool, as_json: bool = False) -> None:
    """Print the ports."""
    found = ports.ports(jack)
    if as_json:
        print(json.dumps([{"name": name, "in": takes, "out": gives} for name, takes, gives in found], indent=2))
        return
    for name, takes, gives in found:
        print(f"{name}  ({' and '.join(way for way, there in (('in', takes), ('out', gives)) if there)})")
    if not found:
        tell("no controller is plugged in")


def monitor(jack: bool, port: str | None, channel: int | None, seconds: float | None) -> None:
    """Print each message until Ctrl-C or `seconds` are over."""

    def heard(name: str, message: Message) -> None:
        print(f"{name}  {message.text}", flush=True)

    with _listening(jack, port, "move a control; Ctrl-C ends", channel=channel, heard=heard):
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            time.sleep(_TURN_S)


def learn(parameter: str, changes: Mapping[str, Any], *, jack: bool, port: str | None, add: bool) -> None:
    """Bind the control that is moved next to `parameter`, with `changes` of its `Binding`, and keep it."""
    with _listening(jack, port, "Ctrl-C cancels") as midi:
        midi.learn(parameter, changes, add)
        said = ""
        while midi.learning:
            if midi.learn_status != said:
                said = midi.learn_status
                tell(said)
            time.sleep(_TURN_S)
        if isinstance(midi.learn_error, (BadInput, Unavailable)):
            raise midi.learn_error
        tell(midi.learn_status)


def bind(parameter: str, control: str, changes: Mapping[str, Any], *, jack: bool, port: str, add: bool) -> None:
    """Bind `control` of the controller that has `port` in its name to `parameter` and keep it.

    Where nothing is plugged in, it is kept for a controller that is not known yet.
    """
    binding = Binding(control, parameter, **changes)
    with _changed(port, jack, new=True) as bound:
        bound.bind(binding, add=add)
    _show(bound)


def forget(parameter: str, *, jack: bool, port: str) -> None:
    """Forget what moves `parameter` on the controller that has `port` in its name."""
    with _changed(port, jack) as bound:
        if not (bound.forget([parameter]) or bound.forget([f"{parameter}.gain_db"])):
            raise BadInput(f"nothing on {bound.name} moves {parameter}: see rtsep midi map --port {bound.name!r}.")


def feedback(on: bool, *, jack: bool, port: str) -> None:
    """Say whether values go back to the controller that has `port` in its name."""
    with _changed(port, jack) as bound:
        bound.feed_back(on)


def show(*, jack: bool, port: str, as_json: bool = False) -> None:
    """Print what each control of the controller that has `port` in its name does."""
    bound = _surface(_controller(port, jack)[0])
    if as_json:
        print(json.dumps({"name": bound.name} | document(bound.bindings, bound.feeds_back), indent=2))
        return
    _show(bound)


def _show(bound: Surface) -> None:
    for binding in bound.bindings:
        print(binding)
    tell(f"values {'go' if bound.feeds_back else 'do not go'} back to {bound.name}")
    for sentence in (*bound.problems, *bound.conflicts):
        tell(sentence)


def meant(parameter: str) -> str:
    """The id that a person means: by a stem alone, its fader. Raises `BadInput` for what is neither."""
    fader = f"{parameter}.gain_db"
    if find(parameter):
        return parameter
    if fader in PARAMETERS:
        return fader
    error = unknown("parameter", parameter, PARAMETERS)
    raise BadInput(f"{error} The level of a stem of that name is {fader}.") if find(fader) else error


@contextmanager
def _changed(part: str, jack: bool, new: bool = False) -> Iterator[Surface]:
    """The controller that has `part` in its name, to be changed within the context, and then kept."""
    name, known = _controller(part, jack, new)
    bound = _surface(name)
    yield bound
    keep(bound, part=not known)


def _surface(name: str) -> Surface:
    bound, feedback = read(name)
    return Surface(_unheard(), name, bound, feedback=feedback, recall=lambda bank, program: None)


def _controller(part: str, jack: bool, new: bool = False) -> tuple[str, bool]:
    """The controller that has `part` in its name: that of its port, and True; else what may stand for it, and False.

    A plugged-in one comes first, then those that the user has a file for, those that we have, and the port of our own.
    If none is plugged in a `new` one is taken as it is. Raises `BadInput` if there is none, or more than one.
    """
    try:
        there: dict[str, list[str]] = {name: [] for name, _, _ in ports.ports(jack)}
    except Unavailable:
        there = {}
    own, ours = controller_files.known_controllers()
    word, name = part.casefold(), controller_files.file_name(part).casefold()
    kinds: list[tuple[dict[str, list[str]], bool]] = [
        (there, True),
        (own, False),
        (ours, False),
        ({ports.OWN: []}, True),
    ]
    for found, whole in kinds:
        same = [each for each in found if each.casefold() in (word, name)]
        fit = same or [
            each
            for each, parts in found.items()
            if word in each.casefold()
            or name in each.casefold()
            or any(word in one.casefold() or one.casefold() in word for one in parts)
        ]
        if len(fit) > 1:
            raise BadInput(f"{part!r} is part of {len(fit)} names: there {some(fit)}. Give more of the one you mean.")
        if fit:
            return fit[0], whole
    if new and not there:
        tell(f"no controller is plugged in: this is kept for one with {part!r} in its name")
        return part, False
    raise BadInput(
        f"no controller that is plugged in or known has {part!r} in its name: there {some([*there, *own, *ours])}. "
        "Plug it in first; rtsep midi list shows what is there."
    )


def _unheard() -> Parameters:
    return Parameters([0.0] * len(INDEX))


@contextmanager
def _listening(
    jack: bool,
    port: str | None,
    help: str,
    channel: int | None = None,
    heard: Callable[[str, Message], object] | None = None,
) -> Iterator[Midi]:
    """Controllers that move nothing."""
    with controllers(_unheard(), jack=jack, only=port, channel=channel, heard=heard) as midi:
        if not midi.works:
            raise Unavailable(" ".join(midi.problems))
        for problem in midi.problems:
            tell(problem)
        tell(f"listening to {', '.join(midi.open_ports) or 'controllers that will be plugged in'}. {help}.")
        yield midi
