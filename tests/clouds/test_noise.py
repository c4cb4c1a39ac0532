"""Noise and background level of simulated pictures."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D, difference_noise, histogram_peak
from napari_coldatoms.clouds.noise import grey_step


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 500.0])
def test_white_noise_is_found_beside_a_cloud_and_a_gradient(sigma):
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:200, :220]
    cloud = Gaussian2D(100.0, 90.0, 40.0, 25.0, 0.3, 30 * sigma)
    picture = rng.normal(0, sigma, (200, 220)) + cloud.image((200, 220)) + sigma * (x + 2 * y) / 10
    # 4096 correlated differences: 2 to 3 %
    assert difference_noise(picture) == pytest.approx(sigma, rel=0.08)


def test_noise_of_a_picture_with_invalid_pixels():
    rng = np.random.default_rng(2)
    picture = rng.normal(0, 2.0, (100, 100))
    picture[rng.random((100, 100)) < 0.1] = np.nan
    assert difference_noise(picture) == pytest.approx(2.0, rel=0.1)


def test_no_noise_without_pixels():
    assert np.isnan(difference_noise(np.full((10, 10), np.nan)))
    assert np.isnan(difference_noise(np.ones((2, 10))))
    assert difference_noise(np.ones((10, 10))) == 0


def test_background_is_the_peak_of_the_histogram_not_the_mean():
    rng = np.random.default_rng(3)
    picture = 5 + rng.normal(0, 1.0, (200, 200))
    picture += Gaussian2D(100.0, 100.0, 45.0, 45.0, 0.0, 40.0).image((200, 200))
    picture[:20] = np.nan
    assert np.nanmean(picture) > 7
    assert histogram_peak(picture) == pytest.approx(5, abs=0.25)


def test_background_of_counts_and_of_constants():
    rng = np.random.default_rng(4)
    assert histogram_peak(rng.poisson(9, (100, 100)).astype(float)) == pytest.approx(8.7, abs=0.5)
    assert histogram_peak(np.full(50, 3.5)) == 3.5


def test_no_background_without_pixels():
    with pytest.raises(ValueError, match="found none"):
        histogram_peak(np.full((4, 4), np.nan))


def test_background_of_what_differs_by_rounding_alone():
    values = 54.1 * (1 + 2.3e-16 * np.random.default_rng(5).integers(0, 3, 1000))
    assert histogram_peak(values) == pytest.approx(54.1)


def test_grey_step():
    rng = np.random.default_rng(6)
    assert grey_step(np.round(rng.normal(100, 3, (50, 60)))) == 1
    assert grey_step(np.where(rng.random((50, 60)) < 0.1, np.nan, 4.0)) == 0
    assert grey_step(rng.normal(0, 1, (50, 60))) < 1e-2
