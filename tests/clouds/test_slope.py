"""The plane under a picture."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.slope import slope

SHAPE = (150, 200)
Y, X = np.ogrid[: SHAPE[0], : SHAPE[1]]


def noise(seed=1):
    return np.random.default_rng(seed).normal(0, 0.05, SHAPE)


def test_slope_beside_a_cloud_and_invalid_pixels():
    picture = noise() + 3 + 0.01 * X - 0.02 * Y
    picture += Gaussian2D(60.0, 50.0, 40.0, 20.0, 0.3, 2.0).image(SHAPE)
    picture[100:, 150:] = np.nan
    plane = slope(picture)
    assert plane.shape == SHAPE
    np.testing.assert_allclose(np.diff(plane, axis=1), 0.01, rtol=0.05)
    np.testing.assert_allclose(np.diff(plane, axis=0), -0.02, rtol=0.05)
    assert plane.mean() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "picture",
    [
        noise(),
        np.ones(SHAPE),
        np.full(SHAPE, np.nan),
        np.ones((5, 5)),
        noise() + Gaussian2D(10.0, 10.0, 80.0, 60.0, 0.3, 2.0).image(SHAPE),
        noise() + 0.3 * np.cos(X / 8),
        noise() + np.exp(-((X - 100) ** 2 + (Y - 75) ** 2) / 100**2),
    ],
    ids=["noise", "constant", "invalid", "tiny", "cloud at the border", "fringes", "vignette"],
)
def test_no_slope(picture):
    assert not slope(picture).any()
