"""Means over rings: a thermal cloud, counts by hand, and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    GaussianPSF,
    Lattice,
    azimuthal_average,
    reconstruct,
    simulate,
)
from napari_coldatoms.statistics import binomial_interval

SITES = Lattice.square(2.0, (60, 60), origin=(5.0, 7.0), angle=0.2)
CENTRE = SITES.positions.mean(axis=0) + np.array([1.3, -0.7])
RADIUS = np.hypot(*(SITES.positions - CENTRE).T)


def test_counts_by_hand():
    sites = Lattice.square(1.0, (3, 3), origin=(0.0, 0.0))
    cross = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 0]], dtype=bool).ravel()
    found = azimuthal_average(cross, sites, (1.0, 1.0), width=0.9)
    np.testing.assert_array_equal(found.sites, [1, 8])
    np.testing.assert_allclose(found.radius, [0, (1 + np.sqrt(2)) / 2])
    np.testing.assert_allclose(found.mean, [1, 3 / 8])
    low, high = binomial_interval([1, 3], [1, 8])
    np.testing.assert_array_equal(found.low, low)
    np.testing.assert_array_equal(found.high, high)
    # the centre of mass of the four atoms: (1, 3/4)
    assert azimuthal_average(cross, sites).centre == pytest.approx((1.0, 0.75))
    # nothing anywhere: the middle
    assert azimuthal_average(cross & False, sites).centre == pytest.approx((1.0, 1.0))


def test_profile_of_a_thermal_disc():
    rng = np.random.default_rng(0)
    mean = 0.8 * np.exp(-(RADIUS**2) / (2 * 15.0**2))
    n = rng.random((200, 3600)) < mean
    found = azimuthal_average(n, SITES)
    # over the whole disc the centre of mass is that of the cloud, but for the edges
    np.testing.assert_allclose(found.centre, CENTRE, atol=0.3)
    found = azimuthal_average(n, SITES, CENTRE)
    # 2 px: the square root of the area per site; the mean over a ring of a profile in closed form
    inner = 2.0 * np.floor(found.radius / 2.0)
    a, b = inner / 15, (inner + 2) / 15
    smooth = 0.8 * (np.exp(-(a**2) / 2) - np.exp(-(b**2) / 2)) * 2 / (b**2 - a**2)
    whole = found.radius < 50
    error = (found.high - found.low) / 2
    pull = (found.mean - smooth)[whole] / np.hypot(error, 0.01 * smooth)[whole]
    assert np.abs(pull).max() < 4
    # exactly: the rings of these sites
    ring = np.floor(RADIUS / 2).astype(int)
    truth = (np.bincount(ring, mean) / np.maximum(np.bincount(ring), 1))[np.unique(ring)]
    inside = (found.low <= truth) & (truth <= found.high)
    assert inside.mean() == pytest.approx(0.68, abs=0.2)
    assert found.sites.sum() == 3600


def test_intervals_of_numbers_hold_the_truth():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(30):
        found = azimuthal_average(rng.normal(5, 2, 3600), SITES, CENTRE, width=8.0)
        many = found.sites > 10
        inside += ((found.low <= 5) & (found.high >= 5))[many].tolist()
    assert np.mean(inside) == pytest.approx(0.6827, abs=0.06)


def test_numbers_average_over_shots_first():
    values = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])
    sites = Lattice.from_positions([(0.0, 1.0), (1.0, 0.0), (0.0, 9.0)])
    found = azimuthal_average(values, sites, (0.0, 0.0), width=2.0)
    assert found.mean.tolist() == [2.0]
    assert found.sites.tolist() == [2]
    assert found.low[0] == found.high[0] == 2.0
    alone = azimuthal_average(values, sites, (0.0, 1.0), width=0.5)
    assert np.isnan(alone.low).all()


def test_reconstructions_count_with_their_probabilities():
    sites = Lattice.square(4.0, (12, 12))
    psf = GaussianPSF(2.0)
    frame = sites.frame_shape(12.0)
    light = {"brightness": 1000, "brightness_sd": 100, "background": 20, "read_noise": 2}
    y, x = (sites.positions - sites.positions.mean(axis=0)).T
    disc = np.hypot(y, x) < 16
    image = simulate(sites, psf, image_shape=frame, occupancy=disc, rng=1, **light).image
    result = reconstruct(image, sites, psf, read_noise=2)
    found = azimuthal_average([result, result], sites, width=8.0)
    np.testing.assert_allclose(found.mean[:2], 1, atol=1e-3)
    np.testing.assert_allclose(found.mean[2:], 0, atol=1e-3)
    one = azimuthal_average(result, sites, width=8.0)
    np.testing.assert_allclose(one.mean, found.mean)
    # twice the shots, narrower intervals
    assert np.all(found.high - found.low < one.high - one.low)


def test_table():
    table = azimuthal_average(np.arange(3600.0), SITES).table()
    assert list(table) == ["radius", "mean", "low", "high", "sites"]
    assert table.attrs["units"] == {"radius": "px"}


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"values of 3600 sites, .* found shape \(1, 5\)"):
        azimuthal_average(np.ones(5), SITES)
    with pytest.raises(ValueError, match="some are negative"):
        azimuthal_average(np.linspace(-1, 1, 3600), SITES)
    with pytest.raises(ValueError, match="expected values of sites, found none"):
        azimuthal_average(np.full(3600, np.nan), SITES)
    with pytest.raises(ValueError, match="positive width, found 0"):
        azimuthal_average(np.ones(3600), SITES, width=0)
    with pytest.raises(ValueError, match="centre"):
        azimuthal_average(np.ones(3600), SITES, (1, 2, 3))
