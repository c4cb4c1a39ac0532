"""The misfit of lattice and PSF, found in images whose misfit is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstructor,
    SampledPSF,
    simulate,
)
from napari_coldatoms.lattice.misfit import (
    NO_MISFIT,
    Misfit,
    find_misfit,
    fit_light,
    laplacian,
    slope,
)
from napari_coldatoms.lattice.optics import make_optics

LATTICE = Lattice.square(4.0, (40, 40), origin=(11.3, 10.6))
SHAPE = (180, 178)


def picture(offset=(0.0, 0.0), width=1.0, *, seed=0, lattice=LATTICE, hwhm=3.0, shape=SHAPE):
    """Return an image that differs by a misfit from what is expected."""
    return simulate(
        lattice.shift(offset),
        GaussianPSF(hwhm * width),
        image_shape=shape,
        occupancy=0.5,
        brightness=1000.0,
        brightness_sd=100.0,
        background=50.0,
        read_noise=2.0,
        rng=seed,
    )


def found_once(offset=(0.0, 0.0), width=1.0, *, seed=0):
    """Return the misfit to first order, for a known occupation."""
    truth = picture(offset, width, seed=seed)
    light = make_optics(LATTICE, GaussianPSF(3.0), SHAPE).image(truth.occupied.astype(float))
    return find_misfit(truth.image - 50.0, np.ones(SHAPE), light, 3.0)


@pytest.mark.parametrize("offset", [(0.3, 0.0), (0.0, -0.3), (-0.2, 0.25), (0.1, 0.0)])
def test_shift_is_found(offset):
    found = found_once(offset)
    np.testing.assert_allclose(found.offset, offset, atol=0.03)
    assert found.width == pytest.approx(1.0, abs=0.015)


@pytest.mark.parametrize("width", [0.92, 0.97, 1.04, 1.08])
def test_width_is_found(width):
    found = found_once(width=width)
    assert found.width == pytest.approx(width, abs=0.015)
    np.testing.assert_allclose(found.offset, 0.0, atol=0.02)


def test_no_misfit_where_there_is_none():
    for seed in range(6):
        assert not found_once(seed=seed).is_there


def test_misfit_is_not_larger_than_first_order_allows():
    found = found_once((3.0, 0.0))
    assert abs(found.offset[0]) <= 0.75
    assert 0.8 < found_once(width=2.0).width < 1.2
    assert 0.8 < found_once(width=0.4).width < 1.2


def test_image_without_light_has_no_misfit():
    rng = np.random.default_rng(0)
    light = make_optics(LATTICE, GaussianPSF(3.0), SHAPE).image(np.ones(1600))
    noise = rng.normal(0, 7, SHAPE)
    assert find_misfit(noise - light, np.ones(SHAPE), light, 3.0) == NO_MISFIT
    assert find_misfit(noise, np.ones(SHAPE), np.zeros(SHAPE), 3.0) == NO_MISFIT


def test_bad_pixels_do_not_count():
    truth = picture((0.2, 0.0))
    light = make_optics(LATTICE, GaussianPSF(3.0), SHAPE).image(truth.occupied.astype(float))
    bad = np.random.default_rng(1).random(SHAPE) < 0.02
    image = np.where(bad, 5e4, truth.image) - 50.0
    found = find_misfit(image, 1.0 - bad, light, 3.0)
    np.testing.assert_allclose(found.offset, (0.2, 0.0), atol=0.03)


def test_several_images_have_one_misfit():
    optics = make_optics(LATTICE, GaussianPSF(3.0), SHAPE)
    truths = [picture((0.2, -0.1), 1.04, seed=seed) for seed in range(4)]
    images = np.stack([truth.image - 50.0 for truth in truths])
    light = np.stack([optics.image(truth.occupied.astype(float)) for truth in truths])
    found = find_misfit(images, np.ones_like(images), light, 3.0)
    np.testing.assert_allclose(found.offset, (0.2, -0.1), atol=0.015)
    assert found.width == pytest.approx(1.04, abs=0.01)


def test_brightness_and_level_are_fitted():
    rng = np.random.default_rng(2)
    light = rng.random((40, 50))
    good = (rng.random((40, 50)) < 0.8).astype(float)
    signal = np.where(good > 0, 700 * light + 13.0, 1e6)
    assert fit_light(signal, good, light) == pytest.approx((700.0, 13.0))
    assert fit_light(-signal, good, light)[0] == 0.0


@pytest.mark.parametrize("shape", [(30, 40), (3, 30, 40)])
def test_derivatives_of_a_parabola(shape):
    y, x = np.mgrid[:30, :40].astype(float)
    image = np.broadcast_to(0.5 * y**2 - x**2 + 3 * x * y, shape)
    inner = np.s_[..., 1:-1, 1:-1]
    for axis, exact in ((-2, y + 3 * x), (-1, -2 * x + 3 * y)):
        found = slope(image, axis)
        assert found.shape == shape
        np.testing.assert_allclose(found[inner], np.broadcast_to(exact, shape)[inner])
    np.testing.assert_allclose(laplacian(image)[inner], -1.0)


def test_misfits_add_up_in_round_numbers():
    both = Misfit((0.113, 0.0), 1.052).after(Misfit((0.04, -0.2), 1.03))
    np.testing.assert_allclose(both.offset, (0.16, -0.2), atol=1e-12)
    assert both.width == pytest.approx(1.085)
    assert NO_MISFIT.after(Misfit((0.2, -0.04), 0.95)) == Misfit((0.2, -0.04), 0.95)
    # equal values are the same misfit, under which optics are kept
    assert Misfit((0.1, 0.0)).after(Misfit((0.2, 0.0))) == Misfit((0.3, 0.0))


@pytest.mark.parametrize(
    ("misfit", "matters"),
    [
        (Misfit(), False),
        (Misfit((0.04, -0.04), 1.01), False),
        (Misfit((0.0, -0.06)), True),
        (Misfit(width=0.98), True),
    ],
)
def test_small_misfits_do_not_matter(misfit, matters):
    assert misfit.is_there is matters


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(LATTICE, GaussianPSF(3.0), image_shape=SHAPE)


@pytest.mark.parametrize(
    ("offset", "width"),
    [((0.3, 0.0), 1.0), ((-0.7, 0.5), 1.0), ((0.0, 0.0), 1.08), ((0.0, 0.0), 0.92)],
)
@pytest.mark.parametrize("method", ["local", "alternating"])
def test_reconstruction_is_adjusted(reconstructor, offset, width, method):
    truth = picture(offset, width, seed=3)
    found = reconstructor.reconstruct(truth.image, read_noise=2.0, method=method)
    # what is left of it does no harm
    np.testing.assert_allclose(found.offset, offset, atol=0.09)
    assert found.psf_width == pytest.approx(width, abs=0.045)
    errors = np.count_nonzero(found.occupied != truth.occupied)
    assert errors <= {"local": 16, "alternating": 6}[method]
    plain = reconstructor.reconstruct(truth.image, read_noise=2.0, method=method, misfit=None)
    assert plain.offset == (0.0, 0.0)
    assert plain.psf_width == 1.0
    assert errors <= np.count_nonzero(plain.occupied != truth.occupied) + 2


def test_reconstruction_of_a_measured_psf_is_adjusted():
    measured = SampledPSF(
        GaussianPSF(3.0).integrate(np.zeros((1, 2)), 9)[0], 1, pixel_integrated=True
    )
    truth = picture((0.2, 0.1), 1.07, seed=4)
    found = Reconstructor(LATTICE, measured, image_shape=SHAPE).reconstruct(
        truth.image, read_noise=2.0
    )
    np.testing.assert_allclose(found.offset, (0.2, 0.1), atol=0.09)
    assert found.psf_width == pytest.approx(1.07, abs=0.04)


@pytest.mark.parametrize("hwhm", [2.0, 2.69, 3.0, 3.35, 3.94])
def test_nothing_is_adjusted_without_a_misfit(hwhm):
    lattice = Lattice.square(4.0, (30, 30), origin=(13.3, 13.6))
    reconstructor = Reconstructor(lattice, GaussianPSF(hwhm), image_shape=(145, 145))
    for seed in range(3):
        truth = picture(seed=seed, lattice=lattice, hwhm=hwhm, shape=(145, 145))
        found = reconstructor.reconstruct(truth.image, read_noise=2.0)
        assert max(map(abs, found.offset)) <= 0.1
        assert found.psf_width == pytest.approx(1.0, abs=0.035)


def test_known_parameters_leave_lattice_and_psf_as_they_are(reconstructor):
    known = ImagingParameters(0.5, 1000.0, 100.0, 50.0, 2.0)
    found = reconstructor.reconstruct(picture((0.3, 0.0)).image, parameters=known)
    assert found.offset == (0.0, 0.0)
    assert found.psf_width == 1.0
