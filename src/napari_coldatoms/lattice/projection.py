"""The projection matrix M: how the light of the sites falls on the pixels.

Column k of M is the point spread function of site k, integrated over every pixel (Cheneau et al.
2025, arXiv:2502.08511, Eqs. 1 and 4). Sites at the same place within their pixel share one patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice, checked_image_shape
from napari_coldatoms.lattice.psf import PSF

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PHASES_AT_ONCE = 2048
signed: Any = np.int64
unsigned: Any = np.uint64
_PHASE_STEP = 1e-9  # px; sites closer than this within their pixels share a patch


@dataclass(frozen=True, eq=False)
class Patches:
    """The light of every site on the pixels around it, without repetitions.

    Attributes
    ----------
    values : (k, P, P) float64 array
        Light per pixel of a site of unit brightness, one patch per place within a pixel. Each
        patch sums to 1.
    kind : (n,) int32 array
        Which patch belongs to each site.
    corner : (n, 2) int32 array
        Row and column of the patch's first pixel in the image; a patch may reach over its border.
    image_shape : (int, int)
        Rows and columns of the image.
    """

    values: NDArray[np.float64]
    kind: NDArray[np.int32]
    corner: NDArray[np.int32]
    image_shape: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.kind)

    def image(
        self, brightness: ArrayLike, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return the image M x of sites of the given brightness, (n,) or one for all.

        `out` is an image to be overwritten with it.
        """
        given = np.asarray(brightness, dtype=np.float64)
        if given.shape not in ((), (len(self),)):
            raise ValueError(
                f"expected one brightness or one for each of {len(self)} sites, found an array of "
                f"shape {given.shape}"
            )
        if out is None:
            light = np.zeros(self.image_shape)
        else:
            light = out
            light.fill(0.0)
        each = np.full(len(self), given)  # writable, so that the kernel has one signature
        _spread(self.values, self.kind, self.corner, each, light)
        return light


def patches(lattice: Lattice, psf: PSF, image_shape: tuple[int, int]) -> Patches:
    """Return the light of each site on the pixels around it.

    Pixels whose centre is farther than ``psf.cutoff`` from the site get nothing; what is left is
    normalised to 1, before the border of the image cuts any of it off.

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    image_shape : (int, int)
        Rows and columns of the image.

    Raises
    ------
    ValueError
        If a site has no light on any pixel, for the cutoff is shorter than the way to the nearest
        pixel's centre.
    """
    shape = checked_image_shape(image_shape)
    rounded = np.round(lattice.positions, 9)
    centre = np.floor(rounded + 0.5)
    phase, kind = _distinct(rounded - centre)
    half = int(np.floor(psf.cutoff + 0.5 + _PHASE_STEP))
    size = 2 * half + 1
    values = np.empty((len(phase), size, size))
    for start in range(0, len(phase), _PHASES_AT_ONCE):
        part = slice(start, start + _PHASES_AT_ONCE)
        _cut(psf, phase[part], half, values[part])
    corner = np.ascontiguousarray(centre - half, dtype=np.int32)
    return Patches(values, kind, corner, shape)


def projection(lattice: Lattice, psf: PSF, image_shape: tuple[int, int]) -> csr_array:
    """Return the projection matrix M as a sparse array.

    Parameters
    ----------
    lattice, psf, image_shape
        As for `patches`.

    Returns
    -------
    csr_array of shape (pixels, n)
        Row ``y * columns + x`` is pixel (y, x), column k site k of ``lattice.positions``; the
        indices are sorted. A column sums to 1 where the image holds all of the site's light.
    """
    from scipy.sparse import csr_array

    spread = patches(lattice, psf, image_shape)
    rows, columns = spread.image_shape
    ends = np.zeros(rows * columns + 1, dtype=np.int64)
    _count(spread.values, spread.kind, spread.corner, rows, columns, ends)
    np.cumsum(ends, out=ends)
    data = np.empty(ends[-1])
    indices = np.empty(ends[-1], dtype=np.int32)
    _fill(spread.values, spread.kind, spread.corner, rows, columns, ends[:-1].copy(), indices, data)
    if ends[-1] <= np.iinfo(np.int32).max:
        ends = ends.astype(np.int32)
    matrix = csr_array((data, indices, ends), shape=(rows * columns, len(spread)))
    matrix.has_sorted_indices = True
    matrix.has_canonical_format = True
    return matrix


