"""fit_gaussian against scipy and lmfit, the Cramér-Rao bound and closed cases."""

from __future__ import annotations

import math
import warnings

import lmfit
import numpy as np
import pytest
from scipy.optimize import curve_fit

from napari_coldatoms.clouds import Gaussian2D, detect, fit_gaussian
from napari_coldatoms.clouds.fit import fit_pixels
from napari_coldatoms.images.stack import make_stack

CLOUD = Gaussian2D(x0=60.3, y0=50.7, wx=22.0, wy=9.0, theta=0.5, peak=1.2, background=0.1)
SEED = Gaussian2D(x0=58.0, y0=52.0, wx=18.0, wy=11.0, theta=0.3)


def noisy(cloud=CLOUD, shape=(100, 120), noise=0.05, seed=1):
    return cloud.image(shape) + np.random.default_rng(seed).normal(0, noise, shape)


def test_agrees_with_scipy_and_lmfit_on_the_same_pixels(eq1):
    picture = noisy()
    fit = fit_gaussian(picture, SEED)
    y0, x0, y1, x1 = fit.roi
    y, x = np.mgrid[y0:y1, x0:x1]
    crop = picture[y0:y1, x0:x1].ravel()

    def model(_, *parameters):
        return eq1(parameters, y, x).ravel()

    start = [58.0, 52.0, 18.0, 11.0, 0.3, 1.0, 0.0]
    best, covariance = curve_fit(model, None, crop, p0=start, xtol=1e-12, ftol=1e-12)
    np.testing.assert_allclose(fit.gaussian.to_array(), best, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(fit.stderr.to_array(), np.sqrt(np.diag(covariance)), rtol=1e-4)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-3, atol=1e-9)
    parameters = lmfit.Parameters()
    names = ("x0", "y0", "wx", "wy", "theta", "peak", "background")
    for name, value in zip(names, start, strict=True):
        parameters.add(name, value=value)
    other = lmfit.minimize(lambda p: crop - model(None, *p.valuesdict().values()), parameters)
    np.testing.assert_allclose(
        fit.gaussian.to_array(), [other.params[name].value for name in names], rtol=1e-4
    )


def test_a_good_fit_says_so():
    fit = fit_gaussian(noisy(), SEED)
    assert fit.success
    assert fit.quality == "good"
    assert fit.message == "converged"
    assert fit.reduced_chi2 == pytest.approx(1, abs=0.1)
    assert fit.binning == 1
    assert fit.physical is None
    assert fit.unit is None


def test_reduced_chi2_against_a_given_noise():
    picture = noisy(noise=0.05)
    assert fit_gaussian(picture, SEED, noise=0.05).reduced_chi2 == pytest.approx(1, abs=0.05)
    assert fit_gaussian(picture, SEED, noise=0.1).reduced_chi2 == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize(
    "seed",
    [
        None,
        SEED,
        Gaussian2D(60.0, 51.0, 12.0, 12.0),  # exactly round
        Gaussian2D(60.0, 51.0, 9.0, 22.0, 0.5),  # axes swapped
        Gaussian2D(60.0, 51.0, 22.0, 9.0, 0.5 - math.pi / 2),  # across
        Gaussian2D(55.0, 47.0, 4.0, 4.0),  # much too small
        Gaussian2D(70.0, 55.0, 45.0, 40.0),  # much too large
        CLOUD.mask((100, 120)),
        CLOUD.mask((100, 120)).astype(float) * 0.8,
    ],
)
def test_seeds_of_all_kinds_reach_the_same_minimum(seed):
    picture = noisy()
    fit = fit_gaussian(picture, seed)
    assert fit.success
    truth = CLOUD.to_array()
    errors = (fit.gaussian.to_array() - truth) / fit.stderr.to_array()
    assert np.abs(errors).max() < 4
    assert fit.gaussian.wx >= fit.gaussian.wy


def test_a_cloud_is_a_seed():
    picture = noisy()
    (cloud,) = detect(picture)
    fit = fit_gaussian(picture, cloud)
    np.testing.assert_allclose(fit.gaussian.to_array(), CLOUD.to_array(), rtol=0.03)


def test_exact_pictures_give_exact_parameters():
    fit = fit_gaussian(CLOUD.image((100, 120)), SEED)
    np.testing.assert_allclose(fit.gaussian.to_array(), CLOUD.to_array(), rtol=1e-9)
    assert fit.success


@pytest.mark.parametrize("offset", [1e6, -3e4])
def test_a_large_offset_costs_no_accuracy(offset):
    picture = noisy()
    plain, shifted = fit_gaussian(picture, SEED), fit_gaussian(picture + offset, SEED)
    np.testing.assert_allclose(
        shifted.gaussian.to_array()[:6], plain.gaussian.to_array()[:6], rtol=1e-6
    )
    assert shifted.gaussian.background - offset == pytest.approx(
        plain.gaussian.background, abs=1e-6
    )


