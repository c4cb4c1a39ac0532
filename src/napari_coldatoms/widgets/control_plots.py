"""The histograms of control shots, one below another, with what was fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QWidget

from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.widgets.captioned_plot import CaptionedPlot
from napari_coldatoms.widgets.controls import text_label
from napari_coldatoms.widgets.count_bars import (
    bar_edges,
    binned,
    counts_text,
    expected_text,
    outline,
)
from napari_coldatoms.widgets.plots import colored, shade
from napari_coldatoms.widgets.stacked_plot import StackedPlot

FloatArray = NDArray[np.float64]

_ROW = 95  # px of each control
_AXIS = 40
_HEADROOM = 1.4  # room for the words
_OPACITY = 130  # of bars (of 255)
_TOOLTIP = (
    "One histogram for each number of atoms prepared. Line: the fitted mixture; dashed: the part "
    "of shots that had lost an atom before the exposure began.\n"
    "Dragging moves, Ctrl+wheel zooms, a double click shows all."
)


@dataclass(frozen=True, eq=False)
class _Control:
    """One control in bars, with its words."""

    shots: FloatArray
    expected: FloatArray | None
    lost: FloatArray | None
    words: str


class ControlsPlot(CaptionedPlot):
    """Histograms of controls with their fits.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    plot: _Controls

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        readout = text_label(
            "count_controls_readout",
            "legend; with the pointer over the plot: shots with these counts, in brackets what the "
            "fit expects",
        )
        super().__init__(
            _Controls(theme_id),
            readout,
            names=("count_controls_plots", "count_controls_plot"),
            tooltip=_TOOLTIP,
            parent=parent,
        )
        self.readout = readout
        self.tell()

    def show_controls(
        self, histograms: Sequence[Histogram | None], known: ControlFit | None = None
    ) -> None:
        """Show controls; none where the sequence is empty.

        Parameters
        ----------
        histograms : sequence of Histogram or None
            Of 0, 1, 2, ... atoms; None where one is missing.
        known : ControlFit, optional
            What was fitted to them.
        """
        self._hovered = None
        self.plot.show_controls(histograms, known)
        self.tell()

    def words_at(self, n: int, /) -> str:
        """Return how many shots of each control have n counts; empty beside all bars."""
        bar = self.plot.bar_of(n)
        if bar is None:
            return ""
        edges = self.plot.edges
        first, last = round(edges[bar] + 0.5), round(edges[bar + 1] - 0.5)
        parts = []
        for atoms, control in enumerate(self.plot.controls):
            if control is None:
                continue
            sign = colored(self.plot.colors.of_atoms(atoms))
            words = f"{sign}&nbsp;{atoms}:&nbsp;{control.shots[bar]:.0f}"
            if control.expected is not None:
                words += f"&nbsp;({expected_text(control.expected[bar])})"
            parts.append(words)
        return f"<b>{counts_text(first, last)}</b>, shots: " + " &nbsp;".join(parts)

    def legend_words(self) -> str:
        """Return what the lines are."""
        if not any(c is not None and c.expected is not None for c in self.plot.controls):
            return ""
        return "<b>—</b>&nbsp;fit &nbsp;<b>- -</b>&nbsp;atoms lost before the exposure"


