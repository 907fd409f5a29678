"""Salience: equals its definition in plain NumPy, and peaks where the pitch is at every rate and in every mode."""

import numpy as np
import pytest
import reference
import signals

from rtsep.dsp import salience
from rtsep.dsp.salience import PITCHES, pitch_of
from rtsep.settings import MODES, Settings

RATES = (8000, 11025, 44100, 48000, 192000)
EVERY_MODE = pytest.mark.parametrize("mode", MODES)
EVERY_RATE = pytest.mark.parametrize("rate", RATES)


def sizes_of(mode="balanced", rate=16000):
    return Settings(mode=mode).sizes(rate)


def stride_of(sizes, rate):
    """Hops in the multiple of the hop that is nearest to 5.8 ms."""
    return max(round(0.0058 * rate / sizes.hop_size), 1)


def spectra_of(sound, sizes, rate):
    """The spectra (times, channels, bins) from which a salience is made."""
    stride = stride_of(sizes, rate)
    return reference.spectra(sound.astype(float), sizes)[::stride].astype(np.complex64)


def prepared(sizes, rate):
    return salience.prepare(rate, sizes.window_size, sizes.hop_size)


def run(spectra, state):
    """Salience and salience without its past (times, pitches), and the sum of all bins (times,)."""
    whole, fresh = np.zeros((2, len(spectra), PITCHES), np.float32)
    total = [salience.process(state, spectrum, whole[t], fresh[t]) for t, spectrum in enumerate(spectra)]
    return whole, fresh, np.array(total)


def heard(sound, mode="balanced", rate=16000):
    sizes = sizes_of(mode, rate)
    return run(spectra_of(sound, sizes, rate), prepared(sizes, rate))


def tone(frequency, harmonics=(1,), seconds=0.25, rate=16000, level=0.1):
    """Sines (samples, 1) of equal level at the `harmonics` of `frequency`."""
    time = np.arange(int(seconds * rate)) / rate
    phases = 2 * np.pi * frequency * np.outer(time, harmonics) + np.arange(len(harmonics))
    return (level * np.sin(phases).sum(1, keepdims=True)).astype(np.float32)


def cents_off(row, frequency):
    """How far the highest place of `row` (pitches,), a parabola through its top, lies from `frequency`."""
    top = int(np.argmax(row[1:-1])) + 1
    a, b, c = row[top - 1 : top + 2].astype(float)
    return 10 * (top + 0.5 * (a - c) / (a - 2 * b + c) - pitch_of(frequency))


# The slow truth


def frequency_of_peak(now, before, magnitude, k, step, window):
    """Of the peak in bin `k`, in bins: by the phase that it gained in `step` samples, or else by its shape."""
    turn = np.angle(now[k] * before[k].conj()) - 2 * np.pi * k * step / window
    deviation = ((turn + np.pi) % (2 * np.pi) - np.pi) * window / (2 * np.pi * step)
    if abs(deviation) > 1:
        below, middle, above = magnitude[k - 1 : k + 2]
        deviation = 0.5 * (below - above) / (below - 2 * middle + above)
    return k + deviation


