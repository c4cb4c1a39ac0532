"""Counted atoms as a figure: the sample with its fit and components, the controls with theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_setting import atoms
from napari_coldatoms.photons.goodness import p_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_coldatoms.analyses.count_result import CountResult

FloatArray = NDArray[np.float64]

# Okabe and Ito: they differ for the colour-blind, too
_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442")
_BARS, _LINE = "#b8b8b8", "#000000"
_LEAST_EXPECTED = 1.0  # shots; residuals of fewer have no standard deviation to speak of


def plot_counts(result: CountResult) -> Figure:
    """Draw what was counted.

    Left the sample: how often each number of counts occurred, the fit, and its part of each atom
    number; below it the residuals in standard deviations. Right the controls with what was fitted
    to them; dashed the part of the shots that had lost atoms before the exposure.

    Parameters
    ----------
    result : CountResult

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by its `savefig`.
    """
    from matplotlib.figure import Figure

    controls = result.known.histograms
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    grid = figure.add_gridspec(4 * len(controls), 2, width_ratios=(1.6, 1))
    split = 3 * len(controls)
    upper = figure.add_subplot(grid[:split, 0])
    lower = figure.add_subplot(grid[split:, 0], sharex=upper)
    _draw_sample(upper, result)
    _draw_residuals(lower, result)
    first: Axes | None = None
    for number in range(len(controls)):
        axis = figure.add_subplot(grid[4 * number : 4 * number + 4, 1], sharex=first)
        first = first or axis
        _draw_control(axis, result, number)
        last = number == len(controls) - 1
        axis.tick_params(labelbottom=last)
        axis.set_xlabel("counts" if last else "")
    return figure


def _draw_sample(axis: Axes, result: CountResult) -> None:
    sample, fit = result.sample, result.fit
    n = np.arange(len(fit.expected))
    _bars(axis, sample.padded(max(sample.max_count, len(n) - 1))[: len(n)], "sample")
    # counts that share a bin are expected alike
    step: Literal["mid"] | None = None if fit.bins is None else "mid"
    shots = sample.total - len(fit.dropped_counts)
    table = result.table()
    for number, (share, low, high) in enumerate(
        zip(table.probability, table.low, table.high, strict=True)
    ):
        part = np.maximum(shots * share * fit.components[number], 0.0)
        label = f"{atoms(number)}: {100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        colour = _colour(number)
        axis.fill_between(n, part, color=colour, alpha=0.55, linewidth=0, label=label, step=step)
    style = "default" if step is None else "steps-mid"
    axis.plot(n, fit.expected, color=_LINE, linewidth=1.2, label="fit", drawstyle=style)
    axis.set_ylabel("shots")
    axis.set_xlim(-0.5, sample.max_count + 0.5)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelbottom=False)
    axis.legend(fontsize="small", frameon=False)
    axis.set_title(_told(result), fontsize="small", loc="left")


def _told(result: CountResult) -> str:
    test = result.fit.goodness
    text = f"{result.sample.total} shots, intervals of {100 * result.intervals.level:.3g} %"
    if test.dof > 0:
        text += f", χ²/dof = {test.chi2:.3g}/{test.dof}, {p_words(test.p_value, 2)}"
    return text


def _draw_residuals(axis: Axes, result: CountResult) -> None:
    expected = result.fit.expected
    found = result.sample.padded(max(result.sample.max_count, len(expected) - 1))[: len(expected)]
    first = np.arange(len(expected)) if result.fit.bins is None else result.fit.bins
    first = first[first < len(expected)]
    middle = (first + np.append(first[1:], len(expected)) - 1) / 2
    found, expected = np.add.reduceat(found, first), np.add.reduceat(expected, first)
    enough = expected >= _LEAST_EXPECTED
    residuals = (found[enough] - expected[enough]) / np.sqrt(expected[enough])
    axis.axhspan(-1, 1, color=_BARS, alpha=0.4, linewidth=0)
    axis.axhline(0, color=_LINE, linewidth=0.8)
    axis.plot(middle[enough], residuals, ".", color=_COLOURS[4], markersize=4)
    axis.set_ylabel("residuals (σ)")
    axis.set_xlabel("counts")


def _draw_control(axis: Axes, result: CountResult, number: int) -> None:
    known = result.known
    control = known.histograms[number]
    largest = max(h.max_count for h in known.histograms)
    expected = control.total * known.expected(number, largest)
    stayed = (1 - known.single_atom_loss) ** number
    lost = expected - control.total * stayed * known.model.distribution(largest)[number]
    n = np.arange(largest + 1)
    _bars(axis, control.padded(largest), None)
    axis.plot(n, expected, color=_colour(number), linewidth=1.4)
    if number and known.single_atom_loss > 0:
        axis.plot(n, np.maximum(lost, 0.0), "--", color=_LINE, linewidth=0.9)
    axis.set_ylim(bottom=0)
    axis.set_xlim(-0.5, largest + 0.5)
    axis.set_ylabel("shots")
    words = f"{atoms(number)}, {control.total} shots"
    axis.text(0.98, 0.92, words, transform=axis.transAxes, ha="right", va="top", fontsize="small")


def _bars(axis: Axes, occurrences: NDArray[Any], label: str | None) -> None:
    """Draw a histogram as one outline, which is quick for thousands of bins, too."""
    edges = np.arange(len(occurrences) + 1) - 0.5
    axis.stairs(occurrences, edges, fill=True, color=_BARS, label=label)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
