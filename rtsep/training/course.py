"""From an empty folder to trained networks: material, mixes and what the networks hear of them, training, scores.

Each step leaves its results in the folder, and what is there is not done again, so that a course that was broken off
goes on. All is drawn from the seed: on one machine, the same seed makes the same weights.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import nn

from .. import disk, networks
from ..dsp import learned, pitchnet
from ..dsp.learned import AHEAD, FEATURES
from ..errors import BadInput, Unavailable
from ..library import warm_up
from ..networks import Networks
from . import masks, mixes, pitch
from .hearing import BALANCED, QUALITY
from .material import F0, SECONDS, render
from .progress import Told, step, tenths
from .songs import cut

LED, REMEMBERED, DRIFTED, HELD = 1220, 320, 40, 40
"""Mixes with known pitch: to learn from, of these so many for the recurrent layer and of these for how what it hears
changes with the length of the windows, and others for the scores.
"""

MODES = {BALANCED: FEATURES, QUALITY: FEATURES + AHEAD}
"""Those in which masks are learned, in the order of their networks, and how many features are heard there."""

EPOCHS, MEMORY_STEPS, MASKS_STEPS = 4.5, 800, 5250
OFTEN = 3
"""How often one's own songs count."""

RECIPE = (
    "pitch: cross entropy of single frames, then a recurrent layer on whole mixes; masks: phase-sensitive ones, told "
    "true pitches with mistakes, without and with look-ahead; AdamW, one cycle each"
)

_LED, _PARTED, _HELD = range(3)  # parts of the seeds of mixes


class Ground(NamedTuple):
    """What mixes are made from."""

    root: Path
    seed: int
    items: list[Path]

    def rng(self, purpose: int, number: int) -> Generator:
        """A generator for one mix, the same each time."""
        return np.random.default_rng([self.seed, purpose, number])


