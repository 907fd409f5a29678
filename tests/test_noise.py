"""Noise: what it leaves of a frame equals the slow truth; it becomes a stem, and what sounds beside it stays."""

import numpy as np
import pytest
import reference
import signals
from scipy.signal import lfilter
from test_engine import EVERY_MODE, engine_for, parted, processed
from test_parts import bands

from rtsep.dsp import noise
from rtsep.offline.dictionary import magnitudes
from rtsep.settings import ROOM, STEMS

RATE = 16000
BINS, FRAMES, HOP = 129, 3, 100
FRESH = 1 - np.exp(-HOP / (0.01 * RATE))


def frames(count, level=1.0, seed=1):
    """Magnitudes (count, BINS) of noise."""
    random = np.random.default_rng(seed)
    return (level * np.abs(random.standard_normal((count, BINS, 2)) @ [1, 1j])).astype(np.float32)


def averages(magnitudes, before):
    """The slow truth: powers (frames, bins) averaged over neighbors and a moment that begins with `before` (bins,)."""
    padded = np.pad(np.asarray(magnitudes, float) ** 2, ((0, 0), (1, 1)), mode="edge")
    along = padded[:, :-2] / 4 + padded[:, 1:-1] / 2 + padded[:, 2:] / 4
    return lfilter([FRESH], [1, FRESH - 1], along, 0, zi=(1 - FRESH) * np.asarray(before, float)[None])[0]


def state_for(learned=None, rows=FRAMES):
    state = noise.prepare(RATE, HOP, BINS, rows)
    if learned is not None:
        noise.fill(state, learned)
    return state


def run(state, given):
    """What the noise leaves (frames, bins), and the magnitudes without it."""
    left, without = [], given.copy()
    for t, frame in enumerate(without):
        noise.process(state, t % FRAMES, frame)
        left.append(state.left[t % FRAMES].copy())
    return np.array(left), without


def test_what_the_noise_leaves_equals_the_slow_truth():
    learned, given = frames(200), frames(100, np.linspace(0.1, 6, BINS), seed=2)
    left, without = run(state_for(learned), given)
    powers = averages(learned, learned[0].astype(float) ** 2)
    profile = powers.mean(0) + 1.5 * powers.std(0)
    truth = np.maximum(1 - profile / averages(given, np.zeros(BINS)), 0)
    assert 0.1 < (truth == 0).mean() < 0.9
    np.testing.assert_allclose(left, truth, atol=2e-5)
    np.testing.assert_allclose(without, truth * given, atol=1e-4)


def test_masks_and_spectra_are_weighed_by_what_is_left_of_their_own_frame():
    state = state_for(frames(50))
    left, _ = run(state, frames(FRAMES, 3, seed=2))
    masks, spectra = np.full((4, BINS), 0.3, np.float32), np.full((2, BINS), 1 + 2j, np.complex64)
    noise.weigh(state, 1, masks)
    noise.take_out(state, 2, spectra)
    np.testing.assert_allclose(masks[:3], np.repeat(0.3 * left[1:2], 3, 0), rtol=1e-6)
    np.testing.assert_allclose(masks[3], 1 - left[1], atol=1e-7)
    np.testing.assert_allclose(spectra, np.repeat((1 + 2j) * left[2:], 2, 0), rtol=1e-6)


def test_where_no_noise_is_known_everything_is_left_and_where_none_is_wanted_nothing_is_touched():
    given = frames(5)
    for state in (state_for(), state_for(np.zeros((9, BINS)))):
        left, without = run(state, given)
        assert (left == 1).all() and np.array_equal(without, given)
    state, masks, spectra = state_for(frames(50), 0), np.ones((2, BINS), np.float32), np.ones((1, BINS), np.complex64)
    for frame in given.copy():
        noise.process(state, 0, frame)
        assert not np.array_equal(frame, 0 * frame)
    noise.weigh(state, 0, masks)
    noise.take_out(state, 0, spectra)
    assert (masks == 1).all() and (spectra == 1).all() and not state.power.any()


