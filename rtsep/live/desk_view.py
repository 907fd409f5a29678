"""The view of `rtsep live` in a terminal: a row for each fader, its level, and what else there is to see.

Everything can be read without color and in 80 columns and 24 lines; styles only repeat what words and places say.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from ..parameters import PARAMETERS
from .painter import printable
from .singing import name_of, note_name
from .terminal import bar

_WIDTH = 79  # of a line; writing into the 80th column would wrap in some terminals
_FADER_WIDTH, _METER_WIDTH, _WIDE_METER_WIDTH = 20, 14, 40
_TAIL_WIDTH = 11  # what is left for words at the end of a row
_CUT, _GAP = "...", "   "
_UNITY = PARAMETERS["output.gain_db"].to_normalized(0)
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
