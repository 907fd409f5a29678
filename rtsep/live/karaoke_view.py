"""The view of karaoke in a terminal: levels, score, and the pitches of song and singer on a scrolling roll of notes.

Everything can be read without color and in 80 columns and 24 lines; colors only repeat what signs and places say.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from .painter import printable
from .singing import cents_between, name_of, note_name, notes_beside

_WIDTH = 79  # of a line; writing into the 80th column would wrap in some terminals
_ROWS, _COLUMNS = 14, 60  # of the roll: semitones, and columns of time
_PRESENT = 45  # its column of the present; behind it stands what is still to come
_COLUMN_S = 2 / 15  # so that six seconds of the past are seen
_HIT_CENTS = 50
_METER_DB, _METER_WIDTH = 60, 20
_HELP = (
    "space play/pause   left/right seek 5 s   up/down guide 3 dB   +/- key",
    "l loop A, B, off   d duck   m microphone mute   q quit",
)


@dataclass
class Values:
    """What there is to see.

    `times` (s), `song_hz` and `singer_hz` (0 for none), of equal length, are the pitches of about the last six
    seconds, heard 50 times a second; `now_s` is the present on their clock, and what lies behind it the song to come.
    """

    song: str
    position_s: float = 0.0
    length_s: float = 0.0
    playing: bool = True
    loop: tuple[float, float | None] | None = None  # s, from A to B; B is None until it is set
    key_semitones: int = 0
    guide_db: float = 0.0
    duck: bool = True  # whether the guide rests while the singer is on pitch
    ducked: bool = False  # whether it rests now
    microphone_db: float = -math.inf  # of full scale
    muted: bool = False
    gate_open: bool = False
    score: float | None = None
    output_db: float = -math.inf
    limiting: bool = False
    message: str = ""  # a warning
    now_s: float = 0.0
    times: Sequence[float] = ()
    song_hz: Sequence[float] = ()
    singer_hz: Sequence[float] = ()


@dataclass(frozen=True)
class _Signs:
    song: str
    singer: str
    present: str
    above: str
    below: str


_PLAIN = _Signs(song="=", singer="o", present="|", above="^", below="v")
_DRAWN = _Signs(song="─", singer="●", present="│", above="↑", below="↓")


class KaraokeView:
    """Makes pictures of `Values` whose roll follows the notes, by one row from picture to picture."""

    def __init__(self) -> None:
        self._low: int | None = None  # the lowest note of the roll

    def draw(self, values: Values) -> RenderableType:
        """The picture, to be given to rich: 22 lines of at most 79 columns."""
        song, singer = _columns(values)
        self._follow(song)
        return _Picture(values, song, singer, 60 if self._low is None else self._low)

    def _follow(self, song: dict[int, float]) -> None:
        """Bring the song's notes into the rows, and if they are too many, that of the present."""
        if not song:
            return
        low, high = math.floor(min(song.values())), math.ceil(max(song.values()))
        if high - low > _ROWS - 3:  # a row of air at both ends
            low = high = round(song[min(song, key=lambda column: abs(column - _PRESENT))])
        middle = (low + high - _ROWS + 1) // 2
        if self._low is None:
            self._low = middle
        elif self._low > low - 1 or self._low + _ROWS - 1 < high + 1:
            self._low += (middle > self._low) - (middle < self._low)


