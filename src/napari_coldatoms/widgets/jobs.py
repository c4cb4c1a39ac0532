"""Work outside the GUI thread: one job at a time, with progress, Cancel and its error."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

# Progress is shown at most this often (s): a window drawn anew takes some ten milliseconds
PROGRESS_INTERVAL = 0.15


class Cancelled(Exception):
    """The user has stopped the work, and nothing of it is of use."""


def stopping(
    progress: Callable[[int, int], None], cancel: Callable[[], bool]
) -> Callable[[int, int], None]:
    """Return a progress callback that raises `Cancelled` once the work shall stop."""

    def report(done: int, total: int) -> None:
        if cancel():
            raise Cancelled("Cancelled.")
        progress(done, total)

    return report


class _Stop:
    """Tells the work to stop: the user's Cancel, or napari asking its workers to quit."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.worker: Any = None

    def __call__(self) -> bool:
        return self.event.is_set() or (self.worker is not None and self.worker.abort_requested)


class Job(QObject):
    """Runs one function at a time in a worker thread.

    The function is called with the keyword arguments ``progress`` (a callable taking done and
    total) and ``cancel`` (a callable telling whether to stop). The signals arrive in the GUI
    thread: `succeeded` with what it returned, or `failed` with the exception, then `finished`. An
    abandoned job reports nothing any more.
    """

    progressed = Signal(int, int)
    succeeded = Signal(object)
    failed = Signal(object)
    finished = Signal()

    # from the worker's thread, with the job's token
    _reported = Signal(object, int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._stop: _Stop | None = None
        self._reported.connect(self._on_reported)

    @property
    def running(self) -> bool:
        """Whether a function is at work, and its outcome awaited."""
        return self._stop is not None

    def start(self, function: Callable[..., Any]) -> None:
        """Call ``function(progress=..., cancel=...)`` in a worker thread.

        Raises
        ------
        RuntimeError
            When a job is still at work.
        """
        if self.running:
            raise RuntimeError("a job is still at work")
        stop = _Stop()
        worker = create_worker(_call, function, self._reporter(stop), stop, _start_thread=False)
        stop.worker = worker
        self._stop = stop
        worker.returned.connect(self._on_returned)
        worker.start()

    def cancel(self) -> None:
        """Ask the function to stop; what it has until then arrives as usual."""
        if self._stop is not None:
            self._stop.event.set()

    def abandon(self) -> None:
        """Ask the function to stop, and take nothing from it any more."""
        if self._stop is not None:
            self._stop.event.set()
            self._stop = None
            self.finished.emit()

    def _reporter(self, stop: _Stop) -> Callable[[int, int], None]:
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if done < total and now - last < PROGRESS_INTERVAL:
                return
            last = now
            with contextlib.suppress(RuntimeError):  # the widget is gone
                self._reported.emit(stop, done, total)

        return report

    def _on_reported(self, stop: object, done: int, total: int) -> None:
        if stop is self._stop:
            self.progressed.emit(done, total)

    def _on_returned(self, outcome: tuple[_Stop, Any, Exception | None]) -> None:
        stop, value, error = outcome
        if stop is not self._stop:
            return
        self._stop = None
        if error is None:
            self.succeeded.emit(value)
        else:
            self.failed.emit(error)
        self.finished.emit()


def _call(
    function: Callable[..., Any], report: Callable[[int, int], None], stop: _Stop
) -> tuple[_Stop, Any, Exception | None]:
    # Every error is handed back as a value: superqt swallows a RuntimeError raised in a worker.
    try:
        return stop, function(progress=report, cancel=stop), None
    except Exception as error:
        return stop, None, error
