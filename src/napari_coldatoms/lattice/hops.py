"""Hops between nearest neighbours: which atom that is gone came to which empty site.

A site takes part in one hop at most: the atom that leaves it, or the one that arrives. Possible
hops are edges between sites, each with its odds against neither site taking part; a set of hops is
a matching of these edges, of the weight that is the product of their odds. That is a gas of
monomers and dimers. Its sums are exact by message passing where the edges form no loops (Mézard
and Montanari, *Information, Physics, and Computation*, 2009, ch. 14), and edges with odds worth
counting are few and far apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.neighbours import pairs_within

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_REGULAR, _ARBITRARY = 1.1, 1.3  # times the distance of the nearest neighbour
_FIRST_ROUNDS, _MOST_ROUNDS = 8, 4096
_SETTLED = 1e-9


def nearest_neighbours(lattice: Lattice) -> tuple[IntArray, IntArray]:
    """Return the pairs (site, nearest neighbour), two (m,) arrays, each pair in both directions.

    In a regular lattice these are sites at its shortest distance, up to a tenth more; among
    arbitrary positions those within 1.3 times the distance of the site's nearest neighbour.
    There, one site may be the neighbour of another but not the reverse.
    """
    if lattice.vectors is not None:
        radius = _REGULAR * shortest_distance(lattice)
        ends, near = pairs_within(lattice, radius)
        site = np.repeat(np.arange(len(lattice)), np.diff(ends))
        other = near.astype(np.intp)
    else:
        from scipy.spatial import KDTree

        if len(lattice) < 2:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
        tree = KDTree(lattice.positions)
        distance = tree.query(lattice.positions, k=2)[0][:, 1]
        found = tree.query_ball_point(lattice.positions, _ARBITRARY * distance)
        site = np.repeat(np.arange(len(lattice)), [len(sites) for sites in found])
        other = np.concatenate([np.asarray(sites, dtype=np.intp) for sites in found])
    apart = site != other
    return site[apart], other[apart]


def shortest_distance(lattice: Lattice) -> float:
    """Return the length of the shortest step in a regular lattice, in px."""
    assert lattice.vectors is not None
    # Lagrange's reduction: take the shorter vector from the longer one as often as it helps
    short, long = sorted(lattice.vectors, key=lambda v: float(v @ v))
    while True:
        long = long - round(float(long @ short) / float(short @ short)) * short
        if long @ long >= short @ short * (1 - 1e-12):
            return float(np.sqrt(short @ short))
        short, long = long, short


def most_hops(
    vanished: BoolArray, appeared: BoolArray, neighbours: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray]:
    """Return the largest set of hops that explains appearances by atoms that are gone.

    Each appearance next to a vanished atom is explained by it, and each vanished atom explains one
    appearance: a maximum bipartite matching. Where several are possible, it is one of them.

    Parameters
    ----------
    vanished, appeared : (pairs, n) bool arrays
        Sites from which an atom is gone, and those where one is new.
    neighbours
        As of `nearest_neighbours`.

    Returns
    -------
    sources, targets : (hops,) arrays
        Places in the flattened arrays.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    shot, edge = np.nonzero(vanished[:, neighbours[0]] & appeared[:, neighbours[1]])
    sites = vanished.shape[1]
    source, target = (shot * sites + ends[edge] for ends in neighbours)
    starts, row = np.unique(source, return_inverse=True)
    stops, column = np.unique(target, return_inverse=True)
    if not len(starts):
        return starts, stops
    graph = csr_array((np.ones(len(row)), (row, column)), shape=(len(starts), len(stops)))
    matched = maximum_bipartite_matching(graph, perm_type="column")
    explains = matched >= 0
    return starts[explains], stops[matched[explains]]


@dataclass(eq=False)
class Dimers:
    """Possible hops among sites, and the messages of the last call, from which the next begins.

    Parameters
    ----------
    source, target : (m,) int arrays
        Where each hop begins and ends.
    """

    source: IntArray
    target: IntArray

    def __post_init__(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(self.source)
        ends = np.concatenate([self.source, self.target])
        sites, place = np.unique(ends, return_inverse=True)
        self._place = place.reshape(2, count)
        graph = coo_array((np.ones(count), tuple(self._place)), shape=(len(sites),) * 2)
        self._group = (
            connected_components(graph, directed=False)[1][self._place[0]]
            if count
            else np.empty(0, dtype=np.intp)
        )
        # probability of source and target to take part in no other hop
        self._free = np.ones((2, count))

    def probabilities(self, odds: FloatArray) -> FloatArray:
        """Return the probability of each hop.

        Parameters
        ----------
        odds : (m,) array
            Weight of the hop over that of both its sites taking part in none.
        """
        edges = np.arange(len(odds))
        rounds = _FIRST_ROUNDS
        while len(edges) and rounds <= _MOST_ROUNDS:
            free, change = self._pass_messages(edges, odds[edges], rounds)
            self._free[:, edges] = free
            # long chains of likely hops settle slowly, most groups at once
            restless = np.unique(self._group[edges][change > _SETTLED])
            edges = edges[np.isin(self._group[edges], restless)]
            rounds *= 2
        weight = odds * self._free[0] * self._free[1]
        return np.asarray(weight / (1 + weight))

    def _pass_messages(
        self, edges: IntArray, odds: FloatArray, rounds: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return the messages of some edges after some rounds, and their last change."""
        _, place = np.unique(self._place[:, edges], return_inverse=True)
        place = place.reshape(2, -1)
        free = before = self._free[:, edges]
        for _ in range(rounds):
            before = free
            pull = odds * before[::-1]
            total = np.bincount(place.ravel(), pull.ravel())[place]
            free = 1 / (1 + np.maximum(total - pull, 0.0))
        return free, np.abs(free - before).max(axis=0)
