"""The results as a sortable table, each value with its standard error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

STDERR = "_stderr"
# what a physicist looks at first; all other columns follow in the table's own order
FIRST = ("shot", "cloud", "label", "quality")
LAST = ("source", "picture", "message")
LENGTHS = ("wx", "wy", "x0", "y0")
UNIT_SUFFIXES = {"um": "µm", "nm": "nm", "mm": "mm", "m": "m"}
UNIT_SIGNS = {"pixel": "px", "deg": "°", "1": "", **UNIT_SUFFIXES}

POWERS = {"2": "²", "3": "³"}


@dataclass(frozen=True)
class Column:
    """One shown column: a column of the table, and that of its standard error if there is one."""

    name: str
    stderr: str | None
    title: str
    unit: str


def columns(table: pd.DataFrame) -> list[Column]:
    """Return the columns to show: each value with its standard error, the most asked for first."""
    names = [str(name) for name in table.columns if not str(name).endswith(STDERR)]
    physical = [n for n in names if n.rpartition("_")[2] in UNIT_SUFFIXES]
    first = [n for n in FIRST if n in names]
    fitted = [n for stem in LENGTHS for n in physical if n.rpartition("_")[0] == stem]
    fitted = fitted or [n for n in LENGTHS if n in names]
    fitted += [n for n in ("theta", "peak", "background", "score") if n in names]
    rest = [n for n in names if n not in first and n not in fitted]
    # what repeats itself, or is long, goes last
    last = [n for n in rest if n in LAST or n.startswith(("box_", "mask_"))]
    ordered = [*first, *fitted, *[n for n in rest if n not in last], *last]
    units = table.attrs.get("units", {})
    return [
        Column(n, n + STDERR if n + STDERR in table.columns else None, *_title(n, units.get(n)))
        for n in ordered
    ]


def value_text(value: Any, stderr: Any = None) -> str:
    """Return a number with its standard error, both to the error's second digit.

    >>> value_text(12.34567, 0.0123)
    '12.346 ± 0.012'
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if not isinstance(value, float):
        return str(value)
    if stderr is None or not math.isfinite(stderr) or stderr <= 0 or not math.isfinite(value):
        return f"{value:.4g}"
    digits = 1 - math.floor(math.log10(stderr))
    if -4 <= digits <= 6:
        decimals = max(digits, 0)
        return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"
    exponent = math.floor(math.log10(max(abs(value), stderr)))
    decimals = min(max(digits + exponent, 0), 9)
    scale = 10.0**exponent
    return f"({value / scale:.{decimals}f} ± {stderr / scale:.{decimals}f})e{exponent:+d}"


class ResultModel(QAbstractTableModel):
    """A pandas table as Qt sees it; nothing is copied, cells become text when they are shown."""

    SortRole = int(Qt.ItemDataRole.UserRole)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = pd.DataFrame()
        self._columns: list[Column] = []

    @property
    def table(self) -> pd.DataFrame:
        """The table shown."""
        return self._table

    def set_table(self, table: pd.DataFrame) -> None:
        """Show another table."""
        self.beginResetModel()
        self._table = table.reset_index(drop=True)
        self._columns = columns(table)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many rows there are."""
        return 0 if parent is not None and parent.isValid() else len(self._table)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many columns are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Return a cell's text, its value to sort by, or its tooltip with all digits."""
        if not index.isValid():
            return None
        column = self._columns[index.column()]
        if role not in (
            Qt.ItemDataRole.DisplayRole,
            Qt.ItemDataRole.ToolTipRole,
            Qt.ItemDataRole.TextAlignmentRole,
            self.SortRole,
        ):
            return None
        value = _plain(self._table.at[index.row(), column.name])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight
            if isinstance(value, str):
                side = Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == self.SortRole:
            return value
        stderr = _plain(self._table.at[index.row(), column.stderr]) if column.stderr else None
        if role == Qt.ItemDataRole.DisplayRole:
            return value_text(value, stderr)
        unit = f" {column.unit}" if column.unit else ""
        error = f" ± {stderr!r}" if stderr is not None else ""
        return f"{column.name} = {value}{error}{unit}"

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Return a column's heading, or its tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{column.title} ({column.unit})" if column.unit else column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            error = ", with its standard error" if column.stderr else ""
            return f"column {column.name} of the exported table{error}; click to sort"
        return None


