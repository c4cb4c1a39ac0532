"""What all plots share: pyqtgraph in the colours of napari's theme; and the plot of cuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.cuts import Cut

FloatArray = NDArray[np.float64]

LEFT, BOTTOM = 50, 40
"""Width of the axis on the left and height of the one below (px), with numbers and a label."""

_FEWEST = 0.5  # at the bottom of a logarithmic axis


@dataclass(frozen=True)
class PlotColors:
    """Colours of a plot as ``#rrggbb``.

    Those of sites with and without an atom are as in the layer of sites; marked ones have another.
    """

    background: str
    text: str
    axis: str
    data: str
    model: str
    atom: str
    empty: str
    marked: str
    atoms: tuple[str, ...]
    """Of 0, 1, 2, ... atoms; beyond the last they begin anew, see `of_atoms`."""

    def of_atoms(self, number: int) -> str:
        """Return the colour of an atom number."""
        return self.atoms[number % len(self.atoms)]


# told apart by lightness too, on either background, and by the colour-blind (Okabe and Ito)
_DARK: dict[str, Any] = {
    "data": "#7fc8ff",
    "model": "#ffb000",
    "atom": "#e69f00",
    "empty": "#56b4e9",
    "marked": "#f0f1f2",
    "atoms": ("#56b4e9", "#e69f00", "#2fc79a", "#e08fbf", "#f0e442", "#ff7f50"),
}
_LIGHT: dict[str, Any] = {
    "data": "#1f5fa8",
    "model": "#c43c00",
    "atom": "#c65a00",
    "empty": "#2a86c7",
    "marked": "#1e1e21",
    "atoms": ("#2a86c7", "#c65a00", "#007f5c", "#a83f7f", "#8a7a00", "#8b1a1a"),
}


def plot_colors(theme_id: str) -> PlotColors:
    """Return the colours that go with a theme of napari."""
    theme = get_theme(theme_id)
    lines = _LIGHT if theme.type == "light" else _DARK
    return PlotColors(
        background=_hex(theme.background),
        text=_hex(theme.text),
        axis=_hex(theme.highlight if theme.type == "light" else theme.secondary),
        **lines,
    )


class PickBox(pg.ViewBox):
    """A view that tells where it is clicked and, if it `selects`, over what it is dragged.

    Without `selects` the left button moves the view. A double click shows all again.
    """

    clicked = Signal(float, float, bool)
    """At x, y of the plot; whether Shift was held."""
    swept = Signal(float, float, bool)
    """Dragged from one x to another; whether the button is up again."""
    reset = Signal()

    def __init__(self, *, selects: bool) -> None:
        super().__init__(enableMenu=False)
        self._selects = selects

    def mouseClickEvent(self, event: Any) -> None:
        """Tell of a click with the left button."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        event.accept()
        if event.double():
            self.reset.emit()
            return
        place = self.mapToView(event.pos())
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.clicked.emit(place.x(), place.y(), shift)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        """Tell of a drag with the left button."""
        if not self._selects or event.button() != Qt.MouseButton.LeftButton or axis is not None:
            super().mouseDragEvent(event, axis)
            return
        event.accept()
        begin, end = self.mapToView(event.buttonDownPos()), self.mapToView(event.pos())
        self.swept.emit(begin.x(), end.x(), bool(event.isFinish()))


