"""Notes from the activations of pitches, as a MIDI file and as a picture.

A note lasts from where the level of its pitch passes a threshold until it falls below a lower one (a Schmitt trigger:
hysteresis keeps a level near the threshold from breaking a note up); notes that are too short are left out. Thresholds
and least durations are how activations have become notes since Dessein, Cont and Lemaitre, "Real-time polyphonic music
transcription with non-negative matrix factorization and beta-divergence", ISMIR 2010. A level that rises steeply
within a note is a new stroke. An onset lies where the level reaches half of what it comes to: the middle of the window
then stands on it, whatever the note's loudness.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from .. import disk
from ..templates import Templates
from .score import Note, note_name

STEP_S = 0.005
"""Seconds between the rows of activations that are kept: about."""

THRESHOLD_DB = -18.0
"""The level beside the loudest of a recording from which on a note may begin."""

# Chosen on the pieces of benchmarks/piano.py, as that threshold was.
_LOWER_DB = -3.0  # of where a note ends below where it may begin
_LEAST_S = 0.08
_STROKE, _STROKE_S = 3.0, 0.05  # how many times louder than within so many seconds before, and it is a new stroke
_ATTACK_S = 0.1  # in which a note comes to its level

_TICKS = 500  # in a beat; at mido's 120 beats a minute one is a millisecond
_DRUMS = 9  # MIDI channel, from 0

_SECOND, _ROW, _MARGIN, _TOP = 60, 7, 34, 18  # pixels of the picture: of a second, a semitone, left, and above


def notes_in(
    activations: NDArray[np.float32],
    time_s: NDArray[np.float64],
    templates: Templates,
    threshold_db: float = THRESHOLD_DB,
) -> list[Note]:
    """The notes in `activations` (rows, components) of `templates` that have pitches, in the order of their onsets.

    A note's track is the name of its part. Its velocity v stands for 40 log10(v / 127) dB beside the loudest note, as
    in "Downloadable Sounds Level 1" of the MIDI Manufacturers Association, 1999.

    Parameters
    ----------
    time_s : (rows,) seconds of the middle of each row, evenly spaced
    threshold_db : beside the loudest activation, where notes may begin
    """
    keys = list(zip(templates.part_of.tolist(), templates.pitches, strict=True))
    loudest = float(activations.max(initial=0))
    if loudest == 0 or len(time_s) < 2:
        return []
    notes, step_s = [], float(time_s[1] - time_s[0])
    for part, pitch in sorted(set(keys)):
        own = [component for component, key in enumerate(keys) if key == (part, pitch)]
        level = activations[:, own].sum(1) / loudest
        for onset, end in _spans(level, 10 ** (threshold_db / 20), step_s):
            velocity = round(127 * float(level[onset:end].max()) ** 0.5)
            start_s, end_s = max(float(time_s[onset]), 0.0), float(time_s[0]) + end * step_s
            if end_s > start_s:
                notes.append(Note(start_s, end_s - start_s, pitch, templates.parts[part], min(max(velocity, 1), 127)))
    return sorted(notes)


def _spans(level: NDArray[np.floating], threshold: float, step_s: float) -> Iterator[tuple[int, int]]:
    """First row, and the row after the last, of each note in the `level` (rows,) of a pitch."""
    least, before, attack = (max(round(seconds / step_s), 1) for seconds in (_LEAST_S, _STROKE_S, _ATTACK_S))
    edges = np.flatnonzero(np.diff(level > threshold * 10 ** (_LOWER_DB / 20), prepend=False, append=False))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        within = level[begin:end]
        above = np.flatnonzero(within > threshold)
        if not len(above):
            continue
        past = sliding_window_view(np.pad(within, (before, 0), mode="edge"), before + 1).min(1)
        steep = (within > threshold) & (within > _STROKE * past)
        strokes = [int(above[0])]
        for row in np.flatnonzero(np.diff(steep.astype(int), prepend=0) == 1):
            if row - strokes[-1] >= least:
                strokes.append(int(row))
        for first, last in pairwise([*strokes, len(within)]):
            if last - first >= least:
                reached = within[first : min(first + attack, last)]
                yield int(begin) + first + int(np.argmax(reached >= reached.max() / 2)), int(begin) + last


def write_midi(path: Path, notes: Sequence[Note]) -> None:
    """Write `notes` as a MIDI file, a track for each of theirs, all or nothing; its times are right to a millisecond.

    Raises
    ------
    Unavailable : the disk is full or cannot be written to.
    """
    channels = [channel for channel in range(16) if channel != _DRUMS]
    song = mido.MidiFile(ticks_per_beat=_TICKS)
    for number, name in enumerate(dict.fromkeys(note.track for note in notes)):
        channel, events = channels[number % len(channels)], []
        for onset_s, duration_s, pitch, track, velocity in notes:
            if track == name:
                start, end = round(1000 * onset_s), round(1000 * (onset_s + duration_s))
                events += [(start, "note_on", pitch, velocity), (end, "note_off", pitch, 0)]
        track, now = mido.MidiTrack([mido.MetaMessage("track_name", name=name)]), 0
        for tick, kind, pitch, velocity in sorted(events, key=lambda event: (event[0], event[1] == "note_on")):
            track.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now))
            now = tick
        song.tracks.append(track)
    content = io.BytesIO()
    song.save(file=content)
    disk.write(path, content.getvalue())


def write_picture(path: Path, notes: Sequence[Note], colors: Mapping[str, str], duration_s: float) -> None:
    """Write `notes` as a piano roll in SVG: seconds along, pitches up, in the color of their track.

    Raises
    ------
    Unavailable : the disk is full or cannot be written to.
    """
    low = min((note.pitch for note in notes), default=60) - 1
    high = max((note.pitch for note in notes), default=72) + 1
    width, height = _MARGIN + duration_s * _SECOND + 10, _TOP + (high - low + 1) * _ROW + 20

    def top(pitch: int) -> int:
        return _TOP + (high - pitch) * _ROW

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" font-family="sans-serif" '
        'font-size="10">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:
            y = top(pitch) + _ROW
            lines.append(f'<line x1="{_MARGIN}" x2="{width:.0f}" y1="{y}" y2="{y}" stroke="#ccc"/>')
            lines.append(f'<text x="4" y="{y}">{note_name(pitch)}</text>')
    for second in range(int(duration_s) + 1):
        x = _MARGIN + second * _SECOND
        lines.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{height - 18}" stroke="#eee"/>')
        lines.append(f'<text x="{x}" y="{height - 6}">{second} s</text>')
    for number, (name, color) in enumerate(colors.items()):
        lines.append(f'<text x="{_MARGIN + 120 * number}" y="12" fill="{color}">{name}</text>')
    for onset_s, note_s, pitch, track, _ in notes:
        left, long = _MARGIN + onset_s * _SECOND, note_s * _SECOND
        lines.append(
            f'<rect x="{left:.1f}" y="{top(pitch)}" width="{long:.1f}" height="{_ROW - 1}" fill="{colors[track]}">'
            f"<title>{note_name(pitch)} {onset_s:.2f} s</title></rect>"
        )
    disk.write(path, "\n".join([*lines, "</svg>\n"]).encode())
