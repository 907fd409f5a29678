"""NMF: activations against slow truths in double precision, shares, banks, and what no sound may do to them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq, minimize, nnls

from rtsep.dsp import nmf

BINS, N, PARTS = 129, 20, 4
PART = np.arange(N) * PARTS // N


def lobes(seed=1, n=N):
    """Templates (n, BINS) that overlap, each a few peaks on a noise floor, zero in a third of the bins."""
    random = np.random.default_rng(seed)
    rows = random.exponential(1, (n, BINS)) ** 2
    for row in rows:
        row[random.choice(BINS, 5, False)] += random.uniform(20, 60, 5)
        row[random.choice(BINS, BINS // 3, False)] = 0
    return rows / rows.sum(1, keepdims=True)


def hits(frames=200, seed=2, n=N):
    """Magnitudes (frames, BINS) of templates struck at random, decaying, with noise that no template explains."""
    random = np.random.default_rng(seed)
    h = np.zeros((frames, n))
    for t in range(frames):
        h[t] = 0.8 * h[t - 1] + (random.random(n) < 0.03) * random.exponential(1, n) if t else random.random(n)
    return ((h @ lobes(n=n)) * random.gamma(8, 1 / 8, (frames, BINS)) + 1e-6).astype(np.float32)


def filled(templates=None, part=PART):
    state = nmf.prepare(BINS, N, PARTS)
    nmf.fill(state, lobes() if templates is None else templates, part)
    return state


def run(state, magnitudes, *, solver=nmf.DESCENT, sweeps=2, sparsity=0, smoothness=0, exponent=2):
    """Activations (frames, N) and shares (frames, PARTS, BINS)."""
    h, shares = [], []
    for magnitude in magnitudes:
        share = np.full((PARTS, BINS), np.nan, np.float32)
        weights = np.float32([sparsity, smoothness, exponent])
        nmf.process(state, magnitude, solver, sweeps, *weights, share)
        h.append(state.activations.copy())
        shares.append(share)
    return np.array(h), np.array(shares)


def divergence(v, y):
    """Kullback and Leibler's, of each frame."""
    v, y = np.asarray(v, float), np.maximum(y, 1e-30)
    return (y - v + np.where(v > 0, v * np.log(np.maximum(v, 1e-300) / y), 0)).sum(-1)


def optimum(v, rows, updates=2000):
    """The best activations (frames, n) of `rows` (n, BINS) that sum to one."""
    v = np.asarray(v, float)
    h = np.repeat(v.sum(1, keepdims=True), len(rows), 1) / len(rows)
    for _ in range(updates):
        h *= v / np.maximum(h @ rows, 1e-30) @ rows.T
    return h


def excess(v, h, rows=None):
    """By how much the divergence of `h` is above the least possible, in percent."""
    rows = lobes() if rows is None else rows
    best = divergence(v, optimum(v, rows) @ rows).sum()
    return 100 * (divergence(v, h.astype(float) @ rows).sum() / best - 1)


@pytest.mark.parametrize("sweeps, percent", [(1, 1.8), (2, 0.26), (8, 0.08)])
def test_activations_come_near_the_least_divergence_in_a_few_sweeps(sweeps, percent):
    v = hits()
    assert -0.01 < excess(v, run(filled(), v, sweeps=sweeps)[0]) < percent


def test_a_first_frame_has_no_last_one_to_start_from_and_comes_as_near():
    v = hits()
    state, h = filled(), []
    for frame in v:
        nmf.reset(state)
        h.append(run(state, [frame])[0][0])
    assert excess(v, np.array(h)) < 1


def test_many_sweeps_end_where_no_template_that_sounds_asks_for_more_or_less():
    v, rows = hits(40), lobes()
    h = run(filled(), v, sweeps=300)[0]
    asked = v / np.maximum(h.astype(float) @ rows, 1e-30) @ rows.T
    assert_allclose(asked[h > 1e-3 * v.sum(1, keepdims=True)], 1, atol=2e-3)
    assert_allclose(h.sum(1), v.sum(1), rtol=1e-4)


