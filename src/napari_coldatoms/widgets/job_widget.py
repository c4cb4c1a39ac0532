"""What every dock widget has: a scroll area, a job in the background, words about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QProgressBar,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_coldatoms.widgets.jobs import Cancelled, Job

MINIMUM_WIDTH = 280
PREFERRED_WIDTH = 380


class _VerticalScrollArea(QScrollArea):
    """Scrolls its content up and down, and is never narrower than it."""

    def minimumSizeHint(self) -> QSize:
        content, bar = self.widget(), self.verticalScrollBar()
        width = MINIMUM_WIDTH
        if content is not None and bar is not None:
            width = max(width, content.minimumSizeHint().width() + bar.sizeHint().width())
        return QSize(width, 120)

    def sizeHint(self) -> QSize:
        content = self.widget()
        height = content.sizeHint().height() if content is not None else 600
        return QSize(max(PREFERRED_WIDTH, self.minimumSizeHint().width()), height)


class JobWidget(QWidget):
    """A dock widget that works in the background.

    Sub-classes fill `rows`, call `start` and take the outcome. The rows stand in a scroll area, so
    that the dock fits a small screen; `footer` is below it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    title : str
        What it does, for messages.
    """

    progress_of = "frames"
    """What the progress counts."""

    def __init__(self, viewer: Any, *, title: str) -> None:
        super().__init__()
        self.viewer = viewer
        self.title = title
        self._had_parent = False
        self._succeeded: Callable[[Any], None] | None = None
        self._steps: list[Callable[[], None]] = []
        self._job_layers: tuple[Any, ...] = ()

        content = QWidget()
        self.rows = QVBoxLayout(content)
        self.rows.setContentsMargins(6, 6, 6, 6)
        self.rows.setSpacing(5)
        scroll = _VerticalScrollArea()
        scroll.setObjectName("scroll_area")
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll, 1)
        self.footer = QVBoxLayout()
        self.footer.setContentsMargins(6, 2, 6, 4)
        self.footer.setSpacing(3)
        outer.addLayout(self.footer)
        # napari adds a stretch below widgets that do not ask for height
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

        self.progress = QProgressBar()
        self.progress.setObjectName("progress")
        self.progress.setToolTip(f"{self.progress_of} done of all {self.progress_of}")
        self.progress.setTextVisible(True)
        self.progress.setMaximumHeight(16)
        self.progress.hide()
        self.status = QLabel()
        self.status.setObjectName("status")
        self.status.setToolTip("what was done last")
        self.status.setWordWrap(True)
        # a long name of a file, which cannot be broken, is cut: it must not make the dock wider
        policy = self.status.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.status.setSizePolicy(policy)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

        self.job = Job(self)
        self.job.progressed.connect(self._on_progress)
        self.job.succeeded.connect(self._on_succeeded)
        self.job.failed.connect(self._on_failed)
        self.job.finished.connect(self._on_finished)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    @property
    def busy(self) -> bool:
        """Whether a job is at work, or its outcome is still being shown."""
        return self.job.running or bool(self._steps)

    def one_by_one(self, steps: Iterable[Callable[[], None]]) -> None:
        """Call functions one at a time, with the window alive in between.

        For what must be done in the GUI thread, such as adding layers, and would add up to a
        noticeable pause. An error ends the series and is told.
        """
        idle = not self._steps
        self._steps += list(steps)
        if idle and self._steps:
            self.set_running(True)
            QTimer.singleShot(0, self._next_step)

    def _next_step(self) -> None:
        if not self._steps:
            return
        try:
            self._steps[0]()
        except Exception as error:  # whatever goes wrong, the user is told
            self._steps = []
            self.complain(error)
        del self._steps[:1]
        if self._steps:
            QTimer.singleShot(0, self._next_step)
        elif not self.job.running:
            self._on_finished()

    def start_job(
        self,
        function: Callable[..., Any],
        done: Callable[[Any], None],
        *,
        words: str,
        layers: Sequence[Any] = (),
    ) -> None:
        """Call a function in the background, then `done` with what it returned, in the GUI thread.

        The function takes ``progress`` and ``cancel``, see `jobs.Job`. Layers belong to the job: if
        one is removed meanwhile, the job stops.
        """
        self._succeeded = done
        self._job_layers = tuple(layers)
        self.say(words)
        self.progress.setRange(0, 0)  # busy, until the first report
        self.progress.show()
        self.set_running(True)
        self.job.start(function)

    def set_running(self, running: bool) -> None:
        """Enable and disable controls at the start and the end of a job."""

    def say(self, words: str, details: str = "") -> None:
        """Put a sentence into the status line, and details into its tooltip."""
        self.status.setText(words)
        self.status.setToolTip(details or words)

    def complain(self, error: Exception | str) -> None:
        """Tell an error in one line: in the status line and as a notification of napari."""
        lines = str(error).strip().splitlines()
        message = lines[0] if lines else type(error).__name__
        self.say(message, str(error))
        show_error(f"{self.title}: {message}")

    def notify(self, lines: list[str]) -> None:
        """Tell what went wrong in some of many frames, as one notification."""
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        show_error(f"{self.title}: {lines[0]}{more}")

    def changeEvent(self, event: QEvent | None) -> None:
        """Give up the job when the widget is taken out of its dock."""
        # napari takes the widget out of its dock when the user closes that
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self._had_parent and self.parent() is None:
                self._give_up()
            self._had_parent = self.parent() is not None
        super().changeEvent(event)

    def closeEvent(self, event: Any) -> None:
        """Give up the job."""
        self._give_up()
        super().closeEvent(event)

    def _give_up(self) -> None:
        self._steps = []
        self.job.abandon()

    def _on_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        self.progress.setFormat(f"{done} of {total} {self.progress_of}")

    def _on_succeeded(self, value: Any) -> None:
        done, self._succeeded = self._succeeded, None
        if done is None:
            return
        try:
            done(value)
        except Exception as error:  # whatever goes wrong, the user is told
            self.complain(error)

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, Cancelled):
            self.say(str(error))
        else:
            self.complain(error)

    def _on_finished(self) -> None:
        if self.busy:  # one job's outcome has started the next, or is still being shown
            return
        self._job_layers = ()
        self.progress.hide()
        self.set_running(False)

    def _on_layer_removed(self, event: Any) -> None:
        if self.job.running and event.value in self._job_layers:
            name = event.value.name
            self.job.abandon()
            self.say(f"Stopped: the layer “{name}” was removed.")
