"""Training material: short songs as stems, with the F0 of voice and lead instrument, all made from a seed.

No recording goes into it but the samples of two openly licensed sound fonts, so that anyone may make the same material
and train on it. What it takes to train on such: Salamon, Bittner, Bonada, Bosch, Gómez and Bello, "An analysis/
synthesis framework for automatic F0 annotation of multitrack datasets", ISMIR 2017 (synthesis makes the F0 exact).

Each item is a folder of 15 seconds, 44.1 kHz, stereo, 16 bits: `voice.flac`, `lead.flac`, `drums.flac` and
`backing.flac` add up to the mix; what is silent has no file. `f0.npy` and `lead_f0.npy` are float32 Hz of the voice and
the lead instrument each 10 ms, sample 441 k being the middle of frame k, 0 where there is none. `meta.json` tells how
it was made.
"""

import importlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from ..errors import BadInput, Unavailable
from . import bands, effects, voices
from .effects import RATE, Sound
from .tunes import FRAME_S, pick

SECONDS = 15.0
"""Of an item."""

STEMS = ("voice", "lead", "drums", "backing")

# How often, and who sounds: v voice, d drums, b bass, c chords and pads.
KINDS = {
    "song": (0.47, "vdbc"),
    "without drums": (0.10, "vbc"),
    "drums and bass": (0.07, "vdb"),
    "a cappella": (0.05, "v"),
    "at home": (0.05, "v"),
    "instrumental": (0.19, "dbc"),
    "instrumental without drums": (0.04, "bc"),
    "only drums": (0.03, "d"),
}
PEAK = 0.99
"""Most that a stem or the mix reaches."""

F0 = NDArray[np.float32]  # (frames,) Hz

_DRUMS_DB = (0, 0, -7, -9)  # kick, snare and toms, cymbals, percussion


@dataclass(frozen=True)
class Plan:
    """What an item will be, before anything sounds.

    Parameters
    ----------
    seed, number : of the material and of the item; all else follows from them
    kind : one of KINDS
    singer : who sings, or None
    lead : whether there is a lead instrument
    voice_db, lead_db : RMS where they sound against that of what else does; -12 to 9, -10 to 6
    width : of the stereo image, 0 (mono) to 1
    highest_hz : where the recording ends
    """

    seed: int
    number: int
    kind: str
    singer: voices.Singer | None
    lead: bool
    voice_db: float
    lead_db: float
    width: float
    highest_hz: float

    def rng(self, stage: int) -> Generator:
        """A generator for one of the stages of making the item, the same each time."""
        return np.random.default_rng([self.seed, self.number, stage])


