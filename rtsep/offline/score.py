"""Scores: where the melody of a song may lie, step by step, from a file of notes or a table of pitches.

A score narrows the search of whoever follows a melody: in each step of 10 ms its F0 lies between two frequencies, or
there is none. Where several notes sound at once the highest is the melody, the "skyline" of Uitdenbogerd and Zobel,
"Melodic matching techniques for large music databases", ACM Multimedia 1999; there a note also ends where a lower
one begins, here it sounds on.

Who separates by a score wants every note instead: `notes_of`.
"""

import os
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from . import notation, smf
from .part import VELOCITY, Part, Rows
from .tables import Table

STEP_S = 0.01
"""Seconds from one step of a score to the next: step t reaches from t * STEP_S to (t + 1) * STEP_S."""

_LOWEST_HZ, _HIGHEST_HZ = 20.0, 5000.0
_LONGEST_S = 6 * 3600.0
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_BRIEF = 0.1  # a part that sounds less than this share of the longest is no melody
_MIDI, _XML, _TEXT = (".mid", ".midi", ".kar", ".rmi"), (".musicxml", ".xml", ".mxl"), (".csv", ".tsv", ".txt")
_MELODY = re.compile(r"\b(melod|vocal|voice|lead|sing)", re.IGNORECASE)
_Region = tuple[float, float, float, float]  # start and end in seconds, lowest and highest pitch in Hz


