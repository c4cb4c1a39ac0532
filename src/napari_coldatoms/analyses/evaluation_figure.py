"""Errors of a detector's parameters as a figure, like Fig. 7 of Hofer et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.evaluate_errors import Reference
from napari_coldatoms.clouds.gaussian import PARAMETERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_coldatoms.clouds.evaluate import Evaluation

# Okabe and Ito: they differ for the colour-blind, too
_COLOURS = ("#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7")
_NAMES = dict(
    zip(
        PARAMETERS,
        ("$x_0$", "$y_0$", "$w_x$", "$w_y$", r"$\theta$ (rad)", "$I_0$", "$I_b$"),
        strict=True,
    )
)
_BINS = 24
# the panels reach as far as this part of the errors of the widest source, at least
_SHOWN = 0.9
_LEAST_REACH = 0.01


def plot_evaluation(
    evaluation: Evaluation, *, reference: Reference = "fit", subset: str = "all"
) -> Figure:
    """Draw histograms of the errors of each parameter, and their root mean squares.

    Parameters
    ----------
    evaluation : Evaluation
        From `napari_coldatoms.clouds.evaluate.evaluate`.
    reference : {"fit", "truth"}
        What the parameters are compared with.
    subset : str
        One of `napari_coldatoms.clouds.evaluate_errors.SUBSETS`.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by its `savefig`. Errors beyond a panel are counted at its edges.
    """
    from matplotlib.figure import Figure

    errors: dict[str, list[tuple[float, ...]]] = {}
    for error in evaluation.errors:
        if error.reference == reference and subset in error.subsets:
            errors.setdefault(error.source, []).append(error.values)
    values = {source: np.array(rows) for source, rows in errors.items()}
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots(2, 4)
    for number, (axis, name) in enumerate(zip(axes.flat, PARAMETERS, strict=False)):
        _histograms(axis, [rows[:, number] for rows in values.values()])
        axis.set_xlabel(f"error of {_NAMES[name]}")
    axes[0, 0].set_ylabel("clouds")
    axes[1, 0].set_ylabel("clouds")
    last = axes[1, 3]
    _bars(last, values)
    against = "the 2-D fit" if reference == "fit" else "the truth"
    title = (
        f"{evaluation.detector}, {evaluation.frames_name}: {evaluation.found} of "
        f"{evaluation.clouds} clouds found; errors against {against}"
    )
    figure.suptitle(title if subset == "all" else f"{title}, {subset}", fontsize="medium")
    if values:
        handles, labels = last.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _histograms(axis: Axes, columns: Sequence[NDArray[np.float64]]) -> None:
    known = [column[np.isfinite(column)] for column in columns]
    wide = [float(np.quantile(np.abs(column), _SHOWN)) for column in known if column.size]
    reach = max([_LEAST_REACH, *wide])
    edges = np.linspace(-reach, reach, _BINS + 1)
    for column, colour in zip(known, _COLOURS, strict=False):
        axis.hist(
            np.clip(column, -reach, reach),
            edges.tolist(),
            histtype="step",
            color=colour,
            linewidth=1.4,
        )
    axis.set_xlim(-reach, reach)


def _bars(axis: Axes, values: dict[str, NDArray[np.float64]]) -> None:
    width = 0.8 / max(len(values), 1)
    places = np.arange(len(PARAMETERS))
    for number, (source, rows) in enumerate(values.items()):
        heights = [_rmse(column) for column in rows.T]
        colour = _COLOURS[number % len(_COLOURS)]
        axis.bar(places + number * width, heights, width, label=source, color=colour)
    axis.set_xticks(places + 0.4 - width / 2, [_NAMES[name].split()[0] for name in PARAMETERS])
    if values:
        axis.set_yscale("log")
    axis.set_ylabel("RMSE")


def _rmse(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    # a bar of no height has no place on the logarithmic scale
    return max(float(np.sqrt(np.mean(known**2))), 1e-4) if known.size else float("nan")