@pytest.mark.parametrize("theta", [-math.pi / 2 + 1e-3, -0.7, 0.0, 0.7, math.pi / 2])
def test_all_angles(theta):
    cloud = Gaussian2D(60.3, 50.7, 22.0, 9.0, theta, 1.2, 0.1)
    fit = fit_gaussian(noisy(cloud), Gaussian2D(60.0, 50.0, 15.0, 15.0))
    assert math.remainder(fit.gaussian.theta - theta, math.pi) == pytest.approx(0, abs=0.02)
    assert -math.pi / 2 < fit.gaussian.theta <= math.pi / 2


def test_round_clouds_have_an_unknown_angle():
    cloud = Gaussian2D(60.3, 50.7, 12.0, 12.0, 0.0, 1.2, 0.1)
    fit = fit_gaussian(noisy(cloud), SEED)
    assert fit.success
    assert fit.gaussian.wx == pytest.approx(12, rel=0.05)
    assert fit.gaussian.wy == pytest.approx(12, rel=0.05)
    assert 0.1 < fit.stderr.theta <= math.pi / math.sqrt(12)
    exact = fit_gaussian(cloud.image((100, 120)), SEED)
    assert exact.success
    assert np.isfinite(exact.stderr.to_array()).all()


def test_fixed_axes_are_never_swapped(eq1):
    cloud = Gaussian2D(60.3, 50.7, 9.0, 22.0, 0.2, 1.2, 0.1)
    picture = noisy(cloud)
    fit = fit_gaussian(picture, SEED, theta=0.2)
    assert fit.success
    assert fit.gaussian.theta == pytest.approx(0.2)
    assert fit.stderr.theta == 0
    assert fit.gaussian.wx == pytest.approx(9, rel=0.02)
    assert fit.gaussian.wy == pytest.approx(22, rel=0.02)
    y0, x0, y1, x1 = fit.roi
    y, x = np.mgrid[y0:y1, x0:x1]
    best, covariance = curve_fit(
        lambda _, a, b, c, d, e, f: eq1((a, b, c, d, 0.2, e, f), y, x).ravel(),
        None,
        picture[y0:y1, x0:x1].ravel(),
        p0=[60, 50, 10, 20, 1, 0],
        xtol=1e-12,
        ftol=1e-12,
    )
    ours = np.delete(fit.gaussian.to_array(), 4)
    np.testing.assert_allclose(ours, best, rtol=1e-6)
    np.testing.assert_allclose(
        np.delete(fit.stderr.to_array(), 4), np.sqrt(np.diag(covariance)), rtol=1e-4
    )


@pytest.mark.parametrize("binning", [2, 3, 4])
def test_binning_changes_neither_radii_nor_peak(binning):
    cloud = Gaussian2D(100.3, 90.7, 40.0, 16.0, 0.5, 1.2, 0.1)
    exact = fit_gaussian(cloud.image((190, 210)), cloud, binning=binning)
    assert exact.binning == binning
    # the blocks' widening is undone to second order
    np.testing.assert_allclose(exact.gaussian.to_array(), cloud.to_array(), rtol=2e-3)
    picture = noisy(cloud, (190, 210))
    fine, coarse = fit_gaussian(picture, cloud), fit_gaussian(picture, cloud, binning=binning)
    difference = coarse.gaussian.to_array() - fine.gaussian.to_array()
    assert np.abs(difference / fine.stderr.to_array()).max() < 1.5
    np.testing.assert_allclose(coarse.stderr.to_array(), fine.stderr.to_array(), rtol=0.15)
    assert coarse.reduced_chi2 == pytest.approx(1, abs=0.25)


def test_binning_stops_before_the_cloud_is_lost():
    cloud = Gaussian2D(60.3, 50.7, 8.0, 4.0, 0.5, 1.2, 0.1)
    fit = fit_gaussian(noisy(cloud), cloud, binning=8)
    assert fit.binning == 2
    assert fit.gaussian.wy == pytest.approx(4, rel=0.05)


def test_invalid_and_excluded_pixels_are_left_out():
    picture = noisy()
    rng = np.random.default_rng(5)
    bad = rng.random(picture.shape) < 0.2
    spoiled, excluded = np.where(bad, np.nan, picture), np.where(bad, 1e6, picture)
    spoiled[0, 0] = np.inf
    one, two = fit_gaussian(spoiled, SEED), fit_gaussian(excluded, SEED, exclude=bad)
    np.testing.assert_allclose(one.gaussian.to_array(), two.gaussian.to_array(), rtol=1e-9)
    errors = (one.gaussian.to_array() - CLOUD.to_array()) / one.stderr.to_array()
    assert np.abs(errors).max() < 4


