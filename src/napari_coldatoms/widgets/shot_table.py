"""A table of single shots: as many as there are, drawn as they come into sight."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

_MOST_COPIED = 100_000
_POSTERIOR = "posterior_"
_TOOLTIPS = {
    "shot": "number of the shot, from 0 on",
    "counts": "photon counts of the shot",
    "called": "atom number by the thresholds",
}


class _Shots(QAbstractTableModel):
    """Shots as Qt sees them; numbers become text when they are shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._columns: list[tuple[str, NDArray]] = []
        self._rows = 0

    def set_table(self, table: pd.DataFrame) -> None:
        """Show other shots."""
        self.beginResetModel()
        self._columns = [(str(name), table[name].to_numpy()) for name in table.columns]
        self._rows = len(table)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many shots there are."""
        return 0 if parent is not None and parent.isValid() else self._rows

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Return a cell's text."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        name, values = self._columns[index.column()]
        value = values[index.row()].item()
        if not math.isfinite(value) or value < 0:
            return "–"  # no atom number gives such counts, or there are no thresholds
        return f"{100 * value:.2f}" if name.startswith(_POSTERIOR) else str(value)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Return a column's heading, or its tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        name, _ = self._columns[section]
        atoms = name.removeprefix(_POSTERIOR)
        if role == Qt.ItemDataRole.DisplayRole:
            return name if atoms == name else f"P{atoms} (%)"
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TOOLTIPS.get(name, f"probability of {atoms} atoms, given the counts (%)")
        return None


class ShotTable(QTableView):
    """Shots in their order; not sorted, since there may be a million."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("shot_table")
        self._given = pd.DataFrame()
        self._model = _Shots(self)
        self.setModel(self._model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setResizeContentsPrecision(20)

    @property
    def table(self) -> pd.DataFrame:
        """The shots as they were given."""
        return self._given

    def show_shots(self, table: pd.DataFrame) -> None:
        """Show shots: columns shot, counts, called, posterior_0, posterior_1, ...

        Probabilities are shown in %; copied are the shots as they were given.
        """
        self._given = table
        self._model.set_table(table)
        self.resizeColumnsToContents()

    def sizeHint(self) -> QSize:
        """Return a size that shows some rows in a dock."""
        return QSize(340, 220)

    def keyPressEvent(self, event: Any) -> None:
        """Copy with Ctrl+C: the selected rows, else all, as tab-separated text with a heading."""
        if event.matches(QKeySequence.StandardKey.Copy) and not self.table.empty:
            chosen = sorted(index.row() for index in self.selectionModel().selectedRows())
            rows = self.table.iloc[chosen] if chosen else self.table.head(_MOST_COPIED)
            clipboard = QGuiApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(rows.to_csv(sep="\t", index=False))
            return
        super().keyPressEvent(event)
