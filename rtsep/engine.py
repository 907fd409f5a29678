"""`Engine`: the signal path (`chain.py`) in Python, with its settings, parameters and meters."""

import warnings
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import networks, own
from .chain import AHEAD, FADER, MIX, NOTHING, State, process, reset, room
from .dsp import hpss, key, learned, limiter, melody, meters, microphone, mix, nmf, noise, stft, windows
from .errors import BadInput
from .kernels import Image
from .parameters import INDEX, PARAMETERS, Parameters
from .settings import MOST_CHANNELS, ROOM, STEMS, Settings
from .templates import Templates, check_names

Sound = NDArray[np.float32]

LEARNED, LEFT = 78, 16
"""Most templates of a part that is learned while it sounds (six at thirteen pitches), and of all that is left."""

LEARNED_EXPONENT = 1.5
"""Of their masks: templates of two seconds are rough, and softer masks forgive more."""

_AHEAD_S = 0.06
"""Look-ahead from which on the masks are those of a network that was trained with it."""


def _split_by(templates: Templates | None, learn: int, bins: int) -> nmf.State:
    """A state that knows `templates`, or has room to `learn` so many parts."""
    if templates is None:
        state = nmf.prepare(bins, LEARNED * learn + LEFT, learn + 1) if learn else nmf.prepare(bins, 0, 0)
        nmf.fill(state, np.zeros((0, bins)), ())
        return state
    state = nmf.prepare(bins, len(templates.spectra), len(templates.parts))
    nmf.fill(state, templates.spectra, templates.part_of, templates.taken or 1)
    return state


def _split_of(settings: Settings) -> int:
    """What the state's `split` is to be."""
    if settings.ahead:
        return AHEAD
    if settings.templates is None:
        return NOTHING
    return MIX if settings.templates.splits == "mix" else STEMS.index(settings.templates.splits)


