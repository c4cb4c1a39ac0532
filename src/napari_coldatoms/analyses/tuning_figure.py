"""A tuning as a figure, like Fig. 5 of Hofer et al. 2021: slices, and the best value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_coldatoms.clouds.surrogate import LEAST_TRIALS, Slice, surrogate_slices
from napari_coldatoms.clouds.tuning import Trial, Tuning

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_NAMES = {
    "learning_rate": "learning rate",
    "momentum": "momentum",
    "decay_epochs": "epochs between changes",
    "decay": "factor of a change",
}
# Okabe and Ito: they differ for the colour-blind, too
_MODEL, _BEST = "#d55e00", "#f0e442"
_COLOURS = "viridis"
# sizes of the first and the latest trial chosen by the model, in points squared
_SMALLEST, _LARGEST = 8.0, 60.0
# colours begin at this quantile of the values
_SHOWN = 0.25
_LEAST = 1e-6
_PANELS = ("abcg", "defg")


def plot_tuning(tuning: Tuning, *, value: str = "value", points: int = 41) -> Figure:
    """Draw slices of a surrogate through the best trial, and the best value against the trial.

    Squares are points of Sobol's sequence, dots were chosen by the model and grow with the trial,
    the star is the best one. All of them are drawn in every slice, wherever they lie across it.

    Parameters
    ----------
    tuning : Tuning
        From `napari_coldatoms.clouds.tune.tune` or ``read_tuning``.
    value : str
        What the value is, such as ``"mAP"``.
    points : int
        Along each side of a slice.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by its `savefig`. Slices are empty before five trials are done.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 6.4), layout="constrained")
    axes = figure.subplot_mosaic([list(row) for row in _PANELS], width_ratios=(1, 1, 1, 1.2))
    panels = [axes[letter] for letter in "abcdef"]
    if len(tuning.done) >= LEAST_TRIALS:
        slices = surrogate_slices(tuning, points=points)
        # some far-off trials must not take most of the colours
        values = [each.value for each in tuning.done if each.value is not None]
        lowest = max(float(np.quantile(values, _SHOWN)), min(each.mean.min() for each in slices))
        highest = max(float(each.mean.max()) for each in slices)
        # where all values are the same, there is one colour
        norm = Normalize(lowest, max(highest, lowest + _LEAST))
        for axis, each in zip(panels, slices, strict=True):
            _slice(axis, each, tuning, norm)
        scale = ScalarMappable(norm, _COLOURS)
        figure.colorbar(
            scale, ax=panels, label=f"expected {value}", shrink=0.8, aspect=40, extend="min"
        )
    else:
        for axis in panels:
            axis.set_axis_off()
        axes["b"].set_title(f"slices: after {LEAST_TRIALS} trials", fontsize="medium")
    _course(axes["g"], tuning, value)
    for letter, axis in axes.items():
        axis.set_title(f"({letter})", loc="left", fontsize="medium")
    return figure


def _slice(axis: Axes, own: Slice, tuning: Tuning, norm: Normalize) -> None:
    from matplotlib.ticker import MaxNLocator

    ranges = tuning.space.ranges
    axis.pcolormesh(
        own.x_values, own.y_values, own.mean, shading="nearest", cmap=_COLOURS, norm=norm
    )
    for name, scaled, ticks in (
        (own.x, axis.set_xscale, axis.xaxis),
        (own.y, axis.set_yscale, axis.yaxis),
    ):
        if ranges[name].log:
            scaled("log")
        elif ranges[name].whole:
            ticks.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel=_NAMES[own.x], ylabel=_NAMES[own.y])
    sobol = [each for each in tuning.done if each.source == "sobol"]
    model = [each for each in tuning.done if each.source == "model"]
    axis.scatter(*_places(own, sobol), marker="s", s=24, color="black", zorder=4, clip_on=False)
    sizes = np.linspace(_SMALLEST, _LARGEST, len(model))
    axis.scatter(
        *_places(own, model), s=sizes, color=_MODEL, edgecolor="white", linewidth=0.5, zorder=5,
        clip_on=False,
    )  # fmt: skip
    if tuning.best is not None:
        x, y = _places(own, [tuning.best])
        axis.scatter(
            x, y, marker="*", s=220, color=_BEST, edgecolor="black", zorder=6, clip_on=False
        )


def _places(own: Slice, trials: list[Trial]) -> tuple[list[float], list[float]]:
    return (
        [getattr(each.hyperparameters, own.x) for each in trials],
        [getattr(each.hyperparameters, own.y) for each in trials],
    )


def _course(axis: Axes, tuning: Tuning, value: str) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [each.number + 1 for each in tuning.done]
    values = [each.value for each in tuning.done if each.value is not None]
    sobol = sum(each.source == "sobol" for each in tuning.trials)
    if sobol:
        axis.axvspan(0.5, sobol + 0.5, color="0.88", zorder=0, label="Sobol's sequence")
    axis.plot(numbers, values, ".", color="0.45", label="each trial")
    if values:
        best = np.maximum.accumulate(values).tolist()
        axis.step(numbers, best, where="post", color=_MODEL, linewidth=1.6, label="best so far")
        axis.legend(loc="lower right", fontsize="small")
    axis.set(xlabel="trial", ylabel=value, xlim=(0.5, max([len(tuning.trials), 2]) + 0.5))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    # on the left there is the scale of the slices
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
