"""factorize: updates against NumPy and scikit-learn, chosen frames against references from the papers."""

import warnings

import numpy as np
import pytest
from reference import likeness
from scipy.optimize import minimize, nnls
from sklearn.decomposition import NMF
from threadpoolctl import threadpool_limits

from rtsep import factorize
from rtsep.errors import BadInput
from rtsep.factorization import METHODS, clusters, multiplicative
from rtsep.factorization.autoencoder import UPDATES, train
from rtsep.factorization.divergences import LOSSES
from rtsep.factorization.separable import SELECTIONS, choose, projected, typical
from rtsep.offline import dictionary

EXPONENTS = {"kl": 1, "euclidean": 2, "itakura-saito": 0}


@pytest.fixture(autouse=True)
def one_thread():
    """Matrices are small here, and threads would wait for each other."""
    with threadpool_limits(1):
        yield


def divergence(v, model, loss="kl"):
    if loss == "euclidean":
        return ((v - model) ** 2).sum() / 2
    if loss == "itakura-saito":
        return (v / model - np.log(v / model) - 1).sum()
    return (v * np.log(np.maximum(v, 1e-12) / model) - v + model).sum()


def sounds(bins=50, frames=120, rank=4, seed=1):
    """V (bins, frames) that is nearly of a low rank."""
    random = np.random.default_rng(seed)
    return random.random((bins, rank)) ** 4 @ random.gamma(0.4, 1, (rank, frames)) + 0.01 * random.random(
        (bins, frames)
    )


def starts(v, rank=4, seed=2):
    random = np.random.default_rng(seed)
    return random.random((len(v), rank)), random.random((rank, v.shape[1]))


# Multiplicative updates


@pytest.mark.parametrize("loss", LOSSES)
def test_updates_are_those_of_the_papers(loss):
    v = sounds()
    w, h = starts(v)
    found = factorize(v, 4, start=(w, h), loss=loss, iterations=10)
    beta, losses = EXPONENTS[loss], [divergence(v, w @ h, loss)]
    for _ in range(10):
        y = w @ h
        h = h * ((w.T @ (v * y ** (beta - 2.0))) / (w.T @ y ** (beta - 1.0))) ** (0.5 if beta == 0 else 1)
        y = w @ h
        w = w * (((v * y ** (beta - 2.0)) @ h.T) / (y ** (beta - 1.0) @ h.T)) ** (0.5 if beta == 0 else 1)
        losses.append(divergence(v, w @ h, loss))
    assert np.allclose(found.W @ found.H, w @ h, rtol=1e-6)
    assert np.allclose(found.losses, losses, rtol=1e-6)
    assert np.allclose(found.W.sum(0), 1)


def test_blocks_of_frames_change_nothing(monkeypatch):
    v = sounds(frames=600)
    start = starts(v)
    whole = factorize(v, 4, start=start, iterations=10)
    monkeypatch.setattr("rtsep.factorization.multiplicative._BLOCK", 7)
    blocks = factorize(v, 4, start=start, iterations=10)
    assert np.allclose(whole.W, blocks.W) and np.allclose(whole.losses, blocks.losses)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", ("nmf", "nae", "nae-projected", "nmfd"))
def test_no_loss_rises_and_the_last_is_that_of_the_factors(method, loss):
    v = sounds() + 0.01
    found = factorize(v, 4, method=method, loss=loss, iterations=100)
    assert (np.diff(found.losses) <= 1e-9 * found.losses[0]).all() and len(found.losses) == 101
    assert found.losses[-1] < 0.9 * found.losses[0]
    if method != "nmfd":
        assert found.losses[-1] == pytest.approx(divergence(v, found.W @ found.H, loss), rel=1e-6)


