"""Sums over discs around the sites."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve, map_coordinates

from napari_coldatoms.lattice.discs import distinct_radii, sum_discs


def test_radii_at_which_discs_differ():
    np.testing.assert_allclose(np.square(distinct_radii(3.0)), [0, 1, 2, 4, 5, 8, 9])
    many = distinct_radii(10.0)
    assert len(many) == 9
    assert many[0] == 0
    assert many[-1] == 10
    assert np.all(np.diff(many) > 0)


def test_sums_against_convolution_and_interpolation():
    rng = np.random.default_rng(1)
    image = rng.normal(0, 1, (30, 41))
    places = rng.uniform([-1, -1], [30, 41], (200, 2))
    places[:20] = np.rint(places[:20])
    corner = np.floor(places)
    radii = [0.0, 1.0, 1.5, 5**0.5, 4.2]
    found = sum_discs(image, corner.astype(np.int32), places - corner, radii)
    for radius, sums in zip(radii, found, strict=True):
        reach = int(radius)
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disc = (y**2 + x**2 <= radius**2 + 1e-9).astype(float)
        smooth = convolve(image, disc, mode="wrap")
        expected = map_coordinates(smooth, places.T, order=1, mode="grid-wrap")
        np.testing.assert_allclose(sums, expected, atol=1e-12)
