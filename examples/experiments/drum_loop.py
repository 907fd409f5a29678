"""A drum loop taken apart by NMF and by NMFD, whose templates last, and put together anew.

    python examples/experiments/drum_loop.py [LOOP]

Templates of plain NMF are single spectra; a drum whose sound changes while it rings takes several, or lends from its
neighbors. Those of NMFD are little spectrograms, and one is one drum (Smaragdis, "Non-negative matrix factor
deconvolution; extraction of multiple sound sources from monophonic inputs", ICA 2004; Müller, "Fundamentals of Music
Processing", Springer 2015, section 8.3). The drums of the loop here are made by formulas, so that the truth is known.

LOOP is a sound file of your own. Its three parts and a remix, the middle one up and the highest down by 12 dB, are
written beside you as loop-1.wav, loop-2.wav, loop-3.wav and loop-remix.wav.
"""

import sys

import numpy as np
import soundfile

import rtsep
from rtsep.offline.spectra import istft, stft

RATE, WINDOW, HOP, LENGTH, SEED = 22_050, 1024, 256, 20, 3
STEP_S = 60 / 136 / 4
LOOP = {"kick": "X.X.......XX....", "snare": "....X..o.o..X..o", "hihat": "X.X.X.X.X.X.X.X."}
FORCE = {"X": 1.0, "o": 0.35}


def drums():
    """The true parts of a loop, by their names: (samples,) each."""
    random, time = np.random.default_rng(SEED), np.arange(int(0.4 * RATE)) / RATE
    noise = random.standard_normal(len(time))
    sounds = {
        "kick": np.sin(2 * np.pi * (48 * time + 4 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.12),
        "snare": 0.4 * np.sin(2 * np.pi * 185 * time) * np.exp(-time / 0.05) + 0.25 * noise * np.exp(-time / 0.09),
        "hihat": 0.3 * np.diff(noise, 2, append=[0, 0]) * np.exp(-time / 0.025),
    }
    parts = {name: np.zeros(int(32 * STEP_S * RATE) + len(time)) for name in LOOP}
    for name, line in LOOP.items():
        for step, force in enumerate(2 * line):
            start = int(step * STEP_S * RATE)
            parts[name][start : start + len(time)] += FORCE.get(force, 0) * sounds[name]
    return parts


def taken_apart(sound, method):
    """Three parts (3, samples) that add up to `sound`, the lowest first."""
    spectrum = stft(sound, WINDOW, HOP)
    more = {"length": LENGTH} if method == "nmfd" else {}
    W, H, _ = rtsep.factorize(abs(spectrum), 3, method=method, iterations=100, seed=SEED, **more)  # noqa: N806
    models = np.array([model(W[:, [k]], H[[k]]) for k in range(3)])
    order = np.argsort([(np.arange(len(each)) * each.sum(1)).sum() / each.sum() for each in models])
    shares = models[order] / (models.sum(0) + 1e-12)
    return np.array([istft(share * spectrum, HOP, len(sound)) for share in shares])


def model(W, H):  # noqa: N803
    """What templates (bins, rank) or (bins, rank, length) and activations (rank, frames) come to."""
    if W.ndim == 2:
        return W @ H
    return sum(W[:, :, late] @ np.pad(H, ((0, 0), (late, 0)))[:, : H.shape[1]] for late in range(W.shape[2]))


def main():
    if len(sys.argv) > 1:
        sound, rate = soundfile.read(sys.argv[1], always_2d=True)
        sound = sound.mean(1)
        parts = taken_apart(sound, "nmfd")
        levels = np.array([1, 4, 0.25])
        sounds = {f"loop-{number}.wav": part for number, part in enumerate(parts, 1)}
        for name, made in (sounds | {"loop-remix.wav": levels @ parts}).items():
            soundfile.write(name, made / max(1, abs(made).max()), rate)
            print(name)
        return
    truth = drums()
    sound = sum(truth.values())
    print(f"{'SI-SDR, dB':12}" + "".join(f"{name:>8}" for name in truth))
    print(f"{'the loop':12}" + "".join(f"{rtsep.si_sdr(part, sound):8.1f}" for part in truth.values()))
    for method in ("nmf", "nmfd"):
        found = rtsep.evaluate(truth, taken_apart(sound, method), matching="one-to-one")
        print(f"{method:12}" + "".join(f"{score.measures.si_sdr:8.1f}" for score in found.scores))


if __name__ == "__main__":
    main()
