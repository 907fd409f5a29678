"""What comes out of a stream of MIDI bytes: controls, and the values they take.

After the MIDI 1.0 Detailed Specification (MIDI Manufacturers Association, 1996), as far as controllers use it. Bytes
may come in any pieces: a device or a cable may leave out a status byte that repeats the last one (running status), and
real-time bytes may stand anywhere.
"""

import math
import re
from collections import defaultdict
from typing import NamedTuple

from ..errors import BadInput

_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
"""How many follow a status byte, by its upper half; the lower half is the channel."""

_NOTE_OFF, _NOTE_ON, _CONTROL_CHANGE, _PROGRAM, _BEND = 0x8, 0x9, 0xB, 0xC, 0xE
_SYSTEM, _REAL_TIME = 0xF0, 0xF8  # the first status bytes of these

_BANK, _BANK_LSB = 0, 32
_DATA, _DATA_LSB, _INCREMENT, _DECREMENT = 6, 38, 96, 97
_SELECTORS = {"nrpn": (99, 98), "rpn": (101, 100)}  # control changes that say which parameter is meant: MSB, LSB
_SELECTS = {number: (kind, place) for kind, pair in _SELECTORS.items() for place, number in enumerate(pair)}
_NULL = [127, 127]  # the parameter that is none
_FIRST_MODE = 120  # control changes from here on are channel mode messages
_RESET = 121  # "reset all controllers", which selects the null too: RP-015 (MIDI Manufacturers Association)
_TOGETHER_S = 0.05  # a pair's halves are no further apart; an old DIN cable carries one in a millisecond

_LARGEST = {"cc": _FIRST_MODE - 1, "note": 127, "nrpn": 16383, "rpn": 16383}
_TEXT = re.compile(r"(cc|note|nrpn|rpn) *([0-9]{1,5})")


class Control(NamedTuple):
    """What was moved.

    kind : "cc", "nrpn", "rpn", "note", "bend", "program" or "mode" (control changes 120 to 127)
    channel : 1 to 16
    number : of the control change or note, 0 to 127; of the (N)RPN or, for a program, of its bank, 0 to 16383
    """

    kind: str
    channel: int
    number: int

    @property
    def text(self) -> str:
        """The control without its channel: "cc 7", "nrpn 1000", "bend"; `parse` turned round."""
        return self.kind if self.kind in ("bend", "program") else f"{self.kind} {self.number}"


class Message(NamedTuple):
    """A `control` that has come to `value`, of 7 `bits` (0 to 127) or 14 (0 to 16383), or by a step of +1 or -1 (0)."""

    control: Control
    value: int
    bits: int

    @property
    def text(self) -> str:
        """As a person reads it: "cc 7 = 64, channel 1"; "nrpn 1000 +1, channel 2" for a step.

        Programs count from 1, as controllers show them and presets have them.
        """
        value = f"= {self.value}" if self.bits else f"{self.value:+d}"
        if self.control.kind == "program":
            value = f"{self.value + 1}" + (f" of bank {self.control.number}" if self.control.number else "")
        return f"{self.control.text} {value}, channel {self.control.channel}"


def parse(text: str) -> tuple[str, int]:
    """Kind and number of the control that `text` names ("cc 7", "note 36", "nrpn 1000", "rpn 0", "bend").

    Raises `BadInput` for anything else.
    """
    word = " ".join(text.lower().split())
    if word == "bend":
        return "bend", 0
    match = _TEXT.fullmatch(word)
    if not match:
        raise BadInput(f"the control is {text!r}: it must be like 'cc 7', 'note 36', 'nrpn 1000', 'rpn 0' or 'bend'.")
    kind, number = match[1], int(match[2])
    if number > _LARGEST[kind]:
        raise BadInput(f"the control is {text!r}: its number must be between 0 and {_LARGEST[kind]}.")
    return kind, number


def check_channel(channel: int | None) -> None:
    """Raise `BadInput` for a channel that MIDI does not have."""
    if channel is not None and not 1 <= channel <= 16:
        raise BadInput(f"channel is {channel}: it must be between 1 and 16; without it any channel is heard.")


class Pair:
    """A value of 14 bits that comes as two of 7, the upper (MSB) and the lower (LSB); moves stay monotone.

    Either half may come first: the one with which a move begins, after a rest, leads.

    If that is the MSB, it stands alone, with 7 bits, until an LSB is heard. After that a new MSB is taken at once, with
    the LSB that is nearest to where it came from, so that no move turns back when its own LSB follows. An LSB that
    leads waits for its MSB; but not if the last one waited in vain: some devices leave out a half that stays the same.
    """

    def __init__(self) -> None:
        self._msb: int | None = None
        self._lsb, self._fine = 0, False
        self._lsb_leads = self._lsb_began = self._lsb_waits = False
        self._heard_s = -math.inf

    def msb(self, value: int, now: float) -> tuple[int, int]:
        """Take the upper 7 bits, at `now` (s); what is the value, and its bits?"""
        if self._rested(now):
            self._lsb_leads = False
        elif self._lsb_began:
            self._lsb_leads = True
        before = value if self._msb is None else self._msb
        if not self._lsb_leads and value != before:
            self._lsb = 0 if value > before else 127
        self._msb, self._lsb_began, self._lsb_waits = value, False, False
        return (value << 7 | self._lsb, 14) if self._fine else (value, 7)

    def lsb(self, value: int, now: float) -> tuple[int, int] | None:
        """Take the lower 7 bits, at `now` (s); what is the value, and its bits? None if it waits for its MSB."""
        self._lsb_began = self._rested(now)
        in_vain, self._lsb_waits = self._lsb_waits, True
        self._lsb, self._fine = value, True
        if self._msb is None or (self._lsb_leads and not in_vain):
            return None
        return self._msb << 7 | value, 14

    def _rested(self, now: float) -> bool:
        """Whether a move begins with what is heard now."""
        before, self._heard_s = self._heard_s, now
        return now > before + _TOGETHER_S


