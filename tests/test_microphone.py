"""Microphone: no delay, the high-pass of the books, a gate that neither chops nor clicks, a room that is smooth."""

from functools import cache

import numpy as np
import pytest
import signals
from scipy import signal

from rtsep.dsp import microphone

RATE = 8000
OFF = dict(gain=1.0, high_pass_hz=20.0, gate=0.0, reverb=0.0)
LINES_S = np.array([0.0234, 0.027, 0.0408, 0.0354, 0.0457, 0.0509, 0.06, 0.0552])


def run(sound, channels=1, state=None, block=0, rate=RATE, output=None, **controls):
    """The output (samples, channels) for the microphone `sound` (samples, 1), in blocks of `block` samples."""
    state = state or microphone.prepare(rate, channels)
    output = np.zeros((len(sound), channels), np.float32) if output is None else output
    values = [np.float32(value) for value in ({**OFF, **controls}).values()]
    for start in range(0, len(sound), block or len(sound)):
        part = slice(start, start + (block or len(sound)))
        microphone.process(state, *values, sound[part], output[part])
    return output


def sine(seconds, level=0.5, pitch=500, rate=RATE):
    return (level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[:, None]


@cache
def room(seconds, channels=2, rate=RATE):
    """The impulse response of the room alone."""
    impulse = signals.impulse(round(seconds * rate), 0)
    return run(impulse, channels, rate=rate, reverb=1) - run(impulse, channels, rate=rate)


def gate_path(sound, state=None, **controls):
    """The gain of the gate after each sample."""
    state = state or microphone.prepare(RATE, 1)
    path = []
    for sample in sound:
        run(sample[None], state=state, **controls)
        path.append(state.open[0])
    return np.array(path)


def roughness(sound):
    """The largest jump of the slope: large where a sound clicks."""
    return np.abs(np.diff(sound[:, 0].astype(float), 2)).max()


def band(sound, low, high):
    return signal.sosfilt(signal.butter(4, [low, high], "band", fs=RATE, output="sos"), sound, axis=0)


@pytest.mark.parametrize("rate", (8000, 48000, 192000))
@pytest.mark.parametrize("cutoff", (20, 80, 400))
def test_the_dry_voice_is_that_of_a_butterworth_high_pass_without_delay(cutoff, rate):
    sound = signals.noise(2000)
    truth = signal.sosfilt(signal.butter(2, cutoff, "high", fs=rate, output="sos"), sound.astype(float), axis=0)
    np.testing.assert_allclose(run(sound, rate=rate, high_pass_hz=cutoff), truth, atol=2e-6)


def test_it_is_added_to_what_is_there_and_to_all_channels_alike():
    sound, band = signals.noise(300), signals.noise(300, 3, seed=2)
    voice = run(sound)
    np.testing.assert_allclose(run(sound, 3, output=band.copy()), band + voice, atol=1e-7)


def test_the_voice_is_there_at_once_and_of_its_level():
    impulse = signals.impulse(20, 5)
    output = run(impulse, gain=2.0, reverb=1.0)[:, 0]
    assert not output[:5].any() and output[5] == pytest.approx(2, rel=0.02)


def test_the_first_level_stands_at_its_goal_and_later_ones_glide_there():
    sound = sine(0.2)
    state = microphone.prepare(RATE, 1)
    whole = run(sound)
    np.testing.assert_allclose(run(sound, state=state, gain=0.5), whole / 2, atol=1e-7)
    state.integrators[:] = 0
    path = 0.5 + 1.5 * -np.expm1(-np.arange(1, len(sound) + 1) / (0.01 * RATE))[:, None]
    np.testing.assert_allclose(run(sound, state=state, gain=2.0), whole * path, atol=2e-5)
    assert state.controls[0] == 2


@pytest.mark.parametrize("goal", (0.0, 0.3, 1.0, 4.0))
def test_levels_arrive_exactly(goal):
    state = microphone.prepare(RATE, 1)
    run(np.zeros((1, 1), np.float32), state=state, gain=1.7, reverb=1.7)
    run(np.zeros((2000, 1), np.float32), state=state, gain=goal, reverb=goal, high_pass_hz=400)
    assert state.controls.tolist() == [np.float32(goal), np.float32(goal), 400]


@pytest.mark.parametrize(
    "step", ({"gain": 4.0}, {"gain": 0.0}, {"reverb": 4.0}, {"high_pass_hz": 400.0}, {"gate": 1.0})
)
def test_no_step_of_a_control_clicks(step):
    sound = sine(0.5, pitch=100)
    state = microphone.prepare(RATE, 1)
    before = run(sound, state=state, reverb=1)
    joined = np.concatenate([before, run(sound, state=state, **{"reverb": 1, **step})])
    around = joined[len(before) - 2 : len(before) + 40]
    assert roughness(around) < 0.03 + roughness(joined[len(before) // 2 : len(before)])
    assert not np.allclose(joined[-400:], before[-400:], atol=0.01)


def test_the_cutoff_may_move_while_sound_runs():
    sound = sine(0.5, pitch=200)
    state = microphone.prepare(RATE, 1)
    rng = np.random.default_rng(4)
    moved = [run(part, state=state, high_pass_hz=rng.uniform(20, 400)) for part in np.split(sound, 100)]
    assert np.abs(moved).max() < 0.6
    settled = run(sound, state=state, high_pass_hz=300)
    np.testing.assert_allclose(settled[-800:], run(sound, high_pass_hz=300)[-800:], atol=1e-5)


def test_a_gate_lets_through_what_is_above_its_threshold_and_nothing_below():
    assert not run(sine(0.5, 0.09), gate=0.1).any()
    loud = sine(0.5, 0.5)
    np.testing.assert_allclose(run(loud, gate=0.1)[200:], run(loud)[200:], atol=1e-6)
    burst = np.concatenate([loud, sine(0.5, 0.01)])
    path = gate_path(burst, gate=0.1)
    np.testing.assert_allclose(run(burst, gate=0.1)[:, 0], run(burst)[:, 0] * path, atol=1e-7)


def test_a_gate_that_is_off_changes_nothing():
    assert np.all(gate_path(sine(0.05, 1e-4)) == 1)


def test_the_gate_opens_within_three_milliseconds_holds_and_closes_slowly():
    sound = np.concatenate([sine(0.2), np.zeros((6400, 1), np.float32)])
    path = gate_path(sound, gate=0.1)
    opened = np.flatnonzero(path)[0]
    assert opened <= 2
    rise = -np.expm1(-np.arange(1, 101) / (0.001 * RATE))
    np.testing.assert_allclose(path[opened : opened + 100], rise, atol=1e-4)
    closing = np.flatnonzero(path == 1)[-1]
    assert closing / RATE == pytest.approx(0.2 + 0.05, abs=0.003)
    np.testing.assert_allclose(path[closing:][:3000], np.exp(-np.arange(3000) / (0.15 * RATE)), atol=1e-4)
    assert np.all(np.diff(path[closing:]) <= 0)


def test_the_gate_does_not_chop_an_onset():
    sound = sine(0.1, 0.5, 200)
    kept, whole = run(sound, gate=0.05)[:80], run(sound)[:80]
    assert (kept**2).sum() > 0.8 * (whole**2).sum()


def test_an_open_gate_closes_six_decibels_below_where_it_opens():
    loud, between, below = sine(0.1, 0.2), sine(0.4, 0.07), sine(0.4, 0.045)
    assert not gate_path(between, gate=0.1).any()
    state = microphone.prepare(RATE, 1)
    gate_path(loud, state, gate=0.1)
    assert gate_path(between, state, gate=0.1)[-1] == 1
    assert gate_path(below, state, gate=0.1)[-1] < 0.15
    assert gate_path(between, state, gate=0.1)[-1] < 0.02


def test_low_voices_do_not_make_the_gate_flutter():
    assert np.all(gate_path(sine(0.4, 0.2, 80), gate=0.1)[400:] == 1)


def test_rumble_does_not_open_the_gate():
    rumble = sine(0.5, 0.3, 25)
    assert gate_path(rumble, gate=0.1, high_pass_hz=20)[-1] == 1
    assert not gate_path(rumble, gate=0.1, high_pass_hz=120).any()


def test_the_room_is_the_transfer_function_of_its_network():
    # z-transform of the network, solved frequency by frequency; sampled so finely that nothing wraps around
    state, size = microphone.prepare(RATE, 2), 1 << 14
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    feed = z ** round(0.01 * RATE) / np.sqrt(8)
    for delay in state.diffusers:
        feed = feed * (0.6 + z**delay) / (1 + 0.6 * z**delay)
    bright = state.bright.astype(float)
    lines = z[:, None] ** state.delays * state.loss * bright / (1 - (1 - bright) * z[:, None])
    feedback = state.feedback.astype(float)
    np.testing.assert_allclose(feedback @ feedback.T, np.eye(8), atol=1e-6)
    network = np.eye(8) - lines[:, :, None] * feedback.T
    heard = np.linalg.solve(network, (lines * feed[:, None])[:, :, None])[:, :, 0]
    truth = np.fft.irfft(heard @ state.taps.T.astype(float), size, axis=0)
    sound = signals.impulse(size, 0)
    state.turn[0] = 0  # a high-pass at 0 Hz
    output = run(sound, 2, state, reverb=1)
    output[0] -= 1
    np.testing.assert_allclose(output, truth, atol=2e-6)


@pytest.mark.parametrize("rate", (8000, 11025, 44100, 48000, 192000))
def test_lines_are_of_their_lengths_without_common_factors(rate):
    delays = microphone.prepare(rate, 1).delays
    assert np.abs(delays - LINES_S * rate).max() < 13
    assert np.array_equal(np.gcd.outer(delays, delays), np.where(np.eye(8, dtype=bool), delays, 1))


def decay_s(response, low, high):
    """T60 in a band by Schroeder's backward integration, fitted from -5 to -35 dB (ISO 3382)."""
    energy = np.cumsum(band(response, low, high)[::-1] ** 2)[::-1]
    decibels = 10 * np.log10(energy / energy[0] + 1e-30)
    fitted = np.flatnonzero((decibels < -5) & (decibels > -35))
    return -60 / np.polyfit(fitted / RATE, decibels[fitted], 1)[0]


def test_the_room_dies_away_in_1_2_seconds_and_sooner_at_high_frequencies():
    for response in room(2.0).T:
        assert decay_s(response, 350, 700) == pytest.approx(1.2, abs=0.1)
        assert decay_s(response, 700, 1400) == pytest.approx(1.15, abs=0.12)
        assert decay_s(response, 2800, 3900) == pytest.approx(0.65, abs=0.1)


def test_the_room_is_as_loud_as_the_voice_and_begins_after_the_predelay():
    response = room(2.0)
    first = np.flatnonzero(np.abs(response).max(1) > 1e-6)[0]
    assert first / RATE == pytest.approx(0.01 + LINES_S.min(), abs=0.001)
    spectrum = np.abs(np.fft.rfft(response, axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(response), 1 / RATE)
    loudness = 10 * np.log10(spectrum[(hertz > 200) & (hertz < 1000)].mean(0))
    np.testing.assert_allclose(loudness, 0, atol=1.5)


def test_the_room_is_dense_and_does_not_ring():
    for response in room(2.0).T:
        # Echo density after Abel and Huang (AES 2006): 1 where echoes are as dense as Gaussian noise.
        parts = response[round(0.1 * RATE) : round(0.7 * RATE)].reshape(-1, 200)
        outside = np.abs(parts) > parts.std(1, keepdims=True)
        assert outside.mean() / 0.3173 == pytest.approx(1, abs=0.1)
        # Noise that decays has levels with a standard deviation of 5.6 dB; a comb or a few modes have far more.
        levels = 20 * np.log10(np.abs(np.fft.rfft(response[800:])))
        middle = levels[round(0.05 * len(levels)) : round(0.5 * len(levels))]
        smooth = np.polyval(np.polyfit(np.arange(len(middle)), middle, 2), np.arange(len(middle)))
        assert np.std(middle - smooth) < 6.2
        # A tail that repeats itself has a pitch.
        tail = response[800:8800] * 10 ** (3 * np.arange(8000) / (1.1 * RATE))
        likeness = signal.correlate(tail, tail, method="fft")[8000 + 20 :] / (tail @ tail)
        assert np.abs(likeness).max() < 0.25


def test_left_and_right_are_unlike_mono_is_their_mean_and_more_channels_alternate():
    response = room(1.0)
    assert abs(np.corrcoef(response.T)[0, 1]) < 0.2
    np.testing.assert_allclose(room(1.0, 1)[:, 0], response.mean(1), atol=1e-6)
    assert np.array_equal(room(1.0, 8), np.tile(response, 4))


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf, 1e30, 1e-40))
def test_what_is_no_sane_number_is_silence(bad):
    sound = signals.noise(1000)
    broken, silenced = sound.copy(), sound.copy()
    broken[300:310], silenced[300:310] = bad, 0
    state = microphone.prepare(RATE, 2)
    output = run(broken, 2, state, reverb=1, gate=0.01)
    assert np.array_equal(output, run(silenced, 2, reverb=1, gate=0.01))
    assert state.level[0] <= np.abs(sound).max()


def test_denormals_are_exact_silence():
    assert not run(signals.constant(100, 1e-40), gain=4, reverb=4).any()


@pytest.mark.parametrize("block", (1, 7, 64, 480))
def test_blocks_of_any_length_give_the_same_sound(block):
    sound = signals.noise(3000) * np.repeat([1.0, 0.01, 1.0], 1000)[:, None].astype(np.float32)
    controls = dict(gain=1.5, high_pass_hz=90, gate=0.05, reverb=0.7)
    whole, cut = microphone.prepare(RATE, 2), microphone.prepare(RATE, 2)
    for state in (whole, cut):
        run(sound[:50], 2, state)
    assert np.array_equal(run(sound, 2, whole, **controls), run(sound, 2, cut, block, **controls))


def test_nothing_lingers_when_the_voice_is_gone():
    state = microphone.prepare(RATE, 2)
    controls = dict(reverb=1.0, gate=0.1)
    run(np.float32(1e-12) * signals.noise(500), 2, state, reverb=1.0)
    run(np.zeros((24000, 1), np.float32), 2, state, reverb=1.0)
    assert not any(memory.any() for memory in (state.integrators, state.waiting, state.diffused, state.lines))
    run(sine(0.01), 2, state, **controls)
    run(np.zeros((20000, 1), np.float32), 2, state, **controls)
    assert state.open[0] == 0 and not state.damped[np.abs(state.damped) < 1e-18].any()


def test_reset_equals_fresh_and_no_reset_differs():
    first, second = signals.noise(1500), signals.noise(1500, seed=2)
    controls = dict(gain=0.7, high_pass_hz=100, gate=0.05, reverb=1)
    fresh = run(second, 2, **controls)
    states = [microphone.prepare(RATE, 2) for _ in range(2)]
    for state in states:
        run(first, 2, state, gain=2, reverb=0.5)
    microphone.reset(states[0])
    assert states[0].level[0] == states[0].open[0] == 0
    assert np.array_equal(run(second, 2, states[0], **controls), fresh)
    assert not np.array_equal(run(second, 2, states[1], **controls), fresh)
    for field, memory in microphone.prepare(RATE, 2)._asdict().items():
        microphone.reset(states[1])
        if field not in ("fed", "controls"):
            assert np.array_equal(getattr(states[1], field), memory), field


def test_the_level_is_the_peak_of_the_microphone_before_all_else_and_falls_back():
    sound = signals.noise(400)
    state = microphone.prepare(RATE, 1)
    run(sound, state=state, gain=0, gate=1)
    assert state.level[0] == np.abs(sound).max()
    levels = []
    for _ in range(400):
        run(np.zeros((80, 1), np.float32), state=state)
        levels.append(state.level[0])
    assert np.all(np.diff(levels) <= 0) and levels[0] > 0.9 * np.abs(sound).max() and levels[100] < 0.02


def test_the_microphone_is_not_written_to():
    sound = signals.noise(100)
    sound.flags.writeable = False
    assert run(sound, reverb=1).any()
