"""Which pixels lie inside an outline; the pixel with index i has its centre at coordinate i."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TIE = 1e-6
"""Pixels by which an edge through their centres is moved, so that rounding does not decide."""


def polygon_pixels(corners: FloatArray, shape: tuple[int, int]) -> IntArray:
    """Return the pixels whose centre lies inside a polygon, as ascending flat indices.

    Where the outline crosses itself, inside is what is surrounded an odd number of times. A centre
    on the outline belongs to the side of the larger coordinates, so that each pixel belongs to one
    of two polygons that share an edge.

    Parameters
    ----------
    corners : (v, 2) array
        y and x of the corners, in pixels.
    shape : (int, int)
        Rows and columns of the image.
    """
    corners = corners - TIE
    rows, columns = _box(corners.min(axis=0), corners.max(axis=0), shape)
    x = np.arange(columns.start, columns.stop)
    inside = np.zeros((rows.stop - rows.start, len(x)), dtype=np.bool_)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 > y1:
            y0, x0, y1, x1 = y1, x1, y0, x0
        first = max(math.ceil(y0), rows.start)
        last = min(math.ceil(y1), rows.stop)  # half open: each corner counts for one edge
        if first >= last:
            continue
        y = np.arange(first, last)
        crossing = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
        inside[first - rows.start : last - rows.start] ^= x >= crossing[:, None]
    return _flat(inside, rows, columns, shape)


def ellipse_pixels(centre: FloatArray, axes: FloatArray, shape: tuple[int, int]) -> IntArray:
    """Return the pixels whose centre lies inside or on an ellipse, as ascending flat indices.

    Parameters
    ----------
    centre : (2,) array
        y and x in pixels.
    axes : (2, 2) array
        Two conjugate half axes as columns; the ellipse is ``centre + axes @ u`` with ``|u| = 1``.
    shape : (int, int)
        Rows and columns of the image.
    """
    if abs(np.linalg.det(axes)) < TIE**2:
        return np.zeros(0, dtype=np.int64)
    reach = np.sqrt((axes**2).sum(axis=1)) + TIE
    rows, columns = _box(centre - reach, centre + reach, shape)
    y, x = np.mgrid[rows, columns]
    inverse = np.linalg.inv(axes)
    u = inverse @ np.stack([y - centre[0], x - centre[1]]).reshape(2, -1)
    inside = (u**2).sum(axis=0) <= (1 + TIE) ** 2
    return _flat(inside.reshape(y.shape), rows, columns, shape)


def _box(low: FloatArray, high: FloatArray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of the image that may lie inside."""
    first = np.clip(np.ceil(low), 0, shape).astype(int)
    last = np.clip(np.floor(high) + 1, first, shape).astype(int)
    return slice(first[0], last[0]), slice(first[1], last[1])


def _flat(
    inside: NDArray[np.bool_], rows: slice, columns: slice, shape: tuple[int, int]
) -> IntArray:
    y, x = np.nonzero(inside)
    return np.asarray((y + rows.start) * shape[1] + x + columns.start, dtype=np.int64)
