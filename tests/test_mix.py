"""Mix: faders weigh stems that add up, gains glide, bypass is exact."""

import itertools

import numpy as np
import pytest
import signals

from rtsep.dsp import mix

RATE, HOP, STEMS = 8000, 16, 4
LEVEL, BYPASS, HEARD = STEMS, STEMS + 1, STEMS + 2


def run(sound, stems=None, goal=None, state=None, chunk=HOP):
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
        mix.process(state, phase, dry, ready, parted[:, start:end], output[start:end])
    return parted, output


def parts(sound, seed=5):
    """All stems but the last, which share `sound` in some way."""
    shares = np.random.default_rng(seed).uniform(0, 1, (STEMS - 1, *sound.shape)) / (STEMS - 1)
    return (sound * shares).astype(np.float32)


def test_faders_at_unity_give_the_input_to_the_last_bit():
    sound = signals.noise(200, 2)
    assert np.array_equal(run(sound, parts(sound))[1], sound)


def test_stems_of_24_bit_sound_add_up_to_it_to_the_last_bit():
    sound = signals.noise_24_bit(200, 2)
    parted, _ = run(sound, parts(sound))
    for order in itertools.permutations(parted):
        assert np.array_equal(sum(order), sound)


def test_faders_weigh_their_stems():
    sound = signals.noise(200, 2)
    gains = (0.5, 2.0, 0.0, 0.25)
    parted, output = run(sound, parts(sound), dict(enumerate(gains)))
    np.testing.assert_allclose(output, np.tensordot(gains, parted, 1), atol=1e-6)
    np.testing.assert_allclose(parted[:-1], parts(sound), atol=2.0**-24 + 1e-9)


def test_all_faders_closed_are_exact_silence():
    sound = signals.noise_24_bit(200, 2)
    assert not run(sound, parts(sound), dict.fromkeys(range(STEMS), 0))[1].any()
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


@pytest.mark.parametrize("bypass", [0, 1])
def test_the_mute_glides_to_exact_silence_and_back_to_the_input_to_the_last_bit_bypassed_or_not(bypass):
    sound, state = np.ones((4000, 1), np.float32), mix.prepare(RATE, HOP, STEMS)
    run(sound[:8], goal={BYPASS: bypass}, state=state, chunk=8)
    down = run(sound, goal={HEARD: 0}, state=state)[1][:, 0]
    t = np.arange(1, 400) / RATE
    np.testing.assert_allclose(down[:399], np.exp(-t / 0.01), atol=1e-4)
    assert not down[-1000:].any()
    up = run(sound, goal={HEARD: 1}, state=state)[1][:, 0]
    assert np.abs(np.diff(up)).max() < 0.02 and np.array_equal(up[-1000:], sound[-1000:, 0])


@pytest.mark.parametrize("chunk", (1, 2, 8, 16))
def test_chunks_of_any_length_give_the_same_sound(chunk):
    sound = signals.noise(320, 2, level=0.5)
    goal = {0: 0.5, 1: 2.0}
    whole, cut = (mix.prepare(RATE, HOP, STEMS) for _ in range(2))
    for state, length in ((whole, HOP), (cut, chunk)):
        run(sound[:HOP], state=state, chunk=length)
    expected = run(sound, parts(sound), goal, whole)
    got = run(sound, parts(sound), goal, cut, chunk)
    assert np.array_equal(got[0], expected[0]) and np.array_equal(got[1], expected[1])


def test_reset_starts_gains_at_their_goals():
    sound = signals.noise(HOP, 1)
    state = mix.prepare(RATE, HOP, STEMS)
    run(sound, state=state)
    state.goal[LEVEL] = 0.25
    mix.reset(state)
    assert np.array_equal(run(sound, state=state)[1], sound / 4)
