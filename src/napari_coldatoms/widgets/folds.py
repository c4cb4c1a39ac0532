"""Parts of a form that open and close."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible


def fold(title: str, name: str, content: QWidget) -> QCollapsible:
    """Return a part that opens when its title is clicked, closed at first."""
    # the arrow is part of the text: icons would keep the colour of the theme they were made in
    # (a transparent one and no null icon, which PySide takes for False and superqt for none)
    nothing = QPixmap(1, 1)
    nothing.fill(Qt.GlobalColor.transparent)
    icon = QIcon(nothing)
    made = QCollapsible(f"▸ {title}", expandedIcon=icon, collapsedIcon=icon)
    made.toggled.connect(lambda open_: made.setText(f"{'▾' if open_ else '▸'} {title}"))
    made.setObjectName(name)
    made.toggleButton().setToolTip(f"{title}: click to open or close")
    made.layout().setContentsMargins(0, 0, 0, 0)
    # an open fold is no pressed button
    made.toggleButton().setStyleSheet(
        "QPushButton, QPushButton:checked"
        " { text-align: left; background: transparent; border: none; }"
    )
    made.setDuration(0)
    made.addWidget(content)
    made.collapse(animate=False)
    return made
