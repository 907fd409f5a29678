"""Key change: pitches move exactly, time, level and balance stay, and a key of zero is the input itself."""

import numpy as np
import pytest
import signals

from rtsep.dsp import key

RATE = 16000
LATENCY = key.latency(RATE)
HOP = LATENCY // 8
KEYS = (-12, -5, -1, 1, 4, 12)


def run(sound, semitones, rate=RATE, blocks=(4096,), state=None):
    """`sound` (samples, channels) shifted by one number of `semitones`, or by one for each sample."""
    state = state or key.prepare(rate, sound.shape[1])
    output = sound.astype(np.float32)
    keys = np.broadcast_to(np.asarray(semitones, np.float32), len(sound))
    start = i = 0
    while start < len(sound):
        end = min(start + blocks[i % len(blocks)], len(sound))
        key.process(state, keys[start], output[start:end])
        start, i = end, i + 1
    return output


def sine(frequency, samples=RATE, rate=RATE, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(samples) / rate)).astype(np.float32)[:, None]


def fitted(sound, frequencies, rate=RATE):
    """Of the sines that are to be in `sound` (samples,): amplitudes, errors in cents, and the SNR in dB."""
    seconds = np.arange(len(sound)) / rate
    angles = 2 * np.pi * np.outer(seconds, frequencies)
    basis = np.hstack([np.cos(angles), np.sin(angles)])
    half = len(sound) // 2
    phases = []
    for part in (slice(0, half), slice(half, 2 * half)):
        weights = np.hanning(half)[:, None]
        found = np.linalg.lstsq(basis[part] * weights, sound[part] * weights[:, 0], rcond=None)[0]
        phases.append(found[: len(frequencies)] - 1j * found[len(frequencies) :])
    off_hz = np.angle(phases[1] * phases[0].conj()) / (2 * np.pi * half / rate)
    found = np.linalg.lstsq(basis, sound, rcond=None)[0]
    rest = sound - basis @ found
    amplitudes = np.hypot(found[: len(frequencies)], found[len(frequencies) :])
    return amplitudes, 1200 * np.log2(1 + off_hz / frequencies), decibels((basis @ found).var() / rest.var())


def decibels(ratio):
    return 10 * np.log10(ratio)


def envelope(sound, samples):
    """Level (samples,) of all channels, smoothed over some `samples`."""
    return np.sqrt(np.convolve((sound.astype(float) ** 2).sum(1), np.hanning(2 * samples + 1), "same"))


