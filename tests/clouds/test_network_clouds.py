"""What becomes of a network's detections: masks, Gaussians and fits, against the truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_coldatoms.clouds import Detection, Gaussian2D, NetworkOptions, clouds_of, detect
from napari_coldatoms.clouds.detection import MASK_SIZE
from napari_coldatoms.clouds.network_regions import region_of
from napari_coldatoms.clouds.simulate_sets import validation_set
from napari_coldatoms.images.stack import make_stack

SHAPE = (150, 200)
MOT = Gaussian2D(95.0, 75.0, 36.0, 32.0, 0.3, 0.6, 0.1)
# a dense trap in the middle of the MOT
ODT = Gaussian2D(100.0, 72.0, 24.0, 5.0, -0.2, 1.5, 0.0)
# one that only crosses it
CROSSING = Gaussian2D(128.0, 90.0, 30.0, 6.0, 0.5, 1.0, 0.0)


def found(gaussian, label="MOT", score=0.9, softness=1.0):
    """The detection of a Gaussian: probability one half at its 1/e² ellipse."""
    y0, x0, y1, x1 = box = gaussian.ellipse_box()
    cells = (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE
    profile = gaussian.profile(
        (y0 + cells * (y1 - y0) - 0.5)[:, None], (x0 + cells * (x1 - x0) - 0.5)[None, :]
    )
    radius = np.sqrt(-np.log(np.maximum(profile, 1e-300)) / 2)  # 1 at 1/e²
    sharp = 20 / softness
    mask = 1 / (1 + np.exp(np.clip(sharp * (radius - 1), -50, 50)))
    return Detection(label, score, box, mask.astype(np.float32))


def noisy(*clouds, noise=0.02, seed=1):
    picture = np.random.default_rng(seed).normal(0, noise, SHAPE)
    return picture + sum(cloud.image(SHAPE) for cloud in clouds)


def test_the_mask_gives_the_gaussian():
    region, shape = region_of(found(ODT), SHAPE)
    whole = np.zeros(SHAPE, bool)
    (y, x), (ny, nx) = region.offset, region.mask.shape
    whole[y : y + ny, x : x + nx] = region.mask
    truth = ODT.mask(SHAPE)
    assert (whole & truth).sum() / (whole | truth).sum() > 0.93
    assert region.mask[0].any()
    assert region.mask[:, -1].any()
    expected = [ODT.x0, ODT.y0, ODT.wx, ODT.wy, ODT.theta]
    np.testing.assert_allclose(shape.to_array()[:5], expected, rtol=0.04, atol=0.05)
    assert math.isnan(shape.peak)


def test_soft_values_weigh_and_those_below_one_half_do_not():
    # a mask twice as strong in its right half: the centre lies there
    mask = np.full((28, 28), 0.55, np.float32)
    mask[:, 14:] = 1.0
    mask[:7] = 0.45
    region, shape = region_of(Detection("MOT", 0.9, (20.0, 30.0, 48.0, 58.0), mask), SHAPE)
    assert region.offset == (27, 30)
    assert region.mask.shape == (21, 28)
    assert region.mask.all()
    columns, rows = np.arange(30, 58), np.arange(27, 48)
    assert shape.x0 == pytest.approx(np.average(columns, weights=mask[14]), abs=1e-5)
    assert shape.y0 == pytest.approx(rows.mean(), abs=1e-5)


def test_an_empty_mask_counts_as_the_ellipse_in_its_box():
    weak = np.full((28, 28), 0.4, np.float32)
    region, shape = region_of(Detection("MOT", 0.9, (20.0, 30.0, 40.0, 60.0), weak), SHAPE)
    assert (shape.x0, shape.y0, shape.wx, shape.wy) == (44.5, 29.5, 15.0, 10.0)
    assert region.mask.sum() == pytest.approx(math.pi * 150, rel=0.05)
    # smaller than a pixel, in the corner
    region, shape = region_of(Detection("MOT", 0.9, (0.0, 199.6, 0.3, 200.0), weak), SHAPE)
    assert region.offset == (0, 199)
    assert region.mask.sum() == 1
    assert shape.wx == shape.wy == 1.0


def test_a_cloud_of_the_network():
    picture = noisy(MOT)
    (cloud,) = clouds_of(picture, [found(MOT, score=0.83)])
    assert (cloud.label, cloud.score) == ("MOT", 0.83)
    assert math.isnan(cloud.significance)
    assert cloud.fit.quality == "good"
    errors = (cloud.best.to_array() - MOT.to_array()) / cloud.fit.stderr.to_array()
    assert np.abs(errors).max() < 4
    # from the soft mask alone: Eq. 3 for the peak, the histogram for the background
    np.testing.assert_allclose(cloud.gaussian.to_array(), MOT.to_array(), rtol=0.06, atol=0.05)
    (unfitted,) = clouds_of(picture, [found(MOT)], fit=False)
    assert unfitted.fit is None
    assert unfitted.gaussian == cloud.gaussian


@pytest.mark.parametrize("trap", [ODT, CROSSING])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clouds_that_lie_over_each_other_are_fitted_both(trap, seed):
    picture = noisy(MOT, trap, seed=seed)
    clouds = clouds_of(picture, [found(trap, "ODT", 0.95), found(MOT, "MOT", 0.9)])
    assert [cloud.label for cloud in clouds] == ["ODT", "MOT"]
    for cloud, truth in zip(clouds, (trap, MOT), strict=True):
        assert cloud.fit.success, cloud.fit.message
        near = cloud.fit.gaussian
        errors = (near.to_array()[:6] - truth.to_array()[:6]) / cloud.fit.stderr.to_array()[:6]
        # each is fitted with the other one fixed: its errors leave those of the other out
        assert np.abs(errors).max() < 8
        expected = truth.to_array()[:6]
        np.testing.assert_allclose(near.to_array()[:6], expected, rtol=0.03, atol=0.02)


def test_a_fit_that_leaves_the_mask_has_failed_and_the_mask_stays():
    # the network sees a cloud where there is the slope of a much larger one
    picture = noisy(Gaussian2D(60.0, 60.0, 40.0, 40.0, 0.0, 2.0))
    wrong = Gaussian2D(100.0, 85.0, 9.0, 9.0)
    (cloud,) = clouds_of(picture, [found(wrong)])
    assert not cloud.fit.success
    assert cloud.best is cloud.gaussian
    assert cloud.best.x0 == pytest.approx(100, abs=0.5)
    assert cloud.box == cloud.gaussian.ellipse_box()


def test_fixed_axes_and_units():
    stack = make_stack(noisy(ODT), pixel_size=3.0, name="picture")
    (cloud,) = clouds_of(stack, [found(ODT, "ODT")], axes="fixed", angle=math.pi / 2 - 0.2)
    assert cloud.best.theta == pytest.approx(math.pi / 2 - 0.2)
    assert cloud.best.wx == pytest.approx(ODT.wy, rel=0.05)
    assert cloud.gaussian.wx == pytest.approx(ODT.wy, rel=0.1)
    assert cloud.physical.wy == pytest.approx(3 * ODT.wx, rel=0.05)


def test_pictures_without_clouds_or_information():
    assert clouds_of(noisy(), []) == []
    assert clouds_of(np.full(SHAPE, np.nan), [found(MOT)]) == []
    (cloud,) = clouds_of(np.full(SHAPE, 7.0), [found(MOT)])
    assert not cloud.fit.success
    # one that fills the frame
    whole = Detection("MOT", 0.9, (0.0, 0.0, 150.0, 200.0), np.ones((28, 28), np.float32))
    (cloud,) = clouds_of(noisy(MOT), [whole])
    assert cloud.area == 150 * 200


def test_with_true_masks_fits_find_the_clouds_of_the_validation_set():
    succeeded, errors, overlapping = [], [], 0
    for frame in validation_set("paper", stop=40):
        truth = [
            found(each.gaussian, each.label, 0.9 - 0.1 * n)
            for n, each in enumerate(frame.instances)
        ]
        clouds = clouds_of(frame.picture(), truth)
        assert [cloud.label for cloud in clouds] == list(frame.labels)
        overlapping += len(clouds) > 1
        for cloud, true in zip(clouds, frame.gaussians, strict=True):
            succeeded.append(cloud.fit.success)
            best = cloud.best
            off = math.hypot(best.x0 - true.x0, best.y0 - true.y0) / true.wy
            errors.append((off, best.wx / true.wx - 1, best.wy / true.wy - 1))
    assert overlapping > 5
    assert np.mean(succeeded) > 0.95
    assert np.sqrt(np.mean(np.square(errors), axis=0)).max() < 0.15


def test_options_are_checked():
    with pytest.raises(ValueError, match=r"expected score in 0\.\.1, found 2"):
        NetworkOptions(score=2.0)
    assert str(NetworkOptions(weights="a.safetensors").weights) == "a.safetensors"
    with pytest.raises(ValueError, match=r"mask-rcnn.*score, weights, device.*found 'smoothing'"):
        detect(noisy(MOT), method="mask-rcnn", smoothing=3)
    with pytest.raises(ValueError, match="axes"):
        clouds_of(noisy(MOT), [], axes="image")
    assert replace(found(MOT), score=0.1) != found(MOT)
