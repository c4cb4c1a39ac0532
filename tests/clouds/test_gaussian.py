"""Gaussian2D against Eq. 1 written out, numerical moments and geometry."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.gaussian import wrap_angle

CLOUD = Gaussian2D(x0=40.3, y0=25.8, wx=14.0, wy=6.0, theta=0.7, peak=1.7, background=0.2)


def test_model_is_equation_1(eq1):
    y, x = np.mgrid[:60, :80]
    expected = eq1(CLOUD.to_array(), y, x)
    np.testing.assert_allclose(CLOUD.image((60, 80)), expected, rtol=1e-13)
    np.testing.assert_allclose(CLOUD(y, x), expected, rtol=1e-13)


def test_one_over_e_squared_at_the_radius_along_the_angle():
    # theta turns from +x (columns) towards +y (rows)
    x = CLOUD.x0 + CLOUD.wx * math.cos(CLOUD.theta)
    y = CLOUD.y0 + CLOUD.wx * math.sin(CLOUD.theta)
    assert CLOUD(y, x) - CLOUD.background == pytest.approx(CLOUD.peak * math.exp(-2))


def test_integral_is_the_sum_of_the_pixels():
    image = CLOUD.image((120, 160)) - CLOUD.background
    assert image.sum() == pytest.approx(CLOUD.integral, rel=1e-6)


def test_integral_by_quadrature():
    with mpmath.workdps(20):
        along = mpmath.quad(lambda u: mpmath.exp(-2 * u**2 / 14**2), [-mpmath.inf, mpmath.inf])
        across = mpmath.quad(lambda v: mpmath.exp(-2 * v**2 / 6**2), [-mpmath.inf, mpmath.inf])
    assert pytest.approx(float(1.7 * along * across), rel=1e-12) == CLOUD.integral


def test_covariance_is_that_of_the_distribution():
    y, x = np.mgrid[:120, :160]
    cloud = Gaussian2D(80.2, 60.1, 14.0, 6.0, 0.7)
    weights = cloud.image((120, 160))
    weights /= weights.sum()
    dx, dy = x - cloud.x0, y - cloud.y0
    expected = [(weights * p).sum() for p in (dx * dx, dx * dy, dy * dy)]
    np.testing.assert_allclose(cloud.covariance, expected, rtol=1e-6)


@pytest.mark.parametrize("theta", [-1.5, -0.4, 0.0, 0.3, 1.2, math.pi / 2])
@pytest.mark.parametrize("radii", [(9.0, 4.0), (9.0, 8.999), (300.0, 1.0)])
def test_covariance_back_and_forth(theta, radii):
    cloud = Gaussian2D(1.0, 2.0, *radii, theta, 3.0, 4.0)
    again = Gaussian2D.from_covariance(1.0, 2.0, *cloud.covariance, 3.0, 4.0)
    np.testing.assert_allclose(again.to_array(), cloud.to_array(), rtol=1e-9, atol=1e-9)


def test_covariance_along_an_axis_does_not_swap_the_radii():
    cloud = Gaussian2D(0.0, 0.0, 4.0, 9.0, 0.2)
    again = Gaussian2D.from_covariance(0.0, 0.0, *cloud.covariance, axis=0.2)
    np.testing.assert_allclose(again.to_array()[:5], cloud.to_array()[:5], atol=1e-12)
    round_one = Gaussian2D.from_covariance(0.0, 0.0, 4.0, 0.0, 4.0, axis=0.7)
    assert round_one.theta == pytest.approx(0.7)


def test_principal_has_the_major_radius_first_and_is_the_same_cloud():
    cloud = Gaussian2D(10.0, 12.0, 4.0, 9.0, 0.3, 2.0, 0.1)
    principal = cloud.principal()
    assert (principal.wx, principal.wy) == (9.0, 4.0)
    assert -math.pi / 2 < principal.theta <= math.pi / 2
    np.testing.assert_allclose(principal.image((30, 30)), cloud.image((30, 30)), rtol=1e-12)


@pytest.mark.parametrize(
    ("angle", "expected"),
    [
        (0.3, 0.3),
        (math.pi / 2, math.pi / 2),
        (-math.pi / 2, math.pi / 2),
        (math.pi, 0.0),
        (2, 2 - math.pi),
    ],
)
def test_angles_of_axes_wrap(angle, expected):
    assert wrap_angle(angle) == pytest.approx(expected, abs=1e-15)


def test_box_is_the_extent_of_the_contour_in_pixel_edges():
    y0, x0, y1, x1 = CLOUD.ellipse_box()
    contour = CLOUD.contour(20_000)
    # pixel i spans [i, i + 1) as an edge, and has its centre at i as a coordinate
    np.testing.assert_allclose([y0, x0], contour.min(0) + 0.5, atol=1e-5)
    np.testing.assert_allclose([y1, x1], contour.max(0) + 0.5, atol=1e-5)
    hx, hy = CLOUD.half_widths
    assert hx == pytest.approx(math.hypot(14 * math.cos(0.7), 6 * math.sin(0.7)))
    assert hy == pytest.approx(math.hypot(14 * math.sin(0.7), 6 * math.cos(0.7)))


def test_a_single_pixel_box():
    assert Gaussian2D(3.0, 5.0, 0.5, 0.5).ellipse_box() == (5.0, 3.0, 6.0, 4.0)


def test_mask_is_the_pixels_above_one_over_e_squared():
    shape = (60, 80)
    expected = CLOUD.image(shape) - CLOUD.background >= CLOUD.peak * math.exp(-2)
    np.testing.assert_array_equal(CLOUD.mask(shape), expected)
    assert CLOUD.mask(shape).sum() == pytest.approx(math.pi * 14 * 6, rel=0.02)


def test_mask_beyond_the_frame_is_clipped():
    assert not Gaussian2D(-100.0, 5.0, 9.0, 9.0).mask((20, 20)).any()
    cut = Gaussian2D(0.0, 10.0, 6.0, 6.0).mask((20, 20))
    assert cut.any()
    assert cut.sum() < math.pi * 36 * 0.6


def test_corners_are_those_of_the_rotated_rectangle():
    corners = CLOUD.corners()
    assert corners.shape == (4, 2)
    np.testing.assert_allclose(corners.mean(0), [CLOUD.y0, CLOUD.x0])
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    assert np.linalg.norm(first) == pytest.approx(2 * CLOUD.wx)
    assert np.linalg.norm(second) == pytest.approx(2 * CLOUD.wy)
    assert first @ second == pytest.approx(0, abs=1e-10)
    assert math.atan2(first[0], first[1]) == pytest.approx(CLOUD.theta)


@pytest.mark.parametrize("pixel_size", [(2.5, 2.5), (1.0, 3.0), (0.7, 0.2)])
def test_physical_units_describe_the_same_cloud(pixel_size):
    physical = CLOUD.scaled(pixel_size, origin=(100.0, -50.0))
    y, x = np.mgrid[:60, :80]
    np.testing.assert_allclose(
        physical(100 + y * pixel_size[0], -50 + x * pixel_size[1]), CLOUD(y, x), rtol=1e-9
    )


def test_pixels_that_are_not_square_keep_fixed_axes_apart():
    cloud = Gaussian2D(0.0, 0.0, 4.0, 9.0, 0.0)
    physical = cloud.scaled((1.0, 5.0))
    assert (physical.wx, physical.wy, physical.theta) == pytest.approx((20.0, 9.0, 0.0))
    upright = Gaussian2D(0.0, 0.0, 9.0, 4.0, math.pi / 2).scaled((1.0, 5.0))
    assert (upright.wx, upright.wy) == pytest.approx((9.0, 20.0))
    assert abs(upright.theta) == pytest.approx(math.pi / 2)
