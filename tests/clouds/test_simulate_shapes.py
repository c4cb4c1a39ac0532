"""Shapes of simulated clouds against closed forms and other libraries."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate_kinds import LABELS, random_cloud
from napari_coldatoms.clouds.simulate_shapes import PROFILES, Part, SimulatedCloud, coaxial

SHAPE = (200, 240)
ELLIPSE = Gaussian2D(x0=110.3, y0=95.8, wx=50.0, wy=22.0, theta=0.5, peak=1.7)


def on_frame(view, shape=SHAPE):
    """Return heights and mask on the whole frame."""
    heights, mask = np.zeros(shape), np.zeros(shape, bool)
    heights[view.slices], mask[view.slices] = view.heights, view.mask
    return heights, mask


def test_a_gaussian_is_equation_1_and_its_mask_the_ellipse(eq1):
    view = SimulatedCloud("ODT", "gaussian", (Part(ELLIPSE),)).render(SHAPE)
    heights, mask = on_frame(view)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    expected = eq1(ELLIPSE.to_array(), y, x)
    # the window ends where exp(-2 2.4²) = 1e-5 of the peak is left
    assert np.abs(heights - expected).max() < 2e-5 * ELLIPSE.peak
    assert view.gaussian == ELLIPSE
    assert view.ellipse
    # pixels whose centres lie inside: the area to a part of the circumference
    assert mask.sum() == pytest.approx(math.pi * 50 * 22, rel=0.005)
    assert np.array_equal(mask, expected >= math.exp(-2) * ELLIPSE.peak)


def test_axes_in_another_order_are_the_same_cloud():
    turned = Gaussian2D(110.3, 95.8, 22.0, 50.0, 0.5 - math.pi / 2, 1.7)
    first, second = (
        SimulatedCloud("ODT", "gaussian", (Part(e),)).render(SHAPE) for e in (ELLIPSE, turned)
    )
    assert second.gaussian.wx == 50.0
    assert second.gaussian.theta == pytest.approx(0.5)
    np.testing.assert_allclose(on_frame(first)[0], on_frame(second)[0], atol=1e-4)


def test_a_condensate_falls_to_its_outline_where_the_closed_form_says():
    view = SimulatedCloud("ODT", "thomas-fermi", (Part(ELLIPSE, "thomas-fermi"),)).render(SHAPE)
    # (1 - r²)**1.5 = exp(-2)
    r = math.sqrt(1 - math.exp(-4 / 3))
    assert view.gaussian.wx == pytest.approx(50 * r, rel=0.01)
    assert view.gaussian.wy == pytest.approx(22 * r, rel=0.01)
    assert view.gaussian.theta == pytest.approx(0.5, abs=0.01)
    assert view.gaussian.x0 == pytest.approx(ELLIPSE.x0, abs=0.1)
    assert view.gaussian.y0 == pytest.approx(ELLIPSE.y0, abs=0.1)
    assert view.gaussian.peak == pytest.approx(1.7, rel=0.002)
    assert view.area == pytest.approx(math.pi * 50 * 22 * r * r, rel=0.01)


def test_a_ring_has_no_hole_in_its_mask():
    part = Part(ELLIPSE, "ring", detail=0.25, lean=(0.4, 1.0))
    view = SimulatedCloud("ODT", "ring", (part,)).render(SHAPE)
    heights, mask = on_frame(view)
    assert heights[96, 110] < 1e-6
    assert mask[96, 110]
    # exp(-2 ((r - 1) / 0.25)²) = exp(-2) at r = 1.25
    assert view.gaussian.wx == pytest.approx(62.5, rel=1e-3)
    assert view.gaussian.wy == pytest.approx(27.5, rel=1e-3)
    assert heights.max() == pytest.approx(1.7, rel=0.01)
    # leaning: the other side has (1 - 0.4) / (1 + 0.4) of the height
    c, s = math.cos(0.5), math.sin(0.5)
    u, v = 50 * math.cos(1.0 + math.pi), 22 * math.sin(1.0 + math.pi)
    low = heights[round(95.8 + u * s + v * c), round(110.3 + u * c - v * s)]
    assert low == pytest.approx(1.7 * 0.6 / 1.4, rel=0.05)


def test_the_bose_profile_is_the_dilogarithm():
    square = np.array([0.0, 0.01, 0.1, 0.4, 1.0, 2.0])
    found = PROFILES["bose"](square, 0.0)
    zeta = float(mpmath.zeta(2))
    expected = [float(mpmath.polylog(2, mpmath.exp(-2 * r)).real) / zeta for r in square]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blur", [1.0, 3.0])
def test_blur_of_a_gaussian_is_the_convolution(blur):
    sharp = SimulatedCloud("ODT", "gaussian", (Part(ELLIPSE),)).render(SHAPE)
    blurred = SimulatedCloud("ODT", "gaussian", (Part(ELLIPSE),), blur).render(SHAPE)
    expected = gaussian_filter(on_frame(sharp)[0], blur, truncate=6)
    np.testing.assert_allclose(on_frame(blurred)[0], expected, atol=1e-3 * ELLIPSE.peak)
    assert blurred.gaussian.wx == pytest.approx(math.hypot(50, 2 * blur))
    assert blurred.gaussian.integral == pytest.approx(ELLIPSE.integral)


def test_blur_of_edges_is_the_convolution():
    for profile, tolerance in (("thomas-fermi", 0.002), ("ring", 0.05)):
        ellipse = Gaussian2D(120.0, 100.0, 40.0, 40.0, 0.0, 1.0)
        part = Part(ellipse, profile, 0.2)
        sharp = SimulatedCloud("ODT", profile, (part,)).render(SHAPE)
        blurred = SimulatedCloud("ODT", profile, (part,), 2.0).render(SHAPE)
        expected = gaussian_filter(on_frame(sharp)[0], 2.0, truncate=5)
        assert np.abs(on_frame(blurred)[0] - expected).max() < tolerance


def test_a_bimodal_outline_is_a_contour():
    thermal = Gaussian2D(120.0, 100.0, 60.0, 50.0, 0.3, 0.6)
    core = Gaussian2D(120.0, 100.0, 12.0, 25.0, 0.3, 1.0)
    parts = (Part(thermal), Part(core, "thomas-fermi"))
    assert not coaxial(parts)
    view = SimulatedCloud("ODT", "bimodal", parts).render(SHAPE)
    assert view.gaussian.peak == pytest.approx(1.6)
    # the thermal part alone reaches exp(-2) 1.6 = 0.6 exp(-2 r²) outside the core
    r = math.sqrt(-0.5 * math.log(1.6 * math.exp(-2) / 0.6))
    assert view.gaussian.wx == pytest.approx(60 * r, rel=0.01)
    assert view.gaussian.wy == pytest.approx(50 * r, rel=0.01)


def test_the_truth_does_not_depend_on_the_border():
    parts = (Part(ELLIPSE, "thomas-fermi"),)
    whole = SimulatedCloud("ODT", "thomas-fermi", parts, 1.5).render(SHAPE)
    cut = SimulatedCloud("ODT", "thomas-fermi", parts, 1.5).render((200, 115))
    assert cut.gaussian == whole.gaussian
    assert cut.area == whole.area
    assert np.array_equal(on_frame(whole)[0][:, :115], on_frame(cut, (200, 115))[0])
    away = SimulatedCloud("ODT", "gaussian", (Part(ELLIPSE),)).render((20, 20))
    assert away.mask.sum() == 0


@pytest.mark.parametrize("label", LABELS)
def test_random_clouds_have_one_outline_without_holes(label):
    from scipy.ndimage import binary_fill_holes
    from scipy.ndimage import label as count

    rng = np.random.default_rng(4)
    for _ in range(60):
        cloud = random_cloud(rng, (300, 300), label)
        _, mask = on_frame(cloud.render((300, 300)), (300, 300))
        assert count(mask, np.ones((3, 3)))[1] <= 1, cloud.shape
        assert np.array_equal(binary_fill_holes(mask), mask), cloud.shape
        assert cloud.highest > 0
