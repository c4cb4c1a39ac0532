"""Average precision where it can be told by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

# before a window of other tests is there: the LLVM of torch's triton crashes beside that of Mesa
import torchvision  # noqa: F401

from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.score import Scorer, score

LABELS = ("MOT", "ODT")


def truth(*clouds, shape=(60, 160)):
    """Return a picture with boxes full of cloud, each a label and pixel edges."""
    masks = np.zeros((len(clouds), *shape), dtype=bool)
    for mask, (_, (y0, x0, y1, x1)) in zip(masks, clouds, strict=True):
        mask[y0:y1, x0:x1] = True
    boxes = np.array([box for _, box in clouds], dtype=float).reshape(-1, 4)
    return Sample(np.zeros(shape), boxes, tuple(label for label, _ in clouds), masks)


def found(label, box, certainty=0.9, mask=None):
    full = np.ones((28, 28), dtype=np.float32)
    return Detection(label, certainty, tuple(map(float, box)), full if mask is None else mask)


ONE, TWO = (2, 3, 30, 31), (30, 40, 50, 100)


def test_what_is_right_has_precision_1():
    pictures = [truth(("MOT", ONE), ("ODT", TWO)), truth(("MOT", TWO)), truth()]
    detections = [[found("MOT", ONE), found("ODT", TWO)], [found("MOT", TWO)], []]
    result = score(detections, pictures, LABELS)
    for each in (result.box, result.mask):
        assert (each.mean, each.at_50, each.at_75) == pytest.approx((1, 1, 1))
        assert each.of_class == pytest.approx({"MOT": 1, "ODT": 1})
    assert (result.pictures, result.clouds) == (3, 3)
    assert result.overall == pytest.approx(1)


def test_an_overlap_of_0_61_counts_at_three_of_ten():
    # 20 x 100 pixels, moved by 24: 76 / 124 = 0.613
    result = score([[found("MOT", (5, 34, 25, 134))]], [truth(("MOT", (5, 10, 25, 110)))], LABELS)
    for each in (result.box, result.mask):
        assert (each.mean, each.at_50, each.at_75) == pytest.approx((0.3, 1, 0))


def test_masks_are_judged_by_their_pixels():
    # 18 of 28 rows: 0.643
    mask = np.zeros((28, 28), dtype=np.float32)
    mask[:18] = 1
    result = score([[found("MOT", ONE, mask=mask)]], [truth(("MOT", ONE))], LABELS)
    assert result.box.mean == pytest.approx(1)
    assert result.mask.mean == pytest.approx(0.3)


def test_a_false_one_before_the_right_one_halves_the_precision():
    detections = [found("MOT", TWO, 0.9), found("MOT", ONE, 0.8)]
    assert score([detections], [truth(("MOT", ONE))], LABELS).box.mean == pytest.approx(0.5)
    detections = [found("MOT", TWO, 0.7), found("MOT", ONE, 0.8)]
    assert score([detections], [truth(("MOT", ONE))], LABELS).box.mean == pytest.approx(1)


def test_half_of_the_clouds_missed():
    result = score([[found("MOT", ONE)]], [truth(("MOT", ONE), ("MOT", TWO))], LABELS)
    # 51 of COCO's 101 points of recall, 0 to 0.5
    assert result.mask.mean == pytest.approx(51 / 101)


def test_another_class_is_not_found():
    result = score([[found("ODT", ONE)]], [truth(("MOT", ONE))], LABELS)
    assert result.box.mean == pytest.approx(0)
    assert result.box.of_class["MOT"] == pytest.approx(0)
    assert math.isnan(result.box.of_class["ODT"])


def test_without_clouds_there_is_no_precision():
    result = score([[]], [truth()], LABELS)
    assert math.isnan(result.overall)
    assert result.clouds == 0


def test_nothing_to_judge_is_told():
    with pytest.raises(ValueError, match="expected at least one picture"):
        Scorer(LABELS).result()
    with pytest.raises(ValueError, match="expected classes MOT, ODT, found 'ring'"):
        Scorer(LABELS).add([found("ring", ONE)], truth())
