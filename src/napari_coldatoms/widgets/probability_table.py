"""The probabilities of atom numbers with their intervals, as a small table that can be copied."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QColor, QGuiApplication, QIcon, QKeySequence, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QAction,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_coldatoms.widgets.plots import plot_colors

_ROW = 24  # px
_MOST = 6  # rows that are shown without scrolling
_SWATCH = 10  # px


class ProbabilityTable(QTableWidget):
    """One row for each atom number: its probability in %, and the interval.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``: of the colours, which are those of the plots.
    """

    def __init__(self, theme_id: str = "dark", parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setObjectName("count_probabilities")
        self.setToolTip(
            "how many of the shots began with so many atoms; Ctrl+C, or the menu of the right "
            "mouse button, copies the table with all digits"
        )
        self._table = pd.DataFrame()
        self._colors = plot_colors(theme_id)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.verticalHeader().setMinimumSectionSize(_ROW)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setHighlightSections(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        copy = QAction("Copy", self)
        copy.triggered.connect(self.copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.show_table(None)

    @property
    def table(self) -> pd.DataFrame:
        """The table shown, as it was given."""
        return self._table

    def show_table(self, table: pd.DataFrame | None) -> None:
        """Show probabilities.

        Parameters
        ----------
        table : pandas.DataFrame or None
            Columns atoms, probability, and low and high where there are intervals; their level is
            in ``attrs["level"]``. None shows nothing.
        """
        self._table = pd.DataFrame() if table is None else table
        level = self._table.attrs.get("level")
        interval = "interval" if level is None else f"{100 * level:.4g} % interval"
        self.setHorizontalHeaderLabels(["atoms", "shots (%)", f"{interval} (%)"])
        tips = (
            "number of atoms at the beginning of the exposure",
            "share of the shots that began with so many atoms",
            "from the bootstrap: so many of the resampled measurements lie in it"
            if level is None
            else f"from the bootstrap: {100 * level:.4g} % of the resampled measurements lie in it",
        )
        for column, tip in enumerate(tips):
            self.horizontalHeaderItem(column).setToolTip(tip)
        self.setRowCount(len(self._table))
        for row in range(len(self._table)):
            atoms, *shares = self._row(row)
            values = (str(atoms), *share_texts(*shares))
            for column, text in enumerate(values):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.setItem(row, column, item)
        self._paint()
        self._fit_height()

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self._colors = plot_colors(theme_id)
        self._paint()

    def copy(self) -> None:
        """Copy the table, with all digits, as tab-separated text with a heading."""
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None and not self._table.empty:
            clipboard.setText(self._table.to_csv(sep="\t", index=False))

    def keyPressEvent(self, event: Any) -> None:
        """Copy with Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
            return
        super().keyPressEvent(event)

    def changeEvent(self, event: Any) -> None:
        """Keep all rows in sight when the font changes."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit_height()

    def sizeHint(self) -> QSize:
        """Return a size that shows all rows, if they are not too many."""
        rows = min(max(self.rowCount(), 1), _MOST)
        height = self.horizontalHeader().sizeHint().height() + rows * _ROW
        return QSize(300, height + 2 * self.frameWidth())

    def minimumSizeHint(self) -> QSize:
        """Return what `sizeHint` does, but narrow."""
        return QSize(160, self.sizeHint().height())

    def _row(self, row: int) -> tuple[int, float, float, float]:
        found = self._table.iloc[row]
        low, high = (float(found.get(name, math.nan)) for name in ("low", "high"))
        return int(found["atoms"]), float(found["probability"]), low, high

    def _paint(self) -> None:
        for row in range(self.rowCount()):
            item = self.item(row, 0)
            if item is not None:
                swatch = QPixmap(_SWATCH, _SWATCH)
                swatch.fill(QColor(self._colors.of_atoms(int(self._table.iloc[row]["atoms"]))))
                item.setIcon(QIcon(swatch))

    def _fit_height(self) -> None:
        self.updateGeometry()


def share_texts(value: float, low: float, high: float) -> tuple[str, str]:
    """Return a share and its interval in %, to the second digit of the interval's half.

    >>> share_texts(0.30127, 0.2857, 0.3169)
    ('30.1', '28.6 – 31.7')
    """
    half = 50 * (high - low)
    decimals = 1
    if np.isfinite(half) and half > 1e-6:  # not where nothing is left but rounding
        decimals = min(max(1 - math.floor(math.log10(half)), 0), 4)
    text = "–" if not math.isfinite(value) else f"{100 * value:.{decimals}f}"
    if not math.isfinite(half):
        return text, "–"
    return text, f"{100 * low:.{decimals}f} – {100 * high:.{decimals}f}"
