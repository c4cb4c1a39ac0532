"""The histogram of an unknown sample, with its fit, its atom numbers and what the fit leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_coldatoms.photons.fit import AtomNumberFit
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.thresholds import Thresholds
from napari_coldatoms.widgets.captioned_plot import CaptionedPlot
from napari_coldatoms.widgets.control_plots import ControlsPlot
from napari_coldatoms.widgets.controls import check, text_label
from napari_coldatoms.widgets.count_bars import (
    CountBars,
    counts_text,
    expected_text,
)
from napari_coldatoms.widgets.plots import colored
from napari_coldatoms.widgets.run_chart import RunChart
from napari_coldatoms.widgets.sample_histogram import HEIGHT, SampleHistogram

FloatArray = NDArray[np.float64]

__all__ = ["ControlsPlot", "RunChart", "SamplePlot"]

_TOOLTIP = (
    "Bars: shots of the sample. Filled: what the fit expects of each atom number; line: their sum. "
    "Below: shots less expected ones in standard deviations, bins of fewer than 5 expected shots "
    "taken together; the band is ± 2.\n"
    "Move the pointer over the plot for numbers; click to look at single shots with these counts; "
    "dragging moves, Ctrl+wheel zooms, a double click shows all."
)


class SamplePlot(CaptionedPlot):
    """The histogram of a sample: bars, fit, atom numbers, residuals, and numbers at the pointer.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    plot: SampleHistogram

    count_picked = Signal(int)
    """Number of counts of the bar that was clicked; the smallest one of a wider bar."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        readout = text_label(
            "count_sample_readout",
            "numbers at the pointer: counts, shots, what the fit expects, and the probability of "
            "each atom number for a single shot with these counts",
            lines=2,
        )
        super().__init__(
            SampleHistogram(theme_id),
            readout,
            names=("count_sample", "count_sample_plot"),
            tooltip=_TOOLTIP,
            parent=parent,
        )
        self._posterior: FloatArray | None = None
        self.readout = readout
        self.plot.setMinimumHeight(HEIGHT)
        self.legend = text_label("count_sample_legend", "what the colours are")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.log_check = check(
            "log", "count_sample_log", "numbers of shots on a logarithmic axis: shows the tails"
        )
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.addWidget(self.legend, 1)
        top.addWidget(self.log_check)
        self.rows.insertLayout(0, top)
        self.log_check.toggled.connect(self.set_log)
        self.plot.clicked.connect(self._on_clicked)
        self.tell()

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
        self.tell()

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
        self.tell()

    def set_log(self, log: bool) -> None:
        """Show the numbers of shots on a logarithmic axis, or not."""
        self.log_check.setChecked(log)
        self.plot.set_log(log)

    def words_at(self, n: int, /) -> str:
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
        return colored(self.plot.colors.of_atoms(atoms))

    def tell(self) -> None:
        """Say anew what the colours are, and what is at the pointer."""
        super().tell()
        bars = self.bars
        parts = []
        if bars is not None:
            parts.append("▒&nbsp;shots")
        if bars is not None and bars.components is not None:
            parts.append("<b>—</b>&nbsp;fit")
            parts += [f"{self._sign(atoms)}&nbsp;{atoms}" for atoms in range(len(bars.components))]
            parts[-1] += "&nbsp;atoms"
        self.legend.setText(" &nbsp;".join(parts))

    def place_of(self, x: float) -> float:
        """Return the middle of the bar."""
        bars = self.bars
        bar = None if bars is None else bars.bar_of(round(x))
        return x if bars is None or bar is None else float(bars.middle[bar])

    def _on_clicked(self, x: float) -> None:
        bars = self.bars
        bar = None if bars is None else bars.bar_of(round(x))
        if bars is not None and bar is not None:
            self.count_picked.emit(bars.counts_of(bar)[0])


def _percent(share: float) -> str:
    if 0 < share < 0.001:
        return "&lt;&nbsp;0.1&nbsp;%"
    if 0.999 < share < 1:
        return "&gt;&nbsp;99.9&nbsp;%"
    return f"{100 * share:.1f}&nbsp;%"
