"""Masks of a network on the pixels of a picture, and the clouds that are found twice."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from napari_coldatoms.clouds.detection import Detection, mark_doubles

SHAPE = (120, 160)


def ellipse(y0, x0, wy, wx, *, label="MOT", score=0.9):
    """Return a detection whose mask is an ellipse that fills its box."""
    cells = (np.arange(28) + 0.5) / 14 - 1
    mask = (cells[:, None] ** 2 + cells[None, :] ** 2 <= 1).astype(np.float32)
    box = (y0 + 0.5 - wy, x0 + 0.5 - wx, y0 + 0.5 + wy, x0 + 0.5 + wx)
    return Detection(label, score, box, mask)


def test_soft_mask_is_the_mask_interpolated_at_the_centres_of_the_pixels():
    rng = np.random.default_rng(1)
    mask = rng.random((28, 28), dtype=np.float32)
    detection = Detection("MOT", 0.5, (10.3, 20.7, 61.9, 48.2), mask)
    offset, crop = detection.soft_mask(SHAPE)
    assert offset == (10, 20)
    assert crop.shape == (52, 29)
    cells_y = 10.3 + (np.arange(28) + 0.5) / 28 * 51.6
    cells_x = 20.7 + (np.arange(28) + 0.5) / 28 * 27.5
    known = RegularGridInterpolator((cells_y, cells_x), mask)
    y, x = np.meshgrid(np.arange(15, 55) + 0.5, np.arange(25, 45) + 0.5, indexing="ij")
    np.testing.assert_allclose(crop[5:45, 5:25], known((y, x)), atol=1e-5)


@pytest.mark.parametrize("box", [(-20.0, -30.0, 60.0, 50.0), (90.0, 130.0, 150.0, 190.0)])
def test_soft_mask_stays_inside_the_picture(box):
    offset, crop = Detection("MOT", 0.5, box, np.ones((28, 28), np.float32)).soft_mask(SHAPE)
    assert min(offset) >= 0
    assert offset[0] + crop.shape[0] <= SHAPE[0]
    assert offset[1] + crop.shape[1] <= SHAPE[1]
    assert crop.min() == 1.0


def test_area_of_a_soft_mask_is_that_of_its_ellipse():
    _, crop = ellipse(60.2, 80.4, 21.0, 37.0).soft_mask(SHAPE)
    assert crop.sum() == pytest.approx(np.pi * 21 * 37, rel=0.01)


def test_a_box_thinner_than_a_pixel_has_a_mask_of_one():
    _, crop = Detection("ODT", 0.5, (30.2, 10.0, 30.7, 50.0), np.ones((28, 28), "f4")).soft_mask(
        SHAPE
    )
    assert crop.shape == (1, 40)


def kept(*detections):
    """Return what is no double, highest score first."""
    marked = mark_doubles(detections, SHAPE)
    assert len(marked) == len(detections)
    assert [d.score for d in marked] == sorted((d.score for d in detections), reverse=True)
    return [each for each in marked if not each.double]


def test_clouds_beside_each_other_and_crossing_ones_are_clouds():
    mot = ellipse(60, 80, 20, 20)
    trap = ellipse(60, 80, 6, 60, label="ODT", score=0.8)
    beside = ellipse(60, 125, 18, 18, score=0.7)
    assert kept(beside, mot, trap) == [mot, trap, beside]


def test_a_trap_inside_of_a_mot_is_a_cloud():
    mot = ellipse(60, 80, 40, 40)
    trap = ellipse(60, 82, 6, 33, label="ODT", score=0.8)
    assert kept(trap, mot) == [mot, trap]


def test_the_same_cloud_twice_is_one_whatever_its_class():
    good = ellipse(60, 80, 20, 20, score=0.9)
    again = ellipse(61, 81, 20, 21, score=0.7)
    other = ellipse(60, 81, 20, 20, label="ODT", score=0.6)
    assert kept(other, again, good) == [good]


def test_a_part_of_a_cloud_is_not_another_one():
    cloud = ellipse(60, 80, 30, 30, score=0.9)
    peak = ellipse(60, 80, 8, 8, score=0.7)
    assert kept(peak, cloud) == [cloud]


def test_a_mask_without_pixels_is_no_cloud():
    empty = Detection("MOT", 0.9, (10, 10, 20, 20), np.full((28, 28), 0.2, np.float32))
    assert kept(empty) == []
