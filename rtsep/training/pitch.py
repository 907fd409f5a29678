"""Training the network of pitch (`rtsep.dsp.pitchnet`): what it hears of mixes, its twin that learns, and its scores.

First all but the recurrent layer learns from single frames which pitch is the voice's and which any lead's, or that
there is none, each pitch blurred a little (Bittner, McFee, Salamon, Li and Bello, "Deep salience representations for F0
estimation in polyphonic music", ISMIR 2017). Then the recurrent layer learns from what the rest, at work in the
engine's own kernel, makes of whole mixes when there is a voice. How the mean of that changes with the length of the
windows is measured at the rates where they are shortest and longest.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..dsp import pitchnet, windows
from ..dsp.pitchnet import HEADS, LOWEST_HZ, MAPS, MARGIN, OCTAVES, PER_OCTAVE, PITCHES, PLACES, SHIFTS, Network
from ..networks import untrained
from .effects import RATE
from .hearing import BALANCED, sizes_of, spectra, window
from .material import F0
from .mixes import Led, at
from .progress import Told, tenths

EVERY = 10
"""Frames from one that is learned from to the next: 58 ms."""

_LOCAL, _STACKED, _JOINED, _COLORED, _CONTEXT, _UNITS = 8, 16, 20, 16, 32, 24
_NEIGHBORS = 8  # rows that hear the octaves
_SHORTEST_AT, _LONGEST_AT = 48000, 32000  # Hz; of the windows
_FIRST = 20  # frames that are not learned from
_BLUR = 1.2  # pitches: standard deviation
_BATCH, _RATE = 96, 4e-3
_SEQUENCES, _LENGTH, _SETTLED, _RECURRENT_RATE = 32, 600, 30, 6e-3
_RIGHT = 2.5  # pitches: 50 cents


class Heard(NamedTuple):
    """What of a mix is learned from."""

    maps: NDArray[np.uint8]  # (frames, maps, places) 0 to 255
    f0: F0  # (frames, HEADS) Hz, 0 where there is none


class Net(nn.Module):
    """All but the recurrent layer, with the names of `pitchnet.Network`."""

    heights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(MAPS, _LOCAL, 5, padding=2)
        self.stack = nn.Conv1d(_LOCAL * len(SHIFTS), _STACKED, 1)
        self.height = nn.Conv1d(3, _STACKED, 1, bias=False)  # what a pitch is for being high or low
        self.second = nn.Conv1d(_STACKED, _JOINED, 3, padding=1)
        self.octaves = nn.Conv1d(_NEIGHBORS * len(OCTAVES), _JOINED, 1, bias=False)
        self.context = nn.Linear(2 * _JOINED + MAPS, _CONTEXT)
        self.color = nn.Linear(_CONTEXT, _COLORED)
        self.unvoiced = nn.Linear(_CONTEXT, HEADS)
        self.third = nn.Conv1d(_JOINED, _COLORED, 3, padding=1)
        self.last = nn.Conv1d(_COLORED, HEADS, 1)
        x = torch.linspace(-1, 1, PITCHES)
        self.register_buffer("heights", torch.stack([x, x**2, x**3])[None])

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (frames, HEADS, PITCHES + 1) of each pitch, and of none, for `maps` (frames, maps, places)."""
        local = _shifted(torch.relu(self.first(maps)), SHIFTS)
        stacked = torch.relu(self.stack(local) + self.height(self.heights))
        octaves = self.octaves(_shifted(stacked[:, :_NEIGHBORS], OCTAVES))
        joined = torch.relu(self.second(stacked) + octaves)
        pool = torch.cat([joined.amax(2), joined.mean(2), 4 * maps.mean(2)], 1)
        context = torch.relu(self.context(pool))
        colored = torch.relu(self.third(joined) + self.color(context)[:, :, None])
        return torch.cat([self.last(colored), self.unvoiced(context)[:, :, None]], 2)


class Memory(nn.Module):
    """The recurrent layer, on the context and the logits of no voice against all pitches."""

    mean: Tensor
    spread: Tensor
    drift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(_CONTEXT + HEADS))
        self.register_buffer("spread", torch.ones(_CONTEXT + HEADS))
        self.register_buffer("drift", torch.zeros(_CONTEXT + HEADS))
        self.enter = nn.Linear(_CONTEXT + HEADS, _UNITS)
        self.gates = nn.GRU(_UNITS, _UNITS, batch_first=True)
        self.leave = nn.Linear(_UNITS, HEADS)

    def forward(self, heard: Tensor) -> Tensor:
        """Logits (sequences, frames, HEADS) of a voice for `heard` (sequences, frames, context + HEADS)."""
        entered = torch.tanh(self.enter((heard - self.mean) / self.spread))
        logits: Tensor = self.leave(self.gates(entered)[0])
        return logits


