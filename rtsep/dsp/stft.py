"""Short-time Fourier transform as a stream: samples in, spectra out; masked spectra in, samples out.

Each hop the newest samples slide into a window-long past, which is weighted and transformed; the inverse
transforms are weighted and overlap-added, and what no later frame will touch is ready to be heard. The input
itself runs through a delay line of the same latency, so that whatever no mask has taken is known to the last bit.

Allen, "Short term spectral analysis, synthesis, and modification by discrete Fourier transform", IEEE Transactions
on Acoustics, Speech, and Signal Processing 25(3), 1977. The windows are those of `windows.py`.
"""

import math
from typing import NamedTuple

import numpy as np

from ..kernels import complex64, float32, int64, kernel
from ..settings import Sizes
from . import fft, windows


class State(NamedTuple):
    # tables: read only
    analysis: float32[::1]  # (window,) analysis window
    synthesis: float32[::1]  # (synthesis,) synthesis window, with the scale of the inverse transform
    fft: fft.State
    # memory: cleared by reset
    fresh: float32[:, ::1]  # (channels, hop) input since the last frame
    past: float32[:, ::1]  # (channels, window) input up to the last frame, newest at the end
    delayed: float32[:, ::1]  # (channels, latency) input on its way to the output, a ring
    heard: int64[::1]  # (1,) place in `delayed` of the first sample of this hop
    spectra: complex64[:, :, ::1]  # (lookahead + 1, channels, bins) frames waiting for their masks, a ring
    newest: int64[::1]  # (1,) row of the newest frame in `spectra`
    overlap: float32[:, :, ::1]  # (stems - 1, channels, synthesis) sums of the frames so far
    ready: float32[:, :, ::1]  # (stems - 1, channels, hop) sums that are complete: heard during this hop
    # scratch: meaningless between calls
    frame: float32[::1]  # (window,)
    spectrum: complex64[::1]  # (bins,)


def prepare(sizes: Sizes, channels: int, stems: int) -> State:
    """A state for `channels` and `stems`, of which the last is what the others leave and needs no transform."""
    window, synthesis, hop = sizes.window_size, sizes.synthesis_size, sizes.hop_size
    bins = window // 2 + 1
    rising, falling = windows.pair(window, synthesis, hop)
    return State(
        analysis=rising.astype(np.float32),
        synthesis=(falling / window).astype(np.float32),
        fft=fft.prepare(window),
        fresh=np.zeros((channels, hop), np.float32),
        past=np.zeros((channels, window), np.float32),
        delayed=np.zeros((channels, latency(sizes)), np.float32),
        heard=np.zeros(1, np.int64),
        spectra=np.zeros((sizes.lookahead_frames + 1, channels, bins), np.complex64),
        newest=np.zeros(1, np.int64),
        overlap=np.zeros((stems - 1, channels, synthesis), np.float32),
        ready=np.zeros((stems - 1, channels, hop), np.float32),
        frame=np.zeros(window, np.float32),
        spectrum=np.zeros(bins, np.complex64),
    )


def latency(sizes: Sizes) -> int:
    """Samples between input and output: the synthesis window, and the frames that masks wait for."""
    return sizes.synthesis_size + sizes.lookahead_frames * sizes.hop_size


@kernel
def reset(state):
    """Forget the sound."""
    state.fresh[:] = 0
    state.past[:] = 0
    state.delayed[:] = 0
    state.heard[0] = 0
    state.spectra[:] = 0
    state.newest[0] = 0
    state.overlap[:] = 0
    state.ready[:] = 0


@kernel
def write(state, phase, block, dry):
    """Take `block` (samples, channels), which starts `phase` samples into the hop and ends within it.

    `dry` (samples, channels) becomes the input of `latency` samples ago. What is no sane number becomes silence.
    """
    heard = state.heard[0] + phase
    for c in range(state.fresh.shape[0]):
        for i in range(block.shape[0]):
            x = block[i, c]
            # Beyond these limits powers overflow or turn denormal (slow); NaN fails both comparisons.
            x = x if np.float32(1e-18) < abs(x) < np.float32(1e6) else np.float32(0)
            state.fresh[c, phase + i] = x
            dry[i, c] = state.delayed[c, heard + i]
            state.delayed[c, heard + i] = x


@kernel
def analyze(state, magnitude):
    """A whole hop is in: make the newest frame, and write the `magnitude` (bins,) of all channels together."""
    channels, hop = state.fresh.shape
    window = state.frame.shape[0]
    state.heard[0] = (state.heard[0] + hop) % state.delayed.shape[1]
    state.newest[0] = (state.newest[0] + 1) % state.spectra.shape[0]
    magnitude[:] = 0
    for c in range(channels):
        past, spectrum = state.past[c], state.spectra[state.newest[0], c]
        slide(past, state.fresh[c])
        for i in range(window):
            state.frame[i] = past[i] * state.analysis[i]
        fft.forward(state.fft, state.frame, spectrum)
        for k in range(magnitude.shape[0]):
            magnitude[k] += spectrum[k].real ** 2 + spectrum[k].imag ** 2
    for k in range(magnitude.shape[0]):
        magnitude[k] = math.sqrt(magnitude[k])


@kernel
def due(state):
    """The row of `spectra` with the frame to be masked."""
    return (state.newest[0] + 1) % state.spectra.shape[0]


@kernel
def synthesize(state, masks):
    """Add the frame that is due, weighted by `masks` (stems - 1, bins); the oldest hop of the sums becomes ready."""
    stems, channels = state.ready.shape[:2]
    late = state.frame.shape[0] - state.synthesis.shape[0]
    for s in range(stems):
        for c in range(channels):
            spectrum, mask, overlap = state.spectra[due(state), c], masks[s], state.overlap[s, c]
            if mask.sum() > 0:
                for k in range(mask.shape[0]):
                    state.spectrum[k] = spectrum[k] * mask[k]
                fft.inverse(state.fft, state.spectrum, state.frame)
            else:  # as where there is no melody
                state.frame[late:] = 0
            overlap_add(state.frame[late:], state.synthesis, overlap, state.ready[s, c])


@kernel
def slide(past, fresh):
    """Move the newest samples `fresh` (hop,) into `past` (window,)."""
    window, hop = past.shape[0], fresh.shape[0]
    for i in range(window - hop):
        past[i] = past[i + hop]
    for i in range(hop):
        past[window - hop + i] = fresh[i]


@kernel
def overlap_add(frame, weights, overlap, ready):
    """Add `frame` to the sums `overlap`, weighted (all (synthesis,)); their oldest hop becomes `ready` (hop,)."""
    size, hop = overlap.shape[0], ready.shape[0]
    for i in range(hop):
        ready[i] = overlap[i] + frame[i] * weights[i]
    for i in range(hop, size):
        overlap[i - hop] = overlap[i] + frame[i] * weights[i]
