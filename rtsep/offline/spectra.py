"""Short-time Fourier transforms of whole sounds, and how far such an array is from being one.

As of librosa.stft: spectra are (..., bins, frames) of a sound (..., samples), each frame in the middle of its window,
silence around the sound.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ..dsp.windows import hann
from ..errors import BadInput

Floats = NDArray[np.floating[Any]]
Spectra = NDArray[np.complexfloating[Any, Any]]

WINDOW, HOP = 2048, 512
_SILENT = 1e-10  # a sum of squared windows below it is no window at all


def stft(sound: Floats, window_size: int = WINDOW, hop_size: int = HOP) -> Spectra:
    """Spectra (..., bins, frames) of a `sound` (..., samples), by the periodic Hann window."""
    around = [(0, 0)] * (sound.ndim - 1) + [(window_size // 2,) * 2]
    frames = sliding_window_view(np.pad(sound, around), window_size, -1)[..., ::hop_size, :]
    spectra: Spectra = np.fft.rfft(frames * hann(window_size).astype(sound.dtype))
    return spectra.swapaxes(-1, -2)


def istft(spectra: Spectra, hop_size: int = HOP, length: int | None = None) -> Floats:
    """The sound (..., samples) whose transform is nearest to `spectra` (..., bins, frames) by least squares.

    Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions on Acoustics,
    Speech, and Signal Processing 32(2), 1984, equation 6. By default as many samples as lie between the middles of the
    first and the last frame.
    """
    bins, frames = spectra.shape[-2:]
    window_size = 2 * (bins - 1)
    parts = np.fft.irfft(spectra.swapaxes(-1, -2), window_size)
    window = hann(window_size).astype(parts.dtype)
    sound = overlapped(parts * window, hop_size)
    weights = overlapped(np.broadcast_to(window**2, (frames, window_size)), hop_size)
    sound /= np.where(weights > _SILENT, weights, 1)
    length = (frames - 1) * hop_size if length is None else length
    sound = sound[..., window_size // 2 :][..., :length]
    return np.pad(sound, [(0, 0)] * (sound.ndim - 1) + [(0, length - sound.shape[-1])])


def overlapped(parts: Floats, hop_size: int) -> Floats:
    """The sum (..., samples) of `parts` (..., frames, window), each `hop_size` samples after the one before."""
    *before, frames, size = parts.shape
    overlap = -(-size // hop_size)
    parts = np.pad(parts, [(0, 0)] * (parts.ndim - 1) + [(0, overlap * hop_size - size)])
    parts = parts.reshape(*before, frames, overlap, hop_size)
    total = np.zeros((*before, frames + overlap - 1, hop_size), parts.dtype)
    for i in range(overlap):
        total[..., i : i + frames, :] += parts[..., i, :]
    return total.reshape(*before, -1)


def inconsistency(spectra: ArrayLike, hop_size: int = HOP) -> float:
    """How far `spectra` (..., bins, frames) are from what any sound has, dB of their own power.

    That is the power of what they lose when they are made sound and transformed again. A transform that nobody has
    modified has about -150 dB in float32 and -300 in float64. Le Roux, Ono and Sagayama, "Explicit consistency
    constraints for STFT spectrograms and their application to phase reconstruction", SAPA 2008.

    Raises
    ------
    BadInput : for arrays without frames, and hops that are longer than half a window.
    """
    given = checked_spectra(np.asarray(spectra), hop_size)
    longest = given.shape[-1] * hop_size - 1  # that has so many frames
    again = stft(istft(given, hop_size, longest), 2 * (given.shape[-2] - 1), hop_size)
    return db(np.square(np.abs(again - given)).sum(), np.square(np.abs(given)).sum())


def checked_spectra(spectra: NDArray[Any], hop_size: int) -> NDArray[Any]:
    """`spectra`, if sound can be made of them."""
    if spectra.ndim < 2 or spectra.shape[-2] < 3 or not spectra.shape[-1]:
        raise BadInput(f"spectra of shape {spectra.shape}: they must be (bins, frames), or have axes before these.")
    half = spectra.shape[-2] - 1
    if not 1 <= hop_size <= half:
        raise BadInput(f"hop_size is {hop_size}: it must lie between 1 and half a window, {half} here.")
    if not np.isfinite(spectra).all():
        raise BadInput("the spectra hold what is no number: mend what made them.")
    return spectra


def db(power: float, reference: float) -> float:
    """`power` over `reference` in dB; -inf and inf at the ends, nan for nothing over nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * np.log10(np.float64(power) / np.float64(reference)))
