"""Masks: soft ones add up to one, hard ones are 0 or 1, a factor leaves a residual, the melody comes first."""

import numpy as np
import pytest
import reference

from rtsep.dsp import masks

BOTH = [masks.PERCUSSIVE, masks.HARMONY]


def masked(harmonic, percussive, separation=1.0, exponent=2.0, binary=0.0, bias=1.0):
    """Masks (2, bins: percussive, harmony) where there is no melody."""
    made = with_melody(np.zeros(len(harmonic)), harmonic, percussive, separation, exponent, binary, bias)
    assert not made[masks.MELODY].any()
    return made[BOTH]


def with_melody(melody, harmonic, percussive, separation=1.0, exponent=2.0, binary=0.0, bias=1.0):
    """Masks (3, bins: percussive, melody, harmony)."""
    made = np.full((3, len(harmonic)), np.nan, np.float32)
    arguments = np.float32(bias), np.float32(separation), np.float32(exponent), np.float32(binary)
    with np.errstate(over="ignore"):  # a share whose reciprocal overflows is zero
        shares = (share.astype(np.float32) for share in (harmonic, percussive, melody))
        masks.process(*shares, *arguments, made)
    return made


def medians(seed=1, bins=200):
    return 10 ** np.random.default_rng(seed).uniform(-4, 1, (2, bins))


@pytest.mark.parametrize("exponent", (0.25, 0.5, 0.75, 1, 1.25, 2, 3.5, 4, 8))
@pytest.mark.parametrize("separation", (1.0, 1.5, 3, 10))
def test_soft_masks_equal_their_formula_for_every_exponent_and_separation(exponent, separation):
    harmonic, percussive = medians()
    made = masked(harmonic, percussive, separation, exponent)
    truth = np.stack(reference.masks(harmonic, percussive, 1, separation, exponent))
    np.testing.assert_allclose(made, truth, atol=2e-5)


@pytest.mark.parametrize("bias", (0.25, 1.5, 8))
@pytest.mark.parametrize("binary", (0, 1))
def test_a_bias_weighs_the_harmonic_median(bias, binary):
    harmonic, percussive = medians()
    made = masked(harmonic, percussive, 2, 1.5, binary, bias)
    np.testing.assert_allclose(made, masked(bias * harmonic, percussive, 2, 1.5, binary), atol=1e-5)
    np.testing.assert_allclose(made, reference.masks(harmonic, percussive, bias, 2, 1.5, binary), atol=2e-5)


@pytest.mark.parametrize("exponent", (0.25, 1, 2, 8))
def test_soft_masks_without_separation_add_up_to_one(exponent):
    made = masked(*medians(), exponent=exponent)
    np.testing.assert_allclose(made.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("separation", (1.0, 2.0, 10.0))
def test_binary_masks_are_zero_or_one_and_follow_driedger(separation):
    harmonic, percussive = medians()
    made = masked(harmonic, percussive, separation, binary=1)
    assert set(np.unique(made)) == {0, 1}
    assert np.array_equal(made[0], percussive / harmonic >= separation)
    assert np.array_equal(made[1], harmonic / percussive > separation)
    assert made.sum(0).max() == 1


@pytest.mark.parametrize("binary", (0, 1))
def test_a_separation_factor_above_one_leaves_a_residual_where_neither_kind_wins(binary):
    harmonic, percussive = np.array([1.0, 1.0, 0.01]), np.array([0.01, 0.9, 1.0])
    whole = masked(harmonic, percussive, 1, 2, binary).sum(0)
    parted = masked(harmonic, percussive, 3, 2, binary).sum(0)
    np.testing.assert_allclose(whole, 1, atol=1e-6)
    assert parted[1] < 0.25 and np.all(parted[[0, 2]] > 0.99)


def test_a_tie_is_percussive_and_silence_gives_masks_that_add_up_to_one():
    for level in (0.0, 1.0):
        same = np.full(3, level)
        assert masked(same, same, binary=1).tolist() == [[1, 1, 1], [0, 0, 0]]
        np.testing.assert_allclose(masked(same, same), 0.5)


@pytest.mark.parametrize("binary", (0, 1))
@pytest.mark.parametrize("separation, exponent", ((1, 0.25), (1, 8), (10, 0.25), (10, 8)))
def test_masks_stay_finite_and_within_0_and_1_for_extreme_magnitudes(separation, exponent, binary):
    extremes = np.array([0, 1e-18, 1e-6, 1, 1e6, 1e9])
    harmonic, percussive, melody = (axis.ravel() for axis in np.meshgrid(extremes, extremes, [0, 1e-7, 0.5, 1]))
    made = with_melody(melody, harmonic, percussive, separation, exponent, binary)
    assert np.all(np.isfinite(made)) and made.min() >= 0 and made.max() <= 1
    assert made.sum(0).max() <= 1 + 1e-6


@pytest.mark.parametrize("binary", (0, 1))
@pytest.mark.parametrize("separation", (1, 2))
def test_the_melody_has_its_share_and_both_others_have_theirs_of_the_rest(separation, binary):
    harmonic, percussive = medians()
    melody = np.random.default_rng(2).uniform(0, 1, len(harmonic))
    melody[:20], melody[20:40] = 0, 1
    made = with_melody(melody, harmonic, percussive, separation, 1.5, binary, 2)
    truth = reference.masks(harmonic, percussive, 2, separation, 1.5, binary)
    np.testing.assert_allclose(made[BOTH], (1 - melody) * truth, atol=2e-5)
    assert np.array_equal(made[masks.MELODY], melody.astype(np.float32))
    if separation == 1:
        np.testing.assert_allclose(made.sum(0), 1, atol=1e-6)
