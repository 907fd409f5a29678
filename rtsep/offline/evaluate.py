"""How well stems were separated: measures of one against its truth, and of many, matched by name or by likeness.

SI-SDR: Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019. As there, means are not
taken off; beyond it, all channels together are one signal, so that an error in the stereo image counts.
"""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, Unavailable, unknown
from .bss_eval import bss_eval as projected
from .bss_eval import correlations
from .files import Name, Sound, load, name_of
from .many import sound_files
from .oracles import MASKS, oracle
from .spectra import db

Sounds = Mapping[str, ArrayLike | Name] | Sequence[ArrayLike] | NDArray[Any] | Name
"""{name: an array or a sound file}, arrays without names, a sound file, or a folder of sound files.

Arrays are (samples, channels) or (samples,).
"""

MATCHINGS = {
    "names": "by their names; what is left one to one, as it fits best",
    "one-to-one": "one to one, as it fits best",
    "best": "each with the estimate that is most like it: two may share one",
}
"""How true stems find their estimates."""

_FAR_DB = 300.0  # stands for infinity where figures are added up
_WORTH_DB, _ALIKE_DB = 3.0, 0.0  # SI-SDR that a shift must be worth to be told, and that it must come to
_REACH = 2**14 - 1  # samples that an estimate may be shifted


class Measures(NamedTuple):
    """Measures of an estimate against its truth, dB; higher is better. Those of BSS Eval are None if not asked for."""

    snr: float  # the power of the truth over that of the difference
    snr_amplitude: float  # half as many dB, as the ratio of amplitudes has where 10 log10 is taken of it
    si_sdr: float
    sdr: float | None = None
    sir: float | None = None
    sar: float | None = None


class Score(NamedTuple):
    """What was found for a true stem. With a mixture `others` holds what the mixture itself and oracle masks have."""

    truth: str
    estimate: str | None  # None: there is no estimate for it
    measures: Measures
    others: dict[str, Measures]


@dataclass(frozen=True)
class Evaluation:
    """Scores of true stems, in their order, and the names of estimates that no stem was matched with."""

    scores: tuple[Score, ...]
    unused: tuple[str, ...]

    @property
    def mean(self) -> Measures:
        """The mean of each measure in dB over all stems that sound and have an estimate."""
        return _mean([score.measures for score in self.scores])

    @property
    def others_mean(self) -> dict[str, Measures]:
        """The same of what the mixture and oracle masks have."""
        return {kind: _mean([score.others[kind] for score in self.scores]) for kind in self.scores[0].others}


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """The SI-SDR of `estimate` in dB: power of its share that is a scaled `reference`, against that of the rest.

    Parameters
    ----------
    reference, estimate : of one shape, (samples,) or (samples, channels)

    Returns
    -------
    dB; inf for a perfect estimate, -inf for one that has nothing of the reference (a silent one, say), and nan if
    the reference is silent: nothing can then be like it.

    Raises
    ------
    BadInput : for two shapes.
    """
    s, e = _two(reference, estimate)
    energy = s @ s
    if energy == 0:
        return math.nan
    target = (e @ s) / energy * s
    distortion = e - target
    signal, noise = target @ target, distortion @ distortion
    if signal == 0:
        return -math.inf
    return 10 * math.log10(signal / noise) if noise else math.inf


def snr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """The power of `reference` over that of what `estimate` differs by, dB; parameters, ends and errors of `si_sdr`."""
    s, e = _two(reference, estimate)
    energy = s @ s
    return db(float(energy), float(np.square(e - s).sum())) if energy else math.nan


