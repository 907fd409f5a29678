"""The commands of `rtsep midi`."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .errors import BadInput, Unavailable
from .hands import controllers, keep, surface
from .live import ports
from .live.bindings import Binding
from .live.midi import Message
from .live.ports import Midi
from .live.terminal import tell
from .parameters import INDEX, Parameters, checked

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
    checked(parameter)
    with _listening(jack, port, "Ctrl-C cancels") as midi:
        midi.learn(parameter, changes, add)
        said = ""
        while midi.learning:
            if midi.learn_status != said:
                said = midi.learn_status
                tell(said)
            time.sleep(_TURN_S)
        tell(midi.learn_status)


def bind(parameter: str, control: str, changes: Mapping[str, Any], *, port: str, add: bool) -> None:
    """Bind `control` of the controller called `port` to `parameter` and keep it."""
    checked(parameter)
    bound = surface(_unheard(), port)
    bound.bind(Binding(control, parameter, **changes), add=add)
    keep(bound)
    show(port)


def forget(parameter: str, port: str) -> None:
    """Forget what moves `parameter` on the controller called `port`."""
    bound = surface(_unheard(), port)
    if not bound.forget(parameter):
        raise BadInput(f"nothing on {port} moves {parameter}: see rtsep midi map --port {port!r}.")
    keep(bound)


def feedback(port: str, on: bool) -> None:
    """Say whether values go back to the controller called `port`."""
    bound = surface(_unheard(), port)
    bound.feeds_back = on
    keep(bound)


def show(port: str) -> None:
    """Print what each control of the controller called `port` does."""
    bound = surface(_unheard(), port)
    for binding in bound.bindings:
        print(binding)
    tell(f"values {'go' if bound.feeds_back else 'do not go'} back to {port}")
    for sentence in (*bound.problems, *bound.conflicts):
        tell(sentence)


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
        tell(f"listening to {', '.join(midi.open_ports) or 'controllers that will be plugged in'}. {help}.")
        yield midi
