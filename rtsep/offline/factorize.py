"""Dictionaries for non-negative spectra: ways to find few templates that many frames are made of.

Each method takes magnitudes `frames` (frames, bins), none of them silent, how many `components` to find, and a random
generator, which only k-means and what starts from it use; it returns templates (components, bins) whose rows sum to 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
Method = Callable[[Rows, int, np.random.Generator], Rows]

_TINY = 1e-12
_UPDATES = 200  # multiplicative updates; the divergence then falls by less than a thousandth in ten
_STARTS = 8  # of k-means, of which the best is taken
_ROUNDS = 200  # of a start at most: frames that are all alike would change sides for ever, by errors of rounding
_LOUD = 0.1  # of the loudest frame: what is softer is a tail, whose spectrum is an extreme
_NEIGHBORS, _TYPICAL, _FEW = 3, 0.9, 30  # a frame whose third neighbor is farther than for 90 % of all is a click


def k_means(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """Means of clusters of like frames, compared by the square roots of their shares (the Hellinger distance).

    Each frame weighs as much as it sounds, or the long decay of a hit would take all templates from its stroke. Arthur
    and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    """
    points, weights = np.sqrt(_unit(frames)), frames.sum(1) / frames.sum()
    best, templates = np.inf, points[:components]
    for _ in range(_STARTS):
        centers = points[[random.choice(len(points), p=weights)]]
        while len(centers) < components:
            far = weights * (_distances(points, centers).min(1) + _TINY)
            centers = np.concatenate([centers, points[[random.choice(len(points), p=far / far.sum())]]])
        nearest = np.full(len(points), -1)
        for _ in range(_ROUNDS):
            distances = _distances(points, centers)
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


def kl_nmf(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """Factors of least Kullback-Leibler divergence, from k-means by multiplicative updates.

    Lee and Seung, "Algorithms for non-negative matrix factorization", NIPS 2000.
    """
    templates = k_means(frames, components, random) + 0.01 / frames.shape[1]
    activations = np.repeat(frames.sum(1, keepdims=True), components, 1) / components
    return factors(frames, activations, templates)[1]


def factors(frames: Rows, activations: Rows, templates: Rows) -> tuple[Rows, Rows]:
    """Activations (frames, components) and templates (components, bins) after the multiplicative updates of both."""
    for _ in range(_UPDATES):
        templates = _unit(templates)
        activations = activations * (frames / (activations @ templates + _TINY) @ templates.T)
        templates = templates * (activations.T @ (frames / (activations @ templates + _TINY)))
    return activations, _unit(templates)


def spa(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """Frames that occur, each the farthest from the space that those before span: successive projection.

    Gillis and Vavasis, "Fast and robust recursive algorithms for separable nonnegative matrix factorization", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 36(4), 2014. Clicks and tails, which would win, are left
    out first.
    """
    frames = _typical(frames, components)
    residual, chosen = frames.copy(), []
    for _ in range(components):
        chosen.append(_farthest(residual))
        direction = residual[chosen[-1]] / (np.linalg.norm(residual[chosen[-1]]) + _TINY)
        residual -= np.outer(residual @ direction, direction)
    return frames[chosen]


def snpa(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """As `spa`, but each is the farthest from the hull of the origin and those before.

    Gillis, "Successive nonnegative projection algorithm for robust nonnegative blind source separation", SIAM Journal
    on Imaging Sciences 7(2), 2014.
    """
    frames = _typical(frames, components)
    residual, chosen = frames, list[int]()
    for _ in range(components):
        chosen.append(_farthest(residual))
        residual = frames - _projected(frames, frames[chosen], 1)
    return frames[chosen]


def xray(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """Frames that occur, each the extreme in the direction that the cone of those before fits worst ("max").

    Kumar, Sindhwani and Kambadur, "Fast conical hull algorithms for near-separable non-negative matrix factorization",
    ICML 2013. Clicks and tails are left out as in `spa`.
    """
    frames = _typical(frames, components)
    residual, chosen = frames, list[int]()
    for _ in range(components):
        chosen.append(int(np.argmax(frames @ residual[_farthest(residual)])))
        residual = frames - _projected(frames, frames[chosen], np.inf)
    return frames[chosen]


def autoencoder(frames: Rows, components: int, random: np.random.Generator) -> Rows:
    """The decoder of a non-negative autoencoder, whose activations are max(0, frames @ encoder).

    Smaragdis and Venkataramani, "A neural network alternative to non-negative audio models", ICASSP 2017. Here the
    decoder moves by multiplicative updates of the Kullback-Leibler divergence, the encoder down its gradient by Adam
    (Kingma and Ba, ICLR 2015).
    """
    frames = frames / frames.sum(1).mean()
    decoder = k_means(frames, components, random) + 0.01 / frames.shape[1]
    encoder = np.linalg.pinv(decoder)
    mean, square = np.zeros_like(encoder), np.zeros_like(encoder)
    step = 0.01 * np.abs(encoder).mean()
    for update in range(1, _UPDATES + 1):
        activations = np.maximum(frames @ encoder, 0)
        ratio = frames / (activations @ decoder + 1e-4 / frames.shape[1])
        gradient = frames.T @ ((decoder.sum(1) - ratio @ decoder.T) * (activations > 0))
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (gradient**2 - square)
        moved = (mean / (1 - 0.9**update)) / (np.sqrt(square / (1 - 0.999**update)) + _TINY)
        decoder = decoder * (activations.T @ ratio) / (activations.sum(0)[:, np.newaxis] + _TINY)
        encoder = encoder - step * moved
    return _unit(decoder)


METHODS: dict[str, Method] = {
    "k-means": k_means,
    "nmf": kl_nmf,
    "spa": spa,
    "snpa": snpa,
    "xray": xray,
    "autoencoder": autoencoder,
}


def _unit(rows: Rows) -> Rows:
    unit: Rows = rows / (rows.sum(1, keepdims=True) + _TINY)
    return unit


def _distances(points: Rows, centers: Rows) -> Rows:
    """Squared distances (points, centers)."""
    squares = (points**2).sum(1)[:, np.newaxis] + (centers**2).sum(1)
    distances: Rows = np.maximum(squares - 2 * points @ centers.T, 0)
    return distances


def _farthest(residual: Rows) -> int:
    return int(np.argmax((residual**2).sum(1)))


def _typical(frames: Rows, components: int) -> Rows:
    """Of `frames` the loud ones, each divided by its sum, without those unlike all others."""
    loudness = frames.sum(1)
    loud = _unit(frames[loudness >= _LOUD * loudness.max()])
    if _TYPICAL * len(loud) < max(components, _FEW):
        return _unit(frames)
    points = np.sqrt(loud)
    third = np.partition(_distances(points, points), _NEIGHBORS, axis=1)[:, _NEIGHBORS]
    typical: Rows = loud[third <= np.quantile(third, _TYPICAL)]
    return typical


def _projected(frames: Rows, chosen: Rows, most: float) -> Rows:
    """The point nearest to each frame among the sums of `chosen` with weights from 0 that add up to at most `most`.

    Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM Journal on Imaging Sciences 2(1), 2009.
    """
    gram = chosen @ chosen.T
    step = 1 / (np.linalg.norm(gram, 2) + _TINY)
    target = frames @ chosen.T
    weights = ahead = np.zeros_like(target)
    for number in range(_UPDATES):
        before = weights
        weights = _bounded(ahead - step * (ahead @ gram - target), most)
        ahead = weights + number / (number + 3) * (weights - before)
    nearest: Rows = weights @ chosen
    return nearest


def _bounded(weights: Rows, most: float) -> Rows:
    """The nearest weights from 0 that add up to at most `most` in each row (Duchi et al., ICML 2008)."""
    positive = np.maximum(weights, 0)
    if np.isinf(most):
        return positive
    falling = -np.sort(-weights, axis=1)
    excess = (np.cumsum(falling, 1) - most) / np.arange(1, weights.shape[1] + 1)
    last = np.count_nonzero(falling > excess, axis=1)[:, np.newaxis] - 1
    within = positive.sum(1, keepdims=True) <= most
    return np.where(within, positive, np.maximum(weights - np.take_along_axis(excess, last, 1), 0))
