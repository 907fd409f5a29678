"""What NMF must be told before it takes two hands of a piano apart: harmonics, onsets, a score.

    python examples/experiments/piano_constraints.py

Multiplicative updates keep zeros: where a template may not sound in a bin, or a note not in a frame, a zero to begin
with says so. Ewert and Müller, "Using score-informed constraints for NMF-based source separation", ICASSP 2012; Müller,
"Fundamentals of Music Processing", Springer 2015, section 8.3. The piano is made by a formula, so that the hands are
known.
"""

import numpy as np

import rtsep
from rtsep.offline.spectra import istft, stft

RATE, WINDOW, HOP, SEED = 22_050, 2048, 512, 1
# Chopin's prelude in E minor begins so: a melody above chords in eighths. MIDI numbers, beats, and how long.
RIGHT = [(71, 0, 3), (72, 3, 1), (71, 4, 3), (72, 7, 1), (71, 8, 3), (70, 11, 1), (69, 12, 3), (71, 15, 1)]
CHORDS = [(55, 59, 64), (54, 57, 64), (54, 57, 63), (53, 57, 62)]
LEFT = [
    (pitch, bar * 4 + eighth / 2, 0.5) for bar, chord in enumerate(CHORDS) for eighth in range(8) for pitch in chord
]
BEAT_S, EARLY_S, LATE_S = 0.6, 0.05, 0.25  # what a score may be wrong by, and strings that ring on
SEMITONE = 2 ** (1 / 12)


def played(notes):
    """Struck strings (samples,)."""
    sound = np.zeros(int(17 * BEAT_S * RATE))
    for pitch, beat, beats in notes:
        time, f0 = np.arange(int((beats * BEAT_S + 0.3) * RATE)) / RATE, 440 * SEMITONE ** (pitch - 69)
        ends = np.clip((time[-1] - time) / 0.1, 0, 1) * np.minimum(time / 0.003, 1)
        n = np.arange(1, 16)[:, np.newaxis]
        partials = n * f0 * (1 + 4e-4 * n**2) ** 0.5  # strings are stiff
        tones = np.sin(2 * np.pi * partials * time) * np.exp(-time * (1.5 + partials / 700)) / n**1.2
        start = int(beat * BEAT_S * RATE)
        sound[start : start + len(time)] += (0.1 * ends * tones.sum(0))[: len(sound) - start]
    return sound


def harmonic(pitches, bins):
    """Templates (bins, pitches) that may sound within half a semitone of each harmonic, the higher the softer."""
    hertz, templates = np.arange(bins) * RATE / WINDOW, np.zeros((bins, len(pitches)))
    for column, pitch in enumerate(pitches):
        for n in range(1, 16):
            center = n * 440 * SEMITONE ** (pitch - 69)
            near = abs(hertz - center) < np.maximum(center * (SEMITONE**0.5 - 1), RATE / WINDOW)
            templates[near, column] = np.maximum(templates[near, column], 1 / n**2)
    return templates


def sounding(pitches, frames, notes):
    """Whether each pitch may sound in each frame (pitches, frames), by the score."""
    time, may = np.arange(frames) * HOP / RATE, np.zeros((len(pitches), frames))
    for pitch, beat, beats in notes:
        may[pitches.index(pitch)] += (time > beat * BEAT_S - EARLY_S) & (time < (beat + beats) * BEAT_S + LATE_S)
    return np.minimum(may, 1)


def struck(pitches, frames, notes):
    """The same of onsets alone: a hammer is wide in frequency and short."""
    return sounding(pitches, frames, [(pitch, beat, 0.05 - LATE_S / BEAT_S) for pitch, beat, _ in notes])


def main():
    hands = {"left": played(LEFT), "right": played(RIGHT)}
    sound = sum(hands.values())
    spectrum = stft(sound, WINDOW, HOP)
    (bins, frames), notes = spectrum.shape, LEFT + RIGHT
    pitches = sorted({pitch for pitch, *_ in notes})
    own = np.array([pitch > 65 for pitch in pitches])  # of the right hand
    random, some = np.random.default_rng(SEED), len(pitches)
    tones, score = harmonic(pitches, bins), sounding(pitches, frames, notes)
    hammers = random.uniform(0.5, 1, (bins, some)), struck(pitches, frames, notes)
    starts = {
        "nothing": (random.uniform(0.5, 1, (bins, some)), random.uniform(0.5, 1, (some, frames))),
        "harmonics": (tones, random.uniform(0.5, 1, (some, frames))),
        "a score": (random.uniform(0.5, 1, (bins, some)), score),
        "harmonics and a score": (tones, score),
        "harmonics, onsets and a score": (np.hstack([tones, hammers[0]]), np.vstack([score, hammers[1]])),
    }
    print(f"{'SI-SDR, dB: told is':32}{'left':>8}{'right':>8}{'divergence':>12}")
    print(f"{'(the mix)':32}" + "".join(f"{rtsep.si_sdr(hand, sound):8.1f}" for hand in hands.values()))
    for told, start in starts.items():
        W, H, losses = rtsep.factorize(abs(spectrum), start[0].shape[1], start=start, iterations=100)  # noqa: N806
        if told == "nothing":  # which hand a component is of, the truth must tell: its best case
            left, right = (((W.T @ abs(stft(hand, WINDOW, HOP))) * H).sum(1) for hand in hands.values())
            right = right > left
        else:
            right = np.tile(own, len(H) // some)
        shares = np.array([W[:, which] @ H[which] for which in (~right, right)]) / (W @ H + 1e-12)
        found = [istft(share * spectrum, HOP, len(sound)) for share in shares]
        figures = [rtsep.si_sdr(hand, each) for hand, each in zip(hands.values(), found, strict=True)]
        print(f"{told:32}{figures[0]:8.1f}{figures[1]:8.1f}{losses[-1] / losses[0]:12.4f}")


if __name__ == "__main__":
    main()
