"""Reconstruction as users call it: inputs, options, results, remarks and errors."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstruction,
    Reconstructor,
    SampledPSF,
    reconstruct,
    simulate,
    snr,
)

METHODS = ("deconvolution", "global", "local", "alternating")
KNOWN = ImagingParameters(
    occupancy=0.5, brightness=1000.0, brightness_sd=100.0, background=50.0, read_noise=2.0
)
LATTICE = Lattice.square(4.0, (20, 22), origin=(11.3, 10.6))
PSF = GaussianPSF(2.7)
SHAPE = (99, 105)


def picture(lattice=LATTICE, psf=PSF, shape=SHAPE, *, seed=0, **changes):
    settings = {**dataclasses.asdict(KNOWN), **changes}
    return simulate(lattice, psf, image_shape=shape, rng=seed, **settings)


TRUTH = picture()


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(LATTICE, PSF, image_shape=SHAPE)


def wrong(result, truth=TRUTH):
    """Return the number of wrong decisions about sites that the frame shows."""
    return np.count_nonzero((result.occupied != truth.occupied)[result.valid])


def assert_same(one, other):
    for name in ("brightness", "occupied", "probability", "background", "valid", "bad_pixels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("parameters", "remarks", "offset", "psf_width", "threshold"):
        assert getattr(one, name) == getattr(other, name), name


# what every result holds


@pytest.mark.parametrize("known", [None, KNOWN], ids=["found", "known"])
@pytest.mark.parametrize("method", METHODS)
def test_result(reconstructor, method, known):
    result = reconstructor.reconstruct(TRUTH.image, method=method, read_noise=2.0, parameters=known)
    count = len(LATTICE)
    assert isinstance(result, Reconstruction)
    assert result.method == method
    for name in ("brightness", "probability"):
        values = getattr(result, name)
        assert values.shape == (count,)
        assert values.dtype == np.float64
        assert np.isfinite(values).all()
    assert result.probability.min() >= 0
    assert result.probability.max() <= 1
    np.testing.assert_array_equal(result.occupied, result.probability > 0.5)
    assert result.occupied.dtype == result.valid.dtype == result.bad_pixels.dtype == np.bool_
    assert result.valid.all()
    assert result.has_contrast
    assert result.remarks == ()
    assert result.background.shape == result.bad_pixels.shape == SHAPE
    assert result.background.mean() == pytest.approx(50, abs=1)
    assert result.bad_pixels.sum() <= 1
    doubt = np.minimum(result.probability, 1 - result.probability)
    assert result.predicted_error_rate == pytest.approx(doubt.mean())
    assert result.relative_brightness is None
    assert wrong(result) <= {"deconvolution": 8, "global": 4}.get(method, 2)
    found = result.parameters
    assert (found is known) or known is None
    assert known or found.occupancy == pytest.approx(TRUTH.occupied.mean(), abs=0.03)
    assert found.brightness == pytest.approx(1000, rel=0.07)
    assert found.background == pytest.approx(50, abs=1)
    assert result.snr_db == pytest.approx(snr(LATTICE, PSF, KNOWN), abs=0.5)
    assert 300 < result.threshold < 700
    assert result.mixture.means[1] - result.mixture.means[0] == pytest.approx(1000, rel=0.3)
    assert "sites occupied" in repr(result)


@pytest.mark.parametrize("method", METHODS)
def test_brightness_is_that_of_the_sites(reconstructor, method):
    result = reconstructor.reconstruct(TRUTH.image, method=method, read_noise=2.0)
    assert np.corrcoef(result.brightness, TRUTH.brightness)[0, 1] > 0.94
    assert result.brightness.mean() == pytest.approx(TRUTH.brightness.mean(), rel=0.03)


def test_function_is_the_reconstructor(reconstructor):
    for options in ({}, {"method": "local", "background": 50.0}, {"parameters": KNOWN}):
        one = reconstruct(TRUTH.image, LATTICE, PSF, read_noise=2.0, **options)
        assert_same(one, reconstructor.reconstruct(TRUTH.image, read_noise=2.0, **options))


@pytest.mark.parametrize("method", METHODS)
def test_results_repeat(reconstructor, method):
    other = picture(seed=5).image
    first = reconstructor.reconstruct(TRUTH.image, method=method, read_noise=2.0)
    reconstructor.reconstruct(other, method=method, read_noise=2.0)
    assert_same(first, reconstructor.reconstruct(TRUTH.image, method=method, read_noise=2.0))


def test_threads_get_the_results_of_one(reconstructor):
    # displaced, narrower and wider ones, so that all threads adjust lattice and PSF
    images = [
        picture(LATTICE.shift((0.05 * k, -0.04 * k)), GaussianPSF(2.6 + 0.04 * k), seed=k).image
        for k in range(6)
    ]
    tasks = [(k, method) for k in range(6) for method in ("deconvolution", "alternating")]
    serial = {
        (k, method): reconstructor.reconstruct(images[k], method=method, read_noise=2.0)
        for k, method in tasks
    }
    assert len({result.offset for result in serial.values()}) > 2
    shared = Reconstructor(LATTICE, PSF, image_shape=SHAPE)
    start = threading.Barrier(4)

    def use(order):
        start.wait()
        return {
            tasks[n]: shared.reconstruct(images[tasks[n][0]], method=tasks[n][1], read_noise=2.0)
            for n in order
        }

    orders = [np.random.default_rng(seed).permutation(len(tasks)) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(use, orders):
            for task, result in results.items():
                assert_same(result, serial[task])


# images


@pytest.mark.parametrize(
    "convert",
    [
        lambda image: xr.DataArray(image, dims=("y", "x"), attrs={"unit": "counts"}),
        np.asfortranarray,
        lambda image: np.repeat(image, 2, axis=1)[:, ::2],
        lambda image: image[::-1].copy()[::-1],
        lambda image: image.astype(">f8"),
        lambda image: image.tolist(),
    ],
    ids=["DataArray", "fortran", "strided", "reversed", "big-endian", "list"],
)
def test_kinds_of_images(reconstructor, convert):
    plain = reconstructor.reconstruct(TRUTH.image, read_noise=2.0)
    assert_same(reconstructor.reconstruct(convert(TRUTH.image), read_noise=2.0), plain)


@pytest.mark.parametrize("kind", [np.uint16, ">u2", np.int32, np.int64, np.float32, ">i4"])
def test_whole_numbers(reconstructor, kind):
    counts = np.round(TRUTH.image).clip(0)
    expected = reconstructor.reconstruct(counts, read_noise=2.0)
    assert_same(reconstructor.reconstruct(counts.astype(kind), read_noise=2.0), expected)
    assert wrong(expected) <= 2


@pytest.mark.parametrize("method", METHODS)
def test_arguments_stay_as_they_are(reconstructor, method):
    image = TRUTH.image + 0.0
    image[3, 4] = np.nan
    background = np.full(SHAPE, 50.0)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[5, 6] = True
    copies = [array.copy() for array in (image, background, mask)]
    for array in (image, background, mask):
        array.setflags(write=False)
    reconstructor.reconstruct(image, method=method, read_noise=2.0)
    result = reconstructor.reconstruct(
        image, method=method, read_noise=2.0, background=background, bad_pixels=mask
    )
    for array, copy in zip((image, background, mask), copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert not np.shares_memory(result.background, background)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("known", [None, KNOWN], ids=["found", "known"])
def test_pixels_that_are_not_finite_do_not_count(reconstructor, method, known):
    image = TRUTH.image.copy()
    places = np.random.default_rng(1).random(SHAPE) < 0.01
    image[places] = np.random.default_rng(2).choice([np.nan, np.inf, -np.inf], places.sum())
    for bad_pixels in ("auto", None):
        result = reconstructor.reconstruct(
            image, method=method, read_noise=2.0, parameters=known, bad_pixels=bad_pixels
        )
        assert result.bad_pixels[places].all()
        assert result.bad_pixels.sum() <= places.sum() + 1
        assert wrong(result) <= {"deconvolution": 10, "global": 6}.get(method, 2)


def test_masked_pixels_do_not_count(reconstructor):
    mask = np.random.default_rng(3).random(SHAPE) < 0.01
    masked = np.ma.MaskedArray(np.where(mask, 1e5, TRUTH.image), mask)
    result = reconstructor.reconstruct(masked, read_noise=2.0)
    plain = np.where(mask, np.nan, TRUTH.image)
    assert_same(result, reconstructor.reconstruct(plain, read_noise=2.0))
    counts = np.ma.MaskedArray(np.round(TRUTH.image).clip(0).astype(np.uint16), mask)
    assert reconstructor.reconstruct(counts, read_noise=2.0).bad_pixels[mask].all()


@pytest.mark.parametrize("method", METHODS)
def test_mask_of_bad_pixels(reconstructor, method):
    mask = np.random.default_rng(3).random(SHAPE) < 0.01
    image = np.where(mask, 1e5, TRUTH.image)
    result = reconstructor.reconstruct(image, method=method, read_noise=2.0, bad_pixels=mask)
    np.testing.assert_array_equal(result.bad_pixels & mask, mask)
    assert wrong(result) <= {"deconvolution": 10, "global": 6}.get(method, 2)


def test_sites_hidden_by_bad_pixels(reconstructor):
    image = TRUTH.image.copy()
    image[:, :34] = np.nan
    for method in METHODS:
        result = reconstructor.reconstruct(image, method=method, read_noise=2.0)
        hidden = LATTICE.positions[:, 1] < 31
        assert not result.valid[hidden].any()
        assert result.valid[LATTICE.positions[:, 1] > 37].all()
        assert np.isnan(result.probability[~result.valid]).all()
        assert np.isnan(result.brightness[~result.valid]).all()
        assert not result.occupied[~result.valid].any()
        count = np.count_nonzero(~result.valid)
        assert result.remarks == (f"{count} sites are hidden by bad pixels",)
        assert wrong(result) <= {"deconvolution": 8, "global": 5}.get(method, 2)


# backgrounds


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("given", ["number", "array", "found"])
def test_background(reconstructor, method, given):
    slope = 50 + np.add.outer(np.linspace(-8, 8, SHAPE[0]), np.linspace(4, -4, SHAPE[1]))
    level = {"number": np.full(SHAPE, 50.0), "array": slope, "found": slope}[given]
    truth = picture(background=level, seed=4)
    background = {"number": 50.0, "array": slope, "found": "auto"}[given]
    result = reconstructor.reconstruct(
        truth.image, method=method, read_noise=2.0, background=background
    )
    if given != "found":
        np.testing.assert_array_equal(result.background, level)
    assert np.abs(result.background - level).mean() < 2.5
    assert wrong(result, truth) <= {"deconvolution": 14, "global": 8}.get(method, 3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("occupancy", [0.0, 0.1, 0.5, 1.0])
def test_known_parameters_of_an_image_with_another_background(reconstructor, method, occupancy):
    truth = picture(occupancy=occupancy, background=62.0, seed=6)
    result = reconstructor.reconstruct(truth.image, method=method, parameters=KNOWN)
    assert result.background.mean() == pytest.approx(62, abs=2)
    assert result.parameters is KNOWN
    assert wrong(result, truth) <= {"deconvolution": 12, "global": 8}.get(method, 3)


def test_known_background_without_a_margin():
    lattice = Lattice.square(4.0, (36, 36), origin=(-18.0, -17.0))
    for occupancy in (0.0, 0.5, 1.0):
        truth = picture(lattice, shape=(104, 106), occupancy=occupancy, background=57.0)
        result = reconstruct(truth.image, lattice, PSF, parameters=KNOWN)
        assert wrong(result, truth) <= 3


# no contrast


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("occupancy", [0.0, 1.0])
def test_empty_and_full_images_have_no_contrast(reconstructor, method, occupancy):
    truth = picture(occupancy=occupancy)
    result = reconstructor.reconstruct(truth.image, method=method, read_noise=2.0)
    assert not result.has_contrast
    assert np.isnan(result.probability).all()
    assert np.isnan(result.predicted_error_rate)
    assert np.isnan(result.snr_db)
    assert not result.occupied.any()
    assert np.isfinite(result.brightness).all()
    assert len(result.remarks) == 1
    assert result.remarks[0].startswith("no contrast: the brightnesses form one mode")
    assert "no contrast" in repr(result)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("occupancy", "expected"), [(0.0, 0.0), (0.0, 0.3), (0.0, 0.9), (1.0, 0.1), (1.0, 1.0)]
)
def test_known_parameters_tell_empty_from_full(reconstructor, method, occupancy, expected):
    truth = picture(occupancy=occupancy)
    known = dataclasses.replace(KNOWN, occupancy=expected)
    result = reconstructor.reconstruct(truth.image, method=method, parameters=known)
    assert result.has_contrast
    assert result.remarks == ()
    assert wrong(result, truth) <= {"deconvolution": 14, "global": 14}.get(method, 3)
    assert np.isfinite(result.probability).all()


def test_noise_alone_has_no_contrast(reconstructor):
    for seed in range(4):
        image = np.random.default_rng(seed).normal(50, 7.3, SHAPE)
        assert not reconstructor.reconstruct(image, read_noise=2.0).has_contrast


@pytest.mark.parametrize("level", [0.0, 50.0, 7.3])
@pytest.mark.parametrize("method", METHODS)
def test_constant_images_have_no_contrast(reconstructor, method, level):
    result = reconstructor.reconstruct(np.full(SHAPE, level), method=method)
    assert not result.has_contrast
    assert not result.occupied.any()
    assert len(result.remarks) == 1
    assert result.remarks[0].startswith("no contrast: ")


@pytest.mark.parametrize("known", [None, KNOWN], ids=["found", "known"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [4, 8])
def test_nearly_all_pixels_bad(reconstructor, method, size, known):
    image = np.full(SHAPE, np.nan)
    part = np.s_[40 : 40 + size, 40 : 40 + size]
    image[part] = TRUTH.image[part]
    result = reconstructor.reconstruct(image, method=method, read_noise=2.0, parameters=known)
    assert result.valid.sum() < 10
    # where no site at all is left, known parameters tell nothing
    assert result.has_contrast == (known is not None and result.valid.any())
    assert result.remarks[0].startswith("no contrast: ") != result.has_contrast
    assert any(remark.endswith("sites are hidden by bad pixels") for remark in result.remarks)
    assert np.isnan(result.brightness[~result.valid]).all()
    assert np.isfinite(result.parameters.brightness)


# cameras and parameters


@pytest.mark.parametrize("brightness_sd", [0.0, 250.0])
@pytest.mark.parametrize("method", METHODS)
def test_spread_of_the_brightness(reconstructor, method, brightness_sd):
    truth = picture(brightness_sd=brightness_sd)
    known = dataclasses.replace(KNOWN, brightness_sd=brightness_sd)
    dark = np.count_nonzero(truth.occupied & (truth.brightness < 500))
    for parameters in (None, known):
        result = reconstructor.reconstruct(
            truth.image, method=method, read_noise=2.0, parameters=parameters
        )
        assert wrong(result, truth) <= {"deconvolution": 12, "global": 8}.get(method, 3) + dark


def test_read_noise_and_excess_noise_of_known_parameters_count(reconstructor):
    known = dataclasses.replace(KNOWN, read_noise=5.0, excess_noise=2.0)
    one = reconstructor.reconstruct(TRUTH.image, parameters=known)
    other = reconstructor.reconstruct(
        TRUTH.image, parameters=known, read_noise=77.0, excess_noise=9.0
    )
    assert_same(one, other)
    assert one.parameters is known


@pytest.mark.parametrize("method", ["local", "alternating"])
def test_electron_multiplication(reconstructor, method):
    truth = picture(excess_noise=2.0, brightness=2000.0, brightness_sd=200.0)
    result = reconstructor.reconstruct(truth.image, method=method, read_noise=2.0, excess_noise=2.0)
    assert result.parameters.excess_noise == 2.0
    assert result.parameters.read_noise == pytest.approx(2.0, abs=3)
    assert result.bad_pixels.sum() <= 1
    assert wrong(result, truth) <= 3


@pytest.mark.parametrize("method", METHODS)
def test_neither_background_nor_read_noise(reconstructor, method):
    truth = picture(background=0.0, read_noise=0.0)
    known = dataclasses.replace(KNOWN, background=0.0, read_noise=0.0)
    for parameters in (None, known):
        result = reconstructor.reconstruct(truth.image, method=method, parameters=parameters)
        assert result.bad_pixels.sum() == 0
        assert wrong(result, truth) <= {"deconvolution": 4}.get(method, 1)


@pytest.mark.parametrize("method", ["global", "local", "alternating"])
@pytest.mark.parametrize("occupancy", [0.02, 0.05, 0.95, 0.98])
def test_few_or_most_sites_occupied(method, occupancy):
    lattice = Lattice.square(4.0, (35, 35), origin=(11.3, 10.6))
    shape = lattice.frame_shape(10)
    truth = picture(lattice, shape=shape, occupancy=occupancy, seed=2)
    result = reconstruct(truth.image, lattice, PSF, method=method, read_noise=2.0)
    assert result.has_contrast
    assert result.parameters.brightness == pytest.approx(1000, rel=0.06)
    assert wrong(result, truth) <= {"global": 5}.get(method, 2)


@pytest.mark.parametrize("scale", [0.05, 1000.0])
def test_dim_and_bright_atoms(reconstructor, scale):
    changes = {"brightness": 1000 * scale, "brightness_sd": 100 * scale}
    background = 50 * scale if scale < 1 else 50.0
    truth = picture(**changes, background=background, read_noise=0.0)
    result = reconstructor.reconstruct(truth.image)
    if scale > 1:
        assert wrong(result, truth) == 0
        assert result.parameters.brightness == pytest.approx(1e6, rel=0.02)
    else:  # 9 dB: nothing, or little, can be told
        assert not result.has_contrast or result.predicted_error_rate > 0.03
        known = ImagingParameters(0.5, **changes, background=background)
        told = reconstructor.reconstruct(truth.image, parameters=known)
        assert 0.02 * 440 < wrong(told, truth) < 0.25 * 440
        assert told.predicted_error_rate > 0.02


@pytest.mark.parametrize("method", ["global", "local", "alternating"])
def test_hopeless_images_do_no_harm(method):
    lattice, psf = Lattice.square(4.0, (20, 20), origin=(14.0, 14.0)), GaussianPSF(4.8)
    truth = picture(lattice, psf, (104, 104))
    assert snr(lattice, psf, KNOWN) < 8.5
    reconstruct(truth.image, lattice, psf, method=method, read_noise=2.0)
    told = reconstruct(truth.image, lattice, psf, method=method, parameters=KNOWN)
    assert told.predicted_error_rate > 0.1


# lattices and PSFs


def measured_psf():
    return SampledPSF(GaussianPSF(2.7).integrate(np.zeros((1, 2)), 9)[0], 1, pixel_integrated=True)


ARRANGEMENTS = {
    "turned": (Lattice.square(4.0, (20, 20), origin=(12.0, 42.0), angle=0.4), PSF),
    "triangular": (Lattice.triangular(4.3, (20, 20)), PSF),
    "oblique": (Lattice([[4.0, 0.5], [1.5, 4.2]], (12.0, 12.0), (20, 20)), PSF),
    "masked": (LATTICE.select(np.random.default_rng(0).random((20, 22)) < 0.6), PSF),
    "one row": (Lattice.square(4.0, (1, 60), origin=(10.0, 10.0)), PSF),
    "any positions": (Lattice.from_positions(LATTICE.positions[::-1] + 0.2), PSF),
    "tweezers": (
        Lattice.from_positions(
            Lattice.square(20.0, (10, 10)).positions
            + np.random.default_rng(1).uniform(-3, 3, (100, 2))
        ),
        GaussianPSF(1.2),
    ),
    "airy": (LATTICE, AiryPSF(5.6)),
    "sampled": (LATTICE, measured_psf()),
    "narrow": (Lattice.square(5.0, (15, 15)), GaussianPSF(0.45, 1.7)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_lattices_and_psfs(name, method):
    lattice, psf = ARRANGEMENTS[name]
    shape = lattice.frame_shape(10)
    truth = picture(lattice, psf, shape, seed=3)
    result = reconstruct(truth.image, lattice, psf, method=method, read_noise=2.0)
    assert result.has_contrast
    assert result.brightness.shape == (len(lattice),)
    assert wrong(result, truth) <= {"deconvolution": 12, "global": 5}.get(method, 2)


def test_order_of_positions_does_not_matter(reconstructor):
    order = np.random.default_rng(2).permutation(len(LATTICE))
    scattered = Lattice.from_positions(LATTICE.positions[order])
    for method in METHODS:
        one = reconstructor.reconstruct(TRUTH.image, method=method, read_noise=2.0)
        other = reconstruct(TRUTH.image, scattered, PSF, method=method, read_noise=2.0)
        np.testing.assert_array_equal(other.occupied, one.occupied[order])
        np.testing.assert_allclose(other.brightness, one.brightness[order], atol=20)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("method", ["global", "local", "alternating"])
def test_a_few_sites_of_known_parameters(method, count):
    lattice = Lattice.square(4.0, (1, count), origin=(12.0, 12.0))
    for seed in range(6):
        truth = picture(lattice, shape=(25, 33), seed=seed)
        result = reconstruct(truth.image, lattice, PSF, method=method, parameters=KNOWN)
        np.testing.assert_array_equal(result.occupied, truth.occupied)


def test_nine_sites_are_enough_if_they_differ():
    lattice = Lattice.square(4.0, (3, 3), origin=(12.0, 12.0))
    right = 0
    for seed in range(10):
        truth = picture(lattice, shape=(33, 33), seed=seed)
        result = reconstruct(truth.image, lattice, PSF, read_noise=2.0)
        right += result.has_contrast
        assert not result.has_contrast or wrong(result, truth) == 0
    assert right >= 4


@pytest.mark.parametrize("method", METHODS)
def test_lattice_larger_than_the_frame(method):
    lattice = Lattice.square(4.0, (40, 40), origin=(-30.3, -20.1))
    truth = picture(lattice, shape=(90, 110))
    for known in (None, KNOWN):
        result = reconstruct(
            truth.image, lattice, PSF, method=method, read_noise=2.0, parameters=known
        )
        outside = ~lattice.inside((90, 110))
        np.testing.assert_array_equal(result.valid, ~outside)
        assert np.isnan(result.brightness[outside]).all()
        assert np.isnan(result.probability[outside]).all()
        assert not result.occupied[outside].any()
        assert result.remarks == (f"{outside.sum()} of 1600 sites are outside the frame",)
        assert wrong(result, truth) <= {"deconvolution": 18, "global": 9}.get(method, 3)


@pytest.mark.parametrize("method", METHODS)
def test_brightness_map(method):
    y, x = LATTICE.positions.T
    relative = np.exp(-((y - 50) ** 2 + (x - 52) ** 2) / 70**2)
    relative /= relative.mean()
    truth = picture(brightness=1000.0 * relative)
    uneven = Reconstructor(LATTICE, PSF, image_shape=SHAPE, relative_brightness=relative)
    for known in (None, KNOWN):
        result = uneven.reconstruct(truth.image, method=method, read_noise=2.0, parameters=known)
        if method != "deconvolution":  # which does not use it
            np.testing.assert_array_equal(result.relative_brightness, relative)
            # relative to each site's own: as bright everywhere
            inner = relative > 1
            here, there = (
                result.brightness[truth.occupied & part].mean() for part in (inner, ~inner)
            )
            assert here == pytest.approx(there, rel=0.08)
        assert wrong(result, truth) <= {"deconvolution": 20, "global": 12}.get(method, 4)


# wrong arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "wiener"}, ValueError, r"one of the methods .* found 'wiener'"),
        ({"misfit": "always"}, ValueError, r"misfit 'auto' or None, found 'always'"),
        ({"misfit": False}, ValueError, r"misfit 'auto' or None, found False"),
        ({"background": "flat"}, ValueError, r"background 'auto', a number .* found 'flat'"),
        ({"background": np.zeros((3, 4))}, ValueError, r"found an array of shape \(3, 4\)"),
        ({"background": np.nan}, ValueError, "finite background, found NaN"),
        ({"background": np.full(SHAPE, np.inf)}, ValueError, "finite background"),
        ({"read_noise": -1.0}, ValueError, r"read_noise to be finite and at least 0.*found -1"),
        ({"read_noise": np.nan}, ValueError, "read_noise to be finite"),
        ({"excess_noise": 0.5}, ValueError, r"excess_noise to be finite and at least 1.*found 0.5"),
        ({"excess_noise": np.inf}, ValueError, "excess_noise to be finite"),
        ({"bad_pixels": "some"}, ValueError, r"bad_pixels 'auto', None or a mask, found 'some'"),
        ({"bad_pixels": np.zeros((3, 4), bool)}, ValueError, r"shape \(99, 105\), found \(3, 4\)"),
        ({"bad_pixels": np.zeros(SHAPE)}, TypeError, "boolean mask of bad pixels, found float64"),
        ({"bad_pixels": np.ones(SHAPE, bool)}, ValueError, "good pixels, found none"),
    ],
)
@pytest.mark.parametrize("method", ["alternating", "deconvolution"])
def test_wrong_options_are_refused(reconstructor, options, error, message, method):
    with pytest.raises(error, match=message):
        reconstructor.reconstruct(TRUTH.image, **{"method": method, "read_noise": 2.0, **options})


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4)), r"shape \(99, 105\), found shape \(3, 4\)"),
        (np.zeros((1, *SHAPE)), r"shape \(99, 105\), found shape \(1, 99, 105\)"),
        (np.full(SHAPE, np.nan), "good pixels, found none"),
    ],
)
def test_wrong_images_are_refused(reconstructor, image, message):
    with pytest.raises(ValueError, match=message):
        reconstructor.reconstruct(image)


def test_complex_images_are_refused(reconstructor):
    with pytest.raises(TypeError, match="real numbers, found complex"):
        reconstructor.reconstruct(TRUTH.image + 0j)


def test_images_of_other_dimensions_are_refused():
    for image in (np.zeros(5), np.zeros((2, 30, 30)), 3.0):
        with pytest.raises(ValueError, match=r"image of shape \(y, x\), found shape"):
            reconstruct(image, LATTICE, PSF)


def test_wrong_geometry_is_refused():
    with pytest.raises(ValueError, match=r"sites within a frame of \(50, 60\) pixels, found none"):
        Reconstructor(LATTICE.shift((200.0, 0.0)), PSF, image_shape=(50, 60))
    with pytest.raises(ValueError, match="two positive numbers of pixels"):
        Reconstructor(LATTICE, PSF, image_shape=(0, 60))
    with pytest.raises(ValueError, match=r"each of 440 sites, found an array of shape \(3,\)"):
        Reconstructor(LATTICE, PSF, image_shape=SHAPE, relative_brightness=np.ones(3))
    with pytest.raises(ValueError, match="finite and positive"):
        Reconstructor(LATTICE, PSF, image_shape=SHAPE, relative_brightness=np.zeros(440))


@pytest.mark.parametrize("method", METHODS)
def test_too_few_sites_without_known_parameters(method):
    lattice = Lattice.square(4.0, (1, 3), origin=(12.0, 12.0))
    image = picture(lattice, shape=(25, 33)).image
    with pytest.raises(ValueError, match=r"at least 4 sites in the frame .*found 3 sites"):
        reconstruct(image, lattice, PSF, method=method, read_noise=2.0)


def test_too_few_sites_for_deconvolution():
    lattice = Lattice.square(4.0, (1, 3), origin=(12.0, 12.0))
    image = picture(lattice, shape=(25, 33)).image
    with pytest.raises(ValueError, match=r"for deconvolution, found 3 sites"):
        reconstruct(image, lattice, PSF, method="deconvolution", parameters=KNOWN)


@pytest.mark.parametrize("method", ["local", "alternating"])
def test_place_of_the_sites_is_measured(method):
    """Also where it is too near to the lattice's to be taken into account."""
    pulls = []
    for seed, place in enumerate([(0.03, -0.02), (-0.04, 0.01), (0.31, -0.22), (0.0, 0.0)]):
        truth = picture(LATTICE.shift(place), seed=seed)
        found = reconstruct(truth.image, LATTICE, PSF, method=method, read_noise=2.0)
        assert np.abs(np.subtract(found.place, place)).max() < 0.1
        assert max(found.place_error) < 0.06
        pulls.append(np.subtract(found.place, place) / found.place_error)
    # eight numbers: their rms is 1 within a quarter
    assert 0.4 < np.sqrt(np.mean(np.square(pulls))) < 1.8
    known = reconstruct(truth.image, LATTICE, PSF, method=method, misfit=None)
    assert np.isnan(known.place).all()
    assert np.isnan(known.place_error).all()


def test_a_moved_reconstructor_is_that_of_the_moved_lattice(reconstructor):
    there = LATTICE.shift((0.6, -1.3))
    truth = picture(there)
    moved = reconstructor.moved((0.6, -1.3)).reconstruct(truth.image)
    anew = Reconstructor(there, PSF, image_shape=SHAPE).reconstruct(truth.image)
    np.testing.assert_array_equal(moved.occupied, anew.occupied)
    np.testing.assert_allclose(moved.brightness, anew.brightness, atol=10.0)
    assert moved.snr_db == pytest.approx(anew.snr_db, abs=0.02)
