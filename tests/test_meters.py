"""Meters: peaks of input, output and stems that fall back slowly, and the melody of the last frames."""

import numpy as np
import pytest
import signals

from rtsep.dsp import meters

RATE = 8000


def measured(blocks, state=None):
    """The state after `blocks`, each (samples, channels); stems are the block, its half and nothing."""
    state = state or meters.prepare(RATE, 3)
    for block in blocks:
        meters.process(state, block, 2 * block, np.stack([block, block / 2, 0 * block]))
    return state


def test_peaks_are_those_of_all_channels():
    block = signals.noise(100, 3)
    state = measured([block])
    peak = np.abs(block).max()
    assert state.input[0] == peak and state.output[0] == 2 * peak
    assert state.stems.tolist() == [peak, peak / 2, 0]


def test_peaks_fall_back_within_0_3_seconds_or_so():
    state = measured([signals.constant(10, 0.5)])
    levels = []
    for _ in range(100):
        levels.append(measured([signals.constant(80, 0)], state).input[0])
    assert levels[0] > 0.45 and np.all(np.diff(levels) <= 0) and levels[-1] < 0.03


def test_a_block_longer_than_the_fall_leaves_nothing_of_the_old_peak():
    state = measured([signals.constant(10, 0.5)])
    assert measured([signals.constant(RATE, 0.125)], state).input[0] == 0.125


@pytest.mark.parametrize("bad", (np.nan, np.inf, -np.inf))
def test_what_is_not_finite_counts_as_nothing(bad):
    block = signals.constant(10, 0.25)
    block[4] = bad
    state = meters.prepare(RATE, 1)
    meters.process(state, block, block, block[None])
    assert state.input[0] == state.output[0] == state.stems[0] == 0.25


def test_reset_forgets_all_levels():
    state = measured([signals.noise(100)])
    meters.note(state, np.float32(440), np.float32(440), np.float32(0.75))
    meters.reset(state)
    for now, fresh in zip(state, meters.prepare(RATE, 3), strict=True):
        assert np.array_equal(now, fresh)


def test_the_melody_of_the_last_frames_is_kept_in_a_ring():
    state = meters.prepare(RATE, 3)
    melody = np.random.default_rng(1).uniform(0, 1, (meters.HISTORY + 700, 2)).astype(np.float32)
    melody[::3, 0] *= -1  # no melody, but a likeliest pitch
    for number, (pitch, confidence) in enumerate(melody, 1):
        f0 = max(pitch, np.float32(0))
        meters.note(state, f0, abs(pitch), confidence)
        if number in (1, 5, meters.HISTORY, len(melody)):
            assert (state.f0[0], state.confidence[0], state.frames[0]) == (f0, confidence, number)
            last = np.arange(max(number - meters.HISTORY, 0), number)
            assert np.array_equal(state.melody[last % meters.HISTORY], melody[last])


def test_blocks_at_full_scale_are_counted_and_the_count_stays():
    state = meters.prepare(RATE, 2)
    quiet, full, above = (np.full((4, 1), level, np.float32) for level in (0.999, 1, -1.5))
    meters.process(state, full, quiet, np.stack([quiet, above]))
    meters.process(state, quiet, above, np.stack([quiet, full]))
    meters.process(state, quiet, quiet, np.stack([quiet, quiet]))
    assert state.over.tolist() == [1, 1, 0, 2]
    meters.reset(state)
    assert not state.over.any()
