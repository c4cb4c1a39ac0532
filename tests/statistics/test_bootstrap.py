"""Histograms drawn again: their mean and variance, with and without correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2, chisquare

from napari_coldatoms.statistics.bootstrap import resample, resample_blocks


@pytest.mark.parametrize("scale", [1, 1000])  # drawn one by one, and all at once
def test_mean_and_variance_are_multinomial(scale):
    rng = np.random.default_rng(0)
    occurrences = scale * np.array([0, 50, 0, 30, 20, 0])
    n = occurrences.sum()
    drawn = resample(occurrences, n, 20_000, rng)
    share = occurrences / n
    assert (drawn.sum(axis=1) == n).all()
    deviation = np.sqrt(n * share * (1 - share))
    np.testing.assert_allclose(drawn.mean(axis=0), occurrences, atol=0.03 * deviation.max())
    covariance = n * (np.diag(share) - np.outer(share, share))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, rtol=0.05, atol=1e-9)
    assert (drawn[:, share == 0] == 0).all()


@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_single_draws_have_the_right_probabilities(total):
    """χ² of all draws together, and of how often the last bin is drawn in one resample."""
    rng = np.random.default_rng(1)
    occurrences = np.array([1, 7, 0, 2, 40, 1])
    drawn = resample(occurrences, total, 40_000, rng)
    seen = occurrences > 0
    expected = 40_000 * total * occurrences[seen] / 51
    assert chisquare(drawn.sum(axis=0)[seen], expected).pvalue > 1e-3
    often = np.bincount(drawn[:, 5], minlength=3)
    expected = 40_000 * binom.pmf(np.arange(len(often)), total, 1 / 51)
    kept = expected > 5
    assert np.sum((often - expected)[kept] ** 2 / expected[kept]) < chi2.isf(1e-3, kept.sum())


def test_totals_of_their_own():
    rng = np.random.default_rng(0)
    totals = np.array([3, 0, 1000])
    for drawn in (
        resample([1, 2], totals, 3, rng),
        resample_blocks([0, 1, 1], 2, totals, 3, rng),
    ):
        np.testing.assert_array_equal(drawn.sum(axis=1), totals)


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_blocks_keep_the_variance_of_correlated_values(correlation):
    """The mean of an autoregressive process has the variance factor (1 + c)/(1 - c)."""
    rng = np.random.default_rng(1)
    n = 20_000
    steps = rng.normal(size=n)
    x = np.empty(n)
    x[0] = steps[0]
    for k in range(1, n):
        x[k] = correlation * x[k - 1] + np.sqrt(1 - correlation**2) * steps[k]
    values = np.clip(np.rint(20 + 4 * x), 0, None).astype(int)
    drawn = resample_blocks(values, 100, n, 400, rng)
    assert (drawn.sum(axis=1) == n).all()
    means = drawn @ np.arange(drawn.shape[1]) / n
    factor = (1 + correlation) / (1 - correlation)
    assert means.var() == pytest.approx(values.var() / n * factor, rel=0.2)
    assert means.mean() == pytest.approx(values.mean(), abs=0.05)


def test_blocks_of_one_value_are_independent_draws():
    rng = np.random.default_rng(2)
    values = np.repeat([0, 3, 5], [10, 30, 60])
    drawn = resample_blocks(values, 1, 100, 5000, rng, bins=8)
    assert drawn.shape == (5000, 8)
    np.testing.assert_allclose(drawn.mean(axis=0), [10, 0, 0, 30, 0, 60, 0, 0], atol=0.3)
    assert drawn[:, 3].var() == pytest.approx(21, rel=0.1)


def test_a_block_as_long_as_the_data_is_the_data():
    values = np.array([4, 1, 1, 0])
    drawn = resample_blocks(values, 4, 4, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, [[1, 2, 0, 0, 1]] * 3)


@pytest.mark.parametrize("block", [0, -2, 5, 1.5, True])
def test_blocks_that_are_refused(block):
    with pytest.raises(ValueError, match="blocks of 1 to 4 values"):
        resample_blocks([1, 2, 3, 4], block, 4, 2, np.random.default_rng(0))
