"""Order in occupations: correlations of pairs of sites over many shots.

For sites i and j the connected correlation is ``C = <n_i n_j> - <n_i> <n_j>``, means over shots; it
is averaged over the pairs of sites at one step, or at one distance. ``g2`` is the sum of
``<n_i n_j>`` over them, over that of ``<n_i> <n_j>``. Both are biased where the means are those of
few shots; the jackknife (Efron and Stein 1981), which leaves out one shot after the other, removes
the bias of order 1 / shots and tells the standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.hops import shortest_distance
from napari_coldatoms.lattice.occupations import Occupations, check_sites, read_shots

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_FARTHEST = 10.0  # nearest distances


@dataclass(frozen=True, eq=False)
class DensityCorrelations:
    """Correlations of the occupation of pairs of sites, (m,) arrays in the order of the distance.

    Attributes
    ----------
    distance : (m,) array
        In px; for arbitrary positions the mean of the pairs.
    di, dj : (m,) int arrays or None
        The step from one site to the other; the opposite step is the same. None for arbitrary
        positions.
    pairs : (m,) array
        Pairs of sites that are both valid; the mean of the shots.
    connected, connected_stderr : (m,) arrays
        Mean of ``<n_i n_j> - <n_i> <n_j>`` and its standard error.
    g2, g2_stderr : (m,) arrays
        ``Σ <n_i n_j> / Σ <n_i> <n_j>`` and its standard error; NaN where no atoms were seen.
    shots : int
        Shots with valid sites.
    """

    distance: FloatArray
    di: IntArray | None
    dj: IntArray | None
    pairs: FloatArray
    connected: FloatArray
    connected_stderr: FloatArray
    g2: FloatArray
    g2_stderr: FloatArray
    shots: int

    def table(self) -> pd.DataFrame:
        """Return one row per step or distance; ``attrs["units"]`` has the units."""
        import pandas as pd

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        del columns["shots"]
        table = pd.DataFrame({name: v for name, v in columns.items() if v is not None})
        table.attrs["units"] = {"distance": "px"}
        return table


def density_correlations(
    occupied: Occupations,
    lattice: Lattice,
    max_distance: float | None = None,
    *,
    bin_width: float | None = None,
) -> DensityCorrelations:
    """Return how the occupations of two sites depend on each other, by their distance.

    Parameters
    ----------
    occupied : sequence of Reconstruction, or (shots, n) bool array
        Occupations. Sites that are not valid in a shot do not count there.
    lattice : Lattice
        The n sites.
    max_distance : float, optional
        Largest distance, in px; by default ten times that of nearest neighbours.
    bin_width : float, optional
        For arbitrary positions: width of the bins of distance, in px, the first of them around
        this distance; by default the median distance of nearest neighbours.

    Returns
    -------
    DensityCorrelations

    Raises
    ------
    ValueError
        If there are fewer than two shots with valid sites, another number of sites, a distance
        is not positive, or there is a bin width for a regular lattice.
    TypeError
        If something is neither a reconstruction nor boolean.
    """
    shots = read_shots(occupied)
    check_sites(shots, sites=len(lattice))
    some = shots.valid.any(axis=1)
    n, valid = shots.occupied[some], shots.valid[some]
    if len(n) < 2:
        raise ValueError(f"expected two shots with valid sites or more, found {len(n)}")
    for name, value in (("max_distance", max_distance), ("bin_width", bin_width)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"expected a positive {name}, found {value}")
    at: _Steps | _Distances
    if lattice.vectors is not None:
        if bin_width is not None:
            raise ValueError("expected a bin_width only for arbitrary positions, found a lattice")
        at = _Steps(lattice, max_distance or _FARTHEST * shortest_distance(lattice))
    else:
        width = bin_width or lattice.site_area**0.5
        at = _Distances(lattice.positions, max_distance or _FARTHEST * width, width)
    # counts, but for the rounding of the transforms
    pairs = np.rint([at.sum_pairs(shot) for shot in valid])
    connected, g2 = _jackknifed(n, valid, pairs, at)
    shown = pairs.sum(axis=0) > 0.5
    return DensityCorrelations(
        distance=at.distance[shown],
        di=None if at.steps is None else at.steps[shown, 0],
        dj=None if at.steps is None else at.steps[shown, 1],
        pairs=pairs.mean(axis=0)[shown],
        connected=connected[0][shown],
        connected_stderr=connected[1][shown],
        g2=g2[0][shown],
        g2_stderr=g2[1][shown],
        shots=len(n),
    )


def _jackknifed(
    n: BoolArray, valid: BoolArray, pairs: FloatArray, at: _Steps | _Distances
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Return connected correlation and g2, each with its standard error."""
    shots = len(n)
    together = np.rint([at.sum_pairs(shot) for shot in n])
    # shots mostly have the same valid sites: one sum serves them all
    patterns, which, times = np.unique(valid, axis=0, return_inverse=True, return_counts=True)
    atoms, seen = n.sum(axis=0), valid.sum(axis=0)
    every = pairs.sum(axis=0)

    def estimate(without: int | None) -> tuple[FloatArray, FloatArray]:
        one, trials, left = atoms, seen, times.astype(np.float64)
        both, count = together.sum(axis=0), every
        if without is not None:
            one, trials = one - n[without], trials - valid[without]
            both, count = both - together[without], count - pairs[without]
            left[which[without]] -= 1
        mean = one / np.maximum(trials, 1)
        apart = np.zeros(len(both))
        for pattern, weight in zip(patterns, left, strict=True):
            if weight:
                apart += weight * at.sum_pairs(np.where(pattern, mean, 0.0))
        counted, dense = count > 0.5, apart > 1e-9
        connected = np.full(len(both), np.nan)
        connected[counted] = (both - apart)[counted] / count[counted]
        ratio = np.full(len(both), np.nan)
        ratio[dense] = both[dense] / apart[dense]
        return connected, ratio

    whole = estimate(None)
    parts = [estimate(shot) for shot in range(shots)]
    c, g = (_corrected(whole[k], np.array([part[k] for part in parts]), shots) for k in (0, 1))
    return c, g