def test_noise_is_learned_anew_in_the_bank_that_is_not_in_use():
    state = state_for(frames(50))
    before, bank = state.profile.copy(), int(state.bank[0])
    noise.fill(state, frames(50, 2))
    assert state.bank[0] == 1 - bank and np.array_equal(state.profile[bank], before[bank])
    assert (state.profile[1 - bank] > 2 * before[bank]).mean() > 0.9


def test_a_reset_forgets_the_sound_but_not_the_noise():
    state, given = state_for(frames(50)), frames(9, 2, seed=3)
    first, _ = run(state, given)
    assert not np.array_equal(run(state, given)[0], first)
    noise.reset(state)
    assert (state.left == 1).all() and np.array_equal(run(state, given)[0], first)


def test_silence_leaves_no_number_that_is_slow():
    state = state_for(frames(50, 1e-3))
    run(state, np.concatenate([frames(5, 10), np.zeros((2000, BINS), np.float32)]))
    assert not state.power.any() and np.isfinite(state.left).all()


@pytest.mark.parametrize("shape", [(0, BINS), (BINS,), (5, BINS + 1)])
def test_frames_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="magnitudes"):
        noise.fill(state_for(), np.ones(shape))


# In the engine


def hiss(seconds, channels=1, seed=1):
    return signals.noise(round(seconds * RATE), channels, 0.02, seed)


def tone(seconds, channels=1):
    return np.repeat(signals.tune(round(seconds * RATE), RATE, (440,)), channels, 1)


def knowing(mode="balanced", channels=1, changes=None, **settings):
    """An engine that knows `hiss`."""
    engine = engine_for(mode, RATE, channels, changes, room=True, **settings)
    noise.fill(engine.state.noise, magnitudes(hiss(3, channels, 9), engine.sizes)[20:])
    return engine


def decibels(sound, other):
    return 20 * np.log10(np.std(sound) / np.std(other))


