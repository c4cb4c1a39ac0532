"""Atom numbers by exhaustive search, as in the paper: the independent check of the optimiser."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.fit import AtomNumberFit, fit_result, kept_occurrences
from napari_coldatoms.photons.fit_setting import ModelSetting, fit_setting
from napari_coldatoms.photons.histogram import Counts, histogram
from napari_coldatoms.photons.loss_model import LossModel

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_ATOMS = 3
"""More atoms make more points than anyone can wait for."""

# probabilities are multiples of 0.025 %; steps of the three stages in these units
_UNITS = 4000
_STEPS = (100, 10, 1)
_REACH = 10  # steps to each side in the later stages, one of the stage before
_AT_ONCE = 4_000_000  # logarithms


def grid_search(counts: Counts, model: LossModel | ControlFit) -> AtomNumberFit:
    """Search the probabilities of atom numbers on a grid of 0.025 %.

    The paper's way (Sec. IV.3 of Weyland et al. 2025, arXiv 2412.17434), for comparison:
    `fit_atom_numbers` is faster by orders of magnitude and exact. All probabilities in steps of
    2.5 % are tried, then those around the best in steps of 0.25 % and of 0.025 %; a stage goes on
    as long as its best point lies on the edge of where it looked.

    Parameters
    ----------
    counts : Counts
        See `histogram`.
    model : LossModel or ControlFit
        Of at most 3 atoms.

    Returns
    -------
    AtomNumberFit
        Its `optimality_gap` is what a finer search could gain at most.

    Raises
    ------
    ValueError
        If the model has more atoms, or the counts are not usable.
    """
    data = histogram(counts)
    setting = fit_setting(model, data.max_count, basis="model")
    assert isinstance(setting, ModelSetting)
    atoms = len(setting.components) - 1
    if atoms > MOST_ATOMS:
        raise ValueError(
            f"expected a model of at most {MOST_ATOMS} atoms for a search on a grid, found {atoms}"
        )
    kept = kept_occurrences(data, setting)
    seen = kept > 0
    h, components = kept[seen], setting.components[:, seen]
    weights = search(h, components)
    f = weights @ components
    shots = h.sum()
    gap = shots * max(float((components @ (h / f)).max() / shots) - 1, 0.0)
    value = float((h * np.log(shots * f)).sum() - shots - _log_factorials(h))
    return fit_result(data, setting, kept, weights, value, gap)[0]


def search(occurrences: FloatArray, components: FloatArray) -> FloatArray:
    """Return the best weights (atoms + 1,) on the grid, for bins (k,) with shots."""
    atoms = len(components) - 1
    points = _simplex(atoms)
    best = points[_best(points, occurrences, components)]
    window = _window(atoms)
    for step in _STEPS[1:]:
        around = step * window
        while True:
            points = best[:-1] + around
            points = points[(points >= 0).all(axis=1) & (points.sum(axis=1) <= _UNITS)]
            points = np.column_stack([points, _UNITS - points.sum(axis=1)])
            found = points[_best(points, occurrences, components)]
            on_edge = np.abs(found - best)[:-1].max() == _REACH * step
            best = found
            if not on_edge:
                break
    return best / _UNITS


@lru_cache
def _simplex(atoms: int) -> IntArray:
    """Return all points of the first stage, (points, atoms + 1)."""
    step = _STEPS[0]
    axis = np.arange(0, _UNITS + 1, step)
    points = np.stack(np.meshgrid(*[axis] * atoms, indexing="ij"), axis=-1).reshape(-1, atoms)
    points = points[points.sum(axis=1) <= _UNITS]
    return np.column_stack([points, _UNITS - points.sum(axis=1)])


@lru_cache
def _window(atoms: int) -> IntArray:
    axis = np.arange(-_REACH, _REACH + 1)
    return np.stack(np.meshgrid(*[axis] * atoms, indexing="ij"), axis=-1).reshape(-1, atoms)


def _best(points: IntArray, occurrences: FloatArray, components: FloatArray) -> int:
    """Return the index of the point of the largest likelihood."""
    values = np.empty(len(points))
    size = max(_AT_ONCE // len(occurrences), 1)
    with np.errstate(divide="ignore"):
        for begin in range(0, len(points), size):
            part = points[begin : begin + size] / _UNITS
            f = part @ components
            values[begin : begin + size] = np.log(f, out=f) @ occurrences
    return int(values.argmax())


def _log_factorials(occurrences: FloatArray) -> float:
    from scipy.special import gammaln

    return float(gammaln(occurrences + 1).sum())
