"""BSS Eval: what of an estimate is its stem, what is of the others, and what is of none.

Vincent, Gribonval and Févotte, "Performance measurement in blind audio source separation", IEEE Transactions on Audio,
Speech, and Language Processing 14(4), 2006; of more than one channel as images, Vincent et al., "The signal separation
evaluation campaign (2007-2010): achievements and remaining challenges", Signal Processing 92, 2012. An estimate is
projected onto delayed copies of all channels of its true stem, and of all stems: a filter of that many taps is
forgiven. Only the powers of the projections are needed, and these follow from correlations.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import Sound
from .spectra import db

TAPS = 512
"""Of the filter that is forgiven, as in the campaigns."""

_BLOCKS = 16  # how many times longer than its lags a transform is
_LOAD = 1e-12  # of the greatest power, on the diagonal: two channels may be one, and files have silent bands
_Values = NDArray[np.float64]


def bss_eval(truths: Sequence[Sound], estimates: Sequence[Sound]) -> list[tuple[float, float, float]]:
    """SDR, SIR and SAR in dB of each of `estimates`, whose true stems come first and in their order in `truths`.

    Above some 100 dB they are not exact. A silent estimate has nan.

    Parameters
    ----------
    truths, estimates : (samples, channels) each, all of one shape, no truth silent
    """
    channels, count = truths[0].shape[1], len(truths)
    signals = np.concatenate([sound.T for sound in (*truths, *estimates)])
    found = correlations(signals, count * channels, TAPS - 1)
    rows = count * channels * TAPS
    lags = np.subtract.outer(np.arange(TAPS), np.arange(TAPS)) + TAPS - 1
    among = found[:, : count * channels, lags].swapaxes(1, 2).reshape(rows, rows)
    among[np.diag_indices(rows)] += _LOAD * among.max()
    towards = found[:, count * channels :, TAPS - 1 :].swapaxes(1, 2).reshape(rows, -1)
    onto_all = (towards * np.linalg.solve(among, towards)).sum(0).reshape(-1, channels).sum(1)
    figures = []
    for number, estimate in enumerate(estimates):
        own = slice(number * channels * TAPS, (number + 1) * channels * TAPS)
        against = towards[own, number * channels : (number + 1) * channels]
        target = float((against * np.linalg.solve(among[own, own], against)).sum())
        power, all = float(np.square(estimate, dtype=np.float64).sum()), float(onto_all[number])
        figures.append(
            (db(target, max(power - target, 0)), db(target, max(all - target, 0)), db(all, max(power - all, 0)))
        )
    return figures


def correlations(signals: NDArray[Any], first: int, reach: int) -> _Values:
    """Sums of products of the `first` signals with all, those moved: (first, signals, lags from -reach to reach).

    At a positive lag what is moved comes later.
    """
    size = _BLOCKS * (reach + 1)
    block = size - 2 * reach
    products = np.zeros((first, len(signals), size // 2 + 1), np.complex128)
    for start in range(0, signals.shape[1], block):
        here = signals[:first, start : start + block].astype(np.float64)
        around = signals[:, max(start - reach, 0) : start + block + reach].astype(np.float64)
        around = np.pad(around, ((0, 0), (max(reach - start, 0), 0)))
        products += np.fft.rfft(here, size).conj()[:, np.newaxis] * np.fft.rfft(around, size)
    found: _Values = np.fft.irfft(products)[..., : 2 * reach + 1]
    return found
