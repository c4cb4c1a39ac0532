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
_FULL_DIAGONALS = 2.0  # entries of the diagonals over those of the pattern
_CORE = 0.5  # part of a patch, along each side, that holds next to all of the squared PSF
_CLUSTER = 9  # a site and its nearest neighbours: 3×3 sites of a square lattice


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
    offsets, bands : (b,) int64 and (b, n) float32 arrays
        MᵀM once more, by diagonals: ``bands[d, k]`` belongs to the sites k and k + offsets[d].
        Empty where the sites are not in rows.
    """

    patches: Patches
    ends: NDArray[np.int64]
    sites: NDArray[np.int32]
    overlap: FloatArray
    relative: FloatArray
    offsets: NDArray[np.int64]
    bands: NDArray[np.float32]

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

    def image(self, brightness: FloatArray) -> FloatArray:
        """Return M x, the light of the sites on the pixels."""
        return self.patches.image(self.relative * brightness)

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
    offsets, bands = _diagonals(ends, sites, overlap)
    return Optics(light, ends, sites, overlap, np.ones(len(light)), offsets, bands)


def _diagonals(
    ends: NDArray[np.int64], sites: NDArray[np.int32], overlap: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return MᵀM by diagonals, if these are about as full as the pattern is."""
    count = len(ends) - 1
    present = np.zeros(2 * count - 1, dtype=np.bool_)
    _mark_offsets(ends, sites, present)
    offsets = np.flatnonzero(present) - (count - 1)
    if len(offsets) * count > _FULL_DIAGONALS * len(sites):
        return np.empty(0, dtype=np.int64), np.empty((0, count), dtype=np.float32)
    bands = np.zeros((len(offsets), count), dtype=np.float32)
    place = np.cumsum(present) - 1
    _fill_bands(ends, sites, overlap, place, bands)
    return offsets.astype(np.int64), bands


def _overlap_radius(light: Patches) -> float:
    """Return the distance beyond which two sites share next to no light, in px."""
    from scipy.signal import fftconvolve

    patch = light.values[0]
    shared = fftconvolve(patch, patch[::-1, ::-1])
    half = patch.shape[0] - 1
    y, x = np.nonzero(shared > _LEAST_OVERLAP * shared[half, half])
    return float(np.sqrt(((y - half) ** 2 + (x - half) ** 2).max())) + 1.0


@njit(cache=True, nogil=True)
def _mark_offsets(ends: Any, sites: Any, present: Any) -> None:
    for i in range(ends.size - 1):
        for k in range(ends[i], ends[i + 1]):
            present[sites[k] - i + ends.size - 2] = True


@njit(cache=True, nogil=True)
def _fill_bands(ends: Any, sites: Any, overlap: Any, place: Any, bands: Any) -> None:
    for i in range(ends.size - 1):
        for k in range(ends[i], ends[i + 1]):
            bands[place[sites[k] - i + ends.size - 2], i] = overlap[k]


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
