"""Counts in the order of their shots: single ones, and means of consecutive shots with limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyqtgraph as pg
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.captioned_plot import CaptionedPlot
from napari_coldatoms.widgets.controls import text_label
from napari_coldatoms.widgets.count_bars import outline
from napari_coldatoms.widgets.plots import colored, shade
from napari_coldatoms.widgets.stacked_plot import StackedPlot

FloatArray = NDArray[np.float64]

_MOST = 2000  # shots that are drawn
_SHADE, _DOTS = 40, 130  # opacity of the limits, and of single shots (of 255)
_HEIGHT = 230
_MARGIN = 0.15
_TOOLTIP = (
    "Above: counts of single shots in the order they were taken. Below: means of consecutive "
    "shots; few of them should lie outside the shaded limits, which are 3 standard errors around "
    "the mean of all.\nDragging moves, Ctrl+wheel zooms, a double click shows all."
)


class RunChart(CaptionedPlot):
    """Counts shot by shot, and the means of groups of shots.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    plot: _Run

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        readout = text_label(
            "count_run_readout",
            "legend; with the pointer over the plot: the mean of these shots",
            lines=2,
        )
        super().__init__(
            _Run(theme_id),
            readout,
            names=("count_run", "count_run_plot"),
            tooltip=_TOOLTIP,
            parent=parent,
        )
        self.readout = readout
        self.plot.setMinimumHeight(_HEIGHT)
        self.tell()

    def show_run(self, counts: ArrayLike | None, groups: pd.DataFrame | None = None) -> None:
        """Show counts.

        Parameters
        ----------
        counts : (shots,) array or None
            In the order they were taken; None where that is not known.
        groups : pandas.DataFrame, optional
            As from `photons.CountChecks.run_chart`.
        """
        values = np.empty(0) if counts is None else np.asarray(counts, dtype=np.float64)
        self._hovered = None
        self.plot.show_run(values, groups)
        self.tell()

    def words_at(self, shot: int, /) -> str:
        """Return what is known of a shot, the first being 0, and of its neighbours."""
        values, groups = self.plot.values, self.plot.groups
        if not 0 <= shot < len(values):
            return ""
        words = f"shot <b>{shot}</b>: {values[shot]:.0f} counts"
        if groups is None or groups.empty:
            return words
        at = int(np.searchsorted(groups["first"].to_numpy(), shot, side="right")) - 1
        group = groups.iloc[at]
        last = group["first"] + group["shots"] - 1
        words += f"<br>shots {group['first']} to {last}: mean {group['mean']:.4g}"
        between = f"{group['low']:.4g} to {group['high']:.4g}"
        return f"{words}, {'outside' if group['outside'] else 'within'} {between}"

    def legend_words(self) -> str:
        """Return what is drawn, and how many means are outside the limits."""
        groups, shots = self.plot.groups, len(self.plot.values)
        if not shots:
            return "The order of the shots is not known."
        parts = []
        if shots > self.plot.drawn:
            parts.append(f"one of {-(-shots // _MOST)} shots is drawn")
        if groups is None or groups.empty:
            parts.append("no means of consecutive shots")
        else:
            outside = int(groups["outside"].sum())
            sign = colored(self.plot.colors.model)
            parts.append(f"{sign}&nbsp;{outside} of {len(groups)} means outside the limits")
        return "; ".join(parts)


class _Run(StackedPlot):
    """The plot itself."""

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.values: FloatArray = np.empty(0)
        self.groups: pd.DataFrame | None = None
        self.drawn = 0
        self._shots, self._means = self.set_rows([2, 3])
        self._dots = pg.ScatterPlotItem(pxMode=True)
        self._low, self._high = pg.PlotCurveItem(), pg.PlotCurveItem()
        self._limits_fill = pg.FillBetweenItem(self._low, self._high)
        self._middle = pg.InfiniteLine(angle=0)
        self._line = pg.PlotCurveItem(antialias=True)
        self._good, self._bad = pg.ScatterPlotItem(pxMode=True), pg.ScatterPlotItem(pxMode=True)
        self._shots.addItem(self._dots, ignoreBounds=True)
        for item in (
            self._limits_fill,
            self._low,
            self._high,
            self._middle,
            self._line,
            self._good,
            self._bad,
        ):
            self._means.addItem(item, ignoreBounds=True)
        self.set_theme(theme_id)

    def show_run(self, values: FloatArray, groups: pd.DataFrame | None) -> None:
        same = len(values) == len(self.values)
        self.values, self.groups = values, groups
        self.draw()
        if len(values) and not same:
            self.set_limits(-0.5, len(values) - 0.5)
            self.show_all()

    def draw(self) -> None:
        """Draw everything anew."""
        colors, values, groups = self.colors, self.values, self.groups
        shown = len(values) > 0
        known = groups is not None and not groups.empty
        title = "shot" if shown else ""
        self.set_labels(self._shots, left="counts" if shown else "", bottom=title)
        self.set_labels(self._means, left="mean", bottom=title)
        self.set_empty(self._shots, not shown)
        self.show_lower(known)
        step = max(1, -(-len(values) // _MOST))
        shots = np.arange(0, len(values), step)
        self.drawn = len(shots)
        self._dots.setData(
            shots,
            values[shots],
            size=2.5 if len(shots) > 300 else 4,
            pen=None,
            brush=shade(colors.data, _DOTS),
        )
        if shown:
            self._set_range(self._shots, 0.0 if values.min() >= 0 else values.min(), values.max())
        self._draw_groups(groups if known else None)

    def _draw_groups(self, groups: pd.DataFrame | None) -> None:
        colors = self.colors
        self._middle.setVisible(groups is not None)
        self._limits_fill.setVisible(groups is not None)
        for item in (self._low, self._high, self._line, self._good, self._bad):
            item.setData([], [])
        if groups is None:
            return
        first, shots, mean, low, high = (
            groups[name].to_numpy(np.float64) for name in ("first", "shots", "mean", "low", "high")
        )
        outside = groups["outside"].to_numpy(bool)
        edges = np.append(first, first[-1] + shots[-1]) - 0.5
        middle = (edges[1:] + edges[:-1]) / 2
        for curve, limit in ((self._low, low), (self._high, high)):
            curve.setData(*outline(edges, limit), pen=pg.mkPen(colors.axis, width=1))
        self._limits_fill.setBrush(shade(colors.text, _SHADE))
        self._middle.setValue(float((low[0] + high[0]) / 2))
        self._middle.setPen(pg.mkPen(colors.text, width=1, style=Qt.PenStyle.DashLine))
        self._line.setData(middle, mean, pen=pg.mkPen(colors.data, width=1))
        for dots, which, color, symbol in (
            (self._good, ~outside, colors.data, "o"),
            (self._bad, outside, colors.model, "s"),
        ):
            dots.setData(middle[which], mean[which], size=7, symbol=symbol, pen=None, brush=color)
        self._set_range(self._means, min(low.min(), mean.min()), max(high.max(), mean.max()))

    def _set_range(self, item: Any, low: float, high: float) -> None:
        margin = _MARGIN * (high - low) or 1.0
        item.setYRange(low - margin, high + margin, padding=0)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, _HEIGHT)
