"""What the camera makes of light, and named profiles of cameras that are remembered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.controls import number

MEMORY = "cameras"
IDEAL = "ideal"
VALUES = {"offset": 0.0, "gain": 1.0, "read_noise": 0.0, "excess_noise": 1.0}
"""What an ideal camera has: its counts are photoelectrons."""


class CameraPanel(QWidget):
    """Offset, gain and noise of the camera, and a list of named profiles of them."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("camera")
        remembered = memory.recall(MEMORY)
        self._profiles = {IDEAL: dict(VALUES), **_profiles(remembered.get("profiles"))}

        self.profile = QComboBox()
        self.profile.setObjectName("camera_profile")
        self.profile.setToolTip(
            "the camera: choose one that was saved; to save another, type its name and press Save"
        )
        self.profile.setEditable(True)
        self.profile.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.profile.setMinimumContentsLength(6)
        self.profile.lineEdit().setPlaceholderText("a name to save it")
        self.profile.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.profile.addItems(list(self._profiles))
        self.save_button = button(
            "Save", "camera_save", "keep these numbers under this name", self.save
        )
        self.delete_button = button(
            "Delete", "camera_delete", "forget the profile of this name", self.delete
        )
        self.offset = number(
            "camera_offset",
            "counts where there is no light (counts)",
            0.0,
            -1e6,
            1e6,
            decimals=2,
            typed=True,
        )
        self.gain = number(
            "camera_gain",
            "counts for each photoelectron (counts/e⁻), electron multiplication included",
            1.0,
            1e-4,
            1e6,
            decimals=4,
            typed=True,
        )
        self.read_noise = number(
            "camera_read_noise",
            "standard deviation of the read noise (photoelectrons); with an ideal gain of 1 in "
            "counts",
            0.0,
            0.0,
            1e6,
            decimals=2,
            suffix=" e⁻",
            typed=True,
        )
        self.excess_noise = number(
            "camera_excess_noise",
            "factor on the variance of the shot noise: 1, or 2 with electron multiplication",
            1.0,
            1.0,
            10.0,
            decimals=2,
            typed=True,
        )

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        head = row(_label("camera", self.profile), self.profile)
        head.setStretch(1, 1)
        for each in (self.save_button, self.delete_button):
            each.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            head.addWidget(each)
        layout.addLayout(head)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        cells = (
            ("offset", self.offset),
            ("gain", self.gain),
            ("read noise", self.read_noise),
            ("excess noise", self.excess_noise),
        )
        for position, (text, control) in enumerate(cells):
            line, column = divmod(position, 2)
            grid.addWidget(_label(text, control), line, 2 * column)
            grid.addWidget(control, line, 2 * column + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(3, 1)
        layout.addLayout(grid)

        self._show(remembered.get("current"))
        chosen = remembered.get("chosen")
        self.profile.setCurrentIndex(self.profile.findText(str(chosen or IDEAL)))
        self._leave_ideal()
        self._enable()
        self.profile.activated.connect(self._on_chosen)
        self.profile.editTextChanged.connect(self._enable)
        for control in self._controls().values():
            control.valueChanged.connect(self._on_edited)

    def values(self) -> dict[str, float]:
        """Return ``offset``, ``gain``, ``read_noise`` and ``excess_noise`` as they are shown."""
        return {name: float(control.value()) for name, control in self._controls().items()}

    def set_values(self, values: Mapping[str, float]) -> None:
        """Show some of these numbers."""
        before = self.values()
        self._show(values)
        if self.values() != before:
            self._on_edited()

    def save(self) -> None:
        """Keep the numbers under the name that stands in the combo box."""
        name = self._name()
        if not name or name == IDEAL:
            return
        if name not in self._profiles:
            self.profile.addItem(name)
        self._profiles[name] = self.values()
        self.profile.setCurrentIndex(self.profile.findText(name))
        self._remember()
        self._enable()

    def delete(self) -> None:
        """Forget the profile that is chosen; the numbers stay as they are."""
        name = self._name()
        if name not in self._profiles or name == IDEAL:
            return
        del self._profiles[name]
        self.profile.removeItem(self.profile.findText(name))
        self.profile.setCurrentIndex(-1)
        self.profile.setEditText(name)
        self._remember()
        self._enable()

    def _controls(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in VALUES}

    def _name(self) -> str:
        return str(self.profile.currentText()).strip()

    def _show(self, values: Any) -> None:
        for name, value in _numbers(values).items():
            control = self._controls()[name]
            control.blockSignals(True)
            control.setValue(value)
            control.blockSignals(False)

    def _on_chosen(self, index: int) -> None:
        self.set_values(self._profiles.get(self.profile.itemText(index), {}))
        self._remember()
        self._enable()

    def _on_edited(self, *_: Any) -> None:
        self._leave_ideal()
        self._remember()
        self._enable()
        self.changed.emit()

    def _leave_ideal(self) -> None:
        """Show no name where the numbers are not those of an ideal camera any more."""
        if self._name() == IDEAL and self.values() != VALUES:
            self.profile.setCurrentIndex(-1)
            self.profile.clearEditText()

    def _enable(self, *_: Any) -> None:
        name = self._name()
        known = self._profiles.get(name)
        self.save_button.setEnabled(bool(name) and name != IDEAL and known != self.values())
        self.delete_button.setEnabled(known is not None and name != IDEAL)

    def _remember(self) -> None:
        own = {name: values for name, values in self._profiles.items() if name != IDEAL}
        kept = {"profiles": own, "chosen": self._name(), "current": self.values()}
        memory.remember(MEMORY, kept)


def _label(text: str, control: QWidget) -> QLabel:
    label = QLabel(text)
    label.setToolTip(control.toolTip())
    label.setBuddy(control)
    return label


def _profiles(remembered: Any) -> dict[str, dict[str, float]]:
    if not isinstance(remembered, Mapping):
        return {}
    return {
        str(name): {**VALUES, **_numbers(values)}
        for name, values in remembered.items()
        if str(name).strip() and name != IDEAL
    }


def _numbers(values: Any) -> dict[str, float]:
    """Return what can be used of numbers from a file that anyone may have edited."""
    if not isinstance(values, Mapping):
        return {}
    return {
        name: float(values[name])
        for name in VALUES
        if isinstance(values.get(name), int | float) and math.isfinite(values[name])
    }
