"""Microseconds per hop of the activations of fixed templates, and their divergence from the optimum.

    python benchmarks/nmf.py [--seconds 4] [--runs 5] [--json FILE]

Templates are magnitude spectra of the bundled song's first half, picked by k-means on the square roots of frames that
sum to one; what is measured is its second half. All who are compared take turns in the same run, on one thread of
each: ours inside a compiled loop, as on the audio thread, NumPy called frame by frame in float32, scikit-learn with all
frames at once (its best case: no call per frame), H alone being updated. The excess is that of the summed
Kullback-Leibler divergence over the one after 1000 updates in double precision. Cold starts have all activations equal;
"shares" are those of four parts. The FFT is that of one channel.
"""

import argparse
import os
import time
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # NumPy's and scikit-learn's too; read when they are imported

import numpy as np
from table import show, song, write_json

from rtsep.dsp import fft, nmf
from rtsep.dsp.windows import pair
from rtsep.engine import Engine
from rtsep.kernels import clock, kernel
from rtsep.settings import Settings

try:
    from sklearn.decomposition import non_negative_factorization
except ImportError:
    non_negative_factorization = None

COMPONENTS, UPDATES, PARTS = (10, 50, 88, 176), (1, 3, 5, 10), 4
GOALS = {20: (8, 15, 1.0), 88: (30, 55, 1.0), 176: (55, 90, 2.5)}  # us median, us worst, percent, of 1025 bins


@kernel
def measure_default(state, magnitudes, activations, shares, times, times_of_shares):
    """Times (frames,) in seconds of both halves of `nmf.process`; also writes `activations` (frames, components)."""
    for t in range(times.shape[0]):
        started = clock()
        nmf.solve(state, state.bank[0], magnitudes[t], nmf.DESCENT, 2, np.float32(0), np.float32(0))
        times[t] = clock() - started
        nmf.share(state, state.bank[0], np.float32(2), shares)
        times_of_shares[t] = clock() - started - times[t]
        for r in range(activations.shape[1]):
            activations[t, r] = state.activations[r]


@kernel
def measure_multiplicative(state, magnitudes, activations, solver, updates, times):
    """Times (frames,) in seconds of cold multiplicative updates; also writes `activations` (frames, components)."""
    for t in range(times.shape[0]):
        started = clock()
        nmf.reset(state)
        nmf.solve(state, state.bank[0], magnitudes[t], solver, updates, np.float32(0), np.float32(0))
        times[t] = clock() - started
        for r in range(activations.shape[1]):
            activations[t, r] = state.activations[r]


@kernel
def measure_fft(state, times):
    """Times (frames,) in seconds of the transform of one window."""
    for t in range(times.shape[0]):
        started = clock()
        fft.forward(state.fft, state.frame, state.spectrum)
        times[t] = clock() - started


def numpy_updates(templates, turned, magnitude, updates):
    """The same multiplicative updates by NumPy and its BLAS."""
    h = np.full(len(templates), magnitude.sum() / len(templates), np.float32)
    for _ in range(updates):
        h *= (magnitude / (h @ templates + np.float32(1e-9))) @ turned
    return h


