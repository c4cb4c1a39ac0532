"""Ellipses that the frame cuts off."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.cut_ellipse import is_cut, whole_ellipse
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import moments

SHAPE = (200, 240)
CUT = [
    Gaussian2D(120.3, 10.6, 60.0, 40.0, 0.3),
    Gaussian2D(2.0, 100.0, 50.0, 20.0, 1.2),
    Gaussian2D(225.0, 190.0, 45.0, 45.0, 0.0),
    Gaussian2D(120.0, 100.0, 180.0, 30.0, 0.6),
]


@pytest.mark.parametrize("true", CUT)
def test_the_whole_ellipse_is_found_from_the_part_inside_the_frame(true):
    mask = true.mask(SHAPE)
    seen = moments(mask, kind="mask")
    found = whole_ellipse(seen, SHAPE)
    w = true.wy
    # the centre of what is seen is not that of the cloud
    assert np.hypot(found.x0 - true.x0, found.y0 - true.y0) < 0.03 * w
    assert found.wx == pytest.approx(true.wx, rel=0.03)
    assert found.wy == pytest.approx(true.wy, rel=0.03)


def test_what_is_inside_stays():
    inside = Gaussian2D(120.0, 90.0, 40.0, 25.0, 0.4)
    found = whole_ellipse(inside, SHAPE)
    np.testing.assert_allclose(found.to_array()[:5], inside.to_array()[:5], atol=1e-3)


def test_of_a_sliver_nothing_is_guessed():
    true = Gaussian2D(120.0, -35.0, 60.0, 50.0, 0.0)
    seen = moments(true.mask(SHAPE), kind="mask")
    assert whole_ellipse(seen, SHAPE) is seen


def test_a_mask_is_cut_where_it_touches_the_border():
    mask = np.zeros((5, 6), dtype=bool)
    mask[1:4, 2:5] = True
    assert not is_cut(mask, (0, 0), (5, 6))
    mask[4, 3] = True
    assert is_cut(mask, (195, 10), SHAPE)
    assert not is_cut(mask, (190, 10), SHAPE)
    mask[:, 0] = True
    assert is_cut(mask, (50, 0), SHAPE)
    assert is_cut(mask[:, ::-1], (50, 234), SHAPE)
    # the edges of large masks are known to a hundredth
    large = np.ones((150, 20), dtype=bool)
    assert is_cut(large, (1, 50), SHAPE)
    assert not is_cut(large, (3, 50), SHAPE)
