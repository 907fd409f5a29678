"""Mix: faders weigh stems that add up, gains glide, bypass is exact, nothing passes the limiter."""

import numpy as np
import pytest
import reference
import signals

from rtsep.dsp import mix

RATE, HOP, STEMS = 8000, 16, 3
LEVEL, BYPASS = STEMS, STEMS + 1


def run(sound, stems=None, goal=None, ceiling=np.inf, state=None, chunk=HOP):
    """All stems and the output of `sound`, whose first parts are `stems` (stems - 1, samples, channels)."""
    samples, channels = sound.shape
    stems = np.zeros((STEMS - 1, samples, channels), np.float32) if stems is None else stems
    state = state or mix.prepare(RATE, HOP, STEMS)
    for index, gain in (goal or {}).items():
        state.goal[index] = gain
    parted, output = np.zeros((STEMS, samples, channels), np.float32), np.zeros_like(sound)
    for start in range(0, samples, chunk):
        end = min(start + chunk, samples)
        phase = start % HOP
        ready = np.zeros((STEMS - 1, channels, HOP), np.float32)
        ready[:, :, phase : phase + end - start] = stems[:, start:end].swapaxes(1, 2)
        dry = sound[start:end]
        mix.process(state, np.float32(ceiling), phase, dry, ready, parted[:, start:end], output[start:end])
    return parted, output


def parts(sound, seed=5):
    """Two stems that share `sound` in some way."""
    shares = np.random.default_rng(seed).uniform(0, 1, (STEMS - 1, *sound.shape)) / 2
    return (sound * shares).astype(np.float32)


def test_faders_at_unity_give_the_input_to_the_last_bit():
    sound = signals.noise(200, 2)
    assert np.array_equal(run(sound, parts(sound))[1], sound)


def test_stems_of_24_bit_sound_add_up_to_it_to_the_last_bit():
    sound = signals.noise_24_bit(200, 2)
    parted, _ = run(sound, parts(sound))
    assert np.array_equal(parted[0] + parted[1] + parted[2], sound)
    assert np.array_equal(parted[2] + parted[1] + parted[0], sound)


def test_faders_weigh_their_stems():
    sound = signals.noise(200, 2)
    parted, output = run(sound, parts(sound), {0: 0.5, 1: 2.0, 2: 0.25})
    np.testing.assert_allclose(output, 0.5 * parted[0] + 2 * parted[1] + 0.25 * parted[2], atol=1e-6)
    np.testing.assert_allclose(parted[:2], parts(sound), atol=2.0**-24 + 1e-9)


def test_all_faders_closed_are_exact_silence():
    sound = signals.noise_24_bit(200, 2)
    assert not run(sound, parts(sound), {0: 0, 1: 0, 2: 0})[1].any()
    assert not run(sound, parts(sound), {LEVEL: 0})[1].any()


def test_the_first_gains_stand_at_their_goals_and_later_ones_glide_there():
    sound = np.ones((HOP, 1), np.float32)
    state = mix.prepare(RATE, HOP, STEMS)
    _, first = run(sound, goal={LEVEL: 0.5}, state=state)
    assert np.all(first == 0.5)
    glide = np.concatenate([run(sound, goal={LEVEL: 1.0}, state=state)[1] for _ in range(200)])[:, 0]
    truth = 1 - 0.5 * np.exp(-np.arange(1, len(glide) + 1) / (0.01 * RATE))
    np.testing.assert_allclose(glide, truth, atol=2e-5)
    assert glide[0] < 0.51 and np.all(np.diff(glide) >= 0) and glide[-1] == 1


def test_bypass_crossfades_and_then_is_the_input_to_the_last_bit():
    sound = signals.noise(HOP * 150, 2)
    state = mix.prepare(RATE, HOP, STEMS)
    run(sound[:HOP], parts(sound[:HOP]), {0: 0, LEVEL: 0.3}, state=state)
    _, output = run(sound, parts(sound), {BYPASS: 1}, state=state)
    assert not np.array_equal(output[:100], sound[:100])
    assert np.array_equal(output[HOP * 75 :], sound[HOP * 75 :])


@pytest.mark.parametrize("channels", (1, 2, 8))
@pytest.mark.parametrize("ceiling", (0.0631, 0.5, 0.891, 1.0))
def test_nothing_passes_the_ceiling_of_the_limiter(channels, ceiling):
    sound = signals.noise(600, channels, level=1.0)
    sound[300] = 1e5
    _, output = run(sound, ceiling=ceiling)
    assert np.abs(output).max() <= np.float32(ceiling)
    np.testing.assert_allclose(output, reference.limited(sound.astype(float), ceiling, RATE), atol=1e-4)


def test_the_limiter_turns_all_channels_down_together():
    sound = np.repeat([[2.0, 0.5]], 40, 0).astype(np.float32)
    _, output = run(sound, ceiling=1.0)
    np.testing.assert_allclose(output, np.repeat([[1.0, 0.25]], 40, 0), atol=1e-3)


def test_the_limiter_is_exactly_transparent_below_its_ceiling_and_long_after_a_peak():
    sound = signals.noise(400, 2, level=0.2).clip(-0.89, 0.89)
    assert np.array_equal(run(sound, ceiling=0.891)[1], sound)
    peak = signals.impulse(20000, 10) * 4 + np.float32(0.1)
    _, output = run(peak, ceiling=0.891)
    assert output[11, 0] < 0.05 and np.array_equal(output[16000:], peak[16000:])


@pytest.mark.parametrize("chunk", (1, 2, 8, 16))
def test_chunks_of_any_length_give_the_same_sound(chunk):
    sound = signals.noise(320, 2, level=0.5)
    goal = {0: 0.5, 1: 2.0}
    whole, cut = (mix.prepare(RATE, HOP, STEMS) for _ in range(2))
    for state, length in ((whole, HOP), (cut, chunk)):
        run(sound[:HOP], state=state, chunk=length)
    expected = run(sound, parts(sound), goal, 0.7, whole)
    got = run(sound, parts(sound), goal, 0.7, cut, chunk)
    assert np.array_equal(got[0], expected[0]) and np.array_equal(got[1], expected[1])


def test_reset_starts_gains_at_their_goals_and_forgets_the_limiter():
    sound = signals.noise(HOP, 1)
    state = mix.prepare(RATE, HOP, STEMS)
    run(sound * 100, state=state, ceiling=0.5)
    state.goal[LEVEL] = 0.25
    mix.reset(state)
    assert np.array_equal(run(sound, state=state, ceiling=0.5)[1], sound / 4)
