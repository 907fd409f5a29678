"""What moves a run from outside, and what of it is kept: controllers with their bindings, the page, the session."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import RenderableType

from ..errors import BadInput, Unavailable
from ..parameters import Parameters
from ..streams import tell
from . import bindings, code, controller_files, presets
from .controllers import Midi
from .messages import Message, check_channel
from .sessions import Session
from .stream import Stream
from .surface import Bound, Surface


@dataclass(frozen=True)
class Hands:
    """How `command` ("live" or "karaoke") is to be moved.

    remembered : what of the command line its session is to bring back
    midi : whether controllers are listened to, those whose names contain `port`, on `channel` (1 to 16; None: on all)
    web : the port at which the page is served, None for no page; with `lan` it is served to other machines too

    Raises `BadInput` for another channel, `Unavailable` without the packages that the page takes.
    """

    command: Literal["live", "karaoke"]
    remembered: Mapping[str, str | float] = field(default_factory=dict)
    midi: bool = True
    port: str | None = None
    channel: int | None = None
    web: int | None = None
    lan: bool = False

    def __post_init__(self) -> None:
        check_channel(self.channel)
        if self.web is not None:
            from .remote import Remote  # noqa: F401  # what is missing is told before any sound

    @contextmanager
    def on(self, stream: Stream, name: str, *, singer: bool = False, plain: bool = False) -> Iterator["Held"]:
        """While the context lasts they move `stream`, which plays what the page calls `name`.

        In `plain` lines of text no picture of the address is shown, and no key is taken for it.
        """
        parameters, midi, address = stream.engine.parameters, None, None
        with ExitStack() as stack:
            session = stack.enter_context(closing(Session(self.command, parameters, self.remembered, tell)))
            if self.midi:
                midi = controllers(parameters, jack=stream.on_jack, only=self.port, channel=self.channel)
                stack.enter_context(midi)
                for problem in midi.problems:
                    tell(problem)
            if self.web is not None:
                from .remote import Remote

                remote = Remote(stream, name, port=self.web, lan=self.lan, singer=singer)
                address = stack.enter_context(remote).address
                again = "" if plain else " (w shows it again, for a phone to read)"
                tell(f"the page is at {address}{again}.")
            yield Held(session, midi, None if plain else address, shows_address=self.lan)


@dataclass
class Held:
    """What moves a run while it lasts: its session, which wants to be ticked, its controllers, its page's address."""

    session: Session
    midi: Midi | None = None
    address: str | None = None
    shows_address: bool = False

    def press(self, key: str) -> bool:
        """Whether `key` is for the address: w shows it and takes it away, any other takes it away as well."""
        if self.address is None or not (key == "w" or self.shows_address):
            return False
        self.shows_address = not self.shows_address
        return True

    def view(self, view: Callable[[], RenderableType]) -> RenderableType:
        """The address while it is shown, else `view`."""
        return code.picture(self.address) if self.address and self.shows_address else view()


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
        preset = presets.preset_of(bank, program + 1)
        if preset:
            parameters.recall(preset.values)
            midi.recalled(preset.name)

    seen = controller_files.controllers_stamp()

    def look(surfaces: Iterable[Surface]) -> None:
        """Take up what somebody else, or a person with an editor, has written of controllers."""
        nonlocal seen
        found = controller_files.controllers_stamp()
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
        controller_files.update_controller(surface.name, change, part=part)


def read(port: str) -> Bound:
    """What the files say of the controller at `port`, ours where the user has none.

    Raises `BadInput` or `Unavailable`, with the name of the file that cannot be understood.
    """
    return _understood(port, controller_files.load_controller(port))


def _understood(port: str, document: Mapping[str, Any] | None) -> Bound:
    if document is None:
        return bindings.default_bindings(), False
    try:
        return bindings.load(document)
    except BadInput as error:
        raise BadInput(f"{controller_files.controller_path(port)}: {error}") from None
