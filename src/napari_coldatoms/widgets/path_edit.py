"""A line for the path of a file or folder, with a button that opens a dialog."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget


class PathEdit(QWidget):
    """A path, or none where the line is empty.

    Parameters
    ----------
    title : str
        Of the dialog.
    filters : str
        Which files the dialog shows, such as ``"*.yaml *.yml"``; all where it is empty.
    placeholder : str
        What the empty line means.
    name, tooltip : str
        Object name, with which those of the line and the button begin, and what the path is.
    folder : bool
        Whether it is that of a folder.
    """

    changed = Signal(object)

    def __init__(
        self,
        title: str,
        *,
        filters: str = "",
        placeholder: str = "",
        name: str,
        tooltip: str,
        folder: bool = False,
    ) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip(tooltip)
        self._title, self._filters, self._folder = title, filters, folder
        self.line = QLineEdit()
        self.line.setObjectName(f"{name}_path")
        self.line.setToolTip(tooltip)
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.button = QToolButton()
        self.button.setObjectName(f"{name}_choose")
        self.button.setToolTip(f"choose a {'folder' if folder else 'file'}: {tooltip}")
        self.button.setText("…")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.button)
        self.setFocusProxy(self.line)
        self.line.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.line.textChanged.connect(self._emit_changed)
        self.button.clicked.connect(self._choose)

    @property
    def native(self) -> QWidget:
        """The widget itself."""
        return self

    @property
    def value(self) -> str | None:
        """The path as text, None where there is none."""
        return self.line.text().strip() or None

    @value.setter
    def value(self, value: Any) -> None:
        self.line.setText("" if value is None else str(value))

    def _choose(self) -> None:
        before = self.value or ""
        if self._folder:
            path = QFileDialog.getExistingDirectory(self, self._title, before)
        else:
            filters = f"({self._filters})" if self._filters else ""
            path, _ = QFileDialog.getOpenFileName(self, self._title, before, filters)
        if path:
            self.value = path

    def _emit_changed(self) -> None:
        self.changed.emit(self.value)
