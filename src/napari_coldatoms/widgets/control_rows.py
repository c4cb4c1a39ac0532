"""The counts there are: a row for the sample, and one for the control of each atom number."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_coldatoms.widgets.count_places import SAMPLE, CountEntry, Place, title_of

_TITLE, _SHOTS, _MEAN, _TOOL, _GAP = 60, 52, 40, 22, 5  # widths (px)
_FEWEST = 3  # controls of 0, 1 and 2 atoms are always there to be filled


class ControlRows(QWidget):
    """One row for each place of counts; files are dropped on it, or chosen by its buttons."""

    dropped = Signal(object, object)
    """The place, and a list of paths."""
    browse_asked = Signal(object)
    """The place that a file is to be chosen for."""
    cleared = Signal(object)
    """The place that is to be empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("control_rows")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(1)
        self._layout.addWidget(_heads())
        self.rows: dict[Place, CountRow] = {}
        self.show_entries({})

    def show_entries(self, entries: Mapping[Place, CountEntry]) -> None:
        """Show what counts there are."""
        highest = max((place for place in entries if isinstance(place, int)), default=-1)
        # room for one atom more than there are controls, from two on
        number = max(_FEWEST, highest + 2) if highest >= _FEWEST - 1 else _FEWEST
        wanted: list[Place] = [*range(number), SAMPLE]
        if wanted != list(self.rows):
            self._set_rows(wanted)
        for place, row in self.rows.items():
            row.show_entry(entries.get(place))

    def _set_rows(self, wanted: list[Place]) -> None:
        for place in [place for place in self.rows if place not in wanted]:
            row = self.rows.pop(place)
            self._layout.removeWidget(row)
            row.hide()
            row.deleteLater()
        made = {place: self.rows.get(place) or self._made(place) for place in wanted}
        for at, row in enumerate(made.values()):
            self._layout.insertWidget(at + 1, row)
        self.rows = made

    def _made(self, place: Place) -> CountRow:
        row = CountRow(place)
        row.dropped.connect(lambda paths: self.dropped.emit(place, paths))
        row.open_button.clicked.connect(lambda: self.browse_asked.emit(place))
        row.clear_button.clicked.connect(lambda: self.cleared.emit(place))
        return row


class CountRow(QFrame):
    """The counts in one place: where they are from, how many shots, their mean."""

    dropped = Signal(object)

    def __init__(self, place: Place, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place = place
        self.setObjectName(f"counts_{place}")
        self.setAcceptDrops(True)
        what = (
            "shots with unknown atom numbers"
            if place == SAMPLE
            else (f"control shots, prepared with {title_of(place)}")
        )
        self.setToolTip(f"{what}: drop a file of counts here")
        self.title = QLabel(title_of(place))
        self.title.setFixedWidth(_TITLE)
        self.source = _ElidedLabel()
        self.source.setObjectName(f"counts_{place}_source")
        self.shots = _number(f"counts_{place}_shots", _SHOTS)
        self.mean = _number(f"counts_{place}_mean", _MEAN)
        self.open_button = _tool("…", f"counts_{place}_open", f"choose a file: {what}")
        self.clear_button = _tool("×", f"counts_{place}_clear", f"take these counts out: {what}")
        _in_line(
            self,
            self.title,
            self.source,
            self.shots,
            self.mean,
            self.open_button,
            self.clear_button,
        )
        self.show_entry(None)

    def show_entry(self, entry: CountEntry | None) -> None:
        """Show where counts are from, and how many."""
        self.clear_button.setEnabled(entry is not None)
        self.source.setEnabled(entry is not None)
        if entry is None:
            self.source.set_text("drop a file here" if self.place == SAMPLE else "–", "")
            for number in (self.shots, self.mean):
                number.setText("")
                number.setToolTip("")
            return
        paths = [*map(str, entry.paths)] or [entry.source]
        mark = "⚠ " if entry.remarks else ""
        self.source.set_text(mark + entry.source, "\n".join([*paths, *entry.remarks]))
        counts = entry.histogram
        self.shots.setText(f"{counts.total:,}".replace(",", "\u2009"))
        self.mean.setText(f"{counts.mean:.3g}")
        order = "in their order" if counts.in_order is not None else "as a histogram"
        words = (
            f"{counts.total} shots {order}, {counts.mean:.4f} counts on the average, variance "
            f"{counts.variance:.4f}, at most {counts.max_count}"
        )
        for number in (self.shots, self.mean):
            number.setToolTip(words)

    def dragEnterEvent(self, event: Any) -> None:
        """Take files."""
        if local_files(event):
            self._mark(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: Any) -> None:
        """Look as before."""
        self._mark(False)

    def dropEvent(self, event: Any) -> None:
        """Tell which files were dropped here."""
        paths = local_files(event)
        self._mark(False)
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def _mark(self, on: bool) -> None:
        name = self.objectName()
        self.setStyleSheet(f"#{name} {{ border: 1px solid palette(highlight); }}" if on else "")


def _heads() -> QWidget:
    """Return the names of the columns."""
    heads = QWidget()
    title, source = QLabel(""), QLabel("from")
    title.setFixedWidth(_TITLE)
    shots, mean = _number("head_shots", _SHOTS), _number("head_mean", _MEAN)
    shots.setText("shots")
    mean.setText("mean")
    for each in (source, shots, mean):
        each.setEnabled(False)
    room = QWidget()  # above the buttons
    room.setFixedWidth(2 * _TOOL + _GAP)
    _in_line(heads, title, source, shots, mean, room)
    return heads


def _in_line(parent: QWidget, *parts: QWidget) -> None:
    layout = QHBoxLayout(parent)
    layout.setContentsMargins(2, 0, 2, 0)
    layout.setSpacing(_GAP)
    for at, part in enumerate(parts):
        layout.addWidget(part, 1 if at == 1 else 0)


def _number(name: str, width: int) -> QLabel:
    made = QLabel()
    made.setObjectName(name)
    made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    made.setMinimumWidth(width)
    return made


class _ElidedLabel(QLabel):
    """A line whose middle is left out where it does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_text(self, text: str, tooltip: str) -> None:
        self._text = text
        self.setToolTip(tooltip)
        self._elide()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics = self.fontMetrics()
        shown = metrics.elidedText(self._text, Qt.TextElideMode.ElideMiddle, max(self.width(), 20))
        self.setText(shown)


def local_files(event: Any) -> list[Path]:
    """Return the files that are dragged."""
    mime = event.mimeData()
    if mime is None or not mime.hasUrls():
        return []
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def _tool(text: str, name: str, tooltip: str) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setFixedWidth(_TOOL)
    made.setObjectName(name)
    made.setToolTip(tooltip)
    return made
