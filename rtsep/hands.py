"""What moves a run from outside, and what of it is kept: controllers with their bindings, presets, the session."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from .errors import BadInput, Unavailable
from .live import bindings, controls
from .live.bindings import Surface
from .live.controls import Session
from .live.midi import Message
from .live.ports import Midi
from .live.stream import Stream
from .live.terminal import tell
from .parameters import Parameters


@dataclass(frozen=True)
class Hands:
    """How `command` ("live" or "karaoke") is to be moved.

    remembered : what of the command line its session is to bring back
    midi : whether controllers are listened to, those whose names contain `port`, on `channel` (1 to 16; None: on all)
    """

    command: Literal["live", "karaoke"]
    remembered: Mapping[str, str | float] = field(default_factory=dict)
    midi: bool = True
    port: str | None = None
    channel: int | None = None

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
    """

    def recall(bank: int, program: int) -> None:
        preset = controls.preset_of(bank, program + 1)
        if preset:
            parameters.recall(preset.values)

    return Midi(
        parameters,
        jack=jack,
        only=only,
        channel=channel,
        surface=lambda port: surface(parameters, port, channel, recall),
        learned=keep,
        heard=heard,
    )


def surface(
    parameters: Parameters,
    port: str,
    channel: int | None = None,
    recall: Callable[[int, int], object] = lambda bank, program: None,
) -> Surface:
    """The controller at `port`, bound as its own file says, else as the map shipped for it, else like any."""
    bound, feedback = bindings.default_bindings(), False
    try:
        document = controls.load_controller(port)
        if document is not None:
            bound, feedback = bindings.load(document)
    except (BadInput, Unavailable) as error:
        tell(f"{error} Meanwhile {port} is bound like any controller.")
    return Surface(parameters, port, bound, feedback=feedback, channel=channel, recall=recall)


def keep(surface: Surface) -> None:
    """Write the bindings of a controller to its file."""
    controls.save_controller(surface.name, bindings.document(surface.bindings, surface.feeds_back))
