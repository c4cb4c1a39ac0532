"""The exhaustive search beside the optimiser: never better, and as close as its grid allows."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.photons.fit import fit_atom_numbers
from napari_coldatoms.photons.grid_search import grid_search, search
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.simplex import maximise
from napari_coldatoms.photons.simulate import PAPER_MODEL, simulate_mixture

THREE = LossModel((1, 14, 26, 37), {(2, 1): 0.5, (2, 0): 0.3, (3, 1): 0.6}, 1.0)
ONE = LossModel((1, 14), {(1, 0): 0.2}, 1.0)


def value(h, components, w):
    return h @ np.log(w @ components)


@pytest.mark.parametrize(("model", "repeats"), [(ONE, 200), (PAPER_MODEL, 200), (THREE, 12)])
def test_never_better_than_the_optimiser(model, repeats):
    rng = np.random.default_rng(0)
    components = model.distribution()
    p = components / components.sum(axis=1, keepdims=True)
    atoms = model.atoms
    truths = rng.dirichlet(np.full(atoms + 1, 0.6), size=repeats)
    shots = rng.choice([1, 30, 600, 5000], size=repeats)
    histograms = np.array([rng.multinomial(n, w @ p) for n, w in zip(shots, truths, strict=True)])
    weights, _, gap = maximise(histograms, components)
    assert gap.max() <= 1e-9
    for h, w in zip(histograms, weights, strict=True):
        seen = h > 0
        found = search(h[seen].astype(float), components[:, seen])
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1, abs=1e-12)
        ahead = value(h[seen], components[:, seen], w) - value(h[seen], components[:, seen], found)
        assert ahead >= -1e-9
        # what half a step of the grid costs
        assert ahead < 0.02
        if h.sum() >= 600:
            assert np.abs(found - w).max() < 2e-3


def test_the_same_result_as_the_fit():
    counts = simulate_mixture(PAPER_MODEL, [0.2, 0.3, 0.5], 2000, rng=0).counts
    fit, search_ = fit_atom_numbers(counts, PAPER_MODEL), grid_search(counts, PAPER_MODEL)
    np.testing.assert_allclose(search_.probabilities, fit.probabilities, atol=3e-4)
    steps = search_.probabilities * 4000
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    ahead = fit.log_likelihood - search_.log_likelihood
    assert 0 <= ahead <= search_.optimality_gap
    assert search_.optimality_gap < 1
    assert search_.goodness.chi2 == pytest.approx(fit.goodness.chi2, rel=1e-3)
    assert search_.dropped_counts.size == 0


def test_more_than_three_atoms_are_refused():
    model = LossModel((1, 10, 20, 30, 40), {}, 1.0)
    with pytest.raises(ValueError, match="at most 3 atoms for a search on a grid, found 4"):
        grid_search([1, 2, 3], model)
    with pytest.raises(ValueError, match="not below 0, found -1"):
        grid_search([1, -1], PAPER_MODEL)
