"""Seven notes of three instruments, made apart by factorizations: which of them finds which note, and how well.

    python examples/experiments/seven_components.py

The mixture is synthesized: C3, G3 and E4 of a piano, G4, B4 and D5 of a clarinet, and staccato strings on C4, 16 s at
22,050 Hz. They come in one after the other. Separable methods suppose that each is once heard alone.

Needs librosa, for the spectrograms.
"""

import librosa
import numpy as np

import rtsep

RATE, SECONDS = 22_050, 16
METHODS = {
    "nmf": {"method": "nmf"},
    "snpa": {"method": "snpa"},
    "greedy": {"method": "greedy"},
    "snpa of typical frames": {"method": "snpa", "typical": True},
}

# Of each note: name, instrument, pitch in Hz, first onset, seconds between onsets, length in seconds.
SCORE = (
    ("piano C3", "piano", 130.8, 0.0, 2.0, 0.9),
    ("piano G3", "piano", 196.0, 1.0, 2.0, 0.9),
    ("piano E4", "piano", 329.6, 2.5, 1.5, 0.45),
    ("strings C4", "strings", 261.6, 3.25, 0.75, 0.2),
    ("clarinet G4", "clarinet", 392.0, 4.0, 3.0, 1.4),
    ("clarinet B4", "clarinet", 493.9, 5.5, 3.0, 1.4),
    ("clarinet D5", "clarinet", 587.3, 7.2, 2.5, 0.9),
)


def tone(instrument: str, pitch: float, length: float) -> np.ndarray:
    """One note, with harmonics and an envelope like its instrument's."""
    t = np.arange(int((length + 0.3) * RATE)) / RATE
    partials = np.arange(1, int(RATE / 2 / pitch))
    if instrument == "piano":  # strings are stiff, and what is high dies first
        pitches = pitch * partials * np.sqrt(1 + 4e-4 * partials**2)
        levels, decays, attack = partials**-1.2, 2.0 + 0.7 * partials, 0.004
    elif instrument == "clarinet":  # odd harmonics
        pitches = pitch * partials
        levels, decays, attack = partials**-1.0 * np.where(partials % 2, 1, 0.05), 0 * partials, 0.03
    else:
        pitches = pitch * partials
        levels, decays, attack = partials**-0.8 * np.exp(-partials / 12), 0 * partials, 0.02
    heard = pitches < RATE / 2
    waves = levels * np.sin(2 * np.pi * np.outer(t, pitches) + partials**2) * np.exp(-np.outer(t, decays))
    envelope = np.minimum(t / attack, 1) * np.clip((length + 0.1 - t) / 0.1, 0, 1)
    return envelope * waves[:, heard].sum(1)


def notes() -> np.ndarray:
    """The seven sounds (notes, samples), each as loud as all others."""
    sounds = np.zeros((len(SCORE), RATE * SECONDS))
    for sound, (_, instrument, pitch, first, every, length) in zip(sounds, SCORE, strict=True):
        struck = tone(instrument, pitch, length)
        for onset in np.arange(first, SECONDS - 2, every):
            start = int(onset * RATE)
            sound[start : start + len(struck)] += struck
        sound /= np.abs(sound).max() * len(SCORE)
    return sounds


def snr(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-noise ratio in dB."""
    return 10 * np.log10((truth @ truth) / ((truth - estimate) @ (truth - estimate)))


def show(title: str, table: np.ndarray) -> None:
    """A row for each note, a column for each component, dB; the best of a row is marked."""
    print(f"\n{title}\n{'':12}" + "".join(f"{column + 1:8}" for column in range(len(table))))
    for (name, *_), row in zip(SCORE, table, strict=True):
        print(f"{name:12}" + "".join(f"{value:7.1f}{'*' if value == row.max() else ' '}" for value in row))
    best = table.max(1)
    found = len(set(table.argmax(1)))
    print(f"best of each note: {best.min():.1f} to {best.max():.1f}, mean {best.mean():.1f} dB; {found} of 7 apart")


def main() -> None:
    sounds = notes()
    mixture = sounds.sum(0)

    spectrum = librosa.stft(mixture, n_fft=4096, hop_length=1024)
    for title, options in METHODS.items():
        W, H, _ = rtsep.factorize(np.abs(spectrum), len(sounds), **options)  # noqa: N806
        masks = [W[:, [k]] * H[k] / (W @ H + 1e-12) for k in range(len(sounds))]
        estimates = [librosa.istft(spectrum * mask, hop_length=1024, length=len(mixture)) for mask in masks]
        show(title, np.array([[snr(sound, estimate) for estimate in estimates] for sound in sounds]))


if __name__ == "__main__":
    main()
