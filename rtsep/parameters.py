"""PARAMETERS: what may move while sound runs. One table, from which command line, presets and controllers derive.

An id is never reused. The engine holds one float32 target per parameter, in the order of the table and in the
unit of the kernels (linear gain, 0 or 1, index of a choice); the glide towards it happens in the kernels.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from threading import RLock
from typing import Any

from .errors import BadInput, unknown
from .settings import GROUPS, STEMS

SILENCE_DB = -80.0
"""The bottom of every fader: this and anything below it is silence, shown as -inf."""

# A fader's law: its travel from 0 to 1 is linear in decibels from -60 to 0 at 100/127 of it, then to the top.
_FADER_BOTTOM_DB, _FADER_UNITY = -60.0, 100 / 127
_SOLVERS = ("descent", "kullback-leibler", "euclidean", "itakura-saito")  # in the order of those in dsp/nmf.py
_PLACES = 9  # of the decibels that a position stands for: -15, and not -15.000000000000007


@dataclass(frozen=True)
class Parameter:
    """What is known of a parameter. Values are in `unit`; a switch is 0 or 1, a choice is the index of its word."""

    id: str
    name: str
    low: float
    high: float
    default: float
    unit: str = ""  # "dB", "Hz", "semitones", "" (a plain number), "switch" or "choice"
    step: float = 0.0  # 0: continuous
    choices: tuple[str, ...] = ()
    effect: str = ""  # what one hears when it is turned up or on

    def check(self, value: Any) -> float:
        """`value` (a number, or a text for `parse`) as a number of this parameter, or `BadInput`."""
        if isinstance(value, str):
            return self.parse(value)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise BadInput(f"{self.id} is {value!r}: it must be {self.range_text()}.") from None
        if self.unit == "dB" and self.low == SILENCE_DB and number <= SILENCE_DB:
            return -math.inf
        if not self.low <= number <= self.high:
            raise BadInput(f"{self.id} is {number:g}: it must be {self.range_text()}.")
        return self.low + round((number - self.low) / self.step) * self.step if self.step else number

    def range_text(self) -> str:
        """The range in words, as error messages and the help show it."""
        if self.choices:
            return " or ".join(self.choices)
        bottom = "-inf" if self.low == SILENCE_DB else f"{self.low:g}"
        return f"a number between {bottom} and {self.high:g} {self.unit}".rstrip()

    def format(self, value: float) -> str:
        """`value` as a person reads it: "-6.0 dB", "-inf dB", "on", "soft", "2.00"."""
        if self.choices:
            return self.choices[int(value)]
        if self.unit == "dB":
            return "-inf dB" if value <= SILENCE_DB else f"{value:.1f} dB"
        if self.unit == "semitones":
            return f"{value:+.0f} semitones"
        return f"{value:.0f} Hz" if self.unit == "Hz" else f"{value:.2f}"

    def parse(self, text: str) -> float:
        """The value that `text` means; `format` turned round, units and case optional."""
        word = text.strip().lower().removesuffix(self.unit.lower()).strip()
        if self.choices:
            word = {"1": "on", "true": "on", "yes": "on", "0": "off", "false": "off", "no": "off"}.get(word, word)
            if word not in self.choices:
                raise BadInput(f"{self.id} is {text!r}: it must be {self.range_text()}.")
            return float(self.choices.index(word))
        try:
            return self.check(float(word))
        except BadInput:
            raise
        except ValueError:
            raise BadInput(f"{self.id} is {text!r}: it must be {self.range_text()}.") from None

    @property
    def _unity(self) -> float:
        """Where 0 dB lies on the way of a fader."""
        return _FADER_UNITY if self.high > 0 else 1.0

    def to_normalized(self, value: float) -> float:
        """`value` as a position 0..1 of a knob or fader."""
        if self.low == SILENCE_DB:
            if value <= _FADER_BOTTOM_DB:
                return 0.0
            if value <= 0:
                return (1 - value / _FADER_BOTTOM_DB) * self._unity
            return self._unity + value / self.high * (1 - self._unity)
        return (value - self.low) / (self.high - self.low)

    def from_normalized(self, position: float) -> float:
        """The value at `position` (0..1, clamped) of a knob or fader; a fader's lowest position is silence."""
        position = min(max(position, 0.0), 1.0)
        if self.low == SILENCE_DB:
            if position == 0:
                return -math.inf
            if position <= self._unity:
                return round(_FADER_BOTTOM_DB * (1 - position / self._unity), _PLACES)
            return round((position - self._unity) / (1 - self._unity) * self.high, _PLACES)
        return self.check(self.low + position * (self.high - self.low))

    def to_target(self, value: float) -> float:
        """`value` as the kernels see it: decibels become a linear gain."""
        if self.unit == "dB":
            return 10 ** (value / 20) if value > SILENCE_DB else 0.0
        return value


