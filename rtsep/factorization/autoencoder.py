"""A non-negative autoencoder: its decoder are templates, and its encoder computes their activations from the frames.

H = mask * max(encoder @ V, 0), and V is about decoder @ H. Smaragdis and Venkataramani, "A neural network alternative
to non-negative audio models", ICASSP 2017; masks (structured dropout) and zeros of both layers, from a score: Ewert and
Sandler, "Structured dropout for weak label and multi-instance learning and its application to score-informed source
separation", ICASSP 2017; multiplicative updates of both layers: Özer, Hansen, Zunner and Müller, "Investigating
nonnegative autoencoders for efficient audio decomposition", EUSIPCO 2022. Weights that begin at zero stay zero,
whatever the updates.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .divergences import Array, divergence, factor, floor_of, settled, terms
from .multiplicative import best_start

_STEP = 0.01  # of Adam: of the mean weight of a layer
_FASTER, _SLOWER, _TRIES = 2.0, 0.5, 20  # of projected gradients: a step grows after each success, else it shrinks
_TINY = 1e-30


class Autoencoder(NamedTuple):
    """Both layers, and what they make of the frames that they were learned from."""

    decoder: Array  # (bins, rank), columns sum to 1
    encoder: Array  # (rank, bins)
    activations: Array  # (rank, frames)
    losses: Array  # (updates + 1,)


class _Data(NamedTuple):
    frames: Array  # (bins, frames)
    mask: Array | float
    loss: str
    floor: float

    def activations(self, encoder: Array) -> Array:
        activations: Array = self.mask * np.maximum(encoder @ self.frames, 0)
        return activations

    def terms(self, decoder: Array, encoder: Array) -> tuple[Array, Array, Array]:
        """Activations; what calls for more of the model, and what calls for less."""
        activations = self.activations(encoder)
        more, less = terms(self.frames, decoder @ activations, self.loss, self.floor)
        return activations, more, np.ones_like(more) if less is None else less

    def to_encoder(self, decoder: Array, term: Array) -> Array:
        """What a term (bins, frames) calls for in the encoder (rank, bins)."""
        return (self.mask * (decoder.T @ term)) @ self.frames.T

    def left(self, decoder: Array, encoder: Array) -> float:
        return divergence(self.frames, decoder @ self.activations(encoder), self.loss, self.floor)


def train(
    V: Array,  # noqa: N803
    rank: int,
    decoder: Array | None,
    encoder: Array | None,
    mask: Array | None,
    update: str,
    loss: str,
    stop: float,
    iterations: int,
    random: np.random.Generator,
) -> Autoencoder:
    """Learn both layers from starts, which may be None: then the decoder begins as the best of some frames.

    The encoder then begins as the decoder's inverse where it may be negative, else as its transpose, as loud as V.
    `update` is a name of UPDATES, other parameters and the errors are those of `factorize`.
    """
    data = _Data(V, 1.0 if mask is None else mask, loss, floor_of(V))
    if decoder is None:
        decoder = best_start(np.ascontiguousarray(V.T), rank, V[:, :0], loss, random)
    decoder, sums = _unit(decoder)
    if encoder is not None:
        encoder = encoder * sums[:, np.newaxis]
    else:
        encoder = np.linalg.pinv(decoder) if update == "nae-adam" else decoder.T * (V.sum() / (decoder.T @ V).sum())
    losses = [data.left(decoder, encoder)]
    step = UPDATES[update](data, decoder, encoder)
    for _ in range(iterations):
        decoder, encoder = step(decoder, encoder)
        losses.append(data.left(decoder, encoder))
        if settled(losses, stop):
            break
    decoder, sums = _unit(decoder)
    encoder = encoder * sums[:, np.newaxis]
    return Autoencoder(decoder, encoder, data.activations(encoder), np.array(losses))


def _unit(decoder: Array) -> tuple[Array, Array]:
    """Columns that sum to 1, and what they summed to."""
    sums = decoder.sum(0)
    sums[sums == 0] = 1
    return decoder / sums, sums


_Step = Callable[[Array, Array], tuple[Array, Array]]


def _multiplicative(data: _Data, decoder: Array, encoder: Array) -> _Step:
    """The model is linear in each layer, and no number is negative: the updates of NMF, and as there no loss rises."""

    def step(decoder: Array, encoder: Array) -> tuple[Array, Array]:
        _, more, less = data.terms(decoder, encoder)
        encoder = encoder * factor(data.to_encoder(decoder, more), data.to_encoder(decoder, less), data.loss)
        activations, more, less = data.terms(decoder, encoder)
        return decoder * factor(more @ activations.T, less @ activations.T, data.loss), encoder

    return step


def _adam(data: _Data, decoder: Array, encoder: Array) -> _Step:
    """Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. The encoder may become negative."""
    layers = (decoder, encoder)
    open_, rates = [layer != 0 for layer in layers], [_STEP * np.abs(layer).mean() for layer in layers]
    means, squares = [np.zeros_like(layer) for layer in layers], [np.zeros_like(layer) for layer in layers]
    count = 0

    def step(decoder: Array, encoder: Array) -> tuple[Array, Array]:
        nonlocal count
        count += 1
        activations, more, less = data.terms(decoder, encoder)
        heard = np.where(activations > 0, data.mask, 0)
        gradients = ((less - more) @ activations.T, (heard * (decoder.T @ (less - more))) @ data.frames.T)
        moved = []
        for number, (layer, gradient) in enumerate(zip((decoder, encoder), gradients, strict=True)):
            means[number] += 0.1 * (gradient - means[number])
            squares[number] += 0.001 * (gradient**2 - squares[number])
            way = means[number] / (1 - 0.9**count) / (np.sqrt(squares[number] / (1 - 0.999**count)) + _TINY)
            moved.append(open_[number] * (layer - rates[number] * way))
        return np.maximum(moved[0], 0), moved[1]

    return step


def _projected(data: _Data, decoder: Array, encoder: Array) -> _Step:
    """Down the gradient of one layer and of the other, and back to 0 what became negative, in steps that help.

    Lin, "Projected gradient methods for nonnegative matrix factorization", Neural Computation 19(10), 2007. Steps are
    relative to each layer, so that its loudness plays no part.
    """
    open_, steps = [decoder > 0, encoder > 0], [1.0, 1.0]

    def step(decoder: Array, encoder: Array) -> tuple[Array, Array]:
        layers = [decoder, encoder]
        for number in (1, 0):
            activations, more, less = data.terms(*layers)
            gradient = (less - more) @ activations.T if number == 0 else data.to_encoder(layers[0], less - more)
            gradient *= open_[number] * np.abs(layers[number]).mean() / max(float(np.abs(gradient).mean()), _TINY)
            before, held = data.left(*layers), layers[number]
            for _ in range(_TRIES):
                layers[number] = np.maximum(held - steps[number] * gradient, 0)
                if data.left(*layers) <= before:
                    steps[number] *= _FASTER
                    break
                steps[number] *= _SLOWER
            else:
                layers[number] = held
        return layers[0], layers[1]

    return step


UPDATES: dict[str, Callable[[_Data, Array, Array], _Step]] = {
    "nae": _multiplicative,
    "nae-adam": _adam,
    "nae-projected": _projected,
}
