"""Training the network of masks (`rtsep.dsp.learned`): what it hears of mixes, its twin that learns, its scores.

It learns phase-sensitive masks. The loss is the logarithm of the error's part in a mix, as SI-SDR is, so that each mix
counts the same however hard it is. The pitches that it hears are true ones with mistakes, followed by the engine as a
score is: had it the tracker's own, it would learn to tell the synthetic voices by their sound and believe no pitch.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from ..chain import State, process, room
from ..dsp import learned
from ..dsp.learned import REACH
from ..engine import Engine
from ..offline.evaluate import si_sdr
from ..settings import STEMS, Settings
from .effects import RATE, Sound
from .hearing import sizes_of, spectra
from .material import F0
from .mixes import Parted

EVERY_S = 0.046
"""Seconds from one frame that is learned from to the next."""

ROWS = (40, 40, 24)
MIXES, FRAMES = 8, 8
"""Of a step: so many frames of so many mixes."""

_WANTED = 3  # rows behind the features
_RATE = 4e-3  # the highest of the learning rate
_LOUDEST = 30.0  # weight of a band, in units of the mix's RMS
_TOLERANCE = 1e-3  # part of the mix below which an error is none
_NEAR = 2 ** (30 / 1200)  # a score lets a pitch be off by this much
_LOWEST_HZ, _HIGHEST_HZ = 80.0, 1100.0  # where the engine looks for a melody


class Net(nn.Module):
    """The layers of `learned.Network`, and the mean and spread of its features.

    So many `features` come in, and the layers give `one`, `two` and `three` rows.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, features: int, one: int, two: int, three: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features, 1))
        self.register_buffer("spread", torch.ones(features, 1))
        self.first = nn.Conv1d(features, one, 1)
        self.second = nn.Conv1d(one, two, 3, padding=1, padding_mode="replicate")
        self.third = nn.Conv1d(two, three, 3, padding=REACH, dilation=REACH, padding_mode="replicate")
        self.last = nn.Conv1d(three, 3, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Masks (frames, 3, bands) for `features` (frames, features, bands)."""
        x = torch.relu(self.first((features - self.mean) / self.spread))
        x = torch.relu(self.third(torch.relu(self.second(x))))
        return torch.softmax(self.last(x), 1)

    def network(self) -> learned.Network:
        """The weights as the engine takes them; mean and spread become part of the first layer."""
        w = self.state_dict()
        first = w["first.weight"][:, :, 0] / w["spread"][:, 0]
        weights = first, w["second.weight"], w["third.weight"], w["last.weight"][:, :, 0]
        biases = w["first.bias"] - first @ w["mean"][:, 0], w["second.bias"], w["third.bias"], w["last.bias"]
        return learned.Network(*(array.numpy().astype(np.float32, "C") for array in (*weights, *biases)))


def hear(rng: Generator, mix: Parted, f0: F0, path: Path, mode: str) -> NDArray[np.float16]:
    """What of a mix is learned from, (frames, features + 3, bands): features, the masks of percussive and melody that
    are wanted, and the magnitude in units of the mix's RMS. The engine in this `mode`, with the networks in the file
    `path`, is told that the melody is near `f0` (rows,).
    """
    sound, sizes = mix.stems.sum(0), sizes_of(mode)
    hop, late = sizes.hop_size, sizes.lookahead_frames * sizes.hop_size
    state = _listening(path, mode, np.where((f0 >= _LOWEST_HZ) & (f0 <= _HIGHEST_HZ), f0, 0))
    edges = state.learned.edges[:-1]
    every = round(EVERY_S * RATE / hop)
    ends = hop * np.arange(1 + rng.integers(every), (len(sound) - late) // hop + 1, every)
    features, begin = np.zeros((len(ends), len(state.learned.features), len(edges)), np.float32), 0
    for row, end in zip(features, (ends + late).tolist(), strict=True):
        _process(state, sound[begin:end])
        row[:] = state.learned.features[:, REACH : REACH + len(edges)]
        begin = end
    frames = spectra(sound, ends, sizes)
    power = np.add.reduceat((np.abs(frames) ** 2).sum(1), edges, axis=1)
    wanted = []
    for stem in mix.stems[:2]:
        common = np.add.reduceat((spectra(stem, ends, sizes) * frames.conj()).real.sum(1), edges, axis=1)
        wanted.append(np.clip(common / (power + 1e-12), -1, 2))
    magnitude = np.sqrt(power / power.mean())
    return np.concatenate([features, np.stack([*wanted, magnitude], 1)], 1).astype(np.float16)


def score(mix: Parted, path: Path, mode: str) -> NDArray[np.float64]:
    """SI-SDR in dB of the rest, percussive, melody and the rest of it (4,), NaN where there is none.

    By the networks in the file `path` in this `mode`.
    """
    sound, state = mix.stems.sum(0), _listening(path, mode)
    late = state.stft.delayed.shape[1]
    stems = _process(state, np.pad(sound, ((0, late), (0, 0))))[:, late:]
    scores = []
    for truth, stem in zip(mix.stems[:2], stems[:2], strict=True):
        heard = 1e-3 < (truth**2).sum() / (sound**2).sum() < 1 - 1e-3
        scores.append([si_sdr(*pair) if heard else np.nan for pair in ((truth, stem), (sound - truth, sound - stem))])
    return np.array([*reversed(scores[0]), *scores[1]])


def summary(scores: Iterable[NDArray[np.float64]], mode: str) -> dict[str, dict[str, float]]:
    """What `score` found in several mixes: means in dB over those that have the stem."""
    names = ("harmonic", "percussive", "melody", "rest")
    columns = {name: column[~np.isnan(column)] for name, column in zip(names, np.array([*scores]).T, strict=True)}
    return {
        f"SI-SDR, {mode}, dB": {name: round(float(found.mean()), 2) for name, found in columns.items() if len(found)}
    }


def _listening(path: Path, mode: str, f0: F0 | None = None) -> State:
    """The engine with the networks in the file `path`, told that the melody is near `f0` if that is given."""
    engine = Engine(Settings(mode, networks=str(path)))
    near = None if f0 is None else np.stack([f0 / _NEAR, f0 * _NEAR], 1)
    engine.prepare(sample_rate=RATE, channels=2, max_block=1, score=near)
    return engine.state


def _process(state: State, block: Sound) -> Sound:
    """The stems (stems, samples, 2) of a `block` (samples, 2)."""
    stems = room(len(STEMS), len(block), 2)[:, :-1]
    process(state, block, np.zeros((len(block), 0), np.float32), np.zeros_like(block), stems)
    return stems


def train(paths: Sequence[Path], seed: int, steps: int) -> Net:
    """A network that has learned from what `hear` found, in the files `paths` (.npy)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sample = np.concatenate([_drawn(rng, paths)[:, :-_WANTED] for _ in range(24)])
    net = Net(sample.shape[1], *ROWS)
    net.mean[:, 0] = torch.from_numpy(sample.mean((0, 2)))
    net.spread[:, 0] = torch.from_numpy(sample.std((0, 2)) + 1e-3)
    optimizer = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1)
    for _ in range(steps):
        batch = torch.from_numpy(_drawn(rng, paths))
        optimizer.zero_grad()
        loss(net(batch[:, :-_WANTED]), batch[:, -_WANTED:]).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return net


