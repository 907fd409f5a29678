"""Moved templates: peaks lie where other pitches have them, and they are moved only where that finds more."""

import numpy as np
import pytest

from rtsep.offline.takeout import REACHES, moved, templates_of, tried_out

BINS = 513


def tones(pitches, partials=8, width=1.5):
    """Magnitudes (frames, BINS) of a harmonic sound whose fundamentals lie at the bins `pitches` (frames,)."""
    places = np.arange(1, partials + 1)[:, None] * np.asarray(pitches, float)
    peaks = np.exp(-(((np.arange(BINS)[:, None, None] - places) / width) ** 2)) / np.arange(1, partials + 1)[:, None]
    return peaks.sum(1).T.astype(np.float32)


def hiss(count, seed=1):
    return np.random.default_rng(seed).gamma(4, 0.02, (count, BINS)).astype(np.float32)


@pytest.mark.parametrize("reach", REACHES)
def test_templates_are_moved_by_each_semitone_to_both_sides(reach):
    rows = moved(tones([20, 27], 1), reach)
    assert rows.shape == (2 * (2 * reach + 1), BINS) and rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)
    centers = rows @ np.arange(BINS)
    semitones = np.repeat(np.arange(-reach, reach + 1), 2)
    np.testing.assert_allclose(centers, np.tile([20, 27], 2 * reach + 1) * 2 ** (semitones / 12), atol=0.06)


def test_what_would_lie_above_the_highest_frequency_is_left_out():
    rows = moved(tones([20, 500], 1), 3)
    assert len(rows) == 14 - 3 and np.isfinite(rows).all()  # 500 bins and a semitone are 530


def test_not_moved_they_are_what_they_were():
    rows = tones([20, 30]) / tones([20, 30]).sum(1, keepdims=True)
    np.testing.assert_allclose(moved(rows, 0), rows, rtol=1e-6)


def test_what_has_moved_on_by_the_second_half_is_worth_moving():
    random = np.random.default_rng(2)

    def tried(pitches):
        return tried_out(
            tones(pitches) * random.uniform(0.5, 1, (len(pitches), 1)).astype(np.float32), hiss(200), 6, 1.5, random
        ).reach

    near, far = 20 * 2 ** (3 / 12), 20 * 2 ** (6 / 12)
    assert tried(np.repeat([20, near], 60)) == 3
    assert tried(np.repeat([20, far], 60)) == 6


def test_what_stays_where_it_is_beside_its_like_is_not_moved():
    random = np.random.default_rng(3)
    part, others = np.full(120, 20), np.repeat(20 * 2 ** (np.array([-5, -2, 2, 3, 5]) / 12), 40)
    random.shuffle(others)
    assert tried_out(tones(part), tones(others), 6, 1.5, random).reach == 0


def test_too_little_to_try_it_out_is_not_moved():
    random = np.random.default_rng(4)
    assert tried_out(tones(np.linspace(20, 30, 7)), hiss(200), 6, 1.5, random) == (0, 1, None)
    assert tried_out(tones(np.linspace(20, 30, 200)), hiss(7), 6, 1.5, random) == (0, 1, None)


def test_less_is_taken_of_what_is_hard_to_tell_from_the_others_and_no_more_is_promised_than_that_takes_away():
    random = np.random.default_rng(6)
    part = tones(random.uniform(20, 22, 120)) * random.uniform(0.5, 1, (120, 1)).astype(np.float32)
    apart, alike = (
        tried_out(part, others, 6, 1.5, random) for others in (0.1 * hiss(200), tones(random.uniform(20, 22, 200)))
    )
    assert apart.taken > 0.95 and apart.away_db > 15
    assert 0.3 < alike.taken < 0.7 and alike.away_db < 8
    # Templates that know nothing of it share evenly, of which nothing is worth taking.
    assert tried_out(hiss(200), 100 * hiss(200, 7), 6, 1.5, random).taken < 0.1


def test_no_more_templates_are_learned_than_half_the_frames():
    random = np.random.default_rng(5)
    assert templates_of(hiss(9), 6, random).shape == (4, BINS) and templates_of(hiss(90), 6, random).shape == (6, BINS)
