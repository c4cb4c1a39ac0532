"""Small systems of equations, against numpy."""

from __future__ import annotations

import numpy as np

from napari_coldatoms.statistics.cholesky import solve


def test_positive_definite_systems_are_solved():
    rng = np.random.default_rng(2)
    a = rng.normal(0, 1, (5, 5))
    matrix, right, out = a @ a.T + np.eye(5), rng.normal(0, 1, 5), np.empty(5)
    expected = np.linalg.solve(matrix, right)
    assert solve(np.tril(matrix), right, 1e-12, out)
    np.testing.assert_allclose(out, expected, rtol=1e-10)
    # in place
    assert solve(matrix.copy(), right, 1e-12, right)
    np.testing.assert_array_equal(right, out)


def test_others_are_not():
    right, out = np.ones(2), np.full(2, 7.0)
    assert not solve(np.array([[1.0, 0.0], [2.0, 1.0]]), right, 1e-12, out)
    # nearly singular, as far as is asked for
    nearly = np.array([[1.0, 0.0], [1.0, 1 + 1e-6]])
    assert not solve(nearly.copy(), right, 1e-5, out)
    assert not solve(np.full((2, 2), np.nan), right, 1e-12, out)
    assert (out == 7).all()
    assert solve(nearly, right, 1e-7, out)
