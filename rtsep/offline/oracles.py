"""How well masks could part a mixture if the stems were known: what no method that masks the mixture can be far above.

Masks are of each channel's STFT, with what the mixture has beside the stems as one more of them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .files import Sound
from .spectra import HOP, WINDOW, Floats, Spectra, istft, stft

_TINY = 1e-20  # of a power, against division by zero
_BESIDE = 2 * WINDOW  # samples around a piece, whose frames are then those of the whole
_PIECE = 1024 * HOP  # samples; a song's spectra would take gigabytes


def _ratio(stems: Spectra, mixture: Spectra) -> Floats:
    """Each stem's share in the sum of their powers (the mask of Wiener's filter)."""
    powers = np.square(np.abs(stems))
    shares: Floats = powers / (powers.sum(0) + _TINY)
    return shares


def _binary(stems: Spectra, mixture: Spectra) -> Floats:
    """One for the stem that is the loudest.

    Wang, "On ideal binary mask as the computational goal of auditory scene analysis", Kluwer 2005.
    """
    loudest = np.abs(stems).argmax(0)
    chosen: Floats = (loudest == np.arange(len(stems))[:, np.newaxis, np.newaxis]).astype(np.float32)
    return chosen


def _phase_sensitive(stems: Spectra, mixture: Spectra) -> Floats:
    """The real part of a stem over the mixture, cut at 0 and 1.

    Erdogan, Hershey, Watanabe and Le Roux, "Phase-sensitive and recognition-boosted speech separation using deep
    recurrent neural networks", ICASSP 2015.
    """
    shares: Floats = np.clip((stems * mixture.conj()).real / (np.square(np.abs(mixture)) + _TINY), 0, 1)
    return shares


MASKS: dict[str, Callable[[Spectra, Spectra], Floats]] = {
    "ratio mask": _ratio,
    "binary mask": _binary,
    "phase-sensitive mask": _phase_sensitive,
}
"""Real masks (stems, bins, frames) of spectra (stems, bins, frames) and the mixture's (bins, frames)."""


def oracle(kind: str, stems: Sequence[Sound], mixture: Sound) -> list[Sound]:
    """What the mask `kind`, a name of MASKS, leaves of the `mixture` for each of the true `stems`.

    Parameters
    ----------
    stems, mixture : (samples, channels) each, all of one shape
    """
    found = [np.empty(mixture.shape, np.float32) for _ in stems]
    for start in range(0, len(mixture), _PIECE):
        first = max(start - _BESIDE, 0)
        around, inside = slice(first, start + _PIECE + _BESIDE), slice(start - first, start - first + _PIECE)
        for channel in range(mixture.shape[1]):
            whole = stft(mixture[around, channel])
            parts = np.stack([stft(stem[around, channel]) for stem in stems])
            masks = MASKS[kind](np.concatenate([parts, [whole - parts.sum(0)]]), whole)
            for sound, mask in zip(found, masks, strict=False):
                piece = istft(mask * whole, length=len(mixture[around]))[inside]
                sound[start : start + _PIECE, channel] = piece
    return found
