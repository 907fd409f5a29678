"""Songs at random for a General MIDI band: drums, bass, chords and pads, and a lead instrument with exact F0.

FluidSynth plays them with two sound fonts whose licences allow anything: FluidR3 GM (Frank Wen; MIT) and MuseScore
General (S. Christian Collins and others; MIT, parts in the public domain or CC0).
Choirs and synthetic voices are left out: nobody could say whether they are voices.
"""

import math
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from . import effects
from .effects import RATE, Sound
from .tunes import FRAME_S, SCALES, Curve, Manner, hertz, perform, pick, walk

SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/sounds/sf2/MuseScore_General_Full.sf2"),  # the small .sf3 takes two seconds to unpack
)

# General MIDI programs, counted from 0.
KITS = (*range(20), 24, 25, *range(32, 37), 40, 41, 42, 48)
BASSES = tuple(range(32, 40))
CHORDS = (0, 1, 2, 4, 5, 7, 11, 12, 16, 17, 18, 19, 21, 24, 25, 26, 27, 28, 29, 30, 46, 48, 61, 62)
PADS = (16, 19, 48, 49, 50, 51, 88, 89, 90, 92, 93, 94, 95)
DISTORTED = (29, 30)
LEADS = {
    11: (53, 89), 21: (53, 89), 22: (60, 84), 24: (52, 79), 26: (52, 79), 27: (52, 84),
    29: (52, 86), 30: (52, 86), 40: (57, 93), 41: (50, 79), 42: (40, 69), 56: (55, 82), 57: (43, 67), 59: (55, 82),
    60: (46, 72), 64: (56, 84), 65: (50, 79), 66: (45, 72), 67: (38, 62), 68: (58, 86), 69: (52, 79), 70: (38, 67),
    71: (50, 86), 73: (60, 91), 74: (65, 91), 75: (60, 86), 79: (60, 86), 80: (48, 86), 81: (48, 86), 104: (52, 76),
    110: (57, 88), 111: (58, 82),
}  # fmt: skip
"""Lead instruments and their ranges in MIDI numbers."""

# Steps of a sixteenth: X loud, x medium, o soft; "-" holds what began, "." is a rest.
RHYTHMS = (
    "X---------------", "X-------X-------", "X---X---X---X---", "X-X-X-X-X-X-X-X-", "..X...X...X...X.",
    "X--X--X-..X-X---", "X..X..X...X.X...", "XxoxXxoxXxoxXxox", "X-----X---X-----", "..X-....X-..X---",
    "X-xxx-xxX-xxx-xx", "X-.X.-X-.X--X-X-", "X.......x.......", "X-x-X--X--X-x-x-",
)  # fmt: skip
# R root, O its octave, 5 its fifth, w a note of the scale.
BASS_LINES = (
    "R---------------", "R-------R-------", "R-R-R-R-R-R-R-R-", "R---w---5---w---", "R--R--R-R--R--R-",
    "R-O-R-O-R-O-R-O-", "R.....R.R..R..w.", "R--5----R-----w-", "RRRRRRRRRRRRRRRR", "....R-.....R-.w.",
    "R-----5-R---w-w-", "R..R..O.R.R.w.5.",
)  # fmt: skip
# Kick, snare, and what keeps the time.
GROOVES = {
    "rock": ("X.......X.x.....", "....X.......X...", "X.x.X.x.X.x.X.x."),
    "rock 2": ("X..x....X.......", "....X.......X..o", "X.x.X.x.X.x.X.x."),
    "house": ("X...X...X...X...", "....X.......X...", "..X...X...X...X."),
    "funk": ("X..x..x...x..x..", "....X..o.o..X..o", "XxxxXxxxXxxxXxxx"),
    "half-time": ("X.........x.....", "........X.......", "X...x...X...x..."),
    "trap": ("X.....x...X..x..", "........X.......", "XxxxXx.xXxxxXoXo"),
    "jungle": ("X.........X.....", "....X..o.o..X..o", "X.x.X.x.X.x.X.x."),
    "bossa": ("X..xX..xX..xX..x", "X..X..X...X..X..", "xxxxxxxxxxxxxxxx"),
    "ballad": ("X.......X.......", "....X.......X...", "x...x...x...x..."),
    "jazz": ("o...o...o...o...", ".......o......o.", "X...X..xX...X..x"),
    "soul": ("X.....x.X.....x.", "X...X...X...X...", "x.x.x.x.x.x.x.x."),
    "dembow": ("X...X...X...X...", "...X..X....X..X.", "x.x.x.x.x.x.x.x."),
    "punk": ("X..xX...X..xX...", "..X...X...X...X.", "X.X.X.X.X.X.X.X."),
    "toms": ("X.......X.......", "............X...", "x.x.x.x.x.x.x.x."),
    "train": ("X...X...X...X...", "ooXooooXooXoooXo", "................"),
}
FORCE = {"X": 112, "x": 88, "o": 48}
PERCUSSION = (54, 56, 60, 61, 62, 63, 64, 69, 70, 75, 76, 82)