def _fader(id: str, name: str, effect: str) -> Parameter:
    return Parameter(id, name, SILENCE_DB, 12, 0, "dB", effect=effect)


def _switch(id: str, name: str, effect: str) -> Parameter:
    return Parameter(id, name, 0, 1, 0, "switch", 1, ("off", "on"), effect)


# What one hears of a stem.
_SOUNDS = {
    "percussive": "Drums and all that strikes",
    "melody": "The lead, most often the voice",
    "harmony": "Bass and chords",
    "residual": "What is left: breath, noise, room",
    "harmonic": "All that has a pitch",
    "accompaniment": "All but the lead",
}


def faders(stem: str) -> Iterator[Parameter]:
    """The parameters that every stem and group has."""
    sound = _SOUNDS.get(stem, stem)
    yield _fader(f"{stem}.gain_db", f"{stem} level", f"{sound}: louder.")
    yield _switch(f"{stem}.mute", f"{stem} mute", f"{sound}: silent.")
    yield _switch(f"{stem}.solo", f"{stem} solo", f"{sound}: heard alone, with all else that is solo.")


def learning(stem: str) -> Parameter:
    """The switch that is on while a stem is being learned."""
    return _switch(f"{stem}.learn", f"learn {stem}", f"What sounds now is learned as {stem}, until it is off again.")


