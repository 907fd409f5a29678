"""Templates that last some frames, as drum hits do: convolutive factorization.

Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources from monophonic inputs", ICA
2004. Activations are updated by all frames of their templates at once, with which no loss rises.
"""

import numpy as np

from .divergences import Array, divergence, factor, floor_of, settled, terms


def nmfd(
    V: Array,  # noqa: N803
    rank: int,
    w: Array | None,
    h: Array | None,
    length: int,
    loss: str,
    stop: float,
    iterations: int,
    random: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """W (bins, rank, length), each template of sum 1; H (rank, frames); losses (updates + 1,).

    `w` and `h` are starts; without them templates begin as stretches of V drawn by chance, and activations all alike.
    """
    frames = V.shape[1]
    floor = floor_of(V)
    if w is None:
        begins = random.choice(frames - length + 1, rank, replace=frames - length + 1 < rank)
        w = np.stack([V[:, begin : begin + length] for begin in begins], 1)
        w = w + V.dtype.type(0.1) * V.mean() * random.uniform(0.5, 1.5, w.shape).astype(V.dtype)
    sums = w.sum((0, 2))
    sums[sums == 0] = 1
    w = w / sums[:, np.newaxis]
    h = np.full((rank, frames), V.sum() / (rank * frames), V.dtype) if h is None else h * sums[:, np.newaxis]
    losses = [divergence(V, convolved(w, h), loss, floor)]
    for _ in range(iterations):
        calls, dampers = terms(V, convolved(w, h), loss, floor)
        pairs = [calls, np.ones_like(V) if dampers is None else dampers]
        more, less = (np.sum([w[:, :, late].T @ _earlier(pair, late) for late in range(length)], 0) for pair in pairs)
        h = h * factor(more, less, loss)
        calls, dampers = terms(V, convolved(w, h), loss, floor)
        pairs = [calls, np.ones_like(V) if dampers is None else dampers]
        more, less = (np.stack([pair @ _later(h, late).T for late in range(length)], 2) for pair in pairs)
        w = w * factor(more, less, loss)
        sums = w.sum((0, 2))
        sums[sums == 0] = 1
        w, h = w / sums[:, np.newaxis], h * sums[:, np.newaxis]
        losses.append(divergence(V, convolved(w, h), loss, floor))
        if settled(losses, stop):
            break
    return w, h, np.array(losses)


def convolved(w: Array, h: Array) -> Array:
    """The model (bins, frames) of templates (bins, rank, length) and activations (rank, frames)."""
    model = np.zeros((len(w), h.shape[1]), w.dtype)
    for late in range(w.shape[2]):
        model += w[:, :, late] @ _later(h, late)
    return model


def _later(rows: Array, by: int) -> Array:
    return np.pad(rows, ((0, 0), (by, 0)))[:, : rows.shape[1]]


def _earlier(rows: Array, by: int) -> Array:
    return np.pad(rows, ((0, 0), (0, by)))[:, by:]