class Note(NamedTuple):
    """A note of a score."""

    onset_s: float
    duration_s: float  # as long as it sounds: the sustain pedal prolongs it
    pitch: int  # MIDI number, 60 for C4
    track: str = ""  # name of its track, or "channel 1" in a MIDI file of one track
    velocity: int = VELOCITY  # 1 to 127


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
    path : a MIDI file (.mid, .midi, .kar, .rmi), MusicXML (.musicxml, .xml, .mxl; needs music21), a song for UltraStar
        (.txt), or a table (.csv, .tsv, .txt) with the columns time_s, f0_hz (0: none) for a curve, or onset_s,
        duration_s or offset_s, pitch_hz or midi for notes; other columns are ignored. A table without names holds time
        and pitch, or onset, pitch in Hz and duration.
    track : of a file that has several: the name or a unique part of it, or the number from 1 (in a MIDI file with one
        track, of the channel); None takes the one most like a melody: by its name, else one note at a time and high
    tolerance_s : seconds, 0 to 10
    tolerance_cents : to both sides of each pitch, 0 to 1200

    Raises
    ------
    BadInput : for what is not there, no score, without notes or the track, or for impossible values.
    Unavailable : for MusicXML without music21.
    """
    path = Path(path)
    if not 0 <= tolerance_s <= 10:
        raise BadInput(f"tolerance_s is {tolerance_s}: it must lie between 0 and 10 s.")
    if not 0 <= tolerance_cents <= 1200:
        raise BadInput(f"tolerance_cents is {tolerance_cents}: it must lie between 0 and 1200.")
    score = _read(path)
    if isinstance(score, Table) and track is not None:
        raise BadInput(f"{path} has no tracks such as {track!r}: leave the track out, or name a MIDI file.")
    if isinstance(score, Table) and score.is_curve:
        regions = _curve(*score.curve(), path, tolerance_s, tolerance_cents)
    else:
        regions = _widened(_choose(_parts(score, path), track, path).notes, tolerance_s)
    return _hull(regions, tolerance_cents)


def notes_of(path: str | os.PathLike[str]) -> list[Note]:
    """All notes of a score in the order of their onsets, those of drums left out.

    Parameters
    ----------
    path : any of those of `load` but a curve; a table is one track without a name, its pitches rounded to semitones

    Raises
    ------
    BadInput : for what is not there, no score, without notes, or for impossible values.
    Unavailable : for MusicXML without music21.
    """
    path = Path(path)
    score = _read(path, pedal=True)
    if isinstance(score, Table) and score.is_curve:
        raise BadInput(f"{path} is a curve of pitches: notes have onset_s, duration_s and pitch_hz.")
    found = []
    for part in _parts(score, path):
        for onset, end, pitch, velocity in part.notes:
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


def _read(path: Path, *, pedal: bool = False) -> list[Part] | Table:
    """The parts of a score, or the table that it is; with `pedal`, the notes of a MIDI file last as long as they sound.

    `BadInput` unless its name says that it is one.
    """
    kind = path.suffix.lower()
    if kind not in (*_MIDI, *_XML, *_TEXT):
        raise BadInput(
            f"{path} is no score: name a MIDI file (.mid), a table (.csv), MusicXML (.musicxml, .mxl) or a song for "
            "UltraStar (.txt)."
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"there is no file {path}: check the name of the score.") from None
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}.") from error
    if kind in _MIDI:
        return smf.parts(path, content, pedal=pedal)
    if kind in _XML:
        return notation.musicxml(path)
    return notation.ultrastar(path, content) if notation.is_ultrastar(content) else Table(path, content)


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


def _widened(notes: Rows, tolerance_s: float) -> list[_Region]:
    """Regions of the highest of `notes` (those of a part) at each time, longer by `tolerance_s` at both ends."""
    ends = np.maximum(notes[:, 1], notes[:, 0] + STEP_S)
    skyline = np.zeros(_after(ends.max()))
    for (onset, _, pitch, _), end in zip(notes, ends, strict=True):
        steps = skyline[_first(onset) : _after(end)]
        np.maximum(steps, pitch, out=steps)
    edges = [0, *(np.flatnonzero(np.diff(skyline)) + 1), len(skyline)]
    return [
        (first * STEP_S - tolerance_s, after * STEP_S + tolerance_s, skyline[first], skyline[first])
        for first, after in pairwise(edges)
        if skyline[first]
    ]


def _curve(times: Rows, pitches: Rows, path: Path, tolerance_s: float, tolerance_cents: float) -> list[_Region]:
    """Regions of a curve, its `pitches` 0 for none: each holds to the next one, and over a gap if it goes on."""
    _check_times(times, path, strictly=True)
    pitches = np.where(_audible(pitches, path), pitches, 0)
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


def _parts(score: list[Part] | Table, path: Path) -> list[Part]:
    """The parts with their notes that can be heard as pitches: key switches cannot, and make no score useless."""
    parts = [Part(1, "", score.notes())] if isinstance(score, Table) else score
    if not parts:
        raise BadInput(f"{path} holds no notes but drums: is it the right file?")
    audible = _audible(np.concatenate([part.notes[:, 2] for part in parts]), path)
    masks = np.split(audible, np.cumsum([len(part.notes) for part in parts])[:-1])
    heard = [(part, mask) for part, mask in zip(parts, masks, strict=True) if mask.any()]
    return [part._replace(notes=_checked(part.notes[mask], path)) for part, mask in heard]


def _checked(notes: Rows, path: Path) -> Rows:
    if (notes[:, 1] < notes[:, 0]).any():
        late = notes[notes[:, 1] < notes[:, 0]][0, 0]
        raise BadInput(f"in {path} a note ends before it begins at {late:g} s: mend or remove it.")
    _check_times(notes[:, 0], path)
    _check_times(np.sort(notes[:, 1]), path)
    return notes


def _check_times(times: Rows, path: Path, strictly: bool = False) -> None:
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


def _audible(pitches: Rows, path: Path) -> NDArray[np.bool_]:
    """Which of `pitches` in Hz (0 for none) a melody can have; raises if that is none."""
    audible: NDArray[np.bool_] = (pitches >= _LOWEST_HZ) & (pitches <= _HIGHEST_HZ)
    if not pitches.any():
        raise BadInput(f"{path} holds no notes: is it the right file?")
    if not audible.any():
        wrong = pitches[pitches != 0][0]
        raise BadInput(
            f"{path} has a pitch of {wrong:g} Hz: it must lie between {_LOWEST_HZ:g} and {_HIGHEST_HZ:g} Hz."
        )
    return audible


def _choose(parts: list[Part], track: str | int | None, path: Path) -> Part:
    """The part that `track` names, or the one most like a melody."""
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


def _sounding_s(part: Part) -> float:
    """How long at least one note of `part` sounds."""
    onsets, ends = part.notes.T[:2]
    until = np.maximum.accumulate(ends)
    return float(np.maximum(ends - np.maximum(onsets, np.append(0, until[:-1])), 0).sum())


def _like_a_melody(part: Part) -> tuple[float, float]:
    """Larger for what plays one note at a time, to a tenth; of equals, for the higher one."""
    onsets, ends, pitches = part.notes.T[:3]
    durations = ends - onsets
    return round(_sounding_s(part) / max(durations.sum(), 1e-9), 1), float(np.log(pitches).mean())