def test_the_square_error_leads_to_non_negative_least_squares():
    v, state = hits(3)[-1], filled()
    h = np.zeros(N, np.float32)
    nmf._start(state, v, h, state.allowed[1])
    nmf._approach(state, 1, h, 2000, np.float32(0), np.float32(0))
    weight = np.sqrt(1 / (lobes().mean(0) + 0.01 * lobes().mean()))
    truth, _ = nnls((lobes() * weight).T, weight * v / v.sum())
    assert_allclose(h, truth, atol=2e-5)
    assert (truth == 0).any()


@pytest.mark.parametrize("sparsity, smoothness", [(0.1, 0), (0, 0.5), (0, 20), (0.1, 3)])
def test_sparsity_and_smoothness_are_terms_of_what_is_minimized(sparsity, smoothness):
    v, last = hits(4)[-1], np.random.default_rng(4).dirichlet(np.full(N, 0.3))
    state = filled()
    rows, x = lobes(), v / v.sum(dtype=float)

    def penalized(h):
        return (
            divergence(x, h @ rows)
            + sparsity * 0.03 * np.log1p(h / 0.03).sum()
            + smoothness / 2 * ((h - last) ** 2).sum()
        )

    state.used[0] = 1
    state.activations[:] = last * v.sum()
    h = run(state, [v], sparsity=sparsity, smoothness=smoothness, sweeps=3000)[0][0] / v.sum()
    found = minimize(penalized, h.astype(float), bounds=[(0, 1)] * N, method="L-BFGS-B")
    assert abs(penalized(h.astype(float)) - found.fun) < 2e-5
    assert penalized(h.astype(float)) < penalized(optimum([v], rows)[0] / v.sum()) - 5e-4


BETA = {nmf.KULLBACK_LEIBLER: 1, nmf.EUCLIDEAN: 2, nmf.ITAKURA_SAITO: 0}


def beta_divergence(v, y, beta):
    """Of each frame, as Févotte and Idier define it."""
    v, y = v.astype(float), np.maximum(y, 1e-30)
    if beta == 1:
        return divergence(v, y)
    return ((v - y) ** 2 / 2 if beta == 2 else v / y - np.log(v / y) - 1).sum(-1)


