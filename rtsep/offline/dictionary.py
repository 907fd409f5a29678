"""Learning templates from recordings.

Recordings are cut into the very frames that the engine will see: its analysis window, at its rate, of all channels
together. Best are those of each part alone, of the very instruments to be heard; a mix can be taken apart blindly.
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..dsp import windows
from ..engine import LEARNED_EXPONENT
from ..errors import BadInput, unknown
from ..factorization import METHODS as FACTORIZATIONS
from ..factorization import Factors, factorize
from ..factorization.clusters import Rows, k_means
from ..factorization.separable import SELECTIONS
from ..settings import REST, Settings, Sizes
from ..templates import Templates, check_names, unit
from . import files
from .files import Name, Sound
from .takeout import left_over, moved, tried_out

Example = Name | NDArray[np.floating[Any]]
"""A sound file, or an array (samples, channels) or (samples,)."""

BLIND = tuple(method for method in FACTORIZATIONS if method != "nmfd")
"""Methods that take a mix apart. The templates of nmfd last some frames, and the engine's one."""

METHODS = ("k-means", *BLIND)
"""Methods that learn parts which were recorded alone."""

MOST_COMPONENTS = 64
"""Of one part."""

SILENT = 1e-4
"""A peak below it (-80 dBFS) is none."""

_DEEP_DB = 40  # frames so far below the loudest of a part are its silence
_LOUD, _CLIPPED = 0.9, 4  # a wave that is so loud and stays at its very peak for so many samples is cut off there
_MOST_FRAMES = 2000  # of a part; of more, these are drawn by chance
_BLOCK = 256  # frames transformed at a time
_SEED = 1


