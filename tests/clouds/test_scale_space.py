"""The levels of a picture: calibrated noise, smoothing, invalid and hot pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.scale_space import (
    halved,
    local_noise,
    scale_space,
    smoothed,
    window_mean,
    without_hot_pixels,
)


def test_significance_of_white_noise_is_normal():
    space = scale_space(np.random.default_rng(1).normal(3, 0.7, (256, 300)))
    assert space.noise == pytest.approx(0.7, rel=0.03)
    assert space.background == pytest.approx(3, abs=0.05)
    for level in space.levels[:3]:
        assert level.significance.std() == pytest.approx(1, abs=0.1)
        assert level.significance.mean() == pytest.approx(0, abs=0.1)
        assert np.abs(level.significance).max() < 5.5


def test_fringes_count_as_noise_at_their_scale(fringed):
    rng = np.random.default_rng(2)
    x = np.arange(256)
    picture = rng.normal(0, 0.02, (256, 256)) + 0.06 * np.cos(2 * np.pi * x / 60)
    for level in scale_space(picture).levels:
        assert level.significance.max() < 5


def test_amplitude_is_the_smoothed_picture():
    cloud = Gaussian2D(128.0, 120.0, 40.0, 40.0, 0.0, 1.0)
    picture = cloud.image((256, 256)) + np.random.default_rng(3).normal(0, 0.01, (256, 256))
    for level in scale_space(picture).levels[:4]:
        # a Gaussian of variance 20² smoothed
        expected = 20**2 / (20**2 + level.sigma**2)
        assert level.amplitude.max() == pytest.approx(expected, rel=0.04)


def test_a_noisy_half_of_the_chip_counts_little():
    rng = np.random.default_rng(4)
    sigma = np.where(np.arange(256) < 128, 2.0, 0.02)
    picture = rng.normal(0, 1, (256, 256)) * sigma
    picture[:, :128][rng.random((256, 128)) < 0.47] = np.nan
    for level in scale_space(picture).levels:
        assert level.significance.max() < 6


def test_local_noise_follows_the_picture():
    rng = np.random.default_rng(5)
    picture = rng.normal(0, 1, (120, 160)) * np.where(np.arange(160) < 80, 5.0, 1.0)
    noise, typical = local_noise(picture)
    assert noise[60, 30] == pytest.approx(5, rel=0.15)
    assert noise[60, 130] == pytest.approx(1, rel=0.15)
    assert 1 < typical < 5


def test_local_noise_where_few_pixels_are_valid():
    rng = np.random.default_rng(6)
    picture = np.where(rng.random((80, 80)) < 0.5, np.nan, rng.normal(0, 3.0, (80, 80)))
    noise, _ = local_noise(picture)
    assert np.median(noise) == pytest.approx(3, rel=0.1)
    picture[:] = np.nan
    noise, typical = local_noise(picture)
    assert np.isinf(noise).all()
    assert np.isnan(typical) or np.isinf(typical)


def test_window_mean():
    rng = np.random.default_rng(7)
    values = rng.normal(5, 1, (30, 40))
    values[3, 4] = np.nan
    mean, number = window_mean(values, 4)
    assert number[15, 20] == 81
    assert number[0, 0] == 24
    assert mean[15, 20] == pytest.approx(values[11:20, 16:25].mean())
    assert mean[0, 0] == pytest.approx(np.nanmean(values[:5, :5]))
    assert mean[29, 39] == pytest.approx(values[25:, 35:].mean())


def test_smoothed_is_the_convolution():
    rng = np.random.default_rng(8)
    values, kernel = rng.normal(0, 1, (20, 31)), np.array([0.2, 0.5, 0.3])
    expected = ndimage.convolve1d(values, kernel[::-1], axis=0, mode="constant")
    expected = ndimage.convolve1d(expected, kernel[::-1], axis=1, mode="constant")
    np.testing.assert_allclose(smoothed(values, kernel), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 10), (9, 11), (5, 4)])
def test_halved_keeps_the_sum(shape):
    values = np.random.default_rng(9).normal(0, 1, shape)
    half = halved(values)
    assert half.shape == (shape[0] // 2, shape[1] // 2)
    assert half.sum() == pytest.approx(values.sum())
    assert half[0, 0] == pytest.approx(values[:2, :2].sum())


def test_hot_pixels_go_and_small_clouds_stay():
    noise = np.full((40, 50), 0.01)
    cloud = Gaussian2D(25.0, 20.0, 3.0, 3.0, 0.0, 1.0).image((40, 50))
    np.testing.assert_array_equal(without_hot_pixels(cloud, noise, 0.0), cloud)
    hot = cloud.copy()
    hot[5, 7] = hot[0, 49] = hot[33, 2] = 40.0
    np.testing.assert_allclose(without_hot_pixels(hot, noise, 0.0), cloud, atol=1e-9)


@pytest.mark.parametrize(
    "picture", [np.ones((30, 30)), np.full((30, 30), np.nan), np.ones((3, 3)), np.ones((2, 900))]
)
def test_pictures_without_information_have_no_levels(picture):
    assert scale_space(picture) is None
