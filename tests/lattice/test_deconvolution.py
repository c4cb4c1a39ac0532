"""Wiener deconvolution: against scikit-image and scipy, and against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import convolve, map_coordinates
from skimage.restoration import wiener

from napari_coldatoms.lattice import AiryPSF, GaussianPSF, Lattice, projection, simulate
from napari_coldatoms.lattice.deconvolution import Deconvolver, deconvolve

PSF = GaussianPSF(3.0)
BACKGROUND = 50.0


def square(*shape, phase=(0.3, 0.55)):
    return Lattice.square(4.0, shape, origin=(9.0 + phase[0], 9.0 + phase[1]))


def shot(lattice, seed=1, psf=PSF, **change):
    """Return a simulated image without its background, and the truth."""
    parameters = {
        "image_shape": lattice.frame_shape(9),
        "occupancy": 0.5,
        "brightness": 1000.0,
        "brightness_sd": 100.0,
        "background": BACKGROUND,
        "read_noise": 2.0,
    }
    simulation = simulate(lattice, psf, **{**parameters, **change}, rng=seed)
    return simulation.image - BACKGROUND, simulation


def errors(result, occupied):
    """Return the detection error rate."""
    return np.mean((result.brightness > result.mixture.threshold) != occupied)


def reference(image, lattice, psf, regularisation, radius, pad=60):
    """Return brightnesses, but for scale and offset, from other people's functions."""
    uniform = (projection(lattice, psf, image.shape) @ np.ones(len(lattice))).reshape(image.shape)
    rest = image - uniform * np.vdot(uniform, image) / np.vdot(uniform, uniform)
    rest = np.pad(rest - rest.mean(), pad)
    half = int(psf.cutoff) + 1
    middle = Lattice.from_positions([[half, half]])
    size = 2 * half + 1
    spread = projection(middle, psf, (size, size)).toarray().reshape(size, size)
    sharp = wiener(rest, spread, regularisation, reg=np.ones((1, 1)), clip=False)
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (y**2 + x**2 <= radius**2 + 1e-9).astype(float)
    return map_coordinates(convolve(sharp, disc), lattice.positions.T + pad, order=1)


@pytest.mark.parametrize("psf", [PSF, AiryPSF(5.0)])
@pytest.mark.parametrize(
    ("regularisation", "radius"), [(0.01, 1.0), (0.1, 0.0), (0.003, 5**0.5), (1.0, 3.7)]
)
def test_same_as_scikit_image_and_scipy(psf, regularisation, radius):
    lattice = Lattice([[4.1, 0.3], [-0.5, 3.9]], (12.3, 10.7), (14, 17))
    image, _ = shot(lattice, psf=psf)
    found = deconvolve(image, lattice, psf, regularisation=regularisation, radius=radius)
    expected = reference(image, lattice, psf, regularisation, radius)
    scale, offset = np.polyfit(expected, found.brightness, 1)
    assert scale > 0
    # the images are continued by 60 px here, and by less than 30 px there
    np.testing.assert_allclose(
        found.brightness, scale * expected + offset, atol=3e-3 * np.std(found.brightness)
    )
    assert found.regularisation == pytest.approx(regularisation)
    assert found.radius == radius


def test_error_rate_of_the_reference_case():
    lattice = square(100, 100)
    prepared = Deconvolver(lattice, PSF, lattice.frame_shape(9))
    rates = []
    for seed in range(10):
        image, truth = shot(lattice, seed)
        rates.append(errors(prepared.estimate(image), truth.occupied))
    assert np.mean(rates) <= 0.015


@pytest.mark.parametrize(
    ("hwhm", "most"), [(0.838 * 4, 0.052), (0.672 * 4, 0.004), (0.608 * 4, 0.001)]
)
def test_error_rate_with_other_widths(hwhm, most):
    lattice, psf = square(60, 60), GaussianPSF(hwhm)
    rates = []
    for seed in range(4):
        image, truth = shot(lattice, seed, psf)
        rates.append(errors(deconvolve(image, lattice, psf), truth.occupied))
    assert np.mean(rates) <= most


def test_few_and_many_atoms():
    lattice = square(60, 60)
    for occupancy in (0.05, 0.95):
        image, truth = shot(lattice, occupancy=occupancy)
        result = deconvolve(image, lattice, PSF)
        assert result.bimodality.is_supported
        assert errors(result, truth.occupied) < 0.007


