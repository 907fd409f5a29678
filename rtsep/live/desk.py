"""The desk: the view of `rtsep live` in a terminal, with a row for each fader, and what its keys do.

Everything can be read without color and in 80 columns and 24 lines; styles only repeat what words and places say.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from ..errors import BadInput, Unavailable
from ..offline.notes import THRESHOLD_DB
from ..parameters import PARAMETERS
from ..templates import Templates
from . import presets
from .history import History
from .painter import printable
from .ports import Midi
from .singing import name_of, note_name
from .stream import Stream
from .terminal import bar

_WIDTH = 79  # of a line; writing into the 80th column would wrap in some terminals
_FADER_WIDTH, _METER_WIDTH, _WIDE_METER_WIDTH = 20, 14, 40
_TAIL_WIDTH = 11  # what is left for words at the end of a row
_CUT, _GAP = "...", "   "
_UNITY = PARAMETERS["output.gain_db"].to_normalized(0)

_BOTTOM_DB = -60  # of the faders: silence is below, and what comes back from it starts here
_STEPS_DB = {"up": 1, "down": -1, "pageup": 6, "pagedown": -6}
_HOLD_S = 1.5  # how long a peak is held
# A peak programme meter of type I returns by 20 dB in 1.7 s: IEC 60268-10, "Peak programme level meters", 1991.
_FALL_DB_PER_S = 20 / 1.7
_LIMITED = 0.9  # gain of the limiter below which it is said to work
_SAID_S = 3.0  # how long a message stands

_FAINT = 5e-4  # activation of a sine of -60 dBFS, over the size of the window
_MOST_ROWS = 10  # in 24 lines, of which one is for messages
_HELP = (
    "1-9 row  up/down 1 dB  page 6 dB  home 0 dB  end -inf  m mute  s solo  c clips",
    "space panic  b bypass  u undo  p/P preset  l/L learn  f forget  ? more  q quit",
)
_KEYS = (
    ("1 to 9", "choose a row"),
    ("left, right", "the row before, the next"),
    ("up, down", "its level by 1 dB"),
    ("page up, down", "its level by 6 dB"),
    ("home", "its level to 0 dB"),
    ("end", "its level to silence"),
    ("m, s", "mute it, solo it"),
    ("space", "panic: mute all, and back"),
    ("b", "bypass: the input as it is"),
    ("u", "undo"),
    ("p, P", "the preset after, before"),
    ("l, L", "learn its level, its mute"),
    ("n", "learn its sound, and end"),
    ("escape", "end learning, or this page"),
    ("f", "forget the row's controls"),
    ("c", "clear CLIP"),
    ("q", "quit"),
)


@dataclass
class Meter:
    """A level, decibels of full scale."""

    level_db: float = -math.inf
    hold_db: float = -math.inf  # the peak that is held
    clipped: bool = False


@dataclass
class Row:
    """A fader and what belongs to it."""

    number: int
    name: str
    value: str = "0.0 dB"
    position: float = _UNITY  # of the knob, 0 to 1
    ghost: float | None = None  # where the controller's knob stands
    muted: bool = False
    soloed: bool | None = False  # None: it has no solo
    meter: Meter | None = None  # None: it is not measured
    members: Sequence[int] = ()  # of a group, their numbers
    control: str = ""  # what of a controller moves it


@dataclass
class Values:
    """What there is to see."""

    title: str
    rows: Sequence[Row] = ()
    chosen: int = 1
    song: tuple[bool, float, float] | None = None  # whether it plays, s of it, s in all
    input: Meter = field(default_factory=Meter)
    output: Meter = field(default_factory=Meter)
    limiting: bool = False
    bypass: bool = False
    muted: bool = False
    gone: bool = False  # the device
    f0_hz: float = 0.0
    pitches: Sequence[int] = ()  # MIDI numbers that sound
    load_median: float = 0.0  # part of a block's time
    load_worst: float = 0.0
    xruns: int = 0
    latency_ms: float = 0.0
    midi: str = ""
    problem: str = ""  # of MIDI
    message: str = ""
    parameters: Sequence[tuple[str, str]] = ()  # ids and values; where there are any, they and the keys are shown


@dataclass
class Picture:
    """A picture of `values`, at most 23 lines of at most 79 columns, in signs that the console can print."""

    values: Values

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The lines."""
        values, plain = self.values, options.ascii_only
        lines = self._page() if values.parameters else self._rows(*("-+#o" if plain else "─┼●○"))
        for text in chain(self._title(console), lines):
            if plain:
                text.plain = text.plain.encode("ascii", "replace").decode()
            text.truncate(_WIDTH, overflow="crop")
            text.no_wrap = True
            yield text

    def _title(self, console: Console) -> Iterator[Text]:
        """Two lines: the title, which may need both and of which the end is always seen, and the song."""
        first, *rest = Text(printable(self.values.title), "bold").wrap(console, _WIDTH) or [Text()]
        end, song = " ".join(line.plain.strip() for line in rest), _song(self.values)
        room = _WIDTH - len(song) - len(_GAP)
        if cell_len(end) > room:
            while cell_len(end) > room - len(_CUT):
                end = end[1:]
            end = _CUT + end
        yield first
        yield Text.assemble((end, "bold"), _GAP if end else "", song)

    def _rows(self, track: str, unity: str, knob: str, ghost: str) -> Iterator[Text]:
        values = self.values
        unity_at = round(_UNITY * (_FADER_WIDTH - 1))
        yield Text(f"{'':17}{'-inf':{unity_at}}{'0':3}12{'M S':>13} [{'-60':{_METER_WIDTH - 1}}0]", "dim")
        for row in _seen(values.rows, values.chosen):
            signs = [track] * _FADER_WIDTH
            signs[unity_at] = unity
            if row.ghost is not None:
                signs[_place(row.ghost)] = ghost
            signs[_place(row.position)] = knob
            yield _row(row, "".join(signs), row.number == values.chosen)
        yield _state(values)
        yield _meter("input", values.input, "")
        yield _meter("output", values.output, "LIM" if values.limiting else "")
        name, cents = note_name(values.f0_hz)
        notes = "".join(f"  {name_of(pitch)}" for pitch in values.pitches)
        yield Text((f"melody  {name} {cents:+.0f} cents" if name else "melody  --") + (notes and f"   notes{notes}"))
        yield Text(
            f"load    {values.load_median * 100:.1f} %, worst {values.load_worst * 100:.1f} %   "
            f"xruns {values.xruns}   latency {values.latency_ms:.1f} ms"
        )
        yield Text(f"MIDI    {printable(values.midi)}")
        yield Text(printable(values.problem))
        yield Text(printable(values.message), "bold")
        yield from (Text(keys, "dim") for keys in _HELP)

    def _page(self) -> Iterator[Text]:
        """All keys, and beside them the parameters."""
        yield Text("? goes back to the rows")
        for (keys, what), (id, value) in zip_longest(_KEYS, self.values.parameters, fillvalue=("", "")):
            yield Text(f"{keys:>13}  {what:26} {id:23} {value}".rstrip())
        yield _state(self.values)
        yield Text(printable(self.values.message), "bold")


