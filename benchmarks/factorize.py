"""`rtsep.factorize` beside scikit-learn's NMF: the Kullback-Leibler divergence that is left, and the time.

    python benchmarks/factorize.py [--updates 200] [--runs 3] [--json FILE]

V is the magnitude spectrogram of the bundled song, 1025 bins x 2000 frames, float32. Both do as many multiplicative
updates of W and H, in turns in the same run, on one thread, whose seconds of the processor count: ours with its start,
which tries out some, and with the loss after each update. scikit-learn starts from "nndsvda" and from "random", and the
better of the two counts; each run has a seed of its own. Below 1 ours is less, or faster.
"""

import argparse
import os
import time
import warnings

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported

import librosa
import numpy as np
from sklearn.decomposition import NMF
from table import show, song, spread, write_json

from rtsep import factorize

RANKS, FRAMES = (7, 20, 88), 2000


def divergence(v, model):
    v, model = v.astype(float), model.astype(float) + 1e-12
    return float((v * np.log((v + 1e-12) / model) - v + model).sum())


def by_scikit(v, rank, init, seed, updates):
    """Divergence and seconds of the processor."""
    model = NMF(
        rank,
        solver="mu",
        beta_loss="kullback-leibler",
        init=init,
        random_state=seed,
        max_iter=updates,
        tol=0,
    )
    started = time.process_time()
    w = model.fit_transform(v)
    seconds = time.process_time() - started
    return divergence(v, w @ model.components_), seconds


def by_rtsep(v, rank, seed, updates):
    """Divergence and seconds of the processor."""
    started = time.process_time()
    found = factorize(v, rank, iterations=updates, seed=seed)
    seconds = time.process_time() - started
    return divergence(v, found.W @ found.H), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that it did not converge
    v = np.abs(librosa.stft(song(1, 20.5)[:, 0], n_fft=2048, hop_length=441))[:, :FRAMES]
    results, rows = {}, []
    for rank in RANKS:
        ratios = []
        for seed in range(options.runs):
            ours = by_rtsep(v, rank, seed, options.updates)
            theirs = [by_scikit(v, rank, init, seed, options.updates) for init in ("nndsvda", "random")]
            ratios.append([ours[0] / min(left for left, _ in theirs), ours[1] / min(each[1] for each in theirs)])
        left, seconds = np.transpose(ratios)
        results[rank] = {"divergence": left.tolist(), "time": seconds.tolist()}
        rows.append([rank, spread(left, ".3f"), spread(seconds, ".2f")])
    show(f"Ours by scikit-learn's, {v.shape[0]} x {v.shape[1]}", ["rank", "divergence", "time"], rows)
    write_json(options.json, results)


if __name__ == "__main__":
    main()
