"""How much light sites share with each other: the matrix MᵀM.

It depends on the geometry alone, and hardly changes when the whole lattice moves: what is known of
one place serves for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.neighbours import pairs_within
from napari_coldatoms.lattice.projection import Patches

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# overlaps below this part of a PSF's overlap with itself are left out of MᵀM; the estimators
# correct for them with M itself
_LEAST_OVERLAP = 1e-4
_CLUSTER = 9  # a site and its nearest neighbours: 3×3 sites of a square lattice


@dataclass(frozen=True, eq=False)
class Stencil:
    """MᵀM of a regular lattice, as one set of weights for all sites.

    ``(MᵀM)_ij`` over the geometric mean of ``(MᵀM)_ii`` and ``(MᵀM)_jj`` depends on the step from
    site i to site j alone, but for sites whose light is cut off or whose PSF is hardly wider than a
    pixel: good enough for a preconditioner, and nothing needs to be read from memory for it.

    Attributes
    ----------
    weights : (odd, odd) array
        By the step in the site indices, no step in the middle. Empty for arbitrary positions.
    place : (n,) int64 array
        Where the sites are on the lattice without its mask, row by row.
    shape : (int, int)
        Of that lattice.
    """

    weights: FloatArray
    place: NDArray[np.int64]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Overlaps:
    """MᵀM for sites of relative brightness 1 and a frame without bad pixels.

    Attributes
    ----------
    ends, sites : (n + 1,) int64 and (m,) int32 arrays
        ``sites[ends[k]:ends[k + 1]]`` share light with site k.
    values : (m,) array
        MᵀM at these places.
    stencil : Stencil
        MᵀM once more, for sites in rows.
    """

    ends: NDArray[np.int64]
    sites: NDArray[np.int32]
    values: FloatArray
    stencil: Stencil

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.ends) - 1

    @cached_property
    def crowding(self) -> float:
        """Overlap of a site with its nearest neighbour, over that with itself; the median."""
        most = np.zeros(len(self))
        _find_most(self.ends, self.sites, self.values, most)
        return float(min(np.median(most), 1.0))

    @cached_property
    def clusters(self) -> NDArray[np.int32]:
        """Each site and the sites that share the most light with it, (n, at most 9)."""
        near = np.empty((len(self), min(_CLUSTER, len(self))), dtype=np.int32)
        _nearest(self.ends, self.sites, self.values, near)
        return near

    @cached_property
    def cover(self) -> NDArray[np.int32]:
        """Sites whose clusters together hold every site."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        _cover(self.clusters, chosen)
        return np.flatnonzero(chosen).astype(np.int32)

    def moved(self, before: Patches, light: Patches) -> Overlaps:
        """Return those of the same lattice elsewhere in the frame, seen through the same PSF.

        Only sites whose light the frame's border cuts off are looked at anew. What the others share
        changes with their place within a pixel by less than half a per cent, if the PSF's half
        width is 1.5 px or more.

        Parameters
        ----------
        before, light : Patches
            The light of the sites, for which these overlaps were found, and where they are now.
        """
        anew = _cut_off(before) | _cut_off(light)
        if not anew.any():
            return self
        values = self.values.copy()
        _fill_in(light, self.ends, self.sites, anew, values)
        return Overlaps(self.ends, self.sites, values, self.stencil)


def find_overlaps(lattice: Lattice, light: Patches) -> Overlaps:
    """Return how much light the sites of a lattice share."""
    ends, sites = pairs_within(lattice, _overlap_radius(light))
    values = np.empty(len(sites))
    _fill_in(light, ends, sites, np.ones(len(light), dtype=np.bool_), values)
    return Overlaps(ends, sites, values, _make_stencil(lattice, ends, sites, values))


def _fill_in(
    light: Patches,
    ends: NDArray[np.int64],
    sites: NDArray[np.int32],
    anew: BoolArray,
    values: FloatArray,
) -> None:
    rows, columns = light.image_shape
    _overlaps(light.values, light.kind, light.corner, rows, columns, ends, sites, anew, values)


def _cut_off(light: Patches) -> BoolArray:
    """Return which sites have pixels of theirs outside the frame, (n,)."""
    last = np.array(light.image_shape) - light.values.shape[1]
    cut: BoolArray = ((light.corner < 0) | (light.corner > last)).any(axis=1)
    return cut


def _make_stencil(
    lattice: Lattice, ends: NDArray[np.int64], sites: NDArray[np.int32], overlap: FloatArray
) -> Stencil:
    if lattice.shape is None:
        return Stencil(np.zeros((0, 0)), np.empty(0, dtype=np.int64), (0, 0))
    labels = np.ascontiguousarray(lattice.labels, dtype=np.int64)
    reach = np.zeros(2, dtype=np.int64)
    _find_reach(ends, sites, labels, reach)
    total = np.zeros(2 * reach + 1)
    count = np.zeros_like(total)
    _add_correlations(ends, sites, overlap, labels, total, count)
    weights = total / np.maximum(count, 1.0)
    return Stencil(weights, labels[:, 0] * lattice.shape[1] + labels[:, 1], lattice.shape)


