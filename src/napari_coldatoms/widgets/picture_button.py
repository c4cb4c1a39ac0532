"""A picture from a file, small in a dock; a click opens it large."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QAbstractButton, QDialog, QSizePolicy, QVBoxLayout, QWidget

# part of the screen that a large picture may take
_PART = 0.9
_SMALLEST = QSize(120, 60)


class PictureButton(QAbstractButton):
    """A picture that is as wide as there is room for; a click opens it large, in its own window.

    Parameters
    ----------
    name, tooltip : str
        Object name, and what the picture shows.
    title : str
        Of the window.
    """

    def __init__(self, name: str, tooltip: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setToolTip(f"{tooltip}\nA click opens it large.")
        self.setAccessibleName(title)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self._title = title
        self._picture = QPixmap()
        self._scaled = QPixmap()
        self.large: LargePicture | None = None
        """The window with the large picture, once there was one."""
        self.clicked.connect(self.open_large)
        self.hide()

    @property
    def picture(self) -> QPixmap:
        """What is shown; null where there is none."""
        return self._picture

    def show_file(self, path: Path | None) -> None:
        """Show the picture in a file, anew where it was shown; nothing where there is none."""
        self._picture = QPixmap()
        if path is not None and path.is_file():
            # by its name Qt would give what was in the file before
            self._picture.loadFromData(path.read_bytes())
        self._scaled = QPixmap()
        self.setVisible(not self._picture.isNull())
        self.updateGeometry()
        self.update()
        if self.large is not None:
            self.large.show_picture(self._picture)

    def open_large(self) -> None:
        """Open the picture in a window of its own."""
        if self._picture.isNull():
            return
        if self.large is None:
            self.large = LargePicture(self._title, f"{self.objectName()}_large", self)
            self.large.resize(self._size_on_screen())
        self.large.show_picture(self._picture)
        self.large.show()
        self.large.raise_()

    def sizeHint(self) -> QSize:
        """Return the size at the width of a dock."""
        return QSize(340, self.heightForWidth(340))

    def minimumSizeHint(self) -> QSize:
        """Return the smallest size that shows anything."""
        return _SMALLEST

    def hasHeightForWidth(self) -> bool:
        """Return that the height follows the width."""
        return True

    def heightForWidth(self, width: int) -> int:
        """Return the height of the picture at a width."""
        if self._picture.isNull():
            return _SMALLEST.height()
        return round(width * self._picture.height() / self._picture.width())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the picture, and a frame where it has the focus."""
        painter = QPainter(self)
        self._scaled = scaled(self._picture, self._scaled, self)
        place = _middle(self.rect(), self._scaled)
        painter.drawPixmap(place.topLeft(), self._scaled)
        if self.hasFocus():
            painter.setPen(self.palette().highlight().color())
            painter.drawRect(place.adjusted(0, 0, -1, -1))

    def _size_on_screen(self) -> QSize:
        """Return the picture's own size, or the largest of its shape that the screen has."""
        size = self._picture.size() / self.devicePixelRatioF()
        screen = self.screen()
        room = size if screen is None else screen.availableSize() * _PART
        return size.scaled(size.boundedTo(room), Qt.AspectRatioMode.KeepAspectRatio)


class LargePicture(QDialog):
    """A picture that fills its window."""

    def __init__(self, title: str, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWindowTitle(title)
        self.setToolTip("closed by Escape")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._content = _Content()
        layout.addWidget(self._content)

    def show_picture(self, picture: QPixmap) -> None:
        """Show a picture; close where there is none."""
        self._content.show_picture(picture)
        if picture.isNull():
            self.close()


class _Content(QWidget):
    """The picture in its window."""

    def __init__(self) -> None:
        super().__init__()
        self._picture = QPixmap()
        self._scaled = QPixmap()

    def show_picture(self, picture: QPixmap) -> None:
        self._picture, self._scaled = picture, QPixmap()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.white)
        self._scaled = scaled(self._picture, self._scaled, self)
        painter.drawPixmap(_middle(self.rect(), self._scaled).topLeft(), self._scaled)


def scaled(picture: QPixmap, before: QPixmap, widget: QWidget) -> QPixmap:
    """Return a picture as it fits into a widget, sharp on its screen; as before if that fits."""
    if picture.isNull():
        return picture
    ratio = widget.devicePixelRatioF()
    wanted = picture.size().scaled(widget.size() * ratio, Qt.AspectRatioMode.KeepAspectRatio)
    if before.size() == wanted:
        return before
    made = picture.scaled(
        wanted, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
    made.setDevicePixelRatio(ratio)
    return made


def _middle(room: QRect, picture: QPixmap) -> QRect:
    size = (picture.deviceIndependentSize()).toSize()
    place = QRect(room.topLeft(), size)
    place.moveCenter(room.center())
    return place