@pytest.mark.parametrize("rank, noise", ((4, 0.01), (10, 0.1), (25, 0.1)))
def test_it_ends_where_the_better_start_of_scikit_learn_does(rank, noise):
    """On an average: each has its luck."""
    ratios = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        v = (random.random((120, 12)) ** 4 @ random.gamma(0.3, 1, (12, 500))).astype(np.float32)
        v += noise * v.mean() * random.random(v.shape, np.float32)
        best = np.inf
        for init in ("nndsvda", "random"):
            model = NMF(
                rank, solver="mu", beta_loss="kullback-leibler", init=init, random_state=seed, max_iter=200, tol=0
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it did not converge
                w = model.fit_transform(v)
            best = min(best, divergence(v.astype(float), w @ model.components_ + 1e-12))
        ratios.append(factorize(v, rank, seed=seed).losses[-1] / best)
    assert np.mean(ratios) < 1.01


def test_it_starts_from_the_best_of_some_starts(monkeypatch):
    v = sounds(rank=8)
    four = [factorize(v, 6, iterations=50, seed=seed).losses[-1] for seed in range(5)]
    monkeypatch.setattr(multiplicative, "_STARTS", 1)  # which is the first of the four
    one = [factorize(v, 6, iterations=50, seed=seed).losses[-1] for seed in range(5)]
    assert np.mean(four) < 0.99 * np.mean(one)


def test_zeros_stay_zero_in_templates_and_activations():
    v = sounds()
    w, h = starts(v)
    w[:20, 0] = 0
    h[1, 30:] = 0
    found = factorize(v, 4, start=(w, h))
    assert (found.W[:20, 0] == 0).all() and (found.H[1, 30:] == 0).all()
    assert (found.W[20:, 0] > 0).any() and np.abs(found.W - w / w.sum(0)).max() > 0.01
    onsets = factorize(v, 4, start=(None, h))
    assert (onsets.H[1, 30:] == 0).all() and (onsets.H[1, :30] > 0).any()


def test_given_templates_stay_and_others_are_found_beside_them():
    random = np.random.default_rng(1)
    w, h = random.random((40, 3)) ** 4, random.gamma(0.3, 1, (3, 200))
    found = factorize(w @ h, 1, given=w[:, :2], iterations=2000)
    assert np.array_equal(found.W[:, :2], w[:, :2])
    assert likeness(found.W[:, 2:].T, w[:, 2:].T) > 0.999
    assert np.abs(found.H[:2] - h[:2]).max() < 0.05 * h.max()
    alone = factorize(w @ h, 0, given=w, iterations=2000)
    assert alone.W.shape == (40, 3) and np.allclose(alone.H, h, atol=1e-3)


def test_it_stops_when_the_loss_falls_by_less_than_asked():
    v = sounds()
    every, some = (factorize(v, 4, stop=stop, iterations=500).losses for stop in (0, 1e-3))
    falls = -np.diff(every) / every[:-1]
    first = int(np.argmax(falls < 1e-3)) + 1
    assert len(every) == 501 and len(some) == first + 2 < 400  # and one more, which tells it
    assert np.allclose(some, every[: len(some)])


def test_float32_is_computed_in_float32_and_near_the_truth():
    v = sounds(frames=400)
    w, h = starts(v)
    exact, single = (factorize(v.astype(kind), 4, start=(w, h), iterations=50) for kind in (np.float64, np.float32))
    assert single.W.dtype == single.H.dtype == np.float32 and exact.W.dtype == np.float64
    assert np.allclose(single.W @ single.H, exact.W @ exact.H, atol=1e-3 * v.max())
    assert np.allclose(single.losses, exact.losses, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", (1e-12, 1e12))
def test_the_level_makes_no_difference(method, level):
    v = sounds(seed=3)
    one, other = (factorize(scale * v, 4, method=method, iterations=30) for scale in (1, level))
    models = [np.tensordot(each.W, each.H, (1, 0)) for each in (one, other)]
    assert np.allclose(models[0], models[1] / level, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same(method):
    first, second = (factorize(sounds(), 3, method=method, iterations=5, seed=7) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_silent_frames_and_bins_are_no_trouble(method):
    v = sounds()
    v[:, 10:20] = v[5] = 0
    found = factorize(v, 4, method=method, iterations=30)
    assert all(np.isfinite(each).all() for each in found)
    if method != "nmfd":
        assert np.abs((found.W @ found.H)[:, 10:20]).max() < 1e-6


# Frames that occur


def nearest(columns, chosen, most):
    """The sums of `chosen` with weights from 0, that add up to at most `most`, which are nearest to each column."""
    result = []
    for column in columns.T:
        weights = nnls(chosen, column)[0]
        if weights.sum() > most:  # then the nearest lies on that side of the hull
            heavy = 1e4 * np.linalg.norm(chosen)
            weights = nnls(np.vstack([chosen, np.full(chosen.shape[1], heavy)]), np.append(column, heavy * most))[0]
        result.append(chosen @ weights)
    return np.transpose(result)


def slow(columns, rank, method):
    """The columns that a method chooses, as its paper says."""
    left, chosen = columns, []
    for _ in range(rank):
        lengths = (left**2).sum(0)
        alike = np.maximum(left.T @ columns, 0) ** 2  # what is left of each, by each column
        if method in ("spa", "snpa"):
            scores = lengths
        elif method in ("greedy", "xray-greedy"):
            scores = alike.sum(0) / (columns**2).sum(0)
        else:
            ray = left[:, lengths.argmax() if method == "xray" else alike.sum(1).argmax()]
            scores = ray @ columns / columns.sum(0)
        scores[chosen] = -np.inf
        chosen.append(int(np.argmax(scores)))
        if method == "spa":
            basis = np.linalg.qr(columns[:, chosen])[0]
            left = columns - basis @ (basis.T @ columns)
        else:
            left = columns - nearest(columns, columns[:, chosen], 1 if method in ("snpa", "greedy") else np.inf)
    return chosen


def near_separable(seed, noise=0.0, bins=60, frames=300, rank=6):
    """Columns that are sums of `rank` among them, and the numbers of these."""
    random = np.random.default_rng(seed)
    pure = random.random((bins, rank)) ** 3
    pure /= pure.sum(0)
    columns = pure @ np.hstack([np.eye(rank), random.dirichlet(np.full(rank, 0.5), frames - rank).T])
    error = random.standard_normal(columns.shape)
    columns = np.maximum(columns + noise * error * np.linalg.norm(columns, axis=0) / np.linalg.norm(error, axis=0), 0)
    order = random.permutation(frames)
    return (columns / columns.sum(0))[:, order], np.argsort(order)[:rank]


@pytest.mark.parametrize("method", [method for method in SELECTIONS if method != "xray-rand"])
def test_columns_are_chosen_as_the_papers_say(method):
    nearly = [near_separable(seed, noise, frames=120)[0] for seed, noise in enumerate((0, 0.02, 0.1))]
    not_at_all = [np.random.default_rng(seed).random((12, 60)) for seed in range(6)]
    for columns, rank in ((each, count) for group, count in ((nearly, 6), (not_at_all, 10)) for each in group):
        assert choose(columns, rank, method).tolist() == slow(columns, rank, method)


@pytest.mark.parametrize("method", SELECTIONS)
def test_pure_columns_are_found(method):
    known_trap = "greedy" in method
    for noise, least in (
        (0, 0.8 if known_trap else 1),
        (0.1, 0.8 if known_trap else 0.9 if "rand" in method else 0.98),
    ):
        found = [
            len(set(choose(columns, 6, method)) & set(pure)) / 6
            for columns, pure in (near_separable(seed, noise, frames=150) for seed in range(10))
        ]
        assert np.mean(found) >= least, noise


def test_greedy_takes_the_center_of_three_vertices_first_and_snpa_does_not():
    corners = np.hstack([np.eye(3), np.full((3, 1), 1 / 3)])
    assert choose(corners, 3, "greedy")[0] == 3
    assert set(choose(corners, 3, "snpa")) == {0, 1, 2}


def test_five_vertices_in_three_dimensions_are_more_than_spa_can_tell():
    found = []
    for seed in range(10):
        random = np.random.default_rng(seed)
        angles = 2 * np.pi * (np.arange(5) + 0.1 * random.random()) / 5
        vertices = np.vstack([np.cos(angles) + 1.2, np.sin(angles) + 1.2, np.ones(5)])
        columns = vertices @ np.hstack([np.eye(5), random.dirichlet(np.full(5, 0.7), 60).T])
        columns /= columns.sum(0)
        found.append([len(set(choose(columns, 5, method)) & set(range(5))) / 5 for method in ("spa", "snpa")])
    spa, snpa = np.mean(found, 0)
    assert snpa == 1 and 0.6 <= spa <= 0.8  # after three nothing is left that it could tell from errors of rounding


@pytest.mark.parametrize("method", SELECTIONS)
def test_templates_are_columns_and_losses_are_what_fewer_of_them_leave(method):
    columns, _ = near_separable(1, 0.1, frames=80)
    found = factorize(columns, 4, method=method)
    assert all((columns == template[:, None]).all(0).any() for template in found.W.T)
    assert len(found.losses) == 5 and (np.diff(found.losses) < 0).all()
    most = SELECTIONS[method].most
    best = nearest(columns, found.W, np.inf if most is None else most)
    assert np.allclose(found.W @ found.H, best, atol=1e-5)
    assert found.losses[[0, -1]] == pytest.approx([(columns**2).sum() / 2, ((columns - best) ** 2).sum() / 2], rel=1e-4)


def test_weights_of_a_projection_are_those_of_scipy():
    random = np.random.default_rng(1)
    columns, chosen = random.random((9, 6)), random.random((9, 3))
    chosen[:, 2] = chosen[:, 1] + 0.2 * random.random(9)
    hull = chosen @ projected(columns, chosen, 1, np.zeros((0, 6)))
    assert np.allclose(
        chosen @ projected(columns, chosen, np.inf, np.zeros((0, 6))), nearest(columns, chosen, np.inf), atol=1e-4
    )
    for column, found in zip(columns.T, hull.T, strict=True):
        best = minimize(
            lambda h, column=column: ((column - chosen @ h) ** 2).sum(),
            np.full(3, 0.2),
            bounds=[(0, 1)] * 3,
            constraints={"type": "ineq", "fun": lambda h: 1 - h.sum()},
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        assert np.allclose(found, chosen @ best.x, atol=1e-4)


def test_typical_frames_are_neither_soft_nor_unlike_all_others():
    columns, _ = near_separable(1, frames=100)
    columns = np.hstack([columns, np.eye(60)[:, :1], 0.05 * columns[:, :20], np.zeros((60, 3))])
    kept = typical(columns, 6)
    assert 80 <= len(kept) < 100 and max(kept) < 100
    assert np.array_equal(typical(columns[:, :20], 6), np.arange(20))  # too few to leave any out


def test_typical_templates_are_shares_and_their_activations_are_levels():
    columns, _ = near_separable(2, frames=100)
    levels = np.random.default_rng(1).uniform(0.5, 2, 100)
    found = factorize(columns * levels, 6, method="snpa", typical=True)
    assert np.allclose(found.W.sum(0), 1) and (found.H.sum(0) <= 1.001 * levels).all()
    assert found.losses[-1] == pytest.approx(((columns * levels - found.W @ found.H) ** 2).sum() / 2)


# Autoencoders


@pytest.mark.parametrize("loss", LOSSES)
def test_updates_of_both_layers_are_those_of_nmf_through_the_frames(loss):
    """Each is the quotient of both terms of the gradient, with the mask on the activations."""
    v = sounds(bins=12, frames=20)
    w, encoder = np.random.default_rng(1).random((12, 3)), np.random.default_rng(2).random((3, 12)) / 12
    mask = (np.random.default_rng(3).random((3, 20)) > 0.3).astype(float)
    mask[0] = 1
    made = train(v, 3, w, encoder, mask, "nae", loss, 0.0, 5, np.random.default_rng(0))
    beta, root = EXPONENTS[loss], 0.5 if loss == "itakura-saito" else 1

    for _ in range(5):
        y = w @ (mask * (encoder @ v))
        more, less = (
            np.einsum("kr,kn,rn,bn->rb", w, term, mask, v) for term in (v * y ** (beta - 2.0), y ** (beta - 1.0))
        )
        encoder = encoder * (more / less) ** root
        h = mask * (encoder @ v)
        y = w @ h
        more, less = (np.einsum("kn,rn->kr", term, h) for term in (v * y ** (beta - 2.0), y ** (beta - 1.0)))
        w = w * (more / less) ** root
    assert np.allclose(made.decoder @ made.activations, w @ (mask * (encoder @ v)), rtol=1e-5)


@pytest.mark.parametrize("loss", ("kl", "euclidean"))
def test_an_autoencoder_comes_near_to_nmf(loss):
    v = sounds(rank=6)
    nmf, nae = (factorize(v, 4, method=method, loss=loss, seed=1).losses[-1] for method in ("nmf", "nae"))
    assert nae < 1.2 * nmf


@pytest.mark.parametrize("method", UPDATES)
def test_masks_and_zeros_of_both_layers_stay(method):
    v = sounds()
    w, encoder = np.random.default_rng(1).random((50, 4)), np.random.default_rng(2).random((4, 50)) / 50
    mask = np.ones((4, 120))
    mask[0, 30:], w[:10, 1], encoder[2, 20:] = 0, 0, 0
    made = train(v, 4, w, encoder, mask, method, "kl", 0.0, 50, np.random.default_rng(0))
    assert (made.activations[0, 30:] == 0).all() and (made.activations[0, :30] > 0).any()
    assert (made.decoder[:10, 1] == 0).all() and (made.encoder[2, 20:] == 0).all()
    assert np.allclose(made.activations, mask * np.maximum(made.encoder @ v, 0))
    assert made.losses[-1] < 0.8 * made.losses[0]
    assert made.losses[-1] == pytest.approx(divergence(v, made.decoder @ made.activations), rel=1e-5)
    found = factorize(v, 4, method=method, start=(w, encoder), mask=mask, iterations=50)
    assert np.array_equal(found.W, made.decoder) and np.array_equal(found.H, made.activations)


def test_gradients_are_those_of_finite_differences():
    """One step of Adam is the sign of the gradient."""
    v = sounds(bins=8, frames=12)
    w, encoder = np.random.default_rng(1).random((8, 2)) + 0.1, np.random.default_rng(2).random((2, 8))
    w /= w.sum(0)
    made = train(v, 2, w, encoder, None, "nae-adam", "kl", 0.0, 1, np.random.default_rng(0))

    def loss(flat):
        return divergence(v, flat[:16].reshape(8, 2) @ np.maximum(flat[16:].reshape(2, 8) @ v, 0))

    flat, step = np.concatenate([w.ravel(), encoder.ravel()]), 1e-6
    gradient = np.array([(loss(flat + step * one) - loss(flat - step * one)) / (2 * step) for one in np.eye(32)])
    rates = np.repeat([0.01 * w.mean(), 0.01 * encoder.mean()], 16)
    moved = flat - rates * np.sign(gradient)
    assert np.allclose(made.decoder @ made.encoder, moved[:16].reshape(8, 2) @ moved[16:].reshape(2, 8), rtol=1e-4)


# Templates that last


def convolved(w, h):
    """By the definition, number by number."""
    model = np.zeros((w.shape[0], h.shape[1]))
    for t in range(h.shape[1]):
        for late in range(min(w.shape[2], t + 1)):
            model[:, t] += w[:, :, late] @ h[:, t - late]
    return model


def test_templates_that_last_are_found():
    random = np.random.default_rng(1)
    w, h = random.random((20, 2, 5)) ** 3, np.zeros((2, 200))
    h[0, ::17], h[1, 5::23] = 1, 2
    v = convolved(w, h) + 1e-6
    found = min((factorize(v, 2, method="nmfd", length=5, seed=seed) for seed in range(3)), key=lambda f: f.losses[-1])
    assert found.W.shape == (20, 2, 5) and found.H.shape == (2, 200)
    assert found.losses[-1] == pytest.approx(divergence(v, convolved(found.W, found.H)), rel=1e-6)
    assert found.losses[-1] < 0.02 * divergence(v, np.repeat(v.mean(1, keepdims=True), 200, 1))


def test_of_one_frame_they_are_those_of_nmf():
    v = sounds()
    w, h = starts(v)
    one = factorize(v, 4, method="nmfd", length=1, start=(w[:, :, None], h), iterations=20)
    assert np.allclose(one.losses, factorize(v, 4, start=(w, h), iterations=20).losses)


def test_zeros_of_lasting_templates_stay():
    v = sounds()
    w, h = np.random.default_rng(1).random((50, 2, 3)), starts(v, 2)[1]
    w[:, 0, 2] = h[1, :40] = 0
    found = factorize(v, 2, method="nmfd", length=3, start=(w, h), iterations=20)
    assert (found.W[:, 0, 2] == 0).all() and (found.H[1, :40] == 0).all()


# What is refused


@pytest.mark.parametrize(
    "v, options, sentence",
    (
        (np.ones(5), {}, r"V has the shape \(5,\): it must be \(any, any\)\.$"),
        (np.ones((0, 5)), {}, r"V has the shape \(0, 5\)"),
        (-np.ones((4, 5)), {}, "V holds numbers below 0, or what is no number: give magnitudes"),
        (np.full((4, 5), np.nan), {}, "V holds numbers below 0, or what is no number"),
        (np.full((4, 5), np.inf), {}, "what is no number"),
        (np.zeros((4, 5)), {}, "V is silent: there is nothing to factorize"),
        (np.ones((4, 5)), {"rank": 0}, "the rank is 0: it must be at least 1, or 0 with given templates"),
        (np.ones((4, 5)), {"rank": -1, "given": np.ones((4, 1))}, "the rank is -1"),
        (np.ones((4, 5)), {"method": "nfm"}, "unknown method 'nfm': did you mean 'nmf'"),
        (np.ones((4, 5)), {"loss": "is"}, "unknown loss 'is'"),
        (
            np.ones((4, 5)),
            {"start": (np.ones((5, 2)), None)},
            r"start\[0\] has the shape \(5, 2\): it must be \(4, 2\)",
        ),
        (
            np.ones((4, 5)),
            {"start": (None, np.ones((4, 2)))},
            r"start\[1\] has the shape \(4, 2\): it must be \(2, 5\)",
        ),
        (np.ones((4, 5)), {"given": np.ones((5, 1))}, r"given has the shape \(5, 1\): it must be \(4, any\)"),
        (
            np.ones((4, 5)),
            {"given": np.ones((4, 1)), "method": "spa"},
            "given is for nmf, and the method is spa: leave",
        ),
        (np.ones((4, 5)), {"mask": np.ones((2, 5))}, "mask is for nae, nae-adam, nae-projected, and the method is nmf"),
        (
            np.ones((4, 5)),
            {"mask": np.ones((5, 2)), "method": "nae"},
            r"mask has the shape \(5, 2\): it must be \(2, 5\)",
        ),
        (np.ones((4, 5)), {"length": 2}, "length is for nmfd, and the method is nmf"),
        (
            np.ones((4, 5)),
            {"length": 6, "method": "nmfd"},
            "the length is 6 frames: it must lie between 1 and the 5 of V",
        ),
        (np.ones((4, 5)), {"typical": True}, "typical is for spa, .*, greedy, and the method is nmf"),
        (np.ones((4, 5)), {"loss": "kl", "method": "spa"}, "spa chooses frames by squared errors and starts from none"),
        (
            np.ones((4, 5)),
            {"start": (np.ones((4, 2)), None), "method": "spa"},
            "starts from none: leave loss and start",
        ),
        (np.ones((4, 5)), {"rank": 6, "method": "xray"}, "the rank is 6, and 5 frames sound: choose at most so many"),
        (np.ones((4, 5)), {"iterations": -1}, "iterations is -1 and stop is 0.0: neither may be below 0"),
    ),
)
def test_what_makes_no_sense_is_refused(v, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        factorize(v, **{"rank": 2, **options})


# Templates of parts


def mixtures(clusters=False, components=3, bins=40, seed=1):
    """Spectra (components, bins), and frames that hold each alone, at many levels, and (unless `clusters`) together."""
    random = np.random.default_rng(seed)
    wanted = random.random((components, bins)) ** 4
    wanted /= wanted.sum(1, keepdims=True)
    weights = np.repeat(np.eye(components), 20, 0)
    if not clusters:
        weights = np.concatenate([weights, random.dirichlet(np.ones(components), 60)])
    levels = random.uniform(0.3, 1, (len(weights), 1))
    return wanted, levels * (weights @ wanted) * random.uniform(0.99, 1.01, (len(weights), bins))


def learned(frames, components, method):
    return dictionary._templates(frames, components, method, np.random.default_rng(1))


@pytest.mark.parametrize("method", dictionary.METHODS)
def test_each_method_learns_the_spectra_that_occur_alone(method):
    wanted, frames = mixtures(clusters=method == "k-means" or method in UPDATES or method == "nmf")
    templates = learned(frames, 3, method)
    assert np.allclose(templates.sum(1), 1, atol=1e-5) and (templates >= 0).all()
    if "greedy" not in method:  # which what lies between may take in
        assert likeness(templates, wanted) > (0.97 if method in UPDATES else 0.999)


@pytest.mark.parametrize("method", [method for method in SELECTIONS if "greedy" not in method])
def test_learning_is_not_taken_in_by_a_click_or_a_tail(method):
    wanted, frames = mixtures()
    click, tail = np.zeros((1, 40)), np.zeros((40, 40))
    click[0, -1], tail[:, 0] = 1, 0.02
    assert likeness(learned(np.concatenate([frames, click, tail]), 3, method), wanted) > 0.99


@pytest.mark.parametrize("method", dictionary.METHODS)
def test_learning_takes_frames_that_are_all_alike_and_as_few_as_its_components(method):
    for frames in (np.ones((5, 8)), np.eye(3, 8) + 0.01):
        templates = learned(frames, 3, method)
        assert templates.shape == (3, 8) and np.allclose(templates.sum(1), 1)


@pytest.mark.parametrize("method", SELECTIONS)
def test_no_frame_is_taken_twice_where_few_are_typical(method):
    frames = np.random.default_rng(1).random((40, 60))
    assert len(np.unique(learned(frames, 38, method), axis=0)) == 38


def test_k_means_keeps_the_best_of_its_starts(monkeypatch):
    frames = np.random.default_rng(1).random((60, 8)) ** 3

    def spread(seed):
        templates = clusters.k_means(frames, 6, np.random.default_rng(seed))
        points, centers = (np.sqrt(rows / rows.sum(1, keepdims=True)) for rows in (frames, templates))
        return frames.sum(1) @ ((points[:, None] - centers) ** 2).sum(2).min(1)

    best = np.array([spread(seed) for seed in range(8)])
    monkeypatch.setattr(clusters, "_STARTS", 1)  # which is the first of the eight
    first = np.array([spread(seed) for seed in range(8)])
    assert (best < 1.001 * first).all() and best.mean() < 0.98 * first.mean()


def test_loud_frames_weigh_more_than_soft_ones():
    loud, soft = np.eye(2)
    (template,) = learned(np.array([10 * loud, soft, soft, soft]), 1, "k-means")
    assert template[0] > 3 * template[1]
