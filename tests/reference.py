"""The slow truth: the whole signal path over a whole sound at once, in NumPy and SciPy, double precision.

It shares no code with the engine: frames are cut out of the sound by index, medians come from scipy.ndimage,
masks and windows from their formulas, and nothing streams.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from rtsep.settings import Sizes

Array = NDArray[np.float64]


def windows(sizes: Sizes) -> tuple[Array, Array]:
    """Analysis window, and synthesis window as long as it (zero before the last `synthesis_size` samples)."""
    window, synthesis, hop = sizes.window_size, sizes.synthesis_size, sizes.hop_size
    if window == synthesis:  # Hann and its dual
        analysis = np.sin(np.pi * np.arange(window) / window) ** 2
        copies = sum(np.roll(analysis**2, shift) for shift in range(0, window, hop))
        return analysis, analysis / copies
    half = synthesis // 2
    rise, fall = np.arange(window - half), np.arange(half)
    analysis = np.concatenate([np.sin(np.pi / 2 * rise / (window - half)), np.cos(np.pi / 2 * fall / half)])
    product = np.zeros(window)
    product[window - synthesis :] = np.sin(np.pi * np.arange(synthesis) / synthesis) ** 2 * 2 * hop / synthesis
    return analysis, np.divide(product, analysis, out=np.zeros(window), where=product > 0)


def spectra(sound: Array, sizes: Sizes) -> NDArray[np.complex128]:
    """Spectra (frames, channels, bins): frame t ends before sample (t + 1) * hop; silence lies before the sound."""
    window, hop = sizes.window_size, sizes.hop_size
    padded = np.concatenate([np.zeros((window, sound.shape[1])), sound])
    ends = np.arange(hop, len(sound) + 1, hop) + window
    frames = np.stack([padded[end - window : end] for end in ends])
    return np.fft.rfft(frames * windows(sizes)[0][:, None], axis=1).swapaxes(1, 2)


def medians(magnitude: Array, sizes: Sizes) -> tuple[Array, Array]:
    """Harmonic and percussive medians (frames - lookahead, bins) of `magnitude` (frames, bins)."""
    length, lookahead = sizes.harmonic_frames, sizes.lookahead_frames
    # Of the window around frame t, `lookahead` frames come after it; before the first frame there is silence.
    origin = length // 2 - lookahead
    due = len(magnitude) - lookahead
    padded = np.concatenate([np.zeros((length, magnitude.shape[1])), magnitude])
    harmonic = median_filter(padded, (length, 1), origin=(origin, 0), mode="constant")[length:]
    percussive = np.empty_like(magnitude)
    for first, span in sizes.percussive_bands:  # each takes the place of those before from its first bin on
        percussive[:, first:] = median_filter(magnitude, (1, span), mode="reflect")[:, first:]
    return harmonic[:due], percussive[:due]


def masks(
    harmonic: Array,
    percussive: Array,
    bias: float = 1,
    separation: float = 1,
    exponent: float = 2,
    binary: bool = False,
) -> tuple[Array, Array]:
    """Percussive and harmonic masks, the shape of the medians."""
    ratio = np.clip((percussive + 1e-20) / (bias * harmonic + 1e-20), 2.0**-15, 2.0**15)
    if binary:
        return (ratio >= separation).astype(float), (1 / ratio > separation).astype(float)
    factor = separation**exponent
    return ratio**exponent / (ratio**exponent + factor), 1 / (1 + factor * ratio**exponent)


def resynthesized(spectra: NDArray[np.complex128], samples: int, sizes: Sizes) -> Array:
    """Sound (samples, channels) of `spectra` (frames, channels, bins), in its place: no delay."""
    window, hop = sizes.window_size, sizes.hop_size
    sound = np.zeros((window + samples + window, spectra.shape[1]))
    frames = np.fft.irfft(spectra, window, axis=2) * windows(sizes)[1]
    for t, frame in enumerate(frames):
        end = (t + 1) * hop + window
        sound[end - window : end] += frame.T
    return sound[window : window + samples]


def stems(
    sound: NDArray[np.floating],
    sizes: Sizes,
    bias: float = 1,
    separation: float = 1,
    exponent: float = 2,
    binary: bool = False,
    melody: Array | None = None,
) -> dict[str, Array]:
    """The stems (samples, channels) of `sound`, in place. Those of the last `latency` samples are not complete.

    `melody` (frames, bins) is the share that it has in each frame, as it is masked; none if left out.
    """
    sound = np.asarray(sound, np.float64)
    transformed = spectra(sound, sizes)
    magnitude = np.sqrt((np.abs(transformed) ** 2).sum(1))
    percussive, harmonic = masks(*medians(magnitude, sizes), bias, separation, exponent, binary)
    share = np.zeros_like(harmonic) if melody is None else melody[: len(harmonic)]
    parts = {"percussive": (1 - share) * percussive, "melody": share, "harmony": (1 - share) * harmonic}
    due = transformed[: len(harmonic)]
    made = {stem: resynthesized(due * mask[:, None], len(sound), sizes) for stem, mask in parts.items()}
    return {**made, "residual": sound - sum(made.values())}


def limited(sound: Array, ceiling: float, sample_rate: float, release_s: float = 0.1) -> Array:
    """`sound` (samples, channels) with each peak turned down at once to `ceiling`, and gain coming back slowly."""
    output, gain = np.empty_like(sound), 1.0
    back = 1 - np.exp(-1 / (release_s * sample_rate))
    for i, sample in enumerate(sound):
        peak = np.abs(sample).max()
        gain = min(gain + max((1 - gain) * back, 2**-23), 1)
        gain = min(gain, ceiling / peak) if peak > ceiling else gain
        output[i] = sample * gain
    return output


def likeness(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The least cosine between one of `wanted` (rows, bins) and the row of `found` most like it."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (found, wanted)]
    return float((unit[1] @ unit[0].T).max(1).min())