def spectra(seconds, bins):
    """Magnitudes (frames, bins) of the song with the window and hop of `balanced`, each half of them."""
    window = 2 * (bins - 1)
    analysis = pair(window, window // 4, window // 16)[0]
    sound = song(1, 2 * seconds)[:, 0]
    frames = np.lib.stride_tricks.sliding_window_view(sound, window)[:: window // 16]
    found = np.abs(np.fft.rfft(frames * analysis)).astype(np.float32)
    found /= found.sum(1).mean()
    return np.array_split(found, 2)


def pick(magnitudes, components, rounds=8):
    """Templates (components, bins) that sum to one, by k-means."""
    random = np.random.default_rng(1)
    loud = magnitudes[magnitudes.sum(1) > 0.01 * magnitudes.sum(1).max()]
    points = np.sqrt(loud / loud.sum(1, keepdims=True))
    means = points[random.choice(len(points), components, False)]
    for _ in range(rounds):
        nearest = (points @ means.T - (means**2).sum(1) / 2).argmax(1)
        means = np.array(
            [points[nearest == r].mean(0) if (nearest == r).any() else means[r] for r in range(components)]
        )
    return (means**2 / (means**2).sum(1, keepdims=True)).astype(np.float32)


def divergence(magnitudes, h, templates):
    """Kullback and Leibler's, summed over all frames."""
    v, y = magnitudes.astype(float), np.maximum(h.astype(float) @ templates.astype(float), 1e-12)
    return float((y - v + v * np.log(np.maximum(v, 1e-300) / y)).sum())


def optimum(magnitudes, templates, updates=1000):
    """The least divergence."""
    v, rows = magnitudes.astype(float), templates.astype(float)
    h = np.repeat(v.sum(1, keepdims=True), len(rows), 1) / len(rows)
    for _ in range(updates):
        h *= (v / np.maximum(h @ rows, 1e-12)) @ rows.T / rows.sum(1)
    return divergence(magnitudes, h, rows)


def competitors(magnitudes, templates):
    """{name: function that returns the times in microseconds of each frame, and the activations}."""
    frames, components, bins = len(magnitudes), *templates.shape
    state = nmf.prepare(bins, components, PARTS)
    nmf.fill(state, templates, np.arange(components) % PARTS)
    shares = np.zeros((PARTS, bins), np.float32)
    turned = np.ascontiguousarray(templates.T)

    def default(half):
        h, times = np.zeros((frames, components), np.float32), np.zeros((2, frames))
        nmf.reset(state)
        measure_default(state, magnitudes, h, shares, times[0], times[1])
        return times[half] * 1e6, h

    def ours(solver, updates):
        h, times = np.zeros((frames, components), np.float32), np.zeros(frames)
        measure_multiplicative(state, magnitudes, h, solver, updates, times)
        return times * 1e6, h

    def plain(updates):
        h, times = [], []
        for magnitude in magnitudes:
            started = time.perf_counter()
            h.append(numpy_updates(templates, turned, magnitude, updates))
            times.append((time.perf_counter() - started) * 1e6)
        return np.array(times), np.array(h)

    def learn(updates):
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            h, _, _ = non_negative_factorization(
                magnitudes,
                H=templates,
                n_components=components,
                init="custom",
                update_H=False,
                solver="mu",
                beta_loss="kullback-leibler",
                tol=0,
                max_iter=updates,
            )
        return np.full(frames, (time.perf_counter() - started) / frames * 1e6), h

    found = {"default": lambda: default(0), "its shares": lambda: default(1)}
    for updates in UPDATES:
        found[f"{updates} updates"] = lambda updates=updates: ours(nmf.KULLBACK_LEIBLER, updates)
        found[f"NumPy, {updates}"] = lambda updates=updates: plain(updates)
        if non_negative_factorization:
            found[f"scikit-learn, {updates}"] = lambda updates=updates: learn(updates)
    found["10 updates, Euclidean"] = lambda: ours(nmf.EUCLIDEAN, 10)
    found["10 updates, Itakura-Saito"] = lambda: ours(nmf.ITAKURA_SAITO, 10)
    return found


def compared(magnitudes, templates, runs, only=None):
    """{name: (median, worst in us, excess in percent)}; a frame's time is the least of all runs."""
    candidates = {name: run for name, run in competitors(magnitudes, templates).items() if only in (None, name)}
    least = optimum(magnitudes, templates)
    times, excess = {name: [] for name in candidates}, {}
    for _ in range(runs + 1):  # the first compiles, and is left out
        for name, run in candidates.items():
            taken, h = run()
            times[name].append(taken)
            excess[name] = 100 * (divergence(magnitudes, h, templates) / least - 1)
    each = {name: np.min(taken[1:], 0) for name, taken in times.items()}  # interruptions are not in question
    return {name: (np.median(taken), taken.max(), excess[name]) for name, taken in each.items()}


def fft_us(bins):
    """Median microseconds of the transform."""
    engine = Engine(Settings(mode="balanced"))
    engine.prepare(sample_rate=48_000 if bins == 1025 else 22_050, channels=1)
    assert engine.state.magnitude.shape == (bins,)
    times = np.zeros(2000)
    measure_fft(engine.state.stft, times)
    return float(np.median(times)) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if non_negative_factorization is None:
        print("scikit-learn is not installed: it is left out.")

    data = {}
    for bins in (513, 1025):
        learned, magnitudes = spectra(options.seconds, bins)
        magnitudes = np.ascontiguousarray(magnitudes[:400])
        columns = {n: compared(magnitudes, pick(learned, n), options.runs) for n in COMPONENTS}
        data[bins] = {n: column for n, column in columns.items()}
        show(
            f"{bins} bins, {len(magnitudes)} frames: median us per hop (worst), excess divergence in percent; "
            f"an FFT takes {fft_us(bins):.1f} us",
            ["who", *(f"R = {n}" for n in COMPONENTS)],
            [
                [name, *("{:.1f} ({:.0f}), {:.2g}".format(*columns[n][name]) for n in COMPONENTS)]
                for name in columns[10]
            ],
        )
    rows = []
    for n, (median, worst, percent) in GOALS.items():
        found = compared(magnitudes, pick(learned, n), options.runs, only="default")["default"]
        data[f"default {n}"] = found
        rows.append([f"R = {n}", "{:.1f} ({:.0f}), {:.2g}".format(*found), f"{median} ({worst}), {percent}"])
    show("The default solver, 1025 bins", ["templates", "us (worst), percent", "at most"], rows)
    write_json(options.json, data)


if __name__ == "__main__":
    main()
