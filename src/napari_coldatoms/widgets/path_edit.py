"""A line for the path of a file, with a button that opens a dialog."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt, Signal
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
    """

    changed = Signal(object)

    def __init__(self, title: str, filters: str = "", placeholder: str = "") -> None:
        super().__init__()
        self._title, self._filters = title, filters
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.button = QToolButton()
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

    def changeEvent(self, event: QEvent | None) -> None:
        """Give name and tooltip to the line and the button, too."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ToolTipChange:
            self.line.setToolTip(self.toolTip())
            self.button.setToolTip(f"choose a file: {self.toolTip()}")
            self.line.setObjectName(f"{self.objectName()}_path")
            self.button.setObjectName(f"{self.objectName()}_choose")

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, self._title, self.value or "", f"({self._filters})" if self._filters else ""
        )
        if path:
            self.value = path

    def _emit_changed(self) -> None:
        self.changed.emit(self.value)
