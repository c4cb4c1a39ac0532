"""The histogram of an unknown sample, with its fit, its atom numbers and what the fit leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_coldatoms.photons.fit import AtomNumberFit
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.thresholds import Thresholds
from napari_coldatoms.widgets.control_plots import ControlsPlot
from napari_coldatoms.widgets.controls import check, text_label
from napari_coldatoms.widgets.count_bars import (
    CountBars,
    count_bars,
    counts_text,
    expected_text,
    outline,
)
from napari_coldatoms.widgets.run_chart import RunChart
from napari_coldatoms.widgets.stacked_plot import StackedPlot, scaled, shade

FloatArray = NDArray[np.float64]

__all__ = ["ControlsPlot", "RunChart", "SamplePlot"]

_HEADROOM = 1.18
_DATA, _PART, _BAND = 70, 95, 28  # opacity of bars, atom numbers, the band of ±2 (of 255)
_VEIL = 170  # ... and of what is behind the numbers at the peaks
_LEAST_LABELLED = 0.01  # of the shots, for the atom number to be written at its peak
_RESIDUALS = 3.5  # standard deviations that are always shown
_MOST_RESIDUAL = 12.0  # ... and that are shown at most
_HEIGHT = 250
_TOOLTIP = (
    "Bars: shots of the sample. Filled: what the fit expects of each atom number; line: their sum. "
    "Below: shots less expected ones in standard deviations, bins of fewer than 5 expected shots "
    "taken together; the band is ± 2.\n"
    "Move the pointer over the plot for numbers; click to look at single shots with these counts; "
    "dragging moves, Ctrl+wheel zooms, a double click shows all."
)


class SamplePlot(QWidget):
    """The histogram of a sample: bars, fit, atom numbers, residuals, and numbers at the pointer.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    count_picked = Signal(int)
    """Number of counts of the bar that was clicked; the smallest one of a wider bar."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("count_sample")
        self._posterior: FloatArray | None = None
        self._hovered: float | None = None
        self.plot = _Histogram(theme_id)
        self.plot.setObjectName("count_sample_plot")
        self.plot.setToolTip(_TOOLTIP)
        self.plot.setMinimumHeight(_HEIGHT)
        self.legend = text_label("count_sample_legend", "what the colours are")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.log_check = check(
            "log", "count_sample_log", "numbers of shots on a logarithmic axis: shows the tails"
        )
        self.readout = text_label(
            "count_sample_readout",
            "numbers at the pointer: counts, shots, what the fit expects, and the probability of "
            "each atom number for a single shot with these counts",
        )
        # two lines, so that nothing moves when words come and go
        self.readout.setMinimumHeight(2 * self.readout.fontMetrics().lineSpacing() + 2)
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.legend, 1)
        top.addWidget(self.log_check)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)
        self.log_check.toggled.connect(self.set_log)
        self.plot.hovered.connect(self._on_hovered)
        self.plot.clicked.connect(self._on_clicked)
        self._tell()

    @property
    def bars(self) -> CountBars | None:
        """What is drawn; None where there is no sample."""
        return self.plot.bars

    def show_sample(
        self,
        histogram: Histogram | None,
        fit: AtomNumberFit | None = None,
        cuts: Thresholds | Sequence[int] | None = None,
    ) -> None:
        """Show a sample; the posterior given before is forgotten.

        Parameters
        ----------
        histogram : Histogram or None
            None shows nothing.
        fit : AtomNumberFit, optional
            Of this sample.
        cuts : Thresholds or (atoms,) int, optional
            From so many counts on a shot is called one with one atom more.
        """
        numbers = cuts.cuts.tolist() if isinstance(cuts, Thresholds) else cuts or ()
        self._posterior = None
        self._hovered = None
        self.plot.show_sample(histogram, fit, tuple(numbers))
        self._tell()

    def set_posterior(self, posterior: ArrayLike | None) -> None:
        """Set the probability of each atom number for single shots, which is told at the pointer.

        Parameters
        ----------
        posterior : (max_count + 1, atoms + 1) array or None
            For shots of 0, 1, 2, ... counts, as from `photons.posterior`; NaN where no atom number
            gives these counts.
        """
        values = None if posterior is None else np.asarray(posterior, dtype=np.float64)
        if values is not None and values.ndim != 2:
            raise ValueError(
                "expected a posterior of two dimensions, counts and atom numbers, found shape "
                f"{values.shape}"
            )
        self._posterior = values
        self._tell()

    def set_log(self, log: bool) -> None:
        """Show the numbers of shots on a logarithmic axis, or not."""
        self.log_check.setChecked(log)
        self.plot.set_log(log)

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self.plot.set_theme(theme_id)
        self._tell()

    def words_at(self, n: int) -> str:
        """Return what is known of shots with n counts; empty beside all bars."""
        bars = self.bars
        bar = None if bars is None else bars.bar_of(n)
        if bars is None or bar is None:
            return ""
        first, last = bars.counts_of(bar)
        counts = counts_text(first, last)
        shots = round(bars.shots[bar])
        words = f"<b>{counts}</b>: {shots} shot{'s' * (shots != 1)}"
        if bars.expected is not None:
            words += f", {expected_text(bars.expected[bar])} expected"
        return f"{words}<br>{self._posterior_words(n)}"

    def _posterior_words(self, n: int) -> str:
        if self._posterior is None or not 0 <= n < len(self._posterior):
            return ""
        shares = self._posterior[n]
        if not np.isfinite(shares).all():
            return "no atom number gives these counts"
        return " &nbsp;".join(
            f"{self._sign(atoms)}&nbsp;{atoms}:&nbsp;{_percent(share)}"
            for atoms, share in enumerate(shares)
        )

    def _sign(self, atoms: int) -> str:
        return f'<span style="color:{self.plot.colors.of_atoms(atoms)}">■</span>'

    def _tell(self) -> None:
        bars = self.bars
        parts = []
        if bars is not None:
            parts.append("▒&nbsp;shots")
        if bars is not None and bars.components is not None:
            parts.append("<b>—</b>&nbsp;fit")
            parts += [f"{self._sign(atoms)}&nbsp;{atoms}" for atoms in range(len(bars.components))]
            parts[-1] += "&nbsp;atoms"
        self.legend.setText(" &nbsp;".join(parts))
        place = None
        if bars is not None and self._hovered is not None:
            n = round(self._hovered)
            bar = bars.bar_of(n)
            place = None if bar is None else float(bars.middle[bar])
            self.readout.setText(self.words_at(n))
        if place is None:
            self.readout.setText("")
        self.plot.mark_hover(place)

    def _on_hovered(self, x: float | None) -> None:
        self._hovered = x
        self._tell()

    def _on_clicked(self, x: float) -> None:
        bars = self.bars
        bar = None if bars is None else bars.bar_of(round(x))
        if bars is not None and bar is not None:
            self.count_picked.emit(bars.counts_of(bar)[0])


class _Histogram(StackedPlot):
    """The plot itself."""

    def __init__(self, theme_id: str) -> None:
        super().__init__()
        self.bars: CountBars | None = None
        self._cuts: tuple[int, ...] = ()
        self._log = False
        self._parts: list[Any] = []
        self._labels: list[Any] = []
        self._lines: list[Any] = []
        self._main, self._rest = self.set_rows([3, 1])
        self._data = pg.PlotCurveItem()
        self._sum = pg.PlotCurveItem(antialias=True)
        self._sum.setZValue(5)
        self._band = pg.LinearRegionItem((-2, 2), orientation="horizontal", movable=False)
        self._band.setZValue(-10)
        self._zero = pg.InfiniteLine(0, angle=0)
        self._residuals = pg.PlotCurveItem()
        for item in (self._data, self._sum):
            self._main.addItem(item, ignoreBounds=True)
        for item in (self._band, self._zero, self._residuals):
            self._rest.addItem(item, ignoreBounds=True)
        self._rest.getAxis("left").setStyle(maxTickLevel=0)
        self.set_theme(theme_id)

    def show_sample(
        self, histogram: Histogram | None, fit: AtomNumberFit | None, cuts: tuple[int, ...]
    ) -> None:
        before = self.bars
        self.bars = None if histogram is None else count_bars(histogram, fit)
        self._cuts = cuts
        self.draw()
        now = self.bars
        if now is None:
            return
        if before is None or not np.array_equal(before.edges, now.edges):
            self.set_limits(float(now.edges[0]), float(now.edges[-1]))
            self.show_all()

    def set_log(self, log: bool) -> None:
        self._log = log
        self._main.getAxis("left").setLogMode(x=False, y=log)
        self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
        bars, colors = self.bars, self.colors
        fitted = bars is not None and bars.components is not None
        below, title = ("σ", "photon counts of a shot") if bars is not None else ("", "")
        self.set_labels(self._main, left="shots" if bars else "", bottom=title)
        self.set_labels(self._rest, left=below, bottom=title)
        self.set_empty(self._main, bars is None)
        self.show_lower(fitted)
        self._draw_bars()
        self._draw_parts()
        self._draw_residuals()
        self._draw_cuts()
        self._band.setBrush(shade(colors.text, _BAND))
        for edge in self._band.lines:
            edge.setPen(pg.mkPen(None))
        self._zero.setPen(pg.mkPen(colors.text, width=1))

    def _draw_bars(self) -> None:
        bars, colors = self.bars, self.colors
        if bars is None:
            self._data.setData([], [])
            self._sum.setData([], [])
            return
        floor = scaled(np.zeros(1), log=self._log)[0]
        self._data.setData(
            *outline(bars.edges, scaled(bars.shots, log=self._log)),
            fillLevel=floor,
            brush=shade(colors.text, _DATA),
            pen=pg.mkPen(colors.axis, width=1),
        )
        top = max(bars.shots.max(), 3.0)
        if bars.expected is None:
            self._sum.setData([], [])
        else:
            top = max(top, bars.expected.max())
            self._sum.setData(
                *bars.curve(scaled(bars.expected, log=self._log)),
                pen=pg.mkPen(colors.text, width=2),
            )
        high = scaled(np.array([top]), log=self._log)[0]
        self._main.setYRange(floor, floor + _HEADROOM * (high - floor), padding=0)

    def _draw_parts(self) -> None:
        bars, colors = self.bars, self.colors
        components = None if bars is None else bars.components
        number = 0 if components is None else len(components)
        while len(self._parts) < number:
            self._parts.append(pg.PlotCurveItem(antialias=True))
            self._labels.append(pg.TextItem(anchor=(0.5, 1.0)))
            self._labels[-1].setZValue(6)
            self._main.addItem(self._parts[-1], ignoreBounds=True)
            self._main.addItem(self._labels[-1], ignoreBounds=True)
        for part, label in zip(self._parts[number:], self._labels[number:], strict=True):
            part.setData([], [])
            label.setVisible(False)
        if bars is None or components is None:
            return
        floor = scaled(np.zeros(1), log=self._log)[0]
        for atoms, shots in enumerate(components):
            color = colors.of_atoms(atoms)
            height = scaled(shots, log=self._log)
            self._parts[atoms].setData(
                *bars.curve(height),
                fillLevel=floor,
                brush=shade(color, _PART),
                pen=pg.mkPen(color, width=1.5),
            )
            peak = int(np.argmax(shots))
            label = self._labels[atoms]
            label.setVisible(bool(shots.sum() > _LEAST_LABELLED * bars.shots.sum()))
            label.setText(str(atoms), color=color)
            label.fill = shade(colors.background, _VEIL)
            label.setPos(bars.middle[peak], height[peak])

    def _draw_residuals(self) -> None:
        bars, colors = self.bars, self.colors
        if bars is None or not len(bars.residuals):
            self._residuals.setData([], [])
            reach = _RESIDUALS
        else:
            most = float(np.abs(bars.residuals).max())
            reach = min(max(_RESIDUALS, 1.1 * most), _MOST_RESIDUAL)
            self._residuals.setData(
                *outline(bars.residual_edges, np.clip(bars.residuals, -reach, reach)),
                fillLevel=0.0,
                brush=shade(colors.data, 150),
                pen=pg.mkPen(colors.data, width=1),
            )
        self._rest.setYRange(-reach, reach, padding=0)

    def _draw_cuts(self) -> None:
        for line in self._lines:
            self._main.removeItem(line)
        self._lines = []
        if self.bars is None:
            return
        for cut in self._cuts:
            line = pg.InfiniteLine(cut - 0.5, angle=90)
            line.setPen(pg.mkPen(self.colors.text, width=1, style=Qt.PenStyle.DashLine))
            self._main.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def sizeHint(self) -> QSize:
        """Return a size that leaves room for the rest of a dock."""
        return QSize(340, _HEIGHT)


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "&lt;&nbsp;0.1&nbsp;%"
    if 0.999 < share < 1:
        return "&gt;&nbsp;99.9&nbsp;%"
    return f"{100 * share:.1f}&nbsp;%"
