"""Means of clusters of like frames: templates of a part that was recorded alone, as of the kinds of hits of a drum."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]

_TINY = 1e-12
_STARTS = 8  # of which the best is taken
_ROUNDS = 200  # of a start at most: frames that are all alike would change sides for ever, by errors of rounding


def k_means(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """Templates (components, bins), whose rows sum to 1, of magnitudes `frames` (frames, bins), none of them silent.

    Frames are compared by the square roots of their shares (the Hellinger distance). Each weighs as much as it sounds,
    or the long decay of a hit would take all templates from its stroke. Arthur and Vassilvitskii, "k-means++: the
    advantages of careful seeding", SODA 2007.
    """
    points, weights = np.sqrt(_unit(frames)), frames.sum(1) / frames.sum()
    best, templates = np.inf, points[:components]
    for _ in range(_STARTS):
        centers = points[[random.choice(len(points), p=weights)]]
        while len(centers) < components:
            far = weights * (squared_distances(points, centers).min(1) + _TINY)
            centers = np.concatenate([centers, points[[random.choice(len(points), p=far / far.sum())]]])
        nearest = np.full(len(points), -1)
        for _ in range(_ROUNDS):
            distances = squared_distances(points, centers)
            before, nearest = nearest, distances.argmin(1)
            if (before == nearest).all():
                break
            for number in np.unique(nearest):
                own = nearest == number
                centers[number] = weights[own] @ points[own] / weights[own].sum()
        spread = weights @ distances.min(1)
        if spread < best:
            best, templates = spread, centers**2
    return _unit(templates)


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / (rows.sum(1, keepdims=True) + _TINY)
    return unit


def squared_distances(points: Rows, centers: Rows) -> Rows:
    """Squared distances (points, centers)."""
    squares = (points**2).sum(1)[:, np.newaxis] + (centers**2).sum(1)
    distances: Rows = np.maximum(squares - 2 * points @ centers.T, 0)
    return distances