class _Controls(StackedPlot):
    """The plot itself."""

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.controls: list[_Control | None] = []
        self.edges: FloatArray = np.empty(0)
        self._items: list[tuple[Any, Any, Any, Any]] = []
        self.set_theme(theme_id)

    def show_controls(
        self, histograms: Sequence[Histogram | None], known: ControlFit | None
    ) -> None:
        before = self.edges
        given = tuple(h for h in histograms if h is not None)
        self.edges = bar_edges(given) if given else np.empty(0)
        self.controls = [
            None if h is None else _control(atoms, h, known, self.edges)
            for atoms, h in enumerate(histograms if given else ())
        ]
        rows = len(self._items)
        if len(self.controls) != rows:
            self._make_rows()
        self.draw()
        if given and (
            len(self.controls) != rows
            or len(before) != len(self.edges)
            or not np.array_equal(before, self.edges)
        ):
            self.set_limits(float(self.edges[0]), float(self.edges[-1]))
            self.show_all()

    def _make_rows(self) -> None:
        self._items = []
        for axes in self.set_rows([1] * len(self.controls)):
            bars, line = pg.PlotCurveItem(), pg.PlotCurveItem(antialias=True)
            lost = pg.PlotCurveItem(antialias=True)
            for item in (bars, lost, line):
                axes.addItem(item, ignoreBounds=True)
            words = pg.LabelItem(justify="right")
            words.setParentItem(axes.getViewBox())
            words.anchor(itemPos=(1, 0), parentPos=(1, 0), offset=(-2, -2))
            self._items.append((bars, line, lost, words))
        self.setMinimumHeight(_ROW * max(len(self.controls), 1) + _AXIS)
        self.updateGeometry()
        self.paint_axes()

    def bar_of(self, n: float) -> int | None:
        """Return the bar at a number of counts; None beside all."""
        edges = self.edges
        if not len(edges) or not edges[0] <= n < edges[-1]:
            return None
        return int(np.searchsorted(edges, n, side="right")) - 1

    def draw(self) -> None:
        """Draw everything anew."""
        colors, edges = self.colors, self.edges
        for atoms, (control, items) in enumerate(zip(self.controls, self._items, strict=True)):
            axes = self.axes[atoms]
            last = atoms == len(self.controls) - 1
            self.set_labels(axes, left="shots", bottom="photon counts of a shot" if last else "")
            axes.getAxis("bottom").showLabel(last)
            axes.getAxis("left").setStyle(showValues=control is not None)
            bars, line, lost, words = items
            for item in (bars, line, lost):
                item.setData([], [])
            words.setText(
                f"{atoms} atom{'s' * (atoms != 1)}: none" if control is None else control.words,
                color=colors.text,
                size="9pt",
            )
            if control is None:
                continue
            color = colors.of_atoms(atoms)
            bars.setData(
                *outline(edges, control.shots),
                fillLevel=0.0,
                brush=shade(color, _OPACITY),
                pen=pg.mkPen(color, width=1),
            )
            middle = (edges[1:] + edges[:-1]) / 2
            top = max(float(control.shots.max()), 3.0)
            if control.expected is not None:
                top = max(top, float(control.expected.max()))
                line.setData(middle, control.expected, pen=pg.mkPen(colors.text, width=1.5))
            if control.lost is not None:
                pen = pg.mkPen(colors.text, width=1.5, style=Qt.PenStyle.DashLine)
                lost.setData(middle, control.lost, pen=pen)
            axes.setYRange(0, _HEADROOM * top, padding=0)

    def sizeHint(self) -> QSize:
        """Return a size with room for each control."""
        return QSize(340, _ROW * max(len(self.controls), 1) + _AXIS)


def _control(
    atoms: int, histogram: Histogram, known: ControlFit | None, edges: FloatArray
) -> _Control:
    words = f"{atoms} atom{'s' * (atoms != 1)}: {histogram.total} shots, mean {histogram.mean:.3g}"
    shots = binned(histogram.occurrences, edges)
    if known is None or atoms > known.model.atoms:
        return _Control(shots, None, None, words)
    most = round(edges[-1] - 0.5)
    expected = histogram.total * known.expected(atoms, most)
    lost = None
    if atoms and known.single_atom_loss > 0:
        stayed = (1 - known.single_atom_loss) ** atoms * known.model.distribution(most)[atoms]
        lost = binned(np.maximum(expected - histogram.total * stayed, 0.0), edges)
    p_value = known.goodness[atoms].p_value
    if math.isfinite(p_value):
        words += f", p&nbsp;=&nbsp;{p_value:.2g}"
    return _Control(shots, binned(expected, edges), lost, words)