def evaluate(
    truth: Sounds,
    estimates: Sounds,
    *,
    mixture: ArrayLike | Name | None = None,
    matching: str = "names",
    bss_eval: bool = False,
) -> Evaluation:
    """Compare `estimates` of stems with the true ones.

    Files of other rates than the first true stem's are resampled, what is longer than the shortest is cut, and mono is
    spread to the channels of the others; a warning tells of the first two, of silent stems, and of an estimate that
    comes too early or too late.

    Parameters
    ----------
    truth, estimates : {name: array (samples, channels) or (samples,), or sound file}; arrays alone, which are called
        "1", "2", ...; or a sound file, or a folder of them
    mixture : of which also the scores as an estimate, and those of oracle masks, are wanted
    matching : "names", what is left one to one as it fits best; "one-to-one", all so; or "best", where two may share an
        estimate. What fits best is told by SI-SDR
    bss_eval : whether to measure SDR, SIR and SAR too: some seconds for each minute

    Raises
    ------
    BadInput : for sounds that cannot be compared, files that cannot be read, or an unknown matching.
    Unavailable : if stems must be matched one to one without SciPy.
    """
    if matching not in MATCHINGS:
        raise unknown("matching", matching, MATCHINGS)
    named, guessed = _named(truth), _named(estimates)
    if isinstance(mixture, str | os.PathLike):
        named = {name: sound for name, sound in named.items() if not _same(sound, mixture)}
    if not named or not guessed:
        raise BadInput(f"there are {len(named)} true stems and {len(guessed)} estimates: name at least one of each.")
    true, guesses, mix = _alike(named, guessed, mixture)
    pairs = _matched(true, guesses, matching)
    measured = {name: _measures(true[name], guesses[guess]) for name, guess in pairs.items() if guess is not None}
    silent = [name for name, sound in true.items() if not sound.any()]
    for name in silent:
        warnings.warn(f"the true stem {name!r} is silent: nothing can be like it, and it has no figures.", stacklevel=2)
    compared = {name: guesses[guess] for name, guess in pairs.items() if guess is not None and name not in silent}
    for name, guess in compared.items():
        told = _shifted(true[name], guess)
        if told:
            warnings.warn(f"the estimate {pairs[name]!r} of {name!r} {told}", stacklevel=2)
    if bss_eval and compared:
        rest = [name for name in true if name not in compared and name not in silent]
        figures = projected([true[name] for name in (*compared, *rest)], [*compared.values()])
        for name, (sdr, sir, sar) in zip(compared, figures, strict=True):
            measured[name] = measured[name]._replace(sdr=sdr, sir=sir, sar=sar)
    others = {} if mix is None else _of_mixture(true, mix)
    none = Measures(math.nan, math.nan, math.nan)
    return Evaluation(
        tuple(Score(name, pairs[name], measured.get(name, none), others.get(name, {})) for name in true),
        tuple(name for name in guesses if name not in pairs.values()),
    )


def _of_mixture(truth: Mapping[str, Sound], mixture: Sound) -> dict[str, dict[str, Measures]]:
    """What the mixture itself has, and what oracle masks make of it, by the names of stems."""
    found: dict[str, dict[str, Measures]] = {
        name: {"mixture": _measures(stem, mixture)} for name, stem in truth.items()
    }
    for kind in MASKS:
        for (name, stem), sound in zip(truth.items(), oracle(kind, [*truth.values()], mixture), strict=True):
            found[name][kind] = _measures(stem, sound)
    return found


