"""Binomial intervals against closed forms, high-precision integrals and exact coverage."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from napari_coldatoms.statistics import binomial_interval
from napari_coldatoms.statistics.intervals import ONE_SIGMA, share

METHODS = ["wilson", "clopper-pearson", "jeffreys"]


def coverage(n, confidence, method, truths):
    """Return how often the interval holds the truth, exactly, for each truth."""
    k = np.arange(n + 1)
    low, high = binomial_interval(k, n, confidence, method)
    inside = (low <= truths[:, None]) & (truths[:, None] <= high)
    return np.sum(binom.pmf(k, n, truths[:, None]) * inside, axis=1)


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 7), (7, 7), (1, 4000), (391, 400)])
@pytest.mark.parametrize("confidence", [ONE_SIGMA, 0.95])
def test_wilson_limits_are_where_the_normal_test_rejects(k, n, confidence):
    low, high = binomial_interval(k, n, confidence)
    z = norm.ppf((1 + confidence) / 2)
    for q in (low, high):
        if 0 < q < 1:
            assert abs(k / n - q) == pytest.approx(z * np.sqrt(q * (1 - q) / n), rel=1e-9)
    assert low <= k / n <= high


@pytest.mark.parametrize(("k", "n"), [(1, 7), (3, 7), (6, 7), (2, 5000)])
def test_clopper_pearson_limits_have_the_tails_of_the_binomial(k, n):
    low, high = binomial_interval(k, n, 0.9, "clopper-pearson")
    assert binom.sf(k - 1, n, low) == pytest.approx(0.05, rel=1e-9)
    assert binom.cdf(k, n, high) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 7), (3.4, 7.2), (6, 7), (2, 5000)])
def test_jeffreys_limits_are_quantiles_of_the_posterior(k, n):
    low, high = binomial_interval(k, n, 0.9, "jeffreys")
    for limit, part in ((low, 0.05), (high, 0.95)):
        below = mpmath.betainc(k + 0.5, n - k + 0.5, 0, float(limit), regularized=True)
        assert float(below) == pytest.approx(part, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_ends(method):
    low, high = binomial_interval([0, 5, 0], [5, 5, 0], 0.9, method)
    assert low[0] == 0
    assert high[1] == 1
    assert 0 < high[0] < 1
    assert 0 < low[1] < 1
    # nothing was tried, nothing is known
    assert (low[2], high[2]) == (0, 1)
    # empty and full are mirror images
    assert high[0] == pytest.approx(1 - low[1], rel=1e-12)


def test_clopper_pearson_of_none_is_known_in_closed_form():
    _, high = binomial_interval(0, 10, 0.9, "clopper-pearson")
    assert high == pytest.approx(1 - 0.05 ** (1 / 10), rel=1e-12)


@pytest.mark.parametrize("confidence", [ONE_SIGMA, 0.95])
@pytest.mark.parametrize("n", [20, 200])
def test_coverage(n, confidence):
    truths = np.linspace(0.05, 0.95, 301)
    exact = coverage(n, confidence, "clopper-pearson", truths)
    assert exact.min() >= confidence - 1e-12
    for method in ("wilson", "jeffreys"):
        found = coverage(n, confidence, method, truths)
        assert found.mean() == pytest.approx(confidence, abs=0.012)


@pytest.mark.parametrize("method", METHODS)
def test_shapes_broadcast_and_intervals_order(method):
    trials = np.array([[4], [40], [400]])
    low, high = binomial_interval(np.array([0, 1, 4]), trials, method=method)
    assert low.shape == high.shape == (3, 3)
    share = np.array([0, 1, 4]) / trials
    assert np.all((low >= 0) & (low <= share) & (share <= high) & (high <= 1))
    wider = binomial_interval(np.array([0, 1, 4]), trials, 0.95, method)
    assert np.all(wider[0] <= low)
    assert np.all(wider[1] >= high)
    assert np.ndim(binomial_interval(3, 7, method=method)[0]) == 0


def test_many_trials_are_normal():
    low, high = binomial_interval(300_000, 1_000_000)
    spread = np.sqrt(0.3 * 0.7 / 1e6)
    assert (high - low) / 2 == pytest.approx(spread, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2), "successes <= trials, found 3.0 of 2.0"),
        ((-1, 2), "found -1.0 of 2.0"),
        ((np.nan, 2), "finite"),
        (([1, 2], [3, 4, 5]), r"broadcast, found \(2,\) and \(3,\)"),
        ((1, 2, 1.0), "between 0 and 1, found 1.0"),
        ((1, 2, 0.5, "wald"), "found 'wald'"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        binomial_interval(*arguments)


def test_a_share_and_its_interval():
    found, expected = share(3, 10, 0.9), binomtest(3, 10).proportion_ci(0.9, "wilson")
    assert (found.value, found.trials) == (0.3, 10)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    # half of the certainty is that of half the trials
    unsure = share([3, 0], [10, 0], trials=[5, 0])
    low, high = binomial_interval(1.5, 5)
    assert (unsure.low[0], unsure.high[0]) == pytest.approx((float(low), float(high)))
    # nothing is known where nothing was counted
    assert np.isnan(unsure.value[1])
    assert (unsure.low[1], unsure.high[1], unsure.trials[1]) == (0, 1, 0)
    assert repr(unsure) == "Share(<2 values>)"
