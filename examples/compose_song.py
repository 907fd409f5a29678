"""Compose and render the bundled demo song: an original for a small band, 27 seconds, as four true stems.

    python examples/compose_song.py [OUTDIR] [--soundfont FILE]

Writes lead, chords, bass and drums as stereo 48 kHz OGG files of equal length (default: the package's song
folder). Every stem is rendered alone, so the mix is by definition the sum of the four decoded files.

Needs the FluidSynth program, the FluidR3 GM sound font (MIT license; Debian packages `fluidsynth` and
`fluid-soundfont-gm`) and the Python packages mido, numpy and soundfile. The song was written for this
project. The audio is the same on every run (the files differ by the random serial number in an OGG header).
"""

import argparse
import math
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mido
import numpy as np
import soundfile as sf

RATE, BPM, SECONDS, SEED = 48000, 112, 27.5, 2024
STEP = 60 / BPM / 4  # everything below is written on a grid of sixteenth notes, 16 to the bar
SWING = 0.12  # off-beat sixteenths come this much of a step late
RITARD_FROM, RITARD = 10 * 16 + 8, 0.10  # the last cadence leans back

# A letter per bar: intro, verse (A, variant a, fill F), chorus (B, b), turnaround, verse, cadence, end.
FORM = "IAaAFBbBTACE"
END = 16 * len(FORM)
HARMONY = ["Gmaj9 D9sus", "Gmaj9 G6", "Bm7 E7b9", "Am7", "D9sus D9", "Cmaj9", "Bm7 Em9", "Am9 Cm6", "G/D D13",
           "Gmaj9 E7b9", "Am7 D13b9", "G69"]  # fmt: skip
# Close voicings, most without the root (the bass has it), so that each voice moves by a step or stays.
VOICINGS = {
    "Gmaj9": "F#3 A3 B3 D4", "G6": "E3 G3 B3 D4", "Bm7": "F#3 A3 B3 D4", "E7b9": "F3 G#3 B3 D4",
    "Am7": "E3 G3 A3 C4", "Am9": "E3 G3 B3 C4", "D9sus": "E3 G3 A3 C4", "D9": "E3 F#3 A3 C4",
    "Cmaj9": "E3 G3 B3 D4", "Em9": "F#3 G3 B3 D4", "Cm6": "Eb3 G3 A3 C4", "G/D": "D3 G3 A3 B3",
    "D13": "E3 F#3 B3 C4", "D13b9": "Eb3 F#3 B3 C4", "G69": "D3 G3 A3 B3 E4",
}  # fmt: skip

# NOTE/steps, "." is a rest. Marks: ^ scooped from below, > accented, _ slurred from the note before.
LEAD = ["./10 D4/2 E4/2_ G4/2_", "B4/6^ A4/4_ G4/2_ ./2 D4/2", "F#4/4 A4/2_ D5/2> B4/3_ A4/1_ G#4/4_",
        "C5/6^ B4/4_ A4/2_ ./2 E4/2", "G4/3 A4/3_ G4/2_ F#4/2_ D4/2_ A3/3_ ./1",
        "./2 G4/2 B4/2_ E5/4^> D5/2_ B4/2_ ./2", "./2 F#4/2 A4/2_ D5/4^> B4/4_ ./2",
        "./2 E4/2 A4/2_ C5/2_ Eb5/4^> D5/2_ C5/2_", "B4/6 A4/3_ ./1 E4/2 F#4/2_ A4/2_",
        "B4/6^> A4/2_ G#4/2_ B4/2_ D5/4_>", "C5/3^ B4/3_ A4/2_ B4/3 A4/3_ F#4/2_",
        "G4/2 A4/2_ B4/12_"]  # fmt: skip
