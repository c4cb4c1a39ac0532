"""Counts compared with what was fitted to others."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons.comparison import compare
from napari_coldatoms.photons.controls import ControlFit, fit_controls, fit_histograms
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.loss_model import LossModel

MODEL = LossModel((1e3, 15e3, 29e3), {(2, 1): 800.0, (2, 0): 400.0}, 1e-3)
SHOTS = (200, 900, 1300)


def _distributions(loss: float = 0.03, model: LossModel = MODEL) -> list[np.ndarray]:
    p = model.distribution(90)
    return [
        sum(stats.binom.pmf(left, i, 1 - loss) * p[left] for left in range(i + 1)) for i in range(3)
    ]


def _drawn(factor: float, rng: np.random.Generator, loss: float = 0.03) -> list[Histogram]:
    return [
        Histogram(np.trim_zeros(rng.multinomial(int(n * factor), p / p.sum()), "b"))
        for n, p in zip(SHOTS, _distributions(loss), strict=True)
    ]


@pytest.fixture(scope="module")
def reference() -> ControlFit:
    return fit_controls(_drawn(300.0, np.random.default_rng(0)), 1e-3)


def test_by_hand(reference: ControlFit) -> None:
    counts = _drawn(1.0, np.random.default_rng(1))
    result = compare(counts, reference)
    for i, (h, test) in enumerate(zip(counts, result.per_control, strict=True)):
        expected = h.total * reference.expected(i, 200)
        edges = [0]
        while expected[edges[-1] :].sum() >= 5:
            inside = np.cumsum(expected[edges[-1] :]) >= 5
            edges.append(edges[-1] + int(np.argmax(inside)) + 1)
            if expected[edges[-1] :].sum() < 5:
                break
        bins = [slice(a, b) for a, b in pairwise(edges[:-1])]
        bins.append(slice(edges[-2], None))
        f_obs = [h.padded(200)[b].sum() for b in bins]
        f_exp = [expected[b].sum() for b in bins]
        by_scipy = stats.chisquare(f_obs, np.array(f_exp) * h.total / sum(f_exp))
        assert test.chi2 == pytest.approx(by_scipy.statistic, rel=1e-6)
        assert test.dof == len(bins) - 1
        assert test.p_value == pytest.approx(by_scipy.pvalue, rel=1e-6)
    assert result.chi2 == pytest.approx(sum(test.chi2 for test in result.per_control))
    assert result.dof == sum(test.dof for test in result.per_control)
    assert result.reduced == pytest.approx(result.chi2 / result.dof)
    assert result.atom_numbers == (0, 1, 2)


@pytest.mark.parametrize("fit_errors", [False, True])
def test_p_values_are_uniform_for_a_large_reference(
    reference: ControlFit, fit_errors: bool
) -> None:
    rng = np.random.default_rng(2)
    results = [compare(_drawn(1.0, rng), reference, fit_errors=fit_errors) for _ in range(300)]
    assert stats.kstest([r.p_value for r in results], "uniform").pvalue > 0.01
    assert stats.kstest([r.per_control[2].p_value for r in results], "uniform").pvalue > 0.01


@pytest.mark.parametrize("method", ["steps", "joint"])
def test_a_reference_as_small_as_the_counts_needs_its_errors(method: str) -> None:
    rng = np.random.default_rng(3)
    with_errors, without = [], []
    for _ in range(200):
        # one in a thousand has a remark
        fit = fit_histograms(tuple(_drawn(1.0, rng)), 1e-3, method=method)
        counts = _drawn(1.0, rng)
        without.append(compare(counts, fit).p_value)
        with_errors.append(compare(counts, fit, fit_errors=True).p_value)
    assert stats.kstest(with_errors, "uniform").pvalue > 0.01
    assert stats.kstest(without, "uniform").pvalue < 0.01


def test_other_losses_are_found(reference: ControlFit) -> None:
    rng = np.random.default_rng(4)
    changed = compare(_drawn(1.0, rng, loss=0.08), reference)
    assert changed.p_value < 1e-3
    assert changed.per_control[0].p_value > 1e-3
    assert compare(_drawn(1.0, rng, loss=0.08), reference, fit_errors=True).p_value < 1e-3


def test_one_histogram_against_one(reference: ControlFit) -> None:
    counts = _drawn(1.0, np.random.default_rng(5))
    all_of_them = compare(counts, reference)
    one = compare(counts[2], reference, atom_number=2)
    assert one.chi2 == pytest.approx(all_of_them.per_control[2].chi2)
    assert one.atom_numbers == (2,)
    some = compare({1: counts[1], 2: counts[2]}, reference)
    assert some.atom_numbers == (1, 2)
    assert some.per_control == all_of_them.per_control[1:]
    as_mapping = compare(dict(enumerate(counts[2].occurrences)), reference, atom_number=2)
    assert as_mapping.chi2 == pytest.approx(one.chi2)


def test_bad_input(reference: ControlFit) -> None:
    with pytest.raises(ValueError, match="expected 0 to 2 atoms, as in the controls, found 3"):
        compare([1, 2, 3], reference, atom_number=3)
    with pytest.raises(ValueError, match="expected counts to compare, found none"):
        compare([], reference)
    with pytest.raises(ValueError, match="whole numbers"):
        compare({0: [1.5]}, reference)


def test_known_rates_take_the_place_of_a_fit() -> None:
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(200):
        found = compare([MODEL.sample(i, n, rng=rng) for i, n in enumerate(SHOTS)], MODEL)
        p_values.append(found.p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert compare(MODEL.sample(2, 500, rng=rng), MODEL, atom_number=1).p_value < 1e-9
    with pytest.raises(ValueError, match="expected a ControlFit or a LossModel"):
        compare([[1, 2], [15, 16]], [[1, 2], [15, 16]])
