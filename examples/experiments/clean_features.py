"""Chords and drum onsets heard in the whole mix, and in what un-mixing leaves of it.

    python examples/experiments/clean_features.py [DB ...]      # levels of the drums; -12 0 12 if none is named

Harmonic-percussive separation is said to clean features: without drums a chroma tells more of the chords, without
harmonies onsets are those of the drums (Müller, "Fundamentals of Music Processing", Springer 2015, section 8.1). This
tries it on the bundled song, whose chords and hits are known from the program that composed it.

Needs librosa and mir_eval.
"""

import sys
from pathlib import Path

import librosa
import mir_eval
import numpy as np

import rtsep
from rtsep.offline.files import song, sum_of

sys.path.insert(0, str(Path(__file__).parents[1]))
import compose_song

RATE, HOP = 48_000, 512
TRIADS = np.array([[step in third for step in range(12)] for third in ((0, 4, 7), (0, 3, 7))])
CHORDS = np.concatenate([[np.roll(triad, root) for root in range(12)] for triad in TRIADS]) / np.sqrt(3)
SMOOTH_S = 0.5


def true_chords(times):
    """The triad below the written chord at each of `times` (s): 0 to 11 major from C, 12 to 23 minor."""
    steps = np.arange(compose_song.END)
    numbers = []
    for step in steps:
        names = compose_song.HARMONY[step // 16].split()
        name = names[step % 16 * len(names) // 16]
        minor = name[1:2] == "m" and name[1:4] != "maj"
        numbers.append(12 * minor + compose_song.midi(f"{name[0]}4") % 12)
    begins = [compose_song.seconds(step) for step in steps]
    return np.array(numbers)[np.searchsorted(begins, times, "right") - 1]


def heard_chords(sound):
    """Of each frame of `sound` (samples, channels) its time in seconds, and the triad that its chroma is most like."""
    chroma = librosa.feature.chroma_cqt(y=sound.mean(1), sr=RATE, hop_length=HOP)
    size = int(SMOOTH_S * RATE / HOP) | 1
    chroma = np.array([np.convolve(row, np.ones(size) / size, "same") for row in chroma])
    return np.arange(chroma.shape[1]) * HOP / RATE, (CHORDS @ chroma).argmax(0)


def true_onsets():
    """Times in seconds at which the drums are hit; hits that fall together are one."""
    return np.unique([compose_song.seconds(step) for step, *_ in compose_song.hits(compose_song.DRUMS)])


def figures(harmonies, drums):
    """Right chords in percent of the time, then F, precision and recall of the onsets in percent."""
    times, chords = heard_chords(harmonies)
    inside = (times >= compose_song.seconds(0)) & (
        times < compose_song.seconds(compose_song.END - 16)
    )  # the last fades
    right = np.mean(chords[inside] == true_chords(times[inside]))
    onsets = librosa.onset.onset_detect(y=drums.mean(1), sr=RATE, hop_length=HOP, units="time")
    return [100 * value for value in (right, *mir_eval.onset.f_measure(true_onsets(), onsets))]


def inputs(stems):
    """Of each way to hear the song what its chords are read from, and what its onsets."""
    mix = sum_of(stems)
    yield "the mix", mix, mix
    parts = [librosa.effects.hpss(channel) for channel in mix.T]
    yield "librosa HPSS", *(np.stack(both, 1) for both in zip(*parts, strict=True))
    for mode in ("balanced", "quality"):
        found = rtsep.separate(mix, RATE, mode=mode, stems=("harmonic", "harmony", "percussive"))
        yield f"{mode}: harmonic", found["harmonic"], found["percussive"]
        yield f"{mode}: harmony", found["harmony"], found["percussive"]
    yield "truth: no drums", mix - stems["drums"], stems["drums"]
    yield "truth: no drums, no lead", stems["chords"] + stems["bass"], stems["drums"]


def main():
    for drums_db in map(float, sys.argv[1:] or (-12, 0, 12)):
        stems = song(RATE)
        stems["drums"] *= 10 ** (drums_db / 20)
        print(f"\nThe drums at {drums_db:+g} dB\n{'heard in':25} chords %   onsets: F %  precision %  recall %")
        for name, harmonies, drums in inputs(stems):
            chords, f, precision, recall = figures(harmonies, drums)
            print(f"{name:25} {chords:8.1f} {f:13.1f} {precision:12.1f} {recall:9.1f}", flush=True)


if __name__ == "__main__":
    main()
