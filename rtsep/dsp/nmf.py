"""Activations of fixed templates: how much of each is in a magnitude, and which share of every bin its part has.

V ~ h W, where the rows of W are templates. Sound goes on, so each frame starts from the activations h of the last
one. A few sweeps of coordinate descent on a weighted square error, which needs but the templates' products with each
other, carry h through onsets; one or two sweeps on the Kullback-Leibler divergence, over the templates that the frame
asks for, do the rest: some 1 % above the optimum, where ten multiplicative updates from the last h stop at 2 to 12 %.
Those, the classic ones, can be chosen in place of it, for any of three divergences.

Smaragdis, Raj and Shashanka, "Supervised and semi-supervised separation of sounds from single-channel mixtures", ICA
2007 (fixed templates); Cichocki and Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
factorizations", IEICE Transactions E92-A(3), 2009 (the square error); Hsieh and Dhillon, "Fast coordinate descent
methods with variable selection for non-negative matrix factorization", KDD 2011 (the divergence). Their Newton step
takes the slope of the divergence for a line; here it is a hyperbola, as it is where a template has one bin, which
lands nearer to the minimum from either side.

Lee and Seung, "Algorithms for non-negative matrix factorization", NIPS 2000 (multiplicative updates); Févotte and
Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural Computation 23(9), 2011.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..kernels import aligned, float32, int64, kernel, publish
from .masks import power

DESCENT, KULLBACK_LEIBLER, EUCLIDEAN, ITAKURA_SAITO = range(4)
"""Solvers: coordinate descent, or multiplicative updates for the divergence of that name."""

_LANES = 16  # float32 in a cache line
_APPROACH = 8  # sweeps on the square error
_FIRST = 30  # of them where there is no last frame
_WEAK = np.float32(0.03)  # activations that sparsity is meant for, as part of a frame
_SEED = np.float32(0.01)  # of an equal share, from which a silent template can rise again by multiplication

# A frame sums to one here. Less than this nobody hears, and no product of it turns denormal (slow).
_FLOOR = np.float32(1e-9)
_FAINT = np.float32(1e-12)
_SILENCE = np.float32(1e-18)
_RATIO = np.float32(2**-15)


class State(NamedTuple):
    # written by the control thread
    templates: float32[:, :, ::1]  # (2 banks, components, bins and up to 15 zeros) rows sum to 1
    weight: float32[:, ::1]  # (2, width) of square errors: one over the mean template
    gram: float32[:, :, ::1]  # (2, components, components) products of templates, weighted so
    part: int64[:, ::1]  # (2, components) that a template belongs to
    count: int64[::1]  # (2,) templates in a bank
    taken: float32[:, ::1]  # (2, parts) how much of its share a part takes; the last part has what the others leave
    allowed: float32[:, ::1]  # (2, components) 0 where a template must be silent, else 1
    bank: int64[::1]  # (1,) to be used from the next frame on
    # tables: read only
    bins: int64[::1]  # (1,)
    # memory: cleared by reset
    activations: float32[::1]  # (components,) of the last frame, in the unit of the magnitude
    used: int64[::1]  # (1,) bank of the last frame; -1: there was none
    # scratch: meaningless between calls
    frame: float32[::1]  # (width,) the magnitude, summing to one
    h: float32[::1]  # (components,) its activations
    last: float32[::1]  # (components,) those of the last frame, in the same unit
    slope: float32[::1]  # (components,) of the error
    norm: float32[::1]  # (components,) what multiplicative updates divide by
    y: float32[::1]  # (width,) the model
    q: float32[::1]  # (width,) frame / y
    p: float32[::1]  # (width,) frame / y^2
    models: float32[:, ::1]  # (parts, width) what each part has in the model


def prepare(bins: int, components: int, parts: int) -> State:
    """A state for magnitudes (bins,), with room for `components` in `parts`; both banks are empty."""
    width = -(-bins // _LANES) * _LANES  # so that every row starts with a cache line
    return State(
        templates=aligned(2, components, width),
        weight=aligned(2, width),
        gram=np.zeros((2, components, components), np.float32),
        part=np.zeros((2, components), np.int64),
        count=np.zeros(2, np.int64),
        taken=np.ones((2, parts), np.float32),
        allowed=np.ones((2, components), np.float32),
        bank=np.zeros(1, np.int64),
        bins=np.array([bins]),
        activations=np.zeros(components, np.float32),
        used=np.full(1, -1),
        frame=aligned(width),
        h=np.zeros(components, np.float32),
        last=np.zeros(components, np.float32),
        slope=np.zeros(components, np.float32),
        norm=np.zeros(components, np.float32),
        y=aligned(width),
        q=aligned(width),
        p=aligned(width),
        models=aligned(parts, width),
    )


def fill(state: State, templates: ArrayLike, part_of: ArrayLike, taken: ArrayLike = 1) -> None:
    """Put `templates` (n, bins) of the parts `part_of` (n,) into the idle bank, and have the next frame use it.

    Their rows are made to sum to one, and all are allowed. No rows at all: nothing is modelled. Before the audio
    thread has taken the last ones (`used` equals `bank`), or a frame's time has passed, they may not be replaced.
    `taken` (parts,), 0 to 1, is how much of its share each part takes; the last part has what the others leave.

    Raises
    ------
    ValueError : for other shapes, more templates or parts than there is room for, negative numbers or none.
    """
    given, parts = np.asarray(templates, float), np.asarray(part_of, int)
    n, room, bins = len(given), len(state.activations), int(state.bins[0])
    if n > room or given.shape != (n, bins) or parts.shape != (n,):
        raise ValueError(f"templates {given.shape} of parts {parts.shape}: there is room for ({room}, {bins}).")
    if not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError("templates must be finite and not negative.")
    if n and not 0 <= parts.min() <= parts.max() < len(state.models):
        raise ValueError(f"parts must be 0 to {len(state.models) - 1}: {parts}")
    rows = given / np.maximum(given.sum(1, keepdims=True), 1e-300)
    rows = np.where(rows > _FAINT, rows, 0)
    weight = 1 / (rows.mean(0) + 0.01 * rows.mean() + 1e-300) if n else np.zeros(bins)
    gram = rows * weight @ rows.T
    idle = 1 - int(state.bank[0])
    state.templates[idle, :n, :bins] = rows
    state.weight[idle, :bins] = weight
    state.gram[idle, :n, :n] = gram
    state.part[idle, :n] = parts
    state.count[idle] = n
    state.taken[idle] = taken
    state.allowed[idle] = 1
    _flip(state.bank, idle)


@kernel
def _flip(bank, idle):
    publish(bank, 0, idle)


@kernel
def empty(state):
    """Whether there are no templates."""
    return state.count[state.bank[0]] == 0


@kernel
def reset(state):
    """Forget the sound; templates stay."""
    state.activations[:] = 0
    state.used[0] = -1


@kernel
def process(state, magnitude, solver, sweeps, sparsity, smoothness, exponent, shares):
    """Find the activations of `magnitude` (bins,); write `shares` (parts, bins), which add up to one in every bin.

    `solver` is one of four above and `sweeps` the number of its updates. Of the descent alone, 0 or more:
    `sparsity` makes activations below a few percent of the frame earn their place, `smoothness` keeps them near the
    last ones. `exponent`, of the soft shares, is a multiple of 0.25 up to 8. Where the model is zero the last part of
    the templates takes all. Of an empty bank all shares are zero.
    """
    bank = state.bank[0]
    solve(state, bank, magnitude, solver, sweeps, sparsity, smoothness)
    if state.count[bank] > 0:
        share(state, bank, exponent, shares)
    else:
        shares[:] = 0


@kernel
def solve(state, bank, magnitude, solver, sweeps, sparsity, smoothness):
    """Find the activations of the templates in `bank`: in `h` as parts of the frame, in `activations` as they are."""
    h, fresh = state.h[: state.count[bank]], state.used[0] != bank
    state.used[0] = bank
    if fresh:
        state.activations[:] = 0
    total = _start(state, magnitude, h, state.allowed[bank])
    if total > _SILENCE:
        if solver == DESCENT:
            _approach(state, bank, h, _FIRST if fresh else _APPROACH, sparsity, smoothness)
            _descend(state, bank, h, sweeps, sparsity, smoothness)
        else:
            least = (np.float32(1) if fresh else _SEED) / np.float32(max(h.shape[0], 1))
            for r in range(h.shape[0]):
                h[r] = max(h[r], least) if state.allowed[bank, r] != 0 else np.float32(0)
            _multiply(state, bank, h, solver, sweeps)
    for r in range(h.shape[0]):
        state.activations[r] = h[r] * total


@kernel
def _start(state, magnitude, h, allowed):
    """Scale `magnitude` and the last activations so that the frame sums to one. Returns the sum that it had."""
    total = magnitude.sum()
    scale = np.float32(1) / total if total > _SILENCE else np.float32(0)
    frame = state.frame
    for k in range(magnitude.shape[0]):
        x = magnitude[k] * scale
        frame[k] = x if x > _FAINT else np.float32(0)
    for r in range(h.shape[0]):
        state.last[r] = min(state.activations[r] * scale, np.float32(1))
        h[r] = state.last[r] if allowed[r] != 0 else np.float32(0)
    return total


@kernel
def _approach(state, bank, h, sweeps, sparsity, smoothness):
    """Coordinate descent from `h` (n,) on the weighted square error."""
    gram, last, slope, allowed = state.gram[bank], state.last, state.slope[: h.shape[0]], state.allowed[bank]
    weight, q = state.weight[bank], state.q
    for k in range(q.shape[0]):
        q[k] = state.frame[k] * weight[k]
    correlate(state.templates[bank, : h.shape[0]], q, slope)
    for r in range(slope.shape[0]):
        slope[r] = -slope[r]
    for r in range(h.shape[0]):
        if h[r] > 0:
            _add(h[r], gram[r], slope)
    for _ in range(sweeps):
        for r in range(h.shape[0]):
            if allowed[r] == 0:
                continue
            bias = sparsity * _WEAK / (h[r] + _WEAK) + smoothness * (h[r] - last[r])
            new = h[r] - (slope[r] + bias) / (gram[r, r] + smoothness)
            new = new if new > _FLOOR else np.float32(0)
            step = new - h[r]
            if step != 0:
                h[r] = new
                _add(step, gram[r], slope)


@kernel
def _descend(state, bank, h, sweeps, sparsity, smoothness):
    """Coordinate descent from `h` (n,) on the divergence, over the templates that sound or are asked for."""
    templates, allowed = state.templates[bank, : h.shape[0]], state.allowed[bank]
    frame, last, slope, y, q, p = state.frame, state.last, state.slope[: h.shape[0]], state.y, state.q, state.p
    total = h.sum()
    if total > 0:  # where the divergence is least, the model sums to what the frame does
        for r in range(h.shape[0]):
            h[r] /= total
    model(templates, h, y)
    _divide(frame, y, q, p)
    correlate(templates, q, slope)
    for _ in range(sweeps):
        for r in range(h.shape[0]):
            limit = np.float32(1) + sparsity * _WEAK / (h[r] + _WEAK) + smoothness * (h[r] - last[r])
            if allowed[r] == 0 or (h[r] == 0 and slope[r] <= limit):
                continue
            row, a, c = templates[r], np.float32(0), np.float32(0)
            for k in range(row.shape[0]):
                x = row[k] * q[k]
                a += x
                c += row[k] * row[k] * p[k]
            slope[r] = np.inf  # visited once is visited in all sweeps: a step may have gone too far
            step = _next(h[r], a, c, limit, smoothness) - h[r]
            if step != 0:
                h[r] += step
                for k in range(y.shape[0]):
                    y[k] = max(y[k] + step * row[k], _FLOOR)
                _divide(frame, y, q, p)


@kernel
def _next(h, a, c, limit, smoothness):
    """Where a / (1 + (x - h) c / a) = `limit` + `smoothness` (x - h): the next x of an activation that is `h`.

    `a` is by how much the divergence would fall with it but for the limit, `c` by how much `a` falls.
    """
    pole = a / c if c > 0 else np.float32(1e12)
    b = limit + smoothness * pole
    root = math.sqrt((limit - smoothness * pole) ** 2 + np.float32(4) * smoothness * a * pole)
    # One of the two forms loses all its digits, depending on the sign.
    step = np.float32(2) * (a - limit) * pole / (root + b) if b > 0 else (root - b) / (np.float32(2) * smoothness)
    x = h + step
    return x if x > _FLOOR else np.float32(0)


@kernel
def _multiply(state, bank, h, solver, updates):
    """Multiplicative updates of `h` (n,) for the divergence that `solver` names; what is zero stays so."""
    templates, frame, y, q, p = state.templates[bank, : h.shape[0]], state.frame, state.y, state.q, state.p
    slope, norm = state.slope[: h.shape[0]], state.norm[: h.shape[0]]
    norm[:] = 1  # what the rows sum to
    for _ in range(updates):
        model(templates, h, y)
        for k in range(y.shape[0]):
            i = np.float32(1) / y[k]
            q[k] = frame[k] if solver == EUCLIDEAN else frame[k] * i
            q[k] = q[k] * i if solver == ITAKURA_SAITO else q[k]
            p[k] = y[k] if solver == EUCLIDEAN else i
        correlate(templates, q, slope)
        if solver != KULLBACK_LEIBLER:
            correlate(templates, p, norm)
        for r in range(h.shape[0]):
            factor = slope[r] / max(norm[r], _SILENCE)
            new = h[r] * (math.sqrt(factor) if solver == ITAKURA_SAITO else factor)
            h[r] = new if new > _FLOOR else np.float32(0)


@kernel
def _divide(v, y, q, p):
    """Write q = v / y and p = v / y^2."""
    for k in range(y.shape[0]):
        i = np.float32(1) / y[k]
        q[k] = v[k] * i
        p[k] = q[k] * i


@kernel
def _add(factor, row, target):
    """Add `factor` times `row` to `target`, which may be shorter."""
    for j in range(target.shape[0]):
        target[j] += factor * row[j]


@kernel
def share(state, bank, exponent, shares):
    """Write `shares` (parts, bins): the models of the parts to the power of the exponent, over their sum.

    Each part takes as much of its share as `taken` says, and the last has the rest.
    """
    h, models, most, total, part = state.h[: state.count[bank]], state.models, state.y, state.q, state.part[bank]
    quarters, last = int(4 * exponent + np.float32(0.5)), 0
    models[:] = 0
    for r in range(h.shape[0]):
        last = max(last, part[r])
        if h[r] > 0:
            _add(h[r], state.templates[bank, r], models[part[r]])
    most[:] = 0
    for s in range(last + 1):
        row = models[s]
        for k in range(most.shape[0]):
            most[k] = max(most[k], row[k])
    row = models[last]
    for k in range(most.shape[0]):
        row[k] = row[k] if most[k] > 0 else np.float32(1)
        most[k] = np.float32(1) / max(most[k], row[k])
    total[:] = 0
    for s in range(last + 1):
        row = models[s]
        for k in range(total.shape[0]):
            ratio = row[k] * most[k]
            ratio = ratio if ratio > _RATIO else np.float32(0)  # no power of the others turns denormal
            row[k] = ratio * ratio if quarters == 8 else power(ratio, quarters)
            total[k] += row[k]
    for k in range(total.shape[0]):
        total[k] = np.float32(1) / total[k]
    for s in range(shares.shape[0]):
        row, share = models[s], shares[s]
        for k in range(share.shape[0]):
            share[k] = row[k] * total[k]
    rest = shares[shares.shape[0] - 1]
    for s in range(shares.shape[0] - 1):
        taken, share = state.taken[bank, s], shares[s]
        if taken < 1:
            for k in range(share.shape[0]):
                rest[k] += (np.float32(1) - taken) * share[k]
                share[k] *= taken


@kernel
def model(templates, h, y):
    """Write `y` (bins,): `h` (n,) times `templates` (n, bins), and a little. Four rows at once beat BLAS."""
    y[:] = _FLOOR
    n, whole = h.shape[0], h.shape[0] // 4 * 4
    for r in range(0, whole, 4):
        a, b, c, d = templates[r], templates[r + 1], templates[r + 2], templates[r + 3]
        ha, hb, hc, hd = h[r], h[r + 1], h[r + 2], h[r + 3]
        if ha + hb + hc + hd > 0:
            for k in range(y.shape[0]):
                y[k] += ha * a[k] + hb * b[k] + hc * c[k] + hd * d[k]
    for r in range(whole, n):
        _add(h[r], templates[r], y)


@kernel
def correlate(templates, q, g):
    """Write `g` (n,): `templates` (n, bins) times `q` (bins,)."""
    n, whole = g.shape[0], g.shape[0] // 4 * 4
    for r in range(0, whole, 4):
        a, b, c, d = templates[r], templates[r + 1], templates[r + 2], templates[r + 3]
        ga, gb, gc, gd = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for k in range(q.shape[0]):
            x = q[k]
            ga += a[k] * x
            gb += b[k] * x
            gc += c[k] * x
            gd += d[k] * x
        g[r], g[r + 1], g[r + 2], g[r + 3] = ga, gb, gc, gd
    for r in range(whole, n):
        row, x = templates[r], np.float32(0)
        for k in range(q.shape[0]):
            x += row[k] * q[k]
        g[r] = x
