"""Bindings: what the controls of a MIDI controller are to do to parameters, as a file says it.

A control's position (0 to 1) becomes a value through the law of its parameter, between the ends that its binding
names. Takeover and the four codings of relative encoders are those of Ableton Live (Reference Manual, version 8,
Ableton, 2009, chapter "MIDI and Key Remote Control"). `takeover.py` does what they say.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import BadInput, unknown
from ..parameters import Parameter, find
from ..settings import GROUPS, STEMS
from .messages import Control, check_channel, parse

FORMAT = 1
"""The version of a controller's document, as TOML files hold it."""

CODINGS: dict[str, Callable[[int], int]] = {
    "twos-complement": lambda value: value if value <= 64 else value - 128,
    "offset": lambda value: value - 64,
    "signed": lambda value: value if value <= 64 else 64 - value,
    "signed-reversed": lambda value: value - 64 if value > 64 else -value,
}
"""What the value of a message of a relative encoder means in steps, by the kind of its binding."""

KINDS = ("absolute", "toggle", "momentary", *CODINGS)
TAKEOVERS = ("pick-up", "jump", "scale")

_TYPES: dict[str, type] = {
    **dict.fromkeys(("control", "parameter", "kind", "takeover"), str),
    **dict.fromkeys(("channel", "bits", "on", "off"), int),
    **dict.fromkeys(("low", "high"), float),
    "invert": bool,
}
_WORDS = {str: "a text in quotes", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass
class Binding:
    """What one control does to one parameter. One whose parameter this version does not know is kept, and idle.

    control : "cc 7", "note 36", "nrpn 1000", "rpn 0" or "bend"
    parameter : its id
    channel : 1 to 16; None is any
    kind : "absolute"; "toggle", a button of which each press changes between `high` and `low`; "momentary", `high`
        while it is held; or the coding of a relative encoder: "twos-complement", "offset", "signed", "signed-reversed"
    bits : 14 for a cc below 32 whose fine half is the cc 32 above it
    low, high : what the lowest and the highest position stand for, in the parameter's unit; None is its end
    invert : the lowest position is `high`, the highest `low`; a light shines while the parameter is not at `high`
    takeover : "pick-up", nothing happens until the control is where the value is or passes it; "scale", the value
        moves in proportion to the way that is left for both, so that they meet at the end; or "jump", for a control
        that follows the value by itself (a motor fader, a ring of lights) or for those who like it
    on, off : 0 to 127, what lights the control's light, and what puts it out
    unknown : keys of a newer version

    Raises `BadInput` for what is none of these, or makes no sense together.
    """

    control: str
    parameter: str
    channel: int | None = None
    kind: str = "absolute"
    bits: int = 7
    low: float | None = None
    high: float | None = None
    invert: bool = False
    takeover: str = "pick-up"
    on: int = 127
    off: int = 0
    unknown: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kind, number = parse(self.control)
        self.control = Control(kind, 1, number).text
        if self.kind not in KINDS:
            raise unknown("kind", self.kind, KINDS)
        if self.takeover not in TAKEOVERS:
            raise unknown("takeover", self.takeover, TAKEOVERS)
        check_channel(self.channel)
        if self.bits not in (7, 14):
            raise BadInput(f"bits is {self.bits}: it must be 7, or 14 for a pair of cc.")
        if self.bits == 14 and not (kind == "cc" and number < 32 and self.kind == "absolute"):
            raise BadInput(
                f"bits is 14 for {self.control}, {self.kind}: only an absolute cc 0 to cc 31 is one of a pair."
            )
        if self.kind in CODINGS and kind != "cc":
            raise BadInput(f"kind is {self.kind!r} for {self.control}: only a cc can be that; leave kind out.")
        for name, value in (("on", self.on), ("off", self.off)):
            if not 0 <= value <= 127:
                raise BadInput(f"{name} is {value}: it must be between 0 and 127.")
        info = find(self.parameter)
        if info:
            low, high = self.ends(info)
            if info.to_normalized(low) >= info.to_normalized(high):
                raise BadInput(
                    f"low is {info.format(low)} and high is {info.format(high)}: high must lie above low; "
                    "invert = true turns a control round."
                )

    def ends(self, info: Parameter) -> tuple[float, float]:
        """The values of the lowest and the highest position."""
        ends = []
        for name, value in (("low", self.low), ("high", self.high)):
            try:
                ends.append(info.check(getattr(info, name) if value is None else value))
            except BadInput as error:
                raise BadInput(f"{name} of {error}") from None
        return ends[0], ends[1]

    def __str__(self) -> str:
        """In one line, with the ends in the parameter's unit: "cc 7 on channel 1: bypass, toggle"."""
        parts = [f"{self.where}: {self.parameter}"]
        info = find(self.parameter)
        if info and not info.choices:
            parts.append(" to ".join(map(info.format, self.ends(info))))
        parts += [self.kind] if self.kind != "absolute" else []
        parts += [word for word, true in (("14 bits", self.bits == 14), ("inverted", self.invert)) if true]
        return ", ".join([*parts, *([self.takeover] if self.takeover != "pick-up" else [])])

    @property
    def where(self) -> str:
        """The control and the channel in words."""
        return self.control if self.channel is None else f"{self.control} on channel {self.channel}"

    def overlaps(self, other: "Binding") -> bool:
        """Whether one message can move both."""
        channels = {self.channel, other.channel}
        return self.control == other.control and (len(channels) == 1 or None in channels)

    def table(self) -> dict[str, Any]:
        """As a table of a TOML file, without what is as usual."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "unknown"}
        usual = {each.name: each.default for each in fields(self)}
        return {name: value for name, value in values.items() if value != usual[name]} | self.unknown

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Binding":
        """`table` turned round. Raises `BadInput` for a wrong entry; keys it does not know are kept."""
        for name in ("control", "parameter"):
            if name not in table:
                raise BadInput(f"{name} is missing: each binding needs a control and a parameter.")
        known = {name: value for name, value in table.items() if name in _TYPES}
        for name, value in known.items():
            wanted = _TYPES[name]
            fits = isinstance(value, (int, float) if wanted is float else wanted)
            if not fits or isinstance(value, bool) != (wanted is bool):
                raise BadInput(f"{name} is {value!r}: it must be {_WORDS[wanted]}.")
        return cls(**known, unknown={name: value for name, value in table.items() if name not in _TYPES})


def load(document: Mapping[str, Any]) -> tuple[list[Binding], bool]:
    """The bindings of a controller's document, and whether values go back to it (not unless it says so).

    Raises `BadInput` that names the entry that is wrong.
    """
    feedback, tables = document.get("feedback", False), document.get("binding", [])
    if not isinstance(feedback, bool):
        raise BadInput(f"feedback is {feedback!r}: it must be true or false.")
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise BadInput(f"binding is {tables!r}: each binding must be a table of its own, under [[binding]].")
    bindings = []
    for number, table in enumerate(tables, 1):
        try:
            bindings.append(Binding.from_table(table))
        except BadInput as error:
            raise BadInput(f"binding {number} ({table.get('control', 'no control')}): {error}") from None
    return bindings, feedback


def document(bindings: Iterable[Binding], feedback: bool) -> dict[str, Any]:
    """`load` turned round: what a TOML file of a controller holds."""
    return {"format": FORMAT, "feedback": feedback, "binding": [binding.table() for binding in bindings]}


def default_bindings() -> list[Binding]:
    """For a controller nobody knows: cc 1 to 8 are the faders of stems, groups, microphone and output, 16 to 23 mute.

    The mutes toggle: with a momentary button each press counts and with a latching one every other, so that with both
    a hand can leave them on or off; as absolute ones they would be on only while a momentary button is held.
    """
    names = (*STEMS, *GROUPS, "microphone", "output")
    faders = [Binding(f"cc {number}", f"{name}.gain_db") for number, name in enumerate(names, 1)]
    return faders + [Binding(f"cc {number}", f"{name}.mute", kind="toggle") for number, name in enumerate(names, 16)]
