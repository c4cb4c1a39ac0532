"""The histogram of a sample with its fit and residuals: what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt

from napari_coldatoms.photons.fit import AtomNumberFit
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.widgets.count_bars import CountBars, count_bars, outline
from napari_coldatoms.widgets.plots import scaled, shade
from napari_coldatoms.widgets.stacked_plot import StackedPlot

_HEADROOM = 1.18
_DATA, _PART, _BAND = 70, 95, 28  # opacity of bars, atom numbers, the band of ±2 (of 255)
_VEIL = 170  # ... and of what is behind the numbers at the peaks
_LEAST_LABELLED = 0.01  # of the shots, for the atom number to be written at its peak
_RESIDUALS = 3.5  # standard deviations that are always shown
_MOST_RESIDUAL = 12.0  # ... and that are shown at most
HEIGHT = 250
"""px, at least."""


class SampleHistogram(StackedPlot):
    """Bars, atom numbers and their sum; below, what the fit leaves.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.bars: CountBars | None = None
        self._cuts: tuple[int, ...] = ()
        self._log = False
        self._parts: list[Any] = []
        self._labels: list[Any] = []
        self._lines: list[Any] = []
        self._main, self._rest = self.set_rows([3, 1])
        self._data = pg.PlotCurveItem()
        self._sum = pg.PlotCurveItem(antialias=True)
        self._sum.setZValue(5)
        self._band = pg.LinearRegionItem((-2, 2), orientation="horizontal", movable=False)
        self._band.setZValue(-10)
        self._zero = pg.InfiniteLine(0, angle=0)
        self._residuals = pg.PlotCurveItem()
        for item in (self._data, self._sum):
            self._main.addItem(item, ignoreBounds=True)
        for item in (self._band, self._zero, self._residuals):
            self._rest.addItem(item, ignoreBounds=True)
        self._rest.getAxis("left").setStyle(maxTickLevel=0)
        self.set_theme(theme_id)

    def show_sample(
        self, histogram: Histogram | None, fit: AtomNumberFit | None, cuts: tuple[int, ...]
    ) -> None:
        """Show a sample; see `SamplePlot.show_sample`."""
        before = self.bars
        self.bars = None if histogram is None else count_bars(histogram, fit)
        self._cuts = cuts
        self.draw()
        now = self.bars
        if now is None:
            return
        if before is None or not np.array_equal(before.edges, now.edges):
            self.set_limits(float(now.edges[0]), float(now.edges[-1]))
            self.show_all()

    def set_log(self, log: bool) -> None:
        """Show the numbers of shots on a logarithmic axis, or not."""
        self._log = log
        self._main.getAxis("left").setLogMode(x=False, y=log)
        self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
        bars, colors = self.bars, self.colors
        fitted = bars is not None and bars.components is not None
        below, title = ("σ", "photon counts of a shot") if bars is not None else ("", "")
        self.set_labels(self._main, left="shots" if bars else "", bottom=title)
        self.set_labels(self._rest, left=below, bottom=title)
        self.set_empty(self._main, bars is None)
        self.show_lower(fitted)
        self._draw_bars()
        self._draw_parts()
        self._draw_residuals()
        self._draw_cuts()
        self._band.setBrush(shade(colors.text, _BAND))
        for edge in self._band.lines:
            edge.setPen(pg.mkPen(None))
        self._zero.setPen(pg.mkPen(colors.text, width=1))

    def _draw_bars(self) -> None:
        bars, colors = self.bars, self.colors
        if bars is None:
            self._data.setData([], [])
            self._sum.setData([], [])
            return
        floor = scaled(np.zeros(1), log=self._log)[0]
        self._data.setData(
            *outline(bars.edges, scaled(bars.shots, log=self._log)),
            fillLevel=floor,
            brush=shade(colors.text, _DATA),
            pen=pg.mkPen(colors.axis, width=1),
        )
        top = max(bars.shots.max(), 3.0)
        if bars.expected is None:
            self._sum.setData([], [])
        else:
            top = max(top, bars.expected.max())
            self._sum.setData(
                *bars.curve(scaled(bars.expected, log=self._log)),
                pen=pg.mkPen(colors.text, width=2),
            )
        high = scaled(np.array([top]), log=self._log)[0]
        self._main.setYRange(floor, floor + _HEADROOM * (high - floor), padding=0)

    def _draw_parts(self) -> None:
        bars, colors = self.bars, self.colors
        components = None if bars is None else bars.components
        number = 0 if components is None else len(components)
        while len(self._parts) < number:
            self._parts.append(pg.PlotCurveItem(antialias=True))
            self._labels.append(pg.TextItem(anchor=(0.5, 1.0)))
            self._labels[-1].setZValue(6)
            self._main.addItem(self._parts[-1], ignoreBounds=True)
            self._main.addItem(self._labels[-1], ignoreBounds=True)
        for part, label in zip(self._parts[number:], self._labels[number:], strict=True):
            part.setData([], [])
            label.setVisible(False)
        if bars is None or components is None:
            return
        floor = scaled(np.zeros(1), log=self._log)[0]
        for atoms, shots in enumerate(components):
            color = colors.of_atoms(atoms)
            height = scaled(shots, log=self._log)
            self._parts[atoms].setData(
                *bars.curve(height),
                fillLevel=floor,
                brush=shade(color, _PART),
                pen=pg.mkPen(color, width=1.5),
            )
            peak = int(np.argmax(shots))
            label = self._labels[atoms]
            label.setVisible(bool(shots.sum() > _LEAST_LABELLED * bars.shots.sum()))
            label.setText(str(atoms), color=color)
            label.fill = shade(colors.background, _VEIL)
            label.setPos(bars.middle[peak], height[peak])

    def _draw_residuals(self) -> None:
        bars, colors = self.bars, self.colors
        if bars is None or not len(bars.residuals):
            self._residuals.setData([], [])
            reach = _RESIDUALS
        else:
            most = float(np.abs(bars.residuals).max())
            reach = min(max(_RESIDUALS, 1.1 * most), _MOST_RESIDUAL)
            self._residuals.setData(
                *outline(bars.residual_edges, np.clip(bars.residuals, -reach, reach)),
                fillLevel=0.0,
                brush=shade(colors.data, 150),
                pen=pg.mkPen(colors.data, width=1),
            )
        self._rest.setYRange(-reach, reach, padding=0)

    def _draw_cuts(self) -> None:
        for line in self._lines:
            self._main.removeItem(line)
        self._lines = []
        if self.bars is None:
            return
        for cut in self._cuts:
            line = pg.InfiniteLine(cut - 0.5, angle=90)
            line.setPen(pg.mkPen(self.colors.text, width=1, style=Qt.PenStyle.DashLine))
            self._main.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, HEIGHT)
