"""From the medians to masks: soft shares with an exponent, or hard decisions, with a separation factor.

With a factor of one everything is either harmonic or percussive. Above one a bin must be clearly one or the other,
and what is neither (noise, voices, ringing skins) is left to the residual: the masks then add up to less than one.
The bias moves the border between the two: above one, what is a little of both counts as harmonic, as it should where
drums are softer than the band and the medians of a short past are rough.

The melody comes first: a voice glides and breathes, so that the medians would tear it apart. Both share the rest.

FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010 (soft masks); Driedger, Müller and
Disch, "Extending harmonic-percussive separation of audio signals", ISMIR 2014 (separation factor, binary masks;
its use with soft masks follows librosa.decompose.hpss).
"""

import math

import numpy as np

from ..kernels import kernel

PERCUSSIVE, MELODY, HARMONY = 0, 1, 2  # rows of the masks


@kernel
def process(harmonic, percussive, melody, bias, separation, exponent, binary, masks):
    """Write `masks` (3, bins: percussive, melody, harmony) from both medians and the share of the melody, all (bins,).

    `bias` weighs the harmonic median against the percussive one, `separation` is at least 1, `exponent` a multiple
    of 0.25 up to 8, `binary` 0 or 1.
    """
    one, tiny, limit = np.float32(1), np.float32(1e-20), np.float32(2**15)
    quarters = int(4 * exponent + 0.5)
    factor = power(separation, quarters)
    for k in range(masks.shape[1]):
        ratio = (percussive[k] + tiny) / (bias * harmonic[k] + tiny)
        # A share beyond these limits would not be heard, and no power within them overflows.
        ratio = min(max(ratio, one / limit), limit)
        rest = one - melody[k]
        masks[MELODY, k] = melody[k]
        if binary != 0:
            masks[PERCUSSIVE, k] = rest if ratio >= separation else np.float32(0)
            masks[HARMONY, k] = rest if one > ratio * separation else np.float32(0)
        else:
            q = power(ratio, quarters)
            masks[PERCUSSIVE, k] = rest / (one + factor / q)
            masks[HARMONY, k] = rest / (one + factor * q)


@kernel
def place(part, masks):
    """Leave the melody in `masks` (3, bins) only the `part` (bins,) that sounds in its place; the rest is harmony."""
    for k in range(part.shape[0]):
        melody = masks[MELODY, k]
        masks[MELODY, k] = melody * part[k]
        masks[HARMONY, k] += melody - masks[MELODY, k]


@kernel
def power(x, quarters):
    """`x` to the power of `quarters` / 4 (0 to 32), from square roots and products alone, so that it vectorizes."""
    x = math.sqrt(math.sqrt(x))
    y = np.float32(1)
    for bit in range(6):
        y *= x if quarters >> bit & 1 else np.float32(1)
        x *= x
    return y
