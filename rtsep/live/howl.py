"""A howl in a microphone: feedback from the loudspeaker, told from everything that people sing or say.

Feedback rings at one frequency, the one at which the loop of loudspeaker, room and microphone amplifies most. So it
is a sinusoid: one line in the spectrum without partials, steady to a fraction of a percent, and it never fades. A
voice has partials, and no voice or flute holds a pitch so still. The features, peak to neighbors, to harmonics and
persistence, are those that van Waterschoot and Moonen compare ("Fifty years of acoustic feedback control: state of
the art and future challenges", Proc. IEEE, 2011).
"""

import numpy as np
from numpy.typing import NDArray

_PIECE_S, _PIECES = 0.025, 10  # looked at one by one: the last 0.25 s
_LOWEST_HZ = 80.0  # below lies hum
_LEVEL = 0.1  # of the sinusoid at its end: -20 dBFS
_ABOVE = 10 ** (25 / 20)  # the line above all else
_LINE_BINS = 4  # either side of the line, where the window spreads it
_KEPT = 0.8  # a level that falls below this part from piece to piece fades
_STEADY, _STEADY_HZ = 0.003, 1.0  # the range of its frequency, as part of it or in Hz, whichever is more


def howl(sound: NDArray[np.floating], sample_rate: float) -> float:
    """The frequency in Hz of a howl in the last quarter of a second of `sound` (samples,), else 0."""
    piece = round(_PIECE_S * sample_rate)
    samples = piece * _PIECES
    if len(sound) < samples:
        return 0.0
    sound = sound[-samples:].astype(float)
    magnitude = np.abs(np.fft.rfft(sound * np.hanning(samples)))
    peak = int(magnitude.argmax())
    height, f0 = magnitude[peak], peak * sample_rate / samples
    magnitude[max(peak - _LINE_BINS, 0) : peak + _LINE_BINS + 1] = 0
    if f0 < _LOWEST_HZ or height < _ABOVE * magnitude.max():
        return 0.0
    turned = sound * np.exp(-2j * np.pi * f0 / sample_rate * np.arange(samples))
    window = np.hanning(piece)
    line = turned.reshape(_PIECES, piece) @ window * 2 / window.sum()
    level = np.abs(line)
    if level[-1] < _LEVEL or (level[1:] < _KEPT * level[:-1]).any():
        return 0.0
    off = np.angle(line[1:] * line[:-1].conj()) * sample_rate / (2 * np.pi * piece)  # Hz beside f0
    return f0 + float(off.mean()) if np.ptp(off) < max(_STEADY * f0, _STEADY_HZ) else 0.0
