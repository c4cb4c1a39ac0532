"""Moments of masks and pictures against closed forms and simulated truth."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import ndimage

from napari_coldatoms.clouds import Gaussian2D, amplitude, moments


def test_second_moment_of_a_filled_ellipse():
    """The closed form behind the recipe: variance along an axis is w²/4."""
    with mpmath.workdps(15):
        strip = lambda x: 2 * 5 * mpmath.sqrt(1 - (x / 9) ** 2)  # noqa: E731
        second = mpmath.quad(lambda x: x**2 * strip(x), [-9, 9])
        area = mpmath.quad(strip, [-9, 9])
    assert 2 * math.sqrt(second / area) == pytest.approx(9, rel=1e-6)


@pytest.mark.parametrize("theta", [0.0, 0.5, -1.1, math.pi / 2])
def test_parameters_of_a_large_mask(theta):
    truth = Gaussian2D(150.3, 120.7, 90.0, 40.0, theta)
    found = moments(truth.mask((240, 300)))
    np.testing.assert_allclose(found.to_array()[:4], truth.to_array()[:4], rtol=2e-3)
    assert math.remainder(found.theta - theta, math.pi) == pytest.approx(0, abs=3e-3)
    assert math.isnan(found.peak)
    assert math.isnan(found.background)


def test_pixels_need_no_correction_for_their_own_size():
    """Averaged over where the centre falls, small masks give their radii without the 1/12 px²."""
    rng = np.random.default_rng(1)
    plain, corrected = [], []
    for _ in range(3000):
        theta, minor = rng.uniform(-1.5, 1.5), rng.uniform(2.5, 4.0)
        truth = Gaussian2D(15 + rng.uniform(), 15 + rng.uniform(), 1.4 * minor, minor, theta)
        found = moments(truth.mask((32, 32)))
        cxx, _, cyy = found.covariance
        txx, _, tyy = truth.covariance
        plain.append((cxx + cyy) / (txx + tyy) - 1)
        corrected.append((cxx + cyy + 1 / 6) / (txx + tyy) - 1)
    # error of the mean of 3000 values: 1e-3
    assert abs(np.mean(plain)) < 4e-3
    assert abs(np.mean(plain)) < 0.2 * abs(np.mean(corrected))


def test_soft_values_below_one_half_are_dropped_and_others_are_weights():
    mask = np.zeros((9, 9))
    mask[4, 2], mask[4, 6], mask[4, 8], mask[0, 0] = 1.0, 0.5, 0.49, 0.3
    found = moments(mask, kind="mask")
    weights = np.array([1.0, 0.5])
    mean = (weights * [2, 6]).sum() / 1.5
    variance = (weights * (np.array([2, 6]) - mean) ** 2).sum() / 1.5
    assert found.x0 == pytest.approx(mean)
    assert found.y0 == pytest.approx(4)
    assert found.wx == pytest.approx(2 * math.sqrt(variance))
    assert found.wy == pytest.approx(0, abs=1e-12)


def test_mask_with_a_picture_gives_peak_and_background():
    rng = np.random.default_rng(2)
    truth = Gaussian2D(60.4, 52.2, 22.0, 11.0, 0.4, 1.3, 0.25)
    picture = truth.image((110, 120)) + rng.normal(0, 0.05, (110, 120))
    found = moments(truth.mask((110, 120)), picture=picture)
    assert found.peak == pytest.approx(1.3, rel=0.02)
    assert found.background == pytest.approx(0.25, abs=0.01)


def test_peak_is_that_of_equation_3():
    """For a whole ellipse of many pixels, the sums are Eq. 3's closed form."""
    shape = (240, 300)
    truth = Gaussian2D(150.3, 120.7, 60.0, 35.0, 0.4, 1.3, 0.25)
    picture = truth.image(shape)
    power = picture[truth.mask(shape)].sum()
    equation_3 = 2 / (1 - math.exp(-2)) * (power / (math.pi * 60 * 35) - 0.25)
    found = amplitude(truth, picture, 0.25)
    assert found.peak == pytest.approx(1.3, rel=1e-12)
    assert equation_3 == pytest.approx(found.peak, rel=3e-3)


