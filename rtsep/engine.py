"""The signal path on one page, and `Engine`, its face in Python.

    samples -> STFT -> medians -> masks -> inverse STFT -> stems -> faders -> limiter -> samples

`process` below is that order. The sound card's callback, a file being rendered and `Engine.process` all call it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import float32, int64
from numpy.typing import ArrayLike, NDArray

from .dsp import hpss, masks, meters, mix, stft
from .errors import BadInput
from .kernel import compiling, kernel
from .parameters import INDEX, Parameters
from .settings import MOST_CHANNELS, STEMS, Settings

Sound = NDArray[np.float32]

_LAST = len(STEMS) - 1
_GAIN, _MUTE, _SOLO = (tuple(INDEX[f"{stem}.{what}"] for stem in STEMS) for what in ("gain_db", "mute", "solo"))
_LEVEL, _BYPASS, _LIMITER, _CEILING = (
    INDEX[id] for id in ("output.gain_db", "bypass", "limiter", "limiter.ceiling_db")
)
_BIAS, _SEPARATION, _EXPONENT, _BINARY = (INDEX[f"hpss.{what}"] for what in ("bias", "separation", "exponent", "mask"))


class State(NamedTuple):
    # written by the control thread
    targets: float32[::1]  # (parameters,) in the order of PARAMETERS
    # memory: cleared by reset
    phase: int64[::1]  # (1,) samples since the last frame
    stft: stft.State
    hpss: hpss.State
    mix: mix.State
    meters: meters.State
    # scratch: meaningless between calls
    dry: float32[:, ::1]  # (hop, channels) the delayed input
    magnitude: float32[::1]  # (bins,) of all channels together
    harmonic: float32[::1]  # (bins,) its median along time
    percussive: float32[::1]  # (bins,) its median along frequency
    masks: float32[:, ::1]  # (stems - 1, bins)


@kernel
def process(state, block, output, stems):
    """Take `block` (samples, channels); write `output` (the same shape) and `stems` (stems, samples, channels)."""
    samples, hop = block.shape[0], state.dry.shape[0]
    ceiling = _read_targets(state)
    done = 0
    while done < samples:
        phase = state.phase[0]
        end = min(done + hop - phase, samples)
        dry = state.dry[: end - done]
        stft.write(state.stft, phase, block[done:end], dry)
        mix.process(state.mix, ceiling, phase, dry, state.stft.ready, stems[:, done:end], output[done:end])
        state.phase[0] = phase + end - done
        if state.phase[0] == hop:
            state.phase[0] = 0
            _frame(state)
        done = end
    meters.process(state.meters, block, output, stems)


@kernel
def _frame(state):
    """A hop is full: one frame through the spectral domain."""
    stft.analyze(state.stft, state.magnitude)
    hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
    targets = state.targets
    masks.process(
        state.harmonic,
        state.percussive,
        targets[_BIAS],
        targets[_SEPARATION],
        targets[_EXPONENT],
        targets[_BINARY],
        state.masks,
    )
    stft.synthesize(state.stft, state.masks)


@kernel
def _read_targets(state):
    """Set the goals of the mix from the faders, mutes and solos; return the limiter's ceiling."""
    targets, goal = state.targets, state.mix.goal
    soloed = np.float32(0)
    for s in range(_LAST + 1):
        soloed += targets[_SOLO[s]]
    for s in range(_LAST + 1):
        heard = targets[_MUTE[s]] == 0 and (soloed == 0 or targets[_SOLO[s]] != 0)
        goal[s] = targets[_GAIN[s]] if heard else np.float32(0)
    goal[_LAST + 1] = targets[_LEVEL]
    goal[_LAST + 2] = targets[_BYPASS]
    return targets[_CEILING] if targets[_LIMITER] != 0 else np.float32(np.inf)


@kernel
def reset(state):
    """Forget the sound; parameters stay."""
    state.phase[0] = 0
    stft.reset(state.stft)
    hpss.reset(state.hpss)
    mix.reset(state.mix)
    meters.reset(state.meters)


def warm_up(told: Callable[[str], object] = lambda message: None) -> None:
    """Compile (or load from the cache) everything that `Engine` needs; `told` hears of it if it takes long."""
    with compiling("engine", told):
        engine = Engine()
        engine.prepare(sample_rate=48_000, channels=1, max_block=1)
        engine.process(np.zeros(1))
        engine.reset()