_BEND = 12  # semitones to each side
_GAP_S = 0.5  # between parts, so that none sounds into the next
_TICKS = 960  # to the half second


class Note(NamedTuple):
    """Begin and length in seconds, MIDI number and velocity."""

    start: float
    length: float
    key: int
    force: float


class Part(NamedTuple):
    """What one instrument plays: `bends` are times and semitones."""

    program: int
    drums: bool
    soundfont: int
    notes: list[Note]
    bends: list[tuple[float, float]]


@dataclass(frozen=True)
class Song:
    """What the players agree on: `start` is when the first bar begins, in seconds; `degrees` a chord for each bar."""

    beat_s: float
    swing: float
    key: int
    scale: tuple[int, ...]
    degrees: tuple[int, ...]
    start: float
    seconds: float

    def time(self, step: float) -> float:
        """Of a sixteenth: the odd ones come later."""
        return self.start + self.beat_s / 4 * (step + self.swing * (step % 2))

    @property
    def bars(self) -> int:
        return math.ceil((self.seconds - self.start) / (4 * self.beat_s))

    def chord(self, bar: int, tones: int = 3) -> list[int]:
        """Semitones above the key: thirds of the scale."""
        degree = self.degrees[bar % len(self.degrees)]
        return [self.scale[(degree + 2 * tone) % 7] + 12 * ((degree + 2 * tone) // 7) for tone in range(tones)]


def song(rng: Generator, seconds: float) -> Song:
    """Tempo, key and chords at random; the first bar has begun already."""
    beat_s = 60 / rng.uniform(68, 170)
    degrees = [0, *(pick(rng, (0, 1, 2, 3, 3, 4, 4, 5, 5)) for _ in range(3))]
    swing = rng.uniform(0.1, 0.6) if rng.random() < 0.25 else 0.0
    scale, key = pick(rng, SCALES), int(rng.integers(12))
    return Song(beat_s, swing, key, scale, tuple(degrees), -rng.uniform(0, 4) * beat_s, seconds)


def drums(rng: Generator, song: Song) -> tuple[str, list[Part]]:
    """The name of the groove; kick, snare and toms, cymbals, mostly of one kit, and perhaps percussion."""
    name = pick(rng, list(GROOVES))
    kick, snare, time = (_changed(rng, line) for line in GROOVES[name])
    beaten = pick(rng, (35, 36, 36)), pick(rng, (38, 38, 38, 40, 37, 39)), pick(rng, (42, 42, 42, 44, 51, 51, 53, 54))
    if name in ("bossa", "jazz"):
        beaten = 36, pick(rng, (37, 38)), pick(rng, (42, 51))
    if name == "toms":
        beaten = 36, 38, pick(rng, (41, 43, 45))
    opened, filled, crashed = rng.uniform(0, 0.12), rng.random() < 0.6, rng.random() < 0.7
    lines: tuple[list[Note], ...] = ([], [], [])
    fill_from = pick(rng, (4, 8, 8, 12, 12, 14))
    for bar in range(song.bars):
        last = filled and bar % 4 == 3
        for line, pattern, key in zip(lines, (kick, snare, time), beaten, strict=True):
            hits = [hit for hit in _hits(pattern) if not (last and hit[0] >= fill_from)]
            line += [_note(rng, song, 16 * bar + step, 1, key, force, 0.004) for step, _, force in hits]
        for step in range(fill_from, 16) if last else ():
            if rng.random() < 0.8:
                key = pick(rng, (38, 41, 43, 45, 47, 48, 50))
                lines[1].append(_note(rng, song, 16 * bar + step, 1, key, rng.uniform(80, 122), 0.004))
        if crashed and bar % 4 == 0:
            lines[2].append(_note(rng, song, 16 * bar, 1, pick(rng, (49, 57)), 108, 0.004))
    lines[2][:] = [note._replace(key=46) if note.key == 42 and rng.random() < opened else note for note in lines[2]]
    kit, font = pick(rng, KITS), int(rng.integers(2))
    parts = []
    for line in lines:
        if rng.random() < 0.15:
            kit, font = pick(rng, KITS), int(rng.integers(2))
        tuning = float(np.clip(rng.normal(0, 1.2), -4, 4))
        parts.append(Part(kit, True, font, line, [(0, tuning)]))
    if rng.random() < 0.35:
        parts.append(_percussion(rng, song))
    return name, parts


def bass(rng: Generator, song: Song) -> Part:
    """One note at a time, from E1 up."""
    line, notes = pick(rng, BASS_LINES), []
    for bar in range(song.bars):
        root = song.key + song.chord(bar)[0]
        for step, length, symbol in _held(line):
            above = {"R": 0, "O": 12, "5": 7}.get(symbol, pick(rng, song.scale) - song.chord(bar)[0])
            notes.append(_note(rng, song, 16 * bar + step, length, 28 + (root + above - 28) % 12, 96, 0.005))
            if symbol == "O":
                notes[-1] = notes[-1]._replace(key=notes[-1].key + 12)
    return Part(pick(rng, BASSES), False, int(rng.integers(2)), notes, [])


def chords(rng: Generator, song: Song) -> Part:
    """Block chords, arpeggios, strums or power chords."""
    program, rhythm = pick(rng, CHORDS), pick(rng, RHYTHMS)
    style = pick(rng, ("block", "block", "arpeggio", "strum"))
    if program in DISTORTED:
        style = pick(rng, ("power", "power", "block"))
    lowest, tones, count, notes = pick(rng, (43, 48, 55, 60)), pick(rng, (3, 3, 4)), 0, []
    for bar in range(song.bars):
        chord = song.chord(bar, tones)
        if style == "power":
            root = 38 + (song.key + chord[0] - 38) % 12
            keys = [root, root + 7, root + 12]
        else:
            keys = sorted(lowest + (song.key + above - lowest) % 12 for above in chord)
        if style == "strum":
            keys += [keys[0] + 12, keys[1] + 12]
        for step, length, symbol in _held(rhythm):
            at, force = 16 * bar + step, 0.85 * FORCE[symbol]
            if style == "arpeggio":
                notes.append(_note(rng, song, at, 4, keys[count % len(keys)], force, 0.005))
            else:
                delay = rng.uniform(0.004, 0.02) if style == "strum" else 0
                struck = [_note(rng, song, at, length, key, force, 0.005) for key in keys]
                notes += [note._replace(start=note.start + delay * voice) for voice, note in enumerate(struck)]
            count += 1
    return Part(program, False, int(rng.integers(2)), notes, [])


def pad(rng: Generator, song: Song) -> Part:
    """A chord for each bar."""
    lowest, notes = pick(rng, (48, 55, 60)), []
    for bar in range(song.bars):
        for above in song.chord(bar):
            notes.append(_note(rng, song, 16 * bar, 16, lowest + (song.key + above - lowest) % 12, 80, 0))
    return Part(pick(rng, PADS), False, int(rng.integers(2)), notes, [])


def lead(rng: Generator, song: Song) -> tuple[Part, Curve]:
    """A tune for one lead instrument, bent as players do, and its F0 (frames,) in Hz, 0 between the notes."""
    program = pick(rng, list(LEADS))
    low, high = LEADS[program]
    manner = Manner(
        glide_s=rng.uniform(0.004, 0.02),
        vibrato_hz=rng.uniform(4.5, 7),
        vibrato=pick(rng, (0, 0, 0.1, 0.2, 0.4)),
        vibrato_after_s=rng.uniform(0.1, 0.4),
        drift=rng.uniform(0, 0.08),
        scoops=rng.uniform(0, 0.3),
        falls=rng.uniform(0, 0.1),
    )
    frames = round(song.seconds / FRAME_S)
    lengths = pick(rng, ((1, 2, 2, 4), (2, 2, 4, 8), (4, 4, 8, 8), (1, 1, 2)))
    notes: list[Note] = []
    bends, f0, step, last, ends = [], np.zeros(frames), pick(rng, (0, 0, 8, 16)), 0, 0
    while song.time(step) < song.seconds:
        for key in walk(rng, int(rng.integers(3, 12)), low, high, song.key, song.scale, last):
            length, last = pick(rng, lengths), key
            note = _note(rng, song, step, length, key, rng.uniform(75, 115), 0.008)
            step += length
            begin, end = (round(time / FRAME_S) for time in (note.start, note.start + note.length))
            begin = max(begin, ends)  # that of one note before the next, however late it was
            if begin < 0 or end >= frames or end <= begin:
                continue
            ends = end
            curve = perform(rng, np.full(end - begin, float(key)), manner)
            f0[begin:end] = hertz(curve)
            notes.append(note._replace(start=begin * FRAME_S, length=(end - begin) * FRAME_S))
            bends += [((begin + frame) * FRAME_S, float(pitch) - key) for frame, pitch in enumerate(curve)]
        step += pick(rng, (2, 4, 4, 8, 16))
    return Part(program, False, int(rng.integers(2)), notes, bends), f0


def play(parts: list[Part], seconds: float) -> list[Sound]:
    """The sound (samples, 2) of each of the parts, dry.

    All that use one sound font follow each other in one MIDI file, as loading the fonts takes the longest.
    """
    sounds = {}
    for font, path in enumerate(SOUNDFONTS):
        chosen = [number for number, part in enumerate(parts) if part.soundfont == font]
        if not chosen:
            continue
        events: list[tuple[float, int, mido.Message]] = []
        for place, number in enumerate(chosen):
            events += _events(parts[number], place * (seconds + _GAP_S), seconds)
        audio = _fluidsynth(events, path)
        samples, every = round(seconds * RATE), (seconds + _GAP_S) * RATE
        for place, number in enumerate(chosen):
            sound = audio[round(place * every) :][:samples]
            sound = np.pad(sound, ((0, samples - len(sound)), (0, 0)))
            sounds[number] = sound - sound.mean(0)  # some samples carry an offset
    return [sounds[number] for number in range(len(parts))]


def heard(f0: Curve, sound: Sound) -> NDArray[np.float32]:
    """`f0` of the lead without the frames in which its `sound` has faded or not yet begun."""
    size = round(FRAME_S * RATE)
    power = maximum_filter1d((sound[: len(f0) * size] ** 2).reshape(len(f0), -1).mean(1), 3)
    return np.where(power > 1e-4 * power.max(), f0, 0).astype(np.float32)


def treat(rng: Generator, sound: Sound, part: Part) -> Sound:
    """What `part` sounds like through a channel of the desk: amplifier, equalizer, compressor, room, place."""
    level = max(effects.loudness(sound), 1e-9)
    if part.program in DISTORTED and not part.drums and rng.random() < 0.7:
        sound = sound * effects.saturation(sound / np.float32(level), rng.uniform(0.5, 4))
        sound = effects.band(sound, 90, rng.uniform(4500, 9000))
    sound = effects.equalize(rng, sound)
    sound = sound * np.float32(0.1 / max(effects.loudness(sound), 1e-9))
    if rng.random() < 0.3:
        sound = sound * effects.compression(sound, -rng.uniform(20, 32), rng.uniform(2, 6), 0.008, 0.12)
    if rng.random() < 0.4:
        sound = effects.room(rng, sound, rng.uniform(0.2, 1.8), -rng.uniform(8, 24))
    return effects.place(sound, float(np.clip(rng.normal(0, 0.35), -1, 1)), rng.uniform(0, 1.2))


def _percussion(rng: Generator, song: Song) -> Part:
    key, pattern = (
        pick(rng, PERCUSSION),
        _changed(rng, pick(rng, ("x.x.x.x.x.x.x.x.", "xoxoxoxoxoxoxoxo", "X..x..x...x.x..."))),
    )
    hits = [(16 * bar + step, force) for bar in range(song.bars) for step, _, force in _hits(pattern)]
    return Part(
        0, True, int(rng.integers(2)), [_note(rng, song, step, 1, key, force, 0.006) for step, force in hits], []
    )


def _held(line: str) -> Iterable[tuple[int, int, str]]:
    """Step, length and symbol of what begins in a line."""
    for step, symbol in enumerate(line):
        if symbol not in ".-":
            rest = line[step + 1 :]
            yield step, 1 + len(rest) - len(rest.lstrip("-")), symbol


def _hits(line: str) -> list[tuple[int, int, int]]:
    return [(step, length, FORCE[symbol]) for step, length, symbol in _held(line)]


def _changed(rng: Generator, line: str) -> str:
    """A drummer's own version of a line."""
    return "".join(
        symbol if rng.random() > 0.04 else ("." if symbol != "." else pick(rng, "xo")) for symbol in line
    )  # fmt: skip


def _note(rng: Generator, song: Song, step: int, length: int, key: int, force: float, spread: float) -> Note:
    """A note on the grid, as exact as people are: `spread` in seconds."""
    start = song.time(step) + float(np.clip(rng.normal(0, spread), -2 * spread, 2 * spread))
    held = length * song.beat_s / 4 * 0.95
    return Note(start, held, key, float(np.clip(force + rng.normal(0, 6), 10, 127)))


def _events(part: Part, offset: float, seconds: float) -> list[tuple[float, int, mido.Message]]:
    """Times, ranks at one time, and messages of a part that begins at `offset`.

    Notes alternate between two channels, so that the bends of one do not reach what rings of the one before.
    """
    channels = (9,) if part.drums else (0, 1)
    events: list[tuple[float, int, mido.Message]] = []

    def add(time: float, rank: int, kind: str, channel: int, **values: int) -> None:
        events.append((offset + time, rank, mido.Message(kind, channel=channel, **values)))

    for channel in channels:
        add(0, 0, "program_change", channel, program=part.program)
        add(0, 0, "pitchwheel", channel, pitch=0)
        for control, value in ((101, 0), (100, 0), (6, _BEND), (38, 0)):
            add(0, 0, "control_change", channel, control=control, value=value)
        add(seconds, 0, "control_change", channel, control=120, value=0)
    number, bends = -1, iter([*part.bends, (math.inf, 0.0)])
    time, bend = next(bends)
    for number, note in enumerate(sorted(part.notes)):
        channel = channels[number % len(channels)]
        if not 0 <= note.start < seconds:
            continue
        add(note.start, 2, "note_on", channel, note=note.key, velocity=round(note.force))
        add(min(note.start + note.length, seconds), 1, "note_off", channel, note=note.key)
        while time < note.start + note.length - 1e-6:
            add(time, 1, "pitchwheel", channel, pitch=int(np.clip(round(bend / _BEND * 8192), -8192, 8191)))
            time, bend = next(bends)
    return events


def _fluidsynth(events: list[tuple[float, int, mido.Message]], soundfont: Path) -> Sound:
    track, now = mido.MidiTrack(), 0
    for time, _, message in sorted(events, key=lambda event: event[:2]):
        tick = round(2 * _TICKS * time)
        track.append(message.copy(time=tick - now))
        now = tick
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder, "song.mid"), Path(folder, "song.wav")
        mido.MidiFile(ticks_per_beat=_TICKS, tracks=[track]).save(score)
        command = f"fluidsynth -niq -R 0 -C 0 -r {RATE} -g 0.4 -O float -T wav".split()
        command += ["-o", "synth.dynamic-sample-loading=1", "-F"]
        subprocess.run([*command, wave, soundfont, score], check=True, capture_output=True)
        return np.asarray(soundfile.read(wave, dtype="float32")[0])
