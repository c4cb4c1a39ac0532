"""The threshold as a line in the histogram that can be dragged."""

from __future__ import annotations

import math

import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from superqt.utils import QSignalThrottler

from napari_coldatoms.widgets.plots import PlotColors, shade, unit_sign

_PERIOD = 34  # ms between signals while the line is dragged
_VEIL = 200  # opacity of the label's background, of 255


class ThresholdLine(pg.InfiniteLine):
    """An upright line with its value beside it; hidden until it is placed."""

    moved = Signal(float)
    """While the line is dragged, at most 30 times a second."""
    let_go = Signal(float)

    def __init__(self) -> None:
        super().__init__(angle=90, movable=True, label="", labelOpts={"position": 0.93})
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setZValue(10)
        self.setVisible(False)
        self._throttle = QSignalThrottler(parent=self)
        self._throttle.setTimeout(_PERIOD)
        self._throttle.triggered.connect(self._emit_moved)
        self.sigDragged.connect(self._throttle.throttle)
        self.sigPositionChangeFinished.connect(self._emit_let_go)

    @property
    def place(self) -> float | None:
        """Where the line is; None where it is hidden."""
        return float(self.value()) if self.isVisible() else None

    def show_at(self, place: float, unit: str, colors: PlotColors, *, dashed: bool) -> None:
        """Put the line at a place, unless it is being dragged; hide it where that is no number."""
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        self.setPen(pg.mkPen(colors.text, width=2, style=style))
        self.setHoverPen(pg.mkPen(colors.text, width=4))
        self.setVisible(math.isfinite(place))
        self.label.fill = shade(colors.background, _VEIL)
        self.label.setColor(colors.text)
        self.label.setFormat(f"{{value:.4g}} {unit_sign(unit)}")
        # while the line is held, the hand says where it is
        if math.isfinite(place) and not self.moving:
            self.setValue(place)

    def _emit_moved(self) -> None:
        self.moved.emit(float(self.value()))

    def _emit_let_go(self) -> None:
        self._throttle.cancel()
        self.let_go.emit(float(self.value()))
