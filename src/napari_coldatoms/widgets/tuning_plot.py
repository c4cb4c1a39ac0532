"""The value of each trial of a tuning, and the best one so far."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize

from napari_coldatoms.widgets.stacked_plot import StackedPlot
from napari_coldatoms.widgets.tuning_course import TuningCourse

_HEIGHT = 120
_MARGIN = 0.1
# above and below equal values
_LEAST = 0.01
_TOOLTIP = (
    "Dots: mAP (0 to 1) of each trial, the mean of those of boxes and masks. Line: the best so "
    "far.\nDragging moves, Ctrl+wheel zooms, a double click shows all."
)


class TuningPlot(StackedPlot):
    """The values of trials.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.setObjectName("tuning_plot")
        self.setToolTip(_TOOLTIP)
        self.setMinimumHeight(_HEIGHT)
        self.course = TuningCourse()
        (self._axes,) = self.set_rows([1])
        self._best = pg.PlotCurveItem()
        self._dots = pg.ScatterPlotItem(pxMode=True)
        for item in (self._best, self._dots):
            self._axes.addItem(item, ignoreBounds=True)
        self._reach = 0
        self.set_theme(theme_id)

    def show_course(self, course: TuningCourse) -> None:
        """Show the trials that are done; nothing before there are any."""
        self.course = course
        self.setVisible(any(each.value is not None for each in course.trials))
        self.draw()
        reach = max(course.wanted, len(course.trials))
        if reach != self._reach:
            self._reach = reach
            self.set_limits(0.5, reach + 0.5)
            self.show_all()

    def draw(self) -> None:
        """Draw everything anew."""
        colors = self.colors
        done = [each for each in self.course.trials if each.value is not None]
        numbers = np.array([each.number + 1 for each in done], dtype=np.float64)
        values = np.array([each.value for each in done], dtype=np.float64)
        self.set_labels(self._axes, left="mAP", bottom="trial")
        self._dots.setData(numbers, values, size=6, pen=None, brush=colors.data)
        # a step at each trial, up to the last one
        best = np.maximum.accumulate(values) if len(values) else values
        self._best.setData(
            np.repeat(numbers, 2)[1:], np.repeat(best, 2)[:-1], pen=pg.mkPen(colors.model, width=2)
        )
        if len(values):
            low, high = float(values.min()), float(values.max())
            self._axes.setYRange(low, max(high, low + _LEAST), padding=_MARGIN)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, _HEIGHT)
