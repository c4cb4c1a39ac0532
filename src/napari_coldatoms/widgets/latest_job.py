"""Background work of which only the latest request counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_coldatoms.widgets.jobs import Job

Cancellable = Callable[[Callable[[], bool]], Any]
"""A function that is called with a function that tells whether to stop."""


class LatestJob(QObject):
    """Computes in the background what was asked for last; what is overtaken is not told."""

    done = Signal(object)
    """What came out; None where nothing could be computed."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._job = Job(self)
        self._next: Cancellable | None = None
        self._job.succeeded.connect(self._on_succeeded)
        self._job.failed.connect(self._on_failed)
        self._job.finished.connect(self._begin)

    @property
    def running(self) -> bool:
        """Whether something is computed, or waits for it."""
        return self._job.running or self._next is not None

    def request(self, function: Cancellable) -> None:
        """Call ``function(cancel)`` in a worker thread, when the one before has stopped."""
        self._next = function
        if self._job.running:
            self._job.cancel()
        else:
            self._begin()

    def _begin(self) -> None:
        function, self._next = self._next, None
        if function is not None:
            self._job.start(lambda progress, cancel: function(cancel))

    def _on_succeeded(self, value: object) -> None:
        if self._next is None:
            self.done.emit(value)

    def _on_failed(self, _error: Exception) -> None:
        if self._next is None:
            self.done.emit(None)
