"""How well a stem was separated: the scale-invariant signal-to-distortion ratio.

Le Roux, Wisdom, Erdogan and Hershey, "SDR - half-baked or well done?", ICASSP 2019. As there, means are not taken
off; beyond it, all channels together are one signal, so that an error in the stereo image counts.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BadInput


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> float:
    """The SI-SDR of `estimate` in dB: power of its share that is a scaled `reference`, against that of the rest.

    Parameters
    ----------
    reference, estimate : of one shape, (samples,) or (samples, channels)

    Returns
    -------
    dB; inf for a perfect estimate, -inf for one that has nothing of the reference (a silent one, say), and nan if
    the reference is silent: nothing can then be like it.

    Raises
    ------
    BadInput : for two shapes.
    """
    s, e = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if s.shape != e.shape:
        raise BadInput(f"reference {s.shape} and estimate {e.shape} must be of one shape.")
    s, e = s.ravel(), e.ravel()
    energy = s @ s
    if energy == 0:
        return math.nan
    target = (e @ s) / energy * s
    distortion = e - target
    signal, noise = target @ target, distortion @ distortion
    if signal == 0:
        return -math.inf
    return 10 * math.log10(signal / noise) if noise else math.inf
