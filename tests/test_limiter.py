"""Limiter: nothing passes the ceiling, what lies below is untouched, and a ceiling that moves makes no click."""

import numpy as np
import pytest
import reference
import signals

from rtsep.dsp import limiter

RATE = 8000


def run(sound, ceiling, state=None, block=None):
    """What becomes of `sound`, in blocks of `block` samples."""
    state = state or limiter.prepare(RATE)
    output, block = sound.copy(), block or len(sound)
    for start in range(0, len(sound), block):
        limiter.process(state, np.float32(ceiling), output[start : start + block])
    return output


@pytest.mark.parametrize("channels", (1, 2, 8))
@pytest.mark.parametrize("ceiling", (0.0631, 0.5, 0.891, 1.0))
def test_nothing_passes_the_ceiling(channels, ceiling):
    sound = signals.noise(600, channels, level=1.0)
    sound[300] = 1e5
    output = run(sound, ceiling)
    assert np.abs(output).max() <= np.float32(ceiling)
    np.testing.assert_allclose(output, reference.limited(sound.astype(float), ceiling, RATE), atol=1e-4)


def test_all_channels_are_turned_down_together():
    sound = np.repeat([[2.0, 0.5]], 40, 0).astype(np.float32)
    np.testing.assert_allclose(run(sound, 1.0), np.repeat([[1.0, 0.25]], 40, 0), atol=1e-3)


def test_it_is_exactly_transparent_below_its_ceiling_and_long_after_a_peak():
    sound = signals.noise(400, 2, level=0.2).clip(-0.89, 0.89)
    assert np.array_equal(run(sound, 0.891), sound)
    peak = signals.impulse(20000, 10) * 4 + np.float32(0.1)
    output = run(peak, 0.891)
    assert output[11, 0] < 0.05 and np.array_equal(output[16000:], peak[16000:])


def test_without_a_ceiling_every_sound_passes_to_the_last_bit():
    sound = signals.noise(400, 2, level=1e5)
    assert np.array_equal(run(sound, np.inf), sound)


@pytest.mark.parametrize("before", (np.inf, 5.0, 0.8))
def test_a_ceiling_that_falls_comes_down_from_the_sound_and_gliding(before):
    sound, state = signals.constant(2000, 0.8), limiter.prepare(RATE)
    run(sound[:100], before, state)
    output = run(sound, 0.1, state)[:, 0]
    truth = np.maximum(0.8 * np.exp(-np.arange(1, 2001) / (0.01 * RATE)), 0.1)
    np.testing.assert_allclose(output, truth, atol=1e-5)


def test_a_ceiling_that_falls_in_silence_is_in_force_at_once():
    state = limiter.prepare(RATE)
    run(signals.constant(100, 0), np.inf, state)
    run(signals.constant(1, 0), 0.1, state)
    assert np.abs(run(signals.square(100), 0.1, state)).max() == np.float32(0.1)


def test_a_ceiling_that_rises_or_is_lifted_lets_the_sound_grow_gliding():
    sound, state = signals.constant(3 * RATE, 0.8), limiter.prepare(RATE)
    run(sound[:100], 0.1, state)
    output = run(sound, np.inf, state)[:, 0]
    truth = 0.8 - 0.7 * np.exp(-np.arange(1, len(sound) + 1) / (0.1 * RATE))
    np.testing.assert_allclose(output[:1000], truth[:1000], atol=1e-4)
    assert output[-1] == np.float32(0.8)


@pytest.mark.parametrize("block", (1, 7, 64))
def test_blocks_of_any_length_give_the_same_sound(block):
    sound = signals.noise(320, 2, level=0.5)
    whole, cut = limiter.prepare(RATE), limiter.prepare(RATE)
    for ceiling in (0.7, 0.2, np.inf):
        assert np.array_equal(run(sound, ceiling, cut, block), run(sound, ceiling, whole))


def test_reset_equals_fresh_and_no_reset_differs():
    sound, state = signals.noise(400, 2), limiter.prepare(RATE)
    fresh = run(sound, 0.15)
    run(sound * 100, 1.0, state)
    assert not np.array_equal(run(sound, 0.15, state), fresh)
    run(sound * 100, 1.0, state)
    limiter.reset(state)
    assert np.array_equal(run(sound, 0.15, state), fresh)
