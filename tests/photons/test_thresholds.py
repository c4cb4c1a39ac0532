"""Thresholds: cuts against brute force, what is called, and shares corrected for it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import poisson

from napari_coldatoms.photons import LossModel
from napari_coldatoms.photons.simulate import PAPER_MODEL, simulate_controls, simulate_mixture
from napari_coldatoms.photons.thresholds import best_cuts, thresholds
from napari_coldatoms.statistics.intervals import binomial_interval


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.02, 0.98)])
def test_two_poissonian_classes(weights):
    found = thresholds(LossModel((2.0, 20.0), {}, 1.0), weights)
    # the likelihoods, weighted, cross there
    crossing = (18 + math.log(weights[0] / weights[1])) / math.log(10)
    assert found.cuts.tolist() == [math.ceil(crossing)]
    right = poisson.cdf(found.cuts[0] - 1, 2.0), poisson.sf(found.cuts[0] - 1, 20.0)
    np.testing.assert_allclose(found.fidelities, right, rtol=1e-9)
    np.testing.assert_allclose(found.errors, np.subtract(1, right), atol=1e-9)
    assert found.mean_fidelity == pytest.approx(np.dot(weights, right), rel=1e-9)
    falsely = weights[0] * found.errors[0] / (weights[0] * found.errors[0] + weights[1] * right[1])
    assert found.false_rates[1] == pytest.approx(falsely, rel=1e-6)
    assert found.events is None


def test_cuts_are_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(30):
        distributions = rng.dirichlet(np.full(9, 0.6), 4)  # in no order: cuts may coincide
        weights = rng.dirichlet(np.ones(4))

        def right(cuts, distributions=distributions, weights=weights):
            edges = [0, *cuts, 9]
            return sum(
                w * p[a:b].sum()
                for w, p, (a, b) in zip(
                    weights, distributions, itertools.pairwise(edges), strict=True
                )
            )

        best = max(right(c) for c in itertools.combinations_with_replacement(range(10), 3))
        cuts = best_cuts(distributions, weights)
        assert (np.diff(cuts) >= 0).all()
        assert right(cuts) == pytest.approx(best, abs=1e-12)


def test_cut_lies_in_the_middle_of_a_gap():
    found = thresholds(([0, 1, 1, 2], [30, 31, 32, 33]))
    assert found.cuts.tolist() == [17]
    assert found.mean_fidelity == 1.0


def test_counted_confusion():
    controls = simulate_controls(PAPER_MODEL, 5000, single_atom_loss=0.03, rng=1)
    found = thresholds(controls, [0.2, 0.3, 0.5], level=0.9)
    for true, counts in enumerate(controls):
        called = np.bincount(found.classify(counts), minlength=3)
        np.testing.assert_allclose(found.confusion[:, true], called / len(counts))
        low, high = binomial_interval(called, len(counts), 0.9)
        np.testing.assert_allclose(found.confusion_low[:, true], low)
        np.testing.assert_allclose(found.confusion_high[:, true], high)
    assert found.events.tolist() == [len(counts) for counts in controls]
    np.testing.assert_allclose(found.confusion.sum(axis=0), 1)
    # those of the model, where no atom is lost before, are close
    model = thresholds(PAPER_MODEL, [0.2, 0.3, 0.5])
    assert np.abs(found.cuts - model.cuts).max() <= 3
    np.testing.assert_allclose(found.fidelities, model.fidelities, atol=0.06)


def test_thresholds_fail_with_losses_unless_corrected():
    truth = np.array([0.1, 0.2, 0.7])
    found = thresholds(PAPER_MODEL)
    sample = simulate_mixture(PAPER_MODEL, truth, 50_000, rng=2)
    raw = found.raw_probabilities(sample.counts)
    assert raw[1] - truth[1] > 0.1  # two atoms that became one too soon
    called = np.bincount(found.classify(sample.counts), minlength=3)
    np.testing.assert_array_equal(found.called(sample.counts), called)
    corrected = found.probabilities(sample.counts)
    np.testing.assert_allclose(corrected, np.linalg.solve(found.confusion, raw), atol=1e-6)
    np.testing.assert_allclose(corrected, truth, atol=0.015)


def test_corrected_probabilities_are_not_negative():
    found = thresholds(PAPER_MODEL)
    counts = [20] * 90 + [1] * 10  # more single atoms than single atoms alone would give
    assert np.linalg.solve(found.confusion, found.raw_probabilities(counts)).min() < 0
    corrected = found.probabilities(counts)
    assert corrected.min() >= 0
    assert corrected.sum() == pytest.approx(1)
    # no other probabilities are more likely
    grid = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5], 20_000)
    called = found.called(counts)
    likelihood = called @ np.log(found.confusion @ grid.T)
    assert called @ np.log(found.confusion @ corrected) >= likelihood.max() - 1e-9


def test_loading_and_survival():
    model = LossModel((500.0, 20e3), {}, 1e-3)
    found = thresholds(model)
    rng = np.random.default_rng(3)
    loaded = rng.random(4000) < 0.6
    stays = loaded & (rng.random(4000) < 0.9)
    before, after = (
        model.sample(loaded.astype(int), rng=rng),
        model.sample(stays.astype(int), rng=rng),
    )
    loading = found.at_least(before)
    assert loading.low < loaded.mean() < loading.high
    survival = found.survival(before, after)
    assert survival.low < stays.sum() / loaded.sum() < survival.high
    assert loading.trials == 4000
    assert survival.trials == pytest.approx(4000 * loading.value, abs=1e-9)
    low, high = binomial_interval(survival.value * survival.trials, survival.trials)
    assert (survival.low, survival.high) == pytest.approx((float(low), float(high)), rel=1e-12)
    assert math.isnan(found.survival([0, 0], [0, 30]).value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probabilities": [1.0]}, "expected probabilities of 0, 1, 2 atoms"),
        ({"level": 1.0}, "expected a level between 0 and 1, found 1.0"),
        ({"model_or_controls": ([20, 21], [0, 1])}, "rise with the atom number, found 20.5, 0.5"),
        ({"model_or_controls": ([0, 1], [-1, 1])}, "not below 0, found -1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        thresholds(**{"model_or_controls": PAPER_MODEL, **arguments})


def test_bad_questions():
    found = thresholds(PAPER_MODEL)
    with pytest.raises(ValueError, match="expected atoms from 1 to 2, found 3"):
        found.at_least([1, 2], 3)
    with pytest.raises(ValueError, match="expected atoms from 1 to 2, found 0"):
        found.survival([1, 2], [1, 2], 0)
    with pytest.raises(ValueError, match="before and after of the same shots"):
        found.survival([1, 2], [1, 2, 3])


@pytest.mark.parametrize("counts", [[1, -2], [1.5], [np.nan], ["many"], {3: 4}])
def test_only_counts_are_classified(counts):
    with pytest.raises(ValueError, match="counts of each shot"):
        thresholds(PAPER_MODEL).classify(counts)


def test_any_shape_is_classified():
    called = thresholds(PAPER_MODEL).classify(np.array([[0.0, 15.0], [29.0, 1.0]], np.float32))
    assert called.tolist() == [[0, 1], [2, 0]]