@pytest.mark.parametrize("centre", [(2.0, 50.0), (60.0, 97.0), (-3.0, 50.0)])
def test_clouds_cut_by_the_border(centre):
    cloud = Gaussian2D(*centre, 22.0, 16.0, 0.5, 1.2, 0.1)
    fit = fit_gaussian(noisy(cloud), Gaussian2D(max(centre[0], 0.0), centre[1], 18.0, 14.0))
    assert fit.success
    errors = (fit.gaussian.to_array() - cloud.to_array()) / fit.stderr.to_array()
    assert np.abs(errors).max() < 4


def test_region_is_the_scaled_box():
    fit = fit_gaussian(noisy(), CLOUD, roi_factor=1.5, redraw=0)
    y0, x0, y1, x1 = CLOUD.ellipse_box(1.5)
    assert fit.roi == (math.floor(y0), math.floor(x0), math.ceil(y1), math.ceil(x1))


def test_region_is_drawn_again_for_a_poor_seed():
    small = Gaussian2D(60.0, 51.0, 9.0, 4.0, 0.5)
    picture = noisy()
    again, once = fit_gaussian(picture, small), fit_gaussian(picture, small, redraw=0)
    width, expected = again.roi[3] - again.roi[1], 2 * 2 * CLOUD.half_widths[0]
    assert width == pytest.approx(expected, rel=0.15)
    assert once.roi[3] - once.roi[1] < 0.6 * expected
    assert once.stderr.wx > 1.3 * again.stderr.wx


def test_pictures_without_information_are_no_error():
    pictures = {
        "constant": np.ones((50, 60)),
        "invalid": np.full((50, 60), np.nan),
        "tiny": np.arange(6.0).reshape(2, 3),
        "one": np.ones((1, 1)),
        "noise": np.random.default_rng(6).normal(0, 1, (50, 60)),
        "dip": -CLOUD.image((100, 120)),
        "ramp": np.add.outer(np.arange(50.0), np.arange(60.0)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, picture in pictures.items():
            for seed in (None, Gaussian2D(20.0, 20.0, 8.0, 6.0, 0.2)):
                fit = fit_gaussian(picture, seed)
                assert not fit.success, name
                assert fit.quality == "failed"
                assert len(fit.message) > 10


def test_a_hot_pixel_is_no_cloud():
    picture = np.random.default_rng(10).normal(0, 1, (60, 60))
    picture[30, 31] = 500.0
    for seed in (None, Gaussian2D(31.0, 30.0, 4.0, 4.0)):
        fit = fit_gaussian(picture, seed)
        assert not fit.success
        assert "single pixel" in fit.message or seed is None


def test_a_seed_outside_the_frame_is_a_failed_fit():
    fit = fit_gaussian(noisy(), Gaussian2D(900.0, 900.0, 10.0, 10.0))
    assert not fit.success
    assert "outside" in fit.message


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        (np.zeros(5), {}, "two-dimensional"),
        (np.zeros((2, 3, 4)), {}, "two-dimensional"),
        (np.zeros((0, 4)), {}, "with pixels"),
        (np.zeros((9, 9), dtype=complex), {}, "real numbers"),
        (np.array([["a"]]), {}, "real numbers"),
        (np.zeros((9, 9)), {"roi_factor": 0}, "roi_factor"),
        (np.zeros((9, 9)), {"binning": 0}, "binning"),
        (np.zeros((9, 9)), {"binning": 1.5}, "binning"),
        (np.zeros((9, 9)), {"noise": -1.0}, "noise"),
        (np.zeros((9, 9)), {"theta": np.nan}, "theta"),
        (np.zeros((9, 9)), {"seed": np.ones((4, 4))}, "seed mask of the picture's shape"),
        (np.zeros((9, 9)), {"seed": Gaussian2D(np.nan, 1, 2, 3)}, "finite centre"),
        (np.zeros((9, 9)), {"seed": Gaussian2D(1, 1, -2, 3)}, "positive radii"),
        (np.zeros((9, 9)), {"exclude": np.ones((4, 4))}, "exclude of shape"),
    ],
)
def test_wrong_arguments_are_refused(picture, options, message):
    with pytest.raises(ValueError, match=message):
        fit_gaussian(picture, **options)


def test_raw_frames_and_several_shots_are_refused():
    frames = make_stack(np.zeros((3, 9, 9)), roles=["atoms", "probe", "dark"])
    with pytest.raises(ValueError, match="raw frames"):
        fit_gaussian(frames)
    with pytest.raises(ValueError, match="one picture"):
        fit_gaussian(make_stack(np.zeros((3, 9, 9))))