@EVERY_MODE
def test_learned_noise_is_gone_and_what_sounds_beside_it_stays(mode):
    engine = knowing(mode)
    assert engine.parameters[f"{ROOM}.gain_db"].value == -np.inf
    late, sound = engine.latency, np.concatenate([hiss(2), tone(2) + hiss(2, seed=2), hiss(1, seed=3)])
    heard = processed(engine, np.concatenate([sound, np.zeros((late, 1), np.float32)]))[late:]
    place = slice(RATE // 2, int(1.9 * RATE))
    assert decibels(heard[place], sound[place]) < -18
    place, true = slice(3 * RATE, int(3.9 * RATE)), tone(2)[RATE : int(1.9 * RATE)]
    assert abs(decibels(heard[place], true)) < 1 and decibels(heard[place] - true, true) < -14
    place = slice(int(4.5 * RATE), 5 * RATE)
    assert decibels(heard[place], sound[place]) < -18


@EVERY_MODE
def test_the_stem_of_the_room_equals_the_slow_truth(mode):
    engine = knowing(mode, 2)
    sound = hiss(0.7, 2) + tone(0.7, 2) * np.linspace(0, 1, round(0.7 * RATE), dtype=np.float32)[:, None]
    late, sizes = engine.latency, engine.sizes
    got = dict(zip(engine.stems, parted(engine, sound), strict=True))[ROOM][late:]
    transformed = reference.spectra(sound, sizes)
    power = np.pad((np.abs(transformed) ** 2).sum(1), ((0, 0), (1, 1)), mode="edge")
    fresh = 1 - np.exp(-sizes.hop_size / (0.01 * RATE))
    power = lfilter([fresh], [1, fresh - 1], power[:, :-2] / 4 + power[:, 1:-1] / 2 + power[:, 2:] / 4, 0)
    profile = engine.state.noise.profile[engine.state.noise.bank[0]]
    taken = np.minimum(profile / power, 1)
    truth = reference.resynthesized(transformed * taken[:, None], len(sound), sizes)[: len(got)]
    np.testing.assert_allclose(got, truth, atol=2e-6)


@EVERY_MODE
@pytest.mark.parametrize("split", [None, "percussive", "mix", "learn"])
def test_all_stems_with_the_room_add_up_to_the_delayed_input_to_the_last_bit(mode, split):
    options = (
        {} if split is None else {"learn": ("a",)} if split == "learn" else {"templates": bands(mode, splits=split)}
    )
    engine, sound = knowing(mode, 2, **options), signals.noise_24_bit(6000, 2)
    assert engine.stems[-2:] == (ROOM, "residual") and ROOM not in sum(engine.groups.values(), ())
    late = engine.latency
    stems = parted(engine, np.concatenate([sound, np.zeros((late, 2), np.float32)]))
    assert np.array_equal(stems.sum(0)[late:], sound) and stems[-2].any()
    engine.reset()
    engine.parameters[f"{ROOM}.gain_db"] = 0
    assert np.array_equal(processed(engine, sound)[late:], sound[:-late])


@EVERY_MODE
def test_an_engine_that_has_learned_no_room_gives_what_one_without_gives(mode):
    sound = signals.song(6000, RATE, 2)
    without = parted(engine_for(mode, RATE, 2), sound)
    with_room = parted(engine_for(mode, RATE, 2, room=True), sound)
    assert not with_room[STEMS.index("residual")].any()
    assert np.array_equal(np.delete(with_room, STEMS.index("residual"), 0), without)


def test_the_others_hear_what_the_room_leaves():
    """A hum of many partials is harmonic and has a pitch; once known, neither melody nor harmony is any more."""
    hum = np.tile(signals.tune(RATE, RATE, (150,)), (3, 1))
    engine = engine_for("balanced", RATE, room=True)
    assert np.std(parted(engine, hum)[1:3].sum(0)) > 0.05 and engine.meters.f0[0] > 0
    engine.reset()
    noise.fill(engine.state.noise, magnitudes(hum, engine.sizes)[20:])
    stems = dict(zip(engine.stems, parted(engine, hum), strict=True))
    assert decibels(stems[ROOM][RATE:], hum[RATE:]) > -0.1 and engine.meters.f0[0] == 0
    assert all(np.abs(stem[RATE:]).max() < 1e-3 for name, stem in stems.items() if name != ROOM)


def test_blocks_of_any_size_and_a_reset_give_the_same_sound():
    engine, sound = knowing("quality"), hiss(0.5) + tone(0.5)
    first = parted(engine, sound, 1024)
    engine.reset()
    assert np.array_equal(parted(engine, sound, 37), first)


def test_nothing_clicks_when_the_noise_is_learned():
    """A hum that vanishes glides away: no step of the output is larger than those of the hum itself."""
    hum = 10 * signals.tune(3 * RATE, RATE, (60,))
    engine = engine_for("balanced", RATE, room=True)
    heard = [processed(engine, hum[:RATE], 100)]
    noise.fill(engine.state.noise, magnitudes(hum, engine.sizes)[20:])
    heard = np.concatenate([*heard, processed(engine, hum[RATE:], 100)])
    assert decibels(heard[2 * RATE :], hum[2 * RATE :]) < -40
    assert np.abs(np.diff(heard, axis=0)[RATE // 2 :]).max() <= 1.01 * np.abs(np.diff(hum, axis=0)).max()


@EVERY_MODE
@pytest.mark.parametrize("level", [0, 1e3, 1e-7])
def test_hard_sounds_leave_finite_stems(mode, level):
    stems = parted(knowing(mode), signals.noise(8000, level=level))
    assert np.isfinite(stems).all() and stems.any() == (level != 0)
