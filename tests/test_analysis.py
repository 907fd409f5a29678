"""What a researcher gets of a sound, against NumPy and against what the engine writes."""

import numpy as np
import pytest
import soundfile
from signals import song, tune

import rtsep
from rtsep import BadInput, Settings, analyze, follow, separate
from rtsep.dsp import windows

RATE = 48_000


@pytest.fixture(scope="module", params=["balanced", "quality"])
def analyzed(request):
    """A song, its analysis, and the sizes of the engine."""
    sound = song(2 * RATE, RATE, 2)
    return sound, analyze(sound, RATE, mode=request.param), Settings(request.param).sizes(RATE)


def test_the_stft_is_that_of_numpy(analyzed):
    sound, told, sizes = analyzed
    window, _ = windows.pair(*sizes[:3])
    assert (told.window_size, told.hop_size) == (sizes.window_size, sizes.hop_size)
    for frame in range(len(told.times) // 4, len(told.times) * 3 // 4, 37):
        newest = round(told.times[frame] * RATE + windows.center(window))
        part = sound[newest - sizes.window_size + 1 : newest + 1]
        truth = np.fft.rfft(part.T * window, axis=1)
        np.testing.assert_allclose(told.stft[frame], truth, atol=2e-5 * np.abs(truth).max())
    np.testing.assert_allclose(np.diff(told.times), told.hop_size / RATE)
    assert told.frequencies[-1] == RATE / 2 and told.stft.shape[2] == len(told.frequencies)


def test_masks_of_the_stft_are_the_stems_that_separate_writes(analyzed):
    sound, told, sizes = analyzed
    assert told.stems == rtsep.STEMS and told.masks.min() > -1e-6
    np.testing.assert_allclose(told.masks.sum(1), 1, atol=1e-5)
    window, falling = windows.pair(*sizes[:3])
    truth = separate(sound, RATE, mode="balanced" if sizes.lookahead_frames == 0 else "quality")
    for s, stem in enumerate(told.stems[:2]):
        made = np.zeros((len(sound) + sizes.window_size, 2))
        for time, spectra, masks in zip(told.times, told.stft, told.masks, strict=True):
            newest = round(time * RATE + windows.center(window))
            part = np.fft.irfft(spectra * masks[s]).T[-sizes.synthesis_size :]
            made[newest - sizes.synthesis_size + 1 : newest + 1] += part * falling[:, None]
        inside = slice(sizes.window_size, len(sound) - sizes.window_size)
        assert np.abs(truth[stem][inside]).max() > 0.01
        np.testing.assert_allclose(made[: len(sound)][inside], truth[stem][inside], atol=1e-5)


def test_the_pitch_is_that_of_the_tune_and_of_follow():
    sung = tune(3 * RATE, RATE, (220, 330))
    told, melody = analyze(sung, RATE), follow(sung, RATE)
    for start, hertz in ((0.3, 220), (1.3, 330)):
        inside = (told.f0_times > start) & (told.f0_times < start + 0.5)
        cents = 1200 * np.log2(told.f0[inside] / hertz)
        assert np.abs(cents).max() < 20
        strongest = told.pitches[told.salience[inside].argmax(1)]
        assert np.median(np.abs(1200 * np.log2(strongest / hertz))) < 20
    nearest = [np.abs(told.f0_times - time).argmin() for time in melody.time_s]
    both = (told.f0[nearest] > 0) & (melody.f0_hz > 0)
    assert both.sum() > 200
    np.testing.assert_array_equal(told.f0[nearest][both], melody.f0_hz[both])


def test_templates_have_activations(tmp_path):
    soundfile.write(tmp_path / "a.wav", song(RATE, RATE, 1), RATE)
    told = analyze(tmp_path / "a.wav", settings=Settings("balanced", templates="drums"))
    assert told.activations.shape == (len(told.times), len(Settings(templates="drums").templates.spectra))
    assert told.activations.min() >= 0 and told.activations.max() > 0
    assert told.masks.shape[1] == len(told.stems) and "kick" in told.stems
    assert analyze(tmp_path / "a.wav").activations.shape[1] == 0


def test_it_tells_what_it_holds():
    told = analyze(song(RATE, RATE, 2), RATE)
    assert repr(told).startswith("<Analysis of 1.0 s, ")
    assert f"<th>masks</th><td>float32 {told.masks.shape}</td>" in told._repr_html_()


def test_what_makes_no_sense_is_a_sentence():
    with pytest.raises(BadInput, match="an array needs its sample rate"):
        analyze(np.zeros(1000))
    with pytest.raises(BadInput, match="unknown mode"):
        analyze(np.zeros(1000), RATE, mode="nonsense")
