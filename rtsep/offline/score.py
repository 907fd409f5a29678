"""Scores: where the melody of a song may lie, step by step, from a MIDI file or a table of pitches or notes.

A score narrows the search of whoever follows a melody: in each step of 10 ms its F0 lies between two frequencies, or
there is none. Where several notes sound at once the highest is the melody, the "skyline" of Uitdenbogerd and Zobel,
"Melodic matching techniques for large music databases", ACM Multimedia 1999; there a note also ends where a lower
one begins, here it sounds on.

Who separates by a score wants every note instead: `notes_of`.
"""

import csv
import io
import os
import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import mido
import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput

STEP_S = 0.01
"""Seconds from one step of a score to the next: step t reaches from t * STEP_S to (t + 1) * STEP_S."""

_LOWEST_HZ, _HIGHEST_HZ = 20.0, 5000.0
_LONGEST_S = 6 * 3600.0
_COARSEST_CURVE_S = 0.05  # between pitches; what is coarser and has three columns without names is notes
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_BRIEF = 0.1  # a part that sounds less than this share of the longest is no melody
_MIDI = (".mid", ".midi")
_DRUMS = 9  # MIDI channel, from 0
_SUSTAIN, _DOWN = 64, 64  # the controller of the pedal, and the value from which it is down
_MELODY = re.compile(r"\b(melod|vocal|voice|lead|sing)", re.IGNORECASE)
_FORMS = "time_s,f0_hz or onset_s,duration_s (or offset_s),pitch_hz (or midi)"

_Table = NDArray[np.float64]
_Region = tuple[float, float, float, float]  # start and end in seconds, lowest and highest pitch in Hz


class Note(NamedTuple):
    """A note of a score."""

    onset_s: float
    duration_s: float  # as long as it sounds: the sustain pedal prolongs it
    pitch: int  # MIDI number, 60 for C4
    track: str = ""  # name of its track, or "channel 1" in a MIDI file of one track
    velocity: int = 64  # 1 to 127


class _Part(NamedTuple):
    number: int  # of the track or channel, from 1
    name: str
    notes: _Table  # (notes, 4) onset and end in seconds, pitch in Hz, velocity


def load(
    path: str | os.PathLike[str],
    *,
    track: str | int | None = None,
    tolerance_s: float = 0.15,
    tolerance_cents: float = 100,
) -> NDArray[np.float32]:
    """Lowest and highest F0 in Hz that the melody may have: (steps, 2), one row each `STEP_S`; (0, 0) for no melody.

    Notes may begin and end `tolerance_s` early or late, and two that then overlap allow all that lies between them.
    A curve of pitches is taken at its times; only gaps up to `tolerance_s` are bridged, if the pitch goes on.

    Parameters
    ----------
    path : a MIDI file (.mid, .midi), or a table (.csv) with the columns time_s, f0_hz (0: none) for a curve, or
        onset_s, duration_s or offset_s, pitch_hz or midi for notes; other columns are ignored. A table without
        names holds time and pitch, or onset, pitch in Hz and duration.
    track : of a MIDI file: the name or a unique part of it, or the number from 1 (of the channel, if there is but
        one track); None takes the one most like a melody: by its name, else one note at a time and high
    tolerance_s : seconds, 0 to 10
    tolerance_cents : to both sides of each pitch, 0 to 1200

    Raises
    ------
    BadInput : for what is not there, neither MIDI nor a table, without notes or the track, or for impossible values.
    """
    path = Path(path)
    if not 0 <= tolerance_s <= 10:
        raise BadInput(f"tolerance_s is {tolerance_s}: it must lie between 0 and 10 s.")
    if not 0 <= tolerance_cents <= 1200:
        raise BadInput(f"tolerance_cents is {tolerance_cents}: it must lie between 0 and 1200.")
    content = _content(path)
    if _is_midi(path):
        notes = _choose(_parts(path, content), track, path).notes[:, :3]
        regions = _widened(_checked_notes(notes, path), tolerance_s)
    elif track is not None:
        raise BadInput(f"{path} has no tracks such as {track!r}: leave the track out, or name a MIDI file.")
    else:
        table = _table(path, content)
        if "f0_hz" in table[0]:
            curve = _column(table, path, "time_s"), _column(table, path, "f0_hz")
            regions = _curve(*curve, path, tolerance_s, tolerance_cents)
        else:
            regions = _widened(_checked_notes(_notes(table, path), path), tolerance_s)
    return _hull(regions, tolerance_cents)