def _seen(rows: Sequence[Row], chosen: int) -> Sequence[Row]:
    """As many of `rows` as there is room for, the one with the number `chosen` among them."""
    place = next((place for place, row in enumerate(rows) if row.number == chosen), 0)
    first = min(max(place - _MOST_ROWS // 2, 0), max(len(rows) - _MOST_ROWS, 0))
    return rows[first : first + _MOST_ROWS]


def _row(row: Row, fader: str, chosen: bool) -> Text:
    letters = f"{'M' if row.muted else '.'} {' ' if row.soloed is None else 'S' if row.soloed else '.'}"
    if row.meter:
        meter = f"[{bar(row.meter.level_db, _METER_WIDTH, row.meter.hold_db)}]"
    else:
        meter = f"{_sum(row.members):{_METER_WIDTH + 2}}"
    clip = "CLIP" if row.meter and row.meter.clipped else ""
    tail = f"{clip} {row.control}".strip()
    tail = tail if len(tail) <= _TAIL_WIDTH else clip
    name = f"{row.number} {row.name}"
    line = f"{'>' if chosen else ' '}{name:15.15} {fader} {row.value:>8} {letters} {meter} "
    text = Text(line, "bold" if chosen else "")
    text.append(tail, "bold red" if clip else "")
    return text


def _sum(members: Sequence[int]) -> str:
    """A group in the place of a meter, whole: "= 2 + 3", "= 1 to 5", "= 1+3+5+7+9", or how many there are."""
    if not members:
        return ""
    runs: list[list[int]] = []
    for number in members:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    spans = " + ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    ways = " + ".join(map(str, members)), spans, "+".join(map(str, members)), f"{len(members)} rows"
    return next(f"= {way}" for way in ways if len(way) <= _METER_WIDTH)


def _state(values: Values) -> Text:
    """What makes the sound other than the rows tell."""
    words = [
        ("THE DEVICE HAS GONE", values.gone),
        ("MUTED (space ends it)", values.muted),
        ("BYPASS (b ends it)", values.bypass),
    ]
    return Text("   ".join(word for word, there in words if there), "bold red")


def _meter(name: str, meter: Meter, word: str) -> Text:
    signs = bar(meter.level_db, _WIDE_METER_WIDTH, meter.hold_db)
    text = Text(f"{name:7} [{signs}] {meter.hold_db:6.1f} dB  {word:3}  ")
    text.append("CLIP" if meter.clipped else "", "bold red")
    return text


def _place(position: float) -> int:
    """Where on the track of a fader a `position` of 0 to 1 lies."""
    return round(min(1.0, max(0.0, position)) * (_FADER_WIDTH - 1))


def _song(values: Values) -> str:
    if values.song is None:
        return ""
    playing, position_s, length_s = values.song
    return f"{'playing' if playing else 'paused'}  {_clock(position_s)} / {_clock(length_s)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}" if math.isfinite(seconds) else "-:--"


def stepped(value_db: float, step_db: int, top_db: float) -> float:
    """A level moved by a step to a whole decibel; it stops at 0 dB on the way, and below -60 dB it is silence."""
    moved = round(max(value_db + step_db, 2 * _BOTTOM_DB))
    if value_db < 0 < moved or moved < 0 < value_db:
        return 0.0
    if moved < _BOTTOM_DB:
        return _BOTTOM_DB if step_db > 0 else -math.inf
    return min(moved, top_db)


class Hold:
    """The peak of a level: held for 1.5 s, then falling as on a peak programme meter."""

    def __init__(self) -> None:
        self._peak_db, self._peak_s = -math.inf, 0.0

    def see(self, level_db: float, now: float) -> float:
        """The peak in decibels at the time `now` (s), when the level is `level_db`."""
        held = self._peak_db - _FALL_DB_PER_S * max(now - self._peak_s - _HOLD_S, 0.0)
        if not level_db >= held:
            return held
        self._peak_db, self._peak_s = level_db, now
        return level_db


class Desk:
    """One stream at work: collects what there is to see, and obeys the keys.

    Without `history` nothing is undone, without `midi` nothing learned. `presets` returns those to go through.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        history: History | None = None,
        midi: Midi | None = None,
        presets: Callable[[], Sequence[presets.Preset]] = presets.presets,
    ) -> None:
        self.stream, self.parameters = stream, stream.engine.parameters
        self._history, self._midi, self._presets = history, midi, presets
        heard = stream.state.microphone.shape[1] > 0
        names = (*stream.engine.stems, *stream.engine.groups, "microphone", "output")
        self._numbers = {name: i for i, name in enumerate(names, 1) if heard or name != "microphone"}
        self._chosen = names[0]
        self._holds = {name: Hold() for name in ("input", *names)}
        self._cleared = stream.engine.meters.over.copy()
        self._preset: str | None = None
        self._help = False
        self._learning: str | None = None
        self._message, self._said_s = "", 0.0
        if midi:
            midi.recalled = self._recalled
        if midi and history:
            midi.undoable = history.add

    def say(self, message: str) -> None:
        """Show a message for some seconds."""
        self._message, self._said_s = message, time.monotonic()

    def view(self) -> Picture:
        """The picture of this moment."""
        return Picture(self.values(time.monotonic()))

    def press(self, key: str) -> bool:
        """Do what `key` stands for; False if it ends the program."""
        chosen = self._chosen
        if key == "q":
            return False
        if key in _STEPS_DB:
            level = self.parameters[f"{chosen}.gain_db"]
            self._set(f"{chosen}.gain_db", stepped(level.value, _STEPS_DB[key], level.info.high))
        elif key in ("home", "end"):
            self._set(f"{chosen}.gain_db", 0.0 if key == "home" else -math.inf)
        elif key in ("left", "right"):
            names = list(self._numbers)
            self._chosen = names[(names.index(chosen) + (1 if key == "right" else -1)) % len(names)]
        elif key.isdecimal():
            self._chosen = next((name for name, number in self._numbers.items() if str(number) == key), chosen)
        elif key in _SWITCHES:
            self._toggle(_SWITCHES[key].format(chosen))
        elif key == "u":
            undone = self._history.undo() if self._history else []
            self.say(f"undone: {', '.join(undone)}" if undone else "there is nothing to undo")
        elif key in ("p", "P"):
            self._recall(1 if key == "p" else -1)
        elif key in ("l", "L"):
            self._learn(f"{chosen}.gain_db" if key == "l" else f"{chosen}.mute")
        elif key == "f":
            self._forget()
        elif key == "n":
            self._sample()
        elif key == "c":
            self._cleared = self.stream.engine.meters.over.copy()
        elif key == "?":
            self._help = not self._help
        elif key == "escape":
            self._help = False
            self._cancel()
        return True

    def _set(self, id: str, value: float) -> None:
        self.parameters.update({id: value}, by="terminal")

    def _toggle(self, id: str) -> None:
        if id in self.parameters:
            self._set(id, 1 - self.parameters[id].value)
        else:
            self.say(f"the {self._chosen} has no solo")

    def _recall(self, step: int) -> None:
        """The next preset, or with a `step` of -1 the last one."""
        try:
            presets = {preset.name: preset for preset in self._presets()}
            names = list(presets)
            at = names.index(self._preset) + step if self._preset in names else min(step, 0)
            self._preset = names[at % len(names)]
            self.parameters.recall(presets[self._preset].values)
            self._recalled(self._preset)
        except (BadInput, Unavailable) as error:
            self.say(str(error))

    def _recalled(self, name: str) -> None:
        """Say which preset there is now, whoever recalled it; from here the keys go on."""
        self._preset = name
        self.say(f"preset {name}")

    def _learn(self, parameter: str) -> None:
        if self._midi is None or not self._midi.works:
            self.say("nothing can be learned: there is no MIDI")
        elif self._midi.learning:
            self._cancel()
        else:
            self._midi.learn(parameter)

    def _sample(self) -> None:
        """Begin to learn the sound of the chosen row, or end it."""
        id = f"{self._chosen}.learn"
        if id in self.parameters:
            self._set(id, 1 - self.parameters[id].value)
        else:
            self.say("only rows that --learn has named, and the --room, learn a sound")

    def _cancel(self) -> None:
        if self._midi and self._midi.learning:
            self._midi.cancel()
            self._learning = None
            self.say("nothing was learned")

    def _forget(self) -> None:
        ids = [id for id in self.parameters if id.startswith(f"{self._chosen}.")]
        count = self._midi.forget(f"the {self._chosen}", ids) if self._midi else 0
        back = "; u brings them back" if count and self._history else ""
        self.say(f"{count} control{'' if count == 1 else 's'} of the {self._chosen} forgotten{back}")

    def values(self, now: float) -> Values:
        """What there is to see at the time `now` (s)."""
        stream, engine, player = self.stream, self.stream.engine, self.stream.player
        meters, stats, snapshot = engine.meters, stream.stats(), self.parameters.snapshot()
        midi, problem = self._told_by_midi()
        return Values(
            title=stream.description,
            rows=self._rows(snapshot, now),
            chosen=self._numbers[self._chosen],
            song=(player.playing, player.position, player.length or math.nan) if player else None,
            input=self._meter("input", float(meters.input[0]), now, 0),
            output=self._meter("output", float(meters.output[0]), now, 1),
            limiting=bool(engine.state.limiter.gain[0] < _LIMITED),
            bypass=snapshot["bypass"] == 1,
            muted=snapshot["output.mute"] == 1,
            gone=not stream.active,
            f0_hz=float(meters.f0[0]),
            pitches=self._pitches(),
            load_median=stats.load_median,
            load_worst=stats.load_worst,
            xruns=stats.xruns,
            latency_ms=stats.latency_ms,
            midi=midi,
            problem=problem,
            message=self._message if now < self._said_s + _SAID_S else "",
            parameters=[(id, self.parameters[id].text) for id in _BESIDE] if self._help else (),
        )

    def _pitches(self) -> Sequence[int]:
        """The pitches that sound: within reach of the loudest of late, and no mere noise."""
        engine = self.stream.engine
        templates, meters = engine.settings.templates, engine.meters
        if not isinstance(templates, Templates) or not templates.pitches:
            return ()
        levels = meters.pitches[(meters.frames[0] - 1) % len(meters.pitches)]
        least = max(meters.pitches.max() * 10 ** (THRESHOLD_DB / 20), _FAINT * engine.sizes.window_size)
        return sorted({pitch for pitch, level in zip(templates.pitches, levels, strict=True) if level > least})

    def _rows(self, snapshot: dict[str, float], now: float) -> list[Row]:
        """The rows, with the levels behind their faders."""
        engine, surfaces = self.stream.engine, list(self._midi.surfaces.values()) if self._midi else []
        state = engine.state
        ghosts = {id: position for surface in surfaces for id, position in surface.ghosts().items()}
        bound = {binding.parameter: binding.control for surface in surfaces for binding in surface.bindings}
        heard: dict[str, tuple[float, int | None]]
        heard = {stem: (state.meters.stems[s] * state.mix.gain[s], 2 + s) for s, stem in enumerate(engine.stems)}
        heard["microphone"] = state.microphone.level[0] * state.microphone.controls[0], None
        heard["output"] = state.meters.output[0], 1
        rows = []
        for name, number in self._numbers.items():
            id = f"{name}.gain_db"
            info, value = self.parameters[id].info, snapshot[id]
            solo = snapshot.get(f"{name}.solo")
            rows.append(
                Row(
                    number,
                    name,
                    value=info.format(value),
                    position=info.to_normalized(value),
                    ghost=ghosts.get(id),
                    muted=snapshot[f"{name}.mute"] == 1,
                    soloed=None if solo is None else solo == 1,
                    meter=self._meter(name, float(heard[name][0]), now, heard[name][1]) if name in heard else None,
                    members=[self._numbers[stem] for stem in engine.groups.get(name, ())],
                    control=bound.get(id, ""),
                )
            )
        return rows

    def _meter(self, name: str, level: float, now: float, counted: int | None) -> Meter:
        """The meter of a linear `level`, whose blocks at full scale the engine may have `counted` in that place."""
        level_db = 20 * math.log10(level) if level > 1e-6 else -math.inf
        clipped = counted is not None and bool(self.stream.engine.meters.over[counted] > self._cleared[counted])
        return Meter(level_db, self._holds[name].see(level_db, now), clipped)

    def _told_by_midi(self) -> tuple[str, str]:
        """What MIDI is doing, and what is wrong with it."""
        midi = self._midi
        if midi is None:
            return "off", ""
        problem = midi.problems[-1] if midi.problems else ""
        learning, self._learning = self._learning, midi.learning
        if midi.learning:
            return midi.learn_status, problem
        if learning:
            self.say(midi.learn_status)
        ports = ", ".join(midi.open_ports) or "no controller"
        return f"{ports} | {midi.activity}" if midi.activity else ports, problem


_SWITCHES = {"m": "{}.mute", "s": "{}.solo", "b": "bypass", "space": "output.mute"}
_BESIDE = [id for id in PARAMETERS if not id.endswith((".gain_db", ".mute", ".solo"))]  # what the rows do not show
