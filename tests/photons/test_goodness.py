"""χ² over merged bins, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons.goodness import first_bins, goodness, p_words


def test_wide_bins_are_scipy_s_chi_square() -> None:
    observed, expected = [12, 25, 40, 23], [15.0, 20.0, 45.0, 20.0]
    result = goodness(observed, expected, 1)
    reference = stats.chisquare(observed, expected, ddof=1)
    assert result.chi2 == pytest.approx(reference.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(reference.pvalue, rel=1e-12)
    assert result.dof == 2
    assert result.reduced == pytest.approx(reference.statistic / 2)


def test_bins_are_merged_from_the_left_and_the_rest_joins_the_last() -> None:
    expected = np.array([1.0, 2.0, 3.0, 9.0, 4.0, 4.0, 1.0, 0.5])
    assert first_bins(expected, 5.0).tolist() == [0, 3, 4]
    result = goodness([2, 2, 3, 8, 4, 4, 1, 1], expected)
    reference = stats.chisquare([7, 8, 10], [6.0, 9.0, 10.0])
    assert result.chi2 == pytest.approx(reference.statistic, rel=1e-12)


def test_what_is_expected_beyond_the_last_bin_counts_into_it() -> None:
    result = goodness([50, 50], [50.0, 30.0])
    assert result.chi2 == pytest.approx(0.0, abs=1e-12)
    assert goodness([50, 30, 20], [50.0, 30.0]).chi2 == pytest.approx(0.0, abs=1e-12)
    assert goodness([50, 50], [50.0, 30.0, 20.0]).dof == 2


def test_without_degrees_of_freedom_there_is_no_p_value() -> None:
    result = goodness([1, 1], [1.0, 1.0])
    assert result.dof == 0
    assert math.isnan(result.p_value)
    assert math.isnan(result.reduced)
    assert math.isnan(goodness([50, 50], [50.0, 50.0], 3).p_value)


def test_a_shot_where_none_can_be_is_infinitely_bad() -> None:
    assert goodness([5, 1], [6.0, 0.0], least_expected=0.0).chi2 == math.inf
    # merged with its neighbour it is only a deviation
    assert goodness([50, 1], [51.0, 0.0]).chi2 == 0.0


def test_p_values_are_uniform() -> None:
    rng = np.random.default_rng(1)
    shares = stats.poisson.pmf(np.arange(60), 15)
    shots = rng.multinomial(2000, shares / shares.sum(), size=2000)
    p_values = [goodness(histogram, 2000 * shares).p_value for histogram in shots]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("observed", "expected"),
    [([[1, 2]], [1, 2]), ([], []), ([1, 2], [1, -2]), ([1, 2], [1, math.nan])],
)
def test_bad_input(observed: list, expected: list) -> None:
    with pytest.raises(ValueError, match="expected"):
        goodness(observed, expected)


def test_p_values_in_words():
    assert p_words(0.034) == "p = 0.03"
    assert p_words(0.034, 2) == "p = 0.034"
    assert p_words(3e-20) == "p = 3e-20"
    assert p_words(0.0) == "p < 1e-99"
    assert p_words(float("nan")) == "p = nan"