@pytest.mark.parametrize("hwhm", [2.4, 3.0, 3.35])
def test_tuning_finds_the_highest_contrast(hwhm):
    lattice, psf = square(40, 40), GaussianPSF(hwhm)
    image, _ = shot(lattice, 2, psf)
    prepared = Deconvolver(lattice, psf, image.shape)
    contrasts = [
        prepared.estimate(image, regularisation=10.0**power, radius=radius).mixture.contrast
        for power in np.arange(-4.5, 0.6, 0.3)
        for radius in prepared.radii
    ]
    assert prepared.estimate(image).mixture.contrast >= 0.99 * max(contrasts)


def test_one_parameter_tuned_with_the_other_given():
    lattice = square(30, 30)
    image, _ = shot(lattice)
    given = deconvolve(image, lattice, PSF, regularisation=0.02)
    assert given.regularisation == pytest.approx(0.02)
    other = deconvolve(image, lattice, PSF, radius=2.5)
    assert other.radius == 2.5
    assert 1e-3 < other.regularisation < 0.1
    both = deconvolve(image, lattice, PSF)
    assert both.mixture.contrast >= max(given.mixture.contrast, other.mixture.contrast)


def test_brightness_is_in_counts():
    lattice, psf = square(50, 50), GaussianPSF(2.4)
    image, truth = shot(lattice, psf=psf)
    result = deconvolve(image, lattice, psf)
    assert result.mixture.means[0] == pytest.approx(0, abs=1e-6)
    assert result.brightness.sum() == pytest.approx(image.sum(), rel=5e-3)
    slope, offset = np.polyfit(truth.brightness, result.brightness, 1)
    assert slope == pytest.approx(1, abs=0.02)
    assert offset == pytest.approx(0, abs=10)
    assert result.mixture.means[1] == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize("hwhm", [2.4, 3.0, 3.9])
@pytest.mark.parametrize("occupancy", [0.0, 1.0])
def test_no_contrast_is_told_and_the_brightness_still_right(occupancy, hwhm):
    lattice, psf = square(40, 40), GaussianPSF(hwhm)
    for seed in range(3):
        image, truth = shot(lattice, seed, psf, occupancy=occupancy)
        result = deconvolve(image, lattice, psf)
        assert not result.bimodality.is_supported
        assert result.brightness.mean() == pytest.approx(truth.brightness.mean(), abs=10)
        assert np.std(result.brightness) < 450


def test_weak_contrast_is_contrast():
    lattice, psf = square(60, 60), GaussianPSF(0.985 * 4)
    image, truth = shot(lattice, psf=psf)
    result = deconvolve(image, lattice, psf)
    assert result.bimodality.is_supported
    assert errors(result, truth.occupied) < 0.17


def test_border_sites_of_a_full_lattice_are_as_bright_as_the_others():
    lattice = square(30, 30)
    image, _ = shot(lattice, occupancy=1.0)
    result = deconvolve(image, lattice, PSF, regularisation=0.1)
    border = np.any((lattice.labels == 0) | (lattice.labels == 29), axis=1)
    assert result.brightness[border].mean() == pytest.approx(1000, rel=0.05)


def test_bad_pixels_count_for_nothing():
    lattice = square(50, 50)
    image, truth = shot(lattice)
    rng = np.random.default_rng(3)
    bad = rng.random(image.shape) < 0.004
    bad[80:82, 90:93] = True
    clean = deconvolve(image, lattice, PSF)
    spoilt = np.where(bad, rng.choice([5e4, -300.0, np.nan, np.inf], image.shape), image)
    marked = deconvolve(spoilt, lattice, PSF, bad=bad)
    np.testing.assert_array_equal(
        marked.brightness, deconvolve(np.where(bad, np.nan, image), lattice, PSF).brightness
    )
    assert errors(marked, truth.occupied) <= errors(clean, truth.occupied) + 0.01
    assert np.std(marked.brightness - clean.brightness) < 0.3 * np.std(clean.brightness)


def test_sites_in_a_hole_are_unknown():
    lattice = square(50, 50)
    image, truth = shot(lattice)
    image[:, 120:] = np.nan
    result = deconvolve(image, lattice, PSF)
    known = np.isfinite(result.brightness)
    assert known[lattice.positions[:, 1] < 119].all()
    assert not known[lattice.positions[:, 1] > 121].any()
    wrong = (result.brightness > result.mixture.threshold) != truth.occupied
    assert wrong[known].mean() < 0.03


def test_sites_outside_of_the_frame_are_unknown():
    lattice = square(30, 30)
    image, truth = shot(lattice)
    image = image[:-20, 15:]
    moved = lattice.shift((0, -15))
    inside = moved.inside(image.shape)
    assert 0 < inside.sum() < len(lattice)
    result = deconvolve(image, moved, PSF)
    np.testing.assert_array_equal(np.isfinite(result.brightness), inside)
    wrong = (result.brightness > result.mixture.threshold)[inside] != truth.occupied[inside]
    assert wrong.mean() < 0.05


