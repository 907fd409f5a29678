"""Templates of a part that is taken out of a mix, and of what is left.

Moved along frequency they stand for notes that a voice or a saxophone did not happen to play while it was learned. They
find more of what moves, and more of what does not belong to it: whether they are worth it is tried out on what was
heard, one half of it against templates of the other (Stone, "Cross-validatory choice and assessment of statistical
predictions", Journal of the Royal Statistical Society B 36(2), 1974). The same trial tells how much of what is found
should be taken, so that the others lose no more than the part does, and what muting it then takes away.
"""

from typing import NamedTuple

import numpy as np

from ..dsp import nmf
from ..engine import LEFT
from ..factorization.clusters import Rows, k_means
from ..templates import Spectra, unit

REACHES = (0, 3, 6)
"""How far templates may be moved, semitones to both sides."""

_MOST_LEFT = 400  # frames of what is left, spread over it: within a second the part is to be a fader
_MOST_FRAMES, _BESIDE = 300, 14  # for trying out: frames, and templates of what sounds beside it
_SWEEPS = 2
_FEW = 8  # frames
_TINY = 1e-12  # of a power, against division by zero
_SILENT = 1e-3  # of a template that is moved beyond the highest frequency


def moved(templates: Spectra, reach: int) -> Spectra:
    """`templates` (n, bins) moved by each semitone up to `reach` to both sides: up to n * (2 reach + 1) of them."""
    bins, semitones = np.arange(templates.shape[1]), range(-reach, reach + 1)
    rows = np.array([np.interp(bins / 2 ** (by / 12), bins, row, right=0) for by in semitones for row in templates])
    return unit(rows[rows.sum(1) > _SILENT])


def templates_of(frames: Rows, most: int, random: np.random.Generator) -> Spectra:
    """At `most` so many templates (n, bins) of `frames` (frames, bins)."""
    templates: Spectra = k_means(frames, min(most, len(frames) // 2), random).astype(np.float32)
    return templates


def left_over(frames: Rows, random: np.random.Generator) -> Spectra:
    """Templates (at most LEFT, bins) of all `frames` (frames, bins) without the part, if there are any."""
    bins = frames.shape[1]
    flat = np.full((1, bins), 1 / bins, np.float32)  # so that the part does not take what nobody knows
    return (
        np.concatenate([flat, templates_of(_thinned(frames, _MOST_LEFT), LEFT - 1, random)])
        if len(frames) > 1
        else flat
    )


class Trial(NamedTuple):
    """What came of trying out how well templates find a part beside others."""

    reach: int  # the one of REACHES that finds it best
    taken: float  # how much of what they find comes nearest to the part, 0 to 1
    away_db: float | None  # by how much the part gets softer when that is taken away; None where others are unknown


def tried_out(frames: Rows, others: Rows, components: int, exponent: float, random: np.random.Generator) -> Trial:
    """How well templates of one half of `frames` find the other half beside `others`, and the other way round.

    Parameters
    ----------
    frames, others : (frames, bins) magnitudes of a part and of all that sounds beside it
    components : templates of the part before they are moved
    exponent : of the soft masks
    """
    if min(len(frames), len(others)) < _FEW:
        return Trial(0, 1.0, None)
    halves, beside = (np.array_split(_thinned(each, _MOST_FRAMES), 2) for each in (frames, others))
    heard = np.concatenate(halves[::-1])
    shares = np.zeros((len(REACHES), *heard.shape), np.float32)
    mixes = np.zeros(heard.shape, np.float32)
    begin = 0
    for half in (0, 1):
        own = templates_of(halves[half], components, random)
        left = templates_of(beside[half], _BESIDE, random)
        rows = slice(begin, begin + len(halves[1 - half]))
        mixes[rows] = halves[1 - half] + random.choice(beside[1 - half], rows.stop - begin)
        for place, reach in enumerate(REACHES):
            shares[place, rows] = _shares(moved(own, reach), left, exponent, mixes[rows])
        begin = rows.stop
    best = int(np.square(shares * mixes - heard).sum((1, 2)).argmin())
    share = shares[best]
    found = share * mixes
    taken = float(np.clip((found * heard).sum() / (np.square(found).sum() + _TINY), 0, 1))  # by least squares
    stays = np.square((1 - taken * share) * heard).sum()
    return Trial(REACHES[best], taken, float(10 * np.log10(np.square(heard).sum() / (stays + _TINY))))


def _thinned(frames: Rows, most: int) -> Rows:
    return frames[:: -(-len(frames) // most)]


def _shares(own: Spectra, left: Spectra, exponent: float, frames: Rows) -> Rows:
    """What templates `own` find of `frames` (frames, bins), as parts of them, beside those of what is `left`."""
    left = np.concatenate([left, np.full((1, frames.shape[1]), 1 / frames.shape[1], np.float32)])
    state, shares = nmf.prepare(frames.shape[1], len(own) + len(left), 2), np.zeros((2, frames.shape[1]), np.float32)
    nmf.fill(state, np.concatenate([own, left]), np.repeat([0, 1], [len(own), len(left)]))
    found = np.empty_like(frames)
    for t, frame in enumerate(frames):
        nmf.process(state, frame, nmf.DESCENT, _SWEEPS, np.float32(0), np.float32(0), np.float32(exponent), shares)
        found[t] = shares[0]
    return found