def _distinct(phase: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return the distinct places within a pixel, and which of them each site has."""
    steps = np.rint(phase / _PHASE_STEP).astype(np.int64)
    key = steps[:, 0] * (round(1 / _PHASE_STEP) + 1) + steps[:, 1]
    _, first, kind = np.unique(key, return_index=True, return_inverse=True)
    return phase[first], kind.astype(np.int32)


def _cut(psf: PSF, phase: NDArray[np.float64], half: int, values: NDArray[np.float64]) -> None:
    """Fill in patches of the PSF within its cutoff, each of sum 1."""
    light = np.ascontiguousarray(psf.integrate(phase, half), dtype=np.float64)
    if not _normalise(light, phase, psf.cutoff**2 + _PHASE_STEP, values):
        raise ValueError(
            f"expected a PSF whose cutoff takes in at least one pixel's centre with light, found a "
            f"cutoff of {psf.cutoff:g} px"
        )


@njit(cache=True, nogil=True, fastmath=True)
def _normalise(light: Any, phase: Any, reach: float, values: Any) -> bool:
    """Fill in the light within a squared distance, over its sum; return whether there is any."""
    size = light.shape[1]
    half = size // 2
    for k in range(light.shape[0]):
        total = 0.0
        middle_y, middle_x = half + phase[k, 0], half + phase[k, 1]
        for v in range(size):
            rest = reach - (v - middle_y) ** 2
            for u in range(size):
                value = light[k, v, u] if (u - middle_x) ** 2 <= rest else 0.0
                values[k, v, u] = value
                total += value
        if not total > 0.0:
            return False
        scale = 1 / total
        for v in range(size):
            for u in range(size):
                values[k, v, u] *= scale
    return True


@njit(cache=True, nogil=True, fastmath=True)
def _spread(values: Any, kind: Any, corner: Any, brightness: Any, light: Any) -> None:
    """Add the light of all sites to an image."""
    # indices without a sign: no time is lost by looking for negative ones
    size = values.shape[1]
    rows, columns = light.shape
    for site in range(kind.size):
        x = brightness[site]
        if x == 0.0:
            continue
        k = unsigned(kind[site])
        top, left = signed(corner[site, 0]), signed(corner[site, 1])
        first = max(0, -left)
        count = min(size, columns - left) - first
        for v in range(max(0, -top), min(size, rows - top)):
            row, part = unsigned(top + v), unsigned(v)
            for u in range(count):
                light[row, unsigned(left + first + u)] += x * values[k, part, unsigned(first + u)]


@njit(cache=True, nogil=True)
def _count(values: Any, kind: Any, corner: Any, rows: int, columns: int, counts: Any) -> None:
    """Count the sites that reach each pixel into ``counts[1 + pixel]``."""
    size = values.shape[1]
    for site in range(kind.size):
        patch = values[kind[site]]
        top, left = corner[site, 0], corner[site, 1]
        for v in range(max(0, -top), min(size, rows - top)):
            for u in range(max(0, -left), min(size, columns - left)):
                if patch[v, u] != 0.0:
                    counts[1 + (top + v) * columns + left + u] += 1


@njit(cache=True, nogil=True)
def _fill(
    values: Any,
    kind: Any,
    corner: Any,
    rows: int,
    columns: int,
    place: Any,
    indices: Any,
    data: Any,
) -> None:
    """Fill in the matrix row by row of M; `place` is where each pixel's next entry goes."""
    size = values.shape[1]
    for site in range(kind.size):
        patch = values[kind[site]]
        top, left = corner[site, 0], corner[site, 1]
        for v in range(max(0, -top), min(size, rows - top)):
            for u in range(max(0, -left), min(size, columns - left)):
                if patch[v, u] != 0.0:
                    at = (top + v) * columns + left + u
                    indices[place[at]] = site
                    data[place[at]] = patch[v, u]
                    place[at] += 1
