"""Templates of a part that is taken out of a mix, and of what is left.

Moved along frequency they stand for notes that a voice or a saxophone did not happen to play while it was learned. They
find more of what moves, and more of what does not belong to it: whether they are worth it is tried out on what was
heard, one half of it against templates of the other (Stone, "Cross-validatory choice and assessment of statistical
predictions", Journal of the Royal Statistical Society B 36(2), 1974).
"""

import numpy as np

from ..dsp import nmf
from ..engine import LEFT
from ..templates import Spectra, unit
from .factorize import Rows, k_means

REACHES = (0, 3, 6)
"""How far templates may be moved, semitones to both sides."""

_MOST_LEFT = 400  # frames of what is left, spread over it: within a second the part is to be a fader
_MOST_FRAMES, _BESIDE = 300, 14  # for trying out: frames, and templates of what sounds beside it
_SWEEPS = 2
_FEW = 8  # frames
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


def best_reach(frames: Rows, others: Rows, components: int, exponent: float, random: np.random.Generator) -> int:
    """The one of REACHES by which templates of one half of `frames` best find the other half beside `others`; 0 if few.

    Parameters
    ----------
    frames, others : (frames, bins) magnitudes of a part and of all that sounds beside it
    components : templates of the part before they are moved
    exponent : of the soft masks
    """
    if min(len(frames), len(others)) < _FEW:
        return 0
    halves, beside = (np.array_split(_thinned(each, _MOST_FRAMES), 2) for each in (frames, others))
    errors = np.zeros(len(REACHES))
    for half in (0, 1):
        own = templates_of(halves[half], components, random)
        left = templates_of(beside[half], _BESIDE, random)
        heard = halves[1 - half]
        mix = heard + random.choice(beside[1 - half], len(heard))
        for place, reach in enumerate(REACHES):
            errors[place] += np.square(_found(moved(own, reach), left, exponent, mix) - heard).sum()
    return REACHES[int(errors.argmin())]


def _thinned(frames: Rows, most: int) -> Rows:
    return frames[:: -(-len(frames) // most)]


def _found(own: Spectra, left: Spectra, exponent: float, frames: Rows) -> Rows:
    """What templates `own` find of `frames` (frames, bins) beside those of what is `left`."""
    left = np.concatenate([left, np.full((1, frames.shape[1]), 1 / frames.shape[1], np.float32)])
    state, shares = nmf.prepare(frames.shape[1], len(own) + len(left), 2), np.zeros((2, frames.shape[1]), np.float32)
    nmf.fill(state, np.concatenate([own, left]), np.repeat([0, 1], [len(own), len(left)]))
    found = np.empty_like(frames)
    for t, frame in enumerate(frames):
        nmf.process(state, frame, nmf.DESCENT, _SWEEPS, np.float32(0), np.float32(0), np.float32(exponent), shares)
        found[t] = shares[0] * frame
    return found
