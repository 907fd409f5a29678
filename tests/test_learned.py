"""The learned masks: the kernels equal the formulas in NumPy, and hear alike at any level."""

import numpy as np
import pytest

from rtsep.dsp import learned
from rtsep.dsp.learned import AHEAD, FEATURES
from rtsep.settings import Settings

RATES = pytest.mark.parametrize("rate", (16000, 48000))
SIZES = pytest.mark.parametrize("rows", ((24, 24, 16), (8, 12, 4)))
PITCHES = np.array([[6.3, 12.6, 9.1], [20.7, 41.4, 5.2]], np.float32)  # in bins, of every other frame


def network(rows=(8, 12, 4), seed=1, features=FEATURES):
    """Weights that nobody trained."""
    random = np.random.default_rng(seed)
    first, second, third = rows

    def some(*shape):
        return (random.standard_normal(shape) * (3 / np.prod(shape[1:])) ** 0.5).astype(np.float32)

    return learned.Network(
        some(first, features),
        some(second, first, 3),
        some(third, second, 3),
        some(3, third),
        *(random.standard_normal(size).astype(np.float32) / 2 for size in (*rows, 3)),
    )


def prepared(rate=16000, weights=None, lookahead=0, mode="balanced"):
    sizes = Settings(mode=mode).sizes(rate)
    return learned.prepare(rate, sizes.window_size, sizes.hop_size, weights or network(), lookahead)


