"""Hills of a map: which maxima stand out, and which pixels belong to each."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

# what surrounds a hole is a ring if the hole takes at least this part of both together
_HOLE = 0.2
# and if it nowhere falls below this part of its highest point
_RIM = 0.2


@njit(cache=True, nogil=True)
def _root(parent: NDArray[np.int64], label: int) -> int:
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@njit(cache=True, nogil=True)
def basins(
    values: NDArray[np.float64],
    heights: NDArray[np.float64],
    floor: float,
    prominence: float,
    part: float,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Divide what rises above `floor` into hills.

    The map is flooded from the top. Where two hills meet, the lower one is joined to the higher
    unless it rises above the saddle by `prominence`, and in `heights` by `part` of its own height.

    Parameters
    ----------
    values : (ny, nx)
        The map, such as significance.
    heights : (ny, nx)
        The same in other units, such as optical depth: where the noise is uneven, a dip of the
        significance is not always one of the cloud.
    floor, prominence : float
        In units of the map.
    part : float
        0..1.

    Returns
    -------
    labels : (ny, nx)
        1..n, highest hill first; 0 below the floor.
    peaks : (n, 2)
        Row and column of each hill's top.
    """
    ny, nx = values.shape
    rows, columns = np.nonzero(values > floor)
    n = rows.size
    sorted_by = np.empty(n)
    for k in range(n):
        sorted_by[k] = -values[rows[k], columns[k]]
    order = np.argsort(sorted_by)
    labels = np.zeros((ny, nx), dtype=np.int32)
    parent = np.zeros(n + 1, dtype=np.int64)
    top = np.zeros(n + 1)
    at = np.zeros((n + 1, 2), dtype=np.int64)
    count = 0
    near = np.empty(8, dtype=np.int64)
    for k in order:
        j, i = rows[k], columns[k]
        level = values[j, i]
        found = 0
        best = 0
        best_height = -np.inf
        for v in range(max(j - 1, 0), min(j + 2, ny)):
            for u in range(max(i - 1, 0), min(i + 2, nx)):
                if labels[v, u] > 0:
                    root = _root(parent, labels[v, u])
                    near[found] = root
                    found += 1
                    if values[v, u] > best_height:
                        best, best_height = root, values[v, u]
        if found == 0:
            count += 1
            parent[count] = count
            top[count] = level
            at[count, 0], at[count, 1] = j, i
            labels[j, i] = count
            continue
        labels[j, i] = best
        for m in range(found):
            # labels are given from the top down: the smaller one is the higher hill
            one, two = _root(parent, best), _root(parent, near[m])
            if one == two:
                continue
            high, low = min(one, two), max(one, two)
            height = heights[at[low, 0], at[low, 1]]
            if top[low] - level < prominence or height - heights[j, i] < part * height:
                parent[low] = high
    final = np.zeros(count + 1, dtype=np.int32)
    peaks = np.empty((count, 2), dtype=np.int64)
    kept = 0
    for label in range(1, count + 1):
        if parent[label] == label:
            peaks[kept] = at[label]
            kept += 1
            final[label] = kept
    for k in range(n):
        j, i = rows[k], columns[k]
        labels[j, i] = final[_root(parent, labels[j, i])]
    return labels, peaks[:kept]


def close_rings(
    values: NDArray[np.float64],
    labels: NDArray[np.int32],
    peaks: NDArray[np.int64],
    floor: float,
    least: float,
) -> dict[int, NDArray[np.bool_]]:
    """Join the hills along a ring, and what is inside of it, to one.

    Parameters
    ----------
    values, labels, peaks
        The map and its `basins`; `labels` is changed.
    floor : float
        The ring is closed above this level.
    least : float
        Height of the ring's top.

    Returns
    -------
    dict
        Label of each ring and its cells, those inside of it included, on the whole map.
    """
    rings: dict[int, NDArray[np.bool_]] = {}
    if len(peaks) == 0:
        return rings
    heights = values[peaks[:, 0], peaks[:, 1]]
    if not (heights >= least).any():
        return rings
    edge = np.maximum(floor, _RIM * np.concatenate([[np.inf], heights]))
    high = np.isin(labels, np.flatnonzero(heights >= least) + 1) & (values >= edge[labels])
    pieces, _ = ndimage.label(high, structure=np.ones((3, 3)))
    for number, where in enumerate(ndimage.find_objects(pieces), start=1):
        piece = pieces[where] == number
        if min(piece.shape) < 5:
            continue
        filled = ndimage.binary_fill_holes(piece)
        holes, count = ndimage.label(filled & ~piece)
        if count == 0:
            continue
        largest = np.bincount(holes.ravel())[1:].max()
        if largest < max(_HOLE * np.count_nonzero(filled), 4):
            continue
        whole = np.zeros(values.shape, dtype=bool)
        whole[where] = filled
        inside = [k + 1 for k, (j, i) in enumerate(peaks.tolist()) if whole[j, i]]
        label = min(inside)
        labels[np.isin(labels, inside)] = label
        labels[whole] = label
        rings[label] = whole
    return rings
