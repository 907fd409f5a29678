"""STFT: spectra equal those of whole frames, and what masks leave alone comes back on time."""

import numpy as np
import pytest
import reference
import signals

from rtsep.dsp import stft
from rtsep.settings import MODES, Settings, Sizes

SMALL = Sizes(256, 64, 16, 9, 0, ((0, 9),))


def run(sizes, sound, mask=1.0, stems=2):
    """Magnitudes of all frames, sums ready after each (stems - 1, channels, samples), and the delayed input."""
    channels, hop, bins = sound.shape[1], sizes.hop_size, sizes.window_size // 2 + 1
    state = stft.prepare(sizes, channels, stems)
    masks = np.full((stems - 1, bins), mask, np.float32)
    magnitudes, ready, dry = [], [], np.zeros_like(sound)
    for start in range(0, len(sound), hop):
        block = sound[start : start + hop]
        stft.write(state, 0, block, dry[start : start + hop])
        ready.append(state.ready.copy())
        magnitude = np.zeros(bins, np.float32)
        stft.analyze(state, magnitude)
        stft.synthesize(state, masks)
        magnitudes.append(magnitude)
    return np.array(magnitudes), np.concatenate(ready, axis=2), dry


@pytest.mark.parametrize("channels", (1, 2, 5))
def test_magnitudes_are_those_of_all_channels_together(channels):
    sound = signals.noise(SMALL.hop_size * 40, channels)
    magnitudes, _, _ = run(SMALL, sound)
    truth = np.sqrt((np.abs(reference.spectra(sound, SMALL)) ** 2).sum(1))
    np.testing.assert_allclose(magnitudes, truth, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_sound_comes_back_after_exactly_the_latency(mode):
    sizes = Settings(mode=mode).sizes(16000)
    latency = stft.latency(sizes)
    sound = signals.noise(latency + 20 * sizes.hop_size, 2)
    _, ready, dry = run(sizes, sound)
    np.testing.assert_allclose(ready[0].T[latency:], sound[:-latency], atol=1e-6)
    assert np.array_equal(dry[latency:], sound[:-latency]) and not dry[:latency].any()


def test_masks_scale_what_comes_back_and_stems_do_not_mix():
    sound = signals.noise(SMALL.hop_size * 20)
    state = stft.prepare(SMALL, 1, 3)
    masks = np.stack([np.full(129, 0.25, np.float32), np.zeros(129, np.float32)])
    dry, back = np.zeros((16, 1), np.float32), []
    for start in range(0, len(sound), 16):
        stft.write(state, 0, sound[start : start + 16], dry)
        back.append(state.ready.copy())
        stft.analyze(state, np.zeros(129, np.float32))
        stft.synthesize(state, masks)
    back = np.concatenate(back, axis=2)
    np.testing.assert_allclose(back[0, 0, 64:], sound[:-64, 0] / 4, atol=1e-6)
    assert not back[1].any()


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf, 1e30, 1e-40, -1e-25))
def test_what_is_no_sane_sample_becomes_silence(bad):
    state = stft.prepare(SMALL, 1, 2)
    block = signals.noise(16)
    block[5] = bad
    stft.write(state, 0, block, np.zeros((16, 1), np.float32))
    expected = block[:, 0].copy()
    expected[5] = 0
    assert np.array_equal(state.fresh[0], expected)


def test_reset_forgets_all_sound():
    sound = signals.noise(SMALL.hop_size * 11, 2)
    state, fresh = stft.prepare(SMALL, 2, 2), stft.prepare(SMALL, 2, 2)
    for start in range(0, len(sound), 16):
        stft.write(state, 0, sound[start : start + 16], np.zeros((16, 2), np.float32))
        stft.analyze(state, np.zeros(129, np.float32))
        stft.synthesize(state, np.ones((1, 129), np.float32))
    stft.reset(state)
    for name in stft.State._fields[3 : stft.State._fields.index("frame")]:
        assert np.array_equal(getattr(state, name), getattr(fresh, name)), name
