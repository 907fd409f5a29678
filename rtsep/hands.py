"""What moves a run from outside, and what of it is kept: controllers with their bindings, presets, the session."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import BadInput, Unavailable
from .live import bindings, controls
from .live.bindings import Bound, Surface
from .live.controls import Session
from .live.midi import Message, check_channel
from .live.ports import Midi
from .live.stream import Stream
from .live.terminal import tell
from .parameters import Parameters


@dataclass(frozen=True)
class Hands:
    """How `command` ("live" or "karaoke") is to be moved.

    remembered : what of the command line its session is to bring back
    midi : whether controllers are listened to, those whose names contain `port`, on `channel` (1 to 16; None: on all)

    Raises `BadInput` for another channel.
    """

    command: Literal["live", "karaoke"]
    remembered: Mapping[str, str | float] = field(default_factory=dict)
    midi: bool = True
    port: str | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        check_channel(self.channel)

    @contextmanager
    def on(self, stream: Stream) -> Iterator[tuple[Session, Midi | None]]:
        """While the context lasts they move `stream`; the session wants to be ticked."""
        parameters = stream.engine.parameters
        with closing(Session(self.command, parameters, self.remembered, tell)) as session:
            if not self.midi:
                yield session, None
                return
            with controllers(parameters, jack=stream.on_jack, only=self.port, channel=self.channel) as midi:
                for problem in midi.problems:
                    tell(problem)
                yield session, midi


def controllers(
    parameters: Parameters,
    *,
    jack: bool = False,
    only: str | None = None,
    channel: int | None = None,
    heard: Callable[[str, Message], object] | None = None,
) -> Midi:
    """All controllers that are plugged in or will be, to be entered as a context; what they learn is kept.

    Parameters
    ----------
    jack : whether to look on a JACK server too
    only : part of the names of the ports to open
    channel : the only one that is heard, 1 to 16
    heard : is told of each message

    Raises `BadInput` for a channel that there is not.
    """
    check_channel(channel)

    def recall(bank: int, program: int) -> None:
        preset = controls.preset_of(bank, program + 1)
        if preset:
            parameters.recall(preset.values)
            midi.recalled(preset.name)

    seen = controls.controllers_stamp()

    def look(surfaces: Iterable[Surface]) -> None:
        """Take up what somebody else, or a person with an editor, has written of controllers."""
        nonlocal seen
        found = controls.controllers_stamp()
        if found == seen:
            return
        seen = found
        for surface in surfaces:
            try:
                surface.take_up(read(surface.name))
            except (BadInput, Unavailable) as error:
                tell(f"{error} Meanwhile {surface.name} stays bound as it was.")

    midi = Midi(
        parameters,
        jack=jack,
        only=only,
        channel=channel,
        surface=lambda port: surface(parameters, port, channel, recall),
        learned=keep,
        heard=heard,
        look=look,
    )
    midi.recalled = lambda name: tell(f"preset {name}")
    return midi


def surface(
    parameters: Parameters,
    port: str,
    channel: int | None = None,
    recall: Callable[[int, int], object] = lambda bank, program: None,
) -> Surface:
    """The controller at `port`, bound as its own file says, else as the map shipped for it, else like any."""
    try:
        bound, feedback = read(port)
    except (BadInput, Unavailable) as error:
        tell(f"{error} Meanwhile {port} is bound like any controller.")
        bound, feedback = _understood(port, None)
    return Surface(parameters, port, bound, feedback=feedback, channel=channel, recall=recall)


def keep(surface: Surface, part: bool = False) -> None:
    """Write what has changed of a controller to its file; a new one is for all ports of which its name is a `part`."""

    def change(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
        surface.take_up(_understood(surface.name, document))
        return bindings.document(surface.bindings, surface.feeds_back)

    with surface.keeping():
        controls.update_controller(surface.name, change, part=part)


def read(port: str) -> Bound:
    """What the files say of the controller at `port`, ours where the user has none.

    Raises `BadInput` or `Unavailable`, with the name of the file that cannot be understood.
    """
    return _understood(port, controls.load_controller(port))


def _understood(port: str, document: Mapping[str, Any] | None) -> Bound:
    if document is None:
        return bindings.default_bindings(), False
    try:
        return bindings.load(document)
    except BadInput as error:
        raise BadInput(f"{controls.controller_path(port)}: {error}") from None
