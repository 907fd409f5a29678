"""Sound from magnitudes alone: phases that go together, of whole sounds and frame by frame.

Magnitudes are those of `rtsep.offline.spectra`.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ..dsp.windows import hann
from ..errors import BadInput, unknown
from .spectra import HOP, Floats, Spectra, checked_spectra, db, istft, overlapped, stft

METHODS = ("fast-griffin-lim", "griffin-lim", "misi", "rtisi-la")
"""How phases are found."""

_ROUNDS, _STREAMED_ROUNDS = 50, 16
_MOMENTUM = 0.99  # as Perraudin, Balazs and Søndergaard found best
_SEED = 1
_FAINT = 1e-3  # a sum of squared windows below it would turn errors into clicks


def reconstruct(
    magnitudes: ArrayLike,
    *,
    hop_size: int = HOP,
    length: int | None = None,
    method: str = "fast-griffin-lim",
    rounds: int | None = None,
    start: ArrayLike | None = None,
    mixture: ArrayLike | None = None,
) -> Floats:
    """A sound whose STFT has nearly these `magnitudes`; the same on every run.

    "griffin-lim" is Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions
    on Acoustics, Speech, and Signal Processing 32(2), 1984, and "fast-griffin-lim" Perraudin, Balazs and Søndergaard,
    "A fast Griffin-Lim algorithm", WASPAA 2013. "misi", of all stems of a mixture together, is Gunawan and Sen,
    "Iterative phase estimation for the synthesis of separated sources from single-channel mixtures", IEEE Signal
    Processing Letters 17(5), 2010. "rtisi-la" is `rtisi_la`.

    Parameters
    ----------
    magnitudes : (bins, frames), or with axes before these, as (channels, bins, frames), of the periodic Hann window,
        each frame in the middle of its window, as numpy.abs(librosa.stft(sound)); "misi" takes (stems, bins, frames)
    hop_size : samples from frame to frame, at most half a window
    length : samples, by default hop_size * (frames - 1)
    method : a name of METHODS
    rounds : of refinement, by default 50, of "rtisi-la" 16 for each frame
    start : spectra of the shape of `magnitudes` whose phases are the first guess, random ones by default; not for
        "misi", which starts from the mixture, nor for "rtisi-la"
    mixture : (samples,), what the stems of "misi" add up to

    Returns
    -------
    (samples,), with the axes that `magnitudes` have before bins

    Raises
    ------
    BadInput : for an unknown method, negative magnitudes, sizes that do not go together, or what a method does not
        take.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    given = _checked(magnitudes, hop_size)
    if rounds is None:
        rounds = _STREAMED_ROUNDS if method == "rtisi-la" else _ROUNDS
    if rounds < 0:
        raise BadInput(f"rounds is {rounds}: it must be 0 or more.")
    if (mixture is not None) != (method == "misi"):
        raise BadInput("the method misi needs the mixture, and no other takes it.")
    if start is not None and "griffin" not in method:
        raise BadInput(f"the method {method} takes no start: leave it out.")
    if method == "misi":
        return _misi(given, np.asarray(mixture, given.dtype), hop_size, length, rounds)
    length = _checked_length(given, hop_size, length)
    if method == "rtisi-la":
        pieces = [*rtisi_la(np.moveaxis(given, -1, 0), hop_size=hop_size, rounds=rounds)]
        return np.concatenate(pieces, -1)[..., given.shape[-2] - 1 :][..., :length]
    if start is None:
        angles = np.random.default_rng(_SEED).uniform(-math.pi, math.pi, given.shape)
        guess: Spectra = np.exp(1j * angles.astype(given.dtype))
    else:
        guess = _phases(checked_spectra(np.asarray(start), hop_size))
        if guess.shape != given.shape:
            raise BadInput(f"start is of shape {guess.shape} and the magnitudes of {given.shape}: they must be alike.")
    return _griffin_lim(given, guess, hop_size, length, rounds, _MOMENTUM if method == "fast-griffin-lim" else 0)


