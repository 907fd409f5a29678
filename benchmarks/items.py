"""Recordings with known stems: a folder per item of DATA with `meta.json`, its stems and, where it is known, `f0.csv`.

Items named real_* are recordings; those named con_* are constructed (a real lead or real drums with a rendered band)
and simpler than released music, so their means are given apart.
"""

import json

import numpy as np
import soundfile
import soxr

RATE = 44100
DRUMS = {"drums", "percussive"}
DRUM_PARTS = {"kick", "snare", "hihat", "hi-hat", "cymbal", "cymbals", "tom", "toms", "overheads"}
LEADS = {"vocals", "saxophone", "lead_guitar", "lead"}
STREAMING = ("live", "balanced", "quality")
"""Modes whose masks are learned by default; "MODE, classic" is the same with masks=classic."""


def items(data):
    """The folder of each item, and the roles of its stems."""
    for path in sorted(data.glob("*/meta.json")):
        if path.parent.name.startswith(("con_", "real_")):
            stems = json.loads(path.read_text()).get("stems", [])
            yield path.parent, {stem["role"] for stem in stems}


def has_drums(roles):
    """Whether there are drums, and something else."""
    return bool(roles & DRUMS and roles - DRUMS - DRUM_PARTS)


def has_lead(roles):
    """Whether there is a lead, and something else."""
    return bool(roles & LEADS and roles - LEADS)


def read(folder, seconds=None, rate=None):
    """Stems {role: float32 (samples, channels)} of the first `seconds`, at `rate` or their own, and that rate."""
    meta = json.loads((folder / "meta.json").read_text())
    stems = {}
    for stem in meta["stems"]:
        sound, own = soundfile.read(folder / stem["file"], dtype="float32", always_2d=True)
        sound = np.repeat(sound[: int(seconds * own) if seconds else None], meta["channels"] // sound.shape[1], 1)
        stems[stem["role"]] = soxr.resample(sound, own, rate) if rate else sound
    samples = min(map(len, stems.values()))
    return {role: sound[:samples] for role, sound in stems.items()}, rate or own


def two(stems, roles):
    """The sum of the stems that have one of `roles`, and of those that have not."""
    return (sum(sound for role, sound in stems.items() if (role in roles) is wanted) for wanted in (True, False))


def true_f0(folder, seconds):
    """Times (rows,) in seconds and F0 (rows,) in Hz, 0 where unvoiced, of the first `seconds`."""
    time_s, f0 = np.loadtxt(folder / "f0.csv", delimiter=",", skiprows=1, usecols=(0, 1)).T
    return time_s[time_s < seconds], f0[time_s < seconds]


def means(results):
    """Names and means of `results` {item: {method: figures}} over all, the real and the constructed items."""
    for title, prefix in (("all", ""), ("real", "real_"), ("constructed", "con_")):
        found = [result for name, result in results.items() if name.startswith(prefix)]
        if found:
            yield (
                f"mean of {len(found)} {title}" if prefix else f"mean of all {len(found)}",
                {method: np.nanmean([result[method] for result in found], axis=0) for method in found[0]},
            )


def worse(names, results):
    """A table of the items of `results` {item: {method: figures}} that a method leaves below the mixture.

    `names` are those of the two figures; in brackets stands by how many decibels.
    """
    rows = []
    for method in [method for method in next(iter(results.values())) if method != "mixture"]:
        cells = []
        for i in range(len(names)):
            losses = {name: found["mixture"][i] - found[method][i] for name, found in results.items()}
            cells.append(", ".join(f"{name} ({-loss:.1f})" for name, loss in losses.items() if loss > 0) or "none")
        rows.append([method, *cells])
    return "Items that a method makes worse than the mixture", ["method", *names], rows