def test_arbitrary_positions_and_missing_sites():
    lattice = square(24, 24)
    there = np.random.default_rng(4).random((24, 24)) < 0.8
    part = lattice.select(there)
    image, truth = shot(part)
    given = {"regularisation": 0.01, "radius": 1.0}
    masked = deconvolve(image, part, PSF, **given)
    order = np.random.default_rng(5).permutation(len(part))
    free = deconvolve(image, Lattice.from_positions(part.positions[order]), PSF, **given)
    np.testing.assert_allclose(free.brightness, masked.brightness[order], atol=1e-6)
    assert errors(masked, truth.occupied) < 0.03


def test_tweezers_far_apart():
    rng = np.random.default_rng(6)
    grid = 14.0 * np.argwhere(np.ones((10, 10))) + 15
    lattice = Lattice.from_positions(grid + rng.uniform(-2, 2, grid.shape))
    image, truth = shot(lattice, brightness=400.0, brightness_sd=40.0)
    result = deconvolve(image, lattice, PSF)
    assert errors(result, truth.occupied) <= 0.02
    assert result.brightness[truth.occupied].mean() == pytest.approx(400, rel=0.1)


def test_prepared_once_for_many_images():
    lattice = square(20, 20)
    prepared = Deconvolver(lattice, PSF, lattice.frame_shape(9))
    for seed in (1, 2):
        image, _ = shot(lattice, seed)
        before = image.copy()
        once, again = prepared.estimate(image), deconvolve(image, lattice, PSF)
        np.testing.assert_array_equal(once.brightness, again.brightness)
        np.testing.assert_array_equal(image, before)


def test_integers_and_lists():
    lattice = square(12, 12)
    image, _ = shot(lattice)
    whole = np.rint(image).astype(np.int16)
    expected = deconvolve(whole.astype(float), lattice, PSF).brightness
    np.testing.assert_array_equal(deconvolve(whole, lattice, PSF).brightness, expected)
    np.testing.assert_array_equal(deconvolve(whole.tolist(), lattice, PSF).brightness, expected)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"regularisation": 0.0}, ValueError, "positive regularisation, found 0"),
        ({"regularisation": np.nan}, ValueError, "positive regularisation, found nan"),
        ({"radius": -1.0}, ValueError, "radius of 0 to half"),
        ({"radius": 1e3}, ValueError, "found 1000"),
        ({"bad": np.zeros((62, 62))}, TypeError, "boolean mask of bad pixels, found float64"),
        ({"bad": np.zeros((3, 3), bool)}, ValueError, r"found \(3, 3\)"),
        ({"bad": np.ones((62, 62), bool)}, ValueError, "good pixels, found none"),
    ],
)
def test_bad_parameters(keywords, error, message):
    lattice = square(12, 12)
    image = np.zeros((62, 62))
    with pytest.raises(error, match=message):
        deconvolve(image, lattice, PSF, **keywords)


def test_nothing_has_no_contrast():
    result = deconvolve(np.zeros((62, 62)), square(12, 12), PSF)
    assert not result.bimodality.is_supported
    assert not result.brightness.any()
    assert not result.mixture.means.any()


def test_fewer_than_four_known_sites_have_no_contrast():
    lattice = square(12, 12)
    image, _ = shot(lattice)
    for size, known in ((6, 3), (3, 0)):
        part = np.full(image.shape, np.nan)
        part[20 : 20 + size, 20 : 20 + size] = image[20 : 20 + size, 20 : 20 + size]
        result = deconvolve(part, lattice, PSF)
        assert np.isfinite(result.brightness).sum() <= known
        assert not result.bimodality.is_supported
        assert np.isfinite(result.mixture.means).all()


def test_nothing_to_estimate():
    lattice = square(12, 12)
    with pytest.raises(ValueError, match=r"image of shape \(y, x\), found \(3, 62, 62\)"):
        deconvolve(np.zeros((3, 62, 62)), lattice, PSF)
    with pytest.raises(ValueError, match=r"image of shape \(62, 62\), found \(60, 62\)"):
        Deconvolver(lattice, PSF, (62, 62)).estimate(np.zeros((60, 62)))
    with pytest.raises(ValueError, match="sites within a frame"):
        Deconvolver(lattice.shift((500, 0)), PSF, (62, 62))
    single = Lattice.from_positions([[30.0, 30.0]])
    with pytest.raises(ValueError, match="at least 4 sites within the frame, found 1"):
        deconvolve(shot(single)[0], single, PSF)