def notes_of(path: str | os.PathLike[str]) -> list[Note]:
    """All notes of a score in the order of their onsets, those of drums left out.

    Parameters
    ----------
    path : a MIDI file (.mid, .midi), or a table (.csv) with the columns onset_s, duration_s or offset_s, pitch_hz or
        midi, and perhaps velocity; its pitches are rounded to semitones, and it is one track without a name

    Raises
    ------
    BadInput : for what is not there, neither MIDI nor a table, without notes, or for impossible values.
    """
    path = Path(path)
    content = _content(path)
    if _is_midi(path):
        parts = _parts(path, content, pedal=True)
        if not parts:
            raise BadInput(f"{path} holds no notes but drums: is it the right file?")
    else:
        table = _table(path, content)
        if "f0_hz" in table[0]:
            raise BadInput(f"{path} is a curve of pitches: notes have onset_s, duration_s and pitch_hz.")
        notes = _notes(table, path)
        strong = "velocity" in table[0]
        velocity = _column(table, path, "velocity") if strong else np.full(len(notes), Note._field_defaults["velocity"])
        parts = [_Part(1, "", np.column_stack([notes, velocity]))]
    found = []
    for part in parts:
        for onset, end, pitch, velocity in _checked_notes(part.notes, path):
            midi = round(69 + 12 * np.log2(pitch / 440))
            found.append(Note(float(onset), float(end - onset), midi, part.name, int(velocity)))
    return sorted(found)


