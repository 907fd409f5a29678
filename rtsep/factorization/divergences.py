"""How far a model is from what it models, and what moves it nearer: three of the beta divergences.

Févotte and Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural Computation 23(9),
2011. The gradient of each is the difference of two terms that are never negative; a multiplicative update is their
quotient.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LOSSES = ("kl", "euclidean", "itakura-saito")
_SMALL = 1e-10  # of the mean of what is modelled: what is less is this much, where it divides
_TINY = 1e-30


def floor_of(target: Array) -> Any:
    """What counts as zero beside `target`."""
    return target.dtype.type(_SMALL) * target.mean()


def terms(target: Array, model: Array, loss: str, floor: Any) -> tuple[Array, Array | None]:
    """What calls for more of `model` and what calls for less, each of its shape; None stands for ones."""
    if loss == "euclidean":
        return target, model
    above = np.maximum(model, floor)
    if loss == "kl":
        return np.divide(target, above, out=above), None
    less = 1 / above
    return np.maximum(target, floor) * less * less, less


def factor(more: Array, less: Array, loss: str) -> Array:
    """That of a multiplicative update, with which no loss rises; 0 where nothing calls for less: there is nothing."""
    quotient: Array = np.divide(more, less, out=np.zeros_like(more), where=less > 0)
    return np.sqrt(quotient) if loss == "itakura-saito" else quotient


def divergence(target: Array, model: Array, loss: str, floor: Any, calls: Array | None = None) -> float:
    """The loss: the sum over all of `target` and `model`. `calls`, the first of their `terms`, spare a division."""
    if loss == "euclidean":
        return 0.5 * float(np.square(target - model).sum(dtype=np.float64))
    if loss == "itakura-saito":
        ratio = np.maximum(target, floor) / np.maximum(model, floor)
        return float((ratio - np.log(ratio) - 1).sum(dtype=np.float64))
    ratio = np.maximum(terms(target, model, loss, floor)[0] if calls is None else calls, _TINY)
    likeness = float(np.vdot(target, np.log(ratio, out=ratio)))  # what is 0 in `target` adds nothing
    return likeness - float(target.sum(dtype=np.float64)) + float(model.sum(dtype=np.float64))


def settled(losses: list[float], stop: float) -> bool:
    """Whether the last update took less than the part `stop` off the loss."""
    return stop > 0 and len(losses) > 1 and losses[-2] - losses[-1] < stop * losses[-2]
