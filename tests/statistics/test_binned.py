"""Bins that remember mean and scatter, and the range without outliers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.statistics.binned import bin_values, keep_values, merge_bins, moments

NONE = np.empty(0)


def test_bins_keep_count_mean_and_variance():
    values = np.random.default_rng(1).normal(3e3, 20, 5_000)
    for bins in (64, 1_000):
        binned = bin_values(values, NONE, bins)
        mean, variance = moments(binned.mean, binned.count, binned.scatter)
        assert binned.total == 5_000
        assert binned.low + binned.width * mean == pytest.approx(values.mean(), rel=1e-12)
        assert binned.width**2 * variance == pytest.approx(values.var(), rel=1e-9)
        assert np.all(np.diff(binned.mean) > 0)
        assert len(binned.mean) <= bins
    merged = merge_bins(binned.mean, binned.count, binned.scatter, 50)
    assert len(merged[0]) <= 50
    np.testing.assert_allclose(moments(*merged), (mean, variance), rtol=1e-9)


def test_weights():
    values = np.random.default_rng(2).normal(0, 1, 1_000)
    weights = np.arange(1_000) % 3.0
    binned = bin_values(values, weights, 128)
    mean = moments(binned.mean, binned.count, binned.scatter)[0]
    assert binned.low + binned.width * mean == pytest.approx(np.average(values, weights=weights))
    # as many as have a weight
    assert binned.total == pytest.approx(np.count_nonzero(weights))
    kept, count = keep_values(values, weights, binned)
    np.testing.assert_allclose(binned.low + binned.width * kept, values[weights > 0])
    np.testing.assert_allclose(count, weights[weights > 0] / weights[weights > 0].mean())


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_range_of_normal_values_leaves_out_none_but_outliers(scale):
    values = np.random.default_rng(3).normal(0, 1, 100_000)
    assert bin_values(scale * values, NONE, 64).total == 100_000
    bad = np.concatenate([values, [1e3, 20.0, -20.0, -1e15, np.nan, np.inf]])
    assert bin_values(scale * bad, NONE, 64).total == 100_000


def test_a_small_mode_far_away_is_no_outlier():
    values = np.zeros(1_000)
    values[:12] = 500
    values += np.random.default_rng(4).normal(0, 1, 1_000)
    assert bin_values(values, NONE, 64).total == 1_000


def test_a_single_value_far_away_is_one():
    values = np.append(np.random.default_rng(5).normal(0, 1, 30), 100.0)
    assert bin_values(values, NONE, 64).total == 30


def test_where_nearly_all_values_are_equal_none_is_an_outlier():
    values = np.full(1_000, 7.0)
    values[3] = 9.0
    assert bin_values(values, NONE, 64).total == 1_000
