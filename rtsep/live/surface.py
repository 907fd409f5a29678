"""Takeover and feedback: a controller's messages move parameters by its bindings, and their values go back to it.

Takeover, which keeps a motorless control from tearing a value to where it happens to stand, is that of Ableton Live
(Reference Manual, version 8, Ableton, 2009, chapter "MIDI and Key Remote Control").
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

from ..parameters import SILENCE_DB, Parameters
from .bindings import CODINGS, Binding
from .messages import Control, Message, Pair, encode, parse

Bound = tuple[list[Binding], bool]
"""What a controller does: its bindings, and whether values go back to it."""

_STEP = 1 / 127  # of a control with 7 bits, and of an encoder
_RESTS_S = 0.5  # nothing heard for so long: the hand is off
_AGAIN_S = 0.1  # a second press sooner than this is none; some pedals never send a release
_THROTTLE_S = 0.03  # between two messages to one control: old DIN cables carry one in a millisecond

# The only channel mode message that does something here. Keyboards send "all notes off" (123) whenever the last key is
# let go, and sequencers "reset all controllers" (121) at each stop, which leaves volume and pan as they are: RP-015,
# "Response to Reset All Controllers" (MIDI Manufacturers Association).
_SOUNDS_OFF = 120


class _Link:
    """A binding at work: where its control stands, what it has written, and what the control was told."""

    def __init__(self, binding: Binding, parameters: Parameters) -> None:
        self.binding, self.parameters = binding, parameters
        self.info = parameters[binding.parameter].info
        self.kind, self.number = parse(binding.control)
        self.low, self.high = binding.ends(self.info)
        self.lit = binding.kind in ("toggle", "momentary") or self.info.unit == "switch"
        self.waits = binding.kind == "absolute" and binding.takeover != "jump" and not self.info.choices
        self.bits = 14 if self.kind == "bend" else binding.bits
        self.pair = Pair()
        self.position: float | None = None  # of the control, 0..1; None until it is known
        self.written: float | None = None  # the value last written, and the position that it stands for
        self.aim = 0.0
        self.held = False
        self.channel: int | None = None
        self.heard_s = self.sent_s = -math.inf
        self.shown: int | None = None  # what the control was told, or told us, last

    @property
    def value(self) -> float:
        return self.parameters[self.info.id].value

    def hears(self, control: Control) -> bool:
        """Whether this binding is for messages of `control`."""
        numbers = (self.number, self.number + 32) if self.binding.bits == 14 else (self.number,)
        channel = self.binding.channel in (None, control.channel)
        return channel and control.kind == self.kind and control.number in numbers

    def receive(self, message: Message, now: float) -> None:
        """Do what the control asks for."""
        before, self.heard_s, self.channel = self.heard_s, now, message.control.channel
        kind = self.binding.kind
        if message.bits == 0:
            self._step(message.value)
        elif kind in CODINGS:
            self._step(CODINGS[kind](message.value))
        elif kind == "absolute":
            self._move(message, now)
        elif self.held != (message.value > 0) or (self.held and now > before + _AGAIN_S):
            self.held = message.value > 0
            self._press()

    def _press(self) -> None:
        if not self.held:
            self.shown = None  # many a button puts its own light out when it is let go
        if self.binding.kind == "momentary":
            self._write(self.high if self.held != self.binding.invert else self.low)
        elif self.held:
            self._write(self.low if self.value == self.high else self.high)

    def _step(self, count: int) -> None:
        """Go `count` steps up; one across 0 dB ends there."""
        if count == 0:
            return
        count = -count if self.binding.invert else count
        if self.info.step:
            value = self.value + count * self.info.step
        else:
            before, unity = self.info.to_normalized(self.value), self.info.to_normalized(0)
            after = round(before + count * _STEP, 9)  # or many steps would miss the ends by what arithmetic loses
            passes = self.info.low == SILENCE_DB and (before - unity) * (after - unity) < 0
            value = self._at(unity if passes else after, _STEP)
        self._write(min(max(value, self.low), self.high))

    def _move(self, message: Message, now: float) -> None:
        """The control has been moved: bring the value along, if the takeover lets it."""
        value, bits = message.value, message.bits
        if self.binding.bits == 14 and message.control.number != self.number:
            if not (come := self.pair.lsb(value, now)):
                return
            value, bits = come
        elif self.binding.bits == 14:
            value, bits = self.pair.msb(value, now)
        elif self.kind != "cc":
            self.bits = bits
        before, self.position = self.position, value / (2**bits - 1)
        self.shown = round(self.position * (2**self.bits - 1))
        aim = self._taken_over(before, self.position)
        if aim is not None:
            self._write(self._value_at(aim))
            self.aim = aim

    def _taken_over(self, before: float | None, position: float) -> float | None:
        """The position that the value is to take when the control comes from `before`; None if it is to stay."""
        takeover, caught = self.binding.takeover, self.written == self.value
        if takeover == "jump" or self.info.choices or (caught and takeover == "pick-up"):
            return position
        place = self.aim if caught else self._position_of(self.value)
        if takeover == "scale" and before is not None:
            if position > before:
                return 1 - (1 - place) * (1 - position) / (1 - before)
            return place * position / before if position < before else None
        # What the binding wrote before it lost the value is no sign of having it, should the value ever come back.
        self.written = None
        passed = before is not None and (before - place) * (position - place) <= 0
        return position if passed or abs(position - place) <= _STEP + 1e-9 else None

    def _write(self, value: float) -> None:
        self.written = value
        self.parameters.update({self.info.id: value}, by="midi")

    def _at(self, normalized: float, step: float) -> float:
        """The value at a place of the parameter's whole travel; a fader has a detent at 0 dB, one `step` wide."""
        if self.info.low == SILENCE_DB and abs(normalized - self.info.to_normalized(0)) <= step / 2:
            return 0.0
        return self.info.from_normalized(normalized)

    def _value_at(self, position: float) -> float:
        """The value for a position of the control."""
        position = 1 - position if self.binding.invert else position
        if position in (0, 1):  # exactly, whatever the arithmetic
            return self.high if position else self.low
        start, end = self.info.to_normalized(self.low), self.info.to_normalized(self.high)
        value = self._at(start + position * (end - start), (end - start) * _STEP)
        return min(max(value, self.low), self.high)

    def _position_of(self, value: float) -> float:
        """The position of the control for a value; the nearer end for one beyond its ends."""
        start, end = self.info.to_normalized(self.low), self.info.to_normalized(self.high)
        position = min(max((self.info.to_normalized(value) - start) / (end - start), 0.0), 1.0)
        return 1 - position if self.binding.invert else position

    def ghost(self) -> float | None:
        """Where in the parameter's travel the control stands, if it is known, is elsewhere and has to be fetched."""
        if not self.waits or self.position is None:
            return None
        place = self.info.to_normalized(self._value_at(self.position))
        return place if abs(place - self.info.to_normalized(self.value)) > _STEP + 1e-9 else None

    def feedback(self, now: float, channel: int) -> bytes | None:
        """What the control is to be told now; on `channel` if neither the binding nor the control has one."""
        if self.waits:  # what has to be picked up does not move by itself
            return None
        if self.lit:
            value = self.binding.on if (self.value == self.high) != self.binding.invert else self.binding.off
        else:
            value = round(self._position_of(self.value) * (2**self.bits - 1))
        # A button and an encoder have no place of their own that a hand could be holding.
        moving = self.binding.kind == "absolute" and now < self.heard_s + _RESTS_S
        if value == self.shown or moving or now < self.sent_s + _THROTTLE_S:
            return None
        self.shown, self.sent_s = value, now
        control = Control(self.kind, self.binding.channel or self.channel or channel, self.number)
        return encode(control, value, 7 if self.lit else self.bits)


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
        self._links: tuple[_Link, ...] = ()
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
                links.append(link or _Link(binding, self._parameters))
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
