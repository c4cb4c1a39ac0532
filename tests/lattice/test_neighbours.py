"""Pairs of sites within a distance, against all distances computed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from napari_coldatoms.lattice import Lattice
from napari_coldatoms.lattice.neighbours import pairs_within

RNG = np.random.default_rng(11)
LATTICES = {
    "square": Lattice.square(4.0, (9, 7)),
    "turned": Lattice.square(4.1, (8, 11), angle=0.63),
    "triangular": Lattice.triangular(3.7, (10, 9), angle=-0.2),
    "oblique": Lattice([[3.0, 0.5], [21.0, 4.0]], (5.0, 6.0), (8, 9)),
    "left-handed": Lattice([[0.0, 5.0], [3.0, 0.0]], (2.0, 2.0), (12, 5)),
    "masked": Lattice.square(4.0, (12, 10)).select(RNG.random((12, 10)) < 0.4),
    "one row": Lattice.square(2.5, (1, 30), angle=0.1),
    "one site": Lattice.square(4.0, (1, 1)),
    "any positions": Lattice.from_positions(RNG.uniform(0, 40, (70, 2))),
    "one position": Lattice.from_positions([[3.0, 4.0]]),
    "positions twice": Lattice.from_positions([[1.0, 1.0], [1.0, 1.0], [9.0, 1.0]]),
}


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())
@pytest.mark.parametrize("radius", [0.3, 5.7, 13.1, 60.0])
def test_pairs_are_those_of_all_distances(lattice, radius):
    ends, sites = pairs_within(lattice, radius)
    near = cdist(lattice.positions, lattice.positions) <= radius
    assert len(ends) == len(lattice) + 1
    assert ends[0] == 0
    for site, row in enumerate(near):
        found = sites[ends[site] : ends[site + 1]]
        np.testing.assert_array_equal(found, np.flatnonzero(row))


def test_distance_of_neighbours_is_within_the_radius_of_that_distance():
    ends, _ = pairs_within(Lattice.square(4.1, (5, 5), angle=0.3), 4.1)
    counts = np.diff(ends).reshape(5, 5)
    assert counts[2, 2] == 5
    assert counts[0, 0] == 3


@pytest.mark.parametrize("name", ["square", "any positions"])
def test_arrays_suit_the_kernels(name):
    ends, sites = pairs_within(LATTICES[name], 9.0)
    assert ends.dtype == np.int64
    assert sites.dtype == np.int32
    assert ends.flags.c_contiguous
    assert sites.flags.c_contiguous
