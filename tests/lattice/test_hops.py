"""Nearest neighbours by geometry; hops against all matchings written out."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import Lattice
from napari_coldatoms.lattice.hops import (
    Dimers,
    most_hops,
    nearest_neighbours,
    shortest_distance,
)


def around(lattice):
    source, target = nearest_neighbours(lattice)
    return [sorted(target[source == site].tolist()) for site in range(len(lattice))]


def test_neighbours_in_a_square_lattice():
    near = around(Lattice.square(4.0, (3, 3), angle=0.3))
    assert near[4] == [1, 3, 5, 7]
    assert near[0] == [1, 3]


def test_neighbours_in_a_triangular_lattice():
    near = around(Lattice.triangular(5.2, (5, 5)))
    assert sorted(len(sites) for sites in near)[-1] == 6
    assert len(near[12]) == 6


def test_neighbours_in_a_rectangular_lattice_are_on_the_short_side():
    assert around(Lattice([(6, 0), (0, 4)], (0, 0), (2, 3))) == [[1], [0, 2], [1], [4], [3, 5], [4]]


def test_vectors_need_not_be_the_shortest():
    square = Lattice([(4, 0), (12, 4)], (0, 0), (6, 6))
    assert shortest_distance(square) == pytest.approx(4)
    near = around(square)
    # (i, j) is at (4 i + 12 j, 4 j): its neighbours are (i ± 1, j) and (i ∓ 3, j ± 1)
    assert near[3 * 6 + 1] == sorted([2 * 6 + 1, 4 * 6 + 1, 0 * 6 + 2])


def test_a_masked_site_is_no_neighbour():
    mask = np.ones((3, 3), dtype=bool)
    mask[1, 1] = False
    assert all(len(sites) == 2 for sites in around(Lattice.square(4.0, (3, 3)).select(mask)))


def test_neighbours_of_arbitrary_positions():
    sites = Lattice.from_positions([(0, 0), (0, 10), (0, 22), (0, 50), (12.9, 0)])
    # the lone one sees the nearest, which has nearer ones of its own
    assert around(sites) == [[1, 4], [0, 2], [1], [2], [0, 1]]
    assert around(Lattice.from_positions([(0, 0)])) == [[]]


def test_most_appearances_are_explained():
    near = nearest_neighbours(Lattice.square(4.0, (1, 6)))
    # 1 is gone, 0 and 2 are new; 3 is gone, too: both are explained, 2 by 3
    gone = np.array([[0, 1, 0, 1, 0, 0]], dtype=bool)
    new = np.array([[1, 0, 1, 0, 0, 1]], dtype=bool)
    sources, targets = most_hops(gone, new, near)
    assert dict(zip(sources.tolist(), targets.tolist(), strict=True)) == {1: 0, 3: 2}
    # pairs of images do not mix: nothing is explained by what is gone in another one
    sources, _ = most_hops(np.vstack([gone, ~gone & False]), np.vstack([new & False, new]), near)
    assert len(sources) == 0
    # one atom explains one appearance
    sources, targets = most_hops(
        gone[:, :3], new[:, :3], nearest_neighbours(Lattice.square(4.0, (1, 3)))
    )
    assert sources.tolist() == [1]
    assert len(targets) == 1


def by_hand(source, target, odds):
    """Return the probability of each hop from the sum over all matchings."""
    total, present = 0.0, np.zeros(len(odds))
    for choice in range(1 << len(odds)):
        chosen = [e for e in range(len(odds)) if choice >> e & 1]
        ends = [source[e] for e in chosen] + [target[e] for e in chosen]
        if len(set(ends)) == len(ends):
            weight = float(np.prod(odds[chosen]))
            total += weight
            present[chosen] += weight
    return present / total


@pytest.mark.parametrize("seed", range(5))
def test_hops_are_exact_without_loops(seed):
    rng = np.random.default_rng(seed)
    # a tree: each site is joined to an earlier one, in either direction
    ends = np.array([(site, rng.integers(site)) for site in range(1, 11)])
    ends = np.where(rng.random((10, 1)) < 0.5, ends, ends[:, ::-1])
    odds = 10 ** rng.uniform(-3, 4, 10)
    found = Dimers(ends[:, 0], ends[:, 1]).probabilities(odds)
    np.testing.assert_allclose(found, by_hand(*ends.T, odds), rtol=1e-6, atol=1e-9)


def test_hops_are_close_on_a_loop():
    source, target = np.array([0, 2, 2, 0]), np.array([1, 1, 3, 3])
    odds = np.array([2.0, 0.5, 1.0, 0.1])
    found = Dimers(source, target).probabilities(odds)
    np.testing.assert_allclose(found, by_hand(source, target, odds), atol=0.05)


def test_no_hops():
    nothing = np.empty(0, dtype=np.intp)
    assert len(Dimers(nothing, nothing).probabilities(np.empty(0))) == 0


def test_hops_on_a_chain_of_likely_ones_settle():
    source, target = np.arange(12), np.arange(1, 13)
    odds = np.full(12, 1e6)
    odds[::3] = 2e5
    found = Dimers(source, target).probabilities(odds)
    np.testing.assert_allclose(found, by_hand(source, target, odds), rtol=1e-4, atol=1e-6)
