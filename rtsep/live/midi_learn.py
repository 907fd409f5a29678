"""Learning a binding from what a hand does: which control it moves, and what kind of control that is.

All controls of all ports are listened to at once, and each is judged by its own messages: how far it goes, and in
what steps. Idle controls send too, when they are shaken or their contacts are worn; so what is bound is, of those that
have shown what they are, the one that has sent most, once it rests.

Relative encoders are told by repeating a value where an absolute control moves on. Of their four codings one says up
with what another one says down, so the first turn is asked to be down, as Ableton Live asks for one to the left
(Reference Manual, version 8, Ableton, 2009, chapter "MIDI and Key Remote Control").
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..parameters import SILENCE_DB, checked
from .bindings import Binding
from .messages import Control, Message

_RESTS_S = 0.4
_TAP_S = 0.5  # a button that sends its release sooner is no latching one
_MOVED = 6 / 127  # of its way: worn contacts do less
_FEW = 3  # messages or values, from which on a control shows what it is
_ALTERNATIONS = 4  # of the halves of a pair
_FULL = 64  # or more is what a pressed button sends
_REMEMBERED = 128  # messages of a control

_STEPS = {1: range(1, 17), 63: range(48, 64), 65: range(65, 81), 127: range(112, 128)}
"""The values that stand for one step in some coding, with the more that an accelerated encoder sends at once."""

_CODINGS = {
    (63, 65): "offset",
    (127, 1): "twos-complement",
    (65, 1): "signed",
    (1, 65): "signed-reversed",
    (65, 63): "offset",  # turned up first; nothing else looks so
    (1, 127): "twos-complement",
}
"""By the step of the first turn and that of the one back."""


@dataclass
class _Track:
    """What one control of one port has sent, and what that makes of it."""

    heard: deque[tuple[float, Message]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    binding: Binding | None = None
    status: str = ""


class Learner:
    """Makes a binding for `parameter` of the control that is moved.

    Attributes: `status`, what is to be done next, or what was learned: one line of at most 76 characters.

    Raises `BadInput` for an unknown parameter.
    """

    def __init__(self, parameter: str) -> None:
        checked(parameter)
        self.parameter = parameter
        self.status = "Move a fader, press a button, or turn an encoder slowly down."
        self._tracks: dict[tuple[str, Control], _Track] = {}
        self._count: Counter[tuple[str, Control]] = Counter()
        self._alternations: Counter[tuple[str, Control]] = Counter()  # of pairs, by the upper half
        self._before: dict[str, Control] = {}  # what each port sent last

    def hear(self, port: str, message: Message, now: float) -> None:
        """Take `message` from `port` into account; `now` is in seconds."""
        control = message.control
        if control.kind in ("mode", "program"):
            return
        track = self._tracks.setdefault((port, control), _Track())
        track.heard.append((now, message))
        self._count[port, control] += 1
        upper, lower = sorted((self._before.get(port, control), control))
        if upper.kind == "cc" and upper.number < 32 and lower == _lower_half(upper):
            self._alternations[port, upper] += 1
        self._before[port] = control
        found = self._judge(port, control, track)
        track.binding, track.status = (None, found) if isinstance(found, str) else (found, _told(found))
        self.status = self._tracks[self._leader()].status

    def poll(self, now: float) -> tuple[str, Binding] | None:
        """The port and the binding, once a control has shown what it is, and rests."""
        if not self._tracks:
            return None
        port, control = self._leader()
        track = self._tracks[port, control]
        rests = now >= track.heard[-1][0] + _RESTS_S
        return (port, track.binding) if track.binding and rests else None

    def _leader(self) -> tuple[str, Control]:
        """Of those that have shown what they are, or else of all, the one that has sent most."""
        return max(self._tracks, key=lambda key: (self._tracks[key].binding is not None, self._count[key]))

    def _judge(self, port: str, control: Control, track: _Track) -> Binding | str:
        """What `control` is, or what is to be done next to find out."""
        go_on = f"{control.text}: move it further."
        messages = [message for _, message in track.heard]
        values = [message.value for message in messages]
        positions = [message.value / (2**message.bits - 1) for message in messages if message.bits]
        moved = len(positions) >= _FEW and max(positions) - min(positions) >= _MOVED
        if control.kind == "note":
            return self._toggle(control) if any(values) else go_on
        if control.kind != "cc":
            steps = len(messages) - len(positions)
            return self._binding(control) if moved or steps >= _FEW else go_on
        if control.number >= 32 and self._is_pair(port, control._replace(number=control.number - 32)):
            return go_on
        if self._is_pair(port, control):
            return self._binding(control, bits=14) if moved else go_on
        if _is_button(values):
            return self._button(control, track)
        if turns := _turns(values):
            kind = _CODINGS.get((turns[0], turns[-1]))
            return self._binding(control, kind=kind) if kind else f"{control.text} is an encoder: now turn it back up."
        return self._binding(control) if moved and len(set(values)) >= _FEW else go_on

    def _is_pair(self, port: str, upper: Control) -> bool:
        """Whether `upper` and its lower half are heard in turns."""
        both = self._count[port, upper] + self._count[port, _lower_half(upper)]
        return self._alternations[port, upper] >= max(_ALTERNATIONS, both / 2)

    def _button(self, control: Control, track: _Track) -> Binding | str:
        """A momentary button toggles; a latching one, which says by itself what is on, is absolute."""
        taps = (
            press.value > 0 and release.value == 0 and released - pressed <= _TAP_S
            for (pressed, press), (released, release) in pairwise(track.heard)
        )
        if any(taps):
            return self._toggle(control)
        return self._binding(control) if len(track.heard) >= _FEW else f"{control.text}: press it again, or go on."

    def _toggle(self, control: Control) -> Binding:
        """A fader toggles between silence and its default: its top would be a fright."""
        info = checked(self.parameter)
        return self._binding(control, kind="toggle", high=info.default if info.low == SILENCE_DB else None)

    def _binding(
        self, control: Control, *, kind: str = "absolute", bits: int = 7, high: float | None = None
    ) -> Binding:
        return Binding(control.text, self.parameter, channel=control.channel, kind=kind, bits=bits, high=high)


def _lower_half(upper: Control) -> Control:
    return upper._replace(number=upper.number + 32)


def _is_button(values: Sequence[int]) -> bool:
    """Whether there are presses and releases in turns, and nothing else."""
    in_turns = all((value == 0) != (after == 0) for value, after in pairwise(values))
    return in_turns and all(value == 0 or value >= _FULL for value in values)


def _turns(values: Sequence[int]) -> list[int]:
    """The steps of an encoder's turns, the first one first; nothing if this is no encoder."""
    steps = [step for value in values for step, reach in _STEPS.items() if value in reach]
    single = sum(value in _STEPS for value in values)
    repeats = sum(value == after for value, after in pairwise(values))
    if len(steps) < len(values) or single < max(_FEW, len(values) / 2) or repeats < _FEW - 1:
        return []
    return [step for step, count in Counter(steps).items() if count > 1]


def _told(binding: Binding) -> str:
    """What was learned, in a sentence."""
    info = checked(binding.parameter)
    if binding.kind == "toggle" and not info.choices:
        low, high = map(info.format, binding.ends(info))
        return f"{binding.control}: each press sets {info.id} to {high} or {low}."
    does = "switches" if binding.kind == "toggle" else "moves"
    what = ", in 14 bits," if binding.bits == 14 else "" if binding.kind in ("absolute", "toggle") else ", an encoder,"
    return f"{binding.control}{what} {does} {info.id}."
