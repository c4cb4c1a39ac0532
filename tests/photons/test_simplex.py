"""Weights of mixtures: certificates, an independent optimiser, extreme components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import poisson

from napari_coldatoms.photons.simplex import maximise
from napari_coldatoms.photons.single_atom_loss import thinning, unthinning

N = np.arange(80)
POISSONS = np.array([poisson.pmf(N, m) for m in (1.0, 15.0, 29.0)])


def truncation(shots):
    """Return the gap that rounding allows."""
    return max(1e-9, 4e-15 * shots)


def objective(h, components, w, kind):
    mean = h.sum() * (w @ components)
    if kind == "least-squares":
        return -0.5 * np.sum((h - mean) ** 2)
    return float(np.sum(poisson.logpmf(h, mean)))


def by_scipy(h, components, kind, positive, start):
    """Return the best objective that SLSQP finds, from several starts."""
    total = h.sum()

    def loss(w):
        mean = w @ components * total
        if kind == "least-squares":
            return 0.5 * np.sum((h - mean) ** 2) / total
        used = h > 0
        if (mean[used] <= 0).any():
            return 1e6
        return -np.sum(h[used] * np.log(mean[used])) / total

    conditions = [{"type": "eq", "fun": lambda w: w.sum() - 1}]
    if positive:
        conditions.append({"type": "ineq", "fun": lambda w: w @ components})
    best = -np.inf
    for shake in (0.0, 0.3):
        x = (1 - shake) * start + shake * np.roll(start, 1)
        result = minimize(
            loss, x, bounds=[(0, 1)] * len(x), constraints=conditions, method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        w = np.clip(result.x, 0, None)
        w /= w.sum()
        if not positive or (w @ components).min() > -1e-12:
            best = max(best, objective(h, components, w, kind))
    return best


@pytest.mark.parametrize("kind", ["poisson", "least-squares"])
@pytest.mark.parametrize("shots", [5, 300, 20_000])
def test_as_good_as_an_independent_optimiser(kind, shots):
    rng = np.random.default_rng(shots)
    truths = rng.dirichlet([0.5] * 3, size=8)
    h = np.array([rng.multinomial(shots, w @ POISSONS) for w in truths])
    weights, value, gap = maximise(h, POISSONS, kind=kind)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-14)
    assert (weights >= 0).all()
    assert (gap <= 1e-9 if kind == "poisson" else gap <= 1e-9 + 1e-15 * shots**2).all()
    for row, w, v in zip(h, weights, value, strict=True):
        assert v == pytest.approx(objective(row, POISSONS, w, kind), rel=1e-12, abs=1e-9)
        other = by_scipy(row, POISSONS, kind, False, np.full(3, 1 / 3))
        assert -1e-8 - 1e-15 * shots**2 <= v - other < 1e-3 * max(abs(v), 1) ** 0.5


@pytest.mark.parametrize("kind", ["poisson", "least-squares"])
def test_expected_counts_stay_positive_where_components_are_negative(kind):
    rng = np.random.default_rng(3)
    bound = compared = 0
    for _ in range(20):
        # what a loss that is taken out of counted controls looks like
        controls = rng.multinomial(12, np.full(25, 0.04), size=3) / 12
        loss = 0.4
        mixing = np.array(
            [[1, loss, loss**2], [0, 1 - loss, 2 * loss * (1 - loss)], [0, 0, (1 - loss) ** 2]]
        )
        components = np.linalg.inv(mixing).T @ controls
        assert components.min() < 0
        used = controls.max(axis=0) > 0
        h = rng.multinomial(200, used / used.sum())
        h[rng.random(25) < 0.5] = 0
        start = mixing @ np.full(3, 1 / 3)
        args = {"kind": kind, "start": start}
        weights, value, gap = maximise(h[None], components, keep_positive=True, **args)
        assert gap[0] <= (2e-9 if kind == "poisson" else 1e-7)
        assert (weights[0] @ components).min() > -1e-12
        other = by_scipy(h[used], components[:, used], kind, True, start)
        compared += np.isfinite(other)
        assert value[0] - other >= -1e-7
        assert value[0] - other < 1e-3 or not np.isfinite(other)
        free, better, _ = maximise(h[None], components, **args)
        assert better[0] >= value[0] - 1e-7
        bound += (free[0] @ components).min() < -1e-6
    assert compared > 10
    assert bound >= 2  # the condition mattered


@pytest.mark.parametrize("loss", [0.03, 0.2, 0.5])
def test_certificates_where_a_loss_is_taken_out_of_few_controls(loss):
    """Narrow corners between bins that stay positive; here rounding leaves up to 1e-7."""
    rng = np.random.default_rng(11)
    for atoms in (1, 2, 4, 7):
        n = np.arange(30 + 12 * atoms)
        pure = poisson.pmf(n, 1 + 9.0 * np.arange(atoms + 1)[:, None])
        lossy = thinning(atoms, loss).T @ pure
        for _ in range(6):
            size = rng.integers(5, 300)
            counts = np.array([rng.multinomial(size, p / p.sum()) for p in lossy])
            reached = counts.max(axis=0) > 0
            components = (unthinning(atoms, loss).T @ counts / size)[:, reached]
            truths = rng.dirichlet(np.full(atoms + 1, 0.5), size=5) @ pure
            h = np.array([rng.multinomial(3000, p / p.sum()) for p in truths])[:, reached]
            start = thinning(atoms, loss) @ np.full(atoms + 1, 1 / (atoms + 1))
            weights, _, gap = maximise(h, components, start=start, keep_positive=True)
            assert gap.max() < 1e-7
            assert (weights @ components / np.abs(components).max(axis=0)).min() > -1e-12


@pytest.mark.parametrize("shots", [1, 2, 10, 1000, 10**6, 10**9])
def test_certificates_of_extreme_histograms(shots):
    rng = np.random.default_rng(1)
    twins = POISSONS[[0, 1, 1]]
    ones = np.eye(len(N), dtype=np.int64)[:70] * shots
    for components in (POISSONS, twins, POISSONS[[2] * 12], POISSONS[:1]):
        p = components.mean(axis=0)
        for h in (rng.multinomial(shots, p / p.sum(), size=30), ones):
            weights, value, gap = maximise(h, components)
            assert np.isfinite(value).all()
            assert (weights >= 0).all()
            assert gap.max() <= truncation(shots)


def test_a_gap_is_no_promise_but_true():
    """The best of many random weights stays below the value plus the gap."""
    rng = np.random.default_rng(2)
    components = rng.dirichlet(np.full(30, 0.3), size=5)
    h = rng.multinomial(500, components.mean(axis=0), size=5)
    for tolerance in (10.0, 0.1, 1e-9):
        _weights, value, gap = maximise(h, components, tolerance=tolerance)
        exact = maximise(h, components)[1]
        assert (gap <= tolerance).all()
        assert (exact <= value + gap + 1e-9).all()
    assert (gap < 1e-9).all()


def test_components_of_any_size():
    rng = np.random.default_rng(4)
    components = 10.0 ** rng.uniform(-300, 0, size=(4, 50))
    components[0, :3] = 5e-324
    components[1:, :3] = 0
    h = rng.multinomial(1000, np.full(50, 0.02), size=20)
    _weights, value, gap = maximise(h, components)
    assert np.isfinite(value).all()
    assert gap.max() < 1e-9


def test_sets_of_components_and_left_out_bins():
    rng = np.random.default_rng(5)
    sets = rng.dirichlet(np.full(20, 0.2), size=(6, 3))
    sets[sets < 0.02] = 0
    h = rng.multinomial(300, np.full(20, 0.05), size=6)
    weights, value, gap = maximise(h, sets)
    for b in range(6):
        reached = sets[b].max(axis=0) > 0
        assert not reached.all()
        w, v, g = maximise(h[b : b + 1, reached], sets[b][:, reached])
        np.testing.assert_array_equal(w[0], weights[b])
        assert (v[0], g[0]) == (value[b], gap[b])


def test_shared_and_repeated_components_are_the_same():
    rng = np.random.default_rng(6)
    h = rng.multinomial(300, POISSONS.mean(axis=0), size=4)
    for kind in ("poisson", "least-squares"):
        shared = maximise(h, POISSONS, kind=kind)
        repeated = maximise(h, np.repeat(POISSONS[None], 4, axis=0), kind=kind)
        for one, other in zip(shared, repeated, strict=True):
            np.testing.assert_array_equal(one, other)


def test_pure_components_in_closed_form():
    weights, _, gap = maximise([[1, 10**9, 0], [0, 3, 1]], np.eye(3))
    np.testing.assert_allclose(weights, [[1e-9, 1, 0], [0, 0.75, 0.25]], atol=1e-11, rtol=1e-6)
    assert gap.max() < 4e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], np.eye(2)), r"found shapes \(2,\)"),
        (([[1, 2, 3]], np.eye(2)), r"found shapes \(1, 3\)"),
        (([[1, 2]], np.ones((3, 2, 2))), "expected 1 sets of components, found 3"),
        (([[1, -2]], np.eye(2)), ">= 0"),
        (([[1, np.nan]], np.eye(2)), "finite"),
        (([[0, 0]], np.eye(2)), "one shot each"),
        (([[1, 1]], [[1, np.nan], [0, 1]]), "finite components"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        maximise(*arguments)


def test_starts_that_are_refused():
    with pytest.raises(ValueError, match="weights >= 0 of shape"):
        maximise([[1, 1]], np.eye(2), start=[1, 2, 3])
    signed = [[1.2, -0.2], [0.0, 1.0]]
    with pytest.raises(ValueError, match="above 0 to begin with, found 0"):
        maximise([[1, 1]], signed, start=[1, 0])
    with pytest.raises(ValueError, match="every bin positive, found bin 1 with -"):
        maximise([[1, 1]], signed, start=[0.9, 0.1])
    maximise([[1, 1]], signed, start=[0.5, 0.5])