def drums(samples, rate=RATE, seed=2):
    """Hits of noise that die away, each 0.25 s."""
    since = np.arange(samples) % (rate // 4) / rate
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (0.3 * np.exp(-60 * since) * noise).astype(np.float32)[:, None]


@pytest.mark.parametrize("rate", (8000, 11025, 22050, 44100, 48000, 88200, 96000, 192000))
def test_a_key_of_zero_is_the_input_after_exactly_the_latency(rate):
    sound = signals.noise(rate // 5, 2)
    latency = key.latency(rate)
    output = run(sound, 0, rate, (rate // 7,))
    assert 0.025 * rate < latency < 0.06 * rate
    assert np.array_equal(output[latency:], sound[:-latency]) and not output[:latency].any()


@pytest.mark.parametrize("semitones", KEYS)
@pytest.mark.parametrize("frequency", (60.0, 98.0, 440.3, 1234.5, 3700.0))
def test_a_sine_moves_by_exactly_the_key_and_keeps_its_level(frequency, semitones):
    goal = frequency * 2 ** (semitones / 12)
    output = run(sine(frequency), semitones)[RATE // 4 :, 0]
    amplitudes, cents, ratio = fitted(output.astype(float), np.array([goal]))
    assert np.abs(cents).max() < 0.05
    assert abs(2 * decibels(amplitudes[0] / 0.5)) < 0.25
    assert ratio > 40


@pytest.mark.parametrize("semitones", (-12, -0.37, 0.01, 3.3, 12))
def test_all_partials_of_a_tone_move_by_the_key(semitones):
    partials = 110 * np.arange(1, 13)
    sound = sum(sine(frequency, level=0.2 / n) for n, frequency in enumerate(partials, 1))
    output = run(sound, semitones)[RATE // 4 :, 0].astype(float)
    amplitudes, cents, ratio = fitted(output, partials * 2 ** (semitones / 12))
    assert np.abs(cents).max() < 0.3
    assert np.abs(2 * decibels(amplitudes * np.arange(1, 13) / 0.2)).max() < 0.5
    assert ratio > 35


def test_a_steady_sine_half_way_between_two_shifts_does_not_flutter():
    output = run(sine(70, 48000, 48000), -5, 48000)[12000:, 0].astype(float)
    assert fitted(output, np.array([70 * 2 ** (-5 / 12)]), 48000)[2] > 50


@pytest.mark.parametrize("semitones", KEYS)
def test_noise_and_music_keep_their_level(semitones):
    limit = RATE / 2 / max(2 ** (semitones / 12), 1) * 0.9  # what stays below half the rate
    white = np.random.default_rng(4).standard_normal((2 * RATE, 1))
    for sound, most in ((white, 1.0), (signals.music(2 * RATE, RATE), 0.7)):
        spectrum = np.fft.rfft(sound, axis=0)
        spectrum[int(2 * limit) :] = 0
        sound = 0.1 * np.fft.irfft(spectrum, axis=0)
        output = run(sound, semitones)[LATENCY:].astype(float)
        assert abs(decibels((output**2).sum() / (sound[:-LATENCY] ** 2).sum())) < most


@pytest.mark.parametrize("semitones", KEYS)
def test_shifted_sound_is_in_time_with_the_delayed_input(semitones):
    sound = drums(2 * RATE)
    shifted, dry = (envelope(run(sound, s), 16) for s in (semitones, 0))
    shifted, dry = shifted - shifted.mean(), dry - dry.mean()
    reach = RATE // 20
    match = [np.dot(shifted[reach + lag : lag - reach], dry[reach:-reach]) for lag in range(-reach, reach)]
    assert abs(np.argmax(match) - reach) < 0.004 * RATE
    assert np.max(match) > 0.85 * np.linalg.norm(dry) * np.linalg.norm(shifted)


@pytest.mark.parametrize("semitones", KEYS)
def test_an_attack_stays_sharp(semitones):
    rate, spreads = 48000, []
    for at in (9000, 9100, 9170, 9233):
        output = run(signals.impulse(16000, at), semitones, rate)[:, 0].astype(float) ** 2
        away = np.arange(len(output)) - at - key.latency(rate)
        middle = (output * away).sum() / output.sum()
        assert abs(middle) < 0.002 * rate
        spreads.append(np.sqrt((output * (away - middle) ** 2).sum() / output.sum()) / rate)
    assert np.mean(spreads) < 0.004


def test_there_is_little_sound_before_an_attack():
    sound = drums(2 * RATE)
    for semitones in (-5, -2, 2, 5):
        output = run(sound, semitones)[LATENCY : -(RATE // 2)].astype(float) ** 2
        hits = output[RATE // 8 : RATE // 8 + RATE].reshape(4, -1)  # each with its hit in the middle
        before = hits[:, RATE // 8 - RATE // 32 : RATE // 8 - 16].sum()
        assert decibels(before / hits.sum()) < -19


def test_the_stereo_image_stays():
    one = signals.music(RATE, RATE)
    output = run(np.hstack([0 * one, one, -0.25 * one]), 4)
    assert not output[:, 0].any()
    np.testing.assert_allclose(output[:, 2], -0.25 * output[:, 1], atol=1e-6)
    np.testing.assert_allclose(output[:, 1:2], run(one, 4), atol=1e-4)


def test_a_mono_mix_of_shifted_channels_is_the_shifted_mono_mix():
    low, high = sine(220), sine(1500)
    both = run(np.hstack([low + 0.3 * high, 0.2 * low + high]), 3)[RATE // 4 :].sum(1)
    amplitudes, _, ratio = fitted(both.astype(float), np.array([220, 1500]) * 2 ** (3 / 12))
    np.testing.assert_allclose(amplitudes, [0.6, 0.65], rtol=0.01)
    assert ratio > 40


def test_nothing_above_half_the_sample_rate_comes_back():
    sound = sine(5000) + sine(7000)
    assert np.abs(run(sound, 12)[RATE // 2 :]).max() < 1e-6
    spectrum = np.abs(np.fft.rfft(run(sound, 7)[RATE // 2 :, 0] * np.hanning(RATE // 2)))
    assert decibels(np.sum(spectrum[: 2 * 3200 // 2] ** 2) / np.sum(spectrum**2)) < -60


def test_nothing_below_zero_hertz_comes_back():
    output = run(sine(40), -12)[RATE // 2 :, 0] * np.hanning(RATE // 2)
    spectrum = np.abs(np.fft.rfft(output)) ** 2
    assert decibels(spectrum[500:].sum() / spectrum.sum()) < -90


@pytest.mark.parametrize("semitones", (-12, -1, 7))
def test_an_offset_stays_an_offset(semitones):
    steady = signals.constant(RATE, 0.25)
    np.testing.assert_allclose(run(steady, semitones)[RATE // 2 :], 0.25, atol=1e-4)
    steady[: RATE // 2] = 0
    output = run(steady + sine(300), semitones)[RATE * 3 // 4 :, 0].astype(float)
    assert abs(np.average(output, weights=np.hanning(len(output))) - 0.25) < 1e-3


@pytest.mark.parametrize("semitones", (0, -7, 4))
@pytest.mark.parametrize("blocks", ((1,), (63,), (HOP,), (LATENCY + 1,), (5, 480, 1, 64)))
def test_blocks_of_any_length_give_the_same_sound(blocks, semitones):
    sound = signals.music(5 * LATENCY, RATE, 2)
    assert np.array_equal(run(sound, semitones, blocks=blocks), run(sound, semitones))


def test_a_key_that_changes_makes_no_click_and_ends_on_the_input_to_the_last_bit():
    sound = sine(200, 2 * RATE)
    keys = np.zeros(len(sound))
    keys[RATE // 4 : RATE] = np.repeat((3, -4, 0, 0.5, 12, 7), RATE // 8)
    output = run(sound, keys, blocks=(16,))
    bend = np.abs(np.diff(output[:, 0], 3))[8 * HOP * 2 :]
    assert bend.max() < 2 * 0.5 * (2 * np.pi * 400 / RATE) ** 3
    last = RATE + LATENCY + HOP
    assert np.array_equal(output[last:], sound[last - LATENCY : -LATENCY])
    first = RATE // 4
    assert np.array_equal(output[LATENCY:first], sound[: first - LATENCY])
    assert not np.array_equal(
        output[last - 2 * HOP : last - HOP], sound[last - 2 * HOP - LATENCY : last - HOP - LATENCY]
    )


def test_a_change_away_from_zero_does_not_dip():
    sound = sine(440.3, RATE)
    keys = np.where(np.arange(RATE) < RATE // 2, 0, 2)
    level = envelope(run(sound, keys, blocks=(64,)), 64)[2 * LATENCY : -200]
    assert level.min() > 0.7 * level.max()


def test_after_a_key_of_zero_nothing_is_left_of_earlier_keys():
    sound = signals.music(RATE, RATE)
    keys = np.zeros((2, RATE))
    keys[:, RATE // 2 :] = -3
    keys[0, : RATE // 4] = 5
    after, fresh = (run(sound, row, blocks=(HOP,)) for row in keys)
    assert not np.array_equal(after[: RATE // 2], fresh[: RATE // 2])
    assert np.array_equal(after[RATE // 2 :], fresh[RATE // 2 :])


@pytest.mark.parametrize("semitones", (-3, 5))
def test_silence_gives_exact_silence_and_leaves_no_tail(semitones):
    state = key.prepare(RATE, 2)
    assert not run(np.zeros((3000, 2)), semitones, state=state).any()
    run(signals.noise(4000, 2), semitones, state=state)
    tail = run(np.zeros((RATE, 2)), semitones, state=state)
    assert tail[: LATENCY // 2].any() and not tail[key.prepare(RATE, 1).past.shape[1] + LATENCY :].any()


@pytest.mark.parametrize("level", (1e6, 1e-9, 1e-18, 1e-30))
@pytest.mark.parametrize("semitones", (-12, 12))
def test_sound_of_any_level_stays_finite_and_the_state_free_of_denormals(level, semitones):
    state = key.prepare(RATE, 2)
    output = run(signals.square(4000, 2) * np.float32(level), semitones, state=state)
    assert np.isfinite(output).all()
    for name in ("spectra", "power", "turn", "bend", "frequency", "shifted"):
        numbers = np.abs(getattr(state, name).view(np.float32))
        assert np.isfinite(numbers).all()
        assert not ((numbers > 0) & (numbers < np.finfo(np.float32).tiny)).any(), name


def test_reset_equals_fresh_and_no_reset_differs():
    sound = signals.music(4 * LATENCY, RATE, 2)
    state, kept = key.prepare(RATE, 2), key.prepare(RATE, 2)
    for used in (state, kept):
        run(signals.noise(3333, 2), 5, state=used)
    key.reset(state)
    fresh = key.prepare(RATE, 2)
    for name in key.State._fields[4 : key.State._fields.index("frame")]:
        assert np.array_equal(getattr(state, name), getattr(fresh, name)), name
    expected = run(sound, -3)
    assert np.array_equal(run(sound, -3, state=state), expected)
    assert not np.array_equal(run(sound, -3, state=kept), expected)