LEAD_DYNAMICS = [88, 94, 90, 96, 94, 96, 95, 101, 97, 99, 96, 95]
BASS = ["G1/5 ./1 G1/2 D2/2 A1/2 ./2 F#1/2", "G1/5 ./1 G1/3 ./1 D2/3 ./1 G1/1 A1/1",
        "B1/5 ./1 B1/2 E1/5 ./1 G#1/2", "A1/5 ./1 A1/3 ./1 E2/3 ./1 C2/1 C#2/1",
        "D2/5 ./1 D2/2 F#1/2 A1/3 ./1 A1/1 B1/1", "C2/5 ./1 C2/3 C2/1 G1/3 ./1 C2/2",
        "B1/5 ./1 B1/2 E1/2 E2/3 ./1 G1/2", "A1/5 ./1 A1/2 C2/5 ./1 Eb2/2",
        "D2/5 ./1 D2/2 D2/2 A1/2 C2/2 A1/1 F#1/1", "G1/5 ./1 G1/2 E1/5 ./1 G#1/2",
        "A1/5 ./1 A1/2 D2/2 A1/3 ./1 F#1/2", "G1/16"]  # fmt: skip

# X loud, x medium, o soft, "-" holds the chord. A held chord just before a change belongs to the new harmony.
PIANO = {"I": "X-----.x--.o.x--", "A": "X----.x--.x-.o--", "a": "X---..xx-x--.ox-", "F": "X---.ox-X--.x---",
         "B": "x-.X--x--.X-.o--", "b": "x-.X--.x-x--x-o-", "T": "X------oX--.x-x-", "C": "X----.x-X------.",
         "E": "X---------------"}  # fmt: skip
PIANO_FORCE = {"X": 90, "x": 72, "o": 54}
# The digit is the chord voice to pluck, lowest first.
GUITAR = {"I": "........0.1.2.3.", "A": "..2.31.2..2.13.2", "a": "..2.3.1.0.2.31.2", "F": "..2.31..0.2.3...",
          "B": "0.2.31232.3.1.23", "b": "0.2.3123.1.3.2.3", "T": "0.2.3.2.0.123.2.", "C": "..2.3.1.0.2.3...",
          "E": "0.1.2.3.4......."}  # fmt: skip
DRUMS = {
    "I": "K.....k......... ..........1.sSSS H.i.h.i.H.i.....",
    "A": "K.....k...K..... ....S..g.g..S..g H.h.Hih.H.h.H.hi",
    "a": "K.....k.k.K..... ....S..g.g..S... H.h.H.hiH.h.H.O.",
    "F": "K.....k.k....... ....S..g....S12S H.h.H.h.H.O.....",
    "B": "K...p.K..kK.p... ....S..g....S.g. R.r.r.R.R.r.r.r. ..t.T.t...t.T.t.",
    "b": "K...p.K.k.K.p..k ....S..g.g..S..g R.r.r.R.R.r.r.r. ..t.T.t...t.T.t.",
    "T": "K.....k.K...k.k. ....S..gS1sS1233 H.h.H.h.........",
    "C": "K.....k.K.K..... ....S..g....S.33 H.h.H.h.H.O.....",
    "E": "K............... r...............",
}
# General MIDI key and force: kick, snare and ghost note, hi-hat (closed, open, foot), ride, tambourine, toms.
KIT = {"K": (36, 112), "k": (36, 92), "S": (38, 112), "s": (38, 88), "g": (38, 34), "H": (42, 84),
       "h": (42, 66), "i": (42, 48), "O": (46, 82), "p": (44, 50), "R": (51, 104), "r": (51, 84),
       "T": (54, 66), "t": (54, 48), "1": (50, 100), "2": (47, 100), "3": (43, 104)}  # fmt: skip
CRASH, CRASH_BARS = 49, (1, 5, 9, 11)  # the downbeats where a section starts

LEVELS = {"lead": 0.0, "chords": -2.5, "bass": -2.0, "drums": -1.5}  # RMS in dB, relative to the lead
MIX_PEAK = 0.90
COMPRESSION = 0.5  # of libsndfile's 0..1; about 1.5 MB in all, to keep the package small


def midi(name: str) -> int:
    """'F#4' -> 66 (C4 is middle C)."""
    return 12 * int(name[-1]) + 12 + "C.D.EF.G.A.B".index(name[0]) + name.count("#") - name.count("b")


def seconds(step: int) -> float:
    """Where a grid position falls; the song starts a moment in, so that an early hit is not cut."""
    return 0.06 + STEP * (step + SWING * (step % 2) + RITARD * max(0, step - RITARD_FROM))


