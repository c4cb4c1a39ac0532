"""Plots one above another, with one axis of photon counts or shots for all."""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QPointF, Signal
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.plots import BOTTOM, PickBox, ThemedPlot

_CLOSED = 8  # px of the axis below a plot, without numbers
_ENDLESS = 16777215.0  # Qt's own


class StackedPlot(ThemedPlot):
    """Plots one above another that move together from left to right.

    Sub-classes make the rows by `set_rows`, then call `set_theme`, and draw in `draw`. Dragging
    moves, Ctrl and the wheel zoom, a double click shows all.
    """

    hovered = Signal(object)
    """The x of the plot under the pointer, a float; None when it has left."""
    clicked = Signal(float)
    """The x of a click."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._limits: tuple[float, float] | None = None
        self._hover_lines: list[Any] = []
        self.scene().sigMouseMoved.connect(self._on_moved)

    def set_rows(self, stretches: list[int]) -> list[Any]:
        """Make as many plots anew as there are numbers, which are their heights' proportions."""
        for row in range(len(self.axes)):
            self.ci.layout.setRowStretchFactor(row, 0)
        self.clear()
        self.axes.clear()
        self._hover_lines = []
        for row, stretch in enumerate(stretches):
            view = PickBox(selects=False)
            view.setMouseEnabled(x=True, y=False)
            view.clicked.connect(self._on_clicked)
            view.reset.connect(self.show_all)
            item = self.add_axes(view=view, row=row)
            last = row == len(stretches) - 1
            if not last:
                item.getAxis("bottom").setHeight(_CLOSED)
            item.getAxis("bottom").setStyle(showValues=last)
            self.ci.layout.setRowStretchFactor(row, stretch)
            if row:
                item.setXLink(self.axes[0])
            line = pg.InfiniteLine(angle=90)
            line.setVisible(False)
            item.addItem(line, ignoreBounds=True)
            self._hover_lines.append(line)
        if self._limits is not None:
            self.set_limits(*self._limits)
        return self.axes

    def show_lower(self, shown: bool) -> None:
        """Show the lower one of two plots, or leave its place to the upper one."""
        upper, lower = self.axes
        lower.setVisible(shown)
        # what is hidden would keep its place
        self.ci.layout.setRowMaximumHeight(1, _ENDLESS if shown else 0)
        axis = upper.getAxis("bottom")
        if shown:
            axis.setStyle(showValues=False)
        axis.showLabel(not shown)
        axis.setHeight(_CLOSED if shown else BOTTOM)

    def set_limits(self, low: float, high: float) -> None:
        """Set how far the plots reach from left to right."""
        self._limits = (low, high)
        reach = 0.03 * (high - low)
        for item in self.axes:
            item.setLimits(xMin=low - 2 * reach, xMax=high + 2 * reach)

    def show_all(self) -> None:
        """Show from the first to the last bar."""
        if self._limits is not None and self.axes:
            self.axes[0].setXRange(*self._limits, padding=0.02)

    def paint_axes(self) -> None:
        """Give the axes, and the line at the pointer, the colours in use."""
        super().paint_axes()
        for line in self._hover_lines:
            line.setPen(pg.mkPen(self.colors.axis, width=1))

    def mark_hover(self, x: float | None) -> None:
        """Draw an upright line at x; none where it is None."""
        for line in self._hover_lines:
            line.setVisible(x is not None)
            if x is not None:
                line.setValue(x)

    def leaveEvent(self, event: Any) -> None:
        """Tell that the pointer is gone."""
        super().leaveEvent(event)
        self.hovered.emit(None)

    def _on_moved(self, place: QPointF) -> None:
        for item in self.axes:
            view = item.getViewBox()
            if view.sceneBoundingRect().contains(place):
                x = float(view.mapSceneToView(place).x())
                self.hovered.emit(x if math.isfinite(x) else None)
                return
        self.hovered.emit(None)

    def _on_clicked(self, x: float, _y: float, _shift: bool) -> None:
        self.clicked.emit(x)
