"""One's own songs to train on: their stems, cut into items like those that `material` renders.

A song is a folder with `voice` or `lead`, and `drums` and `backing`, as .wav, .flac or what else soundfile reads, at
any rate. The F0 is measured on the voice alone (Morise, Kawahara and Katayose, "Fast and reliable F0 estimation method
based on the period extraction of vocal fold vibration of singing voice and speech", AES 35th International Conference,
2009).
"""

import importlib
from pathlib import Path

import numpy as np

from ..errors import BadInput, Unavailable
from ..offline.files import load
from .bands import heard
from .effects import RATE, Sound
from .material import F0, SECONDS, STEMS, write
from .tunes import FRAME_S
from .voices import HIGHEST_HZ, LOWEST_HZ

_SAMPLES = round(SECONDS * RATE)


def cut(folder: Path, target: Path) -> list[Path]:
    """Items in `target` from all songs in `folder`, but for the last seconds of each; those that are there stay.

    Raises
    ------
    BadInput : if there is no song, or one is too short, cannot be read, or has neither voice nor lead.
    Unavailable : if a package is missing or the disk is full.
    """
    songs = sorted({path.parent for stem in STEMS for path in folder.glob(f"*/{stem}.*")})
    if not songs:
        raise BadInput(f"{folder} holds no songs: put each in a folder there, with {', '.join(STEMS)} as .wav.")
    return [item for song in songs for item in _items(song, target)]


def _items(song: Path, target: Path) -> list[Path]:
    sounds = {stem: _read(path) for stem in STEMS for path in sorted(song.glob(f"{stem}.*"))[:1]}
    sung = [name for name in ("voice", "lead") if name in sounds]
    count = max(map(len, sounds.values())) // _SAMPLES
    if not sung or not count:
        raise BadInput(f"{song} has no voice and no lead, or not {SECONDS:g} seconds: give it voice.wav.")
    items = []
    for number in range(count):
        item = target / f"{song.parent.name}-{song.name}-{number:03}"
        items.append(item)
        if not item.exists():
            stems = {name: _piece(sound, number) for name, sound in sounds.items()}
            stems = {name: sound for name, sound in stems.items() if sound.any()}
            f0 = {"f0": _f0(stems, "voice"), "lead_f0": _f0(stems, "lead")}
            try:
                write(item, stems, f0, {"song": str(song)})
            except OSError as error:
                raise Unavailable(f"cannot make {item}: {error}.") from error
    return items


def _read(path: Path) -> Sound:
    """(samples, 2) at RATE."""
    sound = load(path, RATE)[0]
    return np.ascontiguousarray(np.stack((sound[:, 0], sound[:, -1]), 1))


def _piece(sound: Sound, number: int) -> Sound:
    """The seconds of an item, filled up with silence."""
    piece = sound[number * _SAMPLES : (number + 1) * _SAMPLES]
    return np.pad(piece, ((0, _SAMPLES - len(piece)), (0, 0)))


def _f0(stems: dict[str, Sound], name: str) -> F0:
    """The F0 (frames,) of a stem in Hz, 0 where it has none."""
    if name not in stems:
        return np.zeros(round(SECONDS / FRAME_S), np.float32)
    pyworld = importlib.import_module("pyworld")
    sound = stems[name].mean(1).astype(np.float64)
    f0, times = pyworld.dio(sound, RATE, LOWEST_HZ, HIGHEST_HZ, frame_period=1000 * FRAME_S)
    refined = pyworld.stonemask(sound, f0, times, RATE)[: round(SECONDS / FRAME_S)]
    return heard(refined, stems[name])