@dataclass
class _Picture:
    """A picture of `values` as rich draws it, in signs that the console can print."""

    values: Values
    song: dict[int, float]  # semitones at columns of the roll
    singer: dict[int, float]
    low: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The lines."""
        plain = options.ascii_only
        for text in self._lines(_PLAIN if plain else _DRAWN):
            if plain:
                text.plain = text.plain.encode("ascii", "replace").decode()
            text.truncate(_WIDTH)
            text.no_wrap = True
            yield text

    def _lines(self, signs: _Signs) -> Iterator[Text]:
        values = self.values
        state = f"{'playing' if values.playing else 'paused'}  {_clock(values.position_s)} / {_clock(values.length_s)}"
        name = Text(printable(values.song), "bold")
        name.truncate(_WIDTH - len(state) - 2, overflow="crop", pad=True)
        yield Text.assemble(name, "  ", state)
        score = "--" if values.score is None else f"{values.score:.0f}"
        yield Text(f"key {values.key_semitones:+d}   {_guide(values)}   score {score}{_loop(values)}")
        yield from self._roll(signs)
        yield Text(_notes(values))
        yield _meter("microphone", values.microphone_db, _gate(values))
        yield _meter("output", values.output_db, "LIMITER" if values.limiting else "")
        yield Text(printable(values.message), "bold red")
        yield from (Text(keys, "dim") for keys in _HELP)

    def _roll(self, signs: _Signs) -> Iterator[Text]:
        """The rows of the roll, the highest first."""
        cells = {(row, _PRESENT): (signs.present, "dim") for row in range(_ROWS)}
        for column, note in self.song.items():
            cells |= self._cell(column, note, signs.song, "cyan", signs)
        for column, note in self.singer.items():
            hit = column in self.song and abs(note - self.song[column]) * 100 <= _HIT_CENTS
            cells |= self._cell(column, note, signs.singer, "green" if hit else "red", signs)
        for row in reversed(range(_ROWS)):
            marks = [cells.get((row, column), (" ", "")) for column in range(_COLUMNS)]
            text = Text(label := f"{name_of(self.low + row):>4} ")
            text.append("".join(sign for sign, _ in marks))
            for column, (_, style) in enumerate(marks, len(label)):
                if style:
                    text.stylize(style, column, column + 1)
            yield text

    def _cell(
        self, column: int, note: float, sign: str, style: str, signs: _Signs
    ) -> dict[tuple[int, int], tuple[str, str]]:
        """The sign in its place, or at the edge an arrow towards it."""
        row = round(note) - self.low
        sign = signs.above if row >= _ROWS else signs.below if row < 0 else sign
        return {(min(max(row, 0), _ROWS - 1), column): (sign, style)}


def _columns(values: Values) -> tuple[dict[int, float], dict[int, float]]:
    """The notes of song and singer at the columns of the roll in which they have any: the middle one of each."""
    present = math.floor(values.now_s / _COLUMN_S)
    heard: tuple[dict[int, list[float]], dict[int, list[float]]] = {}, {}
    song, singer = notes_beside(values.song_hz, values.singer_hz)
    for time_s, *notes in zip(values.times, song, singer, strict=True):
        column = math.floor(time_s / _COLUMN_S) - present + _PRESENT
        for part, note in zip(heard, notes, strict=True):
            if 0 <= column < _COLUMNS and not math.isnan(note) and (part is heard[0] or time_s <= values.now_s):
                part.setdefault(column, []).append(note)
    first, second = ({column: sorted(notes)[len(notes) // 2] for column, notes in part.items()} for part in heard)
    return first, second


def line(values: Values) -> str:
    """The same in one line, for where nothing can be redrawn."""
    score = "" if values.score is None else f"score {values.score:.0f}"
    parts = [
        f"{_clock(values.position_s)}/{_clock(values.length_s)}{'' if values.playing else ' paused'}",
        f"key {values.key_semitones:+d}",
        _guide(values),
        f"microphone {_db(values.microphone_db)} {_gate(values)}",
        " ".join(_notes(values).split()),
        score,
        f"out {_db(values.output_db)}{' LIMITER' if values.limiting else ''}",
        printable(values.message),
    ]
    return " | ".join(filter(None, parts))


def _notes(values: Values) -> str:
    """The notes of both at present, and the distance where both sound."""
    now = max((i for i, time_s in enumerate(values.times) if time_s <= values.now_s), default=None)
    song, singer = (0.0, 0.0) if now is None else (values.song_hz[now], values.singer_hz[now])
    both = f"   {round(cents_between(singer, song)):+4d} cents apart" if song > 0 and singer > 0 else ""
    return f"song {_note(song)}   you {_note(singer)}{both}"


def _note(f0_hz: float) -> str:
    name, cents = note_name(f0_hz)
    return f"{name:>3} {round(cents):+3d}" if name else f"{'--':>7}"


def _guide(values: Values) -> str:
    duck = "off" if not values.duck else "resting" if values.ducked else "helping"
    return f"guide {_db(values.guide_db)}, duck {duck}"


def _gate(values: Values) -> str:
    return "MUTED" if values.muted else "open" if values.gate_open else "closed"


def _loop(values: Values) -> str:
    if values.loop is None:
        return ""
    start, end = values.loop
    return f"   loop {_clock(start)} to {'...' if end is None else _clock(end)}"


def _meter(name: str, level_db: float, word: str) -> Text:
    bar = "#" * round(min(max(1 + level_db / _METER_DB, 0), 1) * _METER_WIDTH)
    return Text(f"{name:10} [{bar:<{_METER_WIDTH}}] {_db(level_db):>8}  {word}")


def _db(level_db: float) -> str:
    return f"{level_db:.0f} dB"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
