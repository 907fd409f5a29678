"""The commands of `rtsep midi`."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import BadInput, Unavailable, some, unknown
from .hands import controllers, keep, read
from .live import controls, ports
from .live.bindings import Binding, Surface
from .live.midi import Message
from .live.ports import Midi
from .live.terminal import tell
from .parameters import INDEX, PARAMETERS, Parameters, find

_TURN_S = 0.05


def list_ports(jack: bool) -> None:
    """Print the ports."""
    found = ports.ports(jack)
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


def show(*, jack: bool, port: str) -> None:
    """Print what each control of the controller that has `port` in its name does."""
    _show(_surface(_controller(port, jack)[0]))


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
    own, ours = controls.known_controllers()
    word, name = part.casefold(), controls.file_name(part).casefold()
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
