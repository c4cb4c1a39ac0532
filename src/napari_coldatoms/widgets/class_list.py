"""A list of the classes of clouds: choose, add, rename, remove."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_coldatoms.widgets.base import button

_NAME = Qt.ItemDataRole.UserRole
_ROWS = 3


class ClassList(QWidget):
    """Classes by name.

    It only asks: who hears its signals changes the classes and calls `show_classes`.
    """

    chosen = Signal(str)
    """A class was clicked."""
    added = Signal()
    renamed = Signal(str, str)
    removed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("classes")
        self.list = QListWidget()
        self.list.setObjectName("class_list")
        self.list.setToolTip(
            "classes of clouds: a click takes up the brush in the layer of the class, a double "
            "click changes the name"
        )
        line = self.list.fontMetrics().height() + 6
        self.list.setMinimumHeight(_ROWS * line)
        self.list.setMaximumHeight((_ROWS + 1) * line)
        self.add_button = button("+", "add_class", "add a class of clouds", self.added.emit)
        self.remove_button = button(
            "−", "remove_class", "remove the class, of which there must be no clouds", self._remove
        )
        for each in (self.add_button, self.remove_button):
            each.setFixedWidth(28)
        buttons = QVBoxLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.addWidget(self.add_button)
        buttons.addWidget(self.remove_button)
        buttons.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list, 1)
        layout.addLayout(buttons)
        self.list.itemClicked.connect(lambda item: self.chosen.emit(item.data(_NAME)))
        self.list.itemChanged.connect(self._on_edited)

    @property
    def current(self) -> str:
        """The class that is marked, empty where there is none."""
        item = self.list.currentItem()
        return "" if item is None else str(item.data(_NAME))

    def select(self, name: str) -> None:
        """Mark a class."""
        for number in range(self.list.count()):
            if self.list.item(number).data(_NAME) == name:
                self.list.setCurrentRow(number)

    def rename(self, name: str) -> None:
        """Let the user type another name for a class."""
        self.select(name)
        self.list.editItem(self.list.currentItem())

    def show_classes(self, classes: Sequence[str]) -> None:
        """Show classes; the mark stays where it was."""
        before = self.current
        names = [self.list.item(n).data(_NAME) for n in range(self.list.count())]
        texts = [self.list.item(n).text() for n in range(self.list.count())]
        if names == texts == list(classes):
            return
        self.list.blockSignals(True)
        self.list.clear()
        for name in classes:
            item = QListWidgetItem(name)
            item.setData(_NAME, name)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self.list.addItem(item)
        self.list.blockSignals(False)
        self.select(before if before in classes else next(iter(classes), ""))

    def _on_edited(self, item: QListWidgetItem) -> None:
        old, new = str(item.data(_NAME)), item.text().strip()
        if new != old:
            self.renamed.emit(old, new)

    def _remove(self) -> None:
        if self.current:
            self.removed.emit(self.current)
