"""The frames that the networks hear of a mix, in the modes that they are trained for."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from ..dsp import windows
from ..settings import Settings, Sizes
from .effects import RATE, Sound

BALANCED, QUALITY = "balanced", "quality"
"""The modes: without look-ahead, and with it."""


def sizes_of(mode: str, rate: int = RATE) -> Sizes:
    """Of its frames at the rate of the material, or another."""
    return Settings(mode).sizes(rate)


def window(sizes: Sizes) -> NDArray[np.float64]:
    """The analysis window."""
    return windows.pair(sizes.window_size, sizes.synthesis_size, sizes.hop_size)[0]


def spectra(sound: Sound, ends: NDArray[np.int64], sizes: Sizes) -> NDArray[np.complex64]:
    """The engine's frames (frames, channels, bins) of `sound` (samples, channels) that end at the samples `ends`."""
    size = sizes.window_size
    padded = np.pad(sound, ((size, 0), (0, 0)))
    frames = np.stack([padded[end : end + size].T for end in ends])
    found: NDArray[np.complex64] = rfft(frames * window(sizes).astype(np.float32))
    return found
