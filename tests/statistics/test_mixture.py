"""Mixtures of two normal components: the fit against scikit-learn's, the numbers against mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from napari_coldatoms.statistics import Mixture, fit_mixture

EQUAL = Mixture([0.4, 0.6], [-1.0, 2.0], [0.8, 0.8])
WIDER = Mixture([0.7, 0.3], [0.0, 3.0], [0.5, 1.5])
NARROWER = Mixture([0.2, 0.8], [1.0, 5.0], [1.2, 0.4])
MIXTURES = [EQUAL, WIDER, NARROWER]


def draw(seed, n, weight, distance, sd):
    """Return n values around 0 (sd 1) and, a part `weight` of them, around `distance` (sd)."""
    rng = np.random.default_rng(seed)
    upper = rng.random(n) < weight
    return np.where(upper, rng.normal(distance, sd, n), rng.normal(0, 1, n)), upper


def log_likelihood(mixture, values):
    return np.log(mixture.density(values)).sum()


def reference(values):
    column = np.asarray(values)[:, None]
    fit = GaussianMixture(2, n_init=3, tol=1e-8, max_iter=20_000, random_state=0).fit(column)
    order = np.argsort(fit.means_.ravel())
    sds = np.sqrt(fit.covariances_.ravel()[order])
    return Mixture(fit.weights_[order], fit.means_.ravel()[order], sds)


def assert_alike(found, expected, part):
    """Means and sds agree to a part of the smaller sd, weights to that part."""
    tolerance = part * expected.sds.min()
    np.testing.assert_allclose(found.means, expected.means, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.sds, expected.sds, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=0, atol=part)


@pytest.mark.parametrize(
    ("n", "weight", "distance", "sd"),
    [
        (10_000, 0.5, 5, 1.2),
        (10_000, 0.5, 2.4, 1.2),
        (10_000, 0.05, 4, 1.2),
        (10_000, 0.95, 4, 1.2),
        (10_000, 0.05, 100, 5),
        (10_000, 0.01, 8, 1.0),
        (10_000, 0.98, 30, 8),
        (1_000, 0.5, 3, 1.0),
        (300, 0.5, 4, 0.7),
    ],
)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_same_maximum_as_scikit_learn(n, weight, distance, sd, seed):
    values, _ = draw(seed, n, weight, distance, sd)
    expected = reference(values)
    found = fit_mixture(values)
    # where the modes overlap, scikit-learn creeps towards the maximum and stops before it
    assert_alike(found, expected, 0.02 if distance < 4 else 5e-3)
    assert log_likelihood(found, values) >= log_likelihood(expected, values) - 5e-3


def test_bins_cost_next_to_nothing():
    values, _ = draw(3, 20_000, 0.4, 2.4, 1.2)
    exact = fit_mixture(values, bins=20_000)
    assert_alike(fit_mixture(values), exact, 1e-4)
    assert_alike(fit_mixture(values, bins=256), exact, 2e-3)
    assert_alike(fit_mixture(values, polish=2), exact, 1e-6)


def test_narrow_modes_far_apart_in_few_bins():
    values, upper = draw(4, 5_000, 0.3, 0, 1.0)
    values = 1e-3 * values + 10 * upper
    found = fit_mixture(values, bins=64)
    np.testing.assert_allclose(found.means, [values[~upper].mean(), values[upper].mean()])
    np.testing.assert_allclose(found.weights, [np.mean(~upper), np.mean(upper)])
    # the guard against vanishing variances: (2/n) of the values' variance, 21, is added
    expected = [
        values[part].var() + 2 * values.var() / 5e3 / part.sum() for part in (~upper, upper)
    ]
    np.testing.assert_allclose(found.sds**2, expected, rtol=1e-3)


@pytest.mark.parametrize("distance", [2.4, 5])
def test_warm_start_finds_the_same(distance):
    values, _ = draw(5, 10_000, 0.5, distance, 1.2)
    cold = fit_mixture(values)
    near = Mixture([0.4, 0.6], [-0.3, distance + 0.2], [0.9, 1.5])
    assert_alike(fit_mixture(values, start=near), cold, 1e-5)
    assert_alike(fit_mixture(values, start=cold), cold, 1e-5)


def test_useless_start_is_left():
    values, _ = draw(6, 2_000, 0.5, 5, 1.2)
    away = Mixture([0.5, 0.5], [1e4, 1e5], [1.0, 1.0])
    assert_alike(fit_mixture(values, start=away), fit_mixture(values), 1e-4)


def test_outliers_and_what_is_not_finite_are_left_out():
    values, _ = draw(7, 5_000, 0.5, 5, 1.2)
    rng = np.random.default_rng(8)
    bad = np.concatenate([values, [np.nan, np.inf, -np.inf, 1e12, -1e7, 200.0, 210.0, 2e5]])
    rng.shuffle(bad)
    assert_alike(fit_mixture(bad.reshape(-1, 8)), fit_mixture(values), 1e-3)


def test_close_values_by_chance_are_no_mode():
    values, _ = draw(9, 400, 0.5, 5, 1.0)
    values[:3] = 8.0, 8.0, 8.0 + 1e-9
    found = fit_mixture(values)
    np.testing.assert_allclose(found.means, [0, 5], atol=0.3)
    np.testing.assert_allclose(found.sds, [1, 1], atol=0.2)


def test_weights_count_values():
    values, upper = draw(10, 3_000, 0.5, 5, 1.2)
    times = np.where(upper, 3, 1)
    weighted = fit_mixture(values, weights=times / 7)
    assert_alike(weighted, fit_mixture(np.repeat(values, times)), 2e-3)
    only = fit_mixture(np.append(values, [1e3] * 200), weights=np.append(np.ones(3_000), [0] * 200))
    assert_alike(only, fit_mixture(values), 1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("offset", [0.0, -1e4])
def test_units_do_not_matter(scale, offset):
    values, _ = draw(11, 2_000, 0.3, 4, 1.2)
    plain = fit_mixture(values)
    found = fit_mixture(scale * (values + offset))
    assert_alike(found, plain.transformed(scale, scale * offset), 1e-5)


def test_tiny_samples():
    found = fit_mixture([0.0, 0.1, 1.0, 1.1])
    np.testing.assert_allclose(found.means, [0.05, 1.05], atol=1e-3)
    found = fit_mixture([0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(found.means, [0, 1], atol=1e-3)
    np.testing.assert_allclose(found.weights, [2 / 3, 1 / 3], atol=1e-3)
    rng = np.random.default_rng(12)
    for n in range(4, 40):
        for values in (rng.normal(0, 1, n), np.append(rng.integers(0, 3, n), 0.5)):
            found = fit_mixture(values)
            assert np.ptp(found.means) <= np.ptp(values)
            assert found.sds.max() < 2 * np.ptp(values)
            assert found.sds.min() > 1e-3 * np.ptp(values)


def test_single_photons_are_counted_at_low_rate():
    counts = np.random.default_rng(13).random(2_000) < 0.02
    found = fit_mixture(counts.astype(int))
    np.testing.assert_allclose(found.means, [0, 1], atol=1e-6)
    assert found.weights[1] == pytest.approx(counts.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, 3.0], "at least 4 finite values, found 3"),
        ([1.0, 2.0, np.nan, 3.0, np.inf], "found 3"),
        ([], "found 0"),
        ([2.5] * 6, "values that differ, found 6 times 2.5"),
        ([-1.6e308, 0, 1, 1.6e308], "within 1e307"),
    ],
)
def test_too_little_to_fit(values, message):
    with pytest.raises(ValueError, match=message):
        fit_mixture(values)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"bins": 10}, "at least 64 bins, found 10"),
        ({"polish": -1}, "polish"),
        ({"weights": [1, 2]}, r"shape \(5,\), found \(2,\)"),
        ({"weights": [1, 1, 1, 1, -1]}, "not negative"),
    ],
)
def test_bad_parameters_of_the_fit(keywords, message):
    with pytest.raises(ValueError, match=message):
        fit_mixture([1.0, 2, 3, 4, 5], **keywords)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (([0.5, 0.6], [0, 1], [1, 1]), "sum 1"),
        (([0.0, 1.0], [0, 1], [1, 1]), "positive weights"),
        (([0.5, 0.5], [1, 0], [1, 1]), "ascending"),
        (([0.5, 0.5], [0, 1], [0, 1]), "positive sds"),
        (([0.5, 0.5], [0, np.nan], [1, 1]), "finite means"),
        (([0.5, 0.5], [0, 1, 2], [1, 1]), "two finite means"),
    ],
)
def test_no_such_mixture(numbers, message):
    with pytest.raises(ValueError, match=message):
        Mixture(*numbers)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_posterior_against_exact_numbers(mixture):
    inside = np.linspace(mixture.means[0], mixture.means[1], 23)
    with mpmath.workdps(40):
        lower, upper = (
            [w * mpmath.npdf(x, m, s) for x in inside]
            for w, m, s in zip(mixture.weights, mixture.means, mixture.sds, strict=True)
        )
        exact = [float(u / (u + v)) for u, v in zip(upper, lower, strict=True)]
    np.testing.assert_allclose(mixture.probability(inside), exact, rtol=1e-12)


@pytest.mark.parametrize("mixture", [*MIXTURES, Mixture([0.5, 0.5], [0, 0], [1, 2])])
def test_posterior_never_turns_back(mixture):
    x = np.concatenate([-np.geomspace(1e300, 1e-3, 500), np.linspace(-10, 20, 4000), [1e300]])
    p = mixture.probability(np.sort(x))
    assert np.all(np.diff(p) >= -1e-15)
    assert p.min() >= 0
    assert p.max() <= 1
    np.testing.assert_allclose(mixture.probability([-np.inf, np.inf]), p[[0, -1]], rtol=1e-12)
    assert np.isnan(mixture.probability(np.nan))


def test_posterior_is_constant_only_beyond_the_turning_point():
    # slopes of the two log densities are equal at m0 - (m1 - m0) v0 / (v1 - v0)
    turn = -3 * 0.25 / (2.25 - 0.25)
    values = WIDER.probability([turn - 5, turn - 0.1, turn, turn + 0.1])
    assert values[0] == values[1] == values[2] < values[3]


@pytest.mark.parametrize("mixture", MIXTURES)
def test_threshold_and_error_rate(mixture):
    (w0, w1), (m0, m1), (s0, s1) = mixture.weights, mixture.means, mixture.sds
    crossing = brentq(
        lambda x: w0 * norm.pdf(x, m0, s0) - w1 * norm.pdf(x, m1, s1), m0, m1, xtol=1e-13
    )
    assert mixture.threshold == pytest.approx(crossing, abs=1e-9)
    assert mixture.probability(mixture.threshold) == pytest.approx(0.5, abs=1e-12)
    errors = w0 * quad(norm(m0, s0).pdf, crossing, m0 + 40 * s0)[0]
    errors += w1 * quad(norm(m1, s1).pdf, m1 - 40 * s1, crossing)[0]
    assert mixture.error_rate == pytest.approx(errors, rel=1e-6)


def test_threshold_where_one_component_outweighs_the_other():
    assert Mixture([0.999, 0.001], [0, 1], [1, 1]).threshold == 1
    assert Mixture([0.001, 0.999], [0, 1], [1, 1]).threshold == 0
    assert Mixture([0.5, 0.5], [2, 2], [1, 1]).threshold == 2


def test_error_rate_counts_the_errors():
    values, upper = draw(14, 200_000, 0.3, 3, 1.2)
    found = fit_mixture(values)
    wrong = np.mean((values > found.threshold) != upper)
    assert found.error_rate == pytest.approx(wrong, rel=0.03)


def test_contrast():
    assert WIDER.contrast == pytest.approx(9 / (0.25 + 2.25))
    assert WIDER.transformed(7.0, -3.0).contrast == pytest.approx(WIDER.contrast)


def test_density_is_normalised():
    total, _ = quad(lambda x: float(WIDER.density(x)), -10, 20, points=[0, 3])
    assert total == pytest.approx(1)


def test_transformed_needs_a_positive_scale():
    with pytest.raises(ValueError, match="positive scale, found -1"):
        EQUAL.transformed(-1)


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        EQUAL.means[0] = 3
    assert math.isclose(EQUAL.weights.sum(), 1)
