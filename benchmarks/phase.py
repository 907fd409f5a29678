"""How near sound made of magnitudes comes to them, on the stems of the bundled song, and how well stems come out of it.

    python benchmarks/phase.py [--seconds 8]

Spectral convergence in dB, lower is better: windows of 2048 samples each 512, mono, 44.1 kHz. `rtisi-la` works frame by
frame, with so many frames of look-ahead; the others work on the whole. The other tables are SI-SDR in dB, higher
is better, of stems whose magnitudes are known, and of those that rtsep makes of the mixture (mode quality).
"""

import argparse
import time

import numpy as np
from table import show

from rtsep import reconstruct, separate, si_sdr
from rtsep.offline.files import song
from rtsep.offline.phase import rtisi_la, spectral_convergence
from rtsep.offline.spectra import HOP, WINDOW, istft, stft

RATE = 44_100
LOOK_AHEAD = (0, 1, 2, 3, 4)


def streamed(magnitudes, look_ahead):
    pieces = [*rtisi_la(magnitudes.T, look_ahead=look_ahead)]
    return np.concatenate(pieces)[WINDOW // 2 :][: (magnitudes.shape[1] - 1) * HOP]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8, help="of the song (default: 8)")
    seconds = parser.parse_args().seconds
    stems = {name: sound.mean(1)[: int(seconds * RATE)] for name, sound in song(RATE).items()}
    magnitudes = {name: np.abs(stft(sound)) for name, sound in stems.items()}
    methods = {
        "griffin-lim, 50 rounds": lambda given: reconstruct(given, method="griffin-lim"),
        "fast-griffin-lim, 50 rounds": reconstruct,
    }
    methods |= {f"rtisi-la, {n} ahead": lambda given, n=n: streamed(given, n) for n in LOOK_AHEAD}
    rows = []
    for name, method in methods.items():
        begin = time.perf_counter()
        found = [spectral_convergence(given, method(given)) for given in magnitudes.values()]
        took = (time.perf_counter() - begin) / sum(each.shape[1] for each in magnitudes.values())
        rows.append([name, *(f"{value:.1f}" for value in (*found, np.mean(found), took * 1e3))])
    show("Spectral convergence, dB", ["", *stems, "mean", "ms a frame"], rows)

    mixture = np.sum([*stems.values()], 0)
    known, phases = np.stack([*magnitudes.values()]), np.exp(1j * np.angle(stft(mixture)))
    sounds = {"the mixture's phases": istft(known * phases, length=len(mixture))}
    for rounds in (10, 50):
        sounds[f"misi, {rounds} rounds"] = reconstruct(known, method="misi", mixture=mixture, rounds=rounds)
    rows = []
    for name, each in sounds.items():
        found = [si_sdr(*both) for both in zip(stems.values(), each, strict=True)]
        rows.append([name, *(f"{value:.1f}" for value in (*found, np.mean(found)))])
    show("SI-SDR of stems whose magnitudes are known, dB", ["", *stems, "mean"], rows)

    guessed = [*separate(mixture, RATE, stems=("percussive", "harmonic")).values()]
    truth = [stems["drums"], mixture - stems["drums"]]
    refined = reconstruct(np.abs(stft(np.stack(guessed))), method="misi", mixture=mixture, rounds=10)
    rows = []
    for name, sounds in {"as separated": guessed, "misi, 10 rounds": refined}.items():
        rows.append([name, *(f"{si_sdr(*both):.2f}" for both in zip(truth, sounds, strict=True))])
    show("SI-SDR of stems whose magnitudes are estimated, dB", ["", "percussive", "harmonic"], rows)


if __name__ == "__main__":
    main()
