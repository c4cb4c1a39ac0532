"""Reflections of bright clouds are no clouds."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.network_input import network_input
from napari_coldatoms.clouds.reflections import without_reflections

SHAPE = (300, 260)
MOT = Gaussian2D(120, 150, 30, 24, 0.3, 1.0, 0.0)


def picture(*clouds):
    noise = np.random.default_rng(4).normal(0, 1e-4, SHAPE)
    return noise + sum(cloud.image(SHAPE) for cloud in clouds)


def found(cloud, score=0.9):
    return Detection("MOT", score, cloud.ellipse_box(), np.ones((28, 28), np.float32))


@pytest.mark.parametrize(
    ("radius", "height", "kept"),
    # the smoothed picture is compared: by 2 pixels, standard deviation, w² grows by 16
    [(12, 0.02, True), (12, 0.007, False), (4.5, 0.07, False), (4.5, 0.15, True)],
)
def test_a_spot_beside_a_bright_cloud(radius, height, kept):
    spot = Gaussian2D(220, 60, radius, 0.9 * radius, 0.0, height, 0.0)
    seen = network_input(picture(MOT, spot))
    detections = [found(MOT), found(spot, 0.6)]
    assert without_reflections(detections, seen) == detections[: 1 + kept]
    # alone it is a cloud, and so it is beside what is none
    assert without_reflections([found(spot)], network_input(picture(spot))) == [found(spot)]
    doubted = [found(MOT, 0.2), found(spot, 0.4)]
    assert without_reflections(doubted, seen) == doubted


def test_pictures_of_any_size_and_boxes_beyond_them():
    large = Gaussian2D(600, 500, 150, 120, 0.0, 1.0, 0.0)
    spot = Gaussian2D(1100, 100, 40, 40, 0.0, 0.005, 0.0)
    shape = (1000, 1200)
    seen = network_input(large.image(shape) + spot.image(shape))
    assert without_reflections([found(large), found(spot)], seen) == [found(large)]
    outside = Detection("MOT", 0.9, (-20.0, -30.0, -1.0, -2.0), np.ones((28, 28), np.float32))
    assert without_reflections([outside], seen) == [outside]
    assert without_reflections([], seen) == []