def _table() -> Iterator[Parameter]:
    for stem in (*STEMS, *GROUPS):
        yield from faders(stem)
    yield _fader("output.gain_db", "output level", "All is louder.")
    yield _switch("output.mute", "output mute", "All is silent, the microphone too.")
    yield _switch("bypass", "bypass", "The input is heard as it is, as late as the mix.")
    yield _switch("limiter", "output limiter", "What would be too loud is turned down, without distortion.")
    ceiling = "Peaks may be louder."
    yield Parameter("limiter.ceiling_db", "limiter ceiling", -24, 0, -1, "dB", effect=ceiling)
    learned = "Learned: stems are cleaner. Classic: a third of the work, and rougher."
    yield Parameter("masks", "how the masks are found", 0, 1, 1, "choice", 1, ("classic", "learned"), learned)
    bias = "Classic masks give more to what has a pitch, and less to the drums."
    yield Parameter("hpss.bias", "bias to harmonic", 0.25, 8, 2, effect=bias)
    separation = "Classic masks: stems are purer, and more goes to the residual."
    yield Parameter("hpss.separation", "separation factor", 1, 10, 1, effect=separation)
    exponent = "Classic masks: stems leak less into each other, and sound harder."
    yield Parameter("hpss.exponent", "mask exponent", 0.25, 8, 1.5, step=0.25, effect=exponent)
    kind = "Binary: the least leaks, and single tones ring. Soft sounds smoother."
    yield Parameter("hpss.mask", "mask kind", 0, 1, 0, "choice", 1, ("soft", "binary"), kind)
    low, high = "Lower leads are no longer followed.", "Higher leads are followed."
    yield Parameter("melody.low_hz", "lowest pitch of the melody", 55, 1760, 80, "Hz", effect=low)
    yield Parameter("melody.high_hz", "highest pitch of the melody", 55, 1760, 1100, "Hz", effect=high)
    place = "The lead is looked for further to the right."
    yield Parameter("melody.pan", "place of the melody in the stereo image", -1, 1, 0, effect=place)
    width = "More of the stereo image counts as that place; 2 is all of it."
    yield Parameter("melody.pan_width", "width of that place", 0.05, 2, 2, effect=width)
    lead = "Voice: instruments that play a tune stay in the harmony. Any: they lead too."
    yield Parameter("melody.lead", "who leads, for learned masks", 0, 1, 1, "choice", 1, ("voice", "any"), lead)
    duck = "The lead is silent. Karaoke turns this on while the singer is on pitch."
    yield _switch("melody.duck", "rest of the melody while a singer is on pitch", duck)
    solver = "How templates are fitted to the sound: descent is the quickest to settle."
    yield Parameter("templates.solver", "solver of the templates", 0, 3, 0, "choice", 1, _SOLVERS, solver)
    sweeps = "Parts follow the sound faster and part better, for more work."
    yield Parameter("templates.sweeps", "updates in a frame", 1, 20, 2, step=1, effect=sweeps)
    sparsity = "Fewer parts sound at a time; weak ones vanish."
    yield Parameter("templates.sparsity", "sparsity of the templates", 0, 1, 0, effect=sparsity)
    smoothness = "Parts change more slowly: they flutter less, and their attacks blur."
    yield Parameter("templates.smoothness", "smoothness of the templates", 0, 10, 0, effect=smoothness)
    sharpness = "Parts leak less into each other, and sound harder."
    yield Parameter("templates.exponent", "mask exponent of the templates", 0.25, 8, 2, step=0.25, effect=sharpness)
    yield Parameter("key.semitones", "key", -12, 12, 0, "semitones", step=1, effect="The song sounds higher.")
    yield _fader("microphone.gain_db", "microphone level", "The singer is louder.")
    yield _switch("microphone.mute", "microphone mute", "The singer is silent.")
    rumble = "More of the low is taken off the microphone: less rumble, a thinner voice."
    yield Parameter("microphone.high_pass_hz", "microphone high-pass", 20, 400, 80, "Hz", effect=rumble)
    gate = "The microphone opens for loud sound only: less room and hiss between words."
    yield Parameter("microphone.gate_db", "microphone gate", SILENCE_DB, 0, -55, "dB", effect=gate)
    reverb = "More room around the singer."
    yield Parameter("microphone.reverb_db", "microphone reverb", SILENCE_DB, 12, -20, "dB", effect=reverb)


PARAMETERS: dict[str, Parameter] = {parameter.id: parameter for parameter in _table()}
"""Every parameter by its id, in the order of the engine's array of targets. Stems that templates bring have theirs
behind these: see `Parameters`."""

_STEMS = {id.rpartition(".")[0] for id in PARAMETERS}
_ALIKE = 0.85  # of the letters of two names, from which one is taken for the other

INDEX = {id: index for index, id in enumerate(PARAMETERS)}


def find(id: str) -> Parameter | None:
    """The parameter called `id`: one of PARAMETERS, or a fader, mute or solo of a stem that templates may bring.

    None for what is neither, and for what looks like one of ours written wrongly.
    """
    stem = id.rpartition(".")[0]
    if id in PARAMETERS or not stem or get_close_matches(stem, _STEMS, 1, _ALIKE):
        return PARAMETERS.get(id)
    return next((info for info in (*faders(stem), learning(stem)) if info.id == id), None)


def checked(id: str) -> Parameter:
    """`find`, but raises `BadInput` where that is None."""
    info = find(id)
    if info is None:
        raise unknown("parameter", id, PARAMETERS)
    return info


def plain(values: Mapping[str, float]) -> dict[str, float | str]:
    """Values by id as JSON can say them: silence is "-inf", which is understood wherever values are taken."""
    return {id: value if math.isfinite(value) else "-inf" for id, value in values.items()}


