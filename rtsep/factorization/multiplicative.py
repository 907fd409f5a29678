"""Factors by multiplicative updates of templates and activations.

Lee and Seung, "Algorithms for non-negative matrix factorization", NIPS 2000; with templates that are known and stay:
Smaragdis, Raj and Shashanka, "Supervised and semi-supervised separation of sounds from single-channel mixtures", ICA
2007. What is zero stays zero. Frames are taken in blocks that fit a processor's cache, which changes no result: the
activations of a frame depend on no other frame.
"""

import numpy as np

from .divergences import Array, divergence, factor, floor_of, settled, terms

_BLOCK = 256  # frames
_STARTS, _TRIAL = 4, 50  # starts from frames drawn by chance; after fewer updates the best is not known yet
_FRAMES, _FRAMES_EACH = 400, 4  # they are tried out on so many frames, or so many for each template
_SMALLEST = 1e-12  # of a template that sums to 1: below it is zero, long before it would be denormal and slow


def nmf(
    V: Array,  # noqa: N803
    rank: int,
    w: Array | None,
    h: Array | None,
    given: Array,
    loss: str,
    stop: float,
    iterations: int,
    random: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """W (bins, n + rank), the n `given` first; H (n + rank, frames); and losses (updates + 1,).

    `w` (bins, rank) and `h` (n + rank, frames) are starts. Without them templates begin as frames drawn by chance, the
    best of some such starts, and activations all alike in a frame. Other parameters as of `factorize`.
    """
    frames, fixed = np.ascontiguousarray(V.T), given.shape[1]
    if w is not None:
        free = w.T
    elif h is not None:
        free = h[fixed:] @ frames  # the mean of the frames in which each sounds
    else:
        free = best_start(frames, rank, given, loss, random).T
    templates = np.concatenate([given.T, free])
    sums = templates.sum(1)
    sums[sums == 0] = 1
    templates /= sums[:, np.newaxis]
    activations = level(frames, len(templates)) if h is None else h.T * sums
    losses = descend(frames, activations, templates, fixed, loss, stop, iterations)
    activations[:, :fixed] /= sums[:fixed]
    return np.concatenate([given, templates[fixed:].T], 1), activations.T, np.array(losses)


def best_start(frames: Array, rank: int, given: Array, loss: str, random: np.random.Generator) -> Array:
    """Templates (bins, rank) to begin with: of some starts the one that is best after a few updates of some frames."""
    some = frames[:: max(len(frames) // max(_FRAMES, _FRAMES_EACH * rank), 1)]
    some = some[some.any(1)]
    best, least = np.zeros((rank, frames.shape[1]), frames.dtype), np.inf
    for _ in range(_STARTS if rank else 0):
        drawn = some[random.choice(len(some), rank, replace=len(some) < rank)]
        mixed = drawn + frames.dtype.type(0.1) * some.mean() * random.uniform(0.5, 1.5, drawn.shape)
        templates = np.concatenate([given.T, mixed]).astype(frames.dtype)
        templates /= np.maximum(templates.sum(1, keepdims=True), floor_of(frames))
        last = descend(some, level(some, len(templates)), templates, given.shape[1], loss, 0.0, _TRIAL)[-1]
        if last < least:
            best, least = templates[given.shape[1] :], last
    return best.T


def level(frames: Array, count: int) -> Array:
    """Activations (frames, count), all alike in a frame, for templates that sum to 1."""
    return np.repeat(frames.sum(1, keepdims=True) / frames.dtype.type(max(count, 1)), count, 1)


def descend(
    frames: Array, activations: Array, templates: Array, fixed: int, loss: str, stop: float, iterations: int
) -> list[float]:
    """Update `activations` (frames, rank) and `templates` (rank, bins), whose rows sum to 1, but for the first `fixed`.

    Returns the losses before the first update and after each. A loss is known in the middle of the next update, so
    that one more is done after that which `stop` asks for.
    """
    floor = floor_of(frames)
    losses, enough = list[float](), False
    for update in range(iterations + 1):
        left, more, less = 0.0, np.zeros_like(templates[fixed:]), np.zeros_like(templates[fixed:])
        last = enough or update == iterations
        for start in range(0, len(frames), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block, own = frames[rows], activations[rows]
            model = own @ templates
            calls, dampers = terms(block, model, loss, floor)
            left += divergence(block, model, loss, floor, calls)
            if last:
                continue
            own *= factor(calls @ templates.T, templates.sum(1) if dampers is None else dampers @ templates.T, loss)
            own[own < floor * _SMALLEST] = 0
            if fixed < len(templates):
                calls, dampers = terms(block, own @ templates, loss, floor)
                more += own[:, fixed:].T @ calls
                less += own[:, fixed:].sum(0)[:, np.newaxis] if dampers is None else own[:, fixed:].T @ dampers
        losses.append(left)
        if last:
            break
        enough = settled(losses, stop)
        free = templates[fixed:]
        free *= factor(more, less, loss)
        sums = free.sum(1)
        sums[sums == 0] = 1
        free /= sums[:, np.newaxis]
        free[free < _SMALLEST] = 0
        activations[:, fixed:] *= sums
    return losses
