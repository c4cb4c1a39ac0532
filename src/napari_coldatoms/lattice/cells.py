"""Which pixels belong to which site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_coldatoms.lattice.geometry import Lattice

FloatArray = NDArray[np.float64]

_ROWS_AT_ONCE = 64
_TIE = 1e-9  # of a squared distance; a pixel halfway between two sites goes to the first


def wigner_seitz(lattice: Lattice, image_shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the Wigner-Seitz cells of a regular lattice's sites, see `Lattice.cells`."""
    assert lattice.vectors is not None
    assert lattice.shape is not None
    number = np.zeros(lattice.shape, dtype=np.int32)
    number[tuple(lattice.labels.T)] = np.arange(1, len(lattice) + 1)
    basis, change = _reduced(lattice.vectors)
    cells = np.zeros(image_shape, dtype=np.int32)
    for start in range(0, image_shape[0], _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, image_shape[0]))
        points = np.moveaxis(np.mgrid[rows, : image_shape[1]], 0, -1) - np.asarray(lattice.origin)
        site = _nearest(points, basis) @ change
        known = np.all((site >= 0) & (site < np.array(lattice.shape)), axis=-1)
        cells[rows][known] = number[tuple(site[known].T)]
    return cells


def within(positions: FloatArray, reach: float, image_shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the label image of the nearest position, where it is no farther than `reach` px."""
    from scipy.spatial import KDTree

    pixels = np.moveaxis(np.mgrid[: image_shape[0], : image_shape[1]], 0, -1)
    distance, nearest = KDTree(positions).query(pixels)
    return np.where(distance <= reach, nearest + 1, 0).astype(np.int32)


def _reduced(vectors: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return shortest basis vectors and the integer matrix that makes them: basis = change @ v.

    Lagrange's reduction. The lattice point nearest to a point is then a corner of its cell.
    """
    basis, change = vectors.copy(), np.eye(2, dtype=np.intp)
    while True:
        if basis[0] @ basis[0] > basis[1] @ basis[1]:
            basis, change = basis[::-1].copy(), change[::-1].copy()
        times = int(np.rint(basis[0] @ basis[1] / (basis[0] @ basis[0])))
        if times == 0:
            return basis, change
        basis[1] -= times * basis[0]
        change[1] -= times * change[0]


def _nearest(points: FloatArray, basis: FloatArray) -> NDArray[np.intp]:
    """Return indices of the lattice point nearest to each point, (..., 2)."""
    corner = np.floor(points @ np.linalg.inv(basis))
    rest = points - corner @ basis
    best = np.full(points.shape[:-1], np.inf)
    nearest = corner.astype(np.intp)
    step = np.zeros(points.shape, dtype=np.intp)
    for candidate in ((0, 0), (0, 1), (1, 0), (1, 1)):
        dy, dx = np.moveaxis(rest - np.array(candidate) @ basis, -1, 0)
        distance = dy**2 + dx**2
        closer = distance < best - _TIE
        best[closer] = distance[closer]
        step[closer] = candidate
    nearest += step
    return nearest