def chord_at(step: int) -> list[int]:
    names = HARMONY[min(step // 16, len(HARMONY) - 1)].split()
    return [midi(name) for name in VOICINGS[names[step % 16 * len(names) // 16]].split()]


def melody(bars: list[str]) -> Iterator[tuple[int, int, int, str]]:
    """Start, length, pitch and marks of each note of a written line."""
    for bar, text in enumerate(bars):
        step = 16 * bar
        for token in text.split():
            name, value = token.split("/")
            length = int(value.rstrip("^>_"))
            if name != ".":
                yield step, length, midi(name), value.lstrip("0123456789")
            step += length
        assert step == 16 * (bar + 1), f"bar {bar + 1} does not add up: {text}"


def hits(patterns: dict[str, str]) -> Iterator[tuple[int, int, str]]:
    """Start, length and symbol of each hit when the patterns follow the form; '-' makes a hit longer."""
    for bar, letter in enumerate(FORM):
        for row in patterns[letter].split():
            for i, symbol in enumerate(row):
                if symbol not in ".-":
                    rest = row[i + 1 :]
                    yield 16 * bar + i, 1 + len(rest) - len(rest.lstrip("-")), symbol


class Player:
    """MIDI events of one instrument on its own channel, with a human's small errors in time and force."""

    def __init__(self, channel: int, program: int, pan: int, reverb: int, spread: float, late: float = 0.0):
        self.channel, self.spread, self.late = channel, spread, late  # the last two in seconds
        self.random = random.Random(SEED + 128 * channel + program)
        self.events: list[tuple[float, mido.Message]] = []
        self.add(0, "program_change", program=program)
        for control, value in ((10, pan), (91, reverb), (93, 0)):
            self.add(0, "control_change", control=control, value=value)

    def add(self, time: float, kind: str, **values: int) -> None:
        self.events.append((time, mido.Message(kind, channel=self.channel, **values)))

    def note(self, step: int, length: int, pitch: int, force: float, delay: float = 0) -> tuple[float, float]:
        """Play a note on the grid; returns when it really starts and stops, in seconds."""
        error = max(-2.0, min(2.0, self.random.gauss(0, 1))) * self.spread
        start = max(0.02, seconds(step) + self.late + delay + error)
        # What is held to the final bar line rings on until the fade has taken it.
        stop = SECONDS if step + length == END else seconds(step + length) + self.late - 0.01
        velocity = round(force + self.random.gauss(0, 3.5))
        self.add(start, "note_on", note=pitch, velocity=max(1, min(127, velocity)))
        self.add(stop, "note_off", note=pitch)
        return start, stop


def play_lead() -> list[Player]:
    """Alto saxophone. It breathes: long notes swell, and vibrato sets in only after a while."""
    sax = Player(0, 65, 64, 50, spread=0.005, late=0.008)
    for step, length, pitch, marks in melody(LEAD):
        force = LEAD_DYNAMICS[step // 16] + 9 * (">" in marks) - 6 * ("_" in marks)
        start, stop = sax.note(step, length, pitch, force)
        for time in np.arange(0, stop - start - 0.02, 0.01):
            scoop = -1.2 * max(0.0, 1 - time / 0.09) ** 2 if "^" in marks else 0.0
            depth = 0.24 * min(1.0, max(0.0, (time - 0.28) / 0.35))
            bend = scoop + depth * math.sin(2 * math.pi * 5.3 * (time - 0.28))
            sax.add(start - 0.005 + time, "pitchwheel", pitch=round(4096 * bend))
            through = time / (stop - start)
            swell = 94 + 22 * math.sin(math.pi * through**0.7) if length > 3 else 104
            if step + length == END:  # the very last note dies away
                swell *= 1 - 0.95 * max(0.0, through - 0.45) / 0.55
            sax.add(start - 0.005 + time, "control_change", control=11, value=round(swell))
    return [sax]


def play_chords() -> list[Player]:
    """Electric piano on the left, nylon-string guitar on the right, quiet slow strings behind them."""
    piano, guitar = Player(0, 4, 46, 45, spread=0.005), Player(1, 24, 96, 45, spread=0.006)
    strings = Player(2, 49, 64, 60, spread=0.0)
    for step, length, symbol in hits(PIANO):
        for voice, pitch in enumerate(chord_at(step + (length > 1))):
            piano.note(step, length, pitch, PIANO_FORCE[symbol] + 2 * voice, delay=0.004 * voice)
    for step, _, digit in hits(GUITAR):
        length = 4 if step < END - 16 else END - step
        guitar.note(step, length, chord_at(step)[int(digit)] + 12, 108 + 8 * (step % 4 == 0))
    for bar, text in enumerate(HARMONY):
        length = 16 // len(text.split())
        for step in range(16 * bar, 16 * (bar + 1), length):
            for pitch in chord_at(step):
                strings.note(step, length, pitch, 56)
    return [piano, guitar, strings]


def play_bass() -> list[Player]:
    """Fingered electric bass; the notes that fall together with the kick are the strong ones."""
    bass = Player(0, 33, 64, 8, spread=0.003, late=0.003)
    kicks = {step for step, _, symbol in hits(DRUMS) if symbol in "Kk"}
    for step, length, pitch, _ in melody(BASS):
        bass.note(step, length, pitch, 100 if step in kicks else 86)
    return [bass]


def play_drums() -> list[Player]:
    kit = Player(9, 0, 64, 12, spread=0.003)
    for step, length, symbol in hits(DRUMS):
        kit.note(step, length, *KIT[symbol])
    for bar in CRASH_BARS:
        kit.note(16 * bar, 8, CRASH, 100)
    return [kit]


def render(players: list[Player], soundfont: Path) -> np.ndarray:
    """The players' sound through FluidSynth, (frames, 2), faded to silence at the song's end."""
    tempo, now, track = mido.bpm2tempo(BPM), 0, mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=tempo))
    for time, message in sorted((e for player in players for e in player.events), key=lambda event: event[0]):
        tick = mido.second2tick(time, 960, tempo)
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=960))
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder, "song.mid"), Path(folder, "song.wav")
        mido.MidiFile(ticks_per_beat=960, tracks=[track]).save(score)
        command = f"fluidsynth -niq -r {RATE} -g 0.4 -O float -T wav -F".split()
        subprocess.run([*command, wave, soundfont, score], check=True, capture_output=True)
        audio = sf.read(wave)[0]
    frames, fade = round(SECONDS * RATE), round(2.2 * RATE)
    # Some of the sound font's samples carry an offset, which would click wherever a stem is cut.
    square = (np.fft.rfftfreq(frames, 1 / RATE)[:, None] / 20) ** 2
    audio = np.fft.irfft(np.fft.rfft(audio[:frames], axis=0) * square / (1 + square), frames, axis=0)
    audio[-fade:] *= np.linspace(1, 0, fade)[:, None] ** 2
    return audio


def write_ogg(path: Path, audio: np.ndarray) -> None:
    # In pieces, because libsndfile's Vorbis encoder crashes on a single long write.
    with sf.SoundFile(path, "w", RATE, 2, "VORBIS", format="OGG", compression_level=COMPRESSION) as file:
        for start in range(0, len(audio), 16384):
            file.write(audio[start : start + 16384])


def main() -> None:
    parser = argparse.ArgumentParser(description="Compose and render the bundled demo song.")
    parser.add_argument("outdir", nargs="?", type=Path, default=Path(__file__).parents[1] / "rtsep" / "song")
    parser.add_argument("--soundfont", type=Path, default=Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"))
    args = parser.parse_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    band = {"lead": play_lead, "chords": play_chords, "bass": play_bass, "drums": play_drums}
    stems = {name: render(play(), args.soundfont) for name, play in band.items()}
    stems = {name: x * 10 ** (LEVELS[name] / 20) / np.std(x) for name, x in stems.items()}
    scale = MIX_PEAK / np.abs(sum(stems.values())).max()
    peak = 0.0
    while abs(peak - MIX_PEAK) > 0.02:  # Vorbis moves the peaks, so what counts is the decoded mix
        for name, x in stems.items():
            write_ogg(args.outdir / f"{name}.ogg", scale * x)
        peak = float(np.abs(sum(sf.read(args.outdir / f"{name}.ogg")[0] for name in stems)).max())
        scale *= MIX_PEAK / peak
    print(f"{SECONDS} s, mix peak {peak:.3f}, wrote {', '.join(stems)} to {args.outdir}")


if __name__ == "__main__":
    main()
