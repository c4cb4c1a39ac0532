"""The fold "Tune" without a window of napari: controls, trials, the figure, and words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractSpinBox, QLineEdit, QPushButton

from napari_coldatoms.analyses.tuning_folder import FIGURE, TABLE
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.clouds.search_space import Hyperparameters, Range, Space
from napari_coldatoms.clouds.training import Epoch, Progress
from napari_coldatoms.clouds.training_messages import Plan, Stage, Trials
from napari_coldatoms.clouds.training_request import TrainingRequest
from napari_coldatoms.clouds.tuning import Trial, Tuning
from napari_coldatoms.widgets.training_course import Course
from napari_coldatoms.widgets.training_words import course_words, stage_words, tuning_words
from napari_coldatoms.widgets.tuning_course import TuningCourse
from napari_coldatoms.widgets.tuning_panel import TuningPanel
from napari_coldatoms.widgets.tuning_setup import TuningSetup

VALUES = [Hyperparameters(1e-3, 0.8, 9, 0.25), Hyperparameters(2e-3, 0.75, 3, 0.5)]
NOTES = {"box": 0.5, "mask": 0.7, "epoch": 2.0}
DONE = (
    Trial(0, "done", "sobol", VALUES[0], 0.6, 100.0, NOTES),
    Trial(1, "done", "sobol", VALUES[1], 0.5, 200.0, NOTES),
)
UNDER_WAY = Trial(2, "running", "model", VALUES[1])


@pytest.fixture
def panel(qtbot) -> TuningPanel:
    made = TuningPanel("dark")
    qtbot.addWidget(made)
    made.resize(360, 700)
    return made


def test_what_is_asked_for_is_what_the_controls_show(qtbot, tmp_path):
    setup = TuningSetup()
    qtbot.addWidget(setup)
    training = TrainingRequest(tmp_path, tmp_path)
    request = setup.request(training)
    # the paper's ranges survive the decimals of the controls
    assert request.space == Space()
    assert (request.trials, request.sobol, request.storage, request.study) == (25, 5, "", "clouds")
    setup.trials.setValue(12)
    setup.sobol.setValue(0)
    setup.ranges["learning_rate"][0].setValue(2e-4)
    setup.ranges["decay_epochs"][1].setValue(5)
    setup.storage.value = str(tmp_path / "shared.journal")
    setup.study.setText(" mine ")
    request = setup.request(training)
    assert request.space == Space(
        learning_rate=Range(2e-4, 9e-3, log=True), decay_epochs=Range(3, 5, whole=True)
    )
    assert (request.trials, request.sobol, request.study) == (12, 0, "mine")
    assert request.storage == str(tmp_path / "shared.journal")

    again = TuningSetup()
    qtbot.addWidget(again)
    again.set_values({"trials": "x", "ranges": {"decay": [1], "momentum": None}, "study": 3})
    assert again.request(training) == TuningSetup().request(training)
    again.set_values(setup.values())
    assert again.request(training) == request
    # a password stays where it was typed
    setup.storage.value = "postgresql://me:secret@host/name"
    assert setup.request(training).storage == "postgresql://me:secret@host/name"
    assert "secret" not in str(setup.values())
    setup.storage.value = "postgresql://me@host/name"
    assert setup.values()["storage"] == "postgresql://me@host/name"
    setup.ranges["momentum"][0].setValue(0.95)
    with pytest.raises(ValueError, match="momentum: expected a range low < high"):
        setup.request(training)


def test_every_control_has_a_name_and_an_explanation(panel):
    for kind in (QAbstractSpinBox, QLineEdit, QPushButton):
        for control in panel.findChildren(kind):
            if control.objectName() != "qt_spinbox_lineedit":
                assert control.objectName(), control
                assert control.toolTip(), control.objectName()
    low, high = panel.setup.ranges["learning_rate"]
    assert "0.0001 to 0.009 in Hofer et al. 2021, Table 1" in low.toolTip()
    assert low.objectName() == "tuning_learning_rate_low"
    assert high.objectName() == "tuning_learning_rate_high"


def test_trials_in_a_folder_are_shown(qtbot, panel, tmp_path):
    panel.show()
    assert not panel.use_button.isEnabled()
    stopped = replace(UNDER_WAY, state="stopped")
    write_table(Tuning(Space(), (*DONE, stopped), finished=False).table(), tmp_path / TABLE)
    Image.fromarray(np.full((80, 200), 200, np.uint8)).save(tmp_path / FIGURE)
    panel.show_folder(tmp_path)
    table = panel.table.table
    assert list(table["trial"]) == [1, 2, 3]
    assert list(table["state"]) == ["best", "done", "stopped"]
    assert list(table["mAP"][:2]) == [0.6, 0.5]
    assert math.isnan(table["mAP"][2])
    assert list(table["learning rate"]) == [1e-3, 2e-3, 2e-3]
    assert list(table["decay epochs"]) == [9, 3, 3]
    assert list(table["minutes"][:2]) == [100 / 60, 200 / 60]
    assert list(table["chosen by"]) == ["Sobol", "Sobol", "model"]

    # before five trials there are no slices
    figure = panel.figure
    assert not figure.isVisible()
    more = [replace(DONE[1], number=number) for number in (2, 3, 4)]
    write_table(Tuning(Space(), (*DONE, *more), finished=True).table(), tmp_path / TABLE)
    panel.show_folder(tmp_path)
    # a click opens the figure at its own size, and what is new in the file is shown there, too
    assert figure.isVisible()
    assert figure.height() == pytest.approx(figure.width() * 80 / 200, abs=1)
    qtbot.mouseClick(figure, Qt.MouseButton.LeftButton)
    large = figure.large
    assert large.isVisible()
    assert (large.width(), large.height()) == (200, 80)
    Image.fromarray(np.full((80, 200), 40, np.uint8)).save(tmp_path / FIGURE)
    panel.show_folder(tmp_path)
    assert large.grab().toImage().pixelColor(100, 40).red() == pytest.approx(40, abs=2)

    with qtbot.waitSignal(panel.chosen) as chosen:
        qtbot.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    assert chosen.args == [DONE[0]]
    panel.show_folder(tmp_path / "nothing")
    assert panel.table.table.empty
    assert not figure.isVisible()
    assert not large.isVisible()
    assert not panel.use_button.isEnabled()


def test_a_tuning_under_way_is_shown(panel, tmp_path):
    panel.begin(tmp_path, 25)
    panel.set_running(True)
    panel.take(Trials(2, (*DONE, UNDER_WAY)))
    assert not panel.tune_button.isEnabled()
    assert not panel.use_button.isEnabled()
    assert (panel.course.number, panel.course.wanted) == (2, 25)
    assert list(panel.table.table["state"]) == ["best", "done", "running"]
    # its process was killed
    panel.end()
    panel.set_running(False)
    assert list(panel.table.table["state"]) == ["best", "done", "stopped"]
    assert panel.use_button.isEnabled()
    panel.take(Trials(2, (*DONE, replace(UNDER_WAY, state="done", value=0.9))))
    assert panel.course.number is None
    assert panel.course.best.number == 2


def test_the_plot_shows_the_best_so_far(qtbot, panel, tmp_path):
    panel.show()
    assert not panel.plot.isVisible()
    values = (0.01, 0.6, 0.55, 0.7, 0.65, 0.5, 0.68)
    trials = tuple(
        replace(DONE[0], number=number, value=value) for number, value in enumerate(values)
    )
    panel.begin(tmp_path, 9)
    panel.take(Trials(7, (*trials, replace(UNDER_WAY, number=7))))
    plot = panel.plot
    assert plot.isVisible()
    numbers, shown = plot._dots.getData()
    assert list(numbers) == [1, 2, 3, 4, 5, 6, 7]
    # the first one is far below: it must not take the room of the others
    assert list(shown[1:]) == list(values[1:])
    low, high = plot.axes[0].viewRange()[1]
    assert 0.2 < low < shown[0] < 0.5
    assert plot.axes[0].getAxis("bottom").tickSpacing(0.5, 9.5, 300)[0][0] == 1
    assert 0.7 < high < 0.8
    assert [point.symbol() for point in plot._dots.points()] == ["t", *"oooooo"]
    x, best = plot._best.getData()
    at = [best[x == number][-1] for number in range(2, 8)]
    assert at == [0.6, 0.6, 0.7, 0.7, 0.7, 0.7]
    left, right = plot.axes[0].viewRange()[0]
    assert left < 1
    assert right > 9
    plot.set_theme("light")
    assert plot.colors.background == plot.backgroundBrush().color().name()


def test_how_long_a_tuning_takes():
    course = TuningCourse(wanted=10)
    course.take(Trials(2, (*DONE, UNDER_WAY)))
    # seven are to come, of 150 s as those that are done
    assert course.left(40.0) == pytest.approx(40 + 7 * 150)
    # another machine has one of them
    elsewhere = replace(UNDER_WAY, number=3)
    course.take(Trials(2, (*DONE, UNDER_WAY, elsewhere)))
    assert course.left(40.0) == pytest.approx(40 + 6 * 150)
    course.wanted = 3
    assert course.left(40.0) == 40.0
    course = TuningCourse(wanted=2)
    course.take(Trials(0, (replace(UNDER_WAY, number=0),)))
    assert math.isnan(course.left(40.0))


def test_what_it_is_at_in_words():
    course, tuning = Course(), TuningCourse()
    loading = stage_words(Stage("weights"))
    assert course_words(course, tuning, loading) == "Loading the weights …"
    course.plan = Plan(("spot",), 7, 0, 2, (4, 8))
    for n in (1, 2, 3):
        course.add(Progress(n, 8, {"mask": 1.0}), 60.0 * n)
    assert course_words(course, tuning, "") == "Epoch 1 of 2, 5 min left."
    judging = stage_words(Stage("judging", 1, 2))
    assert course_words(course, tuning, judging) == (
        "Epoch 1 of 2: judging the validation pictures, 1 of 2 …"
    )
    tuning.wanted = 4
    choosing = stage_words(Stage("choosing"))
    assert course_words(course, tuning, choosing) == "Choosing the next trial …"
    tuning.take(Trials(2, (*DONE, UNDER_WAY)))
    # 5 min of this trial, 2.5 min of the last one
    assert course_words(course, tuning, "") == "Trial 3 of 4, epoch 1 of 2, 8 min left."
    course.keep([Epoch(1, {"mask": 1.0}, 1e-3, 0.5, 0.5, 60.0)])
    assert course_words(course, tuning, loading) == (
        "Trial 3 of 4, epoch 1 of 2: loading the weights …"
    )


@pytest.mark.parametrize(
    ("trials", "finished", "words"),
    [
        (DONE, True, "Done. Best of 2 trials: number 1, mAP 0.600."),
        (DONE[:1], False, "Stopped; “Tune” goes on where it was. Best of 1 trial: number 1, mAP"),
        ((*DONE, UNDER_WAY), False, "Other processes are at work on 1 trial. Best of 2 trials"),
        (
            (replace(DONE[0], state="failed", value=None), DONE[1]),
            True,
            "Done. Best of 1 trial: number 2, mAP 0.500. 1 trial failed.",
        ),
        ((), False, "Stopped; “Tune” goes on where it was."),
    ],
)
def test_what_it_came_to_in_words(trials, finished, words):
    assert tuning_words(Tuning(Space(), trials, finished)).startswith(words)
