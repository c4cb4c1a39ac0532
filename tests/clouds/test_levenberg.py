"""The compiled sums, gradient, Hessian and minimisation against plain numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from napari_coldatoms.clouds import levenberg
from napari_coldatoms.clouds.normal import curvature, linear_solution, normal_equations, positive
from napari_coldatoms.clouds.sums import accumulate, profile_image

SHAPES = {
    "round": (20.3, 15.6, 0.02, 0.0, 0.02),
    "tilted": (20.3, 15.6, 0.05, 0.03, 0.04),
    "thin": (20.3, 15.6, 1.0, -0.99, 1.0),
    "narrow": (20.5, 15.5, 4.0, 1.0, 3.0),
    "outside": (-30.0, 60.2, 0.001, 0.0004, 0.002),
}


def profile(shape, ny=33, nx=41):
    x0, y0, a, b, c = shape
    y, x = np.mgrid[:ny, :nx]
    dx, dy = x - x0, y - y0
    return np.exp(-(a * dx * dx + 2 * b * dx * dy + c * dy * dy))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_profile_by_recurrence(shape):
    ours = profile_image(np.array(shape), 33, 41)
    # what is cut off is below exp(-40)
    np.testing.assert_allclose(ours, profile(shape), rtol=1e-11, atol=5e-18)


@pytest.mark.parametrize("invalid", [False, True])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_sums(shape, invalid):
    rng = np.random.default_rng(1)
    pixels, valid = rng.normal(0, 1, (33, 41)), np.ones((33, 41))
    if invalid:
        valid = (rng.random((33, 41)) > 0.2).astype(float)
        pixels *= valid
    e2, e1, ep = np.zeros((5, 5)), np.zeros((5, 5)), np.zeros((5, 5))
    accumulate(pixels, valid, not invalid, np.array(shape), e2, e1, ep)
    y, x = np.mgrid[:33, :41]
    e = profile(shape) * valid
    for i in range(5):
        for j in range(5 - i):
            power = (x - shape[0]) ** i * (y - shape[1]) ** j
            for ours, terms in ((e2, e * e * power), (e1, e * power), (ep, e * pixels * power)):
                assert ours[i, j] == pytest.approx(terms.sum(), abs=1e-11 * np.abs(terms).sum())


def linear(pixels, shape):
    """Peak and background by numpy's least squares."""
    e = profile(shape, *pixels.shape).ravel()
    design = np.stack([e, np.ones_like(e)], axis=1)
    solution, rest, *_ = np.linalg.lstsq(design, pixels.ravel(), rcond=None)
    return *solution, rest[0]


def state(pixels, shape):
    e2, e1, ep = np.zeros((5, 5)), np.zeros((5, 5)), np.zeros((5, 5))
    accumulate(pixels, np.ones_like(pixels), True, np.array(shape), e2, e1, ep)
    solution = linear_solution(e2, e1, ep, pixels.size, pixels.sum(), (pixels**2).sum())
    return e2, e1, ep, solution


def test_peak_and_background():
    rng = np.random.default_rng(2)
    pixels = 1.5 * profile(SHAPES["tilted"]) + 0.3 + rng.normal(0, 0.1, (33, 41))
    *_, solution = state(pixels, SHAPES["tilted"])
    assert solution == pytest.approx(linear(pixels, SHAPES["tilted"]), rel=1e-10)


def test_gradient_and_hessian():
    """Of half the sum of squares, by central differences of the plain model."""
    rng = np.random.default_rng(3)
    pixels = 1.5 * profile(SHAPES["tilted"]) + 0.3 + rng.normal(0, 0.3, (33, 41))
    shape = np.array([20.9, 15.2, 0.045, 0.02, 0.05])
    e2, e1, ep, (peak, background, _) = state(pixels, shape)
    gram, gradient = np.zeros((7, 7)), np.zeros(7)
    normal_equations(shape, peak, background, e2, e1, ep, pixels.size, gram, gradient)
    bend = np.zeros((6, 6))
    curvature(shape, peak, background, e2, e1, ep, bend)
    hessian = gram.copy()
    hessian[:6, :6] -= bend

    def half(p):
        return 0.5 * ((pixels - p[6] - p[5] * profile(p[:5])) ** 2).sum()

    p0 = np.array([*shape, peak, background])
    steps = np.diag([1e-3, 1e-3, 1e-5, 1e-5, 1e-5, 1e-3, 1e-3])
    numeric = [(half(p0 + s) - half(p0 - s)) / (2 * s.max()) for s in steps]
    # J'r points downhill
    np.testing.assert_allclose(-gradient, numeric, rtol=1e-4, atol=1e-4)
    second = [
        [
            (half(p0 + s + t) - half(p0 + s - t) - half(p0 - s + t) + half(p0 - s - t))
            / (4 * s.max() * t.max())
            for s in steps
        ]
        for t in steps
    ]
    scale = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(
        hessian / np.outer(scale, scale), second / np.outer(scale, scale), atol=2e-4
    )