def loss(masks: Tensor, truth: Tensor) -> Tensor:
    """Of `masks` (mixes x FRAMES, 3, bands) against `truth` (mixes x FRAMES, 3, bands), the last rows of what is heard.

    The error's power counts, and half as much its magnitude, where faint sounds have a say.
    """
    wanted, magnitude = truth[:, :2], truth[:, 2:].clamp(max=_LOUDEST)
    wrong = masks[:, :2] - wanted
    errors = torch.cat([wrong, wrong.sum(1, keepdim=True)], 1) ** 2  # the last is that of the harmony
    total = torch.zeros(())
    for exponent, share in ((2, 1.0), (1, 0.5)):
        weight = magnitude**exponent
        wrong, whole = (x.unflatten(0, (-1, FRAMES)).sum((1, 3)) for x in (weight * errors, weight))
        logarithms = torch.log(wrong / (whole + 1e-6) + _TOLERANCE).mean(0)
        total = total + share * (logarithms * torch.tensor([1, 1, 0.5])).sum()
    return total


def _drawn(rng: Generator, paths: Sequence[Path]) -> NDArray[np.float32]:
    """FRAMES of each of MIXES, the frames of each together."""
    drawn = []
    for number in rng.choice(len(paths), MIXES):
        heard = np.load(paths[number], mmap_mode="r")
        drawn.append(heard[np.sort(rng.choice(len(heard), FRAMES, replace=False))])
    return np.concatenate(drawn).astype(np.float32)
