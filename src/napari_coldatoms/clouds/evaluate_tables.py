"""Tables of an evaluation: errors of parameters, and fits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.evaluate_errors import SUBSETS, CloudError
from napari_coldatoms.clouds.evaluate_fits import KINDS, UNSEEDED, FitTrial
from napari_coldatoms.clouds.gaussian import PARAMETERS

if TYPE_CHECKING:
    from pandas import DataFrame

ONE_CLOUD, ALL = "one cloud", "all"
"""Frames of which fits are told: those of one cloud on which all kinds of fits ran, and all."""

ERROR_COLUMNS = (
    *("reference", "subset", "source", "parameter"),
    *("clouds", "without", "rmse", "median", "bias"),
)
FIT_COLUMNS = (
    *("frames", "kind", "fits", "converged", "converged_where_possible", "correct"),
    *("median_seconds", "total_seconds"),
)


def errors_table(errors: Sequence[CloudError]) -> DataFrame:
    """Return the errors of each parameter, by reference, subset of the clouds, and source.

    Returns
    -------
    DataFrame
        Columns reference, subset, source, parameter; clouds (with an error), without (clouds of
        which the source gives no ellipse); rmse, median (of the absolute errors), bias (median of
        the errors). See `parameter_errors` for the units.
    """
    import pandas as pd

    groups: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for error in errors:
        for subset in error.subsets:
            groups.setdefault((error.reference, subset, error.source), []).append(error.values)
    references = list(dict.fromkeys(error.reference for error in errors))
    sources = list(dict.fromkeys(error.source for error in errors))
    rows = []
    for key in ((r, subset, s) for r in references for subset in SUBSETS for s in sources):
        if key not in groups:
            continue
        values = np.array(groups[key])
        without = int(np.isnan(values).all(axis=1).sum())
        for parameter, column in zip(PARAMETERS, values.T, strict=True):
            rows.append((*key, parameter, *_spread(column, without)))
    return pd.DataFrame(rows, columns=list(ERROR_COLUMNS))


def _spread(values: NDArray[np.float64], without: int) -> tuple[int, int, float, float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return 0, without, math.nan, math.nan, math.nan
    rmse = math.sqrt(float(np.mean(known**2)))
    return known.size, without, rmse, float(np.median(np.abs(known))), float(np.median(known))


def fits_table(fits: Sequence[FitTrial]) -> DataFrame:
    """Return how many fits converge, how many are right, and how long they take.

    Returns
    -------
    DataFrame
        Columns frames (`ONE_CLOUD`, where all kinds of fits ran on the same clouds, or `ALL`),
        kind, fits, converged (share, 0 to 1), converged_where_possible and correct (of the clouds
        at which the fit from the truth succeeds), median_seconds and total_seconds.
    """
    import pandas as pd

    compared = {(fit.frame, fit.cloud) for fit in fits if fit.kind == UNSEEDED}
    rows = []
    for frames in (ONE_CLOUD, ALL):
        for kind in KINDS:
            chosen = [
                fit
                for fit in fits
                if fit.kind == kind and (frames == ALL or (fit.frame, fit.cloud) in compared)
            ]
            # fits that ran on some frames only say nothing about all
            if not chosen or (frames == ALL and all(fit.alone for fit in chosen)):
                continue
            seconds = np.array([fit.seconds for fit in chosen])
            rows.append(
                (
                    frames,
                    kind,
                    len(chosen),
                    float(np.mean([fit.converged for fit in chosen])),
                    _share([fit.converged for fit in chosen if fit.correct is not None]),
                    _share([fit.correct for fit in chosen if fit.correct is not None]),
                    float(np.median(seconds)),
                    float(seconds.sum()),
                )
            )
    return pd.DataFrame(rows, columns=list(FIT_COLUMNS))


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if values else math.nan


def errors_text(table: DataFrame) -> str:
    """Return the table of errors for a person: rmse (median) of each parameter."""
    lines = []
    for reference, rows in table.groupby("reference", sort=False):
        against = "the 2-D fit" if reference == "fit" else "the truth"
        lines += [f"RMSE (median) of the parameters against {against}", ""]
        cells = rows.assign(
            cell=[
                f"{rmse:.3f} ({median:.3f})" if math.isfinite(rmse) else "-"
                for rmse, median in zip(rows["rmse"], rows["median"], strict=True)
            ]
        )
        keys = ["subset", "source"]
        wide = cells.pivot_table(
            index=keys, columns="parameter", values="cell", aggfunc="first", sort=False
        )
        counts = rows.groupby(keys, sort=False)["clouds"].max()
        wide.insert(0, "clouds", counts)
        lines += [wide.reset_index().to_string(index=False), ""]
    return "\n".join(lines)


def fits_text(table: DataFrame) -> str:
    """Return the table of fits for a person, times in milliseconds."""
    if table.empty:
        return ""
    short = table.assign(
        converged=_percent(table["converged"]),
        possible=_percent(table["converged_where_possible"]),
        correct=_percent(table["correct"]),
        median=[_milliseconds(value) for value in table["median_seconds"]],
        total=[_milliseconds(value) for value in table["total_seconds"]],
    )
    columns = ["frames", "kind", "fits", "converged", "possible", "correct", "median", "total"]
    head = "Fits (times in ms; possible: converged of those that converge from the truth)\n\n"
    return head + short[columns].to_string(index=False) + "\n"


def _percent(shares: Iterable[float]) -> list[str]:
    return ["-" if math.isnan(share) else f"{100 * share:.1f} %" for share in shares]


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1000 * seconds:.3g}"
