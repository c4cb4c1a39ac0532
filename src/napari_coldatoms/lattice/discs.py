"""Sums of an image over discs of whole pixels around the sites, for several radii at once."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_MOST_RADII = 9


def distinct_radii(longest: float) -> list[float]:
    """Return radii at which discs of whole pixels differ, ascending, not more than nine."""
    reach = np.arange(int(longest) + 1)
    squares = np.unique(reach[:, None] ** 2 + reach[None, :] ** 2)
    squares = squares[squares <= longest**2]
    if squares.size > _MOST_RADII:
        squares = squares[np.linspace(0, squares.size - 1, _MOST_RADII).round().astype(int)]
    return [float(radius) for radius in np.sqrt(squares)]


def _disc(radii: list[float]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return pixels around a site from the inside to the outside, and how many each disc holds."""
    reach = int(radii[-1])
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    squares = dy**2 + dx**2
    order = np.argsort(squares, kind="stable")
    # sqrt(5)**2 is not quite 5
    limits = np.array(radii) ** 2 + 1e-9
    ends = np.searchsorted(squares[order], limits, side="right").astype(np.int32)
    offsets = np.column_stack([dy, dx])[order[: ends[-1]]].astype(np.int32)
    return np.ascontiguousarray(offsets), ends


def sum_discs(
    image: FloatArray,
    corner: NDArray[np.int32],
    fraction: FloatArray,
    radii: list[float],
) -> FloatArray:
    """Return linear interpolations of the image's sums over discs.

    Parameters
    ----------
    image : (y, x) array
        Periodic.
    corner : (n, 2) int32 array
        Pixel (y, x) at or before each place.
    fraction : (n, 2) array
        How far, in px, the place is from that pixel's centre: 0 to 1.
    radii : list of float
        Ascending; a disc holds the pixels within this distance of its centre.

    Returns
    -------
    (radii, n) array
    """
    offsets, ends = _disc(radii)
    sums = np.zeros((len(radii), len(corner)))
    _sum(image, corner, fraction, offsets, ends, sums)
    return sums


@njit(cache=True, nogil=True)
def _sum(
    image: FloatArray,
    corner: NDArray[np.int32],
    fraction: FloatArray,
    offsets: NDArray[np.int32],
    ends: NDArray[np.int32],
    sums: FloatArray,
) -> None:
    """Add linear interpolations of the sums over discs to zeros, see `sum_discs`."""
    rows, columns = image.shape
    for site in range(corner.shape[0]):
        for side in range(4):
            down, right = side // 2, side % 2
            fy, fx = fraction[site, 0], fraction[site, 1]
            weight = (fy if down else 1 - fy) * (fx if right else 1 - fx)
            if weight == 0.0:
                continue
            y0, x0 = corner[site, 0] + down, corner[site, 1] + right
            total = 0.0
            first = 0
            for radius in range(ends.size):
                for k in range(first, ends[radius]):
                    y, x = y0 + offsets[k, 0], x0 + offsets[k, 1]
                    if y < 0:
                        y += rows
                    elif y >= rows:
                        y -= rows
                    if x < 0:
                        x += columns
                    elif x >= columns:
                        x -= columns
                    total += image[y, x]
                first = ends[radius]
                sums[radius, site] += weight * total