def _corrected(whole: FloatArray, parts: FloatArray, shots: int) -> tuple[FloatArray, FloatArray]:
    mean = parts.mean(axis=0)
    scatter = np.sum((parts - mean) ** 2, axis=0)
    return shots * whole - (shots - 1) * mean, np.sqrt((shots - 1) / shots * scatter)


class _Steps:
    """The pairs of sites of a regular lattice at each step, summed by Fourier transforms."""

    def __init__(self, lattice: Lattice, radius: float) -> None:
        from scipy.fft import next_fast_len

        assert lattice.vectors is not None
        assert lattice.shape is not None
        labels = lattice.labels - lattice.labels.min(axis=0)
        rows, columns = labels.max(axis=0) + 1
        di, dj = np.mgrid[0:rows, 1 - columns : columns].reshape(2, -1)
        # of a step and the opposite one, the first
        half = (di > 0) | (dj > 0)
        steps = np.column_stack([di[half], dj[half]])
        distance = np.linalg.norm(steps @ lattice.vectors, axis=1)
        near = distance <= radius * (1 + 1e-12)
        order = np.argsort(np.round(distance[near], 9), kind="stable")
        self.steps = steps[near][order]
        self.distance = distance[near][order]
        self._site = tuple(labels.T)
        # room for every step without coming round to the other side
        self._grid = (next_fast_len(2 * int(rows)), next_fast_len(2 * int(columns)))

    def sum_pairs(self, values: NDArray) -> FloatArray:
        """Return the sum of ``v_i v_j`` over the pairs at each step."""
        from scipy.fft import irfft2, rfft2

        grid = np.zeros(self._grid)
        grid[self._site] = values
        wave = rfft2(grid)
        product = irfft2(wave.real**2 + wave.imag**2, s=self._grid)
        return np.asarray(product[tuple(self.steps.T)])


class _Distances:
    """The pairs of sites at any positions, in bins of their distance."""

    steps = None

    def __init__(self, positions: FloatArray, radius: float, width: float) -> None:
        from scipy.spatial import KDTree

        self._first, self._second = KDTree(positions).query_pairs(radius, output_type="ndarray").T
        apart = np.linalg.norm(positions[self._first] - positions[self._second], axis=1)
        bins = np.rint(apart / width).astype(np.intp)
        present, self._bin = np.unique(bins, return_inverse=True)
        self.distance = np.bincount(self._bin, apart) / np.maximum(np.bincount(self._bin), 1)
        self._count = len(present)

    def sum_pairs(self, values: NDArray) -> FloatArray:
        """Return the sum of ``v_i v_j`` over the pairs in each bin."""
        products = values[self._first].astype(np.float64) * values[self._second]
        return np.asarray(np.bincount(self._bin, products, minlength=self._count), dtype=np.float64)
