"""A control surface: one controller whose messages move parameters by its bindings, and who hears of their values.

What a single control does, takeover among it, is in `takeover.py`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

from ..parameters import Parameters
from .bindings import Binding
from .messages import Message
from .takeover import Link

Bound = tuple[list[Binding], bool]
"""What a controller does: its bindings, and whether values go back to it."""

# The only channel mode message that does something here. Keyboards send "all notes off" (123) whenever the last key is
# let go, and sequencers "reset all controllers" (121) at each stop, which leaves volume and pan as they are: RP-015,
# "Response to Reset All Controllers" (MIDI Manufacturers Association).
_SOUNDS_OFF = 120


class Surface:
    """One controller at work: its messages move `parameters`, and their values go back to it.

    What is changed here is remembered as a change, until it is kept: others may change the file meanwhile, and then it
    is made anew to what the file says.

    Parameters
    ----------
    name : of its port
    feedback : whether anything is sent to it
    channel : the only channel that is heard, 1 to 16; None is all
    recall : is called with bank (0 to 16383) and program (0 to 127) of a program change

    One thread receives and sends; any other may bind, forget and look.
    Attributes: `name`, `feeds_back`, `bindings` (change them with the methods).
    """

    def __init__(
        self,
        parameters: Parameters,
        name: str,
        bindings: Iterable[Binding],
        *,
        feedback: bool,
        channel: int | None = None,
        recall: Callable[[int, int], object],
    ) -> None:
        self.name, self.feeds_back = name, False
        self.bindings: list[Binding] = []
        self._parameters, self._only, self._recall = parameters, channel, recall
        self._channel = channel or 1  # last heard
        self._links: tuple[Link, ...] = ()
        self._changes: list[Callable[[Bound], Bound]] = []
        self._lock = RLock()
        self._work_with((list(bindings), feedback))

    def _work_with(self, bound: Bound) -> None:
        """Do what `bound` says; bindings that were there before know what they knew."""
        before = list(self._links)
        links = []
        for binding in bound[0]:
            if binding.parameter in self._parameters:
                link = next((link for link in before if link.binding == binding), None)
                if link:
                    before.remove(link)
                links.append(link or Link(binding, self._parameters))
        if bound[1] and not self.feeds_back:
            self.refresh()
        self.bindings, self.feeds_back = bound
        self._links = tuple(links)

    def _change(self, change: Callable[[Bound], Bound]) -> None:
        with self._lock:
            self._work_with(change((self.bindings, self.feeds_back)))
            self._changes.append(change)

    def take_up(self, bound: Bound) -> None:
        """Do what the file says now, and what has been changed here since it was last kept."""
        with self._lock:
            for change in self._changes:
                bound = change(bound)
            self._work_with(bound)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """A context, to `take_up` and write within; once it has ended well, all changes are kept."""
        with self._lock:
            yield
            self._changes.clear()

    def receive(self, message: Message, now: float) -> None:
        """Do what `message` asks for; `now` is in seconds."""
        control = message.control
        if self._only not in (None, control.channel):
            return
        self._channel = control.channel
        if control.kind == "program":
            self._recall(control.number, message.value)
        elif control.kind == "mode":
            if control.number == _SOUNDS_OFF:
                self._parameters.update({"output.mute": 1}, by="midi")
        else:
            for link in self._links:
                if link.hears(control):
                    link.receive(message, now)

    def feedback(self, now: float) -> list[bytes]:
        """The messages that bring lights, rings and motors to where the values are."""
        if not self.feeds_back:
            return []
        messages = [link.feedback(now, self._channel) for link in self._links]
        return [message for message in messages if message is not None]

    def refresh(self) -> None:
        """Forget what the controller was told: it is told everything again."""
        for link in self._links:
            link.shown = None

    def ghosts(self) -> dict[str, float]:
        """Where controls stand that have yet to fetch their value: 0..1 of the parameter's whole travel, by its id."""
        return {link.info.id: place for link in self._links if (place := link.ghost()) is not None}

    def bind(self, binding: Binding, add: bool = False) -> list[Binding]:
        """Put `binding` in, in place of what the same control did, or beside it if `add`; what it did."""
        gone = [each for each in self.bindings if not add and each.overlaps(binding)]
        self._change(
            lambda bound: ([*(each for each in bound[0] if add or not each.overlaps(binding)), binding], bound[1])
        )
        return gone

    def forget(self, parameters: Collection[str]) -> list[Binding]:
        """Drop all bindings of `parameters`; those that there were."""
        gone = [each for each in self.bindings if each.parameter in parameters]
        if gone:
            self._change(lambda bound: ([each for each in bound[0] if each.parameter not in parameters], bound[1]))
        return gone

    def put_back(self, gone: Iterable[Binding], instead: Iterable[Binding] = ()) -> None:
        """Bring bindings back that have `gone`, for others that came `instead`."""
        back, out = list(gone), list(instead)
        self._change(
            lambda bound: (
                [*(each for each in bound[0] if each not in out), *(each for each in back if each not in bound[0])],
                bound[1],
            )
        )

    def feed_back(self, on: bool) -> None:
        """Send values to the controller from now on, or no more."""
        self._change(lambda bound: (bound[0], on))

    @property
    def problems(self) -> list[str]:
        """A sentence for each binding that cannot work here."""
        return [
            f"{self.name}: {binding.where} is bound to {binding.parameter!r}, which is no parameter here; it is kept."
            for binding in self.bindings
            if binding.parameter not in self._parameters
        ]

    @property
    def conflicts(self) -> list[str]:
        """A sentence for each parameter with several controls, and for each control with several parameters."""
        sentences = []
        for binding in self.bindings:
            controls = [each.where for each in self.bindings if each.parameter == binding.parameter]
            parameters = [each.parameter for each in self.bindings if each.overlaps(binding)]
            if len(controls) > 1:
                sentences.append(f"{binding.parameter} has {len(controls)} controls: {', '.join(controls)}.")
            if len(parameters) > 1:
                sentences.append(f"{binding.where} moves {len(parameters)} parameters: {', '.join(parameters)}.")
        return list(dict.fromkeys(sentences))
