"""The point spread function measured in simulated images, against the one they were made with."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import erf

from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    Lattice,
    Reconstructor,
    SampledPSF,
    simulate,
)
from napari_coldatoms.lattice.phase import Camera, PhaseFinder
from napari_coldatoms.lattice.psf_fit import measure_psf
from napari_coldatoms.lattice.psf_variations import PSFVariations
from napari_coldatoms.lattice.radial import RadialBasis

DENSE, DENSE_SHAPE = Lattice.square(4.0, (40, 40), origin=(11.3, 10.6)), (180, 178)
WIDE, WIDE_SHAPE = Lattice.square(12.0, (15, 15), origin=(20.2, 19.7)), (208, 206)
AIRY_RADIUS = 2.370635  # half widths at half maximum
CAMERA = Camera(read_noise=1.0)
SMALL, SMALL_SHAPE = Lattice.square(4.0, (24, 24), origin=(11.3, 10.6)), (116, 114)


def sampled(light, hwhm):
    """Return a PSF of a function of the place, in px, out to 4.5 half widths."""
    count = int(np.ceil(18 * hwhm))
    grid = np.arange(-count, count + 1) / 4
    return SampledPSF(light(grid[:, None], grid[None, :]), 4, 4.5 * hwhm)


def pedestal(hwhm):
    """Return a Gaussian on a wider one that holds a tenth of the light."""
    variance = hwhm**2 / (2 * np.log(2))

    def light(y, x):
        r2 = (y**2 + x**2) / (2 * variance)
        return 0.9 * np.exp(-r2) + 0.1 / 9 * np.exp(-r2 / 9)

    return sampled(light, hwhm)


def points(psf, hwhm):
    """Return the light at points within 4.5 half widths, of sum 1, and their radius."""
    count = int(18 * hwhm)
    fine = psf.scaled(12).integrate(np.zeros((1, 2)), 3 * count)[0, ::3, ::3]
    grid = np.arange(-count, count + 1) / 4
    radius = np.hypot(grid[:, None], grid[None, :])
    fine = np.where(radius <= 4.5 * hwhm, fine, 0.0)
    return fine / fine.sum(), radius


def distances(psf, truth, hwhm):
    """Return how far two PSFs differ: rms of the values, and the light within any radius."""
    (a, radius), (b, _) = points(psf, hwhm), points(truth, hwhm)
    order = np.argsort(radius, axis=None)
    within = np.cumsum((a - b).ravel()[order])
    return np.linalg.norm(a - b) / np.linalg.norm(b), np.abs(within).max()


def best_gaussian(truth, hwhm):
    light, _ = points(truth, hwhm)

    def misfit(width):
        other, _ = points(GaussianPSF(width), hwhm)
        return -np.vdot(other, light) / np.linalg.norm(other)

    bounds = (0.8 * hwhm, 1.2 * hwhm)
    return GaussianPSF(float(minimize_scalar(misfit, bounds=bounds, method="bounded").x))


def shots(lattice, truth, shape, count, seed, **options):
    rng = np.random.default_rng(seed)
    usual = {"occupancy": 0.5, "brightness": 1000.0, "brightness_sd": 100.0, "background": 5.0}
    for _ in range(count):
        offset = rng.uniform(-0.5, 0.5, 2)
        moved = lattice.shift(offset)
        made = simulate(
            moved, truth, image_shape=shape, read_noise=1.0, rng=rng, **{**usual, **options}
        )
        yield made, (float(offset[0]), float(offset[1]))


def fits_of(lattice, start, truth, shape, count=10, seed=0, **options):
    finder = PhaseFinder(lattice, start, shape)
    fits = []
    for made, offset in shots(lattice, truth, shape, count, seed, **options):
        _, fit = finder.fit(finder.shot(made.image, CAMERA), offset)
        assert fit is not None
        fits.append(fit)
    return fits


@lru_cache(maxsize=8)
def sites(lattice, psf, shape):
    """Return the lattice as the finder of phases has it, which may add sites around."""
    return PhaseFinder(lattice, psf, shape).setup.lattice


def measured(fits, lattice, psf):
    return measure_psf(fits, sites(lattice, psf, fits[0].shot.image.shape), psf)


@pytest.fixture(scope="module")
def airy():
    """Return an Airy pattern, the Gaussian most like it, shots, and the PSF measured in them."""
    truth = AiryPSF(3.0 * AIRY_RADIUS)
    start = best_gaussian(truth, 3.0)
    fits = fits_of(DENSE, start, truth, DENSE_SHAPE, 6)
    return truth, start, fits, measured(fits, DENSE, start)


def test_airy_pattern_of_overlapping_sites(airy):
    truth, start, _, found = airy
    before, after = distances(start, truth, 3.0), distances(found.psf, truth, 3.0)
    assert before[0] > 5 * after[0]
    assert before[1] > 5 * after[1]
    assert found.psf.hwhm == pytest.approx(3.0, rel=0.015)
    assert found.significant
    assert found.improvement > 20


@pytest.mark.parametrize(
    ("truth", "hwhm", "lattice", "shape", "nearer"),
    [
        (pedestal(3.0), 3.0, DENSE, DENSE_SHAPE, 3.0),
        (AiryPSF(2.0 * AIRY_RADIUS), 2.0, WIDE, WIDE_SHAPE, 5.0),
        (pedestal(2.0), 2.0, WIDE, WIDE_SHAPE, 3.5),
    ],
    ids=["pedestal, dense", "Airy, tweezers", "pedestal, tweezers"],
)
def test_shape_is_measured(truth, hwhm, lattice, shape, nearer):
    start = best_gaussian(truth, hwhm)
    found = measured(fits_of(lattice, start, truth, shape), lattice, start)
    before, after = distances(start, truth, hwhm), distances(found.psf, truth, hwhm)
    assert before[0] > nearer * after[0]
    assert before[1] > nearer * after[1]
    assert found.psf.hwhm == pytest.approx(truth.hwhm, rel=0.015)
    assert found.significant


def test_right_psf_is_not_refuted():
    psf = GaussianPSF(3.0)
    for seed in range(10):
        found = measured(fits_of(SMALL, psf, psf, SMALL_SHAPE, 2, seed), SMALL, psf)
        assert not found.significant
        assert found.improvement < 1
        assert abs(found.psf.hwhm - 3.0) < min(4 * found.hwhm_error, 0.15)


def test_errors_are_those_of_the_samples():
    psf = GaussianPSF(3.0)
    found = measured(fits_of(DENSE, psf, psf, DENSE_SHAPE, 10, 11), DENSE, psf)
    assert found.psf.hwhm == pytest.approx(3.0, rel=0.01)
    middle = len(found.psf.array) // 2
    grid = np.arange(-middle, middle + 1) / found.psf.oversampling
    radius = np.hypot(grid[:, None], grid[None, :])
    truth = np.exp2(-((radius / 3.0) ** 2))
    truth *= found.psf.oversampling**2 / truth.sum()
    near = radius < 9.0
    deviations = (found.psf.array - truth)[near] / found.error[near]
    assert 0.6 < np.sqrt(np.mean(deviations**2)) < 1.5
    assert found.error[near].max() < 0.01 * truth.max()


def test_axes_of_different_width():
    variance = 9.0 / (2 * np.log(2))
    truth = sampled(lambda y, x: np.exp(-((y / 1.05) ** 2 + (x / 0.95) ** 2) / (2 * variance)), 3.0)
    start = best_gaussian(truth, 3.0)
    found = measured(fits_of(DENSE, start, truth, DENSE_SHAPE, 6), DENSE, start)
    assert found.significant
    before, after = distances(start, truth, 3.0), distances(found.psf, truth, 3.0)
    assert before[0] > 4 * after[0]
    light, _ = points(found.psf, 3.0)
    middle = len(light) // 2
    widths = [
        np.interp(0.5, line[middle + 20 : middle : -1] / line[middle], np.arange(20, 0, -1) / 4)
        for line in (light[:, middle], light[middle])
    ]
    assert widths[0] / widths[1] == pytest.approx(1.05 / 0.95, abs=0.02)


def test_arbitrary_positions():
    rng = np.random.default_rng(0)
    lattice = Lattice.from_positions(WIDE.positions + rng.uniform(-1.5, 1.5, (225, 2)))
    truth = AiryPSF(2.0 * AIRY_RADIUS)
    start = best_gaussian(truth, 2.0)
    found = measured(fits_of(lattice, start, truth, WIDE_SHAPE, 6), lattice, start)
    assert distances(start, truth, 2.0)[1] > 5 * distances(found.psf, truth, 2.0)[1]
    assert found.significant


def test_uneven_brightness_and_background_are_no_wider_psf():
    y, x = np.mgrid[: DENSE_SHAPE[0], : DENSE_SHAPE[1]]
    background = 50 + 20 * (x / 178 - 0.5) + 50 * np.exp(-((y - 90) ** 2 + (x - 80) ** 2) / 3200)
    away = DENSE.positions - DENSE.positions.mean(axis=0)
    brightness = 1000 * np.exp(-(away**2).sum(axis=1) / (2 * 70.0**2))
    psf = GaussianPSF(3.0)
    for options in ({"background": background}, {"brightness": brightness}):
        found = measured(fits_of(DENSE, psf, psf, DENSE_SHAPE, 4, **options), DENSE, psf)
        assert not found.significant
        assert distances(found.psf, psf, 3.0)[1] < 0.03


def test_measured_psf_is_as_good_as_the_true_one(airy):
    truth, start, _, found = airy
    squares = {}
    for name, psf in (("start", start), ("found", found.psf), ("truth", truth)):
        errors = []
        for made, offset in shots(DENSE, truth, DENSE_SHAPE, 3, 100, background=50.0):
            judge = Reconstructor(DENSE.shift(offset), psf, image_shape=DENSE_SHAPE)
            result = judge.reconstruct(made.image, method="global", read_noise=1.0)
            # of the best multiple, as the brightness is that of the light within the PSF's cutoff
            scale = np.vdot(result.brightness, made.brightness) / np.vdot(*2 * [result.brightness])
            errors.append(scale * result.brightness - made.brightness)
        squares[name] = np.mean(np.square(errors))
    assert squares["found"] == pytest.approx(squares["truth"], rel=0.02)
    assert squares["found"] < 0.97 * squares["start"]


def test_settles(airy):
    truth, _, _, found = airy
    fits = fits_of(DENSE, found.psf, truth, DENSE_SHAPE, 4, seed=1)
    again = measured(fits, DENSE, found.psf)
    assert not again.significant
    assert again.psf.hwhm == pytest.approx(3.0, rel=0.015)


def test_one_shot_is_enough_to_see_a_wrong_shape(airy):
    truth, start, fits, _ = airy
    found = measured(fits[:1], DENSE, start)
    assert found.significant
    assert distances(start, truth, 3.0)[1] > 3 * distances(found.psf, truth, 3.0)[1]


def test_many_or_large_shots_are_not_all_used(monkeypatch):
    psf = GaussianPSF(3.0)
    fits = fits_of(DENSE, psf, psf, DENSE_SHAPE, 2)
    once = measured(fits, DENSE, psf)
    monkeypatch.setattr("napari_coldatoms.lattice.psf_fit._MOST_PIXELS", 70_000)
    many = measured([fits[0]] * 20 + [fits[1]] * 20, DENSE, psf)
    np.testing.assert_allclose(many.psf.array, once.psf.array, atol=1e-4 * once.psf.array.max())
    # in windows that are smaller than the image
    monkeypatch.setattr("napari_coldatoms.lattice.psf_fit._TILE", 100)
    tiles = measured(fits, DENSE, psf)
    assert distances(tiles.psf, psf, 3.0)[0] < 0.04


def test_shots_without_light():
    psf = GaussianPSF(3.0)
    with pytest.raises(ValueError, match="found none"):
        measure_psf([], DENSE, psf)
    fit = fits_of(DENSE, psf, psf, DENSE_SHAPE, 1)[0]
    with pytest.raises(ValueError, match="found 225 sites"):
        measure_psf([fit], WIDE, psf)
    with pytest.raises(ValueError, match="with light of the sites, found none"):
        measured([replace(fit, probability=0 * fit.probability)], DENSE, psf)


def test_samples_of_the_given_psf():
    psf = GaussianPSF(2.0)
    grid = np.arange(-36, 37) / 4
    # the light in whole pixels around each sample, from the integrals along y and x
    edges = np.add.outer([-0.5, 0.5], grid) / (psf.sigma * np.sqrt(2))
    line = 0.5 * np.diff(erf(edges), axis=0)[0]
    blurred = np.outer(line, line)
    expected = np.exp(-(grid**2) / (2 * psf.sigma**2)) / (2 * np.pi * psf.sigma**2)
    for given, tolerance in (
        (psf, 1e-3),
        (SampledPSF(blurred, 4, pixel_integrated=True), 2e-3),
        (SampledPSF(np.outer(expected, expected), 4), 1e-3),
    ):
        start = PSFVariations(given).start
        middle = len(start) // 2
        np.testing.assert_allclose(
            start[middle, middle - 28 : middle + 29],
            expected[36 - 28 : 36 + 29],
            atol=tolerance * expected.max(),
        )


def test_light_of_functions_is_that_of_their_samples():
    variations = PSFVariations(GaussianPSF(2.0))
    position = np.array([[20.27, 19.61]])
    window = (slice(5, 40), slice(3, 41))
    light = variations.columns(position, np.array([2.0]), window)
    shape = np.moveaxis(variations.samples(), -1, 0)
    offset = position - np.rint(position)
    for k in (0, 4, 14, 23, 40):
        smooth = SampledPSF(variations.start + shape[k], variations.oversampling)
        plain = SampledPSF(variations.start, variations.oversampling)
        totals = (variations.start + shape[k]).sum(), variations.start.sum()
        expected = np.zeros((35, 38))
        patch = [
            psf.integrate(offset, 9)[0] * total / variations.oversampling**2
            for psf, total in zip((smooth, plain), totals, strict=True)
        ]
        expected[20 - 5 - 9 : 20 - 5 + 10, 20 - 3 - 9 : 20 - 3 + 10] = 2 * (patch[0] - patch[1])
        tolerance = 0.06 * np.abs(expected).max()
        np.testing.assert_allclose(light[..., 3 + k], expected, atol=tolerance)


def test_functions_are_smooth_and_end():
    basis = RadialBasis(2.0)
    angle = np.linspace(0, 2 * np.pi, 7)
    far = basis.at(basis.reach * np.sin(angle), basis.reach * np.cos(angle))
    np.testing.assert_allclose(far, 0.0, atol=1e-12)
    near = basis.at(1e-6 * np.sin(angle), 1e-6 * np.cos(angle))
    np.testing.assert_allclose(near, np.broadcast_to(near[0], near.shape), atol=1e-5)
    assert len(basis) < 80
