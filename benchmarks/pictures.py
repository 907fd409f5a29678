"""Pictures of the masks: classic, learned and ideal ones of percussive, melody and harmony, under the mix.

    python benchmarks/pictures.py DATA [--seconds 6] [--names real_falcon69 ...] [--out benchmarks/results]

DATA is described in items.py. Each item with drums or a lead, and another stem, becomes NAME.png, from the frames of
the mode `balanced` at 44.1 kHz: percussive are the drums, melody the lead, harmony all else (drums too, if they have no
stem of their own). The ideal masks are the parts of the true stems in the power of all three. Black is all of a bin,
white none of it; what lies more than RANGE_DB below the loudest is white too.
"""

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from items import DRUMS, LEADS, RATE, has_drums, has_lead, items, read
from table import RESULTS

from rtsep.dsp import hpss
from rtsep.engine import Engine
from rtsep.settings import Settings

NAMES = ("percussive", "melody", "harmony")  # in the order of the masks
HIGHEST_HZ, RANGE_DB = 6000, 60


def frames(sound, masks="classic"):
    """Magnitudes (frames, bins) of `sound` (samples, channels), and the masks (frames, 3, bins) that it is given."""
    engine = Engine(Settings(mode="balanced", masks=masks))
    engine.prepare(sample_rate=RATE, channels=sound.shape[1])
    hop, state = engine.sizes.hop_size, engine.state
    magnitudes, found = [], []
    for start in range(0, len(sound) - hop + 1, hop):
        engine.process(sound[start : start + hop])
        magnitudes.append(state.hpss.history[hpss.due(state.hpss)].copy())
        found.append(state.whole.copy())
    return np.array(magnitudes), np.array(found)


def picture(name, stems, path):
    """Draw the item of `stems` {role: (samples, channels)}."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    mix = sum(stems.values())
    magnitudes, classic = frames(mix)
    _, learned = frames(mix, "learned")
    whose = {role: 0 if role in DRUMS else 1 if role in LEADS else 2 for role in stems}
    parts = [sum((stems[role] for role in stems if whose[role] == i), start=np.zeros_like(mix)) for i in range(3)]
    power = np.stack([frames(part)[0] ** 2 for part in parts], 1)
    ideal = power / np.maximum(power.sum(1, keepdims=True), 1e-20)
    level = 20 * np.log10(magnitudes / magnitudes.max() + 1e-9)
    seen = np.clip(1 + level / RANGE_DB, 0, 1)
    extent = 0, len(mix) / RATE, 0, RATE / 2000
    figure, axes = plt.subplots(4, 3, figsize=(15, 11), sharex=True, sharey=True, layout="constrained")
    axes[0, 0].imshow(seen.T, cmap="gray_r", extent=extent, origin="lower", aspect="auto")
    axes[0, 0].set(title=f"{name}: the mix", ylabel="kHz", ylim=(0, HIGHEST_HZ / 1000))
    for unused in axes[0, 1:]:
        unused.axis("off")
    for column, (title, masks) in enumerate((("classic", classic), ("learned", learned), ("ideal", ideal))):
        for row, part in enumerate(NAMES):
            axis, shown = axes[row + 1, column], np.where(level > -RANGE_DB, masks[:, row], 0)
            axis.imshow(shown.T, cmap="gray_r", vmin=0, vmax=1, extent=extent, origin="lower", aspect="auto")
            axis.set_title(f"{part}, {title}")
    axes[1, 0].set_ylabel("kHz")
    for axis in axes[-1]:
        axis.set_xlabel("s")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--seconds", type=float, default=6, help="of each item")
    parser.add_argument("--names", nargs="+", metavar="ITEM", help="of these items alone")
    parser.add_argument("--out", type=Path, default=RESULTS / "masks", help="folder for the pictures")
    options = parser.parse_args()
    chosen = [
        folder
        for folder, roles in items(options.data)
        if (has_drums(roles) or has_lead(roles)) and folder.name in (options.names or [folder.name])
    ]
    if not chosen:
        parser.error(f"{options.data} holds no such item with drums or a lead and another stem.")
    options.out.mkdir(parents=True, exist_ok=True)
    for folder in chosen:
        path = options.out / f"{folder.name}.png"
        picture(folder.name, read(folder, options.seconds, RATE)[0], path)
        print(f"Written: {path}", flush=True)


if __name__ == "__main__":
    main()