def plan(seed: int, number: int) -> Plan:
    """The plan of the item `number`."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(KINDS), p=[often for often, _ in KINDS.values()]))
    sung = "v" in KINDS[kind][1]
    banded = "c" in KINDS[kind][1]
    return Plan(
        seed=seed,
        number=number,
        kind=kind,
        singer=voices.cast(rng) if sung else None,
        lead=banded and rng.random() < (0.35 if sung else 0.7),
        voice_db=rng.triangular(-12, -2, 9),
        lead_db=rng.triangular(-10, -4, 6),
        width=0.0 if rng.random() < 0.3 else rng.uniform(0.3, 1),
        highest_hz=rng.uniform(7e3, 16e3) if rng.random() < 0.15 else 20e3,
    )


def compose(plan: Plan) -> tuple[dict[str, Sound], dict[str, F0], dict[str, Any]]:
    """An item: its stems (samples, 2) that sound, both F0 (frames,), and what meta.json says."""
    song = bands.song(plan.rng(0), SECONDS)
    meta: dict[str, Any] = {**asdict(plan), "beats_per_minute": 60 / song.beat_s}
    stems, lead_f0 = _band(plan, song, meta)
    f0 = {"f0": np.zeros_like(lead_f0), "lead_f0": lead_f0}
    if "lead" in stems:
        _balance(stems, "lead", plan.lead_db)
    if plan.singer:
        rng = plan.rng(2)
        dry, f0["f0"] = voices.sing(rng, plan.singer, SECONDS, song.beat_s, song.key, song.scale)
        if plan.kind == "at home":
            stems["backing"] = _noise(rng)
        stems["voice"], meta["voice_effects"] = voices.treat(rng, dry)
        _balance(stems, "voice", plan.voice_db + (30 if plan.kind == "at home" else 0))
    return _master(plan, stems, meta), f0, meta


def render(folder: str | os.PathLike[str], minutes: float, seed: int = 1, jobs: int = 1) -> Iterator[Path]:
    """Make `minutes` of material in `folder` with `jobs` processes; yields the folder of each item that is finished.

    What is there already stays, so that a render can be broken off and go on; each item appears as a whole.

    Raises
    ------
    BadInput : for no minutes or jobs, and a folder with items of another seed.
    Unavailable : if a program, sound font or package is missing, or the disk is full.
    """
    root = Path(folder)
    if not minutes > 0 or jobs < 1:
        raise BadInput(f"{minutes:g} minutes by {jobs} jobs: both must be more than 0.")
    numbers = range(math.ceil(60 * minutes / SECONDS))
    if not all((root / f"{number:05}").exists() for number in numbers):
        check()
    if jobs == 1:
        yield from map(partial(_make, root, seed), numbers)
    else:
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(_make, repeat(root), repeat(seed), numbers)


def write(folder: Path, stems: dict[str, Sound], f0: dict[str, F0], meta: dict[str, Any]) -> None:
    """Write an item, as `compose` makes it, as a whole."""
    begun = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    for name, stem in stems.items():
        soundfile.write(begun / f"{name}.flac", stem, RATE, subtype="PCM_16")
    for name, curve in f0.items():
        np.save(begun / f"{name}.npy", curve)
    (begun / "meta.json").write_text(json.dumps(meta, indent=1))
    os.replace(begun, folder)


def check() -> None:
    """Raise `Unavailable` with what is to be installed, if anything is."""
    missing = [program for program in ("espeak-ng", "fluidsynth") if not shutil.which(program)]
    packages = ("fluid-soundfont-gm", "musescore-general-soundfont-lossless")
    missing += [package for path, package in zip(bands.SOUNDFONTS, packages, strict=True) if not path.exists()]
    if missing:
        raise Unavailable(f"there is no {', no '.join(missing)}: on Debian, apt install {' '.join(missing)}.")
    try:
        importlib.import_module("pyworld")
    except ImportError as error:
        raise Unavailable(f"there is no {error.name}: pip install 'rtsep[train]'.") from error


def _make(root: Path, seed: int, number: int) -> Path:
    folder = root / f"{number:05}"
    try:
        if folder.exists():
            found = json.loads((folder / "meta.json").read_text())["seed"]
            if found != seed:
                raise BadInput(f"{root} holds items of the seed {found}: choose another folder for {seed}.")
            return folder
        write(folder, *compose(plan(seed, number)))
    except (OSError, soundfile.LibsndfileError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"cannot make {folder}: {error}.") from error
    return folder


def _band(plan: Plan, song: bands.Song, meta: dict[str, Any]) -> tuple[dict[str, Sound], F0]:
    """All stems but the voice, and the F0 of the lead."""
    rng, players = plan.rng(1), KINDS[plan.kind][1]
    parts: list[tuple[str, float, bands.Part]] = []  # stem, level in dB, what is played
    if "d" in players:
        meta["groove"], beaten = bands.drums(rng, song)
        parts += [("drums", level + rng.normal(0, 2.5), part) for level, part in zip(_DRUMS_DB, beaten, strict=False)]
    if "b" in players and rng.random() < 0.93:
        parts.append(("backing", rng.normal(0, 3), bands.bass(rng, song)))
    if "c" in players:
        count = pick(rng, (1, 1, 2, 2, 3))
        parts += [("backing", rng.normal(-3, 3), bands.chords(rng, song)) for _ in range(count)]
        if rng.random() < 0.35:
            parts.append(("backing", rng.normal(-7, 3), bands.pad(rng, song)))
    lead_f0 = np.zeros(round(SECONDS / FRAME_S), np.float32)
    if plan.lead:
        part, curve = bands.lead(rng, song)
        parts.append(("lead", 0, part))
    meta["programs"] = [(stem, part.program, part.soundfont) for stem, _, part in parts]
    stems: dict[str, Sound] = {}
    for (stem, level_db, part), sound in zip(parts, bands.play([part for *_, part in parts], SECONDS), strict=True):
        if not sound.any():
            continue
        if stem == "lead":
            lead_f0 = bands.heard(curve, sound)
        treated = bands.treat(rng, sound, part) * np.float32(10 ** (level_db / 20))
        stems[stem] = stems[stem] + treated if stem in stems else treated
    return stems, lead_f0


def _noise(rng: Generator) -> Sound:
    """A room without music: hum of the mains and noise, white to brown."""
    samples = round(SECONDS * RATE)
    time = np.arange(samples) / RATE
    mains, hum = pick(rng, (50, 60)), np.zeros(samples)
    for harmonic in range(1, 9):
        hum += rng.uniform(0, 1) / harmonic * np.sin(2 * np.pi * mains * harmonic * time + rng.uniform(0, 6))
    hiss = lfilter([1], [1, -rng.uniform(0, 0.98)], rng.standard_normal((samples, 2)), axis=0)
    return np.asarray(hiss / hiss.std() + rng.uniform(0, 2) * hum[:, np.newaxis] / hum.std(), np.float32)


def _balance(stems: dict[str, Sound], name: str, level_db: float) -> None:
    """Set the level of one stem, which sounds, against the sum of the others, if there are any."""
    rest = sum(stem for other, stem in stems.items() if other != name)
    wanted = effects.loudness(rest) if isinstance(rest, np.ndarray) else 0.1
    stems[name] = stems[name] * np.float32(wanted * 10 ** (level_db / 20) / max(effects.loudness(stems[name]), 1e-9))


def _master(plan: Plan, stems: dict[str, Sound], meta: dict[str, Any]) -> dict[str, Sound]:
    """The stems as the bus leaves them: what it does to the mix is a gain on all alike, so that they still add up."""
    rng = plan.rng(3)
    for name, stem in stems.items():
        narrow = effects.place(stem, 0, plan.width)
        stems[name] = effects.band(narrow, 0, plan.highest_hz, order=8)
    mix = np.asarray(sum(stems.values()))
    if rng.random() < 0.6:
        threshold_db = 20 * math.log10(effects.loudness(mix)) + rng.uniform(-6, 3)
        gain = effects.compression(mix, threshold_db, rng.uniform(1.5, 4), 0.01, rng.uniform(0.08, 0.3))
        stems, mix = {name: stem * gain for name, stem in stems.items()}, mix * gain
        meta["bus_compressor"] = True
    if rng.random() < 0.5:
        gain = effects.saturation(mix, rng.uniform(0.8, 3) / float(np.abs(mix).max()))
        stems, mix = {name: stem * gain for name, stem in stems.items()}, mix * gain
        meta["bus_saturation"] = True
    peak = max(float(np.abs(sound).max()) for sound in (mix, *stems.values()))
    level = np.float32(PEAK / peak * 10 ** (-rng.uniform(0, 12) / 20))
    return {name: stem * level for name, stem in stems.items()}
