"""Losses of single atoms before the exposure: the paper's equations, simulated thinning."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from napari_coldatoms.photons.single_atom_loss import (
    correct_single_atom_loss,
    thinning,
    unthinning,
)


def test_two_atoms_are_equations_10_to_12():
    e = 0.029
    w0, w1, w2 = raw = np.array([0.2, 0.5, 0.3])
    expected = [
        w0 + e * w1 + e**2 * w2,
        (1 - e) * w1 + 2 * e * (1 - e) * w2,
        (1 - e) ** 2 * w2,
    ]
    np.testing.assert_allclose(correct_single_atom_loss(raw, e), expected, rtol=1e-14)


@pytest.mark.parametrize("atoms", [1, 2, 5, 10])
def test_any_number_of_atoms_is_binomial(atoms):
    loss = 0.13
    i = np.arange(atoms + 1)
    matrix = binom.pmf(i[:, None], i[None, :], 1 - loss)
    np.testing.assert_allclose(thinning(atoms, loss), matrix, atol=1e-14)
    np.testing.assert_allclose(unthinning(atoms, loss) @ matrix, np.eye(atoms + 1), atol=1e-11)


def test_the_paper_s_ranges_are_those_of_allowed_proportions():
    """The corners of the simplex are where the paper bounds w0', w1' and w2'."""
    e = 0.1
    raw = unthinning(2, e)
    assert raw[0].max() == pytest.approx(1)
    assert raw[0].min() == pytest.approx(-e / (1 - e))
    assert raw[1].max() == pytest.approx(1 / (1 - e))
    assert raw[1].min() == pytest.approx(-2 * e / (1 - e) ** 2)
    assert raw[2].max() == pytest.approx(1 / (1 - e) ** 2)


def test_atoms_lost_one_by_one():
    rng = np.random.default_rng(0)
    raw, loss, shots = np.array([0.1, 0.2, 0.3, 0.4]), 0.2, 400_000
    left = rng.binomial(rng.choice(4, size=shots, p=raw), 1 - loss)
    found = np.bincount(left, minlength=4) / shots
    np.testing.assert_allclose(correct_single_atom_loss(raw, loss), found, atol=3e-3)


def test_leading_dimensions_and_no_loss():
    raw = np.random.default_rng(1).dirichlet(np.ones(4), size=(2, 3))
    found = correct_single_atom_loss(raw, 0.3)
    assert found.shape == (2, 3, 4)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-14)
    np.testing.assert_allclose(found[1, 2], correct_single_atom_loss(raw[1, 2], 0.3), rtol=1e-14)
    np.testing.assert_array_equal(correct_single_atom_loss(raw, 0), raw)


@pytest.mark.parametrize("loss", [-0.1, 1, 1.5, np.nan])
def test_losses_that_are_refused(loss):
    with pytest.raises(ValueError, match="single-atom loss from 0 to below 1, found"):
        correct_single_atom_loss([0.5, 0.5], loss)


def test_probabilities_that_are_refused():
    with pytest.raises(ValueError, match="finite"):
        correct_single_atom_loss([0.5, np.nan], 0.1)
    with pytest.raises(ValueError, match=r"found shape \(\)"):
        correct_single_atom_loss(0.5, 0.1)
