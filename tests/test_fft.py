"""FFT: the very numbers of SciPy, for all sizes, back again, and in plain Python too."""

import numpy as np
import pytest
import scipy.fft
import signals

from rtsep.dsp import fft

SIZES = [2**power for power in range(6, 16)] + [3 * 2**power for power in range(6, 14)]


def transformed(signal):
    spectrum = np.full(len(signal) // 2 + 1, np.nan, np.complex64)
    fft.forward(fft.prepare(len(signal)), signal, spectrum)
    return spectrum


@pytest.mark.parametrize("size", SIZES)
def test_spectra_equal_those_of_scipy(size):
    signal = signals.noise(size)[:, 0]
    truth = scipy.fft.rfft(signal.astype(float))
    assert np.abs(transformed(signal) - truth).max() < 5e-7 * np.abs(truth).max()


@pytest.mark.parametrize("size", SIZES)
def test_signals_equal_those_of_scipy(size):
    spectrum = scipy.fft.rfft(signals.noise(size)[:, 0])
    spectrum[0] += 3j  # ends that are not real: what has no meaning is ignored
    spectrum[-1] -= 2j
    signal = np.full(size, np.nan, np.float32)
    fft.inverse(fft.prepare(size), spectrum.astype(np.complex64), signal)
    truth = scipy.fft.irfft(spectrum)
    assert np.abs(signal / size - truth).max() < 1e-6 * max(np.abs(truth).max(), 1)


@pytest.mark.parametrize("size", SIZES)
def test_each_frequency_comes_out_in_its_bin_alone(size):
    for bin in (0, 1, 2, 7, size // 4, size // 2 - 1, size // 2):
        signal = np.cos(2 * np.pi * bin * np.arange(size) / size).astype(np.float32)
        spectrum = np.abs(transformed(signal)) / size
        assert spectrum[bin] == pytest.approx(1 if bin in (0, size // 2) else 0.5, abs=1e-6)
        assert np.delete(spectrum, bin).max() < 1e-6


def test_an_impulse_has_all_frequencies_and_silence_none():
    impulse = np.zeros(256, np.float32)
    impulse[0] = 1
    np.testing.assert_allclose(transformed(impulse), 1, atol=1e-7)
    assert not transformed(np.zeros(256, np.float32)).any()


def test_the_input_stays_as_it_is_and_a_state_can_be_used_again():
    state, signal = fft.prepare(512), signals.noise(512)[:, 0]
    spectra = np.zeros((2, 257), np.complex64)
    given = signal.copy()
    for spectrum in spectra:
        fft.forward(state, signal, spectrum)
    assert np.array_equal(signal, given) and np.array_equal(*spectra)


@pytest.mark.parametrize("size", (0, 32, 96, 100, 576, 49152, 65536))
def test_other_sizes_are_refused_with_a_sentence(size):
    sentence = f"a transform of {size} samples: it must be a power of two, 64 to 32768, or three times one from 64 on"
    with pytest.raises(ValueError, match=sentence):
        fft.prepare(size)
