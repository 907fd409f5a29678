"""The network of pitch: equals its definition in plain NumPy, at every rate, whatever its weights are."""

import numpy as np
import pytest
import reference

from rtsep.dsp import pitchnet, windows
from rtsep.dsp.pitchnet import MARGIN, Network
from rtsep.settings import Settings

PLACES, PITCHES, MAPS = 460, 301, 6
FIRST, STACK, SECOND, THIRD, CONTEXT, UNITS, NEIGHBORS = 3, 5, 4, 3, 6, 5, 2
HARMONICS = (1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 5 / 2, 3, 4, 5, 6, 7, 8, 10, 12)
RATES = (8000, 44100, 48000)


def network(seed=0):
    """Random weights of an own small shape."""
    rng = np.random.default_rng(seed)
    shapes = (
        (FIRST, MAPS * 5),
        (FIRST, 1),
        (STACK, FIRST * len(HARMONICS)),
        (STACK, PITCHES),
        (SECOND, STACK * 3 + NEIGHBORS * 4),
        (SECOND, 1),
        (THIRD, SECOND * 3),
        (THIRD, 1),
        (2, THIRD),
        (2, 1),
        (2 * SECOND + MAPS + 1, CONTEXT),
        (CONTEXT + 1, THIRD),
        (CONTEXT + 1, 2),
        (CONTEXT + 2 + 1, UNITS),
        (2, UNITS + 1, 3 * UNITS),
        (UNITS + 1, 2),
        (CONTEXT + 2,),
    )
    return Network(*(rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes))


def prepared(rate=16000):
    sizes = Settings(mode="balanced").sizes(rate)
    analysis = windows.pair(*sizes[:3])[0]
    return pitchnet.prepare(rate, sizes.window_size, sizes.hop_size, analysis.sum() / 2, network())


def spectra_of(sound, rate=16000):
    """The spectra (frames, channels, bins), 5.8 ms from one to the next."""
    sizes = Settings(mode="balanced").sizes(rate)
    stride = max(round(0.0058 * rate / sizes.hop_size), 1)
    return reference.spectra(sound.astype(float), sizes)[::stride].astype(np.complex64)


def run(state, spectra, head=0):
    """Likelihoods (frames, pitches) and the probabilities (frames,) of a voice."""
    likelihood = np.zeros((len(spectra), PITCHES), np.float32)
    voice = [pitchnet.process(state, spectrum, head, likelihood[t]) for t, spectrum in enumerate(spectra)]
    return likelihood, np.array(voice)


def song(rate=16000, seconds=0.5, channels=2):
    """A gliding voice over a tone and noise (samples, channels)."""
    rng, time = np.random.default_rng(3), np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (0.2 * np.sin(2 * np.pi * 3 * time))) / rate
    voice = sum(np.sin(h * phase) / h for h in range(1, 9))
    tone = np.sin(2 * np.pi * 330 * time)
    return 0.1 * (voice + tone)[:, np.newaxis] + 0.003 * rng.standard_normal((len(time), channels))


