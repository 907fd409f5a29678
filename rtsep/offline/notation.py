"""Scores as people write them: UltraStar's texts of songs, and MusicXML, which music21 reads."""

import os
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput, Unavailable
from .part import VELOCITY, Part, part_of, text_of

_TAG = re.compile(r"#([^:]+):(.*)")
_NOTE = re.compile(r"([:*FRG])\s+(-?\d+)\s+(\d+)\s+(-?\d+)")  # start, length, pitch; the syllable is not needed
_PITCHED = (":", "*")  # others are spoken
_QUARTER = 4  # of a beat is what UltraStar counts in
_C4 = 60


def is_ultrastar(content: bytes) -> bool:
    """Whether this is the text of a song, and no table."""
    tags = {tag[1].strip().upper() for line in text_of(content).splitlines() if (tag := _TAG.match(line.strip()))}
    return "BPM" in tags


def ultrastar(path: Path, content: bytes) -> list[Part]:
    """The singers of a song written for UltraStar (.txt): one, or the two of a duet.

    Raises
    ------
    BadInput : for a tempo or a note that cannot be.
    """
    tags: dict[str, str] = {}
    notes: dict[int, list[tuple[float, float, float, int]]] = {}
    singer, start = 1, 0  # where the lines of a song with RELATIVE count from
    for number, line in enumerate(text_of(content).splitlines(), 1):
        line = line.strip()
        if line.startswith("E"):
            break
        if tag := _TAG.match(line):
            tags[tag[1].strip().upper()] = tag[2].strip()
        elif duet := re.fullmatch(r"P\s*([1-9])", line):
            singer, start = int(duet[1]), 0
        elif line.startswith("-") and tags.get("RELATIVE", "").upper() == "YES":
            start += int((re.findall(r"\d+", line) or ["0"])[-1])
        elif line[:1] in (*_PITCHED, "F", "R", "G"):
            note = _NOTE.match(line)
            if note is None:
                raise BadInput(f"{path}: line {number} is no note: write it as : START LENGTH PITCH SYLLABLE.")
            first, length, pitch = map(int, note.groups()[1:])
            if note[1] in _PITCHED:
                onset, end = (_second(path, tags, start + first + more) for more in (0, length))
                if onset < 0:
                    raise BadInput(f"{path}: the note in line {number} begins before the song: mend #GAP.")
                notes.setdefault(singer, []).append((onset, end, _C4 + pitch, VELOCITY))
    names = {
        singer: tags.get(f"P{singer}") or tags.get(f"DUETSINGERP{singer}") or f"singer {singer}" for singer in notes
    }
    return [part_of(singer, names[singer], own) for singer, own in sorted(notes.items())]


def _second(path: Path, tags: dict[str, str], place: int) -> float:
    """Seconds of a `place` in the song."""
    try:
        tempo, gap = (float(tags.get(name, "0").replace(",", ".") or 0) for name in ("BPM", "GAP"))
    except ValueError:
        raise BadInput(f"{path}: #BPM is {tags.get('BPM')!r}, #GAP {tags.get('GAP')!r}: write numbers.") from None
    if not (0 < tempo < np.inf and abs(gap) < np.inf):
        raise BadInput(f"{path}: #BPM is {tags.get('BPM')!r}: it must be a number above 0.")
    return gap / 1000 + 60 * place / (_QUARTER * tempo)


def musicxml(path: Path) -> list[Part]:
    """The instruments of a score in MusicXML (.musicxml, .xml, .mxl): as it sounds, with its repeats and tempos.

    Raises
    ------
    BadInput : for what is no such score.
    Unavailable : without music21.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from music21 import converter
        except ImportError:
            raise Unavailable(f"{path} cannot be read without music21: pip install 'rtsep[score]'.") from None
        try:
            score = converter.parse(os.fspath(path), format="musicxml", forceSource=True, storePickle=False)
            return _parts(score)
        except Exception as error:  # of many kinds
            raise BadInput(f"{path} is no MusicXML that can be read: export it afresh.") from error


def _parts(score: Any) -> list[Part]:
    from music21 import harmony, repeat

    with suppress(repeat.ExpanderException):  # repeats that lead nowhere are played once
        score = score.expandRepeats()
    score = score.toSoundingPitch()
    starts, ends, marks = zip(*score.metronomeMarkBoundaries(), strict=True)
    lasting = [(end - start) * mark.secondsPerQuarter() for start, end, mark in zip(starts, ends, marks, strict=True)]
    found = []
    for number, part in enumerate(score.parts, 1):
        notes = []
        for note in part.stripTies().flatten().notes:
            quarters = note.duration.quarterLength
            if quarters > 0 and not isinstance(note, harmony.Harmony):  # no grace notes, and no names of chords
                times = np.interp(
                    [float(note.offset), float(note.offset + quarters)],
                    [float(starts[0]), *map(float, ends)],
                    np.cumsum([0.0, *map(float, lasting)]),
                )
                notes += [(*times, pitch.midi, note.volume.velocity or VELOCITY) for pitch in note.pitches]
        if notes:
            found.append(part_of(number, (part.partName or "").strip() or f"part {number}", notes))
    return found
