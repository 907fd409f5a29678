"""Non-negative factorizations: few templates that many frames are made of, and when how much of each sounds.

A matrix V (bins, frames), the magnitudes of a spectrogram say, is told as the product of templates W (bins, rank) and
activations H (rank, frames). A module for each idea: `multiplicative` updates of both; `separable`, frames that occur
as templates; the non-negative `autoencoder`, whose activations are computed from the frames; `convolutive`, templates
that last some frames; and `clusters` of like frames, for the templates of parts that were recorded alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BadInput, unknown
from .autoencoder import UPDATES, train
from .convolutive import nmfd
from .divergences import LOSSES
from .multiplicative import nmf
from .separable import SELECTIONS, factor_by_columns

METHODS = ("nmf", *SELECTIONS, *UPDATES, "nmfd")
"""Of `factorize`."""

_LENGTH = 8  # frames of a convolutive template
_HOMES = {"given": ("nmf",), "mask": tuple(UPDATES), "length": ("nmfd",), "typical": tuple(SELECTIONS)}
"""The methods that take what the others do not."""


class Factors(NamedTuple):
    """What V is made of: V is about W @ H."""

    W: NDArray[Any]  # (bins, rank); of nmfd (bins, rank, length)
    H: NDArray[Any]  # (rank, frames)
    losses: NDArray[np.float64]  # before the first update and after each; or with no column chosen, one, two ...


def factorize(
    V: ArrayLike,  # noqa: N803
    rank: int,
    *,
    method: str = "nmf",
    loss: str | None = None,
    start: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
    given: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    length: int | None = None,
    typical: bool = False,
    stop: float = 0.0,
    iterations: int = 200,
    seed: int | np.random.Generator = 0,
) -> Factors:
    """Few templates W, and activations H, whose product is like V.

    The methods:

    - "nmf": multiplicative updates of W and H
    - "spa", "snpa": frames that occur, the farthest from the space, or from the hull, of those before
    - "xray", "xray-dist", "xray-rand", "xray-greedy": frames that occur, extreme rays of the cone of all frames
    - "greedy": frames that occur, the one that explains most of what the hull of those before leaves
    - "nae", "nae-adam", "nae-projected": an autoencoder by multiplicative updates, by Adam, by projected gradients
    - "nmfd": templates that last some frames

    Parameters
    ----------
    V : numbers from 0, (bins, frames), as of `abs(librosa.stft(y))`; what is float32 is computed in float32
    rank : templates to be found; with `given` ones it may be 0, and activations alone are found
    method : a name of that list
    loss : "kl" (Kullback-Leibler; the default), "euclidean" (half the squared error) or "itakura-saito" (where zeros
        count as 1e-10 of the mean). Those that choose frames know the Euclidean alone
    start : W and H to begin with; either may be None. Zeros stay zero: harmonic templates, onsets and scores are such
        zeros. An autoencoder begins with its decoder W and its encoder (rank, bins)
    given : templates (bins, n) that stay as they are; they come before the `rank` others in W and H. For nmf
    mask : (rank, frames) that activations of an autoencoder are multiplied by: structured dropout
    length : of each template of nmfd, frames; 8 by default
    typical : look among typical frames alone, each divided by its sum, without tails and clicks. For those that choose
    stop : ends when an update takes less than this part off the loss
    iterations : updates at most
    seed : of what is drawn by chance

    Returns
    -------
    W, H, losses. Templates that are found by updates sum to 1. Those that choose frames have a loss for each number of
    columns; W are the columns of V, and `snpa` and `greedy` have activations that add up to at most 1 in a frame.

    Raises
    ------
    BadInput : for a V that is no such matrix or silent, an unknown method or loss, shapes that do not fit, and what the
        method does not take.
    """
    matrix = _matrix(V, "V")
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if loss is not None and loss not in LOSSES:
        raise unknown("loss", loss, LOSSES)
    for name, value in (("given", given), ("mask", mask), ("length", length), ("typical", typical or None)):
        if value is not None and method not in _HOMES[name]:
            raise BadInput(f"{name} is for {', '.join(_HOMES[name])}, and the method is {method}: leave it out.")
    if not matrix.any():
        raise BadInput("V is silent: there is nothing to factorize.")
    bins, frames = matrix.shape
    known = np.zeros((bins, 0), matrix.dtype) if given is None else _matrix(given, "given", matrix.dtype, (bins, None))
    if rank < (0 if known.size else 1):
        raise BadInput(f"the rank is {rank}: it must be at least 1, or 0 with given templates.")
    if iterations < 0 or stop < 0:
        raise BadInput(f"iterations is {iterations} and stop is {stop}: neither may be below 0.")
    random = np.random.default_rng(seed)
    if method in SELECTIONS:
        if loss not in (None, "euclidean") or any(each is not None for each in start):
            raise BadInput(f"{method} chooses frames by squared errors and starts from none: leave loss and start out.")
        sounding = np.count_nonzero(matrix.any(0))
        if rank > sounding:
            raise BadInput(f"the rank is {rank}, and {sounding} frames sound: choose at most so many.")
        return Factors(*factor_by_columns(matrix, rank, method, typical, random))
    if length is not None and not 1 <= length <= frames:
        raise BadInput(f"the length is {length} frames: it must lie between 1 and the {frames} of V.")
    length = length or min(_LENGTH, frames)
    templates = (bins, rank, length) if method == "nmfd" else (bins, rank)
    second = (rank, bins) if method in UPDATES else (known.shape[1] + rank, frames)
    w, h = (
        None if each is None else _matrix(each, name, matrix.dtype, shape)
        for each, name, shape in zip(start, ("start[0]", "start[1]"), (templates, second), strict=True)
    )
    loss = loss or "kl"
    if method == "nmf":
        return Factors(*nmf(matrix, rank, w, h, known, loss, stop, iterations, random))
    if method == "nmfd":
        return Factors(*nmfd(matrix, rank, w, h, length, loss, stop, iterations, random))
    allowed = None if mask is None else _matrix(mask, "mask", matrix.dtype, (rank, frames))
    found = train(matrix, rank, w, h, allowed, method, loss, stop, iterations, random)
    return Factors(found.decoder, found.activations, found.losses)


def _matrix(
    values: ArrayLike, name: str, dtype: Any = None, shape: tuple[int | None, ...] = (None, None)
) -> NDArray[Any]:
    """`values` as an array of `shape` (None: any size from 1) that holds numbers from 0."""
    array = np.asarray(values)
    array = array.astype(dtype or (np.float32 if array.dtype == np.float32 else np.float64), copy=False)
    fits = array.ndim == len(shape) and all(
        size == wanted or (wanted is None and size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise BadInput(f"{name} has the shape {array.shape}: it must be ({wanted}).")
    if not (array >= 0).all() or not np.isfinite(array).all():
        raise BadInput(f"{name} holds numbers below 0, or what is no number: give magnitudes.")
    return array