@pytest.mark.parametrize("solver", BETA)
def test_multiplicative_updates_are_those_of_the_textbook(solver):
    v, rows, beta = hits(6), lobes(), BETA[solver]
    x, h = v[0] / v[0].sum(dtype=float), np.full(N, 1 / N)
    for _ in range(7):
        y = h @ rows
        factor = (x * y ** (beta - 2)) @ rows.T / (y ** (beta - 1) @ rows.T)
        h = h * (factor**0.5 if beta == 0 else factor)
    got = run(filled(), v[:1], solver=solver, sweeps=7)[0][0] / v[0].sum()
    assert_allclose(got, h, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("solver", BETA)
def test_multiplicative_updates_go_on_from_the_last_frame_and_come_down_to_the_least_divergence(solver):
    v, rows = hits(30), lobes()

    def errors(sweeps):
        return beta_divergence(v, run(filled(), v, solver=solver, sweeps=sweeps)[0].astype(float) @ rows, BETA[solver])

    least = [
        minimize(
            lambda h, x=frame: beta_divergence(x, h @ rows, BETA[solver]),
            np.full(N, frame.sum() / N),
            bounds=[(1e-9, None)] * N,
        ).fun
        for frame in v[-3:].astype(float)
    ]
    few, many, most = errors(3), errors(20), errors(2000)
    assert most.sum() < many.sum() < few.sum()
    assert_allclose(most[-3:], least, rtol=2e-2)
    again = run(filled(), np.repeat(v[:1], 60, 0), solver=solver, sweeps=3)[0]
    best = run(filled(), v[:1], solver=solver, sweeps=180)[0][0]
    assert_allclose(beta_divergence(v[0], again[-1] @ rows, BETA[solver]),
                    beta_divergence(v[0], best @ rows, BETA[solver]), rtol=2e-2)  # fmt: skip


@pytest.mark.parametrize("solver", BETA)
def test_multiplicative_updates_keep_out_what_is_not_allowed_and_let_what_was_silent_rise(solver):
    v, state = hits(20), filled()
    state.allowed[1, ::2] = 0
    assert not run(state, v[:10], solver=solver)[0][:, ::2].any()
    state.allowed[1] = 1
    assert (run(state, v[10:], solver=solver, sweeps=20)[0][-1, ::2] > 1e-3 * v[-1].sum()).any()


@pytest.mark.parametrize("common", [0, 1e-10, 1e-5])
def test_smoothness_lets_a_template_go_slowly_that_the_frame_hardly_touches(common):
    rows = np.full((2, BINS), common)
    rows[0, :60] = rows[1, 60:] = 1
    v = np.repeat(np.eye(2, dtype=np.float32) / np.float32([60, 69]), [60, 69], 1)
    state = filled(rows, PART[:2])
    run(state, v[:1])
    assert_allclose(run(state, v[1:], smoothness=5)[0][0, 0], 1 - 1 / 5, atol=1e-3)


def test_a_template_that_falls_silent_takes_nothing_along():
    rows = np.zeros((2, BINS))
    rows[0, :60] = rows[1, 40:] = 1
    state = filled(rows, PART[:2])
    state.frame[:60] = 1 / 60
    for h in np.linspace(0.3, 0.7, 20, dtype=np.float32):  # some leave rests below zero
        state.h[:2] = h, 1 - h
        nmf._descend(state, 1, state.h[:2], 2, np.float32(0), np.float32(0))
        assert_allclose(state.h[:2], [1, 0], atol=1e-3)
        assert (state.y > 0).all()


@pytest.mark.parametrize("smoothness", [0, 0.1, 10, 1000])
@pytest.mark.parametrize("h, a, c", [(0.2, 0.5, 1.5), (0.2, 4, 10), (0, 50, 8000), (0, 1e-4, 1e-9), (0, 1e-4, 1e3)])
@pytest.mark.parametrize("last", [0, 0.2, 1])
def test_a_step_ends_where_hyperbola_and_line_meet(h, a, c, last, smoothness):
    limit = 1 + smoothness * (h - last)
    x = brentq(lambda x: a / (1 + (x - h) * c / a) - limit - smoothness * (x - h), h - a / c * (1 - 1e-12), 1e9)
    got = nmf._next(*np.float32([h, a, c, limit, smoothness]))
    assert_allclose(got, max(x, 0), rtol=1e-3, atol=1e-5)


def test_sparsity_leaves_fewer_templates_and_smoothness_smaller_steps():
    v = hits()
    plain, sparse, smooth = (run(filled(), v, **kind)[0] for kind in ({}, {"sparsity": 0.3}, {"smoothness": 3}))
    assert (sparse > 0).sum() < 0.9 * (plain > 0).sum()
    assert np.abs(np.diff(smooth, axis=0)).sum() < 0.8 * np.abs(np.diff(plain, axis=0)).sum()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 19, 20])
def test_any_number_of_templates_will_do(n):
    v = hits(40, n=n)
    h = run(filled(lobes(n=n), PART[:n]), v, sweeps=8)[0]
    assert excess(v, h[:, :n], lobes(n=n)) < 0.2 and not h[:, n:].any()


def test_a_template_that_is_not_allowed_is_silent_until_it_is():
    v, state = hits(), filled()
    state.allowed[1, ::2] = 0
    h, shares = run(state, v[:100])
    assert not h[:, ::2].any() and excess(v[:100], h[:, 1::2], lobes()[1::2]) < 1
    state.allowed[1, PART != 2] = 0
    state.allowed[1, PART == 2] = 1
    h, shares = run(state, v[100:])
    assert not h[:, PART != 2].any() and (h[:, PART == 2].sum(1) > 0).all()
    assert not shares[:, [0, 1]].any() and (shares[:, 2] + shares[:, 3] == 1).all()
    state.allowed[:] = 1
    assert excess(v[100:], run(state, v[100:])[0]) < 1


