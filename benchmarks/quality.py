"""SI-SDR of harmonic and percussive on recordings with known stems: the mixture, each mode, librosa and an oracle.

    python benchmarks/quality.py DATA [--out benchmarks/results]

DATA is described in items.py. Items with drums (a stem `drums` or `percussive`) and at least one other stem count:
percussive is that stem, harmonic the sum of the others; ours is the group, melody and harmony together.
librosa is `librosa.decompose.hpss` with its defaults (2048/512, medians of 31), its masks made from all channels
together as ours are; the oracle is the ratio mask h^2 / (h^2 + p^2) of the true stems at 2048/512. A second table
compares the mode offline with librosa away from both ends of each item: librosa mirrors the spectrogram there, we
take what lies beyond for silence. (At rates other than 44.1 and 48 kHz our windows keep their seconds, librosa's
their samples.) The last table names the items that a method leaves below the mixture.

The modes are as they are by default: masks=learned, but in `offline`; "classic" is with masks=classic. The networks
were trained on synthetic songs, on none of DATA; but they were chosen among several by these very items. The settings
of the medians were chosen on other material, and fifteen candidates then scored on these items.
"""

import argparse
import warnings
from pathlib import Path

import librosa
import numpy as np
from items import DRUMS, STREAMING, has_drums, items, means, read, two, worse
from table import RESULTS, publish, write_json

from rtsep.engine import Engine
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.oracles import oracle
from rtsep.offline.render import separate
from rtsep.settings import MODES, Settings


def by_librosa(mix, window_size=2048):
    """Harmonic and percussive of `mix` (samples, channels)."""
    spectra = librosa.stft(mix.T, n_fft=window_size)
    magnitude = np.sqrt((np.abs(spectra) ** 2).sum(0))
    masks = librosa.decompose.hpss(magnitude, mask=True)
    return [librosa.istft(spectra * mask, n_fft=window_size, length=len(mix)).T for mask in masks]


def by_oracle(one, other):
    """Two sounds (samples, channels) as well as a ratio mask can tell them apart in their sum."""
    return oracle("ratio mask", [one, other], one + other)


def measured(folder):
    """SI-SDR (harmonic, percussive) in dB by method; "inner ..." are without half a second at both ends."""
    stems, rate = read(folder)
    percussive, harmonic = two(stems, DRUMS)
    mix = harmonic + percussive
    found = {"mixture": (mix, mix)}
    settings = {mode: Settings(mode=mode) for mode in MODES}
    settings |= {f"{mode}, classic": Settings(mode=mode, masks="classic") for mode in STREAMING}
    for method, chosen in settings.items():
        parts = separate(mix, sample_rate=rate, settings=chosen, stems=("harmonic", "percussive"))
        found[method] = parts["harmonic"], parts["percussive"]
    found["librosa"], found["oracle"] = by_librosa(mix), by_oracle(harmonic, percussive)
    figures = {method: (si_sdr(harmonic, h), si_sdr(percussive, p)) for method, (h, p) in found.items()}
    inner = slice(rate // 2, -rate // 2)
    for method in ("offline", "librosa"):
        h, p = found[method]
        figures[f"inner {method}"] = si_sdr(harmonic[inner], h[inner]), si_sdr(percussive[inner], p[inner])
    return figures


def latency_ms(mode, rate=44100):
    engine = Engine(Settings(mode=mode))
    engine.prepare(sample_rate=rate, channels=1, max_block=64)
    return engine.latency / rate * 1e3


def picture(means, path):
    """Decibels against latency, one panel per stem."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharex=True)
    latencies = [latency_ms(mode) for mode in MODES]
    classic = [f"{mode}, classic" if mode in STREAMING else mode for mode in MODES]
    for stem, (axis, name) in enumerate(zip(axes, ("harmonic", "percussive"), strict=True)):
        learned = [means[mode][stem] for mode in STREAMING]
        axis.semilogx(latencies[: len(learned)], learned, "o-", color="C0", label="rtsep")
        axis.semilogx(latencies, [means[mode][stem] for mode in classic], "o-", color="C1", label="rtsep, classic")
        for mode, latency in zip(MODES, latencies, strict=True):
            axis.annotate(mode, (latency, means[mode][stem]), xytext=(0, 8), textcoords="offset points", ha="center")
        for style, method in (("--", "librosa"), (":", "mixture"), ("-.", "oracle")):
            level = means[method][stem]
            axis.axhline(level, linestyle=style, color="gray", label=f"{method} ({level:.1f} dB)")
        axis.set(title=name, xlabel="latency at 44.1 kHz, ms", ylabel="mean SI-SDR, dB")
        axis.margins(x=0.15, y=0.15)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the table and the picture")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    results = {}
    for folder, roles in items(options.data):
        if not has_drums(roles):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[folder.name] = measured(folder)
    if not results:
        parser.error(f"{options.data} holds no item with drums and another stem.")
    methods = [*next(iter(results.values()))]
    inner = [method for method in methods if method.startswith("inner")]

    average = dict(means(results))
    lines = [*results.items(), *average.items()]
    tables = []
    for title, columns in (
        ("Separation of drums from the rest", [method for method in methods if method not in inner]),
        ("Offline against librosa, half a second at both ends left out", inner),
    ):
        rows = [[name, *(f"{found[one][0]:.2f} / {found[one][1]:.2f}" for one in columns)] for name, found in lines]
        tables.append((title, ["SI-SDR harmonic / percussive, dB", *columns], rows))
    separated = {
        name: {one: pair for one, pair in found.items() if one not in inner} for name, found in results.items()
    }
    publish(options.out / "quality.md", [*tables, worse(("harmonic", "percussive"), separated)])
    picture(next(iter(average.values())), options.out / "quality.png")
    print(f"Written: {options.out / 'quality.png'}")
    write_json(options.json, results)


if __name__ == "__main__":
    main()