class Engine:
    """Un-mixes a stream of blocks. The same compiled code runs behind the sound card.

        engine = Engine(Settings(mode="balanced"))
        engine.prepare(sample_rate=48000, channels=2, max_block=1024)
        engine.parameters["percussive.gain_db"] = -12
        output = engine.process(block)          # float32 (samples, channels), delayed by engine.latency

    Parameters may be changed at any time from any thread. One thread at a time may process.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._targets = np.zeros(len(INDEX), np.float32)
        self.parameters = Parameters(self._targets)
        self.parameters["hpss.bias"] = self.settings.bias
        self.parameters["hpss.exponent"] = self.settings.exponent
        self._state: State | None = None

    def prepare(self, *, sample_rate: float, channels: int, max_block: int = 4096) -> None:
        """Allocate everything for blocks of 1 to `max_block` samples; forgets the sound, keeps the parameters.

        Parameters
        ----------
        sample_rate : Hz, 8,000 to 192,000
        channels : 1 to 8
        max_block : the longest block, samples

        Raises
        ------
        BadInput : for a value out of its range.
        """
        sizes = self.settings.sizes(sample_rate)
        if not 1 <= channels <= MOST_CHANNELS:
            raise BadInput(f"{channels} channels: an engine takes 1 to {MOST_CHANNELS}.")
        if max_block < 1:
            raise BadInput(f"max_block is {max_block}: it must be at least 1 sample.")
        self.sample_rate, self.channels, self.max_block, self.sizes = sample_rate, channels, max_block, sizes
        bins = sizes.window_size // 2 + 1
        self._state = State(
            targets=self._targets,
            phase=np.zeros(1, np.int64),
            stft=stft.prepare(sizes, channels, len(STEMS)),
            hpss=hpss.prepare(bins, sizes.harmonic_frames, sizes.percussive_bands, sizes.lookahead_frames),
            mix=mix.prepare(sample_rate, sizes.hop_size, len(STEMS)),
            meters=meters.prepare(sample_rate, len(STEMS)),
            dry=np.zeros((sizes.hop_size, channels), np.float32),
            magnitude=np.zeros(bins, np.float32),
            harmonic=np.zeros(bins, np.float32),
            percussive=np.zeros(bins, np.float32),
            masks=np.zeros((len(STEMS) - 1, bins), np.float32),
        )
        self._block = np.zeros((max_block, channels), np.float32)
        self._output = np.zeros((max_block, channels), np.float32)
        self._stems = np.zeros(len(STEMS) * max_block * channels, np.float32)

    @property
    def state(self) -> State:
        """The arrays that the compiled code works on; raises `BadInput` before `prepare`."""
        if self._state is None:
            raise BadInput("the engine is not prepared: call prepare(sample_rate=..., channels=...) first.")
        return self._state

    @property
    def latency(self) -> int:
        """Samples by which the output lags behind the input."""
        return self.state.stft.delayed.shape[1]

    @property
    def meters(self) -> meters.State:
        """The levels of the last moments: arrays `input`, `output` and `stems` (in the order of STEMS), linear."""
        return self.state.meters

    def reset(self) -> None:
        """Forget the sound; the next block starts afresh. Parameters stay, and count from the first sample on."""
        reset(self.state)

    def process(self, block: ArrayLike) -> Sound:
        """The mix of the stems for `block` (samples, channels), or (samples,) if mono; delayed by `latency`.

        Raises
        ------
        BadInput : for a block of another number of channels, longer than `max_block`, or of integers.
        """
        samples, mono = self._run(block)
        output = self._output[:samples].copy()
        return output[:, 0] if mono else output

    def process_stems(self, block: ArrayLike) -> dict[str, Sound]:
        """The stems of `block` before the faders, each of its shape; they add up to the input of `latency` ago."""
        samples, mono = self._run(block)
        stems = self._stems_of(samples).copy()
        return {stem: sound[:, 0] if mono else sound for stem, sound in zip(STEMS, stems, strict=True)}

    def _run(self, block: ArrayLike) -> tuple[int, bool]:
        """Process `block` into `_output` and `_stems`; its length, and whether it had but one axis."""
        state = self.state
        given = np.asarray(block)
        mono = given.ndim == 1 and self.channels == 1
        samples = len(given) if given.ndim else -1
        if not mono and (given.ndim != 2 or given.shape[1] != self.channels):
            raise BadInput(f"a block of shape {given.shape}: this engine takes (samples, {self.channels}).")
        if given.dtype.kind != "f":
            raise BadInput(f"a block of {given.dtype}: it must hold floats, full scale being -1 to 1.")
        if samples > self.max_block:
            raise BadInput(f"a block of {samples} samples: this engine is prepared for at most {self.max_block}.")
        self._block[:samples] = given[:, np.newaxis] if mono else given
        process(state, self._block[:samples], self._output[:samples], self._stems_of(samples))
        return samples, mono

    def _stems_of(self, samples: int) -> Sound:
        return self._stems[: len(STEMS) * samples * self.channels].reshape(len(STEMS), samples, self.channels)
