"""Which sites share light: pairs of sites closer than a distance, as a sparse pattern."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice

Pattern = tuple[NDArray[np.int64], NDArray[np.int32]]


def pairs_within(lattice: Lattice, radius: float) -> Pattern:
    """Return for each site the sites within a radius, itself among them.

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    radius : float
        Distance in px.

    Returns
    -------
    ends : (n + 1,) int64 array
        The sites near site k are ``sites[ends[k]:ends[k + 1]]``, in ascending order.
    sites : int32 array
    """
    if lattice.vectors is None:
        return _near_positions(lattice.positions, radius)
    assert lattice.shape is not None
    steps = _steps_within(lattice.vectors, radius)
    number = np.full(lattice.shape, -1, dtype=np.int32)
    number[tuple(lattice.labels.T)] = np.arange(len(lattice), dtype=np.int32)
    ends = np.zeros(len(lattice) + 1, dtype=np.int64)
    _count_steps(number, steps, ends)
    np.cumsum(ends, out=ends)
    sites = np.empty(ends[-1], dtype=np.int32)
    _fill_steps(number, steps, ends, sites)
    return ends, sites


def _steps_within(vectors: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """Return index steps (di, dj) to places within a radius, in ascending order."""
    # |d| <= radius bounds each index by the radius over the distance between the lattice's lines
    area = abs(float(np.linalg.det(vectors)))
    reach = [math.floor(radius * float(np.linalg.norm(vectors[1 - k])) / area) for k in (0, 1)]
    di, dj = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1].reshape(2, -1)
    steps = np.column_stack([di, dj])
    near = np.sum((steps @ vectors) ** 2, axis=1) <= radius**2 * (1 + 1e-12)
    return np.ascontiguousarray(steps[near], dtype=np.int64)


def _near_positions(positions: NDArray[np.float64], radius: float) -> Pattern:
    from scipy.sparse import csr_array
    from scipy.spatial import KDTree

    count = len(positions)
    a, b = KDTree(positions).query_pairs(radius, output_type="ndarray").T
    itself = np.arange(count)
    rows, columns = np.concatenate([a, b, itself]), np.concatenate([b, a, itself])
    pattern = csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    pattern.sort_indices()
    return pattern.indptr.astype(np.int64), pattern.indices.astype(np.int32)


@njit(cache=True, nogil=True)
def _count_steps(number: Any, steps: Any, ends: Any) -> None:
    """Count the neighbours of each site into ``ends[1 + site]``."""
    rows, columns = number.shape
    for i in range(rows):
        for j in range(columns):
            if number[i, j] >= 0:
                for k in range(steps.shape[0]):
                    u, v = i + steps[k, 0], j + steps[k, 1]
                    if 0 <= u < rows and 0 <= v < columns and number[u, v] >= 0:
                        ends[1 + number[i, j]] += 1


@njit(cache=True, nogil=True)
def _fill_steps(number: Any, steps: Any, ends: Any, sites: Any) -> None:
    rows, columns = number.shape
    for i in range(rows):
        for j in range(columns):
            if number[i, j] >= 0:
                at = ends[number[i, j]]
                for k in range(steps.shape[0]):
                    u, v = i + steps[k, 0], j + steps[k, 1]
                    if 0 <= u < rows and 0 <= v < columns and number[u, v] >= 0:
                        sites[at] = number[u, v]
                        at += 1
