"""The exposure that tells most: longer ones separate the counts, until most atoms are lost."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.planning import plan, predicted_errors

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

_RANGE = (0.1, 10.0)  # of exposures that are tried, relative to the model's
_TRIES = 25
_NARROW = 1e-3  # the best exposure is found to this, relative to it


@dataclass(frozen=True, eq=False)
class BestExposure:
    """The exposure of the smallest error, from `best_exposure`.

    Attributes
    ----------
    exposure : float
        s.
    errors : (atoms + 1,) array
        Predicted errors of the proportions with it.
    table : pandas.DataFrame
        The errors of all exposures that were tried, as from `plan`.
    at_border : bool
        The best exposure is the shortest or the longest that was tried.
    """

    exposure: float
    errors: FloatArray
    table: pd.DataFrame = field(repr=False)
    at_border: bool


def best_exposure(
    model: LossModel,
    probabilities: ArrayLike,
    *,
    events: int = 1000,
    control_events: int | None = None,
    exposures: Iterable[float] | None = None,
    atoms: int | None = None,
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    bins: int = 1,
) -> BestExposure:
    """Return the exposure with the smallest predicted error, at given rates and losses.

    The number of shots is the same for all: the time of a cycle is taken to be much longer than the
    exposure.

    Parameters
    ----------
    model, probabilities, events, control_events, control_shares, single_atom_loss, bins
        As in `predicted_errors`.
    exposures : several float, optional
        Exposures (s) to try; by default 25 from a tenth of the model's to ten times it. Between the
        neighbours of the best one it is searched further.
    atoms : int, optional
        The atom number whose proportion shall be best; by default the root mean square over all.

    Returns
    -------
    BestExposure

    Raises
    ------
    ValueError
        If an argument is out of its range, or fewer than three exposures are given.
    """
    if exposures is None:
        times = model.exposure * np.geomspace(*_RANGE, _TRIES)
    else:
        times = np.unique(np.array(list(exposures), dtype=np.float64))
    if len(times) < 3 or not (np.isfinite(times).all() and times[0] > 0):
        raise ValueError(f"expected three exposures above 0 s or more, found {times.tolist()}")
    if atoms is not None and not 0 <= atoms <= model.atoms:
        raise ValueError(f"expected atoms from 0 to {model.atoms}, found {atoms}")
    table = plan(
        model,
        probabilities,
        events=events,
        control_events=control_events,
        exposure=times.tolist(),
        control_shares=control_shares,
        single_atom_loss=single_atom_loss,
        bins=bins,
    )
    column = "mean_error" if atoms is None else f"error_{atoms}"
    middle = int(np.argmin(table[column].to_numpy()))

    def errors_of(time: float) -> FloatArray:
        return predicted_errors(
            model.with_exposure(time),
            probabilities,
            events,
            control_events,
            control_shares=control_shares,
            single_atom_loss=single_atom_loss,
            bins=bins,
        )

    def error_of(log_time: float) -> float:
        errors = errors_of(math.exp(log_time))
        return float(np.sum(errors**2) if atoms is None else errors[atoms])

    at_border = middle in (0, len(times) - 1)
    best = float(times[middle])
    if not at_border:
        from scipy.optimize import minimize_scalar

        bounds = (math.log(times[middle - 1]), math.log(times[middle + 1]))
        options = {"xatol": _NARROW}
        found = minimize_scalar(error_of, bounds=bounds, method="bounded", options=options)
        best = math.exp(found.x)
    return BestExposure(best, errors_of(best), table, at_border)
