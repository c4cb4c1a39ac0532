"""The predicted error over the exposure."""

from __future__ import annotations

import math

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt

from napari_coldatoms.widgets.planning import ErrorByExposure
from napari_coldatoms.widgets.plots import ThemedPlot

HEIGHT = 160
"""px, at least."""

_HIGH = 3.0  # errors that are shown, relative to the best one


class ExposurePlot(ThemedPlot):
    """The predicted error over the exposure, with the present exposure and the best one.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self._curve: ErrorByExposure | None = None
        self._scale = 1.0
        self._item = self.add_axes()
        self._item.setMouseEnabled(x=False, y=False)
        self._line = pg.PlotCurveItem(antialias=True)
        self._now = pg.InfiniteLine(angle=90)
        self._best = pg.ScatterPlotItem(pxMode=True, size=9, pen=None)
        for item in (self._now, self._line, self._best):
            self._item.addItem(item, ignoreBounds=True)
        self.set_theme(theme_id)

    def show_curve(self, curve: ErrorByExposure | None, scale: float) -> None:
        """Show errors times a number."""
        self._curve, self._scale = curve, scale
        self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
        curve, colors = self._curve, self.colors
        self.set_labels(self._item, left="error (%)", bottom="exposure (ms)")
        self.set_empty(self._item, curve is None)
        self._now.setVisible(curve is not None)
        if curve is None:
            self._line.setData([], [])
            self._best.setData([], [])
            return
        percent = 100 * self._scale
        x = np.log10(1e3 * curve.exposures)
        self._line.setData(x, percent * curve.errors, pen=pg.mkPen(colors.data, width=2))
        self._now.setValue(math.log10(1e3 * curve.exposure))
        self._now.setPen(pg.mkPen(colors.text, width=1, style=Qt.PenStyle.DashLine))
        best = math.log10(1e3 * curve.best_exposure)
        self._best.setData([best], [percent * curve.best_error], brush=pg.mkBrush(colors.model))
        self._item.getAxis("bottom").setTicks([ticks(float(x[0]), float(x[-1]))])
        self._item.setXRange(float(x[0]), float(x[-1]), padding=0.02)
        high = max(_HIGH * curve.best_error, 1.1 * curve.error)
        self._item.setYRange(0, percent * min(high, 1.05 * curve.errors.max()), padding=0)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, HEIGHT)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return ticks at 1, 2, 5, 10, ... between two logarithms."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    places = [math.log10(step) + power for power in decades for step in (1, 2, 5)]
    return [(x, f"{10**x:.3g}") for x in places if low <= x <= high]
