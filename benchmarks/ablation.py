"""What each group of the networks' inputs is worth: the same networks, to which it tells nothing.

    python benchmarks/ablation.py DATA [--seconds 8] [--out benchmarks/results]

DATA is described in items.py. Items with drums (as in quality.py) and items with a lead (as in lead.py) count, the
first seconds of them, resampled to 44.1 kHz, in the mode `balanced`. The first layer of a network hears the mean of
each input of a group, measured on these items, in the place of the input: what its weights make of the mean is added
to the bias. The table of the network of masks shows SI-SDR, that of the network of pitch, whose inputs are maps, also
what melody.py measures.

Nothing is trained anew. A network that had never heard a group would find some of what it tells in the others, so that
these differences overstate what a group is worth, and those of groups that tell the same (averages and frames of the
past, the combs) say little of either.
"""

import argparse
import tempfile
import warnings
from pathlib import Path

import mir_eval
import numpy as np
from items import DRUMS, LEADS, RATE, has_drums, has_lead, items, read, true_f0, two
from melody import by_rtsep
from table import RESULTS, publish, write_json

from rtsep import networks
from rtsep.dsp import learned, pitchnet
from rtsep.engine import Engine
from rtsep.offline.evaluate import si_sdr
from rtsep.offline.render import separate
from rtsep.settings import Settings

MODE = "balanced"
FEATURES = {
    "averages of the past": range(5),
    "frames of the past": range(5, 7),
    "neighbors": range(7, 10),
    "frequency": [10],
    "level of the frame": [11, 12, 16],
    "level in the frame": [13],
    "neighbors of the mean": range(14, 16),
    "combs of the melody": range(17, 20),
    "gate": [20],
}
"""Rows of `features` in rtsep/dsp/learned.py."""

MAPS = {"peaks": [0], "spectrum": [1], "slow means of the peaks": [2, 3], "peaks of a moment ago": [4, 5]}
"""Rows of `maps` in rtsep/dsp/pitchnet.py."""

TAPS = 5
"""Of the first layer of that network for each map."""

FIGURES = ("harmonic", "percussive", "lead", "backing", "Raw Pitch Accuracy", "Overall Accuracy")
SEPARATION, PITCH = FIGURES[:4], FIGURES[2:]


def means_of(mixes):
    """Means of the features of a band (features,) and of the maps of a place (maps,), over all frames of `mixes`."""
    features, maps = [], []
    for mix in mixes:
        engine = Engine(Settings(mode=MODE))
        engine.prepare(sample_rate=RATE, channels=mix.shape[1])
        hop, state = engine.sizes.hop_size, engine.state
        for start in range(0, len(mix) - hop + 1, hop):
            engine.process(mix[start : start + hop])
            learned._compare(state.learned)  # once more: the last layer takes the room of the first three
            features.append(state.learned.features[:, learned.REACH : -learned.REACH].mean(1))
            maps.append(state.melody.pitchnet.maps[:, pitchnet.MARGIN : -pitchnet.MARGIN].mean(1))
    return np.mean(features, axis=0), np.mean(maps, axis=0)


def deaf_to_features(network, group, means):
    """The `network` of masks, which hears `means` (features,) in the place of the features of `group`."""
    group = [*group]
    first, bias = network.first.copy(), network.first_bias + network.first[:, group] @ means[group]
    first[:, group] = 0
    return network._replace(first=first, first_bias=bias.astype(np.float32))


def deaf_to_maps(network, group, means):
    """The `network` of pitch, which hears `means` (maps,) in the place of the maps of `group`."""
    first, bias, context = network.first.copy(), network.first_bias.copy(), network.context.copy()
    pools = (
        len(context) - 1 - len(means)
    )  # what it hears of all of the frame ends with the maps, four times their means
    for m in group:
        taps = slice(m * TAPS, (m + 1) * TAPS)
        bias[:, 0] += first[:, taps].sum(1) * means[m]
        context[-1] += 4 * means[m] * context[pools + m]
        first[:, taps], context[pools + m] = 0, 0
    return network._replace(first=first, first_bias=bias, context=context)


def measured(folder, roles, seconds, settings, followed):
    """FIGURES of an item, dB and percent; nan where there are none, and for the pitch where it is not `followed`."""
    stems, _ = read(folder, seconds, RATE)
    mix, found = sum(stems.values()), dict.fromkeys(FIGURES, np.nan)
    parts = separate(
        mix, sample_rate=RATE, settings=settings, stems=("harmonic", "percussive", "melody", "accompaniment")
    )
    if has_drums(roles):
        percussive, harmonic = two(stems, DRUMS)
        found["harmonic"] = si_sdr(harmonic, parts["harmonic"])
        found["percussive"] = si_sdr(percussive, parts["percussive"])
    if has_lead(roles):
        lead, backing = two(stems, LEADS)
        found["lead"], found["backing"] = si_sdr(lead, parts["melody"]), si_sdr(backing, parts["accompaniment"])
        if followed and (folder / "f0.csv").exists():
            scores = mir_eval.melody.evaluate(*true_f0(folder, len(mix) / RATE), *by_rtsep(mix, settings, {}))
            found |= {name: 100 * scores[name] for name in PITCH[2:]}
    return [found[name] for name in FIGURES]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seconds", type=float, default=8, help="of each item")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the tables")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    chosen = [(folder, roles) for folder, roles in items(options.data) if has_drums(roles) or has_lead(roles)]
    if not chosen:
        parser.error(f"{options.data} holds no item with drums or a lead and another stem.")
    whole = networks.load()
    features, maps = means_of(sum(read(folder, options.seconds, RATE)[0].values()) for folder, _ in chosen)
    by_feature = {
        name: whole._replace(masks=deaf_to_features(whole.masks, group, features)) for name, group in FEATURES.items()
    }
    by_map = {name: whole._replace(pitch=deaf_to_maps(whole.pitch, group, maps)) for name, group in MAPS.items()}
    data = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, heard in {"whole": whole, **by_feature, **by_map}.items():
            path = Path(folder) / f"{name}.npz"  # of its own: files are read but once
            networks.save(path, heard)
            settings = Settings(mode=MODE, networks=str(path))
            followed = name not in by_feature  # whose pitch is that of the whole
            data[name] = np.array([measured(*item, options.seconds, settings, followed) for item in chosen])
        means = {name: np.nanmean(figures, axis=0) for name, figures in data.items()}
    counts = np.isfinite(data["whole"]).sum(0)
    tables = []
    for title, groups, names in (
        ("The network of masks without a group of its features", FEATURES, SEPARATION),
        ("The network of pitch without some of its maps", MAPS, PITCH),
    ):
        places = [FIGURES.index(name) for name in names]
        header = ["SI-SDR, dB" if names == SEPARATION else "SI-SDR, dB; pitch, %"]
        header += [f"{FIGURES[i].lower()}, {counts[i]} items" for i in places]
        rows = [["the whole network", *(f"{means['whole'][i]:.2f}" for i in places)]]
        rows += [[f"without {name}", *(f"{(means[name] - means['whole'])[i]:+.2f}" for i in places)] for name in groups]
        tables.append((title, header, rows))
    publish(options.out / "ablation.md", tables)
    write_json(options.json, {name: figures.tolist() for name, figures in data.items()})


if __name__ == "__main__":
    main()
