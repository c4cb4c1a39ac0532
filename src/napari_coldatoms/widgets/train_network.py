"""The dock widget "Train a network": training and tuning on a dataset of one's own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from qtpy.compat import isalive
from qtpy.QtCore import QTimer, Signal

from napari_coldatoms.analyses.tuning_process import tune_in_process
from napari_coldatoms.clouds.training import Progress, Training
from napari_coldatoms.clouds.training_folder import BEST, read_history
from napari_coldatoms.clouds.training_messages import Plan, Stage, Trials
from napari_coldatoms.clouds.training_process import train_in_process
from napari_coldatoms.clouds.tune_training import trial_folder
from napari_coldatoms.clouds.tuning import Trial, Tuning
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.detector_weights import use_weights
from napari_coldatoms.widgets.folds import fold
from napari_coldatoms.widgets.job_widget import JobWidget
from napari_coldatoms.widgets.table import ResultTable
from napari_coldatoms.widgets.training_course import Course
from napari_coldatoms.widgets.training_plot import TrainingPlot
from napari_coldatoms.widgets.training_setup import TrainingSetup
from napari_coldatoms.widgets.training_words import (
    course_words,
    stage_words,
    training_words,
    tuning_words,
)
from napari_coldatoms.widgets.tuning_panel import TuningPanel
from napari_coldatoms.widgets.window_end import WindowEnd

MEMORY, TUNING = "train_network", "tune"
# the plot is drawn at most this often (ms)
_PAUSE = 250
_Told = Plan | Stage | Progress | Trials
_Request = TypeVar("_Request")


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
        self._what: Literal["training", "tuning"] = "training"
        self._stage, self._stopping = "", False

        self.setup = TrainingSetup()
        remembered = memory.recall(MEMORY)
        self.setup.set_values(remembered)
        self.rows.addWidget(self.setup)
        self.run_button = button(
            "Train", "train", "start the training, or go on with it, in the background", self.run
        )
        self.cancel_button = button(
            "Cancel",
            "cancel",
            "stop at the next step; “Train”, or “Tune”, goes on from there later",
            self.cancel,
        )
        self.cancel_button.setEnabled(False)
        self.rows.addLayout(row(self.run_button, self.cancel_button))
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)
        self.tuning = TuningPanel(napari_viewer.theme)
        if isinstance(remembered.get(TUNING), dict):
            self.tuning.setup.set_values(remembered[TUNING])
        self.tuning.asked.connect(self.tune)
        self.tuning.chosen.connect(self._on_chosen)
        self.tuning_fold = fold("Tune: look for the best hyperparameters", "tune_fold", self.tuning)
        # what is closed cannot be scrolled
        self.tuning_fold.toggled.connect(lambda _: QTimer.singleShot(0, self.tuning.show_row))
        self.rows.addWidget(self.tuning_fold)
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
        # it may take hours, and nobody would see it
        WindowEnd(self).ended.connect(self._give_up)
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
        request = self._asked(self.setup.request)
        if request is None:
            return
        course = Course()
        if request.resume:
            course.keep(read_history(request.output))
        self._begin(
            "training",
            course,
            lambda tell, cancel: train_in_process(
                request, progress=tell, stage=tell, planned=tell, cancelled=cancel
            ),
            self._on_trained,
        )

    def tune(self) -> None:
        """Tune, in the background."""
        request = self._asked(lambda: self.tuning.setup.request(self.setup.request()))
        if request is None:
            return
        self.tuning.begin(request.training.output, request.trials)
        self._begin(
            "tuning",
            Course(),
            lambda tell, cancel: tune_in_process(
                request, trials=tell, progress=tell, stage=tell, planned=tell, cancelled=cancel
            ),
            self._on_tuned,
        )

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
        self.tuning.set_running(running)
        self.cancel_button.setEnabled(running)
        self.use_button.setEnabled(self.best_weights is not None)

    def _asked(self, request: Callable[[], _Request]) -> _Request | None:
        """Return what is asked for; None where it cannot be, or something runs."""
        if self.busy:
            return None
        try:
            return request()
        except ValueError as error:
            self.complain(error)
            return None

    def _begin(
        self,
        what: Literal["training", "tuning"],
        course: Course,
        ask: Callable[[Callable[[_Told], None], Callable[[], bool]], Any],
        done: Callable[[Any], None],
    ) -> None:
        """Begin a training or a tuning, which tells its course."""
        memory.remember(MEMORY, {**self.setup.values(), TUNING: self.tuning.setup.values()})
        self.course, self._what = course, what
        self._stage, self._stopping = f"starting the process of the {what}", False
        self._draw()

        def work(*, progress: Any, cancel: Any) -> Any:
            def tell(told: _Told) -> None:
                if isinstance(told, Progress):
                    progress(told.step, told.steps)
                with contextlib.suppress(RuntimeError):  # the widget is gone
                    self._told.emit(told)

            return ask(tell, cancel)

        self.start_job(work, done, words=f"Starting the {what}: some seconds …")

    def _on_told(self, told: _Told) -> None:
        if not self.job.running:
            return
        if isinstance(told, Plan):
            self.course.plan = told
        elif isinstance(told, Trials):
            self._on_trials(told)
        elif isinstance(told, Stage):
            self._stage = stage_words(told)
        else:
            self._stage = ""
            self.course.add(told, time.monotonic())
        if not self._drawing.isActive():
            self._drawing.start()

    def _on_trials(self, told: Trials) -> None:
        self.tuning.take(told)
        if told.has_begun and (folder := self.setup.folder) is not None:
            self.course = Course(plan=self.course.plan)
            # a trial that goes on has epochs already
            self.course.keep(read_history(trial_folder(folder, told.number)))

    def _draw(self) -> None:
        if not isalive(self):
            return
        self.plot.show_course(self.course)
        table = self.course.table()
        if not table.equals(self.table.table) or not self.job.running:
            self.table.set_table(table)
            self.use_button.setEnabled(self.best_weights is not None)
        if self.job.running and not self._stopping:
            self.say(course_words(self.course, self.tuning.course, self._stage))

    def _on_trained(self, done: Training) -> None:
        self.course.keep(done.history)
        self.say(training_words(self.course, finished=done.finished))

    def _on_tuned(self, found: Tuning) -> None:
        self.tuning.end(found)
        self.say(tuning_words(found))

    def _on_chosen(self, trial: Trial) -> None:
        if trial.hyperparameters is None or self.busy:
            return
        self.setup.take(trial.hyperparameters)
        self.say(f"“Train” uses the values of trial {trial.number + 1}.")

    def _on_folder(self) -> None:
        if self.busy:
            return
        self._show_training()
        self.tuning.show_folder(self.setup.folder)

    def _show_training(self) -> None:
        """Show the training that is in the folder."""
        folder = self.setup.folder
        self.course = Course()
        if folder is not None:
            self.course.keep(read_history(folder))
        self._draw()

    def _on_finished(self) -> None:
        super()._on_finished()
        self._drawing.stop()
        if self._what == "tuning":
            self.tuning.end()
            self._show_training()
        else:
            self._draw()

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.plot.set_theme(self.viewer.theme)
            self.tuning.plot.set_theme(self.viewer.theme)