def _overlap_radius(light: Patches) -> float:
    """Return the distance beyond which two sites share next to no light, in px."""
    from scipy.signal import fftconvolve

    patch = light.values[0]
    shared = fftconvolve(patch, patch[::-1, ::-1])
    half = patch.shape[0] - 1
    y, x = np.nonzero(shared > _LEAST_OVERLAP * shared[half, half])
    return float(np.sqrt(((y - half) ** 2 + (x - half) ** 2).max())) + 1.0


@njit(cache=True, nogil=True)
def _find_reach(ends: Any, sites: Any, labels: Any, reach: Any) -> None:
    for i in range(labels.shape[0]):
        for k in range(ends[i], ends[i + 1]):
            for axis in range(2):
                reach[axis] = max(reach[axis], abs(labels[sites[k], axis] - labels[i, axis]))


@njit(cache=True, nogil=True)
def _add_correlations(
    ends: Any, sites: Any, overlap: Any, labels: Any, total: Any, count: Any
) -> None:
    """Add the overlaps over the geometric means of the sites' own, by the step between sites."""
    n = labels.shape[0]
    own = np.zeros(n)
    for i in range(n):
        for k in range(ends[i], ends[i + 1]):
            if sites[k] == i:
                own[i] = overlap[k]
    a, b = total.shape[0] // 2, total.shape[1] // 2
    for i in range(n):
        for k in range(ends[i], ends[i + 1]):
            j = sites[k]
            if own[i] > 0.0 and own[j] > 0.0:
                u, v = a + labels[j, 0] - labels[i, 0], b + labels[j, 1] - labels[i, 1]
                total[u, v] += overlap[k] / np.sqrt(own[i] * own[j])
                count[u, v] += 1.0


@njit(cache=True, nogil=True, fastmath=True)
def _overlaps(
    values: Any,
    kind: Any,
    corner: Any,
    rows: int,
    columns: int,
    ends: Any,
    sites: Any,
    anew: Any,
    overlap: Any,
) -> None:
    """Fill in MᵀM: each pair once, and its mirror image found by bisection.

    Of sites that are not looked at anew, the overlap stays as it is.
    """
    size = values.shape[1]
    for i in range(kind.size):
        mine = values[kind[i]]
        top, left = corner[i, 0], corner[i, 1]
        for k in range(ends[i], ends[i + 1]):
            j = sites[k]
            if j < i or not (anew[i] or anew[j]):
                continue
            theirs = values[kind[j]]
            dy, dx = corner[j, 0] - top, corner[j, 1] - left
            first = max(0, dx, -left)
            last = max(first, min(size, size + dx, columns - left))
            total = 0.0
            for v in range(max(0, dy, -top), min(size, size + dy, rows - top)):
                a, b = mine[v, first:last], theirs[v - dy, first - dx : last - dx]
                for u in range(a.size):
                    total += a[u] * b[u]
            overlap[k] = total
            low, high = ends[j], ends[j + 1]
            while high - low > 1:
                middle = (low + high) // 2
                if sites[middle] <= i:
                    low = middle
                else:
                    high = middle
            overlap[low] = total


@njit(cache=True, nogil=True)
def _find_most(ends: Any, sites: Any, overlap: Any, most: Any) -> None:
    """Fill in the largest overlap of each site with another, over that with itself."""
    for i in range(most.size):
        own, largest = 0.0, 0.0
        for k in range(ends[i], ends[i + 1]):
            if sites[k] == i:
                own = overlap[k]
            else:
                largest = max(largest, overlap[k])
        most[i] = largest / own if own > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _nearest(ends: Any, sites: Any, overlap: Any, near: Any) -> None:
    """Fill in each site and those that share the most light with it; -1 where there is none."""
    for i in range(near.shape[0]):
        near[i, 0] = i
        for c in range(1, near.shape[1]):
            most = 0.0
            found = -1
            for k in range(ends[i], ends[i + 1]):
                if overlap[k] > most:
                    new = True
                    for b in range(c):
                        if near[i, b] == sites[k]:
                            new = False
                    if new:
                        most = overlap[k]
                        found = sites[k]
            near[i, c] = found


@njit(cache=True, nogil=True)
def _cover(clusters: Any, chosen: Any) -> None:
    """Choose sites until each site is in a chosen one's cluster."""
    held = np.zeros(clusters.shape[0], dtype=np.bool_)
    for i in range(clusters.shape[0]):
        if held[i]:
            continue
        # of the clusters that hold this site, the one that brings the most new sites
        best, most = i, 0
        for c in range(clusters.shape[1]):
            j = clusters[i, c]
            if j < 0:
                continue
            new = 0
            holds = False
            for b in range(clusters.shape[1]):
                k = clusters[j, b]
                if k == i:
                    holds = True
                if k >= 0 and not held[k]:
                    new += 1
            if holds and new > most:
                best, most = j, new
        chosen[best] = True
        for b in range(clusters.shape[1]):
            if clusters[best, b] >= 0:
                held[clusters[best, b]] = True
