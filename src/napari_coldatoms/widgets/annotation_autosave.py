"""What is painted and not saved yet, kept in a file: soon after each change, and at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_coldatoms.analyses.annotation_recovery import ImageKey, RecoveryFile, Unsaved
from napari_coldatoms.widgets.jobs import Job
from napari_coldatoms.widgets.memory import parameter_file

WRITE_DELAY = 1500
"""Milliseconds after a change until it is on disk, at most."""
# after what could not be written so many times as long, until it is tried again
_PATIENCE = 10


def unsaved_folder() -> Path:
    """Return where unsaved painting is kept."""
    return parameter_file().parent / "unsaved"


class Autosave(QObject):
    """Writes unsaved painting on an image into a file of its own.

    Parameters
    ----------
    image : ImageKey
        What is painted on.
    unsaved : callable
        Returns all that is to be kept now.
    parent : QObject
    """

    failed = Signal(object)
    """It could not be written; the exception. It is tried again, and told no more."""
    mended = Signal()
    """It could be written again."""

    def __init__(self, image: ImageKey, unsaved: Callable[[], Unsaved], parent: QObject) -> None:
        super().__init__(parent)
        self._unsaved = unsaved
        self._file = RecoveryFile(unsaved_folder(), image)
        self._number = 0
        self._over = False
        self._failing = False
        self._job = Job(self)
        self._job.failed.connect(self._on_failed)
        self._job.succeeded.connect(self._on_written)
        self._delay = WRITE_DELAY
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._write)

    @property
    def path(self) -> Path:
        """The file; it is there only while something is unsaved."""
        return self._file.path

    def soon(self) -> None:
        """Have the file written before long."""
        if not self._timer.isActive():
            self._timer.start(self._delay)

    def flush(self) -> bool:
        """Write the file, here and now; tell whether it is on disk."""
        if self._over:
            return False
        unsaved = self._unsaved()
        self._timer.stop()
        if not self._number and not unsaved.notes:
            return True  # nothing was ever painted
        try:
            self._file.write(unsaved, self._next())
        except OSError as error:
            self._on_failed(error)
            return False
        self._on_written()
        return True

    def end(self) -> None:
        """Write no more: the file is offered when the image is opened again."""
        self._over = True

    def go_on(self) -> None:
        """Write again, after `end`: the image is there again."""
        self._over = False

    def _write(self) -> None:
        if self._over:
            return
        unsaved = self._unsaved()
        self._timer.stop()
        if self._job.running:
            self.soon()
            return
        number, file = self._next(), self._file

        def work(*, progress: Any, cancel: Any) -> bool:
            return file.write(unsaved, number)

        self._job.start(work)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _on_failed(self, error: Exception) -> None:
        before, self._failing = self._failing, True
        if not before:
            self.failed.emit(error)
        if isalive(self):
            self._timer.start(_PATIENCE * self._delay)

    def _on_written(self, newest: bool = True) -> None:
        before, self._failing = self._failing, False
        if before:
            self.mended.emit()
