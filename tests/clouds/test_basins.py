"""Hills and rings of made-up maps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_coldatoms.clouds.basins import basins, close_rings


def hills(*centres, shape=(60, 80), width=8.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return sum(
        height * np.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * width**2)) for v, u, height in centres
    )


def test_two_hills_highest_first():
    values = hills((30, 20, 10.0), (30, 60, 20.0))
    labels, peaks = basins(values, values, 0.5, 5.0, 0.3)
    np.testing.assert_array_equal(peaks, [[30, 60], [30, 20]])
    assert labels[30, 60] == 1
    assert labels[30, 20] == 2
    np.testing.assert_array_equal(labels > 0, values > 0.5)
    # the border runs along the valley
    assert set(labels[:, :32].ravel()) <= {0, 2}
    assert set(labels[:, 44:].ravel()) <= {0, 1}


@pytest.mark.parametrize(("prominence", "part", "count"), [(3, 0.3, 2), (9, 0.3, 1), (3, 0.9, 1)])
def test_hills_join_unless_they_stand_out(prominence, part, count):
    values = hills((30, 28, 10.0), (30, 52, 10.0))
    saddle = values[30, 40]
    assert 2 < saddle < 7
    _, peaks = basins(values, values, 0.5, prominence, part)
    assert len(peaks) == count


def test_a_dip_of_the_significance_alone_divides_nothing():
    heights = hills((30, 40, 10.0))
    values = heights * 10 / (1 + 0.9 * (np.abs(np.arange(80) - 40) < 3) * 10)
    assert len(basins(values, values, 0.5, 5.0, 0.3)[1]) == 2
    assert len(basins(values, heights, 0.5, 5.0, 0.3)[1]) == 1


def test_without_prominence_every_maximum_is_a_hill():
    values = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 1, (50, 50)), 2)
    labels, peaks = basins(values, values, 0.0, 0.0, 0.0)
    highest = ndimage.maximum_filter(values, 3) == values
    expected = np.argwhere(highest & (values > 0))
    assert {tuple(p) for p in peaks.tolist()} == {tuple(p) for p in expected.tolist()}
    # every hill is one piece
    for number in range(1, len(peaks) + 1):
        assert ndimage.label(labels == number, structure=np.ones((3, 3)))[1] == 1


def test_nothing_above_the_floor():
    values = np.zeros((5, 6))
    labels, peaks = basins(values, values, 1.0, 1.0, 0.3)
    assert not labels.any()
    assert peaks.shape == (0, 2)
    assert close_rings(values, labels, peaks, 1.0, 5.0) == {}


def ring(modulation):
    y, x = np.mgrid[:80, :80]
    angle = np.arctan2(y - 40, x - 40)
    distance = np.hypot(y - 40, x - 40)
    return 20 * np.exp(-((distance - 22) ** 2) / 18) * (1 + modulation * np.cos(3 * angle))


def test_a_ring_is_one_hill_with_its_inside():
    values = ring(0.4)
    values[40, 40] = 30.0  # a speck inside
    labels, peaks = basins(values, values, 2.5, 5.0, 0.3)
    assert len(peaks) == 4
    rings = close_rings(values, labels, peaks, 2.5, 6.0)
    assert len(rings) == 1
    (label, cells), *_ = rings.items()
    assert set(labels[labels > 0]) == {label}
    # the disc out to where the ring falls to a fifth of its top
    assert cells.sum() == pytest.approx(np.pi * 27**2, rel=0.1)
    assert cells[40, 40]


def test_an_open_ring_stays_as_it_is():
    values = ring(0.4)
    values[:, 38:43] *= 0.01
    labels, peaks = basins(values, values, 2.5, 5.0, 0.3)
    assert close_rings(values, labels, peaks, 2.5, 6.0) == {}
