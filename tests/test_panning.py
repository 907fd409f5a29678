"""Panning: the place of each bin against NumPy, and a melody that is looked for at one place alone."""

import numpy as np
import pytest
from signals import music, tune

from rtsep import STEMS, Engine
from rtsep.dsp import panning
from rtsep.offline.evaluate import si_sdr

RATE = 48_000
BORDER = 0.25


def spectra(channels, bins=257):
    random = np.random.default_rng(1)
    levels = 10.0 ** random.uniform(-4, 0, (channels, bins))
    return (levels * np.exp(2j * np.pi * random.random((channels, bins)))).astype(np.complex64)


def placed(given, pan, width):
    target, weight = np.full_like(given, np.nan), np.full(given.shape[1], np.nan, np.float32)
    given.flags.writeable = False
    panning.process(given, np.float32(pan), np.float32(width), target, weight)
    return target, weight


@pytest.mark.parametrize("pan, width", [(0, 0.3), (-1, 0.5), (0.4, 0.05), (1, 1.9)])
def test_a_bin_counts_within_the_width_of_its_place_and_less_and_less_beyond(pan, width):
    given = spectra(2)
    left, right = np.abs(given.astype(complex))
    beyond = np.abs((right - left) / (left + right) - pan) - width
    expected = np.clip(1 - beyond / BORDER, 0, 1)
    target, weight = placed(given, pan, width)
    np.testing.assert_allclose(weight, expected, atol=1e-5)
    np.testing.assert_allclose(target, given * expected, atol=1e-5)
    assert {0, 1} <= set(weight) or width > 1.5


@pytest.mark.parametrize("channels, width", [(1, 0.1), (2, 2), (3, 0.1), (8, 0.1)])
def test_nothing_is_left_out_at_full_width_nor_of_any_but_two_channels(channels, width):
    given = spectra(channels)
    target, weight = placed(given, -1, width)
    np.testing.assert_array_equal(target, given)
    assert (weight == 1).all()


def test_silence_has_a_weight_too():
    given = np.zeros((2, 9), np.complex64)
    given[0, :3] = 1e-18  # its power is no number of float32
    target, weight = placed(given, 0, 0.3)
    assert np.isfinite(weight).all() and np.abs(target).max() <= 1e-18


def stems(sound, **parameters):
    """The stems of `sound` by name, with the engine's latency taken off."""
    engine = Engine()
    engine.parameters.update({f"melody.{name}": value for name, value in parameters.items()})
    engine.prepare(sample_rate=RATE, channels=sound.shape[1])
    padded = np.concatenate([sound, np.zeros((engine.latency, sound.shape[1]), np.float32)])
    blocks = [engine.process_stems(padded[start : start + 4096]) for start in range(0, len(padded), 4096)]
    return {stem: np.concatenate([block[stem] for block in blocks])[engine.latency :] for stem in STEMS}


VOICES = [tune(3 * RATE, RATE, pitches, 0.5) for pitches in ((330, 370, 415), (494, 554, 466))]


@pytest.mark.parametrize("side", [0, 1])
def test_of_two_voices_the_melody_is_the_one_on_the_side_that_is_asked_for(side):
    sound = np.concatenate([voice + 0.1 * other for voice, other in (VOICES, VOICES[::-1])], axis=1)
    melody = stems(sound, pan=2 * side - 1, pan_width=0.4)["melody"].sum(1)
    wanted, other = (si_sdr(VOICES[i][:, 0], melody) for i in (side, 1 - side))
    assert wanted > 6 and other < -8


def test_full_width_is_no_panning_bit_for_bit_wherever_the_place():
    sound = music(RATE, RATE, 2) + VOICES[0][:RATE]
    for stem, expected in stems(sound).items():
        np.testing.assert_array_equal(stems(sound, pan=-1, pan_width=2)[stem], expected)


def test_the_place_means_nothing_to_a_mono_sound():
    sound = music(RATE, RATE) + VOICES[0][:RATE]
    for stem, expected in stems(sound).items():
        np.testing.assert_array_equal(stems(sound, pan=1, pan_width=0.05)[stem], expected)
