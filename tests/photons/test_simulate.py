"""Simulated controls and samples: numbers of shots, their truth, and their distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from napari_coldatoms.photons import LossModel
from napari_coldatoms.photons.shares import PAPER_SHARES, shots_of_each
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    simulate_controls,
    simulate_mixture,
)


def assert_drawn_from(counts, distribution):
    """Assert that counts may come from a distribution, by χ² over bins expected above 10."""
    occurrences = np.bincount(counts, minlength=len(distribution)).astype(float)
    expected = len(counts) * distribution / distribution.sum()
    edges = np.flatnonzero(np.diff(np.cumsum(expected) // 10, prepend=-1.0) > 0)
    observed, wanted = np.add.reduceat(occurrences, edges), np.add.reduceat(expected, edges)
    assert chisquare(observed[:-1], wanted[:-1] * observed[:-1].sum() / wanted[:-1].sum())[1] > 1e-3


def test_setting_of_the_paper():
    np.testing.assert_allclose(PAPER_MODEL.mean_counts, [1, 15, 29])
    pure = PAPER_MODEL.distribution()
    assert pure[2].argmax() == 23  # the peak of Fig. 2
    loading = binom.pmf([0, 1, 2], 2, 0.75)
    np.testing.assert_allclose(PAPER_SHARES, loading, atol=0.006)


def test_controls_are_thinned_before_the_exposure():
    controls = simulate_controls(PAPER_MODEL, 30_000, single_atom_loss=0.2, rng=1)
    assert sum(map(len, controls)) == 30_000
    pure = PAPER_MODEL.distribution(100)
    for prepared, counts in enumerate(controls):
        left = binom.pmf(np.arange(prepared + 1), prepared, 0.8)
        assert_drawn_from(counts, left @ pure[: prepared + 1])


def test_numbers_of_controls_are_fixed_or_random():
    fixed = simulate_controls(PAPER_MODEL, 600, fixed_numbers=True, rng=0)
    assert [len(counts) for counts in fixed] == [36, 228, 336]
    drawn = np.array(
        [[len(c) for c in simulate_controls(PAPER_MODEL, 600, rng=seed)] for seed in range(200)]
    )
    spread = np.sqrt(600 * np.multiply(PAPER_SHARES, np.subtract(1, PAPER_SHARES)))
    np.testing.assert_allclose(drawn.std(axis=0), spread, rtol=0.2)


@pytest.mark.parametrize("events", [1, 7, 100, 999])
def test_fixed_numbers_sum_to_the_events(events):
    rng = np.random.default_rng(events)
    for _ in range(20):
        shares = rng.dirichlet([1, 1, 1, 1])
        numbers = shots_of_each(shares, events, True, rng)
        assert numbers.sum() == events
        assert np.abs(numbers - events * shares).max() < 1


def test_mixture_and_its_truth():
    found = simulate_mixture(PAPER_MODEL, [0.2, 0.5, 0.3], 40_000, single_atom_loss=0.1, rng=3)
    np.testing.assert_allclose(found.probabilities, [0.253, 0.504, 0.243])
    assert (found.atom_numbers <= found.prepared).all()
    seen = np.bincount(found.atom_numbers) / 40_000
    np.testing.assert_allclose(seen, found.probabilities, atol=0.01)
    assert_drawn_from(found.counts, found.probabilities @ PAPER_MODEL.distribution(100))
    # in no order
    assert abs(np.corrcoef(found.atom_numbers[1:], found.atom_numbers[:-1])[0, 1]) < 0.02


def test_mixture_in_bins():
    found = simulate_mixture(PAPER_MODEL, [0.2, 0.5, 0.3], 30_000, bins=2, rng=4)
    assert found.counts.shape == (30_000, 2)
    assert_drawn_from(found.counts.sum(axis=1), found.probabilities @ PAPER_MODEL.distribution(100))


def test_seeds_repeat():
    first = simulate_mixture(PAPER_MODEL, [0.2, 0.5, 0.3], 100, single_atom_loss=PAPER_LOSS, rng=5)
    again = simulate_mixture(PAPER_MODEL, [0.2, 0.5, 0.3], 100, single_atom_loss=PAPER_LOSS, rng=5)
    np.testing.assert_array_equal(first.counts, again.counts)
    for one, other in zip(
        simulate_controls(PAPER_MODEL, 50, rng=6),
        simulate_controls(PAPER_MODEL, 50, rng=6),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_other_numbers_of_atoms_are_prepared_equally_often():
    model = LossModel((1e3, 9e3, 17e3, 24e3), {(3, 2): 100.0}, 1e-3)
    numbers = [len(c) for c in simulate_controls(model, 400, fixed_numbers=True, rng=0)]
    assert numbers == [100, 100, 100, 100]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"events": 0}, "expected events as a whole number above 0, found 0"),
        ({"events": 2.5}, "whole number above 0, found 2.5"),
        ({"probabilities": [0.5, 0.5]}, r"expected probabilities of 0, 1, 2 atoms .* shape \(2,\)"),
        ({"probabilities": [0.5, 0.6, -0.1]}, "expected probabilities not below 0"),
        ({"probabilities": [0.5, np.nan, 0.5]}, "expected probabilities not below 0"),
        ({"probabilities": [0.5, 0.3, 0.1]}, "sum to 1, found a sum of 0.9"),
        ({"single_atom_loss": 1.0}, "expected a single-atom loss from 0 to below 1, found 1"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"probabilities": [0.2, 0.5, 0.3], "events": 10, **arguments}
    with pytest.raises(ValueError, match=message):
        simulate_mixture(PAPER_MODEL, **given)
