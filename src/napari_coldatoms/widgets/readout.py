"""What was read out of an image of a lattice and of a series: numbers, histogram, drift, hops."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.lattice.pair_comparison import PARITY_NOTE, PairComparison
from napari_coldatoms.widgets.base import PREFERRED_WIDTH, button
from napari_coldatoms.widgets.controls import text_label
from napari_coldatoms.widgets.plots import legend_entry
from napari_coldatoms.widgets.readout_words import NUMBERS, PAIRS, BoolArray, image_words, pair_text
from napari_coldatoms.widgets.series_plot import SeriesPlot
from napari_coldatoms.widgets.site_plots import HistogramPlot


class ReadoutPanel(QWidget):
    """Numbers and histogram of the current image, and of a series drift and survival.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    threshold_moving = Signal(float)
    """While the line is dragged."""
    threshold_set = Signal(object)
    """A float when the line is let go; None for "automatic"."""
    brightness_selected = Signal(object)
    """(low, high) of the bars selected, or None; infinite where values beyond the plot belong."""
    image_selected = Signal(int)
    """Row of the table of shots of an image that was clicked."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("readout")
        self._unit = "photoelectrons"
        self._shown: tuple[SiteImage, BoolArray | None, bool] | None = None
        self.values: dict[str, QLabel] = {}
        self.histogram = HistogramPlot(theme_id)
        self.series = SeriesPlot(theme_id)
        self._image_part = self._make_image_part()
        self._pairs_part = self._make_pairs_part()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for part in (self._image_part, self.series, self._pairs_part):
            part.hide()
            layout.addWidget(part)
        self.histogram.threshold_moving.connect(self.threshold_moving)
        self.histogram.threshold_set.connect(self.threshold_set)
        self.histogram.range_selected.connect(self.brightness_selected)
        self.series.image_selected.connect(self.image_selected)

    def show_image(
        self,
        image: SiteImage | None,
        *,
        chosen: BoolArray | None = None,
        threshold: float | None = None,
    ) -> None:
        """Show an image's numbers and histogram.

        Parameters
        ----------
        image : SiteImage or None
            Judged as it shall be shown; None hides all of it.
        chosen : (n,) bool array, optional
            The sites of a region of interest.
        threshold : float, optional
            The threshold set by hand that it was judged by.
        """
        self._shown = None if image is None else (image, chosen, threshold is not None)
        self._image_part.setVisible(image is not None)
        if image is None:
            self.histogram.show_image(None)
            return
        by_hand = threshold is not None
        words = image_words(image, chosen=chosen, by_hand=by_hand, unit=self._unit)
        for key, label in self.values.items():
            if key in words:
                label.setText(words[key])
        if by_hand:
            self.values["threshold"].setText(f"{words['threshold']}, by hand")
        self.automatic_button.setVisible(by_hand)
        self.remarks.setText(words["remarks"])
        self.remarks.setVisible(bool(words["remarks"]))
        self.region.setVisible(chosen is not None)
        if chosen is not None:
            sites = int((chosen & image.found.valid).sum())
            self.region.setText(
                f"in the region: {sites} sites; atoms, filling, errors and histogram are theirs"
            )
        judged = image.found.has_contrast or by_hand
        self.histogram.show_image(image, chosen=chosen, judged=judged, unit=self._unit)
        self._caption()

    def show_series(
        self, shots: pd.DataFrame | None, comparison: PairComparison | None = None
    ) -> None:
        """Show what the table of shots tells of a series, and what happened between images.

        Parameters
        ----------
        shots : DataFrame or None
            One row per image.
        comparison : PairComparison, optional
            Of the first and second images of all shots.
        """
        unit = "" if shots is None else str(shots.attrs.get("units", {}).get("brightness", ""))
        if unit and unit != self._unit:
            self._unit = unit
            self._show_again()
        several = shots is not None and len(shots) > 1
        self.series.setVisible(several)
        if shots is not None and several:
            self.series.show_shots(shots)
        self._pairs_part.setVisible(comparison is not None)
        if comparison is not None:
            for name, _, _ in PAIRS:
                self.values[name].setText(pair_text(getattr(comparison, name)))
            corrected = ", corrected for detection errors" if comparison.corrected else ""
            self.pairs_caption.setText(
                f"From the first image to the second: {comparison.atoms:.0f} atoms in "
                f"{comparison.pairs} pair{'s' if comparison.pairs != 1 else ''}{corrected}; "
                f"{100 * comparison.confidence:.0f} % intervals"
            )

    def mark_image(self, number: int | None) -> None:
        """Mark the image of this row of the table in the plot of the series."""
        self.series.mark_image(number)

    def mark_sites(self, selected: BoolArray | None) -> None:
        """Show sites, (n,) bool, as the filled part of their bars."""
        self.histogram.mark_sites(selected)
        self._caption()

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self.histogram.set_theme(theme_id)
        self.series.set_theme(theme_id)
        self._caption()

    def sizeHint(self) -> QSize:
        """Return a size that has room for words in several lines."""
        hint, layout = super().sizeHint(), self.layout()
        width = self.width() if self.isVisible() else PREFERRED_WIDTH
        if layout is None or not layout.hasHeightForWidth():
            return hint
        return QSize(hint.width(), layout.heightForWidth(width))

    def resizeEvent(self, event: Any) -> None:
        """Ask for another height where the width has changed."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def _set_automatic(self) -> None:
        self.threshold_set.emit(None)

    def _show_again(self) -> None:
        if self._shown is not None:
            image, chosen, by_hand = self._shown
            self.show_image(
                image, chosen=chosen, threshold=image.found.threshold if by_hand else None
            )

    def _make_image_part(self) -> QWidget:
        part = QWidget()
        layout = QVBoxLayout(part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.region = text_label("readout_region", "a region of interest restricts what is counted")
        self.remarks = text_label("readout_remarks", "what you should know of this image")
        layout.addWidget(self.region)
        grid = _grid()
        for key, label, at_row, column, columns, tooltip in NUMBERS:
            self._add_number(grid, key, label, at_row, column, columns, tooltip)
        self.automatic_button = button(
            "automatic",
            "threshold_automatic",
            "judge by probability again, and no more by the threshold set by hand",
            self._set_automatic,
        )
        # the histogram shall not move while the line in it is dragged
        policy = self.automatic_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.automatic_button.setSizePolicy(policy)
        grid.addWidget(self.automatic_button, 3, 3)
        layout.addLayout(grid)
        layout.addWidget(self.remarks)
        self.histogram.setObjectName("histogram")
        self.histogram.setMinimumHeight(165)
        self.histogram.setToolTip(
            "how bright the sites are: drag the line to set the threshold by "
            "hand; click a bar or drag over bars to select their sites, Shift extends, Escape "
            "selects nothing; Ctrl+wheel zooms, a double click shows all"
        )
        layout.addWidget(self.histogram, 1)
        foot = QHBoxLayout()
        foot.setContentsMargins(0, 0, 0, 0)
        self.histogram_caption = text_label("histogram_caption", "what the histogram shows")
        self.log_check = QCheckBox("log")
        self.log_check.setObjectName("histogram_log")
        self.log_check.setToolTip("number of sites on a logarithmic scale")
        self.log_check.toggled.connect(self.histogram.set_log)
        foot.addWidget(self.histogram_caption, 1)
        foot.addWidget(self.log_check, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(foot)
        return part

    def _make_pairs_part(self) -> QWidget:
        part = QWidget()
        layout = QVBoxLayout(part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.pairs_caption = text_label("pairs_caption", PARITY_NOTE)
        layout.addWidget(self.pairs_caption)
        grid = _grid()
        for at_row, (key, label, tooltip) in enumerate(PAIRS):
            self._add_number(grid, key, label, at_row, 0, 3, f"{tooltip} (%). {PARITY_NOTE}")
        layout.addLayout(grid)
        return part

    def _add_number(
        self,
        grid: QGridLayout,
        key: str,
        label: str,
        at_row: int,
        column: int,
        columns: int,
        tooltip: str,
    ) -> None:
        name, value = QLabel(label), QLabel()
        value.setObjectName(f"readout_{key}")
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        for one in (name, value):
            one.setToolTip(tooltip)
        top = Qt.AlignmentFlag.AlignTop  # a value may have two lines
        grid.addWidget(name, at_row, column, top)
        grid.addWidget(value, at_row, column + 1, 1, columns, top)
        self.values[key] = value

    def _caption(self) -> None:
        if self._shown is None:
            return
        image, chosen, by_hand = self._shown
        unsure = image.uncertain if chosen is None else image.uncertain & chosen
        colors = self.histogram.colors
        if image.found.has_contrast or by_hand:
            kinds = [(colors.empty, "empty"), (colors.atom, "occupied")]
        else:
            kinds = []
        if self.histogram.marked:
            kinds.append((colors.marked, f"{self.histogram.marked} selected"))
        words = " ".join(legend_entry(color, name) for color, name in kinds)
        parts = [words] if words else []
        if unsure.any() and (image.found.has_contrast or by_hand):
            parts.append("lighter: uncertain")
        if self.histogram.has_curves:
            parts.append("curves: the two modes")
        dark, bright = self.histogram.beyond
        far = [f"{n}&nbsp;{word}" for n, word in ((dark, "darker"), (bright, "brighter")) if n]
        if far:
            parts.append(f"in the outermost bars {', '.join(far)} than shown")
        self.histogram_caption.setText("; ".join(parts) or "brightness of the sites, one mode")


def _grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(8)
    grid.setVerticalSpacing(2)
    grid.setColumnStretch(1, 1)
    grid.setColumnStretch(3, 1)
    return grid
