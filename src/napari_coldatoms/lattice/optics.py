"""What lattice, point spread function and frame fix: the operators M and MᵀM.

Everything in here depends on the geometry alone, and serves for any number of images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.neighbours import pairs_within
from napari_coldatoms.lattice.projection import Patches, patches
from napari_coldatoms.lattice.psf import PSF

FloatArray = NDArray[np.float64]

# overlaps below this part of a PSF's overlap with itself are left out of MᵀM; the estimators
# correct for them with M itself
_LEAST_OVERLAP = 1e-4
_CORE = 0.5  # part of a patch, along each side, that holds next to all of the squared PSF
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
class Optics:
    """The sites' light on the pixels of a frame, and how much of it neighbours share.

    The unknowns are brightnesses relative to each site's own: a site of relative brightness g
    that is given the brightness x sends out g x.

    Attributes
    ----------
    patches : Patches
        The light of each of n sites.
    ends, sites : (n + 1,) int64 and (m,) int32 arrays
        ``sites[ends[k]:ends[k + 1]]`` share light with site k.
    overlap : (m,) array
        MᵀM at these places, for sites of relative brightness 1 and a frame without bad pixels.
    relative : (n,) array
        Brightness of each site relative to the mean.
    stencil : Stencil
        MᵀM once more, for sites in rows.
    """

    patches: Patches
    ends: NDArray[np.int64]
    sites: NDArray[np.int32]
    overlap: FloatArray
    relative: FloatArray
    stencil: Stencil

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.relative)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        return self.patches.image_shape

    def with_relative_brightness(self, relative: ArrayLike) -> Optics:
        """Return the same optics for sites of unequal brightness.

        Parameters
        ----------
        relative : (n,) array
            Brightness of each site relative to the mean, positive.
        """
        given = np.array(relative, dtype=np.float64)
        if given.shape != (len(self),):
            raise ValueError(
                f"expected a relative brightness for each of {len(self)} sites, found an array "
                f"of shape {given.shape}"
            )
        if not (np.isfinite(given).all() and given.min() > 0):
            raise ValueError("expected relative brightnesses that are finite and positive")
        return replace(self, relative=given)

    def image(self, brightness: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return M x, the light of the sites on the pixels; `out` is overwritten with it."""
        return self.patches.image(self.relative * brightness, out)

    def collect(self, image: FloatArray) -> FloatArray:
        """Return Mᵀ y, the pixels' values collected by the sites."""
        out = np.empty(len(self))
        p = self.patches
        _collect(p.values, p.kind, p.corner, image, out)
        return out * self.relative

    def site_weights(self, weights: FloatArray) -> FloatArray:
        """Return the mean weight of the pixels around each site, weighed with its PSF squared.

        With it MᵀWM is about ``sqrt(w_i w_j)`` times MᵀM, as the weights hardly change from a site
        to the next.
        """
        known = self._core
        return np.divide(
            self._collect_squared(weights, _CORE),
            known,
            out=np.zeros(len(self)),
            where=known > 0,
        )

    @cached_property
    def strength(self) -> FloatArray:
        """Diagonal of MᵀM for sites of relative brightness 1; 0 for one without light, (n,)."""
        return self._collect_squared(np.ones(self.image_shape), 1.0)

    @cached_property
    def _core(self) -> FloatArray:
        return self._collect_squared(np.ones(self.image_shape), _CORE)

    def _collect_squared(self, image: FloatArray, part: float) -> FloatArray:
        """Return the pixels' values collected with the squared PSF, of the patch's middle part."""
        out = np.empty(len(self))
        p = self.patches
        size = p.values.shape[1]
        margin = int(0.5 * (1 - part) * size)
        _collect_squared(p.values, p.kind, p.corner, image, margin, out)
        return out

    @cached_property
    def crowding(self) -> float:
        """Overlap of a site with its nearest neighbour, over that with itself; the median."""
        sites = np.repeat(np.arange(len(self)), np.diff(self.ends))
        other = (self.sites != sites) & (self.strength[sites] > 0)
        most = np.zeros(len(self))
        np.maximum.at(most, sites[other], self.overlap[other] / self.strength[sites[other]])
        return float(min(np.median(most), 1.0))

    @cached_property
    def clusters(self) -> NDArray[np.int32]:
        """Each site and the sites that share the most light with it, (n, at most 9)."""
        near = np.empty((len(self), min(_CLUSTER, len(self))), dtype=np.int32)
        _nearest(self.ends, self.sites, self.overlap, near)
        return near

    @cached_property
    def cover(self) -> NDArray[np.int32]:
        """Sites whose clusters together hold every site."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        _cover(self.clusters, chosen)
        return np.flatnonzero(chosen).astype(np.int32)


def make_optics(lattice: Lattice, psf: PSF, image_shape: tuple[int, int]) -> Optics:
    """Return the optics of a lattice seen with a PSF in a frame."""
    light = patches(lattice, psf, image_shape)
    ends, sites = pairs_within(lattice, _overlap_radius(light))
    overlap = np.empty(len(sites))
    rows, columns = light.image_shape
    _overlaps(light.values, light.kind, light.corner, rows, columns, ends, sites, overlap)
    stencil = _make_stencil(lattice, ends, sites, overlap)
    return Optics(light, ends, sites, overlap, np.ones(len(light)), stencil)


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
def _collect(values: Any, kind: Any, corner: Any, image: Any, out: Any) -> None:
    size = values.shape[1]
    rows, columns = image.shape
    for site in range(kind.size):
        patch = values[kind[site]]
        top, left = corner[site, 0], corner[site, 1]
        first = max(0, -left)
        last = max(first, min(size, columns - left))
        total = 0.0
        for v in range(max(0, -top), min(size, rows - top)):
            # slices of equal length, which the compiler turns into vector instructions
            row, light = image[top + v, left + first : left + last], patch[v, first:last]
            for u in range(row.size):
                total += row[u] * light[u]
        out[site] = total


@njit(cache=True, nogil=True, fastmath=True)
def _collect_squared(
    values: Any, kind: Any, corner: Any, image: Any, margin: int, out: Any
) -> None:
    size = values.shape[1] - margin
    rows, columns = image.shape
    for site in range(kind.size):
        patch = values[kind[site]]
        top, left = corner[site, 0], corner[site, 1]
        first = max(margin, -left)
        last = max(first, min(size, columns - left))
        total = 0.0
        for v in range(max(margin, -top), min(size, rows - top)):
            row, light = image[top + v, left + first : left + last], patch[v, first:last]
            for u in range(row.size):
                total += row[u] * light[u] * light[u]
        out[site] = total


@njit(cache=True, nogil=True, fastmath=True)
def _overlaps(
    values: Any,
    kind: Any,
    corner: Any,
    rows: int,
    columns: int,
    ends: Any,
    sites: Any,
    overlap: Any,
) -> None:
    """Fill in MᵀM: each pair once, and its mirror image found by bisection."""
    size = values.shape[1]
    for i in range(kind.size):
        mine = values[kind[i]]
        top, left = corner[i, 0], corner[i, 1]
        for k in range(ends[i], ends[i + 1]):
            j = sites[k]
            if j < i:
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
