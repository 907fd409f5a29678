"""Notes of a piano by templates of its pitches: by rule, learned from another piece, and after a sound check.

    python benchmarks/piano.py DATA [--out benchmarks/results]

DATA is described in items.py. The items real_maps_* count: a Disklavier, whose notes are known (notes.csv), at 48 kHz.
Figures are F-measures of the notes that `rtsep separate --midi-out` finds: of their piano roll every 10 ms ("frame",
which is what mir_eval.multipitch counts, as all pitches are whole semitones), and of mir_eval.transcription (onsets
within 50 ms, "note"). The threshold is in each case the best for frames on the other items, never on the one that is
scored; but the rule's fall of the amplitudes, the prior, and the least duration and strokes of a note were chosen on
these very items.
The truth of one lies 0.03 s after what is heard, that of the other 0.02 s before; it is taken as it is.

"other" is learned from the other items, the same piano behind other microphones; the sound check are the first ten
seconds, scored, like the rule beside it, on the rest. "400" are multiplicative updates of all frames at once and "10"
ten of each frame afresh, by the templates of the row above, in the mode `balanced`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import mir_eval
import numpy as np
import soundfile
import soxr
from table import RESULTS, publish, write_json

from rtsep.engine import Engine
from rtsep.offline.dictionary import magnitudes
from rtsep.offline.notes import notes_in
from rtsep.offline.pitches import learn_pitches, pitches_by_rule
from rtsep.offline.render import pitch_activations
from rtsep.offline.score import notes_of
from rtsep.settings import Settings

RATE, CHECK_S, STEP_S = 48_000, 10, 0.01
MODES = ("live", "balanced", "quality")
THRESHOLDS_DB = range(-30, -9, 2)
UPDATES = {"400 updates, all frames": 400, "10 updates, cold": 10}


def read(folder):
    """Sound (samples, channels) at RATE, and notes."""
    sound, rate = soundfile.read(folder / "piano.flac", dtype="float32", always_2d=True)
    return soxr.resample(sound, rate, RATE), notes_of(folder / "notes.csv")


def until(notes, end_s):
    """The notes that begin before `end_s`, none longer."""
    return [
        note._replace(duration_s=min(note.duration_s, end_s - note.onset_s)) for note in notes if note.onset_s < end_s
    ]


def roll(notes, start_s, end_s):
    """Whether each MIDI number sounds (steps, 128)."""
    time_s = np.arange(start_s, end_s, STEP_S)[:, None]
    sounding = np.zeros((len(time_s), 128), bool)
    for note in notes:
        sounding[:, [note.pitch]] |= (time_s >= note.onset_s) & (time_s < note.onset_s + note.duration_s)
    return sounding


def frame_f(found, truth, start_s, end_s):
    found, truth = (roll(notes, start_s, end_s) for notes in (found, truth))
    return 2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1)


def note_f(found, truth, start_s):
    def arrays(notes):
        own = [note for note in notes if note.onset_s >= start_s]
        spans = np.array([(note.onset_s, note.onset_s + max(note.duration_s, 0.01)) for note in own]).reshape(-1, 2)
        return spans, 440 * 2 ** ((np.array([note.pitch for note in own]) - 69) / 12)

    score = mir_eval.transcription.precision_recall_f1_overlap(*arrays(truth), *arrays(found), offset_ratio=None)
    return score[2]


def by_engine(sound, settings):
    """Notes by threshold."""
    activations, time_s = pitch_activations(sound, sample_rate=RATE, settings=settings)
    return {db: notes_in(activations, time_s, settings.templates, db) for db in THRESHOLDS_DB}


def by_updates(sound, templates, updates):
    """Notes by threshold, the activations found by that many multiplicative updates."""
    engine = Engine(Settings(templates=templates))
    engine.prepare(sample_rate=RATE, channels=1)
    stride = 4  # as many rows as the engine keeps
    frames = magnitudes(sound, engine.sizes)[::stride]
    h = np.repeat(frames.sum(1, keepdims=True), len(templates.spectra), 1) / len(templates.spectra)
    for _ in range(updates):
        h *= (frames / (h @ templates.spectra + 1e-9)) @ templates.spectra.T
    time_s = np.array([engine.frame_time(t * stride) for t in range(len(h))])
    return {db: notes_in(h, time_s, templates, db) for db in THRESHOLDS_DB}


def methods(name, found):
    """Ways to find the notes of an item: {(templates, method): (notes by threshold, where scoring starts in s)}."""
    sound, notes = found[name]
    others = [own for other, own in found.items() if other != name]
    first = sound[: CHECK_S * RATE], until(notes, CHECK_S)
    for mode in MODES:
        settings = Settings(mode)
        kits = {
            "rule": (pitches_by_rule(RATE, settings=settings), 0),
            "other": (learn_pitches(*zip(*others, strict=True), sample_rate=RATE, settings=settings), 0),
            "rule, rest": (pitches_by_rule(RATE, settings=settings), CHECK_S),
            "check, rest": (learn_pitches([first[0]], [first[1]], sample_rate=RATE, settings=settings), CHECK_S),
        }
        for kit, (templates, start_s) in kits.items():
            yield (kit, mode), (by_engine(sound, replace(settings, templates=templates)), start_s)
            if mode == "balanced":
                for method, updates in UPDATES.items():
                    yield (kit, method), (by_updates(sound, templates, updates), start_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    found = {folder.name: read(folder) for folder in sorted(options.data.glob("real_maps_*"))}
    if len(found) < 2:
        parser.error(f"{options.data} holds no two items real_maps_*.")
    notes = {name: dict(methods(name, found)) for name in found}
    results = {}
    for key in next(iter(notes.values())):
        for name, (sound, truth) in found.items():
            by_threshold, start_s = notes[name][key]

            def over_others(db, key=key, name=name):
                return sum(
                    frame_f(notes[other][key][0][db], own, notes[other][key][1], len(recording) / RATE)
                    for other, (recording, own) in found.items()
                    if other != name
                )

            chosen = by_threshold[max(THRESHOLDS_DB, key=over_others)]
            score = frame_f(chosen, truth, start_s, len(sound) / RATE), note_f(chosen, truth, start_s)
            results.setdefault(key, {})[name] = score
    rows = [[*key, *(f"{f:.3f}" for own in scores.values() for f in own)] for key, scores in results.items()]
    header = [
        "templates",
        "by",
        *(f"{name.removeprefix('real_maps_')}, {what}" for name in found for what in ("frame", "note")),
    ]
    publish(options.out / "piano.md", [("Notes of a piano, F", header, sorted(rows, key=lambda row: row[0]))])
    write_json(options.json, {", ".join(key): scores for key, scores in results.items()})


if __name__ == "__main__":
    main()
