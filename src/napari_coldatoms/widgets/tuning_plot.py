"""The value of each trial of a tuning, and the best one so far."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize

from napari_coldatoms.widgets.plots import FloatArray
from napari_coldatoms.widgets.stacked_plot import StackedPlot
from napari_coldatoms.widgets.tuning_course import TuningCourse

_HEIGHT = 150
_MARGIN = 0.1
# a narrower range would need numbers of more digits than there is room for
_LEAST = 0.1
# with more trials than these, ticks are at whole numbers anyway
_FEW = 10
_QUARTER = 0.25
_TOOLTIP = (
    "Dots: mAP (0 to 1) of each trial, the mean of those of boxes and masks; triangles: of trials "
    "that are far lower. Line: the best so far.\n"
    "Dragging moves, Ctrl+wheel zooms, a double click shows all."
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
            ticks = (1, 1) if reach <= _FEW else (None, None)
            self._axes.getAxis("bottom").setTickSpacing(*ticks)
            self.set_limits(0.5, reach + 0.5)
            self.show_all()

    def draw(self) -> None:
        """Draw everything anew."""
        colors = self.colors
        done = [each for each in self.course.trials if each.value is not None]
        numbers = np.array([each.number + 1 for each in done], dtype=np.float64)
        values = np.array([each.value for each in done], dtype=np.float64)
        self.set_labels(self._axes, left="mAP", bottom="trial")
        low, high = _range(values)
        shown = np.maximum(values, low)
        self._dots.setData(
            numbers, shown, symbol=np.where(values < low, "t", "o").tolist(), size=7, pen=None,
            brush=colors.data,
        )  # fmt: skip
        # a step at each trial, up to the last one
        best = np.maximum.accumulate(shown) if len(shown) else shown
        self._best.setData(
            np.repeat(numbers, 2)[1:], np.repeat(best, 2)[:-1], pen=pg.mkPen(colors.model, width=2)
        )
        self._axes.setYRange(low, high, padding=_MARGIN)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, _HEIGHT)


def _range(values: FloatArray) -> tuple[float, float]:
    """Return from where to where values are shown: some far-off ones must not take most of it."""
    if not len(values):
        return 0.0, 1.0
    high = float(values.max())
    quarter = float(np.quantile(values, _QUARTER))
    low = max(float(values.min()), quarter - (high - quarter))
    return min(low, high - _LEAST), high
