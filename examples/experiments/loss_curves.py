"""How fast NMF and non-negative autoencoders learn: the loss after each update, as a table and a picture.

    python examples/experiments/loss_curves.py [--loss euclidean] [--updates 300] [--picture FILE]

All begin with the same templates and learn the spectrogram of the seven notes of seven_components.py. An autoencoder
has no activations of its own: it computes them from the frames, which leaves more of the loss.

Needs librosa, for the spectrogram, and matplotlib for the picture.
"""

import argparse

import librosa
import numpy as np
from seven_components import notes

import rtsep

METHODS = {
    "nmf": "NMF",
    "nae": "autoencoder, multiplicative",
    "nae-adam": "autoencoder, additive (Adam)",
    "nae-projected": "autoencoder, projected gradients",
}


def curves(loss: str, updates: int) -> dict[str, np.ndarray]:
    """The losses before the first update and after each, as parts of the one of silence, for each method."""
    sounds = notes()
    V = np.abs(librosa.stft(sounds.sum(0), n_fft=4096, hop_length=1024))  # noqa: N806
    start = rtsep.factorize(V, len(sounds), iterations=0).W
    found = {
        method: rtsep.factorize(V, len(sounds), method=method, loss=loss, start=(start, None), iterations=updates)
        for method in METHODS
    }
    return {method: factors.losses / V.size for method, factors in found.items()}


def show(losses: dict[str, np.ndarray], updates: int) -> None:
    """A row for each method, a column for each of some numbers of updates."""
    columns = [number for number in (0, 1, 10, 30, 100, 200, 300, 1000) if number < updates] + [updates]
    print(f"{'loss of a value, after updates':34}" + "".join(f"{number:>11}" for number in columns))
    for method, curve in losses.items():
        rises = "" if (np.diff(curve) <= 1e-9 * curve[0]).all() else "  (rises at times)"
        print(f"{METHODS[method]:34}" + "".join(f"{curve[number]:11.3g}" for number in columns) + rises)


def draw(losses: dict[str, np.ndarray], path: str) -> None:
    """Write the picture `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for method, curve in losses.items():
        axes.loglog(np.arange(1, len(curve) + 1), curve, label=METHODS[method])
    axes.set_xlabel("update")
    axes.set_ylabel("loss of a value")
    axes.legend()
    figure.savefig(path, dpi=150)
    print(f"Written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", default="euclidean", help="kl, euclidean (default) or itakura-saito")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--picture", metavar="FILE")
    options = parser.parse_args()
    try:
        losses = curves(options.loss, options.updates)
    except rtsep.BadInput as error:
        parser.error(str(error))
    show(losses, options.updates)
    if options.picture:
        draw(losses, options.picture)


if __name__ == "__main__":
    main()