def _shifted(rows: Tensor, shifts: Sequence[int]) -> Tensor:
    """The `rows` (frames, rows, places) as heard from each pitch by each of the `shifts`, zeros beyond their ends."""
    margin = max(max(shifts) + PITCHES - rows.shape[2], -min(shifts), 0)
    padded = functional.pad(rows, (margin, margin))
    return torch.cat([padded[:, :, margin + shift : margin + shift + PITCHES] for shift in shifts], 1)


def network(net: Net, memory: Memory) -> Network:
    """The weights as the engine takes them; mean and spread become part of the way into the recurrent layer."""
    w, m = net.state_dict(), memory.state_dict()

    def dense(weight: Tensor, bias: Tensor) -> Tensor:
        return torch.cat([weight.T, bias[None]])

    height = functional.conv1d(w["heights"], w["height.weight"])[0]
    enter = m["enter.weight"] / m["spread"]
    arrays = {
        "first": w["first.weight"].flatten(1),
        "first_bias": w["first.bias"][:, None],
        "stack": w["stack.weight"].flatten(1),
        "stack_bias": w["stack.bias"][:, None] + height,
        "second": torch.cat([w["second.weight"].flatten(1), w["octaves.weight"].flatten(1)], 1),
        "second_bias": w["second.bias"][:, None],
        "third": w["third.weight"].flatten(1),
        "third_bias": w["third.bias"][:, None],
        "last": w["last.weight"].flatten(1),
        "last_bias": w["last.bias"][:, None],
        **{name: dense(w[f"{name}.weight"], w[f"{name}.bias"]) for name in ("context", "color", "unvoiced")},
        "enter": dense(enter, m["enter.bias"] - enter @ m["mean"]),
        "gates": torch.stack([dense(m[f"gates.weight_{x}_l0"], m[f"gates.bias_{x}_l0"]) for x in ("ih", "hh")]),
        "leave": dense(m["leave.weight"], m["leave.bias"]),
        "drift": m["drift"],
    }
    return Network(**{name: array.numpy().astype(np.float32, "C") for name, array in arrays.items()})


def hear(rng: Generator, mix: Led) -> Heard:
    """What of a mix is learned from."""
    state, frames, f0 = _listen(mix, untrained().pitch)  # the maps alone are asked for
    kept = range(_FIRST + int(rng.integers(EVERY)), len(frames), EVERY)
    maps = np.zeros((len(kept), MAPS, PLACES), np.uint8)
    for t, frame in enumerate(frames):
        pitchnet.draw(state, frame)
        if t in kept:
            inside = state.maps[:, MARGIN : MARGIN + PLACES]
            maps[kept.index(t)] = np.rint(255 * inside)
    return Heard(maps, f0[kept.start :: EVERY])


def remembered(mix: Led, network: Network, rate: int = RATE) -> tuple[NDArray[np.float32], F0]:
    """What the recurrent layer hears in each frame of a mix, (frames, context + HEADS), and its F0 (frames, HEADS).

    The engine hears the mix at `rate`.
    """
    state, frames, f0 = _listen(mix, network, rate)
    heard, likelihood = [], np.zeros(PITCHES, np.float32)
    for frame in frames:
        pitchnet.process(state, frame, 0, likelihood)
        heard.append(state.heard.copy())
    return np.array(heard), f0


def drift(mix: Led, network: Network) -> NDArray[np.float32]:
    """What the mean of `remembered` (context + HEADS,) gains in windows that last e times as long."""
    (short, short_s), (long, long_s) = (
        (remembered(mix, network, rate)[0].mean(0), sizes_of(BALANCED, rate).window_size / rate)
        for rate in (_SHORTEST_AT, _LONGEST_AT)
    )
    return np.asarray((long - short) / np.float32(math.log(long_s / short_s)))


def _listen(mix: Led, network: Network, rate: int = RATE) -> tuple[pitchnet.State, NDArray[np.complex64], F0]:
    """A state, the spectra (frames, 1, bins) that it is to be given, and the F0 (frames, HEADS) in their middle."""
    sizes = sizes_of(BALANCED, rate)
    analysis = window(sizes)
    state = pitchnet.prepare(rate, sizes.window_size, sizes.hop_size, analysis.sum() / 2, network)
    step = int(state.peaks.stride[0]) * sizes.hop_size
    sound = mix.sound if rate == RATE else soxr.resample(mix.sound, RATE, rate)
    ends = np.arange(step, len(sound) + 1, step)
    # A peak's frequency is told by two frames.
    f0, lead_f0 = (at((ends - windows.center(analysis) - step / 2) / rate, curve) for curve in (mix.f0, mix.lead_f0))
    return state, spectra(sound, ends, sizes), np.stack([f0, np.where(f0 > 0, f0, lead_f0)], 1)


