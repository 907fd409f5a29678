"""Templates that are frames: some columns of a matrix that all others are made of.

Each method chooses a column, takes what is explained off all, and goes on: Gillis and Vavasis, "Fast and robust
recursive algorithms for separable nonnegative matrix factorization", IEEE Transactions on Pattern Analysis and Machine
Intelligence 36(4), 2014 (`spa`); Gillis, "Successive nonnegative projection algorithm for robust nonnegative blind
source separation", SIAM Journal on Imaging Sciences 7(2), 2014 (`snpa`); Kumar, Sindhwani and Kambadur, "Fast conical
hull algorithms for near-separable non-negative matrix factorization", ICML 2013 (`xray` and its four selections).
`greedy` is the greedy selection of the last with the hull of the second. Where one column lies between the others it
may be taken in: of three vertices and their center it chooses the center first, which `snpa` does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .clusters import squared_distances
from .divergences import Array

Columns = NDArray[np.intp]
Score = Callable[[Array, Array, np.random.Generator], Array]

_LEFT = 1e-8  # of the greatest square: what is left of a column that is explained is less
_LOUD = 0.1  # of the loudest frame: what is softer is a tail, whose spectrum is an extreme
_NEIGHBORS, _TYPICAL, _FEW = 3, 0.9, 30  # a frame whose third neighbor is farther than for 90 % of all is a click
_ROUNDS, _CLOSE = 300, 1e-9  # of a projection at most; it ends when weights change by so little of the greatest


def _longest(columns: Array, left: Array, random: np.random.Generator) -> Array:
    """What is left of each column."""
    return _squares(left)


def _extreme(columns: Array, left: Array, random: np.random.Generator) -> Array:
    return _along(columns, left[:, np.argmax(_squares(left))])


def _extreme_of_most(columns: Array, left: Array, random: np.random.Generator) -> Array:
    return _along(columns, left[:, np.argmax(_squares(np.maximum(columns.T @ left, 0)))])


def _extreme_of_any(columns: Array, left: Array, random: np.random.Generator) -> Array:
    lengths = _squares(left)
    not_yet = np.flatnonzero(lengths > _LEFT * _squares(columns).max())
    return _along(columns, left[:, random.choice(not_yet if len(not_yet) else len(lengths))])


def _explaining(columns: Array, left: Array, random: np.random.Generator) -> Array:
    """How much each column explains of what is left of all."""
    return _divided(_squares(np.maximum(left.T @ columns, 0)), _squares(columns))


class Selection(NamedTuple):
    """How a method chooses, and what it takes off before it chooses again."""

    score: Score  # of each column, of which the highest is chosen
    most: float | None  # that weights of the chosen may add up to; None if they may also be negative


SELECTIONS = {
    "spa": Selection(_longest, None),
    "snpa": Selection(_longest, 1),
    "xray": Selection(_extreme, np.inf),
    "xray-dist": Selection(_extreme_of_most, np.inf),
    "xray-rand": Selection(_extreme_of_any, np.inf),
    "xray-greedy": Selection(_explaining, np.inf),
    "greedy": Selection(_explaining, 1),
}
"""`xray` is the selection that its paper calls max."""


def factor_by_columns(
    V: Array,  # noqa: N803
    rank: int,
    method: str,
    only_typical: bool,
    random: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """W (bins, rank), columns of V; H (rank, frames); half the squared error that 0, 1, ... `rank` columns leave.

    If `only_typical`, columns are divided by their sums and chosen among `typical` ones.
    """
    if only_typical:
        levels = V.sum(0)
        shares = _divided(V, levels)
        kept = typical(V, rank)
        chosen = kept[choose(shares[:, kept], rank, method, random)]
    else:
        levels, shares = np.ones(V.shape[1], V.dtype), V
        chosen = choose(V, rank, method, random)
    most = SELECTIONS[method].most
    losses = [0.5 * float(np.square(V).sum(dtype=np.float64))]
    weights = np.zeros((0, V.shape[1]), V.dtype)
    for count in range(1, rank + 1):
        weights = projected(shares, shares[:, chosen[:count]], np.inf if most is None else most, weights)
        losses.append(0.5 * float(np.square(V - shares[:, chosen[:count]] @ weights * levels).sum(dtype=np.float64)))
    return shares[:, chosen], weights * levels, np.array(losses)


def choose(columns: Array, rank: int, method: str, random: np.random.Generator | int = 0) -> Columns:
    """The numbers of the `rank` columns of `columns` (bins, frames) that a method of SELECTIONS chooses, in order."""
    score, most = SELECTIONS[method]
    random, left = np.random.default_rng(random), columns
    chosen, weights = list[int](), np.zeros((0, columns.shape[1]), columns.dtype)
    for number in range(rank):
        scores = np.where(columns.any(0), score(columns, left, random), -np.inf)
        scores[chosen] = -np.inf
        chosen.append(int(np.argmax(scores)))
        if number == rank - 1:
            break
        if most is None:
            direction = left[:, chosen[-1]]
            left = left - np.outer(direction, _divided(direction @ left, np.full(left.shape[1], direction @ direction)))
        else:
            weights = projected(columns, columns[:, chosen], most, weights)
            left = columns - columns[:, chosen] @ weights
    return np.array(chosen)


def typical(V: Array, rank: int) -> Columns:  # noqa: N803
    """The numbers of the columns that are neither much softer than the loudest nor unlike all others.

    All that sound, if fewer than 30, or than `rank`, would be left.
    """
    loudness = V.sum(0)
    loud = np.flatnonzero(loudness >= _LOUD * loudness.max())
    if _TYPICAL * len(loud) < max(rank, _FEW):
        return np.flatnonzero(loudness)
    points = np.sqrt(_divided(V[:, loud], loudness[loud])).T
    third = np.partition(squared_distances(points, points), _NEIGHBORS, axis=1)[:, _NEIGHBORS]
    like: Columns = loud[third <= np.quantile(third, _TYPICAL)]
    return like


def projected(columns: Array, chosen: Array, most: float, begun: Array) -> Array:
    """Weights (rank, frames) from 0 of those `chosen` that come nearest to each column.

    They add up to at most `most` in a frame. `begun` (fewer, frames) are weights of the first of them. Beck and
    Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM Journal on Imaging Sciences 2(1), 2009.
    """
    gram, target = chosen.T @ chosen, chosen.T @ columns
    step = 1 / np.linalg.norm(gram, 2)
    weights = np.concatenate([begun, np.zeros((chosen.shape[1] - len(begun), columns.shape[1]), columns.dtype)])
    ahead = weights
    for number in range(_ROUNDS):
        before = weights
        weights = _bounded(ahead - step * (gram @ ahead - target), most)
        moved = weights - before
        if np.abs(moved).max() <= _CLOSE * weights.max():
            break
        ahead = weights + number / (number + 3) * moved
    return weights


def _bounded(weights: Array, most: float) -> Array:
    """The nearest weights from 0 that add up to at most `most` in each column (Duchi et al., ICML 2008)."""
    positive = np.maximum(weights, 0)
    if np.isinf(most):
        return positive
    falling = -np.sort(-weights, axis=0)
    excess = (np.cumsum(falling, 0) - most) / np.arange(1, len(weights) + 1)[:, np.newaxis]
    last = np.count_nonzero(falling > excess, axis=0)[np.newaxis] - 1
    within = positive.sum(0) <= most
    return np.where(within, positive, np.maximum(weights - np.take_along_axis(excess, last, 0), 0))


def _along(columns: Array, direction: Array) -> Array:
    """How far each column lies in a direction, for its sum."""
    return _divided(direction @ columns, columns.sum(0))


def _squares(columns: Array) -> Array:
    squares: Array = np.square(columns).sum(0)
    return squares


def _divided(values: Array, by: Array) -> Array:
    """`values` (..., columns) divided by those of `by` (columns,) that are not zero."""
    quotient: Array = np.divide(values, by, out=np.zeros_like(values), where=by > 0)
    return quotient
