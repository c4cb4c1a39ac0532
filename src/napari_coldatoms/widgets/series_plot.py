"""A quantity over the images of a series, such as the drift of the lattice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_coldatoms.widgets.form import WheelGuard
from napari_coldatoms.widgets.plots import PickBox, ThemedPlot, colored, faint
from napari_coldatoms.widgets.series_values import (
    Points,
    Quantity,
    axis_of,
    parameters_of,
    points_of,
    quantities_of,
    title_of,
)

FloatArray = NDArray[np.float64]

_SYMBOLS = ("o", "s")
_NEAR = 18  # px
_MANY = 400  # images from which on points are small
_FAINT = 110  # opacity of the lines between them (of 255)


class _Combo(QComboBox):
    """A choice whose items may change."""

    def __init__(self, name: str, tooltip: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip(tooltip)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.installEventFilter(WheelGuard(self))

    def offer(self, items: list[tuple[str, str, str]]) -> None:
        """Offer items of (key, title, tooltip); the key chosen before stays if it is among them."""
        if [self.itemData(i) for i in range(self.count())] == [key for key, _, _ in items]:
            return
        before = self.currentData()
        self.blockSignals(True)
        self.clear()
        for i, (key, title, tooltip) in enumerate(items):
            self.addItem(title, key)
            self.setItemData(i, tooltip, Qt.ItemDataRole.ToolTipRole)
        self.setCurrentIndex(max(self.findData(before), 0))
        self.blockSignals(False)


class _Dots(pg.ScatterPlotItem):
    """Points that leave clicks to the view, which also knows those beside them."""

    def mouseClickEvent(self, event: Any) -> None:
        event.ignore()


class _Series(ThemedPlot):
    """The plot itself: up to two series of points with error bars, and a marker."""

    clicked = Signal(int)
    """The row of the point."""

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self._points: list[Points] = []
        self._x: FloatArray = np.empty(0)
        self._titles = ("", "")
        self._marked: int | None = None
        self._view = PickBox(selects=False)
        self._view.clicked.connect(self._on_click)
        self._item = self.add_axes(view=self._view)
        self._view.reset.connect(self._item.enableAutoRange)
        self._marker = pg.InfiniteLine(angle=90)
        self._marker.setZValue(-5)
        self._item.addItem(self._marker, ignoreBounds=True)
        self._errors = [pg.PlotCurveItem(connect="pairs") for _ in _SYMBOLS]
        self._lines = [pg.PlotCurveItem() for _ in _SYMBOLS]
        self._dots = [_Dots(pxMode=True) for _ in _SYMBOLS]
        for item in (*self._errors, *self._lines, *self._dots):
            self._item.addItem(item)
        self.set_theme(theme_id)

    def show_points(
        self, points: list[Points], x: FloatArray, titles: tuple[str, str], *, keep_view: bool
    ) -> None:
        """Show points at the x of their rows; titles are those of the axes, left and bottom."""
        self._points, self._x, self._titles = points, x, titles
        self.draw()
        if not keep_view:
            self._item.enableAutoRange()

    def mark(self, number: int | None) -> None:
        """Mark a row."""
        self._marked = number
        place = math.nan
        if number is not None and 0 <= number < len(self._x):
            place = float(self._x[number])
        self._marker.setVisible(math.isfinite(place))
        if math.isfinite(place):
            self._marker.setValue(place)

    def draw(self) -> None:
        """Draw points, errors and marker."""
        colors = self._colors
        self.set_labels(self._item, left=self._titles[0], bottom=self._titles[1])
        self._marker.setPen(pg.mkPen(colors.text, width=1.5))
        many = len(self._x) > _MANY
        for k, color in enumerate((colors.data, colors.model)):
            if k >= len(self._points):
                self._errors[k].setData([], [])
                self._lines[k].setData([], [])
                self._dots[k].setData([], [])
                continue
            points = self._points[k]
            x = self._x[points.number]
            has_error = np.isfinite(points.low) & np.isfinite(points.high) & np.isfinite(x)
            ends = np.column_stack([points.low, points.high])[has_error].ravel()
            self._errors[k].setData(np.repeat(x[has_error], 2), ends, pen=pg.mkPen(color, width=1))
            order = np.argsort(x, kind="stable")
            pen = pg.mkPen(faint(color, _FAINT), width=1)
            self._lines[k].setData(x[order], points.value[order], pen=pen, connect="finite")
            solid, hollow = pg.mkBrush(color), pg.mkBrush(colors.background)
            brush: Any = solid
            if not points.filled.all():
                brush = [solid if filled else hollow for filled in points.filled]
            self._dots[k].setData(
                x,
                points.value,
                symbol=_SYMBOLS[k],
                size=3 if many else 7,
                brush=brush,
                pen=pg.mkPen(None) if many and points.filled.all() else pg.mkPen(color, width=1),
            )
        self.mark(self._marked)

    def _on_click(self, x: float, y: float, _shift: bool) -> None:
        width, height = self._view.viewPixelSize()
        best, nearest = float(_NEAR), None
        for points in self._points:
            if not len(points.number):
                continue
            away = np.hypot((self._x[points.number] - x) / width, (points.value - y) / height)
            k = int(np.nanargmin(away)) if np.isfinite(away).any() else 0
            if away[k] < best:
                best, nearest = float(away[k]), int(points.number[k])
        if nearest is not None:
            self.clicked.emit(nearest)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, 180)


class SeriesPlot(QWidget):
    """A quantity of the table of shots over the images, chosen from what the table has.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    image_selected = Signal(int)
    """The row of a point that was clicked."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("series")
        self._shots = pd.DataFrame()
        self._quantities: list[Quantity] = []
        self._shown: tuple[str, str, int] | None = None
        self.quantity_combo = _Combo("series_quantity", "what is shown of each image")
        self.parameter_combo = _Combo(
            "series_parameter", "what it is shown against: the image's number or a scan parameter"
        )
        self.plot = _Series(theme_id)
        self.plot.setObjectName("series_plot")
        self.plot.setMinimumHeight(170)
        self.plot.setToolTip(
            "one point per image, the upright line is at the one that is shown: click a point to "
            "see its image; dragging moves, Ctrl+wheel zooms, a double click shows all"
        )
        self.caption = QLabel()
        self.caption.setObjectName("series_caption")
        self.caption.setWordWrap(True)
        choice = QHBoxLayout()
        choice.setContentsMargins(0, 0, 0, 0)
        choice.addWidget(self.quantity_combo, 3)
        choice.addWidget(QLabel("against"))
        choice.addWidget(self.parameter_combo, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(choice)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.caption)
        self.plot.clicked.connect(self.image_selected)
        self.quantity_combo.currentIndexChanged.connect(self._draw)
        self.parameter_combo.currentIndexChanged.connect(self._draw)

    def show_shots(self, shots: pd.DataFrame) -> None:
        """Show a table of shots, one row per image."""
        self._shots = shots
        self._quantities = quantities_of(shots)
        self.quantity_combo.offer([(q.key, q.title, q.tooltip) for q in self._quantities])
        self.parameter_combo.offer([(name, name, "") for name in parameters_of(shots)])
        self._draw()

    def mark_image(self, number: int | None) -> None:
        """Mark the image of a row; None marks nothing."""
        self.plot.mark(number)

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self.plot.set_theme(theme_id)
        self._draw()

    def _draw(self, *_: object) -> None:
        quantity = next(
            (q for q in self._quantities if q.key == self.quantity_combo.currentData()), None
        )
        parameter = self.parameter_combo.currentData()
        if quantity is None or parameter is None:
            self.plot.show_points([], np.empty(0), ("", ""), keep_view=False)
            self.caption.setText("")
            return
        shots = self._shots
        x, title = axis_of(shots, parameter)
        points = points_of(shots, quantity)
        now = (quantity.key, parameter, len(shots))
        self.plot.show_points(
            points, x, (title_of(shots, quantity), title), keep_view=now == self._shown
        )
        self._shown = now
        self.caption.setText(self._words(quantity, points))

    def _words(self, quantity: Quantity, points: list[Points]) -> str:
        colors = self.plot.colors
        parts = []
        if len(points) > 1:
            signs = zip("●■", (colors.data, colors.model), quantity.names, strict=True)
            parts += [f"{colored(color, sign)}&nbsp;{name}" for sign, color, name in signs]
        if not all(series.filled.all() for series in points):
            parts.append("hollow: taken from other shots")
        if any(np.isfinite(series.low).any() for series in points):
            parts.append("bars: ± 1 standard error")
        return "; ".join([*parts, "click a point to see its image"])