def test_part_of_the_volume_inside_the_ellipse():
    with mpmath.workdps(15):
        inside = mpmath.quad(lambda r: 2 * mpmath.pi * r * mpmath.exp(-2 * r**2), [0, 1])
    assert float(inside / (mpmath.pi / 2)) == pytest.approx(1 - math.exp(-2), rel=1e-12)


def test_peak_of_a_cloud_cut_by_the_border_with_invalid_pixels():
    truth = Gaussian2D(3.0, 20.0, 15.0, 8.0, 0.3, 2.0, 0.1)
    picture = truth.image((50, 60))
    picture[18:22, 2:9] = np.nan
    assert amplitude(truth, picture, 0.1).peak == pytest.approx(2.0, rel=1e-9)


def test_small_clouds_have_no_biased_peak():
    """Eq. 3 taken literally scatters with the number of pixels in the ellipse; the sums do not."""
    rng = np.random.default_rng(3)
    ours, literal = [], []
    for _ in range(500):
        truth = Gaussian2D(20 + rng.uniform(), 20 + rng.uniform(), 3.0, 3.0, 0.0, 1.0, 0.5)
        picture = truth.image((41, 41))
        ours.append(amplitude(truth, picture, 0.5).peak)
        power = picture[truth.mask((41, 41))].sum()
        literal.append(2 / (1 - math.exp(-2)) * (power / (math.pi * 9) - 0.5))
    assert np.ptp(ours) < 1e-12
    assert np.std(literal) > 0.02


def test_moments_of_a_picture_need_the_background_subtracted():
    truth = Gaussian2D(50.2, 40.6, 18.0, 9.0, 0.5, 2.0, 0.1)
    picture = truth.image((81, 101))
    good = moments(picture, kind="picture", background=0.1)
    np.testing.assert_allclose(good.to_array(), truth.to_array(), rtol=0.01)
    biased = moments(picture, kind="picture", background=None)
    assert biased.wx > 1.2 * truth.wx


def test_truncation_makes_the_radii_of_a_picture_too_small():
    """About 12 % within the 1/e² box without background (a known bias of the method)."""
    truth = Gaussian2D(50.0, 50.0, 20.0, 20.0, 0.0, 1.0, 0.0)
    crop = truth.image((101, 101))[30:71, 30:71]
    found = moments(crop, kind="picture", background=None)
    # closed form: truncated normal of ±2 sigma
    phi, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))
    assert found.wx / 20 == pytest.approx(math.sqrt(1 - 4 * phi / inside), abs=0.02)
    assert found.wx / 20 == pytest.approx(0.88, abs=0.02)


def test_kinds_are_told_apart():
    truth = Gaussian2D(20.0, 20.0, 6.0, 6.0, 0.0, 3.0, 0.0)
    assert math.isnan(moments(truth.mask((41, 41))).peak)
    assert moments(truth.image((41, 41))).peak == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("mask", [np.zeros((5, 5)), np.full((5, 5), 0.4), np.full((5, 5), np.nan)])
def test_an_empty_mask_is_refused(mask):
    with pytest.raises(ValueError, match="expected a mask"):
        moments(mask, kind="mask")


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="two-dimensional"):
        moments(np.zeros(7))
    with pytest.raises(ValueError, match="expected a picture of the mask's shape"):
        moments(np.ones((5, 5), dtype=bool), picture=np.ones((6, 5)))


@pytest.mark.parametrize("peak", [0.3, 0.8, 1.0])
def test_a_picture_within_0_and_1_is_no_mask(peak):
    truth = Gaussian2D(80.0, 60.0, 30.0, 12.0, 0.5, peak)
    found = moments(truth.image((130, 170)))
    np.testing.assert_allclose(found.to_array(), truth.to_array(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("blur", [0.7, 2.0])
def test_a_soft_mask_is_a_mask(blur):
    truth = Gaussian2D(80.0, 60.0, 30.0, 12.0, 0.5)
    soft = ndimage.gaussian_filter(truth.mask((130, 170)).astype(float), blur)
    assert math.isnan(moments(soft).peak)
