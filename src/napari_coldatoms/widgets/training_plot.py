"""The course of a training: loss of each step above, precisions of each epoch below."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.captioned_plot import CaptionedPlot
from napari_coldatoms.widgets.controls import text_label
from napari_coldatoms.widgets.plots import faint, legend_entry
from napari_coldatoms.widgets.stacked_plot import StackedPlot
from napari_coldatoms.widgets.training_course import Course

_HEIGHT = 230
_FAINT = 90  # opacity of single steps (of 255)
_MARGIN = 0.08
_TOOLTIP = (
    "Above: loss of each step, and its moving average. Below: mean average precision (0 to 1) of "
    "boxes and masks on the validation pictures after each epoch.\n"
    "Dragging moves, Ctrl+wheel zooms, a double click shows all."
)


class TrainingPlot(CaptionedPlot):
    """The course of a training.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    plot: _Plot

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        legend = text_label("training_legend", "what the lines and dots are")
        super().__init__(
            _Plot(theme_id),
            legend,
            names=("training_plot", "training_curves"),
            tooltip=_TOOLTIP,
            parent=parent,
        )
        self.legend = legend
        self.plot.setMinimumHeight(_HEIGHT)
        self.tell()

    def show_course(self, course: Course) -> None:
        """Show a course as it is now."""
        self.plot.show_course(course)
        self.tell()

    def legend_words(self) -> str:
        """Return what the lines and dots are."""
        plot = self.plot
        parts = []
        if plot.course.losses or plot.course.epochs:
            parts.append(legend_entry(plot.colors.data, "loss", "▬"))
        if plot.judged:
            box, mask = plot.of_precisions
            parts += [legend_entry(box, "box mAP", "●"), legend_entry(mask, "mask mAP")]
        return " &nbsp; ".join(parts)


class _Plot(StackedPlot):
    """The plot itself."""

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.course = Course()
        self._upper, self._lower = self.set_rows([3, 3])
        self._steps = pg.PlotCurveItem(connect="finite")
        self._smooth = pg.PlotCurveItem(connect="finite", antialias=True)
        # of epochs before this session only the mean is known
        self._means = pg.ScatterPlotItem(pxMode=True)
        for item in (self._steps, self._smooth, self._means):
            self._upper.addItem(item, ignoreBounds=True)
        self._box = pg.PlotDataItem(antialias=True, symbol="o", symbolSize=7, symbolPen=None)
        self._mask = pg.PlotDataItem(antialias=True, symbol="s", symbolSize=7, symbolPen=None)
        for item in (self._box, self._mask):
            self._lower.addItem(item, ignoreBounds=True)
        self._lower.setYRange(0, 1, padding=_MARGIN)
        self._reach = 0
        self.set_theme(theme_id)

    @property
    def judged(self) -> bool:
        """Whether there are precisions to be shown."""
        return any(each.overall == each.overall for each in self.course.history)

    @property
    def of_precisions(self) -> tuple[str, str]:
        """Colours of boxes and masks."""
        return self.colors.of_atoms(1), self.colors.of_atoms(2)

    def show_course(self, course: Course) -> None:
        self.course = course
        self.draw()
        history = course.history
        reach = max(
            len(course.plan.ends) if course.plan is not None else 0,
            history[-1].number if history else 0,
        )
        if reach and reach != self._reach:
            self.set_limits(0, reach)
            self.show_all()
        self._reach = reach

    def draw(self) -> None:
        """Draw everything anew."""
        colors, course = self.colors, self.course
        history = course.history
        places, losses, smooth = course.places(), np.array(course.losses), course.smooth()
        if not len(places):
            losses = smooth = np.empty(0)
        shown = bool(len(losses) or history)
        title = "epoch" if shown else ""
        self.set_labels(self._upper, left="loss" if shown else "", bottom=title)
        self.set_labels(self._lower, left="mAP", bottom=title)
        self.set_empty(self._upper, not shown)
        self.show_lower(self.judged)
        self._steps.setData(places, losses, pen=pg.mkPen(faint(colors.data, _FAINT), width=1))
        self._smooth.setData(places, smooth, pen=pg.mkPen(colors.data, width=2))
        first = float(places[0]) if len(places) else np.inf
        before = [each for each in history if each.number <= first]
        self._means.setData(
            [each.number - 0.5 for each in before],
            [each.loss for each in before],
            size=7,
            pen=None,
            brush=colors.data,
        )
        numbers = [each.number for each in history]
        for item, color, values in (
            (self._box, self.of_precisions[0], [each.box for each in history]),
            (self._mask, self.of_precisions[1], [each.mask for each in history]),
        ):
            item.setData(numbers, values, pen=pg.mkPen(color, width=1), symbolBrush=color)
        all_losses = np.array([*losses, *(each.loss for each in before)])
        all_losses = all_losses[np.isfinite(all_losses)]
        if len(all_losses):
            self._upper.setYRange(0, float(all_losses.max()), padding=_MARGIN)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, _HEIGHT)