def _regions(score: ArrayLike) -> Sound:
    """A score as the kernels take it."""
    regions = np.asarray(score, np.float32)
    if regions.shape[1:] != (2,):
        raise BadInput(f"a score of shape {regions.shape}: it must be (rows, 2), lowest and highest F0 in Hz.")
    if not (regions >= 0).all() or (regions[:, 0] > regions[:, 1]).any():
        raise BadInput("a score holds a negative F0, no number, or a lowest above the highest: write 0, 0 for none.")
    return regions


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
        templates, parts, learn = self.settings.templates, self.settings.parts, self.settings.learn
        if learn:
            check_names(learn)
        defaults = {"hpss.bias": self.settings.bias, "hpss.exponent": self.settings.exponent}
        try:
            self._networks: networks.Networks | None = networks.load(self.settings.networks or networks.OURS)
            defaults["masks"] = PARAMETERS["masks"].check(self.settings.masks)
        except BadInput as error:
            self._networks, defaults["masks"] = None, 0
            warnings.warn(f"{error} The masks are the classic ones.", RuntimeWarning, stacklevel=2)
        if isinstance(templates, Templates):
            defaults |= {"templates.sweeps": templates.sweeps, "templates.exponent": templates.exponent}
        elif learn:
            defaults["templates.exponent"] = LEARNED_EXPONENT
        if self.settings.room:
            parts, learn, defaults[f"{ROOM}.gain_db"] = (*parts, ROOM), (*learn, ROOM), -np.inf
        self._targets = np.zeros(len(INDEX) + len(parts) * len(FADER) + len(learn), np.float32)
        self.parameters = Parameters(self._targets, defaults, parts, learn)
        self._state: State | None = None

    def prepare(
        self, *, sample_rate: float, channels: int, max_block: int = 4096, score: ArrayLike | None = None
    ) -> None:
        """Allocate everything for blocks of 1 to `max_block` samples; forgets the sound, keeps the parameters.

        Parameters
        ----------
        sample_rate : Hz, 8,000 to 192,000
        channels : 1 to 8
        max_block : the longest block, samples
        score : (rows, 2) lowest and highest F0 in Hz, where alone a melody is looked for, at each 10 ms of the sound;
            0 where there is none. `rtsep.offline.score.load` reads it from a file.

        Raises
        ------
        BadInput : for a value out of its range.
        """
        self._given: dict[str, Any] = {
            "sample_rate": sample_rate,
            "channels": channels,
            "max_block": max_block,
            "score": score,
        }
        sizes = self.settings.sizes(sample_rate)
        if not 1 <= channels <= MOST_CHANNELS:
            raise BadInput(f"{channels} channels: an engine takes 1 to {MOST_CHANNELS}.")
        regions = None if score is None else _regions(score)
        if max_block < 1:
            raise BadInput(f"max_block is {max_block}: it must be at least 1 sample.")
        self.sample_rate, self.channels, self.max_block, self.sizes = sample_rate, channels, max_block, sizes
        bins = sizes.window_size // 2 + 1
        given = self.settings.templates
        templates = given.fitted(sizes, sample_rate) if isinstance(given, Templates) else None
        analysis, _ = windows.pair(*sizes[:3])
        center = self._center = windows.center(analysis)
        trained = self._networks or networks.untrained()
        stages = own.prepare(self.settings.stages, sample_rate, sizes.hop_size, bins)
        stems, groups, index = self.stems, self.groups, {id: place for place, id in enumerate(self.parameters)}
        faders = (*stems, *groups)
        self._state = State(
            targets=self._targets,
            faders=np.array([[index[f"{fader}.{what}"] for what in FADER] for fader in faders]),
            moves=np.array(
                [[int(stem == fader or stem in groups.get(fader, ())) for stem in stems] for fader in faders]
            ),
            ducked=np.array([int(stem == "melody") for stem in stems]),
            trained=np.array([int(self._networks is not None)]),
            split=np.array([_split_of(self.settings)]),
            transposing=np.array([int(self.settings.transpose)]),
            position=np.zeros(1, np.int64),
            phase=np.zeros(1, np.int64),
            stft=stft.prepare(sizes, channels, len(stems)),
            noise=noise.prepare(
                sample_rate, sizes.hop_size, bins, sizes.lookahead_frames + 1 if self.settings.room else 0
            ),
            hpss=hpss.prepare(bins, sizes.harmonic_frames, sizes.percussive_bands, sizes.lookahead_frames),
            melody=melody.prepare(
                sample_rate,
                sizes.window_size,
                sizes.hop_size,
                center,
                trained.pitch,
                analysis.sum() / 2,
                sizes.lookahead_frames,
                regions,
                enabled=self.settings.melody,
            ),
            learned=learned.prepare(
                sample_rate,
                sizes.window_size,
                sizes.hop_size,
                trained.ahead if sizes.lookahead_frames * sizes.hop_size >= _AHEAD_S * sample_rate else trained.masks,
                sizes.lookahead_frames,
            ),
            nmf=_split_by(templates, len(self.settings.learn), bins),
            mix=mix.prepare(sample_rate, sizes.hop_size, len(stems)),
            key=key.prepare(sample_rate, channels),
            microphone=microphone.prepare(sample_rate, channels),
            limiter=limiter.prepare(sample_rate),
            meters=meters.prepare(sample_rate, len(stems), len(templates.pitches) if templates else 0),
            own=np.concatenate([*stages, np.zeros(0, np.float32)]),
            own_starts=np.cumsum([0, *map(len, stages)]),
            dry=np.zeros((sizes.hop_size, channels), np.float32),
            magnitude=np.zeros(bins, np.float32),
            harmonic=np.zeros(bins, np.float32),
            percussive=np.zeros(bins, np.float32),
            placed=np.zeros((channels, bins), np.complex64),
            place=np.zeros(bins, np.float32),
            share=np.zeros(bins, np.float32),
            whole=np.zeros((len(STEMS) - 1, bins), np.float32),
            portion=np.zeros(bins, np.float32),
            shares=np.zeros((len(templates.parts) if templates else len(self.settings.learn) + 1, bins), np.float32),
            masks=np.zeros((len(stems) - 1, bins), np.float32),
        )
        self.image = Image(self._state, self.settings.stages)
        """The state as the compiled code takes it."""
        self._block = np.zeros((max_block, channels), np.float32)
        self._voice = np.zeros((max_block, 1), np.float32)
        self._output = np.zeros((max_block, channels), np.float32)
        self._stems = room(len(stems), max_block, channels)

    def __repr__(self) -> str:
        if self._state is None:
            return f"<Engine {self.settings.mode}, not prepared>"
        latency = f"latency {self.latency / self.sample_rate * 1e3:.1f} ms"
        return f"<Engine {self.settings.mode}, {self.sample_rate:g} Hz, channels {self.channels}, {latency}>"

    def _repr_html_(self) -> str:
        """A table of the parameters that are not at their defaults, for notebooks."""
        moved = [each for each in self.parameters.values() if each.value != self.parameters.defaults[each.info.id]]
        rows = [f"<tr><th>{each.info.id}</th><td>{each.text}</td></tr>" for each in moved]
        return f"<table><caption>{escape(repr(self))}</caption>{''.join(rows)}</table>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has the settings and the parameters; it is prepared anew, and has heard nothing."""
        values = {id: control.value for id, control in self.parameters.items()}
        return _made, (self.settings, values, None if self._state is None else self._given)

    @property
    def state(self) -> State:
        """The arrays that the compiled code works on; raises `BadInput` before `prepare`."""
        if self._state is None:
            raise BadInput("the engine is not prepared: call prepare(sample_rate=..., channels=...) first.")
        return self._state

    @property
    def stage_states(self) -> list[Sound]:
        """The states of the stages of one's own: their numbers may be changed while it sounds."""
        starts = self.state.own_starts
        return [self.state.own[start:end] for start, end in pairwise(starts)]

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the stems, in the order of every array that has a row per stem."""
        return self.settings.stems

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The stems of each group."""
        return self.settings.groups

    @property
    def latency(self) -> int:
        """Samples by which the output lags behind the input. The microphone does not lag."""
        return self.stem_latency + (key.latency(self.sample_rate) if self.settings.transpose else 0)

    @property
    def full_scale(self) -> float:
        """The magnitude that a sine of full scale in all channels has in a frame, once prepared."""
        analysis, _ = windows.pair(*self.sizes[:3])
        return float(analysis.sum() / 2 * self.channels**0.5)

    @property
    def stem_latency(self) -> int:
        """Samples by which the stems lag behind the input: less than the output if the key may be changed."""
        return int(self.state.stft.delayed.shape[1])

    @property
    def meters(self) -> meters.State:
        """What may be read at any time.

        Arrays `input`, `output` and `stems` (in the order of `stems`) hold the levels of the last moments, linear; `f0`
        and `confidence` the melody, in Hz (0: none) and 0 to 1; `melody` (history, 2) both for the last frames, a
        ring, of which `frames` counts the rows. There a negative F0 is the likeliest pitch where there is no melody.
        `pitches` (heard, components), a ring of the same rows, holds the activations of templates that have pitches.
        """
        return self.state.meters

    @property
    def melody_onset(self) -> int:
        """Frames before a melody is believed, in which it sounded already: none where the network tells it."""
        if self._networks and self.parameters["masks"].value:
            return 0
        return int(self.state.melody.sure[0] * self.state.melody.salience.peaks.stride[0])

    def melody_time(self, frame: int) -> float:
        """Seconds into the input at which the melody of `frame` (counted from 0) sounded."""
        melody, sizes = self.state.melody, self.sizes
        held = (int(melody.salience.peaks.stride[0]) - 1) / 2  # hops, on an average
        late = melody.center[0] + sizes.hop_size * (sizes.lookahead_frames + held)
        return float(((frame + 1) * sizes.hop_size - late) / self.sample_rate)

    def frame_time(self, frame: int) -> float:
        """Seconds into the input of the middle of what `frame` (counted from 0) parts."""
        newest = (frame + 1 - self.sizes.lookahead_frames) * self.sizes.hop_size - 1
        return (newest - self._center) / self.sample_rate

    def reset(self) -> None:
        """Forget the sound; the next block starts afresh. Parameters stay, and count from the first sample on."""
        _ = self.state
        reset(self.image)

    def process(self, block: ArrayLike, microphone: ArrayLike | None = None) -> Sound:
        """The mix of the stems for `block` (samples, channels), or (samples,) if mono; delayed by `latency`.

        `microphone` (samples,) is mixed in without delay.

        Raises
        ------
        BadInput : for a block of another number of channels, longer than `max_block`, or of integers; for a
            microphone of another length.
        """
        samples, mono = self._run(block, microphone)
        output = self._output[:samples].copy()
        return output[:, 0] if mono else output

    def process_stems(self, block: ArrayLike) -> dict[str, Sound]:
        """The stems of `block` before the faders, each of its shape; they add up to the input of `latency` ago."""
        samples, mono = self._run(block)
        stems = self._stems[:, :samples].copy()
        return {stem: sound[:, 0] if mono else sound for stem, sound in zip(self.stems, stems, strict=True)}

    def _run(self, block: ArrayLike, microphone: ArrayLike | None = None) -> tuple[int, bool]:
        """Process `block` into `_output` and `_stems`; its length, and whether it had but one axis."""
        _ = self.state
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
        voice = self._voice[:samples, :0]
        if microphone is not None:
            sung = np.asarray(microphone)
            if sung.shape != (samples,) or sung.dtype.kind != "f":
                raise BadInput(f"a microphone of shape {sung.shape}, {sung.dtype}: it must be ({samples},) floats.")
            voice = self._voice[:samples]
            voice[:, 0] = sung
        if samples:
            process(self.image, self._block[:samples], voice, self._output[:samples], self._stems[:, :samples])
        return samples, mono


def _made(settings: Settings, values: dict[str, float], given: dict[str, Any] | None) -> Engine:
    """An engine like another one."""
    engine = Engine(settings)
    for id, value in values.items():
        engine.parameters[id] = value
    if given is not None:
        engine.prepare(**given)
    return engine