def note_name(pitch: int) -> str:
    """The name of a MIDI number: 60 is "C4"."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_of(name: str) -> int:
    """The MIDI number of a name like "C4", "f#3" or "Bb-1"; raises `BadInput` for any other."""
    found = re.fullmatch(r"([a-gA-G])([#b]?)(-?\d)", name.strip())
    if not found:
        raise BadInput(f"{name!r} is no pitch: write it like C4, F#3 or Bb5.")
    letter, sign, octave = found.groups()
    return _NAMES.index(letter.upper()) + {"#": 1, "b": -1, "": 0}[sign] + 12 * (int(octave) + 1)


def fits(score: NDArray[np.float32], duration_s: float) -> str | None:
    """A sentence of warning if `score` (steps, 2) can hardly be that of a song of `duration_s` seconds, else None."""
    sounding = np.flatnonzero(score[:, 1])
    if not len(sounding):
        return "The score is empty: no melody will be found."
    end = (sounding[-1] + 1) * STEP_S
    if 0.25 * duration_s <= end <= 1.5 * duration_s:
        return None
    return f"The score ends after {end:.1f} s, the song after {duration_s:.1f} s: is it the score of this song?"


def _content(path: Path) -> bytes:
    """What is in the file of a score; `BadInput` unless its name says that it is one."""
    if path.suffix.lower() not in (*_MIDI, ".csv"):
        raise BadInput(f"{path} is no score: name a .mid, .midi or .csv file.")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}: check the name of the score.") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from error


def _is_midi(path: Path) -> bool:
    return path.suffix.lower() in _MIDI


def _hull(regions: Iterable[_Region], tolerance_cents: float) -> NDArray[np.float32]:
    """The score of `regions`: where they overlap, all between."""
    regions, room = list(regions), 2 ** (tolerance_cents / 1200)
    score = np.zeros((max(_after(end) for _, end, _, _ in regions), 2), np.float32)
    score[:, 0] = np.inf
    for start, end, lowest, highest in regions:
        steps = score[_first(start) : _after(end)]
        np.minimum(steps[:, 0], lowest / room, out=steps[:, 0])
        np.maximum(steps[:, 1], highest * room, out=steps[:, 1])
    score[score[:, 1] == 0] = 0
    return score


def _first(time_s: float) -> int:
    """The step that holds a start at `time_s`."""
    return max(int(np.floor(time_s / STEP_S + 1e-6)), 0)


def _after(time_s: float) -> int:
    """The step after the one that holds an end at `time_s`."""
    return int(np.ceil(time_s / STEP_S - 1e-6))


def _widened(notes: _Table, tolerance_s: float) -> list[_Region]:
    """Regions of the highest of `notes` (onset, end, pitch) at each time, longer by `tolerance_s` at both ends."""
    ends = np.maximum(notes[:, 1], notes[:, 0] + STEP_S)
    skyline = np.zeros(_after(ends.max()))
    for (onset, _, pitch), end in zip(notes, ends, strict=True):
        steps = skyline[_first(onset) : _after(end)]
        np.maximum(steps, pitch, out=steps)
    edges = [0, *(np.flatnonzero(np.diff(skyline)) + 1), len(skyline)]
    return [
        (first * STEP_S - tolerance_s, after * STEP_S + tolerance_s, skyline[first], skyline[first])
        for first, after in pairwise(edges)
        if skyline[first]
    ]


def _curve(times: _Table, pitches: _Table, path: Path, tolerance_s: float, tolerance_cents: float) -> list[_Region]:
    """Regions of a curve, its `pitches` 0 for none: each holds to the next one, and over a gap if it goes on."""
    _check_times(times, path, strictly=True)
    _check_pitches(pitches[pitches != 0], path)
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else STEP_S
    ends = np.minimum(np.append(times[1:], np.inf), times + 1.5 * spacing)
    ends[-1] = times[-1] + spacing
    voiced = np.flatnonzero(pitches)
    regions = [(times[i], ends[i], pitches[i], pitches[i]) for i in voiced]
    for i, j in pairwise(voiced):
        goes_on = abs(1200 * np.log2(pitches[j] / pitches[i])) <= tolerance_cents
        if goes_on and 0 < times[j] - ends[i] <= tolerance_s + 1e-9:
            low, high = sorted((pitches[i], pitches[j]))
            regions.append((ends[i], times[j], low, high))
    return regions


def _table(path: Path, content: bytes) -> tuple[list[str], _Table]:
    """Names of the columns, and the numbers of a CSV file (rows, columns); nan for what is no number."""
    try:
        lines = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error):
        raise BadInput(f"{path} is no table that can be read: save it as CSV in UTF-8.") from None
    if not lines:
        raise BadInput(f"{path} is empty.")
    width = len(lines[0])
    rows = np.array([[_number(cell) for cell in (row + [""] * width)[:width]] for row in lines])
    if np.isnan(rows[0, 0]):
        return [name.strip().lower() for name in lines[0]], rows[1:]
    coarse = len(rows) == 1 or np.median(np.diff(rows[:, 0])) >= _COARSEST_CURVE_S
    return ["onset_s", "pitch_hz", "duration_s"] if width == 3 and coarse else ["time_s", "f0_hz"], rows


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _column(table: tuple[list[str], _Table], path: Path, *names: str) -> _Table:
    """The column of a table (names, rows) that has one of `names`."""
    columns, rows = table
    found = [columns.index(name) for name in names if name in columns]
    if not found or found[0] >= rows.shape[1]:
        raise BadInput(f"{path} has no column {' or '.join(names)}: the columns must be {_FORMS}.")
    column = rows[:, found[0]]
    if not len(column):
        raise BadInput(f"{path} holds no notes: is it the right file?")
    if not np.isfinite(column).all():
        number = np.flatnonzero(~np.isfinite(column))[0] + 1
        raise BadInput(f"{path} has no number for {columns[found[0]]} in its row {number}: mend or remove the row.")
    return column


def _notes(table: tuple[list[str], _Table], path: Path) -> _Table:
    """Notes (onset, end, pitch) of a table (names, rows)."""
    onsets = _column(table, path, "onset_s", "start_s")
    ends = _column(table, path, "duration_s", "offset_s", "end_s")
    pitches = _column(table, path, "pitch_hz", "midi")
    ends = onsets + ends if "duration_s" in table[0] else ends
    return np.stack([onsets, ends, pitches if "pitch_hz" in table[0] else _hertz(pitches)], 1)


def _hertz(midi: _Table) -> _Table:
    return 440 * 2 ** ((np.clip(midi, -999, 999) - 69) / 12)


def _checked_notes(notes: _Table, path: Path) -> _Table:
    if (notes[:, 1] < notes[:, 0]).any():
        late = notes[notes[:, 1] < notes[:, 0]][0, 0]
        raise BadInput(f"in {path} a note ends before it begins at {late:g} s: mend or remove it.")
    _check_times(notes[:, 0], path)
    _check_times(np.sort(notes[:, 1]), path)
    _check_pitches(notes[:, 2], path)
    return notes


def _check_times(times: _Table, path: Path, strictly: bool = False) -> None:
    """Raise for times (points,) below 0, beyond any song or not in order; `strictly`: nor twice the same."""
    if times.min() < 0:
        raise BadInput(f"{path} has a time of {times.min():g} s: times count from the start of the song, 0.")
    if times.max() > _LONGEST_S:
        raise BadInput(f"{path} has a time of {times.max():g} s: are its times in seconds?")
    steps = np.diff(times)
    wrong = np.flatnonzero(steps <= 0 if strictly else steps < 0)
    if len(wrong):
        before, after = times[wrong[0]], times[wrong[0] + 1]
        raise BadInput(f"in {path} the time {after:g} s follows {before:g} s: times must ascend.")


def _check_pitches(pitches: _Table, path: Path) -> None:
    if not len(pitches):
        raise BadInput(f"{path} holds no notes: is it the right file?")
    wrong = pitches[(pitches < _LOWEST_HZ) | (pitches > _HIGHEST_HZ)]
    if len(wrong):
        raise BadInput(
            f"{path} has a pitch of {wrong[0]:g} Hz: it must lie between {_LOWEST_HZ:g} and {_HIGHEST_HZ:g} Hz."
        )


def _parts(path: Path, content: bytes, *, pedal: bool = False) -> list[_Part]:
    """The tracks of a MIDI file that have notes other than drums; of a file with one track, its channels.

    With `pedal` notes end when they fall silent, else when the key is let go.
    """
    try:
        song = mido.MidiFile(file=io.BytesIO(content), clip=True)
    except Exception as error:  # of many kinds, some of them only in damaged files
        raise BadInput(f"{path} is no MIDI file that can be read: export it afresh.") from error
    if song.ticks_per_beat <= 0:
        raise BadInput(f"{path} counts time in film frames: export it with beats.")
    ticks, tempos = [0], [500_000]  # microseconds per beat: 120 beats a minute until told otherwise
    for tick, message in sorted(
        ((tick, message) for track in song.tracks for tick, message in _timed(track) if message.type == "set_tempo"),
        key=lambda change: change[0],
    ):
        ticks.append(tick)
        tempos.append(message.tempo)
    beats = np.array(ticks) / song.ticks_per_beat
    seconds = np.append(0, np.cumsum(np.diff(beats) * tempos[:-1])) * 1e-6

    def second(tick: int) -> float:
        beat = tick / song.ticks_per_beat
        last = np.searchsorted(beats, beat, "right") - 1
        return float(seconds[last] + (beat - beats[last]) * tempos[last] * 1e-6)

    by_channel = len(song.tracks) == 1
    held = _pedaled(song.tracks) if pedal else {}
    parts = []
    for number, track in enumerate(song.tracks, 1):
        notes = defaultdict(list)
        for channel, onset, end, midi, velocity in _track_notes(track):
            own = channel + 1 if by_channel else number
            silence = _silenced(end, held.get(channel, ()))
            notes[own].append((second(onset), second(silence), midi, velocity))
        for own, found in sorted(notes.items()):
            table = np.array(sorted(found), float)
            table[:, 2] = _hertz(table[:, 2])
            parts.append(_Part(own, f"channel {own}" if by_channel else track.name.strip() or f"track {own}", table))
    return parts


def _timed(track: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """The messages of a track, each with its time in ticks from the start."""
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def _pedaled(tracks: Sequence[Iterable[Any]]) -> dict[int, list[tuple[int, int]]]:
    """When each channel's sustain pedal goes down and up, in ticks; at the end of the song it goes up."""
    events = sorted((event for track in tracks for event in _timed(track)), key=lambda event: event[0])
    held: dict[int, list[tuple[int, int]]] = defaultdict(list)
    down: dict[int, int] = {}
    for tick, message in events:
        if message.is_cc(_SUSTAIN) and message.value >= _DOWN:
            down.setdefault(message.channel, tick)
        elif message.is_cc(_SUSTAIN) and message.channel in down:
            held[message.channel].append((down.pop(message.channel), tick))
    for channel, tick in down.items():
        held[channel].append((tick, events[-1][0]))
    return held