def learn(
    examples: Mapping[str, Sequence[Example]],
    *,
    sample_rate: float | None = None,
    components: int = 8,
    method: str = "k-means",
    settings: Settings | None = None,
    splits: str = "percussive",
    source: str = "",
) -> Templates:
    """Templates of parts that were recorded alone; the same on every run.

    Parameters
    ----------
    examples : {name of a part: its recordings}, of 1 to 8 channels. If they split the mix, the last may be REST, what
        is left when the others are taken out: it may have no recordings. The others then get more components, at other
        pitches, if that helps
    sample_rate : of the templates, and of arrays, Hz; if left out, that of the first file
    components : templates of each part
    method : "k-means", or one of `rtsep.factorize` but nmfd, whose templates last longer than a frame
    settings : of the engine that will use them
    splits, source : as in `Templates`

    Raises
    ------
    BadInput : for names that cannot be, an unknown method, and recordings that are empty, silent, no sound or too
        short for so many components.
    """
    settings = settings or Settings()
    check_names(examples)
    check_method(method, METHODS)
    _check_components(components)
    sounds, rate = loaded(examples, sample_rate)
    sizes = settings.sizes(rate)
    random = np.random.default_rng(_SEED)
    frames = {part: sounding(own, sizes, random) for part, own in sounds.items() if own}
    spectra, left, taken = [], None, []
    if splits == "mix" and REST in examples:
        left = frames.pop(REST, np.zeros((0, sizes.window_size // 2 + 1), np.float32))
    for part, own in frames.items():
        if len(own) < max(components, 2):
            raise BadInput(
                f"{part!r} has {len(own)} frames that sound, too few for {components} components: give a longer "
                "recording, or ask for fewer."
            )
        spectra.append(_templates(own, components, method, random))
        if left is not None:
            trial = tried_out(own, left, components, LEARNED_EXPONENT, random)
            spectra[-1] = moved(spectra[-1], trial.reach)
            taken.append(trial.taken)
    if left is not None:
        spectra.append(left_over(left, random))
        taken.append(1.0)
    return Templates(
        parts=tuple(examples),
        spectra=unit(np.concatenate(spectra)),
        part_of=np.repeat(np.arange(len(spectra)), [len(rows) for rows in spectra]),
        sample_rate=rate,
        window_size=sizes.window_size,
        synthesis_size=sizes.synthesis_size,
        splits=splits,
        exponent=2.0 if left is None else LEARNED_EXPONENT,
        sweeps=1 if left is None else 2,
        source=source,
        taken=tuple(taken),
    )


def learn_blind(
    example: Example,
    *,
    sample_rate: float | None = None,
    parts: int = 4,
    components: int = 1,
    method: str = "nmf",
    settings: Settings | None = None,
    splits: str = "percussive",
    source: str = "",
) -> Templates:
    """Templates of the `parts` "1", "2", ... (from low to high) of a mix, of which nothing is known.

    Factors `parts` x `components` by a method of BLIND, then merges those that sound together most (by the correlation
    of their activations) until `parts` are left. Other parameters and errors as of `learn`.
    """
    settings = settings or Settings()
    check_method(method, BLIND)
    _check_components(components)
    _check_components(parts, "parts")
    sounds, rate = loaded({"1": [example]}, sample_rate)
    sizes = settings.sizes(rate)
    random = np.random.default_rng(_SEED)
    frames, count = sounding(sounds["1"], sizes, random), parts * components
    if len(frames) < count:
        raise BadInput(
            f"{len(frames)} frames sound, too few for {parts} parts of {components} components: give a longer "
            "recording, or ask for fewer."
        )
    found = _factors(frames, count, method, random)
    spectra = found.W.T
    with np.errstate(invalid="ignore"):  # what never sounds is like nothing
        alike = np.nan_to_num(np.corrcoef(found.H))
    groups = _merged(np.atleast_2d(alike), parts)
    groups.sort(key=lambda group: float((spectra[group] @ np.arange(spectra.shape[1])).mean()))
    return Templates(
        parts=tuple(str(number + 1) for number in range(parts)),
        spectra=unit(spectra[np.concatenate(groups)]),
        part_of=np.repeat(np.arange(parts), [len(group) for group in groups]),
        sample_rate=rate,
        window_size=sizes.window_size,
        synthesis_size=sizes.synthesis_size,
        splits=splits,
        source=source,
    )


def magnitudes(sound: Sound, sizes: Sizes, frames: NDArray[np.int64] | None = None) -> Sound:
    """Magnitudes (frames, bins) of `sound` (samples, channels) as the engine sees them, or of those `frames` alone.

    Frame t ends before the sample (t + 1) * hop; silence lies before the sound, and after it to fill its last hop.
    """
    views, analysis = _views(sound, sizes), windows.pair(*sizes[:3])[0].astype(np.float32)
    wanted = np.arange(len(views)) if frames is None else frames
    result = np.empty((len(wanted), sizes.window_size // 2 + 1), np.float32)
    for start, block in _blocks(wanted):
        spectra = np.fft.rfft(views[block] * analysis)
        result[start : start + len(block)] = np.sqrt((spectra.real**2 + spectra.imag**2).sum(1))
    return result


def _views(sound: Sound, sizes: Sizes) -> Sound:
    """Views (frames, channels, window_size) of `sound` (samples, channels)."""
    silence = (sizes.window_size - sizes.hop_size, -len(sound) % sizes.hop_size)
    views: Sound = sliding_window_view(np.pad(sound, (silence, (0, 0))), sizes.window_size, 0)[:: sizes.hop_size]
    return views


def _blocks(frames: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for start in range(0, len(frames), _BLOCK):
        yield start, frames[start : start + _BLOCK]


def sounding(sounds: Sequence[Sound], sizes: Sizes, random: np.random.Generator) -> Sound:
    """Magnitudes (frames, bins) of the frames of `sounds` that are not silence."""
    weights = windows.pair(*sizes[:3])[0] ** 2
    powers = []
    for sound in sounds:
        views = _views(sound, sizes)
        blocks = _blocks(np.arange(len(views)))
        powers.append(np.concatenate([(views[block] ** 2 @ weights).sum(1) for _, block in blocks]))
    floor = max(power.max() for power in powers) * 10 ** (-_DEEP_DB / 10)
    loud = [np.flatnonzero(power > floor) for power in powers]
    kept = _MOST_FRAMES / sum(map(len, loud))
    drawn = [np.sort(random.permutation(frames)[: round(kept * len(frames))]) for frames in loud]
    return np.concatenate([magnitudes(sound, sizes, frames) for sound, frames in zip(sounds, drawn, strict=True)])


def loaded(
    examples: Mapping[str, Sequence[Example]], sample_rate: float | None
) -> tuple[dict[str, list[Sound]], float]:
    """The recordings (samples, channels) of each part, at one rate in Hz."""
    sounds: dict[str, list[Sound]] = {}
    for part, own in examples.items():
        sounds[part] = []
        if not len(own) and part != REST:
            raise BadInput(f"there is no recording of {part!r}: name at least one.")
        for number, example in enumerate(own, 1):
            if isinstance(example, str | os.PathLike):
                sound, sample_rate = files.load(example, sample_rate)
                name = str(Path(example))
            elif sample_rate is None:
                raise BadInput("sample_rate is missing: an array does not know its own.")
            else:
                sound, name = np.asarray(example, np.float32), f"recording {number} of {part!r}"
                sound = sound[:, np.newaxis] if sound.ndim == 1 else sound
            _check_sound(sound, name)
            sounds[part].append(sound)
    if sample_rate is None:
        raise BadInput("there are no recordings: name at least one.")
    return sounds, sample_rate


def _check_sound(sound: Sound, name: str) -> None:
    """Refuse what nothing can be learned from, and warn of what is distorted."""
    if sound.ndim != 2 or not sound.size:
        raise BadInput(f"{name} is empty or of shape {sound.shape}: it must be (samples, channels).")
    if not np.isfinite(sound).all():
        raise BadInput(f"{name} holds what is no number: record it again.")
    if np.abs(sound).max() < SILENT:
        raise BadInput(f"{name} is silent: record it again, louder.")
    peak = np.abs(sound).max()
    flat = sliding_window_view(np.abs(sound) == peak, min(_CLIPPED, len(sound)), 0).all(-1)
    if peak > _LOUD and flat.any():
        warnings.warn(f"{name} is clipped: its templates will be too broad. Record it again, softer.", stacklevel=4)


def check_method(method: str, methods: Sequence[str]) -> None:
    """Refuse what is none of `methods`, with the reason if it is a method all the same."""
    if method == "nmfd":
        raise BadInput("the templates of nmfd last some frames, and those of the engine one: choose another method.")
    if method == "k-means" and method not in methods:
        raise BadInput("k-means finds no activations, by which parts are told in a mix: choose another method, as nmf.")
    if method not in methods:
        raise unknown("method", method, methods)


def _templates(frames: Rows, components: int, method: str, random: np.random.Generator) -> Rows:
    """Templates (components, bins) of `frames` (frames, bins)."""
    if method == "k-means":
        return k_means(frames, components, random)
    return _factors(frames, components, method, random).W.T


def _factors(frames: Rows, count: int, method: str, random: np.random.Generator) -> Factors:
    """Clicks and tails, which are extremes, are no templates."""
    return factorize(frames.T, count, method=method, typical=method in SELECTIONS, seed=random)


def _check_components(number: int, what: str = "components") -> None:
    if not 1 <= number <= MOST_COMPONENTS:
        raise BadInput(f"{number} {what}: there may be 1 to {MOST_COMPONENTS}.")


def _merged(alike: Any, number: int) -> list[list[int]]:
    """Groups of the rows that `alike` (rows, rows) compares: the two most alike on average merge, down to `number`."""
    groups = [[row] for row in range(len(alike))]
    while len(groups) > number:
        pairs = [(i, j) for j in range(len(groups)) for i in range(j)]
        i, j = max(pairs, key=lambda pair: float(alike[np.ix_(groups[pair[0]], groups[pair[1]])].mean()))
        groups[i] += groups.pop(j)
    return groups
