"""What the networks hear of a mix, in the mode that they are trained for: windows, and when they stand where."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from ..dsp import windows
from ..settings import Settings
from .effects import RATE, Sound

SIZES = Settings("balanced").sizes(RATE)
WINDOW = windows.pair(SIZES.window_size, SIZES.synthesis_size, SIZES.hop_size)[0]
MIDDLE = windows.center(WINDOW)
"""Samples by which the middle of a frame is older than its end."""


def spectra(sound: Sound, ends: NDArray[np.int64]) -> NDArray[np.complex64]:
    """The engine's frames (frames, channels, bins) of `sound` (samples, channels) that end at the samples `ends`."""
    size = SIZES.window_size
    padded = np.pad(sound, ((size, 0), (0, 0)))
    frames = np.stack([padded[end : end + size].T for end in ends])
    found: NDArray[np.complex64] = rfft(frames * WINDOW.astype(np.float32))
    return found