class _Channel:
    """What earlier control changes of a channel mean for later ones."""

    def __init__(self) -> None:
        self.bank = [0, 0]  # MSB, LSB
        self.deselect()

    def deselect(self) -> None:
        """Mean no NRPN and no RPN."""
        self._kind = "rpn"  # which of the two kinds was selected last
        self._numbers = {kind: list(_NULL) for kind in _SELECTORS}  # MSB, LSB

    def select(self, kind: str, place: int, value: int) -> None:
        """Take the MSB (`place` 0) or LSB (1) of the number of an NRPN or RPN."""
        self._kind = kind
        self._numbers[kind][place] = value

    @property
    def selected(self) -> tuple[str, int] | None:
        """Kind and number of the NRPN or RPN that is meant, if any."""
        numbers = self._numbers[self._kind]
        return None if numbers == _NULL else (self._kind, numbers[0] << 7 | numbers[1])


class Parser:
    """Makes messages of bytes; one for each cable, as it remembers what its devices may leave out."""

    def __init__(self) -> None:
        self._status = 0  # the last one, 0 if data bytes mean nothing
        self._data: list[int] = []  # what has come after it
        self._channels = [_Channel() for _ in range(16)]
        self._pairs: defaultdict[Control, Pair] = defaultdict(Pair)

    def feed(self, data: bytes, now: float = 0.0) -> list[Message]:
        """The messages that end within `data`, which came at `now` (s); the rest is kept.

        Real-time bytes change nothing. System exclusive and common messages end running status and are skipped, like
        pressure, undefined bytes, and messages that another one interrupts.
        """
        messages: list[Message] = []
        for byte in data:
            if byte >= _REAL_TIME:
                continue
            if byte >= 0x80:
                self._status, self._data = byte if byte < _SYSTEM else 0, []
            elif self._status:
                self._data.append(byte)
                if len(self._data) == _DATA_BYTES[self._status >> 4]:
                    message = self._message(now, self._status >> 4, self._status & 0xF, *self._data)
                    messages += [message] if message else []
                    self._data = []
        return messages

    def _message(self, now: float, kind: int, channel: int, first: int, second: int = 0) -> Message | None:
        if kind in (_NOTE_OFF, _NOTE_ON):
            return Message(Control("note", channel + 1, first), second if kind == _NOTE_ON else 0, 7)
        if kind == _CONTROL_CHANGE:
            return self._control_change(now, channel, first, second)
        if kind == _PROGRAM:
            msb, lsb = self._channels[channel].bank
            return Message(Control("program", channel + 1, msb << 7 | lsb), first, 7)
        if kind == _BEND:
            return Message(Control("bend", channel + 1, 0), second << 7 | first, 14)
        return None

    def _control_change(self, now: float, channel: int, number: int, value: int) -> Message | None:
        state = self._channels[channel]
        if number in _SELECTS:
            state.select(*_SELECTS[number], value)
            return None
        if number in (_DATA, _DATA_LSB, _INCREMENT, _DECREMENT) and state.selected:
            kind, parameter = state.selected
            return self._data_entry(now, Control(kind, channel + 1, parameter), number, value)
        if number == _RESET:
            state.deselect()
        if number in (_BANK, _BANK_LSB):
            state.bank[number == _BANK_LSB] = value
        return Message(Control("mode" if number >= _FIRST_MODE else "cc", channel + 1, number), value, 7)

    def _data_entry(self, now: float, control: Control, number: int, value: int) -> Message | None:
        if number in (_INCREMENT, _DECREMENT):
            return Message(control, 1 if number == _INCREMENT else -1, 0)
        pair = self._pairs[control]
        come = pair.msb(value, now) if number == _DATA else pair.lsb(value, now)
        return Message(control, *come) if come else None


def encode(control: Control, value: int, bits: int) -> bytes:
    """The bytes that bring `control` to `value` (of 7 or 14 `bits`), as feedback for the controller.

    Of 14 bits a cc becomes a pair (n and n + 32, so n is below 32). A note is a note-on, with velocity 0 too: that is
    how lights are put out. An (N)RPN ends with the null, so that later data is not taken for its own.
    """
    channel, number = control.channel - 1, control.number
    msb, lsb = (value >> 7, value & 127) if bits == 14 else (value, None)

    def changes(*pairs: tuple[int, int | None]) -> bytes:
        return bytes(
            byte for which, to in pairs if to is not None for byte in (_CONTROL_CHANGE << 4 | channel, which, to)
        )

    if control.kind == "note":
        return bytes((_NOTE_ON << 4 | channel, number, value))
    if control.kind == "bend":
        return bytes((_BEND << 4 | channel, value & 127, value >> 7))
    if control.kind == "program":
        bank = changes((_BANK, number >> 7), (_BANK_LSB, number & 127))
        return bank + bytes((_PROGRAM << 4 | channel, value))
    if control.kind in _SELECTORS:
        selectors = _SELECTORS[control.kind]
        which = zip(selectors, (number >> 7, number & 127), strict=True)
        null = zip(_SELECTORS["rpn"], _NULL, strict=True)
        return changes(*which, (_DATA, msb), (_DATA_LSB, lsb), *null)
    return changes((number, msb), (number + 32, lsb))