def magnitudes(frames, rate=16000, seed=2, mode="balanced"):
    """Noise whose level and color change, a gap, and one loud frame: (frames, bins)."""
    random = np.random.default_rng(seed)
    bins = Settings(mode=mode).sizes(rate).window_size // 2 + 1
    color = np.exp(random.standard_normal((frames // 10 + 1, bins)).cumsum(1) * 0.1).repeat(10, 0)[:frames]
    magnitude = np.abs(random.standard_normal((frames, bins))) * color
    magnitude[frames // 3 : frames // 3 + 5] = 0
    magnitude[frames // 2] *= 100
    return magnitude.astype(np.float32)


def slow(frames, rate):
    """The same, a sixteenth as fast: in most parts of the spectrum it rises little from one frame to the next."""
    few = np.log(magnitudes(frames // 16 + 2, rate) + 1e-2)
    at = np.arange(frames) / 16
    first, part = at.astype(int), (at % 1)[:, np.newaxis]
    return np.exp((1 - part) * few[first] + part * few[first + 1]).astype(np.float32)


def given(frames, bins, seed=3):
    """Of each frame pitches, weights (frames, 3), gate (frames,) and share (frames, bins)."""
    random = np.random.default_rng(seed)
    weight = random.dirichlet(np.ones(3), frames).astype(np.float32)
    weight[::7, 1:] = 0
    weight[::11] = 0
    share = random.uniform(0, 1, (frames, bins)).astype(np.float32)
    return np.resize(PITCHES, (frames, 3)), weight, random.uniform(0, 1, frames).astype(np.float32), share


def run(state, magnitude, *others):
    """Masks (frames, 3, bins)."""
    masks = np.full((len(magnitude), 3, magnitude.shape[1]), np.nan, np.float32)
    for t, frame in enumerate(magnitude):
        learned.process(state, frame, *(other[t] for other in others), masks[t])
    return masks


def averaged(x, seconds, step, first=0):
    """Leaky averages along time that begin with the frame `first`, and count the next ones alike."""
    result = list(x[: first + 1])
    for t, value in enumerate(x[first + 1 :], 1):
        kept = min(np.exp(-step / seconds), t / (t + 1))
        result.append(kept * result[-1] + (1 - kept) * value)
    return np.array(result)


def earlier(x, seconds, step, silent):
    """The values of `seconds` ago, `silent` before the beginning."""
    ago = max(round(seconds / step), 1)
    return np.concatenate([np.full((ago, *x.shape[1:]), silent), x])[: len(x)]


def comb(f0, weight, bins):
    """Lobes on all harmonics (bins,), of which the highest counts."""
    centers = np.arange(1, int((bins - 1) / f0) + 1)[:, np.newaxis] * f0
    distance = (np.arange(bins) - centers) / (2.4 + 0.005 * centers)
    return weight * (np.where(np.abs(distance) < 1, 1 - distance**2, 0) ** 2).max(0, initial=0)


def truth(rate, weights, magnitude, f0, weight, gate, share, lookahead=0, mode="balanced", held=True):
    """The masks (frames, 3, bins) of the frames that are due, by their formulas, the whole sound at once."""
    sizes = Settings(mode=mode).sizes(rate)
    hertz, step, bins = rate / sizes.window_size, sizes.hop_size / rate, magnitude.shape[1]
    magnitude = magnitude.astype(float)
    whole = 22050 / hertz + 1
    heard = min(round(whole), bins)
    starts = [k for k in range(heard) if k < round(4000 / hertz) or (k - round(4000 / hertz)) % 4 == 0]
    counts = np.diff([*starts, heard])
    middle = (np.array(starts) + (counts - 1) / 2) * hertz

    def within(x):
        return np.add.reduceat(x[..., :heard], starts, axis=-1) / counts

    power = (magnitude[:, :heard] ** 2).sum(1) / whole
    loudest, fall = np.zeros(len(power)), np.exp(-step / 3)
    for t, level in enumerate(np.sqrt(power)):
        loudest[t] = max(level, loudest[t - 1] * fall if t else 0)
    faint = 1e-8 * (loudest + 1) ** 2
    now = np.log(within(magnitude**2) + faint[:, np.newaxis]) / 2
    level = np.log(power + faint) / 2
    silent, follows = np.log(faint[0]) / 2, (now, level)
    now, level = (earlier(x, lookahead * step, step, silent) if lookahead else x for x in follows)
    mean = now.mean(1)

    def around(x, reach):
        near = np.abs(middle[:, np.newaxis] - middle) <= reach + 1e-6
        near |= np.abs(np.subtract.outer(np.arange(len(middle)), np.arange(len(middle)))) <= 1
        return x @ (near / near.sum(1, keepdims=True)).T

    steady = averaged(now, 0.09, step, lookahead)
    combs = np.array([[comb(f, w, bins) for f, w in zip(*pair, strict=True)] for pair in zip(f0, weight, strict=True)])
    top = np.array([comb(pitches[0], w[0] > 0, bins) for pitches, w in zip(f0, weight, strict=True)])
    features = [
        *(averaged(now, seconds, step, lookahead) - now for seconds in (0.01, 0.03, 0.09, 0.25, 1.5)),
        *(earlier(now, seconds, step, silent) - now for seconds in (0.0174, 0.0464)),
        *(around(now, reach) - now for reach in (125, 300, 750)),
        np.log2(middle / 1000 + 0.02) / 4 + 0 * now,
        (earlier(level, 0.0116, step, silent) - level)[:, np.newaxis] + 0 * now,
        (averaged(mean, 0.09, step, lookahead) - mean)[:, np.newaxis] + 0 * now,
        0.3 * (now - level[:, np.newaxis]),
        *(around(steady, reach) - steady for reach in (125, 300)),
        (averaged(level, 1.5, step, lookahead) - level)[:, np.newaxis] + 0 * now,
        *(within(part) for part in (share.astype(float), combs.max(1), top)),
        gate[:, np.newaxis] + 0 * now,
    ]
    if lookahead:
        late = range(lookahead, -1, -1)
        frames, levels = (np.stack([earlier(x, i * step, step, silent) if i else x for i in late]) for x in follows)
        soon, means = ([round(s / step) for s in some] for some in ((0.006, 0.0174, 0.0464), (0.03, 0.07)))
        features += [frames[i] - now for i in soon] + [frames[1 : i + 1].mean(0) - now for i in means]
        features.append((levels[soon[1]] - level)[:, np.newaxis] + 0 * now)
    x = np.clip(np.stack(features, 1), -8, 8)  # (frames, features, bands)
    x = np.maximum(np.einsum("oi,tib->tob", weights.first, x) + weights.first_bias[:, np.newaxis], 0)
    for kernel, bias, reach in ((weights.second, weights.second_bias, 1), (weights.third, weights.third_bias, 4)):
        wide = np.pad(x, ((0, 0), (0, 0), (reach, reach)), mode="edge")
        taps = [wide[:, :, tap * reach : tap * reach + x.shape[2]] for tap in range(3)]
        x = np.maximum(np.einsum("oij,jtib->tob", kernel, np.array(taps)) + bias[:, np.newaxis], 0)
    x = np.exp(np.einsum("oi,tib->tob", weights.last, x) + weights.last_bias[:, np.newaxis])
    masks, parts = x / x.sum(1, keepdims=True), round(512 / 48_000 / step)
    for part in range(parts if held else 0):  # takes its turn, and does not wait where the sound rises
        own = slice(part * len(middle) // parts, (part + 1) * len(middle) // parts)
        rise = np.maximum(now[1:, own] - now[:-1, own], 0).mean(1)
        for t in range(1, len(masks)):
            if t % parts != part and rise[t - 1] <= 0.08:
                masks[t, :, own] = masks[t - 1, :, own]
    masks = masks.repeat(counts, axis=2)
    return np.pad(masks, ((0, 0), (0, 0), (0, bins - heard)), mode="edge")


@RATES
@SIZES
@pytest.mark.parametrize("mode", ("live", "balanced", "quality"))
def test_the_masks_equal_the_formulas(rate, rows, mode):
    weights = network(rows)
    for magnitude in (magnitudes(150, rate), slow(150, rate)):
        others = given(*magnitude.shape)
        expected = truth(rate, weights, magnitude, *others, mode=mode)
        assert expected.min() < 0.05 and expected.max() > 0.95  # or it would say little
        np.testing.assert_allclose(run(prepared(rate, weights, mode=mode), magnitude, *others), expected, atol=2e-4)


@pytest.mark.parametrize(("mode", "least", "most"), [("live", 0.6, 0.9), ("balanced", 0.4, 0.8), ("quality", 0.2, 0.6)])
def test_masks_are_held_unless_the_sound_rises(mode, least, most):
    """Parts of them: what sounds on keeps its masks, and an attack brings all of them up to date at once."""
    magnitude = slow(160, 48000)
    magnitude[80] *= 10
    masks = run(prepared(48000, mode=mode), magnitude, *given(*magnitude.shape))
    stays = (np.diff(masks, axis=0) == 0).all(1).mean(1)
    assert least < stays[:79].mean() < most and stays[79] == 0


def test_masks_that_nobody_asked_for_meanwhile_are_not_held():
    """Frames that were only heard, while other masks served, leave nothing old behind."""
    magnitude, weights = slow(41, 48000), network()
    others, state = given(*magnitude.shape), prepared(48000, weights)
    run(state, magnitude[:20], *others)
    for frame in magnitude[20:40]:
        learned.hear(state, frame)
    found = run(state, magnitude[40:], *(other[40:] for other in others))
    now, before = (truth(48000, weights, magnitude, *others, held=held)[40:] for held in (False, True))
    np.testing.assert_allclose(found, now, atol=2e-4)
    assert np.abs(found - before).max() > 0.01


@RATES
def test_masks_with_what_follows_equal_the_formulas(rate):
    sizes = Settings(mode="balanced").sizes(rate)
    magnitude, lookahead = magnitudes(150, rate), round(0.0705 * rate / sizes.hop_size)
    others, weights = given(*magnitude.shape), network(features=FEATURES + AHEAD)
    expected = truth(rate, weights, magnitude, *others, lookahead=lookahead)
    found = run(prepared(rate, weights, lookahead), magnitude, *others)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    blind = weights._replace(first=weights.first * (np.arange(FEATURES + AHEAD) < FEATURES))
    assert np.abs(found - truth(rate, blind, magnitude, *others, lookahead=lookahead)).max() > 0.1


def test_all_begins_with_the_first_sound():
    magnitude, state = magnitudes(40), prepared()
    others = given(*magnitude.shape)
    np.testing.assert_array_equal(run(state, 0 * magnitude, *others), np.float32(1 / 3))
    np.testing.assert_array_equal(run(state, magnitude, *others), run(prepared(), magnitude, *others))


def test_the_masks_add_up_to_one():
    magnitude = magnitudes(50)
    np.testing.assert_allclose(run(prepared(), magnitude, *given(*magnitude.shape)).sum(1), 1, atol=1e-6)


def test_a_sound_is_heard_alike_at_any_level():
    magnitude = 1e3 * magnitudes(100)
    others = given(*magnitude.shape)
    loud, soft = (run(prepared(), gain * magnitude, *others) for gain in (np.float32(1), np.float32(0.05)))
    assert np.abs(loud - soft).mean() < 1e-3


def test_what_was_never_trained_above_22_khz_changes_nothing_below_and_is_masked_as_the_last_band_is():
    magnitude, rate = magnitudes(60, 96000), 96000
    others, first = given(*magnitude.shape), round(22050 * Settings().sizes(rate).window_size / rate) + 1
    beyond = magnitude.copy()
    beyond[:, first:] *= 1000
    masks = run(prepared(rate), magnitude, *others)
    np.testing.assert_array_equal(run(prepared(rate), beyond, *others), masks)
    above = masks[..., first:]
    np.testing.assert_array_equal(above, np.broadcast_to(masks[..., first - 1 : first], above.shape))


def test_after_a_reset_all_sounds_as_at_first():
    magnitude = magnitudes(60)
    others, state = given(*magnitude.shape), prepared()
    first = run(state, magnitude, *others)
    on = run(state, magnitude, *others)
    learned.reset(state)
    np.testing.assert_array_equal(run(state, magnitude, *others), first)
    assert np.abs(on - first).max() > 0.1


def test_masks_of_silence_and_of_what_follows_are_numbers():
    magnitude = np.zeros((40, magnitudes(1).shape[1]), np.float32)
    magnitude[20] = 1e6
    masks = run(prepared(), magnitude, *given(*magnitude.shape))
    assert np.isfinite(masks).all() and (masks >= 0).all()


def test_nothing_that_is_given_is_written():
    magnitude = magnitudes(5)
    everything = [magnitude, *given(*magnitude.shape), *network()]
    before = [array.copy() for array in everything]
    run(prepared(weights=learned.Network(*everything[5:])), *everything[:5])
    for array, copy in zip(everything, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_frames_that_were_only_heard_are_remembered():
    magnitude = magnitudes(60)
    others = given(*magnitude.shape)
    state, expected = prepared(), run(prepared(), magnitude, *others)
    for frame in magnitude[:40]:
        learned.hear(state, frame)
    found = run(state, magnitude[40:], *(other[40:] for other in others))
    assert np.array_equal(found[1:], expected[41:])  # the first of them is held of nothing
