"""detect() and its threshold method on simulated pictures with known truth."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D, ThresholdOptions, detect
from napari_coldatoms.clouds.simulate import random_empty_triplet, simulate_triplet
from napari_coldatoms.images.absorption import optical_depth
from napari_coldatoms.images.stack import make_stack

CLOUD = Gaussian2D(x0=90.3, y0=70.7, wx=30.0, wy=14.0, theta=0.5, peak=1.2, background=0.1)


def noisy(*clouds, shape=(150, 200), noise=0.05, seed=1):
    picture = np.random.default_rng(seed).normal(0, noise, shape)
    return picture + sum(cloud.image(shape) for cloud in clouds)


def overlap(one, two):
    return (one & two).sum() / (one | two).sum()


def test_one_cloud():
    (cloud,) = detect(noisy(CLOUD))
    assert cloud.label == "cloud"
    assert 0.9 < cloud.score <= 1
    assert cloud.fit.success
    np.testing.assert_allclose(
        cloud.fit.gaussian.to_array(), CLOUD.to_array(), rtol=0.02, atol=0.01
    )
    assert cloud.best is cloud.fit.gaussian
    # the mask: pixels inside the 1/e² ellipse
    assert cloud.mask.shape == (150, 200)
    assert overlap(cloud.mask, CLOUD.mask((150, 200))) > 0.9
    assert cloud.area == cloud.mask.sum()
    # its Gaussian, without a fit
    np.testing.assert_allclose(cloud.gaussian.to_array(), CLOUD.to_array(), rtol=0.1)
    # the box: at the fitted radii, pixel edges
    np.testing.assert_allclose(cloud.box, cloud.fit.gaussian.ellipse_box())


def test_without_fit_the_box_is_the_masks():
    (cloud,) = detect(noisy(CLOUD), fit=False)
    assert cloud.fit is None
    assert cloud.best is cloud.gaussian
    np.testing.assert_allclose(cloud.box, cloud.gaussian.ellipse_box())
    np.testing.assert_allclose(cloud.box, CLOUD.ellipse_box(), atol=2.5)


def test_scores_order_the_clouds():
    faint = Gaussian2D(40.0, 120.0, 8.0, 8.0, 0.0, 0.3)
    strong, weak = detect(noisy(CLOUD, faint))
    assert 0 < weak.score < strong.score <= 1
    assert strong.best.peak > weak.best.peak
    assert weak.best.x0 == pytest.approx(40, abs=1)
    assert weak.significance < strong.significance


def test_score_is_one_half_at_the_threshold():
    (cloud,) = detect(noisy(CLOUD), significance=20.0)
    assert cloud.score == pytest.approx(cloud.significance / (cloud.significance + 20))


@pytest.mark.parametrize("separation", [2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("ratio", [1.0, 0.5])
def test_touching_clouds_are_two(separation, ratio):
    rng = np.random.default_rng(3)
    for trial in range(5):
        w, angle = rng.uniform(8, 18), rng.uniform(0, 2 * np.pi)
        dx, dy = np.cos(angle) * separation * w / 2, np.sin(angle) * separation * w / 2
        one = Gaussian2D(100 - dx, 75 - dy, w, w, 0.0, 1.0)
        two = Gaussian2D(100 + dx, 75 + dy, w, w, 0.0, ratio)
        found = detect(noisy(one, two, noise=0.04, seed=trial))
        assert len(found) == 2
        for truth in (one, two):
            near = min(found, key=lambda c: math.hypot(c.best.x0 - truth.x0, c.best.y0 - truth.y0))
            assert near.fit.success
            # each neighbour's model is taken away from the other's pixels
            errors = (near.best.to_array() - truth.to_array()) / near.fit.stderr.to_array()
            assert np.abs(errors[[0, 1, 5]]).max() < 5
            assert math.sqrt(near.best.wx * near.best.wy) == pytest.approx(w, rel=0.06)


def test_clouds_of_very_different_size_and_height():
    big = Gaussian2D(80.0, 75.0, 45.0, 40.0, 0.0, 0.3)
    small = Gaussian2D(170.0, 120.0, 3.0, 3.0, 0.0, 2.0)
    found = detect(noisy(big, small, noise=0.05))
    assert len(found) == 2
    assert {round(c.best.wx / 10) for c in found} == {0, 4}


def test_a_wide_cloud_below_the_noise_of_a_pixel_is_one():
    wide = Gaussian2D(128.0, 120.0, 60.0, 45.0, 0.3, 0.5)
    (cloud,) = detect(noisy(wide, shape=(256, 256), noise=1.0))
    assert cloud.fit.success
    assert cloud.best.wx == pytest.approx(60, rel=0.2)


def test_bimodal_and_ring_clouds_are_one():
    y, x = np.mgrid[:200, :200]
    r = np.hypot(x - 100, y - 90)
    rng = np.random.default_rng(4)
    ring = np.exp(-((r - 55) ** 2) / 72) * (1 + 0.4 * np.cos(2 * np.arctan2(y - 90, x - 100)))
    (cloud,) = detect(ring + rng.normal(0, 0.08, ring.shape))
    # filled: its outer contour
    assert cloud.gaussian.wx == pytest.approx(55 + 6 * math.sqrt(2), rel=0.08)
    assert not cloud.fit.success
    np.testing.assert_allclose(cloud.box, cloud.gaussian.ellipse_box())
    bimodal = 0.5 * np.exp(-2 * r**2 / 60**2) + np.maximum(0, 1 - r**2 / 12**2) ** 1.5
    (cloud,) = detect(bimodal + rng.normal(0, 0.03, ring.shape))
    assert cloud.fit.quality == "poor"


def test_cut_by_the_border_with_invalid_pixels():
    edge = Gaussian2D(4.0, 70.0, 30.0, 24.0, 0.0, 1.0)
    picture = noisy(edge)
    picture[60:70, 20:30] = np.nan
    picture[100:, 150:] = np.nan
    (cloud,) = detect(picture)
    assert cloud.best.x0 == pytest.approx(4, abs=1)
    assert cloud.box[1] < 0


def test_hot_pixels_are_no_clouds():
    picture = noisy()
    rng = np.random.default_rng(5)
    picture[rng.integers(0, 150, 20), rng.integers(0, 200, 20)] += rng.uniform(1, 50, 20)
    assert detect(picture) == []


def test_dips_are_no_clouds_and_hide_none():
    ghost = Gaussian2D(150.0, 100.0, 20.0, 15.0, 0.0, -0.5)
    found = detect(noisy(CLOUD, ghost))
    assert len(found) == 1
    assert found[0].best.x0 == pytest.approx(90.3, abs=1)


def test_nothing_in_pictures_without_information():
    for picture in (np.ones((60, 60)), np.full((60, 60), np.nan), np.zeros((2, 2))):
        assert detect(picture) == []


def test_nothing_in_noise():
    rng = np.random.default_rng(6)
    assert sum(len(detect(rng.normal(0, 1, (256, 256)))) for _ in range(20)) == 0
    assert sum(len(detect(rng.poisson(3, (200, 200)))) for _ in range(5)) == 0


def test_nothing_in_empty_fringed_frames(fringed):
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found += len(detect(fringed(rng), fit=False))
        found += len(detect(optical_depth(random_empty_triplet(rng)), fit=False))
    assert found <= 1


@pytest.mark.slow
def test_nothing_in_many_empty_fringed_frames(fringed):
    """At most 2 detections in 100 frames, for each way to make them."""
    counts = dict.fromkeys(("triplets", "fringes", "large frames"), 0)
    for seed in range(100):
        rng = np.random.default_rng(1000 + seed)
        counts["triplets"] += len(detect(optical_depth(random_empty_triplet(rng)), fit=False))
        counts["fringes"] += len(detect(fringed(rng), fit=False))
        counts["large frames"] += len(detect(fringed(rng, (512, 640)), fit=False))
    assert max(counts.values()) <= 2, counts


def test_fixed_axes():
    upright = Gaussian2D(90.3, 70.7, 12.0, 30.0, 0.0, 1.2)
    (cloud,) = detect(noisy(upright), axes="fixed")
    assert cloud.gaussian.theta == 0
    assert cloud.fit.gaussian.theta == 0
    assert cloud.fit.gaussian.wx == pytest.approx(12, rel=0.03)
    assert cloud.fit.gaussian.wy == pytest.approx(30, rel=0.03)
    assert cloud.gaussian.wx == pytest.approx(12, rel=0.1)
    turned = Gaussian2D(90.3, 70.7, 12.0, 30.0, 0.4, 1.2)
    (cloud,) = detect(noisy(turned), axes="fixed", angle=0.4)
    assert cloud.fit.gaussian.wx == pytest.approx(12, rel=0.03)


def test_physical_units():
    picture = make_stack(noisy(CLOUD), pixel_size=3.0, unit="um")
    (cloud,) = detect(picture)
    assert cloud.physical == cloud.fit.physical
    assert cloud.unit == cloud.fit.unit
    assert cloud.physical.wx == pytest.approx(90, rel=0.02)
    (mask_only,) = detect(picture, fit=False)
    assert mask_only.physical.wx == pytest.approx(90, rel=0.1)


def test_from_raw_frames_to_clouds():
    truth = Gaussian2D(120.0, 90.0, 25.0, 12.0, 0.3, 1.5)
    triplet = simulate_triplet(
        [truth], shape=(200, 240), power_ratio=0.97, vignette=0.4, structure=0.15, fringes=2, rng=3
    )
    (cloud,) = detect(optical_depth(triplet))
    # fringes: the errors are larger than those of white noise
    np.testing.assert_allclose(cloud.best.to_array()[:4], truth.to_array()[:4], rtol=0.05)


def test_unknown_names_are_refused():
    picture = noisy(CLOUD)
    with pytest.raises(
        ValueError, match="expected method one of threshold, mask-rcnn, found 'magic'"
    ):
        detect(picture, method="magic")
    with pytest.raises(ValueError, match=r"significance.*found 'threshhold'"):
        detect(picture, threshhold=3)
    with pytest.raises(ValueError, match="axes"):
        detect(picture, axes="image")
    with pytest.raises(ValueError, match="roi_factor"):
        detect(picture, roi_factor=-1)
    with pytest.raises(ValueError, match="binning"):
        detect(picture, binning=0)


def test_several_shots_are_refused():
    with pytest.raises(ValueError, match="one picture"):
        detect(make_stack(np.zeros((4, 20, 20))))
    with pytest.raises(ValueError, match="two-dimensional"):
        detect(np.zeros((4, 20, 20)))
    (cloud,) = detect(make_stack(noisy(CLOUD)[None]))  # a single shot is a picture
    assert cloud.fit.success


@pytest.mark.parametrize(
    "options", [{"significance": 0}, {"prominence": 1.5}, {"floor": 7.0}, {"floor": 0.0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ThresholdOptions(**options)


def test_options_describe_themselves():
    advanced = [f.name for f in fields(ThresholdOptions) if f.metadata.get("advanced")]
    basic = [f.name for f in fields(ThresholdOptions) if not f.metadata.get("advanced")]
    assert basic == ["significance", "prominence"]
    assert advanced


def test_same_picture_same_result():
    picture = noisy(CLOUD)
    one, two = detect(picture), detect(picture)
    assert one == two
    np.testing.assert_array_equal(one[0].mask, two[0].mask)


def test_clouds_on_a_slope():
    y, x = np.ogrid[:150, :200]
    for down, right in ((0.02, 0.0), (-0.01, 0.015), (0.0, -0.03)):
        ramp = down * y + right * x
        (cloud,) = detect(noisy(CLOUD) + ramp)
        assert overlap(cloud.mask, CLOUD.mask((150, 200))) > 0.8
        assert not detect(noisy() + ramp)


@pytest.mark.parametrize("noise", [0.15, 0.2, 0.3])
@pytest.mark.parametrize("offset", [12.1, 12.5])
def test_nothing_in_empty_frames_of_few_grey_levels(noise, offset):
    for seed in range(3):
        assert not detect(np.round(noisy(shape=(200, 300), noise=noise, seed=seed) + offset))


def test_a_cloud_of_few_grey_levels():
    wide = Gaussian2D(90.3, 70.7, 30.0, 14.0, 0.5, 6.0, 12.1)
    (cloud,) = detect(np.round(noisy(wide, noise=0.2)).astype(np.uint8))
    np.testing.assert_allclose(cloud.best.to_array(), wide.to_array(), rtol=0.03)
