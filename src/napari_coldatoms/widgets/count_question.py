"""What a file of counts leaves open: asked in the dock, not in a window of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QFrame, QVBoxLayout, QWidget

from napari_coldatoms.readers.count_files import CountFile
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.controls import choice, text_label
from napari_coldatoms.widgets.count_places import (
    MOST_ATOMS,
    SAMPLE,
    CountEntry,
    Place,
    by_prepared,
    entry_of,
    joined,
    place_by_name,
    placed,
    title_of,
)

_OPTION = re.compile(r" \(layout='\w+'\)")
AS_READ, PREPARED = "as read", "prepared"
ALL = "all"
_LAYOUTS = {
    "counts": "counts of each shot",
    "histogram": "histogram (n, occurrences)",
    "prepared": "counts with the prepared atom number",
}


class FileQuestion(QFrame):
    """Asks how a file is to be read, which of its series is meant, and where it belongs."""

    answered = Signal()
    """`entries` shall be taken."""
    skipped = Signal()
    reread = Signal(object, object)
    """The path, and the layout that it is to be read with."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("file_question")
        self.file: CountFile | None = None
        self.wanted: Place | None = None
        self.layout_read: Layout | None = None
        """What the file was read with."""
        self.words = text_label("file_question_words", "what the file leaves open")
        self.layout_choice = choice(
            "file_layout", "what the columns of the file hold", [("", AS_READ)]
        )
        self.series_choice = choice("file_series", "which counts of the file are meant", [])
        self.place_choice = choice("file_place", "where these counts belong", [])
        self.take_button = button("Take", "file_take", "take the counts so", self.answered.emit)
        self.skip_button = button(
            "Skip", "file_skip", "take nothing of this file", self.skipped.emit
        )
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setVerticalSpacing(3)
        self._form.addRow("read as", self.layout_choice)
        self._form.addRow("counts", self.series_choice)
        self._form.addRow("they are of", self.place_choice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(3)
        layout.addWidget(self.words)
        layout.addLayout(self._form)
        layout.addLayout(row(self.take_button, self.skip_button))
        self.setStyleSheet("#file_question { border: 1px solid palette(highlight); }")
        self.layout_choice.activated.connect(self._on_layout)
        self.series_choice.currentIndexChanged.connect(self._show_places)
        self.hide()

    def ask(
        self, file: CountFile, wanted: Place | None = None, layout: Layout | None = None
    ) -> None:
        """Ask about a file, read with a layout; `wanted` is where the user has put it."""
        self.file, self.wanted, self.layout_read = file, wanted, layout
        # what it is called for scripts is no help here
        self.words.setText(f"{file.path.name}: {_OPTION.sub('', file.reason)}")
        self._fit_words()
        _fill(
            self.layout_choice,
            [
                ("as found out", AS_READ),
                *((text, name) for name, text in _LAYOUTS.items()),
            ],
        )
        self.layout_choice.setCurrentIndex(self.layout_choice.findData(layout or AS_READ))
        series = [(each.name, str(i)) for i, each in enumerate(file.series)]
        if len(file.series) > 1 and all(each.prepared is None for each in file.series):
            series.append((f"all {len(file.series)} together", ALL))
        _fill(self.series_choice, series)
        self._set_row_visible(self.series_choice, len(series) > 1)
        self._show_places()
        self.show()

    def resizeEvent(self, event: Any) -> None:
        """Keep all words in sight."""
        super().resizeEvent(event)
        self._fit_words()

    def _fit_words(self) -> None:
        # a fold asks for the height of its content without asking how wide that is
        self.words.setMinimumHeight(max(self.words.heightForWidth(self.words.width()), 0))

    def _set_row_visible(self, control: QWidget, visible: bool) -> None:
        control.setVisible(visible)
        label = self._form.labelForField(control)
        if label is not None:
            label.setVisible(visible)

    def _show_places(self, *_: object) -> None:
        file = self.file
        if file is None:
            return
        chosen = self.series_choice.currentData()
        places: list[tuple[str, str]] = []
        if self.wanted is None and placed(file, sure=True) is not None and len(file.series) > 1:
            places.append(("controls and sample, as named", AS_READ))
        if chosen not in (None, ALL) and file.series[int(chosen)].prepared is not None:
            places.append(("controls, by the prepared number", PREPARED))
        places.append((title_of(SAMPLE), SAMPLE))
        places += [(title_of(number), str(number)) for number in range(MOST_ATOMS + 1)]
        _fill(self.place_choice, places)
        likely = self.wanted if self.wanted is not None else place_by_name(file.path.stem)
        if likely is not None and places[0][1] == SAMPLE:
            self.place_choice.setCurrentIndex(self.place_choice.findData(str(likely)))

    def _on_layout(self, *_: object) -> None:
        layout = self.layout_choice.currentData()
        if self.file is not None:
            self.reread.emit(self.file.path, None if layout == AS_READ else layout)

    def show_layout(self) -> None:
        """Show again what the file was read with."""
        self.layout_choice.setCurrentIndex(self.layout_choice.findData(self.layout_read or AS_READ))

    def entries(self) -> dict[Place, CountEntry]:
        """Return the counts in the places that are chosen.

        Raises
        ------
        ValueError
            If they cannot be there.
        """
        file = self.file
        assert file is not None
        place, layout = self.place_choice.currentData(), self.layout_read
        if place == AS_READ:
            return placed(file, sure=True, layout=layout) or {}
        chosen = self.series_choice.currentData()
        if chosen == ALL:
            entry = joined([entry_of(each, file, layout) for each in file.series])
        elif place == PREPARED:
            return by_prepared(file.series[int(chosen)], file, layout)
        else:
            entry = entry_of(file.series[int(chosen)], file, layout)
        return {SAMPLE if place == SAMPLE else int(place): entry}

    @property
    def path(self) -> Path | None:
        """The file that is asked about."""
        return None if self.file is None else self.file.path

    def close_question(self) -> None:
        """Ask nothing any more."""
        self.file = None
        self.hide()


def _fill(combo: QComboBox, options: list[tuple[str, str]]) -> None:
    combo.blockSignals(True)
    combo.clear()
    for text, value in options:
        combo.addItem(text, value)
    combo.blockSignals(False)
