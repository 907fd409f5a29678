"""Tables of pitches or notes as people have them: CSV with whatever separator, decimal sign and names of columns.

Known are the names that Tony, Sonic Visualiser, CREPE, librosa, Praat, basic-pitch, libfmp and the data sets of music
research write. Where a tracker hears no voice it says nan, nothing, 0 or a negative pitch (as in the evaluations of
MIREX).
"""

import csv
import io
import re
from pathlib import Path

import numpy as np

from ..errors import BadInput
from .part import VELOCITY, Rows, hertz, text_of

_COARSEST_CURVE_S = 0.05  # between pitches; what is coarser and has three columns without names is notes
_FORMS = "time_s,f0_hz or onset_s,duration_s (or offset_s),pitch_hz (or midi)"

# What columns may be called, apart from case, brackets, spaces, and a unit of time or the word itself behind.
_TIME = ["time", "times", "t", "s", "sec", "seconds", "timestamp", "timestamps"]
_ONSET, _DURATION, _END = ["onset", "start", "begin"], ["duration", "dur", "length"], ["offset", "end", "stop"]
_HERTZ = ["pitch_hz", "f0_hz", "f0", "frequency_hz", "frequency", "freq_hz", "freq", "hz", "melody_hz"]
_MIDI = ["midi", "midi_pitch", "pitch_midi", "midipitch", "midi_note", "note_midi", "midi_number", "note_number"]
_EITHER = ["pitch", "value", "note"]  # in notes MIDI numbers if all are whole and small, else hertz
_VELOCITY = ["velocity", "vel"]
_UNIT = re.compile("(?<=[a-z])(_?time)?(_s|_sec|_seconds|_ms)?$")
_NONE = {"", "-", "--", "nan", "na", "n/a", "none", "null", "undefined", "--undefined--", "unvoiced"}


class Table:
    """The cells of a table; its columns are numbers once they are asked for."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        text = text_of(content)
        if not text.strip():
            raise BadInput(f"{path} is empty.")
        try:
            rows = _rows(text)
        except csv.Error:
            rows = []
        if not rows or not re.search("[0-9A-Za-z]", text):
            raise BadInput(f"{path} is no table that can be read: save it as CSV in UTF-8.")
        if _number(rows[0][0]) is None:
            self.names, self._rows = [_plain(name) for name in rows[0]], rows[1:]
        else:
            times = [_number(row[0]) or 0.0 for row in rows]
            coarse = len(rows) == 1 or np.median(np.diff(times)) >= _COARSEST_CURVE_S
            of_notes = len(rows[0]) == 3 and coarse
            self.names = ["onset_s", "pitch_hz", "duration_s"] if of_notes else ["time_s", "f0_hz"]
            self._rows = rows

    @property
    def is_curve(self) -> bool:
        """Whether it holds pitches at times, and no notes."""
        return self._has(_HERTZ, _MIDI, _EITHER) and not self._has(_DURATION, _END, _ONSET)

    def curve(self) -> tuple[Rows, Rows]:
        """Times in seconds, and pitches in Hz, 0 for none."""
        times, pitches = self._column("time_s", _TIME), self._column("f0_hz", _HERTZ, _MIDI, _EITHER, gaps=True)
        voiced = pitches > 0
        if self._has(_MIDI) and not self._has(_HERTZ):
            pitches = hertz(pitches)
        return times, np.where(voiced, pitches, 0)

    def notes(self) -> Rows:
        """Notes (onset and end in seconds, pitch in Hz, velocity); those without a pitch are rests."""
        onsets = self._column("onset_s", _ONSET, _TIME)
        ends = self._column("duration_s or offset_s", _DURATION, _END)
        pitches = self._column("pitch_hz or midi", _HERTZ, _MIDI, _EITHER, gaps=True)
        velocities = (
            self._column("velocity", _VELOCITY) if self._has(_VELOCITY) else np.full(len(onsets), float(VELOCITY))
        )
        if self._has(_DURATION):
            ends = onsets + ends
        numbers = not self._has(_HERTZ) and (
            self._has(_MIDI) or bool((np.nan_to_num(pitches) % 1 == 0).all() and not (pitches > 127).any())
        )
        return np.column_stack([onsets, ends, hertz(pitches) if numbers else pitches, velocities])[pitches > 0]

    def _has(self, *kinds: list[str]) -> bool:
        return any(self._place(kind) is not None for kind in kinds)

    def _place(self, kind: list[str]) -> int | None:
        """The number of the column that is of this `kind`."""
        names = [_UNIT.sub("", name) for name in self.names]
        found = (names.index(name) for name in kind if name in names)
        return next(found, None)

    def _column(self, called: str, *kinds: list[str], gaps: bool = False) -> Rows:
        """The first column of one of the `kinds`, best `called` so; with `gaps` numbers may be missing, and are NaN."""
        place = next((place for kind in kinds if (place := self._place(kind)) is not None), None)
        if place is None or place >= max(map(len, self._rows), default=len(self.names)):
            raise BadInput(f"{self.path} has no column {called}: the columns must be {_FORMS}.")
        if not self._rows:
            raise BadInput(f"{self.path} holds no notes: is it the right file?")
        column = np.empty(len(self._rows))
        for number, row in enumerate(self._rows):
            cell = row[place].strip() if place < len(row) else ""
            value = np.nan if gaps and cell.lower() in _NONE else _number(cell)
            if value is None:
                where = f"{self.names[place]} in its row {number + 1}"
                raise BadInput(f"{self.path} has no number for {where}: mend or remove the row.")
            column[number] = value
        return column * 1e-3 if self.names[place].endswith("_ms") else column


def _rows(text: str) -> list[list[str]]:
    """The cells of each row that has any."""
    lines = [line for line in text.splitlines() if line.strip()]
    # Remarks may stand before the table; the last of them may name its columns.
    first = next((i for i, line in enumerate(lines) if line.lstrip()[0] not in "#%"), len(lines))
    head = lines[first - 1].lstrip("#% ") if first else ""
    lines = lines[first:]
    separator = next((sign for sign in "\t;," if lines and sign in lines[0]), " ")
    rows = [row for row in csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, skipinitialspace=True) if row]
    names = [_plain(name) for name in head.split(None if separator == " " else separator)]
    if rows and _number(rows[0][0]) is not None and {_UNIT.sub("", name) for name in names} & {*_TIME, *_ONSET}:
        rows.insert(0, names)
    return rows


def _plain(name: str) -> str:
    """A name of a column as in the lists above: "F0 (Hz)" is f0_hz."""
    return re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")


def _number(cell: str) -> float | None:
    """The finite number that `cell` is, its decimal sign a point or a comma."""
    try:
        number = float(cell.replace(",", "."))
    except ValueError:
        return None
    return number if np.isfinite(number) else None
