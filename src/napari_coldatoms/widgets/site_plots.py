"""The histogram of the sites' brightness, with the threshold to drag and bars to select."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QWidget

from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.widgets.plots import PickBox, ThemedPlot, scaled, shade
from napari_coldatoms.widgets.site_bins import (
    band_of,
    bin_of,
    count,
    limits,
    mode_curves,
    outside,
    shows_modes,
    site_bins,
)
from napari_coldatoms.widgets.threshold_line import ThresholdLine

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_NEAR = 12  # px above a bar that still count as the bar
_HEADROOM = 1.25
_FAR = 8.0  # widths of all bins, within which the threshold is always shown
_SURE, _UNSURE, _BAND = 235, 105, 70  # opacity of bars (of 255)


class HistogramPlot(ThemedPlot):
    """How bright the sites of one image are.

    Bars are stacked: empty and occupied sites, lighter where the decision is uncertain. The curves
    are the two modes. A click selects a bar, dragging selects a range, with Shift from the bars
    selected before; Escape, or a click beside the bars, selects nothing.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    threshold_moving = Signal(float)
    """While the line is dragged, at most 30 times a second."""
    threshold_set = Signal(object)
    """A float, when the line is let go."""
    range_selected = Signal(object)
    """(low, high) of the bars selected, or None."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._image: SiteImage | None = None
        self._chosen: BoolArray = np.zeros(0, dtype=bool)
        self._marked: BoolArray | None = None
        self._judged = False
        self._unit = ""
        self._log = False
        self._edges: FloatArray = np.empty(0)
        self._selected: tuple[float, float] | None = None

        self._view = PickBox(selects=True)
        self._view.setMouseEnabled(x=True, y=False)
        self._view.clicked.connect(self._on_click)
        self._view.swept.connect(self._on_sweep)
        self._view.reset.connect(self._show_all)
        self._item = self.add_axes(view=self._view)
        self._band = pg.LinearRegionItem(movable=False)
        self._band.setZValue(-10)
        self._bars = [pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[]) for _ in range(4)]
        self._part = pg.BarGraphItem(x0=[], x1=[], y0=[], y1=[])
        self._curves = [pg.PlotCurveItem(antialias=True) for _ in range(2)]
        self._line = ThresholdLine()
        for item in (self._band, *self._bars, self._part, *self._curves, self._line):
            self._item.addItem(item, ignoreBounds=True)
        self._line.moved.connect(self.threshold_moving)
        self._line.let_go.connect(self._on_let_go)
        self.set_theme(theme_id)

    @property
    def edges(self) -> FloatArray:
        """Edges of the bins, one more than there are bars."""
        return self._edges

    @property
    def threshold(self) -> float | None:
        """Where the line is; None where there is none."""
        return self._line.place

    @property
    def selected(self) -> tuple[float, float] | None:
        """Brightnesses of the bars selected; they stay so when another image is shown."""
        return self._selected

    @property
    def marked(self) -> int:
        """How many sites are marked."""
        return 0 if self._marked is None else int(self._marked.sum())

    @property
    def beyond(self) -> tuple[int, int]:
        """How many sites are darker and brighter than the outermost bars show."""
        return outside(self._brightness, self._edges) if len(self._edges) else (0, 0)

    @property
    def has_curves(self) -> bool:
        """Whether the two modes are drawn."""
        return self._image is not None and len(self._edges) > 0 and shows_modes(self._image.found)

    def show_image(
        self,
        image: SiteImage | None,
        *,
        chosen: BoolArray | None = None,
        judged: bool = True,
        unit: str = "photoelectrons",
    ) -> None:
        """Show the sites of an image.

        Parameters
        ----------
        image : SiteImage or None
        chosen : (n,) bool array, optional
            The sites counted; all by default. The bins stay those of all.
        judged : bool
            Whether its sites are judged.
        unit : str
            Of the brightness.
        """
        same = _same_light(self._image, image)
        self._image, self._judged, self._unit = image, judged, unit
        sites = 0 if image is None else len(image.found.valid)
        self._chosen = np.ones(sites, dtype=bool) if chosen is None else np.asarray(chosen, bool)
        if not same:
            self._edges = np.empty(0) if image is None else site_bins(image.found)
            self._marked = None
        before = self.threshold
        self.draw()
        moved = self.threshold != before and not self._line.moving
        if not same or (moved and not self._sees_threshold()):
            self._show_all()

    def mark_sites(self, marked: BoolArray | None) -> None:
        """Fill the part of the bars that these sites, (n,) bool, have in them."""
        self._marked = None if marked is None else np.asarray(marked, dtype=bool)
        self._draw_marked()

    def set_log(self, log: bool) -> None:
        """Show the counts on a logarithmic scale, or not."""
        self._log = log
        self._item.getAxis("left").setLogMode(x=False, y=log)
        self.draw()

    def draw(self) -> None:
        """Draw bars, curves and line."""
        image, colors = self._image, self._colors
        self.set_labels(
            self._item, left="sites", bottom=f"brightness ({self._unit})" if image else ""
        )
        for curve in self._curves:
            curve.setData([], [])
        for bars in self._bars:
            bars.setOpts(x0=[], x1=[], y0=[], y1=[])
        place = math.nan if image is None or not len(self._edges) else image.found.threshold
        self._line.show_at(place, self._unit, colors, dashed=not self._judged)
        self._draw_marked()
        self._draw_band()
        if image is None or not len(self._edges):
            return
        bottom = np.zeros(len(self._edges) - 1)
        for bars, (sites, color, opacity) in zip(self._bars, self._kinds(), strict=False):
            top = bottom + self._counts(sites)
            self._put(bars, bottom, top, color, opacity)
            bottom = top
        self._item.setYRange(
            *self._scaled(np.array([0, _HEADROOM * max(bottom.max(), 3)])), padding=0
        )
        if self.has_curves:
            x = np.linspace(self._edges[0], self._edges[-1], 400)
            width = self._edges[1] - self._edges[0]
            modes = mode_curves(image.found, self._chosen, width, x)
            for curve, mode in zip(self._curves, modes, strict=True):
                curve.setData(x, self._scaled(mode), pen=pg.mkPen(colors.text, width=1.5))

    def _kinds(self) -> list[tuple[BoolArray, str, int]]:
        """Return what is stacked, from below: the sites, their colour, and its opacity."""
        assert self._image is not None
        found, colors = self._image.found, self._colors
        if not self._judged:
            return [(found.valid, colors.text, _UNSURE)]
        sure = ~self._image.uncertain & found.valid
        unsure, atom = self._image.uncertain, found.occupied
        return [
            (sure & ~atom, colors.empty, _SURE),
            (unsure & ~atom, colors.empty, _UNSURE),
            (unsure & atom, colors.atom, _UNSURE),
            (sure & atom, colors.atom, _SURE),
        ]

    @property
    def _brightness(self) -> FloatArray:
        """Brightness of the sites that are counted."""
        assert self._image is not None
        found = self._image.found
        return found.brightness[found.valid & self._chosen]

    def _counts(self, sites: BoolArray) -> FloatArray:
        """Return how many of some sites are counted in each bin."""
        assert self._image is not None
        counted = sites & self._chosen & self._image.found.valid
        return count(self._image.found.brightness[counted], self._edges).astype(np.float64)

    def _scaled(self, counts: FloatArray) -> FloatArray:
        return scaled(counts, log=self._log)

    def _put(
        self, bars: Any, bottom: FloatArray, top: FloatArray, color: str, opacity: int
    ) -> None:
        some = top > bottom
        gap = 0.04 * (self._edges[1] - self._edges[0])
        bars.setOpts(
            x0=self._edges[:-1][some] + gap,
            x1=self._edges[1:][some] - gap,
            y0=self._scaled(bottom[some]),
            y1=self._scaled(top[some]),
            brush=shade(color, opacity),
            pen=pg.mkPen(color, width=1) if opacity < _SURE else pg.mkPen(None),
        )

    def _draw_marked(self) -> None:
        self._part.setOpts(x0=[], x1=[], y0=[], y1=[])
        if self._image is None or self._marked is None or not len(self._edges):
            return
        if len(self._marked) != len(self._chosen):
            return
        top = self._counts(self._marked)
        self._put(self._part, np.zeros_like(top), top, self._colors.marked, _SURE)

    def _draw_band(self) -> None:
        band = None
        if self._selected is not None and len(self._edges):
            band = band_of(self._selected, self._edges)
        self._band.setVisible(band is not None)
        self._band.setBrush(shade(self._colors.text, _BAND))
        for edge in self._band.lines:
            edge.setPen(pg.mkPen(self._colors.text, width=1))
        if band is not None:
            self._band.setRegion(band)

    def _show_all(self) -> None:
        if not len(self._edges):
            return
        low, high = float(self._edges[0]), float(self._edges[-1])
        threshold = self.threshold
        # of an image of empty sites the threshold is far off
        if threshold is not None and abs(threshold - low) < _FAR * (high - low):
            low, high = min(low, threshold), max(high, threshold)
        self._item.setXRange(low, high, padding=0.03)

    def _sees_threshold(self) -> bool:
        low, high = self._view.viewRange()[0]
        return low <= float(self._line.value()) <= high

    def _bar_at(self, x: float, y: float) -> int | None:
        """Return the bar at a place of the plot, or just above it; None beside all bars."""
        if self._image is None or not len(self._edges):
            return None
        if not self._edges[0] <= x < self._edges[-1]:
            return None
        bar = int(bin_of(np.array([x]), self._edges)[0])
        number = self._counts(self._image.found.valid)[bar]
        # a bar of a single site is a few pixels high
        top = float(self._scaled(number)) + _NEAR * self._view.viewPixelSize()[1]
        return bar if number and y <= top else None

    def _on_click(self, x: float, y: float, shift: bool) -> None:
        bar = self._bar_at(x, y)
        if bar is None:
            self._choose(None)
            return
        low, high = limits(bar, bar, self._edges, self._brightness)
        if shift and self._selected is not None:
            low, high = min(low, self._selected[0]), max(high, self._selected[1])
        self._choose((low, high))

    def _on_sweep(self, begin: float, end: float, done: bool) -> None:
        if not len(self._edges):
            return
        inside = np.clip([begin, end], self._edges[0], np.nextafter(self._edges[-1], -math.inf))
        bars = bin_of(np.sort(inside), self._edges)
        self._select(limits(int(bars[0]), int(bars[1]), self._edges, self._brightness))
        if done:
            self.range_selected.emit(self._selected)

    def _choose(self, wanted: tuple[float, float] | None) -> None:
        """Select brightnesses, and tell if they are others than before."""
        if wanted != self._selected:
            self._select(wanted)
            self.range_selected.emit(wanted)

    def _select(self, wanted: tuple[float, float] | None) -> None:
        self._selected = wanted
        self._draw_band()

    def keyPressEvent(self, event: Any) -> None:
        """Select nothing with Escape."""
        if event.key() == Qt.Key.Key_Escape and self._selected is not None:
            self._choose(None)
            event.accept()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, 180)

    def _on_let_go(self, threshold: float) -> None:
        if not self._sees_threshold():
            self._show_all()
        self.threshold_set.emit(threshold)


def _same_light(one: SiteImage | None, other: SiteImage | None) -> bool:
    """Return whether two images have the same brightnesses, however they are judged."""
    if one is None or other is None:
        return one is other
    a, b = one.found, other.found
    return a.brightness is b.brightness or (
        np.array_equal(a.brightness, b.brightness, equal_nan=True)
        and a.has_contrast == b.has_contrast
    )
