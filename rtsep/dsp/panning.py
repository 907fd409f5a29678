"""Panning: where in the stereo image each bin sounds, so that a melody can be looked for at one place alone.

Off by default: as a cue for where a lead might be it does more harm than good, for much else stands in the middle
too; but one who knows that the lead stands on the left can say so.

After Avendano, "Frequency-domain source identification and manipulation in stereo mixes for enhancement, suppression
and re-panning applications", WASPAA 2003; here the place follows from the powers of both channels.
"""

import math

import numpy as np

from ..kernels import kernel

EVERYWHERE = 2.0
"""A width that leaves nothing out."""

_BORDER = 0.25  # over which a bin beyond the width fades


@kernel
def process(spectra, pan, width, placed, weight):
    """Write `weight` (bins,), 1 within `width` of `pan` (-1 left to 1 right), and `placed`: `spectra` weighed by it.

    Both hold (channels, bins). Of any but two channels nothing is left out.
    """
    weight[:] = 1
    if spectra.shape[0] == 2 and width < np.float32(EVERYWHERE):
        left, right = spectra[0], spectra[1]
        for k in range(weight.shape[0]):
            a = left[k].real ** 2 + left[k].imag ** 2
            b = right[k].real ** 2 + right[k].imag ** 2
            place = (math.sqrt(b) - math.sqrt(a)) / (math.sqrt(a) + math.sqrt(b) + np.float32(1e-20))
            beyond = (abs(place - pan) - width) / np.float32(_BORDER)
            weight[k] = min(max(np.float32(1) - beyond, np.float32(0)), np.float32(1))
    for c in range(spectra.shape[0]):
        row, target = spectra[c], placed[c]
        for k in range(weight.shape[0]):
            target[k] = row[k] * weight[k]
