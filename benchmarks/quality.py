"""SI-SDR of harmonic and percussive on recordings with known stems: the mixture, each mode, librosa and an oracle.

    python benchmarks/quality.py DATA [--out benchmarks/results]

DATA holds a folder per item with `meta.json` and its stems. Items with drums (a stem `drums` or `percussive`) and at
least one other stem count: percussive is that stem, harmonic the sum of the others. Items named con_* are constructed
(a real lead with a rendered band) and simpler than released music, so the mean over real_* is given apart.
librosa is `librosa.decompose.hpss` with its defaults (2048/512, medians of 31), its masks made from all channels
together as ours are; the oracle is the ratio mask h^2 / (h^2 + p^2) of the true stems at 2048/512. A second table
compares the mode offline with librosa away from both ends of each item: librosa mirrors the spectrogram there, we
take what lies beyond for silence. (At rates other than 44.1 and 48 kHz our windows keep their seconds, librosa's
their samples.)
"""

import argparse
import json
import warnings
from pathlib import Path

import librosa
import numpy as np
import soundfile
from table import show

from rtsep.engine import Engine
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.render import separate
from rtsep.settings import MODES, Settings

DRUMS = {"drums", "percussive"}
DRUM_PARTS = {"kick", "snare", "hihat", "hi-hat", "cymbals", "toms", "overheads"}


def items(data):
    """Folders of DATA whose stems are drums against something else."""
    for path in sorted(data.glob("*/meta.json")):
        meta = json.loads(path.read_text())
        roles = {stem["role"] for stem in meta.get("stems", [])}
        if roles & DRUMS and roles - DRUMS - DRUM_PARTS and path.parent.name.startswith(("con_", "real_")):
            yield path.parent, meta


def stems(folder, meta):
    """Harmonic and percussive (samples, channels), and the sample rate."""
    parts, channels = {"harmonic": [], "percussive": []}, meta["channels"]
    for stem in meta["stems"]:
        sound, rate = soundfile.read(folder / stem["file"], dtype="float32", always_2d=True)
        sound = np.repeat(sound, channels // sound.shape[1], 1)
        parts["percussive" if stem["role"] in DRUMS else "harmonic"].append(sound)
    samples = min(len(sound) for sounds in parts.values() for sound in sounds)
    return *(sum(sound[:samples] for sound in sounds) for sounds in parts.values()), rate


def by_librosa(mix):
    """Harmonic and percussive of `mix` (samples, channels)."""
    spectra = librosa.stft(mix.T)
    magnitude = np.sqrt((np.abs(spectra) ** 2).sum(0))
    return [librosa.istft(spectra * mask, length=len(mix)).T for mask in librosa.decompose.hpss(magnitude, mask=True)]


def by_oracle(mix, harmonic, percussive):
    """The best that a ratio mask could do."""
    spectrum, h, p = (librosa.stft(sound.T) for sound in (mix, harmonic, percussive))
    mask = np.abs(h) ** 2 / (np.abs(h) ** 2 + np.abs(p) ** 2 + 1e-20)
    return [librosa.istft(spectrum * share, length=len(mix)).T for share in (mask, 1 - mask)]


def measured(folder, meta):
    """SI-SDR (harmonic, percussive) in dB by method; "inner ..." are without half a second at both ends."""
    harmonic, percussive, rate = stems(folder, meta)
    mix = harmonic + percussive
    found = {"mixture": (mix, mix)}
    for mode in MODES:
        parts = separate(mix, sample_rate=rate, mode=mode)
        found[mode] = parts["harmonic"], parts["percussive"]
    found["librosa"], found["oracle"] = by_librosa(mix), by_oracle(mix, harmonic, percussive)
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
    for stem, (axis, name) in enumerate(zip(axes, ("harmonic", "percussive"), strict=True)):
        axis.semilogx(latencies, [means[mode][stem] for mode in MODES], "o-", color="C0", label="rtsep")
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
    results = Path(__file__).parent / "results"
    parser.add_argument("--out", type=Path, default=results, help="folder for the table and the picture")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    results = {}
    for folder, meta in items(options.data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results[folder.name] = measured(folder, meta)
    if not results:
        parser.error(f"{options.data} holds no item with drums and another stem.")
    methods = [*next(iter(results.values()))]
    inner = [method for method in methods if method.startswith("inner")]

    def mean(names):
        return {method: np.mean([results[name][method] for name in names], axis=0) for method in methods}

    real = [name for name in results if name.startswith("real_")]
    means = mean(results)
    lines = [(f"{name} (constructed)" if name.startswith("con_") else name, found) for name, found in results.items()]
    lines.append((f"mean of all {len(results)}", means))
    if real:
        lines.append((f"mean of {len(real)} real", mean(real)))
    text = ""
    for title, columns in (
        ("Separation of drums from the rest", [method for method in methods if method not in inner]),
        ("Offline against librosa, half a second at both ends left out", inner),
    ):
        header = ["SI-SDR harmonic / percussive, dB", *columns]
        rows = [[name, *(f"{found[one][0]:.2f} / {found[one][1]:.2f}" for one in columns)] for name, found in lines]
        show(title, header, rows)
        table = [header, ["---", *["---:"] * len(columns)], *rows]
        text += f"## {title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in table) + "\n\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "quality.md").write_text(text)
    picture(means, options.out / "quality.png")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1, default=float))
    print(f"\nWritten: {options.out / 'quality.md'}, {options.out / 'quality.png'}")


if __name__ == "__main__":
    main()
