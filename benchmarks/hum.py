"""How well and how fast a hummed melody finds its song.

    python benchmarks/hum.py [DATA] [--hums 2] [--songs 10000] [--seed 1] [--out benchmarks/results]

DATA is described in items.py. The songs are the mixes of its items with an `f0.csv`; without DATA, twenty tunes that
the program makes, sung by a plain voice over the band of the bundled song. A hum is 6 to 11 s of the true melody, or
all of a shorter one, at another key (up to six semitones), at 0.8 to 1.25 times the tempo and unevenly, with vibrato, a
drift of up to a semitone and one note in ten wrong, sung by that plain voice and followed as any sound is.

The first tables tell at which rank its song is found: the reciprocal rank is 1 for the first, 1/2 for the second.
Beside it stands what it would be if the melodies of the mixes were known (from `f0.csv`). The last is about an index of
tunes of four minutes that repeat their phrases, with pitches missing here and there, and 10 to 15 s of some of them
hummed as before: what a search takes of one core, and how often it finds the right one.

The costs of the alignment were chosen on such hums of these very items; it mattered little.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from items import items, means, read, true_f0
from scipy.signal import lfilter
from table import RESULTS, publish, song

from rtsep.errors import BadInput
from rtsep.offline.hum import Index, Song, contour, contour_of
from rtsep.offline.hum_search import STEP_S
from rtsep.offline.render import Melody
from rtsep.training.tunes import FRAME_S, SCALES, Manner, hertz, perform, pick, walk, wander

RATE = 44_100
FORMANTS = ((320, 80), (800, 100), (2300, 150))  # Hz of their middles and widths
TWINS = {"con_vocadito1_pop": "real_vocadito_1", "con_so_easy_rock": "real_musdb_so_easy"}
"""Items that hold the same melody: either is right."""


def voice(rng, f0):
    """A plain voice (samples, 1) that sings an F0 curve (frames of FRAME_S,) in Hz, 0 where it rests."""
    frame = (np.arange(int(len(f0) * FRAME_S * RATE)) / RATE / FRAME_S).astype(int).clip(max=len(f0) - 1)
    voiced = np.flatnonzero(f0)
    bridged = np.interp(np.arange(len(f0)), voiced, f0[voiced])
    phase = np.cumsum(bridged[frame]) / RATE
    sound = 2 * (phase % 1) - 1 + 0.05 * rng.standard_normal(len(phase))
    sound *= lfilter([1e-3], [1, 1e-3 - 1], (f0 > 0)[frame].astype(float))
    for hz, width in FORMANTS:
        pole = np.exp(-np.pi * width / RATE)
        sound = lfilter([1 - pole], [1, -2 * pole * np.cos(2 * np.pi * hz / RATE), pole**2], sound)
    sound = 0.3 * sound / np.abs(sound).max() + 0.002 * rng.standard_normal(len(sound))
    return sound.astype(np.float32)[:, np.newaxis]


def notes_of(f0):
    """An F0 curve as notes: MIDI numbers (frames,), each the median of its note, 0 where there is none."""
    pitch = np.where(f0 > 0, 69 + 12 * np.log2(np.maximum(f0, 1) / 440), 0)
    notes, begin = np.zeros(len(pitch)), 0
    for frame in range(1, len(pitch) + 1):
        within = frame < len(pitch) and pitch[frame] and pitch[begin]
        if within and abs(pitch[frame] - np.median(pitch[max(begin, frame - 25) : frame])) < 0.8:
            continue
        if pitch[begin] and frame - begin >= 6:  # what is shorter is no note
            notes[begin:frame] = np.median(pitch[begin:frame])
        begin = frame
    return notes


def hummed(rng, notes, seconds):
    """The F0 curve of somebody who hums about `seconds` of `notes` (frames,) from memory."""
    frames = min(int(seconds / FRAME_S), len(notes))
    starts = rng.permutation(len(notes) - frames + 1)
    voiced = np.cumsum(np.append(0, notes > 0))
    filled = (voiced[frames:] - voiced[:-frames]) / frames
    start = next((start for start in starts if filled[start] > 0.45), int(np.argmax(filled)))
    notes = notes[start : start + frames]
    notes = notes[np.flatnonzero(notes)[0] :]
    tempo = rng.uniform(0.8, 1.25)
    at = np.cumsum(tempo * np.maximum(1 + wander(rng, int(2 * len(notes)), 0.3, 0.05), 0.3))
    notes = notes[at[at < len(notes) - 1].astype(int)]
    places = np.arange(len(notes))
    before = np.maximum.accumulate(np.where(notes > 0, places, 0))
    notes = np.where(places - before < 15, notes[before], 0)  # nobody stops for a consonant
    changes = np.cumsum(np.diff(notes, prepend=notes[0]) != 0)
    wrong = np.where(rng.random(len(notes)) < 0.1, rng.choice([-2, -1, 1, 2], len(notes)), 0)[changes]
    key = rng.uniform(-6, 6) + 12 * round((55 - np.median(notes[notes > 0])) / 12)
    bridged = np.interp(places, places[notes > 0], notes[notes > 0])
    manner = Manner(glide_s=0.03, vibrato=0.4, drift=0.25, jitter=0.05, scoops=0.3)
    pitch = perform(rng, bridged + wrong + key, manner) + np.linspace(0, rng.uniform(-1, 1), len(notes))
    return np.where(notes > 0, hertz(pitch), 0)


def known(f0):
    """The contour of an F0 curve (frames of FRAME_S,)."""
    return contour_of(Melody(np.arange(len(f0)) * FRAME_S, f0.astype(np.float32), np.ones(len(f0), np.float32)))


def recorded(data):
    """Name, mix, its rate, and true F0 (frames of FRAME_S,) of each item that has one."""
    for folder, _ in items(data):
        if (folder / "f0.csv").exists():
            stems, rate = read(folder)
            mix = sum(stems.values())
            time_s, f0 = true_f0(folder, len(mix) / rate)
            frames = np.arange(0, time_s[-1], FRAME_S)
            yield folder.name, mix, rate, f0[np.searchsorted(time_s, frames).clip(max=len(f0) - 1)]


def made(rng, count=20, seconds=30):
    """The same of tunes that nobody knows, over the band of the bundled song."""
    band = song(seconds=seconds)
    for number in range(count):
        notes = np.concatenate([phrase(rng, *key_of(rng)) for _ in range(seconds // 4)])[: int(seconds / FRAME_S)]
        bridged = np.interp(np.arange(len(notes)), np.flatnonzero(notes), notes[notes > 0])
        f0 = np.where(notes > 0, hertz(perform(rng, bridged, Manner(vibrato=0.3, drift=0.05))), 0)
        sung = voice(rng, f0)
        samples = min(len(band), len(sung))
        yield f"tune {number + 1}", band[:samples] / 3 + sung[:samples], RATE, f0


def key_of(rng):
    return int(rng.integers(12)), pick(rng, SCALES), int(rng.integers(48, 62))


def phrase(rng, key, scale, low):
    """MIDI numbers (frames,) of some notes and a rest."""
    count, beat_s = int(rng.integers(8, 20)), rng.uniform(0.3, 0.7)
    lengths = beat_s * np.append(rng.choice([0.5, 0.5, 1, 1, 1, 1.5, 2], count), rng.choice([1, 2, 4]))
    return np.repeat([*walk(rng, count, low, low + 17, key, scale), 0.0], np.rint(lengths / FRAME_S).astype(int))


def ranks(index, queries):
    """{song: reciprocal ranks of its hums}."""
    found = {}
    for name, query in queries:
        right = {name, *(twin for pair in TWINS.items() if name in pair for twin in pair)}
        try:
            listed = [match.song in right for match in index.search(query, len(index.songs))]
        except BadInput:  # hardly anything was heard of it
            listed = []
        found.setdefault(name, []).append(1 / (1 + listed.index(True)) if True in listed else 0.0)
    return found


def found_among(rng, count):
    """Rows about an index of `count` tunes of four minutes."""
    songs = []
    for _ in range(count):
        phrases = [phrase(rng, *key)[:: round(STEP_S / FRAME_S)] for key in [key_of(rng)] for _ in range(6)]
        notes = np.concatenate([pick(rng, phrases) for _ in range(60)])[: int(240 / STEP_S)]
        songs.append(notes)
    index, queries = Index(), []
    for number, notes in enumerate(songs):
        codes = np.where(notes > 0, 1 + 4 * (notes - 33) + rng.integers(-1, 2, len(notes)), 0)
        index.songs[f"{number}"] = Song(np.where(rng.random(len(notes)) < 0.12, 0, codes).astype(np.uint8))
    for number in rng.choice(count, min(count, 40), replace=False):
        hum = hummed(rng, songs[number].repeat(round(STEP_S / FRAME_S)), rng.uniform(10, 15))
        queries.append((f"{number}", known(hum)))
    seconds = []
    for _, query in queries:
        begin = time.process_time()
        index.search(query)
        seconds.append(time.process_time() - begin)
    reciprocal = np.concatenate([*ranks(index, queries).values()])
    yield "songs; size of the index", f"{count}; {len(index.content()) / 1e6:.0f} MB"
    yield "a search, seconds of one core: median; the longest", f"{statistics.median(seconds):.2f}; {max(seconds):.2f}"
    yield f"mean reciprocal rank of {len(queries)} hums", f"{reciprocal.mean():.2f}"
    yield "the right song is first", f"{np.mean(reciprocal == 1):.0%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", metavar="DATA")
    parser.add_argument("--hums", type=int, default=2, help="of each song")
    parser.add_argument("--songs", type=int, default=10_000, help="of the large index")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    mixes, melodies, queries = Index(), Index(), []
    for name, mix, rate, f0 in recorded(options.data) if options.data else made(rng):
        mixes.add(name, contour(mix, rate))
        melodies.add(name, known(f0))
        notes = notes_of(f0)
        for _ in range(options.hums):
            queries.append((name, contour(voice(rng, hummed(rng, notes, rng.uniform(6, 11))), RATE)))
    if not queries:
        parser.error(f"{options.data} holds no item with an f0.csv.")
    by_mix, by_melody = ranks(mixes, queries), ranks(melodies, queries)
    both = {name: {"mixes": [np.mean(by_mix[name])], "melodies known": [np.mean(by_melody[name])]} for name in by_mix}
    rows = [[title, *(f"{mean[0]:.2f}" for mean in found.values())] for title, found in means(both)]
    header = ["mean reciprocal rank", "mixes", "melodies known"]
    each = [
        [
            name,
            *(", ".join(f"{1 / rank:.0f}" if rank else "-" for rank in found[name]) for found in (by_mix, by_melody)),
        ]
        for name in by_mix
    ]
    publish(
        options.out / "hum.md",
        [
            (f"{len(queries)} hums", header, rows),
            ("Ranks of the hums of each", ["", "mixes", "melodies known"], each),
            ("A large index", ["", "measured"], [list(row) for row in found_among(rng, options.songs)]),
        ],
    )


if __name__ == "__main__":
    main()
