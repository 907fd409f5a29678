"""Asymmetric pairs of analysis and synthesis windows: a long look at the past, a short delay.

The analysis window rises slowly over the past and falls fast at the newest samples; the synthesis window covers
only the last few samples, so that these are complete soon after they came in. The product of the two is a Hann
window of the length of the synthesis window, whose overlapping copies add up to one.

Mauler and Martin, "A low delay, variable resolution, perfect reconstruction spectral analysis-synthesis system",
EUSIPCO 2007.
"""

import numpy as np
from numpy.typing import NDArray

Window = NDArray[np.float64]


def pair(window_size: int, synthesis_size: int, hop_size: int) -> tuple[Window, Window]:
    """Analysis (window_size,) and synthesis (synthesis_size,) windows for frames every `hop_size` samples.

    `synthesis_size` is a multiple of `hop_size`, at least four of them. Where both sizes are equal, the analysis
    is the Hann window and the synthesis its dual, as in librosa.stft and librosa.istft.
    """
    if synthesis_size == window_size:
        analysis = hann(window_size)
        overlapping = (analysis**2).reshape(-1, hop_size).sum(0)
        return analysis, analysis / np.tile(overlapping, window_size // hop_size)
    fall = synthesis_size // 2
    rise = window_size - fall
    analysis = np.sqrt(np.concatenate([hann(2 * rise)[:rise], hann(synthesis_size)[fall:]]))
    product = hann(synthesis_size) * 2 * hop_size / synthesis_size
    # The synthesis window starts where the analysis window is well above zero: no division by little.
    return analysis, product / np.maximum(analysis[-synthesis_size:], 1e-9)


def hann(size: int) -> Window:
    """The periodic Hann window (size,)."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def center(analysis: Window) -> float:
    """How many samples the middle of what the `analysis` window (window_size,) hears lies before its end."""
    power = analysis**2
    return float(np.sum(np.arange(len(power))[::-1] * power) / np.sum(power))