@pytest.mark.parametrize("exponent", [0.25, 1, 2, 8])
def test_shares_are_powers_of_what_the_parts_model_and_add_up_to_one(exponent):
    part = np.arange(N) % PARTS  # of no order
    v = hits(30)
    h, shares = run(filled(part=part), v, exponent=exponent)
    models = np.array([h.astype(float)[:, part == s] @ lobes()[part == s] for s in range(PARTS)]).swapaxes(0, 1)
    powers = (models / models.max(1, keepdims=True)) ** exponent
    assert_allclose(shares, powers / powers.sum(1, keepdims=True), atol=1e-4 if exponent >= 1 else 0.1)
    assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert shares.min() >= 0 and shares.max() <= 1


def test_where_the_model_is_zero_the_last_part_of_the_templates_takes_all():
    rows = lobes()
    rows[:, 40:60] = 0
    v = hits(20)
    shares = run(filled(rows, np.minimum(PART, 2)), v)[1]
    assert (shares[:, 2, 40:60] == 1).all() and not shares[:, [0, 1, 3], 40:60].any() and not shares[:, 3].any()
    assert_allclose(shares.sum(1), 1, atol=1e-6)


def test_a_part_takes_as_much_of_its_share_as_is_asked_and_the_last_part_has_the_rest():
    v, taken = hits(20), np.array([0.25, 1, 0, 1])
    whole = run(filled(), v)[1]
    state = nmf.prepare(BINS, N, PARTS)
    nmf.fill(state, lobes(), PART, taken)
    shares = run(state, v)[1]
    assert_allclose(shares[:, :3], whole[:, :3] * taken[:3, np.newaxis], atol=1e-7)
    assert_allclose(shares.sum(1), 1, atol=1e-6)
    nmf.fill(state, lobes(), PART)
    assert_array_equal(run(state, v)[1], whole)


def test_an_empty_bank_has_no_shares_and_no_activations():
    v = hits(5)
    for state in (nmf.prepare(BINS, N, PARTS), filled()):
        run(state, v)
        nmf.fill(state, np.zeros((0, BINS)), [])
        h, shares = run(state, v)
        assert not h.any() and not shares.any()


def test_new_templates_are_used_from_the_next_frame_on_as_if_nothing_had_been():
    v, state = hits(60), filled()
    run(state, v[:30])
    before = state.templates[1].copy(), state.gram[1].copy(), state.part[1].copy(), state.weight[1].copy()
    assert state.used[0] == state.bank[0] == 1
    nmf.fill(state, lobes(7)[:12], PART[:12][::-1])
    assert state.bank[0] == 0 and state.used[0] == 1
    for table, old in zip((state.templates, state.gram, state.part, state.weight), before, strict=True):
        assert_array_equal(table[1], old)
    h, shares = run(state, v[30:])
    expected = run(filled(lobes(7)[:12], PART[:12][::-1]), v[30:])
    assert_array_equal(h, expected[0])
    assert_array_equal(shares, expected[1])
    assert state.used[0] == 0 and not h[:, 12:].any()


def test_a_bank_filled_twice_keeps_nothing_of_what_it_held():
    v, state = hits(10), filled()
    state.allowed[0] = 0
    for rows, part in ((lobes(5), PART), (lobes(6)[:4], PART[:4]), (lobes(7)[:9], PART[:9])):
        nmf.fill(state, rows, part)
        got, expected = run(state, v), run(filled(rows, part), v)
        assert_array_equal(got[0], expected[0])
        assert_array_equal(got[1], expected[1])


def test_in_silence_all_is_zero_and_sound_comes_back_at_once():
    v, state = hits(60), filled()
    run(state, v[:30])
    h, shares = run(state, np.zeros((3, BINS), np.float32))
    assert not h.any() and (shares[:, -1] == 1).all() and not shares[:, :-1].any()
    assert excess(v[30:], run(state, v[30:])[0]) < 1