def truth_of_one(now, before, sizes, rate, step):
    """Salience (pitches,) of the spectrum `now` (bins,), and the sum of all bins."""
    hertz = rate / sizes.window_size
    now, before = (spectrum[: int(min(4500 / hertz, sizes.window_size // 2)) + 1] for spectrum in (now, before))
    frequency = np.arange(len(now)) * hertz
    magnitude = np.abs(now) * frequency / np.sqrt(frequency**2 + 200**2)
    result, pitches = np.zeros(PITCHES), np.arange(PITCHES)
    for k in range(2, len(now) - 1):
        if magnitude[k] > 0.003 * magnitude.max() and magnitude[k - 1] < magnitude[k] >= magnitude[k + 1]:
            place = frequency_of_peak(now, before, magnitude, k, step, sizes.window_size) * hertz
            for harmonic in range(1, 17):
                distance = 1200 * np.log2(place / harmonic / 55) - 10 * pitches
                lobe = np.where(np.abs(distance) < 80, np.cos(np.pi / 2 * distance / 80) ** 2, 0)
                result += magnitude[k] ** 0.75 * 0.88 ** (harmonic - 1) * lobe
    return result, (magnitude**0.75).sum()


def truth(spectra, sizes, rate):
    """What `run` should give for the whole of `spectra`."""
    step = stride_of(sizes, rate) * sizes.hop_size
    mono = spectra.astype(complex).sum(1)
    before = np.vstack([np.zeros_like(mono[:1]), mono[:-1]])
    pairs = [truth_of_one(*both, sizes, rate, step) for both in zip(mono, before, strict=True)]
    whole = np.array([pair[0] for pair in pairs])
    fresh, past = np.zeros_like(whole), np.zeros(PITCHES)
    for t, row in enumerate(whole):
        fresh[t] = np.maximum(row - 0.6 * past, 0)
        past += (1 - np.exp(-step / rate / 0.5)) * (row - past)
    return whole, fresh, np.array([pair[1] for pair in pairs])


def assert_near(saliences, true_saliences):
    """Equal but for the places of the lobes, up to 1/16 of a pitch off; the first has no phase to place its peaks."""
    tolerance = 0.2 / 16 * true_saliences.max()  # a lobe's slope is at most 0.2 for each pitch
    np.testing.assert_allclose(saliences[1:], true_saliences[1:], atol=tolerance)


@EVERY_MODE
@pytest.mark.parametrize("rate", (8000, 44100, 48000))
def test_salience_equals_its_definition_in_numpy(mode, rate):
    sizes = sizes_of(mode, rate)
    spectra = spectra_of(signals.music(rate // 3, rate, 2), sizes, rate)
    whole, fresh, total = run(spectra, prepared(sizes, rate))
    true_whole, true_fresh, true_total = truth(spectra, sizes, rate)
    assert_near(whole, true_whole)
    assert_near(fresh, true_fresh)
    np.testing.assert_allclose(total, true_total, rtol=1e-4)
    assert true_whole.max() > 1 and len(whole) > 20


def test_salience_of_noise_equals_its_definition_too():
    sizes = sizes_of()
    spectra = spectra_of(signals.noise(4000, 3), sizes, 16000)
    whole, fresh, _ = run(spectra, prepared(sizes, 16000))
    true_whole, true_fresh, _ = truth(spectra, sizes, 16000)
    assert_near(whole, true_whole)
    assert_near(fresh, true_fresh)


def test_one_peak_speaks_for_sixteen_fundamentals_each_weaker_than_the_one_above():
    row = heard(tone(1700.0))[0][-1]
    at = np.array([round(pitch_of(1700 / harmonic)) for harmonic in range(1, 17)])
    np.testing.assert_allclose(row[at] / row[at[0]], 0.88 ** np.arange(16), rtol=0.03)
    between = (at[:6] + at[1:7]) // 2
    assert not row[between].any() and not row[at[0] + 10 :].any()


# Where the pitch is


@EVERY_MODE
@EVERY_RATE
@pytest.mark.parametrize("frequency", (161.7, 220.0, 443.1, 1000.3, 1613.0))
def test_a_sine_is_heard_at_its_pitch(frequency, rate, mode):
    whole, fresh, _ = heard(tone(frequency, rate=rate), mode, rate)
    assert max(abs(cents_off(row, frequency)) for row in whole[len(whole) // 2 :]) < 5
    assert abs(cents_off(fresh[-1], frequency)) < 5


@EVERY_MODE
@pytest.mark.parametrize("frequency", (58.0, 80.0, 110.0))
def test_a_low_sine_is_heard_near_its_pitch(frequency, mode):
    whole, _, _ = heard(tone(frequency, rate=48000), mode, 48000)
    assert abs(np.median([cents_off(row, frequency) for row in whole[len(whole) // 2 :]])) < 15


@EVERY_MODE
@EVERY_RATE
@pytest.mark.parametrize("harmonics", ((2, 3, 4, 5, 6, 7), (3, 4, 5, 6, 7, 8)))
def test_a_missing_fundamental_is_heard(harmonics, rate, mode):
    whole, _, _ = heard(tone(230.0, harmonics, rate=rate), mode, rate)
    assert max(abs(cents_off(row, 230.0)) for row in whole[len(whole) // 2 :]) < 5


def test_pitches_are_ten_cents_apart_from_55_to_1760_hz():
    assert pitch_of(55) == 0 and pitch_of(1760) == PITCHES - 1 == 600
    assert pitch_of(110 * 2 ** (1 / 12)) == pytest.approx(130)


def test_the_first_spectrum_is_heard_without_the_phase_before_it():
    sizes = sizes_of(rate=48000)
    spectra = spectra_of(tone(443.0, rate=48000), sizes, 48000)[-1:]
    whole, _, _ = run(spectra, prepared(sizes, 48000))
    assert abs(cents_off(whole[0], 443.0)) < 40


# What is heard of it


def test_channels_are_added():
    sizes = sizes_of()
    left, right = (spectra_of(signals.music(4000, 16000, seed=seed), sizes, 16000) for seed in (1, 2))
    both, alone = (prepared(sizes, 16000) for _ in range(2))
    np.testing.assert_allclose(
        run(np.concatenate([left, right], axis=1), both)[0], run(left + right, alone)[0], rtol=1e-4, atol=1e-4
    )
    whole, fresh, total = run(np.concatenate([left, -left], axis=1), prepared(sizes, 16000))
    assert not whole.any() and not fresh.any() and not total.any()


@EVERY_MODE
def test_silence_gives_nothing(mode):
    whole, fresh, total = heard(signals.constant(4000, 0, 2), mode)
    assert not whole.any() and not fresh.any() and not total.any()


@EVERY_MODE
def test_in_noise_no_pitch_is_salient_and_in_a_tone_one_is(mode):
    noise, _, total = heard(signals.noise(16000), mode)
    assert (noise.max(1) / total)[20:].mean() < 0.075
    whole, _, total = heard(tone(220, range(1, 13), seconds=2), mode)
    assert (whole.max(1) / total)[20:].min() > 0.15


def test_what_sounds_on_is_taken_off_and_what_is_new_is_not():
    rate, step = 16000, 96 / 16000
    steady, new = tone(300, seconds=2), tone(523, seconds=2)
    new[:rate] = 0
    whole, fresh, _ = heard(steady + new)
    at, other = round(pitch_of(300)), round(pitch_of(523))
    share = fresh[:, at] / np.maximum(whole[:, at], 1e-9)
    seconds = np.arange(len(share)) * step
    middle = slice(len(share) // 8, len(share) // 2 - 10)
    np.testing.assert_allclose(share[middle], 1 - 0.6 * (1 - np.exp(-seconds[middle] / 0.5)), atol=0.02)
    assert abs(share[len(share) // 2 - 10] - 0.48) < 0.02
    first = int(1.05 / step)
    assert fresh[first, other] > 0.9 * whole[first, other]


@pytest.mark.parametrize("level", (0.1, 10))
def test_level_changes_the_height_but_not_the_shape(level):
    sound = signals.music(6000, 16000, 2)
    soft, loud = heard(sound), heard(sound * np.float32(level))
    for one, other in zip(soft, loud, strict=True):
        np.testing.assert_allclose(other, one * level**0.75, rtol=1e-3, atol=0.002 * other.max())


# Calm


def test_reset_equals_fresh_and_no_reset_differs():
    sizes = sizes_of()
    spectra = spectra_of(signals.music(3000, 16000, 2), sizes, 16000)
    state, kept = prepared(sizes, 16000), prepared(sizes, 16000)
    for used in (state, kept):
        run(spectra_of(signals.noise(3000, 2), sizes, 16000), used)
    salience.reset(state)
    expected = run(spectra, prepared(sizes, 16000))[1]
    assert np.array_equal(run(spectra, state)[1], expected)
    assert not np.array_equal(run(spectra, kept)[1], expected)


@pytest.mark.parametrize("level", (1e-17, 1e-9, 1.0, 1e6))
def test_sound_of_any_level_and_the_silence_after_it_leave_only_sane_numbers(level):
    sizes = sizes_of()
    sound = np.concatenate([signals.square(2000), signals.constant(2000, 1), signals.constant(2000, 0)])
    sound[5000] = 1
    state = prepared(sizes, 16000)
    results = run(spectra_of(sound * level, sizes, 16000), state)
    assert all(np.isfinite(result).all() for result in results)
    run(np.zeros((30_000, 1, sizes.window_size // 2 + 1), np.complex64), state)
    for array in (state.peaks.spectrum, state.peaks.previous, state.peaks.magnitude, state.past, state.room):
        numbers = np.abs(array.view(np.float32))
        assert np.isfinite(numbers).all()
        assert not ((numbers > 0) & (numbers < np.finfo(np.float32).tiny)).any()


def test_spectra_are_only_read():
    sizes = sizes_of()
    spectra = spectra_of(signals.music(2000, 16000, 2), sizes, 16000)
    before = spectra.copy()
    run(spectra, prepared(sizes, 16000))
    assert np.array_equal(spectra, before)
