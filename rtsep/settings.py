"""Settings: what needs a new `prepare`. A mode is a named set of them, with its latency in samples and milliseconds.

Lengths are given in seconds and hertz and become powers of two, or three times such, and odd numbers of frames and bins
at the sample rate in use, so that a mode sounds alike at all of them.
"""

import os
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

from .errors import BadInput, unknown

LOWEST_RATE, HIGHEST_RATE = 8_000, 192_000
MOST_CHANNELS = 8

STEMS = ("percussive", "melody", "harmony", "residual")
"""The leaves of the tree of stems, in the order of every array that has a row per stem. They add up to the input."""

GROUPS = {"harmonic": ("melody", "harmony"), "accompaniment": ("percussive", "harmony", "residual")}
"""Sums of stems, with faders of their own."""

REST = "rest"
"""The last part of templates that divide the mix may have this name: it is what the stems of the engine then share."""

PITCHED = 2
"""How many times as long an analysis window is where pitches split the mix: their lower partials lie close together."""

ROOM = "room"
"""The stem of the noise of a room, where `Settings.room` asks for it."""

# A bass drum fills two or three bins, a snare or cymbal hundreds: (from hertz, length of the median in hertz).
_BY_PITCH = ((0.0, 0.0), (120.0, 60.0), (250.0, 1000.0))
_CAUSAL = dict(
    harmonic_s=0.1, lookahead_s=0.0, percussive_bands=_BY_PITCH, bias=2.0, exponent=1.5, melody=True, masks="learned"
)

MODES: dict[str, dict[str, Any]] = {
    "live": dict(_CAUSAL, synthesis_s=0.006, window_ratio=8),  # at 48 kHz: 256 samples, 5.3 ms
    "balanced": dict(_CAUSAL, synthesis_s=0.012, window_ratio=4),  # at 48 kHz: 512 samples, 10.7 ms
    "quality": dict(  # at 48 kHz: 1024 + 13 x 256 samples, 90.7 ms
        synthesis_s=0.025,
        window_ratio=2,
        harmonic_s=0.18,
        lookahead_s=0.0705,
        percussive_bands=_BY_PITCH,
        bias=1.5,
        exponent=2.0,
        melody=True,
        masks="learned",
    ),
    "offline": dict(  # librosa.stft and librosa.decompose.hpss at 44.1 kHz: 2048, 512, 31 frames, 31 bins, centered
        synthesis_s=0.048,
        window_ratio=1,
        harmonic_s=0.36,
        lookahead_s=0.175,
        percussive_bands=((0.0, 667.0),),
        bias=1.0,
        exponent=2.0,
        melody=False,
        masks="classic",
    ),
}
"""The fields of `Settings` that each mode sets, by its name."""

_OVERLAP = 4  # hops in a synthesis window
_LEAST_OF_THREE = 192  # samples of an analysis window that is three times a power of two: as few as can be transformed


class Sizes(NamedTuple):
    """What `Settings` come to at one sample rate."""

    window_size: int  # samples of the analysis window
    synthesis_size: int  # samples of the synthesis window
    hop_size: int  # samples between frames
    harmonic_frames: int  # odd, frames of the median along time
    lookahead_frames: int  # frames of the median along time that come after the frame being masked
    percussive_bands: tuple[tuple[int, int], ...]  # first bin, and odd number of bins of the median from there on


class Split(Protocol):
    """What the shape of an engine takes from `rtsep.templates.Templates`, which stand a floor above."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names."""

    @property
    def splits(self) -> str:
        """What is divided into them."""

    @property
    def pitches(self) -> tuple[int, ...]:
        """MIDI numbers of the spectra, if they have them."""