def _two(reference: ArrayLike, estimate: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    s, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if s.shape != e.shape:
        raise BadInput(f"reference {s.shape} and estimate {e.shape} must be of one shape.")
    return s.ravel(), e.ravel()


def _measures(truth: Sound, estimate: Sound) -> Measures:
    ratio = snr(truth, estimate)
    return Measures(ratio, ratio / 2, si_sdr(truth, estimate))


def _mean(measures: Sequence[Measures]) -> Measures:
    def mean(place: int) -> float | None:
        values = [each[place] for each in measures]
        known = [value for value in values if value is not None and not math.isnan(value)]
        if not known:
            return math.nan if values[0] is not None else None
        return math.nan if {-math.inf, math.inf} <= {*known} else sum(known) / len(known)

    return Measures(*(mean(place) for place in range(len(Measures._fields))))  # type: ignore[arg-type]


def _named(sounds: Sounds) -> dict[str, ArrayLike | Name]:
    """Each sound by its name."""
    if isinstance(sounds, Mapping):
        return dict(sounds)
    if not isinstance(sounds, str | os.PathLike):
        return {str(number): sound for number, sound in enumerate(sounds, 1)}
    found: dict[str, ArrayLike | Name] = {}
    for path in sound_files(os.fspath(sounds)):
        name = name_of(path)
        if name in found:
            raise BadInput(f"{path} has a namesake there: which of them is {name!r}? Leave one in the folder.")
        found[name] = path
    return found


def _same(sound: ArrayLike | Name, file: Name) -> bool:
    """Whether `sound` is the same `file`."""
    return isinstance(sound, str | os.PathLike) and os.path.realpath(sound) == os.path.realpath(file)


def _alike(
    truth: Mapping[str, ArrayLike | Name], estimates: Mapping[str, ArrayLike | Name], mixture: ArrayLike | Name | None
) -> tuple[dict[str, Sound], dict[str, Sound], Sound | None]:
    """All sounds as arrays of one shape (samples, channels)."""
    given = [("true stem", *each) for each in truth.items()] + [("estimate", *each) for each in estimates.items()]
    if mixture is not None:
        given.append(("mixture", "", mixture))
    sounds, rate = [], None
    for kind, name, source in given:
        what = f"the {kind} {name!r}" if name else f"the {kind}"
        sound, rate = _read(source, what, rate)
        sounds.append((what, sound))
    channels = max(sound.shape[1] for _, sound in sounds)
    shortest, samples = min(((what, len(sound)) for what, sound in sounds), key=lambda each: each[1])
    longest = max(len(sound) for _, sound in sounds)
    for what, sound in sounds:
        if sound.shape[1] not in (1, channels):
            raise BadInput(f"{what} has {sound.shape[1]} channels and others {channels}: mix them to as many first.")
    if longest > samples:
        length = f"{samples} of up to {longest} samples"
        if rate is not None:
            length += f" ({samples / rate:.3f} of {longest / rate:.3f} s)"
        warnings.warn(f"not all are as long as {shortest}: compared are the first {length}.", stacklevel=3)
    same = [np.broadcast_to(sound[:samples], (samples, channels)) for _, sound in sounds]
    parts = iter(same)
    return ({name: next(parts) for name in truth}, {name: next(parts) for name in estimates}, next(parts, None))


def _read(source: ArrayLike | Name, what: str, rate: float | None) -> tuple[Sound, float | None]:
    """A sound (samples, channels) at `rate`, and the rate: that of the first file if it was None."""
    if isinstance(source, str | os.PathLike):
        sound, own = load(source)
        if rate is not None and own != rate:
            warnings.warn(
                f"{what} has {own:g} Hz, and is resampled to the {rate:g} Hz of the first true stem.", stacklevel=4
            )
            sound = soxr.resample(sound, own, rate)
        rate = rate or own
    else:
        sound = np.asarray(source)
        if sound.ndim not in (1, 2) or not sound.size or not np.issubdtype(sound.dtype, np.floating):
            raise BadInput(f"{what} is an array of {sound.dtype} {sound.shape}: it must be floats (samples, channels).")
    if not np.isfinite(sound).all():
        raise BadInput(f"{what} holds what is no number: mend what made it.")
    return (sound[:, np.newaxis] if sound.ndim == 1 else sound), rate


def _matched(truth: Mapping[str, Sound], estimates: Mapping[str, Sound], matching: str) -> dict[str, str | None]:
    """The estimate of each true stem, None if none is left for it."""
    found: dict[str, str | None] = dict.fromkeys(truth)
    if matching == "names":
        called = {name.casefold(): name for name in estimates}
        found = {name: called.get(name.casefold()) for name in truth}
    stems = [name for name, estimate in found.items() if estimate is None]
    free = [name for name in estimates if name not in found.values()]
    if not stems or not free:
        return found
    fits = np.array([[si_sdr(truth[stem], estimates[name]) for name in free] for stem in stems])
    fits = np.nan_to_num(fits, nan=-_FAR_DB, posinf=_FAR_DB, neginf=-_FAR_DB)
    rows, columns = (range(len(stems)), fits.argmax(1)) if matching == "best" else _assigned(fits)
    return found | {stems[row]: free[column] for row, column in zip(rows, columns, strict=True)}


def _assigned(fits: NDArray[np.float64]) -> tuple[Any, Any]:
    """Rows and columns of `fits` that go together so that their sum is the greatest."""
    if min(fits.shape) == 1:
        row, column = np.unravel_index(fits.argmax(), fits.shape)
        return [row], [column]
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise Unavailable(
            "stems that have other names are matched one to one by SciPy: pip install 'rtsep[evaluate]', or give them "
            "the names of the true ones, or match each with the best."
        ) from None
    return linear_sum_assignment(fits, maximize=True)  # type: ignore[no-any-return]


def _shifted(truth: Sound, estimate: Sound) -> str | None:
    """What to tell of an estimate that would be much more like its truth if it came earlier or later."""
    signals = np.stack([truth.sum(1), estimate.sum(1)])
    power = float(np.prod(np.square(signals, dtype=np.float64).sum(1)))
    if not power:
        return None
    explained = correlations(signals, 1, _REACH)[0, 1] ** 2 / power
    lag = int(explained.argmax()) - _REACH
    now, then = (db(share, max(1 - share, 0)) for share in (float(explained[_REACH]), float(explained.max())))
    if not lag or then < max(now + _WORTH_DB, _ALIKE_DB):
        return None
    return (
        f"comes {abs(lag)} samples {'late' if lag > 0 else 'early'}, and its figures suffer: without that its SI-SDR "
        f"would be about {then:.1f} dB."
    )
