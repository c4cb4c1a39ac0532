"""Bad pixels, levels and smooth maps: simulated defects, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_coldatoms.lattice import AiryPSF, GaussianPSF, Lattice, SampledPSF, simulate
from napari_coldatoms.lattice.defects import (
    _interpolate,
    dark_level,
    fill_bad_pixels,
    find_bad_pixels,
    find_outliers,
    margin,
    smooth_map,
)

PSF = GaussianPSF(3.0)
LATTICE = Lattice.square(4.0, (40, 40), origin=(10.3, 9.6))
SHAPE = (178, 176)
CAMERA = {"read_noise": 2.0, "excess_noise": 1.0}


def picture(seed=0, *, psf=PSF, lattice=LATTICE, shape=SHAPE, **changes):
    settings = {
        "occupancy": 0.5,
        "brightness": 1000.0,
        "brightness_sd": 100.0,
        "background": 50.0,
        "read_noise": 2.0,
        **changes,
    }
    return simulate(lattice, psf, image_shape=shape, rng=seed, **settings).image


def defects(seed, count=60):
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE, dtype=bool)
    mask.ravel()[rng.choice(mask.size, count, replace=False)] = True
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_hot_pixels_are_found_and_no_others(seed):
    hot = defects(seed)
    found = find_bad_pixels(picture(seed) + 2000.0 * hot, PSF, **CAMERA)
    assert found[hot].all()
    assert found[~hot].sum() <= 2


@pytest.mark.parametrize("seed", range(3))
def test_dead_pixels_are_found(seed):
    dead = defects(seed)
    found = find_bad_pixels(np.where(dead, 0.0, picture(seed, background=120.0)), PSF, **CAMERA)
    assert found[dead].all()
    assert found[~dead].sum() <= 2


def test_cosmic_hits_of_a_few_pixels_are_found():
    image = picture()
    hit = np.zeros(SHAPE, dtype=bool)
    for y, x in ((30, 40), (90, 97), (3, 100), (120, 60)):
        hit[y : y + 2, x : x + 3] = True
        hit[y + 2, x + 3] = True
    found = find_bad_pixels(image + 3000.0 * hit, PSF, **CAMERA)
    assert found[hit].mean() > 0.9
    assert found[~hit].sum() <= 2


def test_hits_at_the_border_and_in_the_corner():
    image = picture()
    places = [(0, 0), (0, 90), (SHAPE[0] - 1, 5), (60, SHAPE[1] - 1), (SHAPE[0] - 1, SHAPE[1] - 1)]
    for place in places:
        image[place] += 2000
    found = find_bad_pixels(image, PSF, **CAMERA)
    assert all(found[place] for place in places)


SCENES = {
    "reference": {},
    "few sites": {"occupancy": 0.02},
    "all sites": {"occupancy": 1.0},
    "no site": {"occupancy": 0.0},
    "bright": {"brightness": 1e5, "brightness_sd": 1e4},
    "bright background": {"background": 1e4},
    "no background, no read noise": {"background": 0.0, "read_noise": 0.0},
    "few counts": {"background": 0.3, "brightness": 60.0, "brightness_sd": 6.0, "read_noise": 0.0},
    "electron multiplication": {"excess_noise": 2.0},
    "few counts, multiplied": {"background": 0.3, "read_noise": 0.0, "excess_noise": 2.0},
    "narrow": {"psf": GaussianPSF(1.0)},
    "very narrow": {"psf": GaussianPSF(0.5, 1.6)},
    "airy": {"psf": AiryPSF(5.0)},
}


@pytest.mark.parametrize("changes", SCENES.values(), ids=SCENES.keys())
def test_good_pixels_are_not_bad(changes):
    camera = {name: changes.get(name, value) for name, value in CAMERA.items()}
    psf = changes.get("psf", PSF)
    found = sum(find_bad_pixels(picture(k, **changes), psf, **camera).sum() for k in range(4))
    assert found <= 3  # of 125 000


def test_measured_psf():
    y, x = np.mgrid[-30:31, -30:31] / 3
    psf = SampledPSF(np.exp(-np.hypot(y, x)), 3)
    image = picture(psf=psf)
    image[80, 80] += 3000
    found = find_bad_pixels(image, psf, **CAMERA)
    assert found[80, 80]
    assert found.sum() <= 2


def test_pixels_that_are_not_finite_are_bad():
    image = picture()
    places = [(5, 5), (80, 81), (80, 82), (177, 175)]
    for place, value in zip(places, (np.nan, np.inf, -np.inf, np.nan), strict=True):
        image[place] = value
    found = find_bad_pixels(image, PSF, **CAMERA)
    assert all(found[place] for place in places)
    assert found.sum() <= len(places) + 2
    nothing = np.full((9, 9), np.nan)
    assert find_bad_pixels(nothing, PSF, **CAMERA).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 3), (4, 60), (6, 5)])
def test_small_frames(shape):
    image = np.full(shape, 50.0)
    assert not find_bad_pixels(image, PSF, **CAMERA).any()


def test_image_stays_as_it_is():
    image = picture() + 2000.0 * defects(0)
    copy = image.copy()
    image.setflags(write=False)
    bad = find_bad_pixels(image, PSF, **CAMERA)
    fill_bad_pixels(image, bad)
    np.testing.assert_array_equal(image, copy)


def test_outliers_of_what_an_estimate_leaves():
    rng = np.random.default_rng(1)
    variance = rng.uniform(50, 300, SHAPE)
    residual = rng.normal(0, np.sqrt(variance))
    hot, dead = defects(2, 40), defects(3, 20)
    residual[hot] += 12 * np.sqrt(variance[hot])
    residual[dead & ~hot] -= 12 * np.sqrt(variance[dead & ~hot])
    found = find_outliers(residual, 1 / variance, 1.0)
    np.testing.assert_array_equal(found, hot | dead)
    # where there is no weight, nothing is asked
    weights = np.where(hot, 0.0, 1 / variance)
    np.testing.assert_array_equal(find_outliers(residual, weights, 1.0), dead & ~hot)


def test_too_many_outliers_are_a_wrong_model():
    residual = np.zeros((100, 100))
    residual[:7] = 20.0
    assert not find_outliers(residual, np.ones((100, 100)), 1.0).any()
    residual[1:] = 0.0
    residual[0, 50:] = 0.0
    assert find_outliers(residual, np.ones((100, 100)), 1.0).sum() == 50


@pytest.mark.parametrize("mean", [0.05, 1.0, 20.0, 1000.0])
def test_margin_is_exceeded_as_rarely_as_it_says(mean):
    from scipy import stats

    for deviations in (3.0, 6.0):
        most = mean + float(margin(np.array(mean), deviations, 1.0))
        assert stats.poisson.sf(most, mean) < 2 * np.exp(-(deviations**2) / 2)
    # many counts: nothing but standard deviations
    assert float(margin(np.array(1e10), 6.0, 1.0)) == pytest.approx(6e5, rel=1e-4)


def test_bad_pixels_are_filled_with_their_surroundings():
    y, x = np.mgrid[:60, :70]
    image = 100.0 + y + 2.0 * x
    bad = np.zeros(image.shape, dtype=bool)
    bad[10, 12] = bad[30:34, 40:43] = True
    bad[0, 0] = True
    filled = fill_bad_pixels(np.where(bad, 1e9, image), bad)
    np.testing.assert_array_equal(filled[~bad], image[~bad])
    np.testing.assert_allclose(filled[bad], image[bad], atol=8)
    with_nan = fill_bad_pixels(np.where(bad, np.nan, image), bad)
    np.testing.assert_allclose(with_nan[bad], filled[bad], atol=1e-6)
    assert fill_bad_pixels(image, np.zeros_like(bad)) is image


def test_large_bad_areas_are_filled_with_something_finite():
    image = np.full((200, 210), 70.0)
    bad = np.zeros(image.shape, dtype=bool)
    bad[:150] = True
    np.testing.assert_allclose(fill_bad_pixels(np.where(bad, np.nan, image), bad), 70.0)


def test_bad_pixels_are_filled_with_the_nearest_good_ones():
    image = np.where(np.arange(120) < 60, 20.0, 90.0) * np.ones((80, 1))
    bad = np.zeros(image.shape, dtype=bool)
    bad[10:70, 5:50] = bad[20:23, 80:110] = True
    filled = fill_bad_pixels(np.where(bad, np.inf, image), bad)
    # a square of half the hole's size would reach beyond column 60
    rim = bad & (np.abs(np.arange(120) - 50) < 8)
    np.testing.assert_allclose(filled[rim], 20.0)
    np.testing.assert_allclose(filled[20:23, 80:110], 90.0)
    with pytest.raises(ValueError, match="good pixels, found none"):
        fill_bad_pixels(image, np.ones_like(bad))


def test_dark_level_lies_low_in_the_image():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(50, 3, 3000), rng.uniform(50, 400, 7000)])
    assert 40 < dark_level(values) < 55
    assert dark_level(np.full(10, 7.0)) == 7.0
    assert dark_level(np.arange(101.0)) == 5.0


@pytest.mark.parametrize("shape", [(120, 200), (64, 64), (33, 7), (1, 1), (3, 300)])
def test_smooth_map_keeps_a_constant(shape):
    good = np.ones(shape)
    np.testing.assert_allclose(smooth_map(np.full(shape, 5.0), good, 4.0), 5.0, atol=1e-9)


def test_smooth_map_is_a_gaussian_filter():
    y, x = np.mgrid[:320, :400]
    noise = np.random.default_rng(5).normal(0, 20, y.shape)
    residual = 10 * np.sin(y / 60) + 0.05 * x + noise
    expected = gaussian_filter(residual, 25.0, mode="nearest")
    found = smooth_map(residual, np.ones(y.shape), 4.0)
    inner = np.s_[75:-75, 75:-75]
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.15)


def test_smooth_map_takes_good_pixels_alone():
    rng = np.random.default_rng(6)
    good = (rng.random((160, 200)) < 0.7).astype(float)
    good[50:90, 60:110] = 0.0
    residual = np.where(good > 0, 5.0, 1e6)
    np.testing.assert_allclose(smooth_map(residual, good, 4.0), 5.0, rtol=1e-6)


def test_smooth_map_of_wide_spacings_is_smoother():
    noise = np.random.default_rng(7).normal(0, 20, (400, 400))
    good = np.ones(noise.shape)
    at_least, six_spacings = (np.diff(smooth_map(noise, good, a)).std() for a in (4.0, 15.0))
    assert six_spacings < 0.4 * at_least
    assert np.diff(smooth_map(noise, good, 2.0)).std() == at_least


@pytest.mark.parametrize("shape", [(5, 9), (37, 64), (100, 83)])
def test_a_plane_stays_a_plane_between_the_middles_of_blocks(shape):
    y, x = np.mgrid[: shape[0] // 8 + 1, : shape[1] // 8 + 1].astype(float)
    out = np.empty(shape)
    _interpolate(3.0 * y - 2.0 * x, 8, out)
    v, u = ((np.arange(n) - 3.5) / 8 for n in shape)
    v, u = np.clip(v, 0, y.max())[:, None], np.clip(u, 0, x.max())[None, :]
    np.testing.assert_allclose(out, 3.0 * v - 2.0 * u, atol=1e-12)
