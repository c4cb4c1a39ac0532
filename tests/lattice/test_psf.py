"""Light of point spread functions in pixels, against quadrature."""

from __future__ import annotations

import dataclasses
import pickle

import mpmath
import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.special import erf, jv

from napari_coldatoms.lattice import PSF, AiryPSF, GaussianPSF, SampledPSF


def gauss_legendre(function, offset, half, nodes=40):
    """Return the integral of f(y, x) over the pixels of a patch."""
    place, weight = np.polynomial.legendre.leggauss(nodes)
    at = np.arange(-half, half + 1)[:, None] + place / 2
    y, x = at - offset[0], at - offset[1]
    values = function(y[:, :, None, None], x[None, None])
    return np.einsum("iajb,a,b->ij", values, weight / 2, weight / 2)


def sampled(psf_of, size, oversampling):
    grid = (np.arange(size) - size // 2) / oversampling
    return psf_of(grid[:, None], grid[None, :])


def gaussian(y, x, hwhm=2.0):
    return np.exp(-np.log(2) * (y**2 + x**2) / hwhm**2)


def airy(y, x, radius):
    v = np.hypot(y, x) * float(mpmath.besseljzero(1, 1)) / radius
    safe = np.where(v == 0, 1.0, v)
    return np.where(v == 0, 1.0, (2 * jv(1, safe) / safe) ** 2)


def test_gaussian_against_quadrature_of_its_definition():
    psf = GaussianPSF(1.7)
    offset, half = (0.31, -0.44), 4
    total = dblquad(lambda x, y: gaussian(y, x, 1.7), -np.inf, np.inf, -np.inf, np.inf)[0]
    expected = gauss_legendre(lambda y, x: gaussian(y, x, 1.7), offset, half) / total
    light = psf.integrate([offset, (0.0, 0.0)], half)
    assert light.shape == (2, 9, 9)
    np.testing.assert_allclose(light[0], expected, rtol=1e-11)
    np.testing.assert_allclose(light[1], light[1].T, rtol=1e-13)


@pytest.mark.parametrize("radius", [0.6, 2.0, 7.1, 15.0])
def test_airy_against_quadrature_of_the_bessel_function(radius):
    offset, half = (-0.5, 0.27), 9
    light = AiryPSF(radius).integrate([offset], half)[0]
    scale = float(mpmath.besseljzero(1, 1)) ** 2 / (4 * np.pi * radius**2)
    expected = scale * gauss_legendre(lambda y, x: airy(y, x, radius), offset, half)
    np.testing.assert_allclose(light, expected, rtol=0, atol=1e-7 * light.max())


def test_airy_total_light_and_rings():
    # Born & Wolf: 1 - J0² - J1² of the light lies within r
    radius, half = 2.0, 60
    light = AiryPSF(radius).integrate([(0.0, 0.0)], half)[0]
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    for reach in (20.5, 40.5):
        v = mpmath.besseljzero(1, 1) / radius * reach
        within = 1 - float(mpmath.besselj(0, v) ** 2 + mpmath.besselj(1, v) ** 2)
        assert light[np.hypot(y, x) <= reach].sum() == pytest.approx(within, abs=3e-4)
    assert AiryPSF(radius).cutoff == pytest.approx(
        radius * float(mpmath.besseljzero(1, 2) / mpmath.besseljzero(1, 1))
    )


def test_half_widths():
    assert GaussianPSF(2.5).hwhm == 2.5
    assert gaussian(0.0, 2.5, 2.5) == pytest.approx(0.5)
    psf = AiryPSF(4.0)
    assert airy(0.0, psf.hwhm, 4.0) == pytest.approx(0.5, rel=1e-12)
    assert GaussianPSF(2.5).sigma == pytest.approx(2.5 / np.sqrt(2 * np.log(2)))
    grid = SampledPSF(sampled(gaussian, 61, 4.0), 4.0)
    assert grid.hwhm == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("oversampling", [3.0, 5.0])
def test_samples_of_a_gaussian_are_the_gaussian(oversampling):
    size = 2 * int(10 * oversampling) + 1
    psf = SampledPSF(17.0 * sampled(gaussian, size, oversampling), oversampling)
    offsets = [(0.1, -0.4), (0.5, 0.5), (0.0, 0.0)]
    light = psf.integrate(offsets, 6)
    np.testing.assert_allclose(light, GaussianPSF(2.0).integrate(offsets, 6), atol=3e-6)
    assert psf.cutoff == pytest.approx(10.0, abs=0.2)


def test_samples_need_not_be_symmetric():
    def skew(y, x):
        return gaussian(y, x) * (1 + 0.3 * np.tanh(y) - 0.2 * np.tanh(x - 0.5 * y))

    psf = SampledPSF(sampled(skew, 101, 5.0), 5.0)
    offset = (0.2, -0.3)
    expected = gauss_legendre(skew, offset, 5)
    total = gauss_legendre(skew, (0, 0), 12).sum()
    np.testing.assert_allclose(psf.integrate([offset], 5)[0], expected / total, atol=3e-6)


def test_light_outside_of_the_samples_is_none():
    peak = SampledPSF(sampled(gaussian, 21, 2.0), 2.0)  # reaches 5 px
    light = peak.integrate([(0.0, 0.0)], 9)[0]
    assert np.all(light[:4] == 0)
    assert np.all(light[:, -4:] == 0)
    assert light.sum() == pytest.approx(1.0, rel=1e-12)


def test_pixel_integrated_samples_are_not_integrated_again():
    oversampling, half = 4.0, 5
    grid = (np.arange(81) - 40) / oversampling
    scale = np.sqrt(np.log(2)) / 2.0
    profile = erf(scale * (grid + 0.5)) - erf(scale * (grid - 0.5))
    psf = SampledPSF(np.outer(profile, profile), oversampling, pixel_integrated=True)
    offsets = [(0.13, -0.37), (0.0, 0.5)]
    expected = GaussianPSF(2.0).integrate(offsets, half)
    np.testing.assert_allclose(psf.integrate(offsets, half), expected, atol=3e-6)
    assert not np.allclose(
        SampledPSF(psf.array, oversampling).integrate(offsets, half), expected, atol=1e-4
    )


@pytest.mark.parametrize(
    "psf", [GaussianPSF(1.4), AiryPSF(3.0, 4.0), SampledPSF(sampled(gaussian, 41, 4.0), 4.0)]
)
def test_moving_the_site_by_a_pixel_moves_the_patch(psf):
    left, right = psf.integrate([(0.5, 0.2), (-0.5, 0.2)], 4)
    np.testing.assert_allclose(left[1:], right[:-1], atol=1e-12)
    assert isinstance(psf, PSF)
    again = pickle.loads(pickle.dumps(psf))
    np.testing.assert_array_equal(again.integrate([(0.1, 0.2)], 3), psf.integrate([(0.1, 0.2)], 3))
    wider = dataclasses.replace(psf, cutoff=6.0)
    assert wider.cutoff == 6.0
    assert wider.hwhm == pytest.approx(psf.hwhm, rel=1e-12)


def test_default_cutoffs_and_equality():
    assert GaussianPSF(2.0).cutoff == 6.0
    assert GaussianPSF(2.0, 4.0).cutoff == 4.0
    assert GaussianPSF(2.0) == GaussianPSF(2, cutoff=6)
    assert AiryPSF(2.0) != AiryPSF(2.1)
    assert len({GaussianPSF(2.0), GaussianPSF(2.0)}) == 1


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_bad_lengths_are_refused(bad):
    for make in (GaussianPSF, AiryPSF):
        with pytest.raises(ValueError, match="expected a positive, finite"):
            make(bad)
        with pytest.raises(ValueError, match="cutoff"):
            make(2.0, bad)
    with pytest.raises(ValueError, match="oversampling"):
        SampledPSF(sampled(gaussian, 21, 2.0), bad)


def test_bad_samples_and_offsets_are_refused():
    good = sampled(gaussian, 21, 2.0)
    with pytest.raises(ValueError, match=r"odd sizes of at least 5.*\(20, 21\)"):
        SampledPSF(good[1:], 2.0)
    with pytest.raises(ValueError, match="odd sizes"):
        SampledPSF(good[0], 2.0)
    with pytest.raises(ValueError, match="odd sizes"):
        SampledPSF(np.ones((3, 3)), 2.0)
    with pytest.raises(ValueError, match="finite values"):
        SampledPSF(np.where(good > 0.9, np.nan, good), 2.0)
    with pytest.raises(ValueError, match="positive total light"):
        SampledPSF(-good, 2.0)
    with pytest.raises(ValueError, match="brightest in the middle"):
        SampledPSF(np.ones((9, 9)), 2.0)
    with pytest.raises(ValueError, match=r"shape \(k, 2\)"):
        GaussianPSF(2.0).integrate((0.1, 0.2), 3)
    with pytest.raises(ValueError, match="half"):
        GaussianPSF(2.0).integrate([(0.1, 0.2)], -1)
