"""Takeover and feedback: one binding at work, from a control's position to a value and from the value to its light.

Takeover, which keeps a motorless control from tearing a value to where it happens to stand, is that of Ableton Live
(Reference Manual, version 8, Ableton, 2009, chapter "MIDI and Key Remote Control").
"""

import math

from ..parameters import SILENCE_DB, Parameters
from .bindings import CODINGS, Binding
from .messages import Control, Message, Pair, encode, parse

_STEP = 1 / 127  # of a control with 7 bits, and of an encoder
_RESTS_S = 0.5  # nothing heard for so long: the hand is off
_AGAIN_S = 0.1  # a second press sooner than this is none; some pedals never send a release
_THROTTLE_S = 0.03  # between two messages to one control: old DIN cables carry one in a millisecond


class Link:
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
