"""Numbers, choices and check boxes that leave the wheel to the scroll area around them."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_coldatoms.widgets.form import WheelGuard


def number(
    name: str,
    tooltip: str,
    value: float,
    low: float,
    high: float,
    *,
    decimals: int = 3,
    step: float = 1.0,
    suffix: str = "",
    typed: bool = False,
) -> QDoubleSpinBox:
    """Return a control for a number; one that is `typed` is narrow and has no buttons."""
    made = QDoubleSpinBox()
    if typed:
        made.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        made.setStyleSheet("QDoubleSpinBox { min-width: 50px; }")  # napari asks for more
    made.setDecimals(decimals)
    made.setRange(low, high)
    made.setSingleStep(step)
    made.setSuffix(suffix)
    made.setValue(value)
    made.setKeyboardTracking(False)  # half a number is none
    _prepare(made, name, tooltip)
    return made


def whole(name: str, tooltip: str, value: int, low: int, high: int) -> QSpinBox:
    """Return a control for a whole number."""
    made = QSpinBox()
    made.setRange(low, high)
    made.setValue(value)
    made.setKeyboardTracking(False)
    _prepare(made, name, tooltip)
    return made


def choice(name: str, tooltip: str, options: Iterable[tuple[str, str]]) -> QComboBox:
    """Return a combo box of texts, each with its value as the item's data."""
    made = QComboBox()
    for text, value in options:
        made.addItem(text, value)
    made.setMinimumContentsLength(4)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    _prepare(made, name, tooltip)
    return made


def check(text: str, name: str, tooltip: str) -> QCheckBox:
    """Return a check box."""
    made = QCheckBox(text)
    made.setObjectName(name)
    made.setToolTip(tooltip)
    return made


def text_label(name: str, tooltip: str, *, lines: int = 0) -> QLabel:
    """Return a label for words that come later: they wrap, and can be copied.

    It keeps room for so many lines, so that nothing moves when words come and go.
    """
    made = QLabel()
    made.setObjectName(name)
    made.setToolTip(tooltip)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if lines:
        made.setMinimumHeight(lines * made.fontMetrics().lineSpacing() + 2)
        made.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    return made


def _prepare(control: QWidget, name: str, tooltip: str) -> None:
    control.setObjectName(name)
    control.setToolTip(tooltip)
    control.setMinimumWidth(60)
    control.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    control.installEventFilter(WheelGuard(control))