class ThemedPlot(pg.GraphicsLayoutWidget):
    """Plots in the colours of a theme, zoomed by the wheel with Ctrl only.

    Sub-classes call `add_axes` for each plot, then `set_theme`, and draw in `draw`.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.axes: list[Any] = []
        self._colors = plot_colors("dark")
        self.ci.layout.setContentsMargins(0, 4, 4, 6)
        self.ci.layout.setSpacing(0)

    @property
    def colors(self) -> PlotColors:
        """The colours in use."""
        return self._colors

    def add_axes(self, column: int = 0, view: PickBox | None = None, *, row: int = 0) -> Any:
        """Add a plot and return it."""
        item = self.addPlot(row=row, col=column, viewBox=view)
        item.hideButtons()
        item.setMenuEnabled(False)
        for side in ("left", "bottom"):
            item.getAxis(side).enableAutoSIPrefix(False)
        item.getAxis("left").setWidth(LEFT)
        item.getAxis("bottom").setHeight(BOTTOM)
        self.axes.append(item)
        return item

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self._colors = plot_colors(theme_id)
        self.setBackground(self._colors.background)
        self.paint_axes()
        self.draw()

    def paint_axes(self) -> None:
        """Give the axes the colours in use."""
        for item in self.axes:
            for side in ("left", "bottom"):
                axis = item.getAxis(side)
                axis.setPen(self._colors.axis)
                axis.setTextPen(self._colors.text)

    def draw(self) -> None:
        """Draw everything anew, in the colours in use."""

    def set_labels(self, item: Any, *, left: str, bottom: str) -> None:
        """Name the axes of a plot."""
        for side, label in (("left", left), ("bottom", bottom)):
            axis = item.getAxis(side)
            axis.setLabel(label, color=self._colors.text)
            # pyqtgraph centres a label when the axis changes its size, not when the text does
            axis.resizeEvent()

    @staticmethod
    def set_empty(item: Any, empty: bool) -> None:
        """Leave out the numbers at the axes of a plot that shows nothing."""
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(showValues=not empty)

    def wheelEvent(self, event: Any) -> None:
        """Zoom with Ctrl only."""
        # inside a scroll area the wheel scrolls; with Ctrl it zooms
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
        else:
            event.ignore()


class CutPlot(ThemedPlot):
    """Two cuts side by side with one value axis: the data as points, the fit as a line.

    The line is dashed where there is no fit, but only the Gaussian of a mask.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._cuts: tuple[Cut, ...] = ()
        self._quantity = ""
        self._data: list[Any] = []
        self._model: list[Any] = []
        for column in range(2):
            item = self.add_axes(column)
            self._data.append(item.plot(antialias=True))
            self._model.append(item.plot(antialias=True))
        first, second = self.axes
        second.setYLink(first)
        second.getAxis("left").setStyle(showValues=False)
        second.getAxis("left").setWidth(8)
        self.set_theme(theme_id)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts shown; empty where there are none."""
        return self._cuts

    def show_cuts(self, cuts: Sequence[Cut], quantity: str = "") -> None:
        """Show two cuts; `quantity` names what the values are."""
        self._cuts = tuple(cuts)
        self._quantity = quantity
        self.draw()
        for item in self.axes:
            item.enableAutoRange()

    def clear_cuts(self) -> None:
        """Show nothing."""
        self.show_cuts(())

    def draw(self) -> None:
        """Draw both cuts."""
        colors = self._colors
        for i, item in enumerate(self.axes):
            cut = self._cuts[i] if i < len(self._cuts) else None
            self._data[i].setData(
                *((cut.position, cut.data) if cut else (np.empty(0), np.empty(0))),
                pen=None,
                symbol="o",
                symbolSize=3,
                symbolPen=None,
                symbolBrush=colors.data,
                connect="finite",
            )
            solid = cut is None or cut.fitted
            style = Qt.PenStyle.SolidLine if solid else Qt.PenStyle.DashLine
            self._model[i].setData(
                *((cut.position, cut.model) if cut else (np.empty(0), np.empty(0))),
                pen=pg.mkPen(colors.model, width=2, style=style),
            )
            label = f"{cut.title} ({unit_sign(cut.unit)})" if cut else ""
            quantity = self._quantity if self._cuts and i == 0 else ""
            self.set_labels(item, left=quantity, bottom=label)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, 190)


def scaled(numbers: FloatArray, *, log: bool) -> FloatArray:
    """Return numbers of shots or sites as they are drawn on a logarithmic axis, or as they are."""
    return np.log10(np.maximum(numbers, _FEWEST)) if log else np.asarray(numbers, dtype=np.float64)


def faint(color: str, opacity: int) -> Any:
    """Return a colour for a pen, its opacity of 255."""
    made = pg.mkColor(color)
    made.setAlpha(opacity)
    return made


def shade(color: str, opacity: int) -> Any:
    """Return a brush of a colour, its opacity of 255."""
    return pg.mkBrush(faint(color, opacity))


def colored(color: str, sign: str = "■") -> str:
    """Return a sign in a colour, as rich text."""
    return f'<span style="color:{color}">{sign}</span>'


def legend_entry(color: str, words: str, sign: str = "■") -> str:
    """Return what a colour means, as rich text that stays in one line."""
    return f"{colored(color, sign)}&nbsp;{words.replace(' ', '&nbsp;')}"


def unit_sign(unit: str) -> str:
    """Return how a unit is written for short."""
    return {"um": "µm", "photoelectrons": "e⁻"}.get(unit, unit)


def _hex(color: Any) -> str:
    red, green, blue = color.as_rgb_tuple()[:3]
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"
