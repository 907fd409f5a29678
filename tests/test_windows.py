"""Windows: the asymmetric pairs reconstruct, are short where they must be, and are librosa's where symmetric."""

import numpy as np
import pytest
import reference

from rtsep.dsp import windows
from rtsep.settings import MODES, Settings

RATES = (8000, 16000, 22050, 44100, 48000, 96000, 192000)


def overlapped(analysis, synthesis, hop):
    """The sum of all copies of the product of both windows, one hop of it."""
    return (analysis[-len(synthesis) :] * synthesis).reshape(-1, hop).sum(0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("overlap", (4, 8, 16))
def test_products_of_overlapping_windows_add_up_to_one(mode, rate, overlap):
    sizes = Settings(mode=mode).sizes(rate)
    hop = sizes.synthesis_size // overlap
    analysis, synthesis = windows.pair(sizes.window_size, sizes.synthesis_size, hop)
    assert analysis.shape == (sizes.window_size,) and synthesis.shape == (sizes.synthesis_size,)
    np.testing.assert_allclose(overlapped(analysis, synthesis, hop), 1, atol=1e-12)


@pytest.mark.parametrize("ratio", (1, 2, 4, 8, 16))
def test_pairs_follow_the_formulas_of_mauler_and_martin(ratio):
    sizes = Settings(window_ratio=ratio).sizes(48000)
    analysis, synthesis = windows.pair(sizes.window_size, sizes.synthesis_size, sizes.hop_size)
    expected_analysis, expected_synthesis = reference.windows(sizes)
    np.testing.assert_allclose(analysis, expected_analysis, atol=1e-12)
    np.testing.assert_allclose(synthesis, expected_synthesis[-sizes.synthesis_size :], atol=1e-12)


def test_an_asymmetric_analysis_window_peaks_half_a_synthesis_window_before_its_end():
    analysis, _ = windows.pair(2048, 512, 128)
    assert np.argmax(analysis) == 2048 - 256
    assert np.all(np.diff(analysis[: 2048 - 256]) > 0) and np.all(np.diff(analysis[2048 - 256 :]) < 0)


def test_synthesis_windows_stay_small_so_that_masking_noise_is_not_amplified():
    for ratio in (1, 2, 4, 8, 16):
        _, synthesis = windows.pair(256 * ratio, 256, 64)
        assert synthesis.min() >= 0 and synthesis.max() <= 1


def test_the_symmetric_pair_is_that_of_librosa():
    import librosa

    analysis, synthesis = windows.pair(2048, 2048, 512)
    expected = librosa.filters.get_window("hann", 2048)
    squares = librosa.filters.window_sumsquare(window="hann", n_frames=20, hop_length=512, n_fft=2048, dtype=float)
    np.testing.assert_allclose(analysis, expected, atol=1e-12)
    np.testing.assert_allclose(synthesis, expected / squares[4096 : 4096 + 2048], atol=1e-6)


def test_the_middle_of_a_symmetric_window_lies_half_of_it_before_its_end():
    analysis, _ = windows.pair(2048, 2048, 512)
    assert windows.center(analysis) == pytest.approx(1023)


@pytest.mark.parametrize("ratio", (2, 4, 8, 16))
def test_the_middle_of_an_asymmetric_window_is_where_the_energy_of_a_sound_that_slowly_fades_seems_to_be(ratio):
    analysis, _ = windows.pair(256 * ratio, 256, 64)
    before_end = np.arange(len(analysis))[::-1]
    energy = [np.sum((np.exp(-slope * before_end) * analysis) ** 2) for slope in (-1e-7, 1e-7)]
    np.testing.assert_allclose(windows.center(analysis), np.log(energy[0] / energy[1]) / 4e-7, rtol=1e-5)
    assert 128 < windows.center(analysis) < len(analysis) / 2
