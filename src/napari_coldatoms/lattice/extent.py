"""Which sites of an endless lattice there are: those in the frame, those that hold atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice

FloatArray = NDArray[np.float64]

_FILLED = 0.05  # occupancy of a row of sites over that of the fullest rows, for it to count
_FULL = 0.9  # quantile of the rows
_LEAST_ATOMS = 2.0  # in a row, over all shots
_ROUNDS = 4
_FEWEST_GAINED, _SHARE_GAINED = 3.0, 0.01  # atoms, and of all of them
_NOTHING, _CLEAR = 0.5, 1.5  # of that gain, where only the light of the sites is known


def covering(
    vectors: FloatArray, place: ArrayLike, image_shape: tuple[int, int], reach: float = 0.0
) -> Lattice:
    """Return all sites of an endless lattice in a frame.

    Parameters
    ----------
    vectors : (2, 2) array
        Lattice vectors, each (y, x) in px.
    place : (float, float)
        Position (y, x) of some site, in px.
    image_shape : (int, int)
        Rows and columns.
    reach : float
        How far beyond the frame sites may lie, in px.
    """
    origin = np.asarray(place, dtype=np.float64)
    low, high = np.full(2, -0.5 - reach), np.array(image_shape) - 0.5 + reach
    corners = np.array([low, (low[0], high[1]), (high[0], low[1]), high]) - origin
    labels = corners @ np.linalg.inv(vectors)
    first, last = np.ceil(labels.min(axis=0)).astype(int), np.floor(labels.max(axis=0)).astype(int)
    shape = np.maximum(last - first + 1, 1)
    whole = Lattice(vectors, origin + first @ vectors, (int(shape[0]), int(shape[1])))
    inside = np.all((whole.positions >= low) & (whole.positions < high), axis=1)
    return whole if inside.all() else whole.select(inside)


def padded(lattice: Lattice, image_shape: tuple[int, int], sites: int, reach: float) -> Lattice:
    """Return a regular lattice with all sites of its rectangle, and some more on each side.

    Those that are in the frame or up to `reach` px beyond. Site (0, 0) is the one that is `sites`
    steps before the given lattice's.
    """
    assert lattice.vectors is not None
    assert lattice.origin is not None
    assert lattice.shape is not None
    origin = np.array(lattice.origin) - sites * lattice.vectors.sum(axis=0)
    shape = (lattice.shape[0] + 2 * sites, lattice.shape[1] + 2 * sites)
    whole = Lattice(lattice.vectors, origin, shape)
    low, high = -0.5 - reach, np.array(image_shape) - 0.5 + reach
    inside = np.all((whole.positions >= low) & (whole.positions < high), axis=1)
    return whole.select(inside) if inside.any() and not inside.all() else whole


def best_step(
    lattice: Lattice, around: Lattice, sites: int, occupied: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Return by which step (di, dj) a lattice has to move to hold the most atoms, (2,).

    Parameters
    ----------
    lattice : Lattice
        The sites.
    around : Lattice
        The same, with some more sites on each side, see `padded`.
    sites : int
        How many; the step is not longer.
    occupied : (n,) bool array
        Which sites of `around` hold atoms.

    Returns
    -------
    (2,) int array
        No step, unless another one holds considerably more atoms.
    """
    step, gain = _most_gained(lattice, around, sites, occupied)
    enough = max(_FEWEST_GAINED, _SHARE_GAINED * float(occupied.sum()))
    return step if gain >= enough else np.zeros(2, dtype=np.intp)


def likely_step(
    lattice: Lattice, around: Lattice, sites: int, light: FloatArray
) -> NDArray[np.intp] | None:
    """Return what `best_step` would most likely be, from the light of the sites alone.

    Parameters
    ----------
    lattice, around, sites
        As of `best_step`.
    light : (n,) array
        A rough estimate of each site's brightness, in any unit; 0 where nothing is known.

    Returns
    -------
    (2,) int array or None
        None where it is not clear.
    """
    step, gain = _most_gained(lattice, around, sites, light)
    # as many atoms as there are if every second site holds one
    enough = max(_FEWEST_GAINED * 2 / len(lattice), _SHARE_GAINED) * float(light.sum())
    if gain < _NOTHING * enough:
        return np.zeros(2, dtype=np.intp)
    return step if gain > _CLEAR * enough else None


def _most_gained(
    lattice: Lattice, around: Lattice, sites: int, held: NDArray[Any]
) -> tuple[NDArray[np.intp], float]:
    """Return the step to where a lattice holds the most, the shortest one, and how much more."""
    assert lattice.shape is not None
    assert around.shape is not None
    table = np.zeros(around.shape)
    table[tuple(around.labels.T)] = held
    there = np.ones(lattice.shape) if lattice.mask is None else lattice.mask.astype(float)
    rows, columns = lattice.shape
    steps = np.array(
        [(i, j) for i in range(-sites, sites + 1) for j in range(-sites, sites + 1)], dtype=np.intp
    )
    sums = np.array(
        [
            (table[sites + i : sites + i + rows, sites + j : sites + j + columns] * there).sum()
            for i, j in steps
        ]
    )
    best = int(np.lexsort((np.abs(steps).sum(axis=1), -sums))[0])
    return steps[best], float(sums[best] - sums[len(steps) // 2])


def filled(lattice: Lattice, occupancy: FloatArray, shots: int) -> Lattice:
    """Return the rows i and columns j of a regular lattice between the outermost filled ones.

    Parameters
    ----------
    lattice : Lattice
        n sites.
    occupancy : (n,) array
        Mean over the shots; NaN where it is not known.
    shots : int
        How many there are.

    Returns
    -------
    Lattice
        With those sites alone; the sites of the given lattice if none are filled.
    """
    assert lattice.vectors is not None
    assert lattice.origin is not None
    assert lattice.shape is not None
    table = np.full(lattice.shape, np.nan)
    table[tuple(lattice.labels.T)] = occupancy
    ends = [(0, n) for n in lattice.shape]
    for _ in range(_ROUNDS):
        before = list(ends)
        for axis in (0, 1):
            across = slice(*ends[1 - axis])
            part = table[:, across] if axis == 0 else table[across].T
            ends[axis] = _range(part, shots)
        if ends == before:
            break
    (i0, i1), (j0, j1) = ends
    if i1 <= i0 or j1 <= j0:
        return lattice
    there = np.zeros(lattice.shape, dtype=np.bool_)
    there[tuple(lattice.labels.T)] = True
    kept = there[i0:i1, j0:j1]
    if not kept.any():
        return lattice
    origin = np.array(lattice.origin) + np.array([i0, j0]) @ lattice.vectors
    shape = (i1 - i0, j1 - j0)
    return Lattice(lattice.vectors, origin, shape, mask=None if kept.all() else kept)


def _range(table: FloatArray, shots: int) -> tuple[int, int]:
    """Return the first and one beyond the last filled row."""
    known = np.isfinite(table)
    number = known.sum(axis=1)
    atoms = np.where(known, table, 0.0).sum(axis=1)
    rows = number > 0
    if not rows.any():
        return 0, 0
    mean = np.where(rows, atoms / np.maximum(number, 1), 0.0)
    least = _FILLED * float(np.quantile(mean[rows], _FULL))
    full = np.flatnonzero(rows & (mean > least) & (atoms * shots >= _LEAST_ATOMS))
    if not full.size:
        return 0, 0
    # beyond the last row that is known, a cloud goes on
    ends = np.flatnonzero(rows)
    first = 0 if full[0] == ends[0] else int(full[0])
    return first, len(rows) if full[-1] == ends[-1] else int(full[-1]) + 1