@dataclass(frozen=True)
class Settings:
    """The shape of an engine. Fields left out are those of `mode`.

    Parameters
    ----------
    mode : "live" (at most 6 ms), "balanced" (at most 12 ms), "quality" (at most 100 ms) or "offline"
    synthesis_s : longest synthesis window, seconds; the most samples within it that are a power of two, or three times
        one, are taken, and they are the latency of a mode without look-ahead
    window_ratio : length of the analysis window in synthesis windows: 1 (symmetric, as in librosa), 2, 4, 8 or 16;
        PITCHED times that where pitches split the mix
    harmonic_s : length of the median along time, seconds
    lookahead_s : part of it that lies in the future, seconds; adds latency
    percussive_bands : pairs of a frequency and the length of the median along frequency from there on, both in
        hertz, ascending from a frequency of 0
    bias, exponent, masks : where the parameters hpss.bias, hpss.exponent and masks start
    melody : whether to follow a melody; if not, its stem is silent and the harmony is all that is harmonic
    transpose : whether the parameter key.semitones may change the key, which adds latency to the output
    templates : spectra of parts into which one of the stems is split, which then is a group, or the whole mix, as
        `rtsep.templates.Templates`, the name of a kit that comes along ("drums", "piano") or the path of a file that
        `rtsep learn` wrote; None for none
    learn : names of stems that are still to be learned while it sounds, in place of `templates`: they are taken out of
        the mix before the others share what is left, and are silent until then
    networks : file of trained networks in place of ours, see `rtsep.networks`; None for ours
    room : whether the noise of the room may be learned while it sounds: it is taken away ahead of all else, into a stem
        ROOM whose fader starts at silence
    stages : modules of one's own, or their paths, that may change the masks of each frame: see `rtsep.own`

    Raises
    ------
    BadInput : for an unknown mode or a value out of its range.
    """

    mode: str = "balanced"
    synthesis_s: float = None  # type: ignore[assignment]  # filled from the mode
    window_ratio: int = None  # type: ignore[assignment]
    harmonic_s: float = None  # type: ignore[assignment]
    lookahead_s: float = None  # type: ignore[assignment]
    percussive_bands: tuple[tuple[float, float], ...] = None  # type: ignore[assignment]
    bias: float = None  # type: ignore[assignment]
    exponent: float = None  # type: ignore[assignment]
    melody: bool = None  # type: ignore[assignment]
    masks: str = None  # type: ignore[assignment]
    transpose: bool = False
    templates: Any = field(default=None, compare=False)  # once made a Split, or None
    learn: tuple[str, ...] = ()
    networks: str | None = None
    room: bool = False
    stages: tuple[Any, ...] = ()  # once made, paths

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise unknown("mode", self.mode, MODES)
        for each in fields(self):
            if getattr(self, each.name) is None and each.name in MODES[self.mode]:
                object.__setattr__(self, each.name, MODES[self.mode][each.name])
        if isinstance(self.templates, str | os.PathLike):
            from .templates import named  # a floor above, and only for those who want it

            object.__setattr__(self, "templates", named(self.templates))
        elif not (self.templates is None or hasattr(self.templates, "splits")):
            raise BadInput(f"templates are {self.templates!r}: give Templates, the name of a kit, or a path.")
        stages = tuple(self.stages)
        if stages:
            from .own import path_of  # only for those who want it

            stages = tuple(map(path_of, stages))
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "learn", tuple(self.learn))
        if self.learn and self.templates:
            raise BadInput("either templates split the sound or parts of it are learned: leave one of them out.")
        _within("synthesis_s", self.synthesis_s, 0.002, 0.2, "s")
        _within("harmonic_s", self.harmonic_s, 0, 1, "s")
        _within("lookahead_s", self.lookahead_s, 0, self.harmonic_s / 2, "s (half of harmonic_s)")
        if self.window_ratio not in (1, 2, 4, 8, 16):
            raise BadInput(f"window_ratio is {self.window_ratio}: it must be 1, 2, 4, 8 or 16.")
        starts = [start for start, _ in self.percussive_bands]
        if not starts or starts[0] != 0 or starts != sorted(starts):
            raise BadInput(f"percussive_bands are {self.percussive_bands}: they must ascend from a frequency of 0.")
        for _, length in self.percussive_bands:
            _within("a length in percussive_bands", length, 0, 4000, "Hz")

    @property
    def ahead(self) -> bool:
        """Whether parts are taken out of the mix before the stems of the engine share what is left."""
        split: Split | None = self.templates
        return split.splits == "mix" and split.parts[-1] == REST if split else bool(self.learn)

    @property
    def parts(self) -> tuple[str, ...]:
        """The stems that templates bring, or will when they are learned."""
        split: Split | None = self.templates
        if split is None:
            return self.learn
        return split.parts[:-1] if self.ahead else split.parts

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that add up to the input: STEMS, with the parts of `templates` in the place of what they split.

        Where they split the mix: their parts, and the residual; or, if the last is REST, STEMS in its place. The room
        is the last but the residual.
        """
        split: Split | None = self.templates
        if split is None or self.ahead:
            stems = (*self.parts, *STEMS)
        elif split.splits == "mix":
            stems = (*split.parts, STEMS[-1])
        else:
            stems = tuple(name for stem in STEMS for name in (split.parts if stem == split.splits else (stem,)))
        return (*stems[:-1], ROOM, stems[-1]) if self.room else stems

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Sums of stems: GROUPS, and what `templates` split; none where they split the mix."""
        split: Split | None = self.templates
        if split is None or self.ahead:
            return GROUPS | {"accompaniment": (*self.parts, *GROUPS["accompaniment"])}
        if split.splits == "mix":
            return {}
        groups = {split.splits: split.parts}
        for group, members in GROUPS.items():
            groups[group] = tuple(name for stem in members for name in groups.get(stem, (stem,)))
        return groups

    def sizes(self, sample_rate: float) -> Sizes:
        """The lengths in samples, frames and bins at `sample_rate` (Hz, 8,000 to 192,000)."""
        if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise BadInput(
                f"the sample rate is {sample_rate} Hz: it must lie between {LOWEST_RATE} and {HIGHEST_RATE}."
            )
        split: Split | None = self.templates
        pitched = split is not None and split.splits == "mix" and bool(split.pitches)
        ratio = self.window_ratio * (PITCHED if pitched else 1)
        synthesis_size = _largest(self.synthesis_s * sample_rate, _LEAST_OF_THREE / ratio)
        window_size = synthesis_size * ratio
        hop_size = synthesis_size // _OVERLAP
        frames = _odd(self.harmonic_s * sample_rate / hop_size)
        bin_hz = sample_rate / window_size
        longest = window_size // 4
        return Sizes(
            window_size=window_size,
            synthesis_size=synthesis_size,
            hop_size=hop_size,
            harmonic_frames=frames,
            lookahead_frames=min(int(self.lookahead_s * sample_rate / hop_size), frames // 2),
            percussive_bands=tuple(
                (min(round(start / bin_hz), window_size // 2), _odd(min(length / bin_hz, longest)))
                for start, length in self.percussive_bands
            ),
        )


def _within(name: str, value: Any, low: float, high: float, unit: str) -> None:
    if not (isinstance(value, int | float) and low <= value <= high):
        raise BadInput(f"{name} is {value!r}: it must lie between {low:g} and {high:g} {unit}.")


def _largest(length: float, least_of_three: float) -> int:
    """The largest number up to `length` that is a power of two, or, from `least_of_three` on, three times one."""
    power = 1 << (int(length + 1e-6).bit_length() - 1)
    longer = power * 3 // 2
    return longer if least_of_three <= longer <= length + 1e-6 else power


def _odd(length: float) -> int:
    """The odd number nearest to `length`, at least 1."""
    return max(2 * int(length // 2) + 1, 1)