def run(
    folder: str | os.PathLike[str],
    minutes: float = 180,
    seed: int = 1,
    jobs: int = 2,
    songs: Sequence[str] = (),
    effort: float = 1,
    told: Told = print,
) -> Path:
    """Train both networks; returns their file, `folder`/networks.npz.

    Parameters
    ----------
    folder : for all that is made on the way, 6 GB
    minutes : of material, 2 or more
    seed : another makes other material, mixes and weights
    jobs : processes
    songs : folders of songs as `rtsep.training.songs` takes them, which are learned from too
    effort : part of the mixes and steps; less is faster and worse
    told : hears what is done and how long it takes

    Raises
    ------
    BadInput : for values out of range, songs that cannot be used, and a folder that was begun with others.
    Unavailable : if a program, sound font or package is missing, or the disk is full.
    """
    root = Path(folder)
    if not (minutes >= 2 and effort > 0 and jobs >= 1):
        raise BadInput(f"{minutes:g} minutes, effort {effort:g}, {jobs} jobs: at least 2, more than 0, at least 1.")
    names = [str(Path(song).resolve()) for song in songs]
    _begin(root, {"minutes": minutes, "seed": seed, "songs": names, "effort": effort})
    with step(f"{minutes:g} minutes of material", told):
        count = round(60 * minutes / SECONDS)
        material = list(tenths(render(root / "material", minutes, seed, jobs), count, told))
    own = [item for song in songs for item in cut(Path(song), root / "songs")]
    held = [item for item in material if item.name.endswith("7")]
    items = [item for item in material if item not in held] + OFTEN * own
    with step("kernels", told):
        warm_up()
    torch.set_num_threads(1)  # sums in another order would be others
    with ProcessPoolExecutor(jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        trained = _train(Ground(root, seed, items), pool, effort, told)
        with step("scores", told):
            networks.save(root / "unscored.npz", trained)
            ground, few = Ground(root, seed, held), _part(effort, HELD)
            scores = pitch.summary(pool.map(partial(_score_pitch, ground, trained.pitch), range(few)))
            for mode in MODES:
                scores |= masks.summary(pool.map(partial(_score_masks, ground, mode), range(len(held))), mode)
    told(json.dumps(scores, indent=1))
    data = f"{len(material)} items of rendered songs and {len(own)} of the user's, at 44.1 kHz"
    path = root / "networks.npz"
    networks.save(path, trained, recipe=RECIPE, seed=seed, effort=effort, data=data, scores=scores)
    return path


def _begin(root: Path, arguments: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other `arguments`: what is there would not be what they ask for."""
    path = root / "arguments.json"
    if not path.exists():
        disk.write(path, json.dumps(arguments).encode())
    elif json.loads(path.read_text()) != arguments:
        raise BadInput(f"{root} was begun with {path.read_text()}: go on with these, or choose another folder.")


def _train(ground: Ground, pool: ProcessPoolExecutor, effort: float, told: Told) -> Networks:
    root, seed, items = ground
    net, memory = pitch.Net(), pitch.Memory()
    count = _part(effort, LED)
    with step(f"{count} mixes with known pitch", told):
        led = list(tenths(pool.map(partial(_led, ground), range(count)), count, told))
    with step("training the network of pitch", told):
        _learn(root / "pitch.pt", net, lambda: pitch.train(led, seed, EPOCHS, told))
    with step("training its recurrent layer", told):
        whole, some = range(_part(effort, REMEMBERED)), range(_part(effort, DRIFTED))
        steps, known = _part(effort, MEMORY_STEPS), pitch.network(net, memory)
        hear, drift = partial(_remembered, ground, known), partial(_drift, ground, known)
        _learn(
            root / "memory.pt",
            memory,
            lambda: pitch.train_memory([*pool.map(hear, whole)], [*pool.map(drift, some)], seed, steps, told),
        )
    trained = networks.untrained()._replace(pitch=pitch.network(net, memory))
    networks.save(root / "pitch.npz", trained)
    parted = {}
    for mode in MODES:
        with step(f"{len(items)} mixes with known stems, {mode}", told):
            parted[mode] = list(tenths(pool.map(partial(_parted, ground, mode), range(len(items))), len(items), told))
    with step("training the networks of masks", told):
        learn = partial(_learned, root, seed, _part(effort, MASKS_STEPS))
        return Networks(trained.pitch, *pool.map(learn, MODES, parted.values()))


def _part(effort: float, count: int) -> int:
    return max(round(effort * count), 1)


def _learn(path: Path, net: nn.Module, train: Callable[[], nn.Module]) -> None:
    """Give `net` the weights in the file `path`, which training writes if it is not there."""
    if not path.exists():
        weights = train().state_dict()
        _write(path, lambda file: torch.save(weights, file))
    net.load_state_dict(torch.load(path, weights_only=True))


def _learned(root: Path, seed: int, steps: int, mode: str, parted: list[Path]) -> learned.Network:
    net = masks.Net(MODES[mode], *masks.ROWS)
    _learn(root / f"masks-{mode}.pt", net, lambda: masks.train(parted, seed, steps))
    return net.network()


def _write(path: Path, save: Callable[[IO[bytes]], None]) -> None:
    """Make a file, all or nothing."""
    begun = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        with begun.open("wb") as file:
            save(file)
        os.replace(begun, path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}.") from error


def _led(ground: Ground, number: int) -> Path:
    path = ground.root / "led" / f"{number:05}.npz"
    if not path.exists():
        rng = ground.rng(_LED, number)
        heard = pitch.hear(rng, mixes.led(rng, ground.items))
        _write(path, lambda file: np.savez(file, **heard._asdict()))
    return path


def _parted(ground: Ground, mode: str, number: int) -> Path:
    path = ground.root / f"parted-{mode}" / f"{number:05}.npy"
    if not path.exists():
        rng = ground.rng(_PARTED, number)
        mix = mixes.parted(rng, ground.items[number], ground.items)
        f0 = mixes.mistaken(rng, mix.f0, rng.uniform(0, 0.5))
        heard = masks.hear(rng, mix, f0, ground.root / "pitch.npz", mode)
        _write(path, lambda file: np.save(file, heard))
    return path


def _remembered(ground: Ground, network: pitchnet.Network, number: int) -> tuple[NDArray[np.float32], F0]:
    return pitch.remembered(mixes.led(ground.rng(_LED, number), ground.items), network)


def _drift(ground: Ground, network: pitchnet.Network, number: int) -> NDArray[np.float32]:
    return pitch.drift(mixes.led(ground.rng(_LED, number), ground.items), network)


def _score_pitch(ground: Ground, network: pitchnet.Network, number: int) -> NDArray[np.int64]:
    return pitch.score(mixes.led(ground.rng(_HELD, number), ground.items), network)


def _score_masks(ground: Ground, mode: str, number: int) -> NDArray[np.float64]:
    mix = mixes.parted(ground.rng(_HELD, number), ground.items[number], ground.items)
    return masks.score(mix, ground.root / "unscored.npz", mode)