def test_physical_units():
    picture = make_stack(noisy(), pixel_size=2.5, unit="um")
    fit = fit_gaussian(picture, SEED)
    assert fit.unit == picture.attrs.get("units", "um") or fit.unit
    scale = np.array([2.5, 2.5, 2.5, 2.5, 1, 1, 1])
    np.testing.assert_allclose(fit.physical.to_array(), fit.gaussian.to_array() * scale)
    np.testing.assert_allclose(fit.physical_stderr.to_array(), fit.stderr.to_array() * scale)


def test_physical_errors_with_pixels_that_are_not_square():
    """Against the scatter of refits."""
    physical, errors = [], []
    for seed in range(60):
        picture = make_stack(noisy(seed=seed), pixel_size=(1.0, 2.0), unit="um")
        fit = fit_gaussian(picture, CLOUD)
        physical.append(fit.physical.to_array())
        errors.append(fit.physical_stderr.to_array())
    scatter = np.std(physical, axis=0, ddof=1)
    # 60 refits: 9 % of the scatter
    np.testing.assert_allclose(scatter / np.mean(errors, axis=0), 1, atol=0.3)
    expected = CLOUD.scaled((1.0, 2.0)).to_array()
    np.testing.assert_allclose(np.mean(physical, axis=0), expected, rtol=0.01)


def test_a_cropped_picture_gives_the_same_place():
    picture = make_stack(noisy(), pixel_size=2.5, unit="um")
    whole, part = fit_gaussian(picture, SEED), fit_gaussian(picture[10:, 5:])
    np.testing.assert_allclose(
        part.physical.to_array()[:4], whole.physical.to_array()[:4], rtol=0.02
    )


def test_bimodal_and_flat_clouds_are_poor():
    y, x = np.mgrid[:120, :120]
    r2 = ((x - 60) / 30) ** 2 + ((y - 60) / 30) ** 2
    condensate = np.maximum(0, 1 - r2 * 6) ** 1.5
    rng = np.random.default_rng(7)
    pictures = {
        "bimodal": np.exp(-2 * r2 / 2) + 1.5 * condensate,
        "flat": np.minimum(1, 3 * np.exp(-2 * r2)),
    }
    for name, picture in pictures.items():
        fit = fit_gaussian(picture + rng.normal(0, 0.05, (120, 120)))
        assert fit.success, name
        assert fit.quality == "poor", name
        assert "not Gaussian" in fit.message


def test_shot_noise_in_the_core_is_no_structure():
    rng = np.random.default_rng(8)
    picture = rng.poisson(CLOUD.image((100, 120)) * 400).astype(float)
    assert fit_gaussian(picture, SEED).quality == "good"


def test_a_fit_of_a_ring_fails():
    y, x = np.mgrid[:200, :200]
    ring = np.exp(-((np.hypot(x - 100, y - 100) - 60) ** 2) / 50)
    fit = fit_gaussian(ring + np.random.default_rng(9).normal(0, 0.05, ring.shape))
    assert not fit.success


def test_input_is_not_changed():
    picture = noisy()
    picture[3, 3] = np.nan
    before = picture.copy()
    fit_gaussian(picture)
    detect(picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", ">f4", "float32", "int64"])
def test_camera_types(dtype):
    picture = (noisy() * 100 + 30).clip(0).astype(dtype)
    fit = fit_gaussian(picture, SEED)
    assert fit.success
    assert fit.gaussian.wx == pytest.approx(22, rel=0.03)


def test_a_known_cloud_beside_fringes_nearly_as_high_is_fitted_but_poor():
    """The rms of the wave, as products of pixels two apart tell it, is 0.58 of its height.

    So the peak is 3.5, then 1.4 times as high.
    """
    truth = Gaussian2D(100, 96, 20, 16, 0.4, 0.35, 0.0)
    y, x = np.mgrid[:200, :200]
    noise = np.random.default_rng(3).normal(0, 0.01, (200, 200))
    stripes = np.sin(2 * np.pi * (x + 0.3 * y) / 11)
    for height, fitted in ((0.17, True), (0.44, False)):
        picture = truth.image((200, 200)) + noise + height * stripes
        assert not fit_pixels(picture, truth).success
        fit = fit_pixels(picture, truth, known=True)
        assert fit.success is fitted
        assert fit.quality == ("poor" if fitted else "failed")
        assert "times the structure of the background" in fit.message
        if fitted:
            assert abs(fit.gaussian.x0 - 100) < 1
            assert fit.gaussian.wx == pytest.approx(20, rel=0.1)