def test_positive():
    margin = np.eye(2)
    assert positive(np.array([[2.0, 1.0], [1.0, 2.0]]), margin)
    assert not positive(np.array([[1.0, 2.0], [2.0, 1.0]]), margin)
    assert not positive(np.array([[0.04, 0.0], [0.0, 1.0]]), margin)


def minimise(pixels, start, free=True, theta=0.0):
    return levenberg.minimise(
        pixels, np.ones_like(pixels), True, np.array(start), free, theta, 0.35, 1e-8, 100
    )


@pytest.mark.parametrize("start", [(22, 14, 0.02, 0, 0.02), (17, 19, 0.1, 0.0, 0.02)])
def test_minimum_is_that_of_scipy(start):
    rng = np.random.default_rng(4)
    pixels = 1.5 * profile(SHAPES["tilted"]) + rng.normal(0, 0.1, (33, 41))
    shape, peak, background, rest, _, status = minimise(pixels, start)
    reference = least_squares(
        lambda p: (pixels - p[6] - p[5] * profile(p[:5])).ravel(),
        [*SHAPES["tilted"], 1.5, 0.0],
        x_scale="jac",
        xtol=1e-13,
        ftol=1e-13,
        gtol=1e-13,
    )
    assert status == levenberg.CONVERGED
    np.testing.assert_allclose([*shape, peak, background], reference.x, rtol=1e-5, atol=1e-6)
    assert rest == pytest.approx(2 * reference.cost, rel=1e-9)


def test_exact_data_converge_to_rounding():
    pixels = 1.5 * profile(SHAPES["tilted"]) - 0.2
    shape, *_, iterations, status = minimise(pixels, (22, 14, 0.02, 0.0, 0.02))
    assert status == levenberg.CONVERGED
    np.testing.assert_allclose(shape, SHAPES["tilted"], rtol=1e-10)
    assert iterations <= 12


def test_a_round_start_is_no_saddle():
    """Radii and angle would stop here: the angle's column of the Jacobian is zero."""
    pixels = profile((20.0, 16.0, 0.055, 0.045, 0.055))
    shape, *_ = minimise(pixels, (20.0, 16.0, 0.03, 0.0, 0.03))
    np.testing.assert_allclose(shape, (20.0, 16.0, 0.055, 0.045, 0.055), rtol=1e-9)


def test_large_residuals_do_not_slow_convergence():
    """A sharp core on a wide pedestal: plain Gauss-Newton steps shrink by little each time."""
    pixels = profile((20.0, 16.0, 0.4, 0.1, 0.3)) + 0.5 * profile((19.0, 18.0, 0.02, 0.0, 0.03))
    *_, iterations, status = minimise(pixels, (20.0, 17.0, 0.1, 0.0, 0.1))
    assert status == levenberg.CONVERGED
    assert iterations < 20


def test_fixed_axes_stay():
    angle = 0.3
    pixels = profile(SHAPES["tilted"])
    shape, *_, status = minimise(pixels, (20.0, 16.0, 0.03, 0.0, 0.03), free=False, theta=angle)
    assert status == levenberg.CONVERGED
    c, s = math.cos(angle), math.sin(angle)
    a, b, d = shape[2:]
    assert (d - a) * c * s + b * (c * c - s * s) == pytest.approx(0, abs=1e-12)
    # the minimum is one under that condition
    reference = least_squares(
        lambda p: (
            pixels
            - p[5]
            - p[4]
            * profile(
                (
                    p[0],
                    p[1],
                    p[2] * c * c + p[3] * s * s,
                    (p[2] - p[3]) * c * s,
                    p[2] * s * s + p[3] * c * c,
                )
            )
        ).ravel(),
        [20.0, 16.0, 0.05, 0.04, 1.0, 0.0],
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
    )
    assert shape[:2] == pytest.approx(reference.x[:2], abs=1e-4)
    assert a + d == pytest.approx(reference.x[2] + reference.x[3], rel=1e-4)


def test_a_thin_line_is_no_cloud():
    pixels = np.zeros((33, 41))
    pixels[16] = 1.0
    *_, status = minimise(pixels, (20.0, 16.0, 0.1, 0.0, 0.1))
    assert status in (levenberg.TOO_NARROW, levenberg.TOO_WIDE)
