"""The dock widget "Train a network": a dataset of one's own, start weights, and how it goes."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_coldatoms.clouds.training import Progress, Training
from napari_coldatoms.clouds.training_folder import BEST, read_history
from napari_coldatoms.clouds.training_messages import Plan, Stage
from napari_coldatoms.clouds.training_process import TrainingRequest, train_in_process
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.detector_weights import use_weights
from napari_coldatoms.widgets.job_widget import JobWidget
from napari_coldatoms.widgets.table import ResultTable
from napari_coldatoms.widgets.training_course import Course, duration
from napari_coldatoms.widgets.training_plot import TrainingPlot
from napari_coldatoms.widgets.training_setup import TrainingSetup

MEMORY = "train_network"
# the plot is drawn at most this often (ms)
_PAUSE = 250
_STAGES = {
    "frames": "simulating frames",
    "weights": "loading the weights",
    "judging": "judging the validation pictures",
}


class TrainNetworkWidget(JobWidget):
    """Train a network that finds clouds on annotated pictures, in a process of its own.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    progress_of = "steps"

    # from the thread that waits for the process
    _told = Signal(object)

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(napari_viewer, title="Train a network")
        self.setObjectName("train_network")
        self.course = Course()
        """What is shown: of the training that runs, or of what is in its folder."""
        self._stage = ""
        self._stopping = False

        self.setup = TrainingSetup()
        self.setup.set_values(memory.recall(MEMORY))
        self.rows.addWidget(self.setup)
        self.run_button = button(
            "Train", "train", "start the training, or go on with it, in the background", self.run
        )
        self.cancel_button = button(
            "Cancel",
            "cancel",
            "stop at the next step; “Train” goes on from there later",
            self.cancel,
        )
        self.cancel_button.setEnabled(False)
        self.rows.addLayout(row(self.run_button, self.cancel_button))
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)
        self.plot = TrainingPlot(napari_viewer.theme)
        self.rows.addWidget(self.plot, 1)
        self.table = ResultTable()
        self.table.setObjectName("epochs")
        self.table.setToolTip(
            "one row per epoch: mean loss, mean average precision (0 to 1) of boxes and masks on "
            "the validation pictures, minutes since the start; Ctrl+C copies"
        )
        self.table.setMinimumHeight(110)
        self.rows.addWidget(self.table, 1)
        self.use_button = button(
            "Use in Detect clouds",
            "use_weights",
            f"take the weights of the best epoch ({BEST}) for “Detect clouds”",
            self.use,
        )
        self.rows.addWidget(self.use_button)

        self._drawing = QTimer(self)
        self._drawing.setSingleShot(True)
        self._drawing.setInterval(_PAUSE)
        self._drawing.timeout.connect(self._draw)
        self._told.connect(self._on_told)
        self.setup.changed.connect(self._on_folder)
        napari_viewer.events.theme.connect(self._on_theme)
        self._on_folder()
        self.say("Choose a dataset, press Train.")

    @property
    def best_weights(self) -> Path | None:
        """Weights of the best epoch of the training that is shown, None where there are none."""
        folder = self.setup.folder
        path = None if folder is None else folder.absolute() / BEST
        return path if path is not None and path.is_file() else None

    def run(self) -> None:
        """Train, in the background."""
        if self.busy:
            return
        try:
            request = self.setup.request()
        except ValueError as error:
            self.complain(error)
            return
        memory.remember(MEMORY, self.setup.values())
        self.course = Course()
        if request.resume:
            self.course.keep(read_history(request.output))
        self._stage, self._stopping = "starting the process of the training", False
        self._draw()

        def work(*, progress: Any, cancel: Any) -> Training:
            return self._train(request, progress, cancel)

        self.start_job(work, self._on_trained, words="Starting the training: some seconds …")

    def cancel(self) -> None:
        """Stop at the next step."""
        if self.busy:
            self.job.cancel()
            self._stopping = True
            self.say("Stopping at the next step …")

    def use(self) -> None:
        """Hand the best weights to "Detect clouds"."""
        path = self.best_weights
        if path is None:
            self.complain("there are no weights yet: the first epoch has not ended")
            return
        there = use_weights(self.viewer, path)
        place = "“Detect clouds” uses" if there else "“Detect clouds”, once opened, will use"
        self.say(f"{place} {path}.")

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.run_button.setEnabled(not running)
        self.setup.setEnabled(not running)
        self.cancel_button.setEnabled(running)
        self.use_button.setEnabled(self.best_weights is not None)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look out for the end of the window."""
        super().showEvent(event)
        top: QWidget = self
        while (parent := top.parentWidget()) is not None:
            top = parent
        top.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Give up the training with the window: it may take hours, and nobody would see it."""
        if (
            event is not None
            and event.type() == QEvent.Type.Hide
            and isinstance(watched, QMainWindow)
            and not event.spontaneous()
        ):
            self._give_up()
        return super().eventFilter(watched, event)

    def _train(self, request: TrainingRequest, progress: Any, cancel: Any) -> Training:
        """Train; called in a thread."""

        def tell(what: Progress | Stage | Plan) -> None:
            if isinstance(what, Progress):
                progress(what.step, what.steps)
            with contextlib.suppress(RuntimeError):  # the widget is gone
                self._told.emit(what)

        return train_in_process(request, progress=tell, stage=tell, planned=tell, cancelled=cancel)

    def _on_told(self, what: Progress | Stage | Plan) -> None:
        if not self.job.running:
            return
        if isinstance(what, Plan):
            self.course.plan = what
        elif isinstance(what, Stage):
            part = f", {what.done} of {what.total}" if what.total else ""
            self._stage = f"{_STAGES[what.what]}{part}"
        else:
            self._stage = ""
            self.course.add(what, time.monotonic())
        if not self._drawing.isActive():
            self._drawing.start()

    def _draw(self) -> None:
        if not isalive(self):
            return
        self.plot.show_course(self.course)
        table = self.course.table()
        if len(table) != len(self.table.table) or not self.job.running:
            self.table.set_table(table)
            self.use_button.setEnabled(self.best_weights is not None)
        if self.job.running and not self._stopping:
            self.say(self._words())

    def _words(self) -> str:
        course, plan = self.course, self.course.plan
        if plan is None:
            return f"{self._stage.capitalize()} …"
        words = f"Epoch {course.epoch} of {len(plan.ends)}"
        if self._stage:
            return f"{words}: {self._stage} …"
        left = course.left()
        return words + ("." if math.isnan(left) else f", {duration(left)} left.")

    def _on_trained(self, done: Training) -> None:
        self.course.keep(done.history)
        plan, best = self.course.plan, self.course.best
        words = ["Done." if done.finished else "Stopped; “Train” goes on from there."]
        if plan is not None:
            words.append(_pictures(plan))
        if best is not None and best.overall == best.overall:
            words.append(
                f"Best epoch: {best.number}, mAP of boxes {best.box:.2f}, of masks {best.mask:.2f}."
            )
        self.say(" ".join(words))

    def _on_folder(self) -> None:
        if self.busy:
            return
        folder = self.setup.folder
        self.course = Course()
        if folder is not None:
            self.course.keep(read_history(folder))
        self._draw()

    def _on_finished(self) -> None:
        super()._on_finished()
        self._drawing.stop()
        self._draw()

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.plot.set_theme(self.viewer.theme)


def _pictures(plan: Plan) -> str:
    words = f"Trained on {plan.own} pictures"
    if plan.simulated:
        words += f" and {plan.simulated} simulated frames"
    return f"{words}, judged by {plan.validation}."