Told = Callable[[Mapping[str, float], str], object]
"""What hears of changes: is called with what the changed parameters were before, by id, and with who changed them."""


class Control:
    """One parameter of one engine: `control.value = -6`, `control.text`, `control.normalized`, `control.info`."""

    def __init__(self, parameters: "Parameters", info: Parameter) -> None:
        self._parameters, self.info = parameters, info

    @property
    def value(self) -> float:
        """The value, in the parameter's unit; may be set to a number or a text."""
        return self._parameters._values[self.info.id]

    @value.setter
    def value(self, value: float | str) -> None:
        self._parameters[self.info.id] = value

    @property
    def text(self) -> str:
        """The value as a person reads it."""
        return self.info.format(self.value)

    @property
    def normalized(self) -> float:
        """The value as a position 0..1 of a knob; may be set."""
        return self.info.to_normalized(self.value)

    @normalized.setter
    def normalized(self, position: float) -> None:
        self._parameters[self.info.id] = self.info.from_normalized(position)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"<{self.info.id} = {self.text}>"


class Parameters(Mapping[str, Control]):
    """An engine's parameters by id: `parameters["percussive.gain_db"] = -6`, `parameters["bypass"].value`.

    Whoever changes one, from whatever thread, does it here: a change is one store into the array of targets, towards
    which the sound glides, and everybody who watches is told.

    `defaults` (values by id) are what `reset` goes back to. `parts` are stems beside those of STEMS, of which some
    `learn`; the array of targets has the parameters of PARAMETERS, and then theirs.

    Raises
    ------
    BadInput : for an unknown id, or a value out of range or not a number; nothing is changed then.
    """

    def __init__(
        self,
        targets: Any,
        defaults: Mapping[str, float] | None = None,
        parts: Iterable[str] = (),
        learn: Iterable[str] = (),
    ) -> None:
        self._targets = targets
        self._infos = PARAMETERS | {info.id: info for part in parts for info in faders(part)}
        self._infos |= {info.id: info for info in map(learning, learn)}
        self._index = {id: index for index, id in enumerate(self._infos)}
        self._lock = RLock()
        self._watching: tuple[Told, ...] = ()
        self.defaults = {id: info.default for id, info in self._infos.items()} | dict(defaults or {})
        self._values: dict[str, float] = {}
        self.update(self.defaults)

    def __getitem__(self, id: str) -> Control:
        if id not in self._infos:
            raise unknown("parameter", id, self._infos)
        return Control(self, self._infos[id])

    def __contains__(self, id: object) -> bool:
        return id in self._infos

    def __setitem__(self, id: str, value: float | str) -> None:
        self.update({id: value})

    def update(self, values: Mapping[str, float | str], by: str = "") -> None:
        """Set several at once, all or none; `by` is who does it, for those who watch."""
        checked = {id: self[id].info.check(value) for id, value in values.items()}
        with self._lock:
            changed = {id: value for id, value in checked.items() if self._values.get(id) != value}
            before = {id: self._values[id] for id in changed if id in self._values}
            self._values |= changed
            for id, value in changed.items():
                self._targets[self._index[id]] = self._infos[id].to_target(value)
        if before:
            for told in self._watching:
                told(before, by)

    def recall(self, values: Mapping[str, float | str]) -> None:
        """Set what a preset says of the stems that there are."""
        self.update({id: value for id, value in values.items() if id in self}, by="preset")

    def reset(self, by: str = "") -> None:
        """Set all to their defaults."""
        self.update(self.defaults, by)

    def watch(self, told: Told) -> Callable[[], None]:
        """From now on `told` hears of each change, in the thread that makes it, until what is returned is called."""
        with self._lock:
            self._watching = (*self._watching, told)

        def end() -> None:
            with self._lock:
                self._watching = tuple(each for each in self._watching if each is not told)

        return end

    def snapshot(self) -> dict[str, float]:
        """All values by id, in the parameters' units."""
        with self._lock:
            return dict(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)