def train(paths: Sequence[Path], seed: int, epochs: float, told: Told) -> Net:
    """A network that has learned from single frames: those that `hear` found, in the files `paths` (.npz)."""
    torch.manual_seed(seed)
    rng, net = np.random.default_rng(seed), Net()
    maps, f0 = (np.concatenate([np.load(path)[name] for path in paths]) for name in Heard._fields)
    steps = max(int(epochs * len(maps) / _BATCH), 1)
    optimizer = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1, pct_start=0.15)
    order = np.concatenate([rng.permutation(len(maps)) for _ in range(math.ceil(epochs) + 1)])
    for step in tenths(range(steps), steps, told):
        drawn = order[step * _BATCH : (step + 1) * _BATCH]
        logits = net(_equalized(torch.from_numpy(maps[drawn]) / 255))
        optimizer.zero_grad()
        loss(logits, torch.from_numpy(f0[drawn])).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net


def _equalized(maps: Tensor) -> Tensor:
    """The `maps` (frames, maps, places), each frame's levels bent smoothly along the axis."""
    along, bend = torch.linspace(0, 1, maps.shape[2]), torch.zeros(len(maps), maps.shape[2])
    for turns in (0.5, 1, 1.5, 2.5):
        bend += torch.randn(len(maps), 1) * torch.cos(2 * math.pi * (turns * along + torch.rand(len(maps), 1)))
    return (maps * (1 + 0.075 * bend[:, None])).clamp(0, 1.2)


def loss(logits: Tensor, f0: Tensor) -> Tensor:
    """Cross entropy of `logits` (frames, HEADS, PITCHES + 1) and the truth `f0` (frames, HEADS)."""
    pitch = PER_OCTAVE * torch.log2(f0.clamp(min=1) / LOWEST_HZ)[:, :, None]
    near = torch.exp(-0.5 * ((torch.arange(PITCHES) - pitch) / _BLUR) ** 2) * ((pitch > -1) & (pitch < PITCHES))
    whole = near.sum(2, keepdim=True)
    truth = torch.cat([near / whole.clamp(min=1e-6), (whole < 1e-6).float()], 2)
    return -(truth * functional.log_softmax(logits, 2)).sum(2).mean()


def train_memory(
    heard: Sequence[tuple[NDArray[np.float32], F0]],
    drifts: Sequence[NDArray[np.float32]],
    seed: int,
    steps: int,
    told: Told,
) -> Memory:
    """A recurrent layer that has learned from what `remembered` and `drift` tell of mixes, which are of one length."""
    torch.manual_seed(seed)
    rng, memory = np.random.default_rng(seed), Memory()
    inputs, f0 = (torch.from_numpy(np.stack(parts)) for parts in zip(*heard, strict=True))
    truth = (f0 > 0).float()
    memory.mean[:] = inputs.mean((0, 1))
    memory.spread[:] = inputs.std((0, 1)) + 1e-3
    memory.drift[:] = torch.from_numpy(np.mean(drifts, 0))
    optimizer = torch.optim.AdamW(memory.parameters(), _RECURRENT_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RECURRENT_RATE, total_steps=steps + 1)
    for _ in tenths(range(steps), steps, told):
        drawn, begin = rng.choice(len(heard), _SEQUENCES), int(rng.integers(inputs.shape[1] - _LENGTH))
        x, y = inputs[drawn, begin : begin + _LENGTH], truth[drawn, begin : begin + _LENGTH]
        x = x + 0.05 * memory.spread * torch.randn(_SEQUENCES, 1, x.shape[2])
        optimizer.zero_grad()
        logits = memory(x)[:, _SETTLED:]
        functional.binary_cross_entropy_with_logits(logits, y[:, _SETTLED:]).backward()
        optimizer.step()
        schedule.step()
    return memory


def score(mix: Led, network: Network) -> NDArray[np.int64]:
    """Frames of a mix for each head (HEADS, 5): those with a pitch; where it is found; found but for the octave; all;
    those where it is known whether there is one.
    """
    counts = []
    for head in range(HEADS):
        state, frames, truth = _listen(mix, network)
        likelihood = np.zeros((len(frames), PITCHES), np.float32)
        voices = [pitchnet.process(state, frame, head, row) for frame, row in zip(frames, likelihood, strict=True)]
        led, voiced = truth[:, head] > 0, np.array(voices) > 0.5
        wrong = likelihood.argmax(1) - PER_OCTAVE * np.log2(np.maximum(truth[:, head], 1) / LOWEST_HZ)
        nearest = np.abs((wrong + PER_OCTAVE / 2) % PER_OCTAVE - PER_OCTAVE / 2)
        right = [led & (np.abs(wrong) <= _RIGHT), led & (nearest <= _RIGHT)]
        counts.append([led.sum(), *(each.sum() for each in right), led.size, (voiced == led).sum()])
    return np.array(counts)


def summary(scores: Iterable[NDArray[np.int64]]) -> dict[str, dict[str, float]]:
    """What `score` found in several mixes, in percent of their frames."""
    heads = {}
    for name, (led, right, chroma, frames, known) in zip(("voice", "any lead"), np.sum([*scores], 0), strict=True):
        parts = {"raw pitch": right / max(led, 1), "raw chroma": chroma / max(led, 1), "voicing": known / frames}
        heads[f"pitch of {name}, %"] = {part: round(100 * float(value), 1) for part, value in parts.items()}
    return heads
