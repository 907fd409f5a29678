"""The signal path on one page, and `Engine`, its face in Python.

    samples -> STFT -> noise -> medians, melody -> masks -> templates -> inverse STFT
            -> stems -> faders -> key -> + microphone -> limiter

`process` below is that order. The sound card's callback, a file being rendered and `Engine.process` all call it.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import networks
from .dsp import hpss, key, learned, limiter, masks, melody, meters, microphone, mix, nmf, noise, panning, stft, windows
from .errors import BadInput
from .kernel import Image, complex64, float32, int64, kernel
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

_NOTHING, _MIX, _AHEAD = -1, -2, -3  # what templates split: the mix into parts alone, or into parts and what is left
_FADER = ("gain_db", "mute", "solo")
_GAIN, _MUTE, _SOLO = range(3)
_LEVEL, _MUTED, _BYPASS, _LIMITER, _CEILING, _KEY, _LOW, _HIGH, _PAN, _WIDTH, _LEAD, _DUCK = (
    INDEX[id]
    for id in (
        "output.gain_db",
        "output.mute",
        "bypass",
        "limiter",
        "limiter.ceiling_db",
        "key.semitones",
        "melody.low_hz",
        "melody.high_hz",
        "melody.pan",
        "melody.pan_width",
        "melody.lead",
        "melody.duck",
    )
)
_MASKS = INDEX["masks"]
_BIAS, _SEPARATION, _EXPONENT, _BINARY = (INDEX[f"hpss.{what}"] for what in ("bias", "separation", "exponent", "mask"))
_SOLVER, _SWEEPS, _SPARSITY, _SMOOTHNESS, _SHARPNESS = (
    INDEX[f"templates.{what}"] for what in ("solver", "sweeps", "sparsity", "smoothness", "exponent")
)
_MICROPHONE, _SILENT, _HIGH_PASS, _GATE, _REVERB = (
    INDEX[f"microphone.{what}"] for what in ("gain_db", "mute", "high_pass_hz", "gate_db", "reverb_db")
)


class State(NamedTuple):
    # written by the control thread
    targets: float32[::1]  # (parameters,) in the order of the engine's parameters
    # tables: read only
    faders: int64[:, ::1]  # (faders, 3) where the gain, mute and solo of each stem and group are among the targets
    moves: int64[:, ::1]  # (faders, stems) whether it moves the stem
    ducked: int64[::1]  # (stems,) whether it rests with the melody
    trained: int64[::1]  # (1,) whether there are networks
    split: int64[::1]  # (1,) the row of `whole` that templates split, or _NOTHING, _MIX, _AHEAD
    transposing: int64[::1]  # (1,) whether the key may be changed
    # memory: cleared by reset
    position: int64[::1]  # (1,) of the next sample in the song, for its score; a player sets it
    phase: int64[::1]  # (1,) samples since the last frame
    stft: stft.State
    noise: noise.State
    hpss: hpss.State
    melody: melody.State
    learned: learned.State
    nmf: nmf.State
    mix: mix.State
    key: key.State
    microphone: microphone.State
    limiter: limiter.State
    meters: meters.State
    # scratch: meaningless between calls
    dry: float32[:, ::1]  # (hop, channels) the delayed input
    magnitude: float32[::1]  # (bins,) of all channels together
    harmonic: float32[::1]  # (bins,) its median along time
    percussive: float32[::1]  # (bins,) its median along frequency
    placed: complex64[:, ::1]  # (channels, bins) what of a frame sounds where the melody is looked for
    place: float32[::1]  # (bins,) part of a frame that does
    share: float32[::1]  # (bins,) that the melody has in it
    whole: float32[:, ::1]  # (percussive, melody and harmony, bins) masks
    portion: float32[::1]  # (bins,) magnitude of what templates split
    shares: float32[:, ::1]  # (parts, bins) that the parts have in it
    masks: float32[:, ::1]  # (stems - 1, bins)


@kernel
def process(state, block, voice, output, stems):
    """Take `block` (samples, channels) and `voice` (samples, 1), or (samples, 0) if there is no microphone.

    Write `output`, shaped like `block`, and `stems` (stems, samples, channels).
    """
    samples, hop = block.shape[0], state.dry.shape[0]
    _read_faders(state)
    done = 0
    while done < samples:
        phase = state.phase[0]
        end = min(done + hop - phase, samples)
        dry = state.dry[: end - done]
        stft.write(state.stft, phase, block[done:end], dry)
        mix.process(state.mix, phase, dry, state.stft.ready, stems[:, done:end], output[done:end])
        state.position[0] += end - done
        state.phase[0] = phase + end - done
        if state.phase[0] == hop:
            state.phase[0] = 0
            _frame(state)
        done = end
    _finish(state, voice, output)
    meters.process(state.meters, block, output, stems)


@kernel
def _frame(state):
    """A hop is full: one frame through the spectral domain."""
    targets, by_network = state.targets, state.targets[_MASKS] != 0 and state.trained[0] != 0
    stft.analyze(state.stft, state.magnitude)
    newest, due = state.stft.newest[0], stft.due(state.stft)
    noise.process(state.noise, newest, state.magnitude)
    hpss.process(state.hpss, state.magnitude, state.harmonic, state.percussive)
    panning.process(state.stft.spectra[newest], targets[_PAN], targets[_WIDTH], state.placed, state.place)
    noise.take_out(state.noise, newest, state.placed)
    melody.process(
        state.melody,
        state.placed,
        state.hpss.history[hpss.due(state.hpss)],
        targets[_LOW],
        targets[_HIGH],
        state.position[0],
        int(targets[_LEAD]) if by_network else -1,
        state.share,
    )
    panning.process(state.stft.spectra[due], targets[_PAN], targets[_WIDTH], state.placed, state.place)
    meters.note(state.meters, state.melody.f0[0], state.melody.likeliest[0], state.melody.confidence[0])
    if state.split[0] != _MIX:  # else templates explain all of it
        _tell_apart(state, by_network)
    _split(state, state.hpss.history[hpss.due(state.hpss)])
    noise.weigh(state.noise, due, state.masks)
    meters.hear(state.meters, state.nmf.activations)
    stft.synthesize(state.stft, state.masks)


@kernel
def _tell_apart(state, by_network):
    """Write the masks of percussive, melody and harmony."""
    targets = state.targets
    if by_network:
        learned.process(
            state.learned,
            state.magnitude,
            state.melody.place,
            state.melody.weight,
            state.melody.gate[0],
            state.share,
            state.whole,
        )
        for k in range(state.place.shape[0]):  # the network may hear one even so
            state.place[k] *= state.melody.open[0]
        masks.place(state.place, state.whole)
    else:
        learned.hear(state.learned, state.magnitude)  # so that it knows the past when it is chosen
        for k in range(state.share.shape[0]):
            state.share[k] *= state.place[k]
        masks.process(
            state.harmonic,
            state.percussive,
            state.share,
            targets[_BIAS],
            targets[_SEPARATION],
            targets[_EXPONENT],
            targets[_BINARY],
            state.whole,
        )


@kernel
def _split(state, magnitude):
    """From the masks of percussive, melody and harmony to those of the stems, for a frame of `magnitude` (bins,)."""
    row, split = 0, state.split[0]
    if split == _MIX:
        _explain(state, magnitude, state.masks[: state.shares.shape[0]])
        return
    if split == _AHEAD:
        row = _take_out(state, magnitude)
    for m in range(state.whole.shape[0]):
        mask = state.whole[m]
        if m != split:
            whole = state.masks[row]
            for k in range(whole.shape[0]):
                whole[k] = mask[k]
            row += 1
            continue
        for k in range(mask.shape[0]):
            state.portion[k] = mask[k] * magnitude[k]
        _explain(state, state.portion, state.shares)
        for p in range(state.shares.shape[0]):
            share, part = state.shares[p], state.masks[row]
            for k in range(part.shape[0]):
                part[k] = share[k] * mask[k]
            row += 1


@kernel
def _explain(state, magnitude, shares):
    """Write the `shares` (parts, bins) that templates give their parts in `magnitude` (bins,)."""
    targets = state.targets
    nmf.process(
        state.nmf,
        magnitude,
        int(targets[_SOLVER]),
        int(targets[_SWEEPS]),
        targets[_SPARSITY],
        targets[_SMOOTHNESS],
        targets[_SHARPNESS],
        shares,
    )


@kernel
def _take_out(state, magnitude):
    """Write the masks of the parts and weigh the others by what they leave; how many parts there are."""
    _explain(state, magnitude, state.shares)
    if nmf.empty(state.nmf):
        state.shares[-1] = 1
    parts, left = state.shares.shape[0] - 1, state.shares[-1]
    for p in range(parts):
        share, part = state.shares[p], state.masks[p]
        for k in range(part.shape[0]):
            part[k] = share[k]
    for m in range(state.whole.shape[0]):
        mask = state.whole[m]
        for k in range(mask.shape[0]):
            mask[k] *= left[k]
    return parts


@kernel
def _finish(state, voice, output):
    """What comes after the faders, on the `output` (samples, channels) in place."""
    targets = state.targets
    if state.transposing[0] != 0:
        key.process(state.key, targets[_KEY] if targets[_BYPASS] == 0 else np.float32(0), output)
    if voice.shape[1] != 0:
        heard = targets[_MUTED] == 0
        gain = targets[_MICROPHONE] if heard and targets[_SILENT] == 0 else np.float32(0)
        reverb = targets[_REVERB] if heard else np.float32(0)
        microphone.process(state.microphone, gain, targets[_HIGH_PASS], targets[_GATE], reverb, voice, output)
    limiter.process(state.limiter, targets[_CEILING] if targets[_LIMITER] != 0 else np.float32(np.inf), output)


@kernel
def _read_faders(state):
    """Set the goals of the mix: a stem's own fader, mute and solo, and those of the groups that it is in."""
    targets, goal = state.targets, state.mix.goal
    faders, moves, stems = state.faders, state.moves, state.moves.shape[1]
    soloed = np.float32(0)
    for f in range(faders.shape[0]):
        soloed += targets[faders[f, _SOLO]]
    for s in range(stems):
        gain, heard = np.float32(1), soloed == 0
        for f in range(faders.shape[0]):
            if moves[f, s] != 0:
                gain *= targets[faders[f, _GAIN]] if targets[faders[f, _MUTE]] == 0 else np.float32(0)
                heard = heard or targets[faders[f, _SOLO]] != 0
        resting = state.ducked[s] != 0 and targets[_DUCK] != 0
        goal[s] = gain if heard and not resting else np.float32(0)
    goal[stems] = targets[_LEVEL]
    goal[stems + 1] = targets[_BYPASS]
    goal[stems + 2] = np.float32(1) - targets[_MUTED]