class _Sorted(QSortFilterProxyModel):
    """Sorts by value, empty cells first; text by the alphabet."""

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        a, b = left.data(self.sortRole()), right.data(self.sortRole())
        empty_a, empty_b = _is_empty(a), _is_empty(b)
        if empty_a or empty_b:
            return empty_a and not empty_b
        try:
            return bool(a < b)
        except TypeError:
            return str(a) < str(b)


class ResultTable(QTableView):
    """The view: sortable, one row selected at a time, copied with Ctrl+C."""

    row_selected = Signal(int)
    """The row of the table (not of the sorted view) that was selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = ResultModel(self)
        self._sorted = _Sorted(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(ResultModel.SortRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAlternatingRowColors(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setResizeContentsPrecision(50)
        self.selectionModel().selectionChanged.connect(self._on_selection)

    @property
    def table(self) -> pd.DataFrame:
        """The table shown."""
        return self._model.table

    def set_table(self, table: pd.DataFrame, *, hide: Iterable[str] = ()) -> None:
        """Show another table, nothing selected; hidden columns are copied all the same."""
        self._model.set_table(table)
        for section, column in enumerate(columns(table)):
            self.setColumnHidden(section, column.name in set(hide))
        self.resizeColumnsToContents()
        for section in range(self._model.columnCount()):
            self.setColumnWidth(section, min(self.columnWidth(section), 180))

    def selected_row(self) -> int | None:
        """Return the row of the table that is selected, if any."""
        rows = self.selectionModel().selectedRows()
        return self._sorted.mapToSource(rows[0]).row() if rows else None

    def select(self, row: int | None) -> None:
        """Select a row of the table and scroll to it."""
        if row is None:
            self.clearSelection()
            return
        index = self._sorted.mapFromSource(self._model.index(row, 0))
        if index.isValid() and self.selected_row() != row:
            self.selectRow(index.row())
            self.scrollTo(index)

    def show_row(self, row: int) -> None:
        """Scroll to a row of the table, whatever is selected."""
        self.scrollTo(self._sorted.mapFromSource(self._model.index(row, 0)))

    def sizeHint(self) -> QSize:
        """Return a size that shows a few rows in a dock."""
        return QSize(340, 140)

    def keyPressEvent(self, event: Any) -> None:
        """Copy with Ctrl+C: the selected row, else all, as tab-separated text with a heading."""
        if event.matches(QKeySequence.StandardKey.Copy) and not self.table.empty:
            row = self.selected_row()
            rows = self.table if row is None else self.table.iloc[[row]]
            clipboard = QGuiApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(rows.to_csv(sep="\t", index=False))
            return
        super().keyPressEvent(event)

    def _on_selection(self, *_: object) -> None:
        row = self.selected_row()
        if row is not None:
            self.row_selected.emit(row)


def _title(name: str, unit: str | None) -> tuple[str, str]:
    """Return a column's heading and unit, the latter as the table states it or as its name says."""
    stem, _, suffix = name.rpartition("_")
    length = suffix.rstrip("23")
    if stem and length in UNIT_SUFFIXES:
        power = suffix.removeprefix(length)
        return stem.replace("_", " "), UNIT_SUFFIXES[length] + POWERS.get(power, "")
    if name == "reduced_chi2":
        return "χ²/dof", ""
    base, _, power = (unit or "").partition("^")
    return name.replace("_", " "), UNIT_SIGNS.get(base, base) + POWERS.get(power, power)


def _plain(value: Any) -> Any:
    """Return numpy's and pandas' scalars as Python's own."""
    if value is pd.NA or value is pd.NaT:
        return None
    return value.item() if hasattr(value, "item") else value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
