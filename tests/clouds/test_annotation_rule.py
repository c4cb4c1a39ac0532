"""Masks from drawn boxes, against the Gaussians that were simulated."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.annotation_rule import expansions, masks_by_rule
from napari_coldatoms.clouds.joint_fit import joint_fit

SHAPE = (200, 240)


def simulated(rng, clouds, noise=0.05):
    picture = 0.1 + rng.normal(0, noise, SHAPE)
    return picture + sum(cloud.image(SHAPE) for cloud in clouds)


def by_hand(rng, cloud):
    """Return a box as somebody draws it: a fifth off in place, 3/4 to 4/3 in size."""
    y0, x0, y1, x1 = cloud.ellipse_box()
    half = np.array([y1 - y0, x1 - x0]) / 2
    middle = np.array([y0 + y1, x0 + x1]) / 2 + rng.uniform(-0.2, 0.2, 2) * half
    half *= np.exp(rng.uniform(np.log(0.75), np.log(1.33), 2))
    return [*(middle - half), *(middle + half)]


def overlap(result, cloud):
    found, true = result.mask.on(SHAPE), cloud.mask(SHAPE)
    return (found & true).sum() / (found | true).sum()


def overlaps_of(rng, clouds):
    """Return how far the masks of boxes drawn by hand are those of the clouds."""
    picture = simulated(rng, clouds)
    results = masks_by_rule(picture, [by_hand(rng, cloud) for cloud in clouds])
    assert all(result.ok for result in results)
    return [overlap(*each) for each in zip(results, clouds, strict=True)]


def test_a_cloud_alone():
    rng = np.random.default_rng(1)
    for theta in np.linspace(-1.5, 1.5, 6):
        cloud = Gaussian2D(110.3, 90.6, 30, 12, float(theta), 1.0, 0.0)
        picture = simulated(rng, [cloud])
        picture[80:84, 100:102] = np.nan
        (result,) = masks_by_rule(picture, [by_hand(rng, cloud)])
        assert result.ok
        assert overlap(result, cloud) > 0.97
        # the box is drawn at the 1/e² radii
        np.testing.assert_allclose(result.box, cloud.ellipse_box(), atol=0.6)
        assert result.gaussian == result.fit.gaussian
        assert result.gaussian.wx == pytest.approx(30, abs=5 * result.fit.stderr.wx)


@pytest.mark.parametrize("apart", [75, 50, 40, 32])
def test_clouds_close_to_each_other(apart):
    rng = np.random.default_rng(apart)
    overlaps = []
    for _ in range(8):
        one = Gaussian2D(80, 90, 20, 14, 0.3, 1.0, 0.0)
        other = Gaussian2D(80.0 + apart, 95, 22, 18, -0.3, 0.6, 0.0)
        overlaps += overlaps_of(rng, [one, other])
    assert min(overlaps) > 0.85
    assert np.median(overlaps) > 0.97


def test_a_dipole_trap_in_a_mot():
    rng = np.random.default_rng(3)
    overlaps = []
    for _ in range(6):
        mot = Gaussian2D(110, 90, 40, 36, 0.3, 0.4, 0.0)
        trap = Gaussian2D(115, 95, 50, 7, float(rng.uniform(-0.6, 0.6)), 1.0, 0.0)
        overlaps += overlaps_of(rng, [mot, trap])
    assert min(overlaps) > 0.9
    assert np.median(overlaps) > 0.96


def test_boxes_grow_until_they_touch():
    assert expansions([(0, 0, 10, 20)]) == [2.0]
    # 30 between middles along x, half widths of 10 each
    assert expansions([(0, 0, 10, 20), (0, 30, 10, 50)]) == [1.5, 1.5]
    assert expansions([(0, 0, 10, 20), (4, 15, 14, 35)]) == [1.0, 1.0]
    assert expansions([(0, 0, 10, 20), (100, 0, 110, 20)]) == [2.0, 2.0]
    rng = np.random.default_rng(0)
    for _ in range(200):
        corners = rng.uniform(0, 100, (4, 2))
        boxes = np.hstack([corners, corners + rng.uniform(3, 25, (4, 2))])
        factors = np.array(expansions(boxes))
        middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
        low, high = middle - factors[:, None] * half, middle + factors[:, None] * half
        for i in range(4):
            for j in range(i):
                common = np.minimum(high[i], high[j]) - np.maximum(low[i], low[j])
                if (common > 1e-9).all():  # then they overlapped already
                    assert (
                        factors[i] == factors[j] == 1
                        or (
                            np.minimum(boxes[i, 2:], boxes[j, 2:])
                            > np.maximum(boxes[i, :2], boxes[j, :2])
                        ).all()
                    )


def test_what_is_no_cloud_keeps_its_box():
    rng = np.random.default_rng(5)
    cloud = Gaussian2D(60, 60, 15, 12, 0.0, 1.0, 0.0)
    box = [140.0, 150.0, 170.0, 200.0]
    good, none = masks_by_rule(simulated(rng, [cloud]), [by_hand(rng, cloud), box])
    assert good.ok
    assert not none.ok
    assert none.message
    assert none.box == tuple(box)
    assert none.mask.area == pytest.approx(np.pi * 15 * 25, rel=0.02)
    (blank,) = masks_by_rule(np.full(SHAPE, np.nan), [box])
    assert not blank.ok


def test_it_is_the_same_each_time():
    rng = np.random.default_rng(6)
    clouds = [Gaussian2D(90, 90, 20, 14, 0.3), Gaussian2D(120, 95, 22, 18, -0.3)]
    picture = simulated(rng, clouds)
    boxes = [by_hand(rng, cloud) for cloud in clouds]
    first, second = (masks_by_rule(picture, boxes) for _ in range(2))
    assert [each.gaussian for each in first] == [each.gaussian for each in second]
    assert masks_by_rule(picture, []) == []


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([[1, 2, 3]], r"expected boxes \(n, 4\)"),
        ([[1, 2, 3, np.nan]], r"expected boxes \(n, 4\) of finite"),
        ([[5, 2, 3, 8]], "with y0 < y1"),
        ([[300, 2, 310, 8]], "expected boxes in a picture of 200 x 240"),
    ],
)
def test_other_boxes_are_refused(boxes, words):
    with pytest.raises(ValueError, match=words):
        masks_by_rule(np.zeros(SHAPE), boxes)


def test_joint_fit_without_noise_is_exact():
    clouds = [
        Gaussian2D(90, 90, 25, 14, 0.5, 1.0, 0.2),
        Gaussian2D(108, 95, 20, 18, -0.4, 0.5, 0.2),
    ]
    picture = 0.2 + sum(cloud.peak * cloud.profile(*np.ogrid[:200, :240]) for cloud in clouds)
    starts = [Gaussian2D(86, 92, 20, 20), Gaussian2D(112, 92, 24, 16)]
    found = joint_fit(picture, starts, [(40, 40, 150, 170)])
    for one, other in zip(found, clouds, strict=True):
        np.testing.assert_allclose(one.to_array(), other.to_array(), rtol=1e-3)