def _silenced(end: int, held: Sequence[tuple[int, int]]) -> int:
    """When a note ends whose key is let go at tick `end`."""
    last = bisect(held, end, key=lambda times: times[0]) - 1
    return max(end, held[last][1]) if last >= 0 else end


def _track_notes(track: Iterable[Any]) -> Iterator[tuple[int, int, int, int, int]]:
    """Channel (from 0), onset and end in ticks, MIDI pitch and velocity of the notes of a track, drums left out."""
    begun: dict[tuple[int, int], tuple[int, int]] = {}
    tick = 0
    for tick, message in _timed(track):
        if message.type in ("note_on", "note_off") and message.channel != _DRUMS:
            key = message.channel, message.note
            if key in begun:  # one that sounds and is struck again begins anew
                onset, velocity = begun.pop(key)
                yield message.channel, onset, tick, message.note, velocity
            if message.type == "note_on" and message.velocity > 0:
                begun[key] = tick, message.velocity
    for (channel, midi), (onset, velocity) in begun.items():
        yield channel, onset, tick, midi, velocity


def _choose(parts: list[_Part], track: str | int | None, path: Path) -> _Part:
    """The part that `track` names, or the one most like a melody."""
    if not parts:
        raise BadInput(f"{path} holds no notes but drums: is it the right file?")
    if track is None:
        longest = max(_sounding_s(part) for part in parts)
        lasting = [part for part in parts if _sounding_s(part) >= _BRIEF * longest]
        return max([part for part in lasting if _MELODY.search(part.name)] or lasting, key=_like_a_melody)
    if isinstance(track, int):
        found = [part for part in parts if part.number == track]
    else:
        wanted = track.strip().lower()
        found = [part for part in parts if part.name.lower() == wanted]
        found = found or [part for part in parts if wanted in part.name.lower()]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{part.number} {part.name!r}" for part in parts)
    problem = "several tracks" if found else "no track with notes"
    raise BadInput(f"{path} has {problem} {track!r}: name one of {known}.")


def _sounding_s(part: _Part) -> float:
    """How long at least one note of `part` sounds."""
    onsets, ends = part.notes.T[:2]
    until = np.maximum.accumulate(ends)
    return float(np.maximum(ends - np.maximum(onsets, np.append(0, until[:-1])), 0).sum())


def _like_a_melody(part: _Part) -> tuple[float, float]:
    """Larger for what plays one note at a time, to a tenth; of equals, for the higher one."""
    onsets, ends, pitches = part.notes.T[:3]
    durations = ends - onsets
    return round(_sounding_s(part) / max(durations.sum(), 1e-9), 1), float(np.log(pitches).mean())
