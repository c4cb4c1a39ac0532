"""The fold "Tune": what a tuning is asked for, its trials, and what they tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_coldatoms.analyses.tuning_folder import FIGURE, read_trials
from napari_coldatoms.clouds.surrogate import LEAST_TRIALS
from napari_coldatoms.clouds.training_messages import Trials
from napari_coldatoms.clouds.tuning import Trial, Tuning
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.picture_button import PictureButton
from napari_coldatoms.widgets.table import ResultTable
from napari_coldatoms.widgets.tuning_course import TuningCourse
from napari_coldatoms.widgets.tuning_plot import TuningPlot
from napari_coldatoms.widgets.tuning_setup import TuningSetup

_TOOLTIP = (
    "Squares are Sobol's points, dots were chosen by the model and grow with the trial, the star "
    "is the best one. (a) to (f): mean mAP (0 to 1) that a Gaussian process of all trials expects, "
    "in slices through the best one; (g): mean mAP of each trial, and the best so far."
)


class TuningPanel(QWidget):
    """Controls, table and figures of a tuning.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    asked = Signal()
    """"Tune" was pressed."""
    chosen = Signal(object)
    """The trial whose hyperparameters are to be used."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tuning")
        self.course = TuningCourse()
        """What is shown: of the tuning that runs, or of what is in its folder."""
        self._folder: Path | None = None
        self.setup = TuningSetup()
        self.tune_button = button(
            "Tune",
            "tune",
            "look for the learning rate, momentum, decay epochs and decay of the highest "
            "precision, by one training for each trial with all other values as they are above; or "
            "go on where that was stopped",
            self.asked.emit,
        )
        self.use_button = button(
            "Use the best",
            "use_best",
            "put the four values of the best trial into the form above, for “Train”",
            self._choose,
        )
        self.table = ResultTable()
        self.table.setObjectName("trials")
        self.table.setToolTip(
            "one row per trial: mAP, the mean of the average precisions (0 to 1) of boxes and of "
            "masks on the validation pictures in its best epoch, and what was tried; Ctrl+C copies"
        )
        self.table.setMinimumHeight(110)
        self.plot = TuningPlot(theme_id)
        self.figure = PictureButton("tuning_figure", _TOOLTIP, "Tuning")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.setup)
        layout.addLayout(row(self.tune_button, self.use_button))
        layout.addWidget(self.table, 1)
        layout.addWidget(self.plot)
        layout.addWidget(self.figure)
        self._show()

    def begin(self, folder: Path, wanted: int) -> None:
        """Show a tuning that begins in a folder, with the trials that are there."""
        self.show_folder(folder)
        self.course.wanted = wanted

    def take(self, told: Trials) -> None:
        """Show what the process of the tuning told."""
        self.course.take(told)
        self._show()

    def end(self, found: Tuning | None = None) -> None:
        """Show that no tuning runs any more, and what it came to."""
        self.course.end(None if found is None else found.trials)
        self._show()

    def show_folder(self, folder: Path | None) -> None:
        """Show the trials in a folder; none where there is no folder."""
        self._folder = folder
        self.course = TuningCourse(() if folder is None else read_trials(folder))
        self._show()

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.setup.setEnabled(not running)
        self.tune_button.setEnabled(not running)
        self.use_button.setEnabled(not running and self.course.best is not None)

    def show_row(self) -> None:
        """Scroll the table to the trial that is under way, else to the best one."""
        course = self.course
        best = None if course.best is None else course.best.number
        seen = best if course.number is None else course.number
        numbers = [each.number for each in course.trials]
        if seen in numbers:
            self.table.show_row(numbers.index(seen))

    def _show(self) -> None:
        course = self.course
        self.table.set_table(course.table())
        self.plot.show_course(course)
        self.show_row()
        self.use_button.setEnabled(self.setup.isEnabled() and self.course.best is not None)
        # with fewer trials there are no slices, and the plot shows all that there is
        enough = sum(each.value is not None for each in self.course.trials) >= LEAST_TRIALS
        folder = self._folder if enough else None
        self.figure.show_file(None if folder is None else folder / FIGURE)

    def _choose(self, *_: Any) -> None:
        best: Trial | None = self.course.best
        if best is not None:
            self.chosen.emit(best)