def rtisi_la(
    frames: Iterable[ArrayLike], *, hop_size: int = HOP, look_ahead: int = 3, rounds: int = _STREAMED_ROUNDS
) -> Iterator[Floats]:
    """Sound from a stream of magnitudes, `look_ahead` frames after them.

    Each new frame gets the phases that those before it sound with, and the last few are then refined together, with the
    momentum of the fast Griffin-Lim algorithm; what is given out stays as it is. Zhu, Beauregard and Wyse, "Real-time
    signal estimation from modified short-time Fourier transform magnitude spectra", IEEE Transactions on Audio, Speech,
    and Language Processing 15(5), 2007.

    Parameters
    ----------
    frames : magnitudes (bins,) each, or with axes before it, as `reconstruct` takes them
    hop_size : samples from frame to frame, at most half a window
    look_ahead : frames that are heard before one is given out
    rounds : of refinement at each frame

    Returns
    -------
    Iterator of pieces (hop_size,), with the axes that frames have before bins. The first half window lies before the
    sound. When the frames end, what they still hold is given out.

    Raises
    ------
    BadInput : as `reconstruct`.
    """
    if look_ahead < 0 or rounds < 0:
        raise BadInput(f"look_ahead is {look_ahead} and rounds is {rounds}: they must be 0 or more.")
    stream = None
    for frame in frames:
        magnitude = _checked(np.asarray(frame)[..., np.newaxis], hop_size).swapaxes(-1, -2)
        stream = stream or _Stream(magnitude, hop_size, look_ahead)
        stream.take(magnitude, rounds)
        if stream.held > look_ahead:
            yield stream.give()
    if stream is None:
        return
    while stream.held:
        stream.refine(rounds)
        yield stream.give()
    for _ in range(stream.overlap - 1):
        yield stream.out()


