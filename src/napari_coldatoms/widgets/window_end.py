"""The end of the window that a widget is docked in."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QMainWindow, QWidget


class WindowEnd(QObject):
    """Tells when the window of a widget is closed, which the widget itself is not told.

    Parameters
    ----------
    widget : QWidget
    """

    ended = Signal()

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look out for the window when the widget is shown, then for its end."""
        if event is not None:
            if watched is self._widget and event.type() == QEvent.Type.Show:
                self._watch()
            elif (
                event.type() == QEvent.Type.Hide
                and isinstance(watched, QMainWindow)
                and not event.spontaneous()
            ):
                self.ended.emit()
        return super().eventFilter(watched, event)

    def _watch(self) -> None:
        top = self._widget
        while (parent := top.parentWidget()) is not None:
            top = parent
        top.installEventFilter(self)
