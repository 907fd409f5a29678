"""Twelve more items with drums, for measuring: real kits that nothing was trained on, under real pitched sound.

    python benchmarks/drum_items.py DATA KITS OUT
    python benchmarks/quality.py OUT

DATA is described in items.py. KITS is a folder of drum kits of Hydrogen (Debian: /usr/share/hydrogen/data/drumkits of
the package hydrogen-drumkits), of which three are taken. OUT gets items that are described alike, constructed ones: the
pitched stems of four items of DATA, each with each kit, in grooves that the training has none of. Strokes are chosen by
their velocity and come a little early or late.
"""

import argparse
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import soundfile
import soxr
from items import DRUM_PARTS, DRUMS, RATE, read

SECONDS, LEVEL_DB = 10.0, (-3.0, 3.0)  # of the drums beside the rest
LATE_S, SOFTER = 0.006, 0.15  # standard deviations of a hand
FORCE = {"X": 0.95, "x": 0.65, "o": 0.3}
PITCHED = ("real_mdn_multitrack", "real_falcon69", "real_musdb_so_easy", "real_chopin_op10_3_varsi")
KITS = {
    "The Black Pearl 1.0": ("Pearl Kick", "Pearl Snare", "Sabian Hat Closed", "Pearl Tom 1", "Paiste Ride"),
    "ColomboAcousticDrumkit": ("BassDrum", "Snare1", "Closed HH", "Tom Low", "crash16inch"),
    "Gimme A Hand 1.0": ("Cajon Thump", "Cajon Slap", "Maraca", "Bongo Lo", "Tambourine"),
}
# Beats a minute, steps in a beat, and what kick, snare, hi-hat, tom and cymbal strike in a bar.
GROOVES = {
    "half-time shuffle": (88, 3, ("X....x......", "o..o..Xo.o..", "X.xX.xX.xX.x", "............", "............")),
    "samba": (
        104,
        4,
        ("x..XX..xx..XX..x", "o.xoo.xo.xoo.xoo", "xoxxxoxxxoxxxoxx", "....X.......X.X.", "................"),
    ),
    "seven eighths": (138, 2, ("X...X.x", "..X..o.", ".......", "......x", "X.x.X.x")),
    "broken beat": (
        132,
        4,
        ("X..x......Xx....", "..o.X..o.o..X..o", "x.xxx.x.x.xxx.xo", "..............x.", "X..............."),
    ),
}


def strokes(folder, name):
    """The sounds (samples,) of an instrument of a kit, softest first, each with the velocity up to which it serves."""
    root = ElementTree.parse(folder / "drumkit.xml").getroot()
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    instrument = next(each for each in root.iter("instrument") if each.findtext("name") == name)
    found = []
    for layer in instrument.iter("layer"):
        sound, rate = soundfile.read(folder / layer.findtext("filename"), dtype="float32", always_2d=True)
        gain = float(layer.findtext("gain", "1")) * float(instrument.findtext("volume", "1"))
        found.append((float(layer.findtext("max")), gain * soxr.resample(sound.mean(1), rate, RATE)))
    return sorted(found, key=lambda layer: layer[0])


def played(kit, groove, random, samples):
    """The drums (samples,): what each instrument of a kit strikes in a groove, over and over."""
    tempo, steps, lines = groove
    sound, step_s = np.zeros(samples, np.float32), 60 / tempo / steps
    for layers, line in zip(kit, lines, strict=True):
        for step in range(int(samples / RATE / step_s)):
            force = FORCE.get(line[step % len(line)])
            if force is None:
                continue
            force = np.clip(force * random.normal(1, SOFTER), 0.05, 1)
            start = round(max(step * step_s + random.normal(0, LATE_S), 0) * RATE)
            stroke = next((stroke for most, stroke in layers if force <= most), layers[-1][1])
            heard = stroke[: max(samples - start, 0)]
            sound[start : start + len(heard)] += np.float32(force) * heard
    return sound


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "kits", "out"):
        parser.add_argument(name, type=Path, metavar=name.upper())
    options = parser.parse_args()
    for k, (folder, instruments) in enumerate(KITS.items()):
        kit = [strokes(options.kits / folder, name) for name in instruments]
        for i, pitched in enumerate(PITCHED):
            random, groove = np.random.default_rng([k, i]), [*GROOVES][(i + k) % len(GROOVES)]
            stems, _ = read(options.data / pitched, SECONDS, RATE)
            rest = sum(sound for role, sound in stems.items() if role not in DRUMS | DRUM_PARTS)
            drums = np.repeat(played(kit, GROOVES[groove], random, len(rest))[:, np.newaxis], rest.shape[1], 1)
            drums *= rest.std() / drums.std() * 10 ** (random.uniform(*LEVEL_DB) / 20)
            louder = max(1, np.abs(rest + drums).max(), np.abs(rest).max(), np.abs(drums).max())
            item = options.out / f"con_{folder.split()[-2 if ' ' in folder else 0].lower()}_{groove.replace(' ', '_')}"
            item.mkdir(parents=True, exist_ok=True)
            told = []
            for role, sound in (("drums", drums), ("other", rest)):
                soundfile.write(item / f"{role}.flac", sound / louder, RATE, subtype="PCM_24")
                told.append({"role": role, "file": f"{role}.flac", "channels": rest.shape[1]})
            meta = {"name": item.name, "channels": rest.shape[1], "sample_rate": RATE, "stems": told}
            made = {"kind": f"CONSTRUCTED: {folder} in {groove} under {pitched}"}
            (item / "meta.json").write_text(json.dumps(meta | made, indent=1))
            print(item)


if __name__ == "__main__":
    main()