class _Stream:
    """The last frames of a stream, (..., frames, bins), and what those before give to the samples to come."""

    def __init__(self, magnitude: Floats, hop_size: int, look_ahead: int) -> None:
        *before, _, bins = magnitude.shape
        self.hop, self.size = hop_size, 2 * (bins - 1)
        self.overlap = -(-self.size // hop_size)
        self.window = hann(self.size).astype(magnitude.dtype)
        samples = (look_ahead + 1 + self.overlap) * hop_size
        self.past, self.weights = np.zeros((*before, samples), magnitude.dtype), np.zeros(samples, magnitude.dtype)
        self.magnitudes = magnitude[..., :0, :]
        self.spectra = self.magnitudes + 0j

    @property
    def held(self) -> int:
        """How many frames are held."""
        return int(self.magnitudes.shape[-2])

    def take(self, magnitude: Floats, rounds: int) -> None:
        """Hold one frame more, (..., 1, bins), and refine them all."""
        heard = self._heard()[..., self.held : self.held + 1, :]
        self.magnitudes = np.concatenate([self.magnitudes, magnitude], -2)
        self.spectra = np.concatenate([self.spectra, magnitude * _phases(heard)], -2)
        self.refine(rounds)

    def refine(self, rounds: int) -> None:
        """Make the phases of the frames that are held go together."""
        before: Spectra | float = 0.0
        for _ in range(rounds):
            heard = self._heard()[..., : self.held, :]
            self.spectra = self.magnitudes * _phases(heard + _MOMENTUM * (heard - before))
            before = heard

    def give(self) -> Floats:
        """Let the oldest frame go; the samples (..., hop) that no other frame changes any more."""
        oldest = np.fft.irfft(self.spectra[..., 0, :], self.size) * self.window
        self.past[..., : self.size] += oldest
        self.weights[: self.size] += self.window**2
        self.magnitudes, self.spectra = self.magnitudes[..., 1:, :], self.spectra[..., 1:, :]
        return self.out()

    def out(self) -> Floats:
        """The next samples (..., hop) of what is past."""
        piece: Floats = self.past[..., : self.hop] / np.maximum(self.weights[: self.hop], _FAINT)
        for values in (self.past, self.weights):
            values[..., : -self.hop] = values[..., self.hop :]
            values[..., -self.hop :] = 0
        return piece

    def _heard(self) -> Spectra:
        """Spectra (..., frames, bins) of what sounds by all frames, those that are held and the next."""
        sound, weights = self.past.copy(), self.weights.copy()
        if self.held:
            parts = np.fft.irfft(self.spectra, self.size) * self.window
            samples = (self.held - 1 + self.overlap) * self.hop
            sound[..., :samples] += overlapped(parts, self.hop)
            weights[:samples] += overlapped(np.tile(self.window**2, (self.held, 1)), self.hop)
        sound /= np.maximum(weights, _FAINT)
        views = sliding_window_view(sound, self.size, -1)[..., :: self.hop, :]
        spectra: Spectra = np.fft.rfft(views[..., : self.held + 1, :] * self.window)
        return spectra


def spectral_convergence(magnitudes: ArrayLike, sound: ArrayLike, hop_size: int = HOP) -> float:
    """How far a `sound` (..., samples) is from the `magnitudes` (..., bins, frames), dB of them; lower is better.

    Sturmel and Daudet, "Signal reconstruction from STFT magnitude: a state of the art", DAFx 2011.

    Raises
    ------
    BadInput : if the sound does not have so many frames.
    """
    given = _checked(magnitudes, hop_size)
    heard = np.asarray(sound)
    _checked_length(given, hop_size, heard.shape[-1])
    again = np.abs(stft(heard, 2 * (given.shape[-2] - 1), hop_size))
    return db(float(np.square(again - given).sum()), float(np.square(given).sum()))


def _griffin_lim(
    magnitudes: Floats, guess: Spectra, hop_size: int, length: int, rounds: int, momentum: float
) -> Floats:
    window_size = 2 * (magnitudes.shape[-2] - 1)
    spectra = magnitudes * guess
    before: Spectra | float = 0.0
    for _ in range(rounds):
        heard = stft(istft(spectra, hop_size, length), window_size, hop_size)
        spectra = magnitudes * _phases(heard + momentum * (heard - before))
        before = heard
    return istft(spectra, hop_size, length)


def _misi(magnitudes: Floats, mixture: Floats, hop_size: int, length: int | None, rounds: int) -> Floats:
    """Stems (stems, samples) that add up to the `mixture` (samples,)."""
    if magnitudes.ndim != 3 or mixture.ndim != 1:
        raise BadInput(
            f"magnitudes of shape {magnitudes.shape} and a mixture of {mixture.shape}: they must be (stems, bins, "
            "frames) and (samples,)."
        )
    if length not in (None, len(mixture)):
        raise BadInput(f"length is {length}, but the stems are as long as the mixture: leave it out.")
    _checked_length(magnitudes, hop_size, len(mixture))
    window_size = 2 * (magnitudes.shape[-2] - 1)
    spectra = magnitudes * _phases(stft(mixture, window_size, hop_size))
    for _ in range(rounds):
        spectra = magnitudes * _phases(stft(_completed(spectra, mixture, hop_size), window_size, hop_size))
    return _completed(spectra, mixture, hop_size)


def _completed(spectra: Spectra, mixture: Floats, hop_size: int) -> Floats:
    """The sound of the stems' `spectra`, each with its part of what they lack of the `mixture`."""
    stems = istft(spectra, hop_size, len(mixture))
    completed: Floats = stems + (mixture - stems.sum(0)) / len(stems)
    return completed


def _phases(spectra: Spectra) -> Spectra:
    """`spectra`, each value of magnitude one."""
    magnitudes = np.abs(spectra)
    phases: Spectra = np.where(magnitudes > 0, spectra / np.where(magnitudes > 0, magnitudes, 1), 1)
    return phases


def _checked(magnitudes: ArrayLike, hop_size: int) -> Floats:
    given: NDArray[Any] = np.asarray(magnitudes)
    if not np.issubdtype(given.dtype, np.floating):
        raise BadInput(f"the magnitudes are an array of {given.dtype}: they must be floats, as numpy.abs makes them.")
    checked_spectra(given, hop_size)
    if (given < 0).any():
        raise BadInput(f"the lowest of the magnitudes is {given.min():g}: none may be below 0.")
    return given


def _checked_length(magnitudes: Floats, hop_size: int, length: int | None) -> int:
    """`length`, or the shortest sound that has as many frames as the `magnitudes`."""
    frames = magnitudes.shape[-1]
    shortest = (frames - 1) * hop_size
    if length is not None and not shortest <= length < shortest + hop_size:
        raise BadInput(
            f"{length} samples have {1 + length // hop_size} frames each {hop_size} samples, and the magnitudes "
            f"{frames}: sounds of {shortest} to {shortest + hop_size - 1} samples go with them."
        )
    return shortest if length is None else length
