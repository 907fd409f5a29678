"""HPSS: sliding medians equal those of SciPy value for value, and the masks those of librosa."""

import numpy as np
import pytest
import signals
from scipy.ndimage import median_filter

from rtsep.dsp import hpss, masks


def run(magnitudes, frames, span, lookahead=0, state=None):
    """Both medians (frames, bins) of a stream of `magnitudes` (frames, bins), as they come."""
    state = state or hpss.prepare(magnitudes.shape[1], frames, ((0, span),), lookahead)
    harmonic, percussive = np.zeros_like(magnitudes), np.zeros_like(magnitudes)
    for t, magnitude in enumerate(magnitudes):
        hpss.process(state, magnitude, harmonic[t], percussive[t])
    return harmonic, percussive


def spectrogram(frames=40, bins=65, seed=1):
    return np.abs(np.random.default_rng(seed).standard_normal((frames, bins))).astype(np.float32)


@pytest.mark.parametrize("frames", (1, 3, 9, 17))
def test_median_along_time_equals_scipy(frames):
    given = spectrogram()
    harmonic, _ = run(given, frames, 1)
    truth = median_filter(given, (frames, 1), origin=(frames // 2, 0), mode="constant")
    assert np.array_equal(harmonic, truth)


@pytest.mark.parametrize("bins", (5, 16, 17, 65, 129))
@pytest.mark.parametrize("span", (1, 3, 5, 11))
def test_median_along_frequency_equals_scipy(bins, span):
    given = spectrogram(4, bins)
    span = min(span, 2 * (bins // 2) - 1)
    _, percussive = run(given, 1, span)
    assert np.array_equal(percussive, median_filter(given, (1, span), mode="reflect"))


def test_the_spectrum_is_as_long_as_no_multiple_of_the_lanes_and_the_span_is_long():
    given = spectrogram(2, 100)
    _, percussive = run(given, 1, 31)
    assert np.array_equal(percussive, median_filter(given, (1, 31), mode="reflect"))


@pytest.mark.parametrize("bands", (((0, 1), (3, 5), (20, 11)), ((0, 11), (2, 1)), ((0, 3), (32, 7)), ((0, 5), (0, 9))))
def test_each_band_has_its_own_median_along_frequency_which_sees_its_neighbours(bands):
    given = spectrogram(6, 33)
    state = hpss.prepare(33, 1, bands)
    _, percussive = run(given, 1, 1, state=state)
    for (first, span), (last, _) in zip(bands, [*bands[1:], (33, 0)], strict=True):
        truth = median_filter(given, (1, span), mode="reflect")
        assert np.array_equal(percussive[:, first:last], truth[:, first:last])


@pytest.mark.parametrize("lookahead", (0, 1, 4))
def test_medians_are_of_the_frame_that_is_lookahead_frames_back(lookahead):
    given = spectrogram()
    harmonic, percussive = run(given, 9, 5, lookahead)
    due = len(given) - lookahead
    along_time = median_filter(given, (9, 1), origin=(4 - lookahead, 0), mode="constant")
    along_frequency = median_filter(given, (1, 5), mode="reflect")
    assert np.array_equal(harmonic[8 + lookahead :], along_time[8:due])
    assert np.array_equal(percussive[lookahead:], along_frequency[:due])


@pytest.mark.parametrize("lookahead", (0, 1, 4))
def test_the_row_that_is_due_holds_the_frame_to_be_masked(lookahead):
    given = spectrogram()
    state = hpss.prepare(given.shape[1], 9, ((0, 5),), lookahead)
    for t in range(len(given)):
        run(given[t : t + 1], 9, 5, state=state)
        masked = given[t - lookahead] if t >= lookahead else np.zeros(given.shape[1])
        assert np.array_equal(state.history[hpss.due(state)], masked)


@pytest.mark.parametrize("ties", (0.0, 1.0))
def test_equal_and_repeated_values_do_not_upset_the_sorted_windows(ties):
    given = np.round(3 * spectrogram(60, 33)) / 3
    given[20:30] = ties
    harmonic, percussive = run(given, 9, 7)
    assert np.array_equal(harmonic, median_filter(given, (9, 1), origin=(4, 0), mode="constant"))
    assert np.array_equal(percussive, median_filter(given, (1, 7), mode="reflect"))


@pytest.mark.parametrize("power, margin", ((2, 1.0), (1, 1.0), (2, 2.0)))
def test_masks_with_half_the_window_to_come_equal_those_of_librosa_on_inner_frames(power, margin):
    import librosa

    sound = signals.music(8000, 8000)[:, 0]
    given = np.abs(librosa.stft(sound, n_fft=128, hop_length=128, center=False)).T.astype(np.float32)
    frames, span = 9, 11
    harmonic, percussive = run(given, frames, span, frames // 2)
    ours, melody = np.zeros((len(given), 3, given.shape[1]), np.float32), np.zeros(given.shape[1], np.float32)
    for t in range(len(given)):
        arguments = np.float32(1), np.float32(margin), np.float32(power), np.float32(0)
        masks.process(harmonic[t], percussive[t], melody, *arguments, ours[t])
    theirs = librosa.decompose.hpss(given.T, kernel_size=(frames, span), power=power, margin=margin, mask=True)
    inner = slice(frames // 2, len(given) - frames // 2)
    delayed = ours[frames // 2 :][inner.start : inner.stop]
    np.testing.assert_allclose(delayed[:, masks.HARMONY], theirs[0].T[inner], atol=1e-5)
    np.testing.assert_allclose(delayed[:, masks.PERCUSSIVE], theirs[1].T[inner], atol=1e-5)


def test_a_steady_tone_is_harmonic_and_a_click_percussive():
    given = np.full((40, 33), 1e-3, np.float32)
    given[:, 10] = 1
    given[30] = 1
    harmonic, percussive = run(given, 9, 7)
    assert harmonic[20, 10] == 1 and percussive[20, 10] == np.float32(1e-3)
    assert percussive[30, 20] == 1 and harmonic[30, 20] == np.float32(1e-3)


def test_reset_equals_fresh_and_no_reset_differs():
    given = spectrogram(30)
    fresh = run(given, 9, 5, 2)
    state = hpss.prepare(given.shape[1], 9, ((0, 5),), 2)
    run(spectrogram(23, seed=2), 9, 5, 2, state)
    assert not np.array_equal(run(given, 9, 5, 2, state), fresh)
    hpss.reset(state)
    assert np.array_equal(run(given, 9, 5, 2, state), fresh)


def test_magnitudes_are_only_read():
    given = spectrogram()
    given.flags.writeable = False
    before = given.copy()
    run(given, 9, 5)
    assert np.array_equal(given, before)


BAD = (
    (4, ((0, 3),), 0),
    (3, ((0, 4),), 0),
    (3, ((0, 3), (5, 2)), 0),
    (5, ((0, 3),), 3),
    (5, ((0, 3),), -1),
    (5, ((1, 3),), 0),
    (5, ((0, 3), (12, 3)), 0),
    (5, ((0, 3), (6, 3), (4, 3)), 0),
)


@pytest.mark.parametrize("frames, bands, lookahead", BAD)
def test_lengths_without_a_middle_and_bands_out_of_order_are_refused(frames, bands, lookahead):
    with pytest.raises(ValueError, match="must"):
        hpss.prepare(9, frames, bands, lookahead)
