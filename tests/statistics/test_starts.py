"""Where values are split in two, and which summit is taken."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu

from napari_coldatoms.statistics.binned import bin_values, moments
from napari_coldatoms.statistics.starts import candidate_splits, find_start, plausibility

NONE = np.empty(0)


def binned(weight, distance, n=20_000):
    rng = np.random.default_rng(1)
    values = np.where(rng.random(n) < weight, rng.normal(distance, 1, n), rng.normal(0, 1, n))
    return values, bin_values(values, NONE, 64)


def test_split_by_otsu():
    values, bins = binned(0.4, 4)
    split = candidate_splits(bins.mean, bins.count, bins.scatter, bins.total)[0]
    place = bins.low + bins.width * bins.mean[split - 1 : split + 1]
    assert place[0] - 0.3 < threshold_otsu(values) < place[1] + 0.3


def test_split_by_kittler_and_illingworth_finds_a_small_part():
    _, bins = binned(0.02, 8)
    split = candidate_splits(bins.mean, bins.count, bins.scatter, bins.total)[1]
    assert 3 < bins.low + bins.width * bins.mean[split] < 6.5


@pytest.mark.parametrize("weight", [0.02, 0.1, 0.5, 0.9, 0.98])
def test_start_is_near_the_truth(weight):
    _, bins = binned(weight, 5)
    mean, variance = moments(bins.mean, bins.count, bins.scatter)
    assert 0 < mean < 1
    state, value = find_start(bins.mean, bins.count, bins.scatter, variance, bins.total)
    assert np.isfinite(value)
    np.testing.assert_allclose(bins.low + bins.width * state[1:3], [0, 5], atol=0.2)
    assert 1 / (1 + np.exp(-state[0])) == pytest.approx(weight, rel=0.15)


def test_equal_weights_and_widths_are_most_plausible():
    best = plausibility(np.zeros(5))
    assert plausibility(np.array([3.0, 0, 0, 0, 0])) < best
    assert plausibility(np.array([-3.0, 0, 0, 0, 0])) < best
    assert plausibility(np.array([0.0, 0, 0, 0, 4])) < best