def true_maps(spectra, rate):
    """What the network sees (frames, maps, places), by its definition."""
    sizes = Settings(mode="balanced").sizes(rate)
    window, hop = sizes.window_size, sizes.hop_size
    step = max(round(0.0058 * rate / hop), 1) * hop
    hertz = rate / window
    mono = spectra.astype(complex).sum(1)[:, : min(int(5700 / hertz) + 1, window // 2 + 1)]
    k = np.arange(mono.shape[1])
    magnitude = np.abs(mono) * (k * hertz / np.hypot(k * hertz, 200))
    place_hz = 27.5 * 2 ** (np.arange(PLACES) / 60)
    loudest, maps = 0.0, np.zeros((len(mono), MAPS, PLACES))
    means, peaks = np.zeros((2, PLACES)), [np.zeros(PLACES)] * 100
    for t in range(len(mono)):
        loudest = max(
            magnitude[t].max(),
            loudest * np.exp(-step / rate / 3),
            1e-4 * windows.pair(*sizes[:3])[0].sum() / 2,
        )
        level = np.clip(1 + np.log10(magnitude[t] / loudest + 1e-9) / 3, 0, 1)
        row = np.zeros(PLACES)
        for i in range(2, len(k) - 1):
            if level[i] > 0 and magnitude[t, i] > magnitude[t, i - 1] and magnitude[t, i] >= magnitude[t, i + 1]:
                cross = mono[t, i] * np.conj(mono[t - 1, i]) if t else 0j
                turn = np.angle(cross * np.exp(-2j * np.pi * i * step / window)) * window / (2 * np.pi * step)
                if abs(turn) > 1 or cross == 0:
                    a, b, c = magnitude[t, i - 1 : i + 2]
                    turn = 0.5 * (a - c) / (a - 2 * b + c)
                off = np.arange(PLACES) - 60 * np.log2((i + turn) * hertz / 27.5)
                row = np.maximum(row, level[i] * np.where(np.abs(off) <= 2, np.cos(np.pi / 4 * off) ** 2, 0))
        spectrum = np.interp(place_hz / hertz, k, level, right=0)
        for i, hz in enumerate(place_hz):
            near = (k * hertz >= hz * 2 ** (-1 / 120)) & (k * hertz <= hz * 2 ** (1 / 120))
            if hz < k[-1] * hertz and near.any():
                spectrum[i] = max(spectrum[i], level[near].max())
        lags = [peaks[-round(s * rate / step)] for s in (0.035, 0.093)]
        maps[t] = [row, spectrum, *means, *lags]
        means += -np.expm1(-step / rate / np.array([[0.1], [0.8]])) * (row - means)
        peaks.append(row)
    return maps


def truth(maps, rate, head):
    """Likelihoods (frames, pitches) and the probability (frames,) of a voice, by their definition."""
    longer = np.log(Settings(mode="balanced").sizes(rate).window_size / rate * 44100 / 2048)
    w = Network(*(array.astype(float) for array in network()))

    def shifted(rows, shift, places, first=0):
        """Rows heard `shift` farther on, zeros beyond their ends."""
        padded = np.pad(rows, ((0, 0), (500, 500)))
        return padded[:, 500 + first + shift : 500 + first + shift + places]

    def narrow(rows, weight, reach):
        """A convolution of `reach` places to each side."""
        kernel = weight.reshape(len(weight), len(rows), 2 * reach + 1)
        return sum(kernel[:, :, reach + s] @ shifted(rows, s, rows.shape[1]) for s in range(-reach, reach + 1))

    def dense(x, matrix):
        return np.append(x, 1) @ matrix

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    memory, likelihoods, voices = np.zeros(UNITS), [], []
    for frame in maps:
        first = np.maximum(narrow(frame, w.first, 2) + w.first_bias, 0)
        harmonics = [shifted(first, round(60 * np.log2(h)), PITCHES, 60) for h in HARMONICS]
        stack = np.maximum(w.stack @ np.concatenate(harmonics) + w.stack_bias, 0)
        own, others = w.second[:, : STACK * 3], w.second[:, STACK * 3 :]
        octaves = np.concatenate([shifted(stack[:NEIGHBORS], s, PITCHES) for s in (-95, -60, 60, 95)])
        second = np.maximum(narrow(stack, own, 1) + others @ octaves + w.second_bias, 0)
        pool = np.concatenate([second.max(1), second.mean(1), 4 * frame.mean(1)])
        context = np.maximum(dense(pool, w.context), 0)
        third = narrow(second, w.third, 1) + w.third_bias + dense(context, w.color)[:, np.newaxis]
        logits = w.last @ np.maximum(third, 0) + w.last_bias
        exponentials = np.exp(logits)
        likelihoods.append(exponentials[head] / exponentials[head].sum())
        silence = dense(context, w.unvoiced) - np.log(exponentials.sum(1))
        heard = np.append(context, silence) - longer * w.drift
        entered = np.tanh(dense(heard, w.enter))
        a, b = (dense(x, matrix).reshape(3, -1) for x, matrix in zip((entered, memory), w.gates, strict=True))
        keep = sigmoid(a[1] + b[1])
        memory = (1 - keep) * np.tanh(a[2] + sigmoid(a[0] + b[0]) * b[2]) + keep * memory
        voices.append(sigmoid(dense(memory, w.leave))[head])
    return np.array(likelihoods), np.array(voices)


@pytest.mark.parametrize("rate", RATES)
def test_what_the_network_sees_equals_its_definition(rate):
    state, spectra = prepared(rate), spectra_of(song(rate), rate)
    expected = true_maps(spectra, rate)
    found = np.zeros_like(expected)
    for t, spectrum in enumerate(spectra):
        pitchnet.process(state, spectrum, 0, np.zeros(PITCHES, np.float32))
        found[t] = state.maps[:, MARGIN : MARGIN + PLACES]
    assert expected[:, 0].max() > 0.9 and np.ptp(expected[-1], axis=1).min() > 0.1
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(("rate", "head"), ((16000, 0), (16000, 1), (44100, 0), (48000, 0)))
def test_what_it_makes_of_that_equals_its_definition(rate, head):
    state, spectra = prepared(rate), spectra_of(song(rate), rate)
    likelihood, voice = run(state, spectra, head)
    expected, voices = truth(true_maps(spectra, rate), rate, head)
    assert np.ptp(voices) > 0.01
    np.testing.assert_allclose(likelihood, expected, atol=2e-4)
    np.testing.assert_allclose(voice, voices, atol=2e-4)


def test_the_level_does_not_matter():
    loud, faint = (run(prepared(), spectra_of(gain * song())) for gain in (1, 0.01))
    np.testing.assert_allclose(loud[0], faint[0], atol=1e-4)
    np.testing.assert_allclose(loud[1], faint[1], atol=1e-4)


def test_reset_forgets_the_sound():
    state, spectra = prepared(), spectra_of(song())
    fresh = run(state, spectra)
    again = run(state, spectra)
    pitchnet.reset(state)
    after = run(state, spectra)
    assert np.abs(again[0] - fresh[0]).max() > 1e-3
    np.testing.assert_array_equal(after[0], fresh[0])
    np.testing.assert_array_equal(after[1], fresh[1])


def test_silence_and_full_scale_give_numbers():
    for sound in (np.ones((4000, 1)), 1e6 * song(), np.concatenate([song(), np.zeros((4000, 2))])):
        likelihood, voice = run(prepared(), spectra_of(sound))
        assert np.isfinite(likelihood).all() and np.isfinite(voice).all()
        np.testing.assert_allclose(likelihood.sum(1), 1, atol=1e-4)


def test_all_begins_with_the_first_sound():
    spectra, state = spectra_of(song()), prepared()
    likelihood, voice = run(state, np.zeros_like(spectra))
    assert not likelihood.any() and not voice.any()
    for late, fresh in zip(run(state, spectra), run(prepared(), spectra), strict=True):
        np.testing.assert_array_equal(late, fresh)


def test_the_input_is_only_read():
    spectra = spectra_of(song())
    before = spectra.copy()
    run(prepared(), spectra)
    np.testing.assert_array_equal(spectra, before)
