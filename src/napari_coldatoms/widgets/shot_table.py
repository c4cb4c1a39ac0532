"""A table of single shots: as many as there are, drawn as they come into sight."""

from __future__ import annotations

from typing import Any

import pandas as pd
from qtpy.QtCore import QSize
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_coldatoms.widgets.table import ResultModel

_MOST_COPIED = 100_000
_POSTERIOR = "posterior_"


class ShotTable(QTableView):
    """Shots in their order; not sorted, since there may be a million."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("shot_table")
        self._given = pd.DataFrame()
        self._model = ResultModel(self)
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
        likely = [str(name) for name in table.columns if str(name).startswith(_POSTERIOR)]
        shown = table.drop(columns=likely)
        names = {name: f"P{name.removeprefix(_POSTERIOR)}" for name in likely}
        for name, short in names.items():
            shown[short] = (100 * table[name]).round(2)
        shown.attrs["units"] = dict.fromkeys(names.values(), "%")
        self._model.set_table(shown)
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