@kernel
def reset(state):
    """Forget the sound; parameters stay."""
    state.position[0] = 0
    state.phase[0] = 0
    stft.reset(state.stft)
    noise.reset(state.noise)
    hpss.reset(state.hpss)
    melody.reset(state.melody)
    learned.reset(state.learned)
    nmf.reset(state.nmf)
    mix.reset(state.mix)
    key.reset(state.key)
    microphone.reset(state.microphone)
    limiter.reset(state.limiter)
    meters.reset(state.meters)


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
        return _AHEAD
    if settings.templates is None:
        return _NOTHING
    return _MIX if settings.templates.splits == "mix" else STEMS.index(settings.templates.splits)


def _regions(score: ArrayLike) -> Sound:
    """A score as the kernels take it."""
    regions = np.asarray(score, np.float32)
    if regions.shape[1:] != (2,):
        raise BadInput(f"a score of shape {regions.shape}: it must be (rows, 2), lowest and highest F0 in Hz.")
    if not (regions >= 0).all() or (regions[:, 0] > regions[:, 1]).any():
        raise BadInput("a score holds a negative F0, no number, or a lowest above the highest: write 0, 0 for none.")
    return regions


def room(stems: int, samples: int, channels: int) -> Sound:
    """Room for the `stems` of blocks of at most `samples`, to be given to `process` as room[:, :samples].

    One sample longer, so that this is never contiguous: for that type too all would have to be compiled.
    """
    return np.zeros((stems, samples + 1, channels), np.float32)


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
        self._targets = np.zeros(len(INDEX) + len(parts) * len(_FADER) + len(learn), np.float32)
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
        stems, groups, index = self.stems, self.groups, {id: place for place, id in enumerate(self.parameters)}
        faders = (*stems, *groups)
        self._state = State(
            targets=self._targets,
            faders=np.array([[index[f"{fader}.{what}"] for what in _FADER] for fader in faders]),
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
        self._image = Image(self._state)
        self._block = np.zeros((max_block, channels), np.float32)
        self._voice = np.zeros((max_block, 1), np.float32)
        self._output = np.zeros((max_block, channels), np.float32)
        self._stems = room(len(stems), max_block, channels)

    def __repr__(self) -> str:
        if self._state is None:
            return f"<Engine {self.settings.mode}, not prepared>"
        latency = f"latency {self.latency / self.sample_rate * 1e3:.1f} ms"
        return f"<Engine {self.settings.mode}, {self.sample_rate:g} Hz, channels {self.channels}, {latency}>"

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
    def stem_latency(self) -> int:
        """Samples by which the stems lag behind the input: less than the output if the key may be changed."""
        return self.state.stft.delayed.shape[1]

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
        reset(self._image)

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
            process(self._image, self._block[:samples], voice, self._output[:samples], self._stems[:, :samples])
        return samples, mono


def _made(settings: Settings, values: dict[str, float], given: dict[str, Any] | None) -> Engine:
    """An engine like another one."""
    engine = Engine(settings)
    for id, value in values.items():
        engine.parameters[id] = value
    if given is not None:
        engine.prepare(**given)
    return engine
