"""Standard MIDI files, read for their notes: what is not needed of a file is not judged.

mido refuses a whole file for a key signature that makes no sense, for a tempo of two bytes, or for a count of tracks or
a length that is not true. So chunks and events are walked here, and its messages are made of the few that count. A file
may stand within another (RIFF, MacBinary). "Standard MIDI Files 1.0", MIDI Manufacturers Association, 1988.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from struct import error, unpack_from
from typing import Any, NamedTuple

import mido
import numpy as np

from ..errors import BadInput
from .part import Part, part_of, text_of

_DRUMS = 9  # MIDI channel, from 0
_SUSTAIN, _DOWN = 64, 64  # the controller of the pedal, and the value from which it is down
_ALONE = 2  # the type of files whose tracks are pieces of their own
_TEMPO = 500_000  # microseconds per beat: 120 beats a minute until told otherwise

_META, _EXCLUSIVE = 0xFF, (0xF0, 0xF7)
_NAME, _SET_TEMPO, _END = 0x03, 0x51, 0x2F  # of the meta messages
_SHORT = {0xC0: 1, 0xD0: 1, 0xF1: 1, 0xF2: 2, 0xF3: 1}  # data bytes of messages; others of a channel have two

_Event = tuple[int, Any]  # ticks from the start, and a message of mido


class _Track(NamedTuple):
    name: str
    events: list[_Event]  # of those that count; the last is its end


def parts(path: Path, content: bytes, *, pedal: bool = False) -> list[Part]:
    """The tracks of a MIDI file that have notes other than drums; of a file with one track, its channels.

    With `pedal` notes end when they fall silent, else when the key is let go.

    Raises
    ------
    BadInput : for what is no MIDI file, or breaks off.
    """
    start = content.find(b"MThd")
    try:
        kind, _, division = unpack_from(">HHh", content, start + 8 if start >= 0 else len(content))
        tracks = list(_tracks(content, start))
    except (error, IndexError, ValueError):
        tracks = []
    if not tracks:
        raise BadInput(f"{path} is no MIDI file that can be read: export it afresh.")
    if division <= 0:
        raise BadInput(f"{path} counts time in film frames: export it with beats.")
    # Each of them has a time of its own where they are pieces of their own.
    together = [[track] for track in tracks] if kind == _ALONE else [tracks] * len(tracks)
    by_channel = len(tracks) == 1
    found = []
    for number, track, beside in zip(count(1), tracks, together, strict=False):
        events = sorted((event for each in beside for event in each.events), key=lambda event: event[0])
        second, held = _clock(events, division), _pedaled(events) if pedal else {}
        notes = defaultdict(list)
        for channel, onset, end, midi, velocity in _notes(track.events):
            silence = _silenced(end, held.get(channel, ()))
            notes[channel + 1 if by_channel else number].append((second(onset), second(silence), midi, velocity))
        for own, rows in sorted(notes.items()):
            found.append(part_of(own, f"channel {own}" if by_channel else track.name or f"track {own}", rows))
    return found


def _tracks(content: bytes, place: int) -> Iterator[_Track]:
    """All that there are behind the header at `place`, however many it promises."""
    while (place := content.find(b"MTrk", place)) >= 0:
        start, (length,) = place + 8, unpack_from(">I", content, place + 4)
        events: list[_Event] = []
        name, tick, running, place = "", 0, 0, start
        # Where a track ends without saying so, its length tells; that alone is no matter.
        while not (place == start + length and content[place : place + 4] in (b"", b"MTrk")):
            delta, place = _number(content, place)
            tick += delta
            status = running
            if content[place] & 0x80:
                status, place = content[place], place + 1
            if status == _META:  # which leaves the running status as it is
                kind = content[place]
                data, place = _data(content, place + 1)
                if kind == _NAME:
                    name = name or text_of(data).strip("\0 \t\r\n")
                elif kind == _SET_TEMPO and (tempo := int.from_bytes(data[:3], "big")) and len(data) >= 3:
                    events.append((tick, mido.MetaMessage("set_tempo", tempo=tempo)))
                elif kind == _END:
                    break
                continue
            if status in _EXCLUSIVE:
                _, place = _data(content, place)
            elif status:
                size = _SHORT.get(status, 0) if status >= 0xF0 else _SHORT.get(status & 0xF0, 2)
                data = bytes(min(content[place + i], 127) for i in range(size))
                place += size
                if status & 0xF0 in (0x80, 0x90, 0xB0):
                    events.append((tick, mido.Message.from_bytes([status, *data])))
            else:
                raise ValueError("data without a status")
            running = status
        events.append((tick, mido.MetaMessage("end_of_track")))
        yield _Track(name, events)


def _number(content: bytes, place: int) -> tuple[int, int]:
    """The number of variable length at `place`, and where it ends."""
    number = 0
    while True:
        byte, place = content[place], place + 1
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, place


def _data(content: bytes, place: int) -> tuple[bytes, int]:
    """What stands behind its own length at `place`, and where it ends."""
    length, place = _number(content, place)
    if place + length > len(content):
        raise IndexError
    return content[place : place + length], place + length


def _clock(events: Iterable[_Event], division: int) -> Callable[[int], float]:
    """Seconds of a tick, by the tempos among `events` (in order)."""
    changes = [(tick, message.tempo) for tick, message in events if message.type == "set_tempo"]
    ticks, tempos = zip((0, _TEMPO), *changes, strict=True)
    beats = np.array(ticks) / division
    seconds = np.append(0, np.cumsum(np.diff(beats) * tempos[:-1])) * 1e-6

    def second(tick: int) -> float:
        beat = tick / division
        last = np.searchsorted(beats, beat, "right") - 1
        return float(seconds[last] + (beat - beats[last]) * tempos[last] * 1e-6)

    return second


def _pedaled(events: Sequence[_Event]) -> dict[int, list[tuple[int, int]]]:
    """When each channel's sustain pedal goes down and up, in ticks; at the end of the song it goes up."""
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


def _notes(events: Iterable[_Event]) -> Iterator[tuple[int, int, int, int, int]]:
    """Channel (from 0), onset and end in ticks, MIDI pitch and velocity of the notes of a track, drums left out."""
    begun: dict[tuple[int, int], tuple[int, int]] = {}
    tick = 0
    for tick, message in events:
        if message.type in ("note_on", "note_off") and message.channel != _DRUMS:
            key = message.channel, message.note
            if key in begun:  # one that sounds and is struck again begins anew
                onset, velocity = begun.pop(key)
                yield message.channel, onset, tick, message.note, velocity
            if message.type == "note_on" and message.velocity > 0:
                begun[key] = tick, message.velocity
    for (channel, midi), (onset, velocity) in begun.items():
        yield channel, onset, tick, midi, velocity
