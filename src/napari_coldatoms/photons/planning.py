"""How many shots it takes: errors of the proportions, predicted for planned measurements."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.information import precision
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.shares import checked_events

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
_T = TypeVar("_T")

_MOST_EVENTS = 10**12


def predicted_errors(
    model: LossModel,
    probabilities: ArrayLike,
    events: int,
    control_events: int | None = None,
    *,
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    bins: int = 1,
) -> FloatArray:
    """Return the standard deviation to expect of each fitted proportion.

    From the Fisher information of the sample and of the controls, whose errors add: what the
    model-based fit by likelihood reaches, unless there are so few shots that it hits a bound. Near
    the border of what is possible (a proportion within its error of 0) errors are smaller, because
    none is fitted below 0.

    Parameters
    ----------
    model : LossModel
        Rates and losses as they are to be expected. `brightness_sd` is taken as known.
    probabilities : (atoms + 1,) array
        The proportions at the beginning of the exposure.
    events : int
        Number of shots of the sample.
    control_events : int, optional
        Number of control shots of all atom numbers together; None where rates and losses are known.
    control_shares : (atoms + 1,) array, optional
        Shares of the control shots; by default 6, 38 and 56 % for two atoms, equal ones otherwise.
    single_atom_loss : float
        Probability that an atom of a control is lost before the exposure.
    bins : int
        Equal parts of the exposure that are counted apart in the sample.

    Returns
    -------
    (atoms + 1,) array

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    known = precision(
        model,
        probabilities,
        control_shares=control_shares,
        single_atom_loss=single_atom_loss,
        bins=bins,
    )
    return known.errors(checked_events(events), _checked_controls(control_events))


def mean_error(errors: ArrayLike) -> float:
    """Return the root of the mean square over the atom numbers (Eq. 6 of Weyland et al. 2025).

    Parameters
    ----------
    errors : (atoms + 1,) array
        Errors of the proportions.

    Returns
    -------
    float
    """
    return float(np.sqrt(np.mean(np.square(errors))))


def events_needed(
    model: LossModel,
    probabilities: ArrayLike,
    error: float,
    *,
    atoms: int | None = None,
    control_events: int | None = None,
    control_ratio: float | None = None,
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    bins: int = 1,
) -> int:
    """Return how many shots of the sample make the predicted error as small as wanted.

    Parameters
    ----------
    model, probabilities, control_shares, single_atom_loss, bins
        As in `predicted_errors`.
    error : float
        Wanted standard deviation.
    atoms : int, optional
        Of the proportion of this atom number; by default of the root mean square over all
        (`mean_error`).
    control_events : int, optional
        Number of control shots that there are.
    control_ratio : float, optional
        Instead: control shots to take for each shot of the sample. With neither, rates and losses
        are taken as known.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If an argument is out of its range, or no number of shots is enough because the controls
        alone leave a larger error.
    """
    if not (math.isfinite(error) and error > 0):
        raise ValueError(f"expected an error above 0, found {error}")
    if control_events is not None and control_ratio is not None:
        raise ValueError("expected either control_events or control_ratio, found both")
    if control_ratio is not None and not (math.isfinite(control_ratio) and control_ratio > 0):
        raise ValueError(f"expected a control_ratio above 0, found {control_ratio}")
    known = precision(
        model,
        probabilities,
        control_shares=control_shares,
        single_atom_loss=single_atom_loss,
        bins=bins,
    )
    if atoms is not None and not 0 <= atoms <= model.atoms:
        raise ValueError(f"expected atoms from 0 to {model.atoms}, found {atoms}")
    chosen = slice(None) if atoms is None else slice(atoms, atoms + 1)
    sample = float(np.diagonal(known.sample)[chosen].mean())
    controls = float(np.diagonal(known.controls)[chosen].mean())
    wanted = error**2
    if control_ratio is not None:
        needed = (sample + controls / control_ratio) / wanted
    else:
        given = _checked_controls(control_events)
        if given is not None:
            wanted -= controls / given
        if wanted <= 0:
            least = math.ceil(controls / error**2)
            raise ValueError(
                f"expected more than {least} control shots for an error of {error:g}, found "
                f"{control_events}"
            )
        needed = sample / wanted
    if needed > _MOST_EVENTS:
        raise ValueError(f"expected an error that can be reached, found {error:g}")
    return max(1, math.ceil(needed))


def plan(
    model: LossModel,
    probabilities: ArrayLike,
    *,
    events: int | Iterable[int],
    control_events: int | Iterable[int | None] | None = None,
    exposure: float | Iterable[float] | None = None,
    rate_factor: float | Iterable[float] = 1.0,
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    bins: int = 1,
) -> pd.DataFrame:
    """Return the predicted errors over a grid of shots, control shots, exposures and rates.

    Parameters
    ----------
    model, probabilities, control_shares, single_atom_loss, bins
        As in `predicted_errors`.
    events, control_events, exposure, rate_factor : number or several
        Shots of the sample; shots of the controls, with None for known rates; exposures (s), by
        default the model's; factors on all rates, such as of a better objective, which leave the
        losses as they are.

    Returns
    -------
    pandas.DataFrame
        A row for each combination, the last of exposure, rate_factor, control_events and events
        running fastest. Columns: these four; `error_0`, `error_1`, ... of each proportion;
        `mean_error`, their root mean square. A `control_events` that is not a number stands for
        known rates.
    """
    import pandas as pd

    rows = []
    exposures = [model.exposure] if exposure is None else _several(exposure)
    numbers = [checked_events(number) for number in _several(events)]
    controls = [_checked_controls(number) for number in _several(control_events)]
    for time, factor in itertools.product(exposures, _several(rate_factor)):
        rates = tuple(factor * rate for rate in model.rates)
        known = precision(
            replace(model, rates=rates, exposure=time),
            probabilities,
            control_shares=control_shares,
            single_atom_loss=single_atom_loss,
            bins=bins,
        )
        for number_of_controls, number in itertools.product(controls, numbers):
            errors = known.errors(number, number_of_controls)
            rows.append(
                {
                    "exposure": time,
                    "rate_factor": factor,
                    "control_events": (
                        math.nan if number_of_controls is None else number_of_controls
                    ),
                    "events": number,
                    **{f"error_{i}": error for i, error in enumerate(errors)},
                    "mean_error": mean_error(errors),
                }
            )
    table = pd.DataFrame(rows)
    table.attrs["units"] = {"exposure": "s"}
    return table


def _several(values: _T | Iterable[_T]) -> list[_T]:
    return list(values) if isinstance(values, Iterable) else [values]


def _checked_controls(control_events: int | None) -> int | None:
    return None if control_events is None else checked_events(control_events, "control_events")