@pytest.mark.parametrize("power", [-50, -20, 20, 30])
def test_the_level_means_nothing_to_the_shares(power):
    v = hits(40)
    h, shares = run(filled(), v)
    scaled = run(filled(), v * np.float32(2) ** power)
    assert_array_equal(scaled[0], h * np.float32(2) ** power)
    assert_array_equal(scaled[1], shares)


def test_no_level_and_no_leap_of_it_makes_anything_but_finite_normal_numbers():
    random = np.random.default_rng(3)
    levels = 10.0 ** random.uniform(-25, 10, (300, 1))
    v = (hits(300) * levels * 10.0 ** random.uniform(-20, 0, (300, BINS))).astype(np.float32)
    own = ({}, {"sparsity": 5}, {"smoothness": 100}, {"sparsity": 1, "smoothness": 1, "exponent": 8})
    for settings in (*own, *({"solver": solver} for solver in BETA)):
        state = filled(np.where(lobes() > 1e-3, lobes(), 1e-30))
        h, shares = run(state, v, **settings)
        for numbers in (h, shares, state.templates, state.y, state.q, state.p, state.h):
            size = np.abs(numbers[numbers != 0])
            assert np.isfinite(numbers).all() and (size >= np.finfo(np.float32).tiny).all()
        most = 1.001 if settings.get("solver", nmf.KULLBACK_LEIBLER) in (nmf.DESCENT, nmf.KULLBACK_LEIBLER) else 3
        assert (h >= 0).all() and (h <= most * v.sum(1, keepdims=True)).all()
        for numbers, least in ((state.frame, 1e-12), (state.templates, 1e-12), (state.h, 1e-9)):
            assert not ((numbers > 0) & (numbers < 0.99 * least)).any()
        assert_allclose(shares.sum(1), 1, atol=1e-6)


def test_rows_are_made_to_sum_to_one_and_an_empty_one_stays_silent():
    v = hits(20)
    rows = lobes()
    rows[3] = 0
    scaled = filled(rows * np.geomspace(1e-3, 1e3, N)[:, None])
    got, expected = run(scaled, v), run(filled(rows), v)
    assert_allclose(scaled.templates[1].sum(1), np.arange(N) != 3, atol=1e-6)
    assert_allclose(got[0], expected[0], atol=1e-4 * expected[0].max())
    assert np.isfinite(got[1]).all() and not got[0][:, 3].any()


def test_reset_equals_fresh_and_no_reset_differs():
    v, state = hits(60), filled()
    run(state, v[:30])
    carried = run(state, v[30:])[0]
    nmf.reset(state)
    assert not state.activations.any()
    again, fresh = run(state, v[30:]), run(filled(), v[30:])
    assert_array_equal(again[0], fresh[0])
    assert_array_equal(again[1], fresh[1])
    assert not np.array_equal(carried, again[0])


def test_the_magnitude_is_left_as_it_was():
    v = hits(3)
    v.flags.writeable = False
    run(filled(), v)


@pytest.mark.parametrize(
    "rows, part, sentence",
    [
        (np.ones((N + 1, BINS)), np.zeros(N + 1), "room for"),
        (np.ones((2, BINS - 1)), np.zeros(2), "room for"),
        (np.ones((2, BINS + 1)), np.zeros(2), "room for"),
        (np.ones((2, BINS)), np.zeros(3), "room for"),
        (np.full((2, BINS), -1), np.zeros(2), "not negative"),
        (np.full((2, BINS), np.nan), np.zeros(2), "not negative"),
        (np.full((2, BINS), np.inf), np.zeros(2), "not negative"),
        (np.ones((2, BINS)), [0, PARTS], "parts must be"),
        (np.ones((2, BINS)), [-1, 0], "parts must be"),
    ],
)
def test_templates_that_do_not_fit_are_refused_and_the_old_ones_stay(rows, part, sentence):
    state = filled()
    with pytest.raises(ValueError, match=sentence):
        nmf.fill(state, rows, part)
    assert state.bank[0] == 1 and state.count[0] == 0
