"""The plots, all pyqtgraph behind one class, in the colours of napari's theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.cuts import Cut


@dataclass(frozen=True)
class PlotColors:
    """Colours of a plot as ``#rrggbb``."""

    background: str
    text: str
    axis: str
    data: str
    model: str


# data and model are told apart by lightness too, on either background
_DARK = {"data": "#7fc8ff", "model": "#ffb000"}
_LIGHT = {"data": "#1f5fa8", "model": "#c43c00"}


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


class CutPlot(pg.GraphicsLayoutWidget):
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
        self._items: list[Any] = []
        self._data: list[Any] = []
        self._model: list[Any] = []
        self.ci.layout.setContentsMargins(0, 4, 4, 6)
        self.ci.layout.setSpacing(0)
        for column in range(2):
            item = self.addPlot(row=0, col=column)
            item.hideButtons()
            item.setMenuEnabled(False)
            for side in ("left", "bottom"):
                item.getAxis(side).enableAutoSIPrefix(False)
            self._data.append(item.plot(antialias=True))
            self._model.append(item.plot(antialias=True))
            self._items.append(item)
        self._items[1].setYLink(self._items[0])
        self._items[1].getAxis("left").setStyle(showValues=False)
        self._items[1].getAxis("left").setWidth(8)
        self._items[0].getAxis("left").setWidth(50)
        for item in self._items:
            item.getAxis("bottom").setHeight(40)
        self.set_theme(theme_id)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The cuts shown; empty where there are none."""
        return self._cuts

    @property
    def colors(self) -> PlotColors:
        """The colours in use."""
        return self._colors

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self._colors = plot_colors(theme_id)
        self.setBackground(self._colors.background)
        for item in self._items:
            for side in ("left", "bottom"):
                axis = item.getAxis(side)
                axis.setPen(self._colors.axis)
                axis.setTextPen(self._colors.text)
        self._draw()

    def show_cuts(self, cuts: Sequence[Cut], quantity: str = "") -> None:
        """Show two cuts; `quantity` names what the values are."""
        self._cuts = tuple(cuts)
        self._quantity = quantity
        self._draw()
        for item in self._items:
            item.enableAutoRange()

    def clear_cuts(self) -> None:
        """Show nothing."""
        self.show_cuts(())

    def _draw(self) -> None:
        colors = self._colors
        for i, item in enumerate(self._items):
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
            label = f"{cut.title} ({_UNIT_SIGNS.get(cut.unit, cut.unit)})" if cut else ""
            item.setLabel("bottom", label, color=colors.text)
        quantity = self._quantity if self._cuts else ""
        self._items[0].setLabel("left", quantity, color=colors.text)
        for item in self._items:
            for side in ("left", "bottom"):
                # pyqtgraph centres a label when the axis changes its size, not when the text does
                item.getAxis(side).resizeEvent()

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, 190)

    def wheelEvent(self, event: Any) -> None:
        """Zoom with Ctrl only."""
        # inside a scroll area the wheel scrolls; with Ctrl it zooms
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
        else:
            event.ignore()


_UNIT_SIGNS = {"um": "µm"}


def _hex(color: Any) -> str:
    red, green, blue = color.as_rgb_tuple()[:3]
    return f"#{int(red):02x}{int(green):02x}{int(blue):02x}"
