"""The coarse mesh against scipy's linear interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from napari_coldatoms.lattice import GaussianPSF, Lattice
from napari_coldatoms.lattice.mesh import Mesh
from napari_coldatoms.lattice.setup import Setup


@pytest.mark.parametrize(("shape", "nodes"), [((61, 93), (3, 4)), ((40, 25), (2, 2))])
def test_mesh_interpolates_linearly(shape, nodes):
    lattice = Lattice.square(5.0, (4, 4), origin=(4.3, 3.8))
    mesh = Mesh(Setup(lattice, GaussianPSF(2.0), shape, None), 30.0)
    values = np.random.default_rng(1).normal(size=nodes)
    axes = [np.linspace(0, size - 1, n) for size, n in zip(shape, nodes, strict=True)]
    exact = RegularGridInterpolator(axes, values)
    np.testing.assert_allclose(mesh.sites @ values.ravel(), exact(lattice.positions))
    pixels = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(mesh.pixels @ values.ravel(), exact(pixels), atol=1e-12)
    np.testing.assert_allclose(mesh.at(mesh.nodes).toarray(), np.eye(values.size), atol=1e-12)


def test_places_outside_are_on_the_border():
    lattice = Lattice.square(5.0, (4, 4), origin=(4.3, 3.8))
    mesh = Mesh(Setup(lattice, GaussianPSF(2.0), (40, 40), None), 30.0)
    outside = mesh.at(np.array([[-5.0, 10.0], [50.0, 10.0]])).toarray()
    border = mesh.at(np.array([[0.0, 10.0], [39.0, 10.0]])).toarray()
    np.testing.assert_array_equal(outside, border)
