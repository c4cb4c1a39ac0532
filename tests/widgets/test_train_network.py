"""The widget "Train a network", opened in a real napari window."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

# before a window is there: the LLVM of torch's triton crashes beside that of Mesa
import torchvision  # noqa: F401
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QTableView

from napari_coldatoms.analyses.tuning_folder import FIGURE, TABLE
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.clouds.annotations import Annotated, create_set
from napari_coldatoms.clouds.augment import ALL
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.recipe import OWN, PAPER, RECIPES, SHOTS
from napari_coldatoms.clouds.search_space import Hyperparameters, Space
from napari_coldatoms.clouds.training import Epoch, Progress
from napari_coldatoms.clouds.training_folder import BEST, write_history
from napari_coldatoms.clouds.training_messages import Plan
from napari_coldatoms.clouds.tuning import Trial, Tuning
from napari_coldatoms.clouds.weights import SHIPPED, read_card
from napari_coldatoms.widgets.training_course import Course, smoothed

CHILD = "napari_coldatoms.clouds.training_child"
TUNER = "napari_coldatoms.analyses.tuning_child"
TINY = {
    "epochs": 2, "batch": 2, "canvas": 64, "large_canvas": 64, "large": 0.0, "averaging": 0.0,
    "precision": "float32", "learning_rate": 1e-4,
}  # fmt: skip
EPOCHS = (
    Epoch(1, {"mask": 0.5, "box_reg": 0.25}, 1e-3, 0.4, 0.5, 60.0),
    Epoch(2, {"mask": 0.3, "box_reg": 0.2}, 1e-4, 0.8, 0.6, 120.0),
    Epoch(3, {"mask": 0.2, "box_reg": 0.1}, 1e-5, 0.7, 0.5, 180.0),
)


@pytest.fixture
def widget(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Train a network")
    return widget


@pytest.fixture
def dataset(tmp_path):
    """Return a folder with eight pictures of one or two round clouds each."""
    made = create_set(tmp_path / "dataset", ["spot"])
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:72, :80]
    for n in range(8):
        places = [(rng.uniform(18, 54), rng.uniform(14, 30))]
        places += [(rng.uniform(18, 54), rng.uniform(50, 66))] if n % 2 else []
        radii = rng.uniform(6, 10, len(places))
        picture = rng.normal(0, 0.03, (72, 80))
        masks = []
        for (y, x), w in zip(places, radii, strict=True):
            picture += Gaussian2D(x, y, w, w, 0.0, 1.0, 0.0).image((72, 80))
            masks.append((rows - y) ** 2 + (columns - x) ** 2 < w**2)
        made.put(Annotated(f"shot {n}", picture, ("spot",) * len(masks), np.array(masks)))
    return tmp_path / "dataset"


def press(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def unfold(qtbot, widget) -> None:
    widget.tuning_fold.expand(animate=False)
    qtbot.waitUntil(lambda: widget.tuning.tune_button.height() > 10 and widget.tuning.isVisible())
    qtbot.wait(50)  # until its parts have their places


def errors() -> list[str]:
    return [str(n.message) for n in notification_manager.records if str(n.severity) == "error"]


def choose(combo, value) -> None:
    combo.setCurrentIndex(combo.findData(value))


def training_processes(module: str = CHILD) -> list[psutil.Process]:
    found = (each for each in psutil.Process().children() if each.status() != "zombie")
    return [each for each in found if module in each.cmdline()]


def test_what_is_asked_for_is_what_the_controls_show(qtbot, widget, dataset) -> None:
    setup = widget.setup
    assert "No dataset yet" in setup.contents.text()
    press(qtbot, widget.run_button)
    assert "expected the folder of a dataset" in errors()[0]
    setup.dataset.value = dataset
    qtbot.waitUntil(lambda: "8 pictures" in setup.contents.text())
    assert "Classes: spot." in setup.contents.text()
    request = setup.request()
    assert request.recipe == SHOTS
    assert (request.start, request.simulated, request.resume) == ("shipped", 0, True)
    assert request.output == dataset / "training"

    offered = [setup.recipe.itemData(at) for at in range(setup.recipe.count())]
    assert sorted(offered) == sorted(RECIPES)
    choose(setup.recipe, "own")
    assert setup.request().recipe == replace(OWN, augmentations=ALL)
    choose(setup.recipe, "paper")
    paper = replace(PAPER, augmentations=ALL)
    # those of the package are for the small network
    assert setup.request().recipe == replace(paper, architecture="small")
    choose(setup.start, "coco")
    assert setup.request().recipe == paper
    assert not setup.form.control("architecture").isEnabled()
    choose(setup.start, "random")
    assert setup.form.control("architecture").isEnabled()
    assert not setup.weights.isVisibleTo(setup)
    choose(setup.start, "file")
    assert setup.weights.isVisibleTo(setup)
    press(qtbot, widget.run_button)
    assert "expected a file of weights" in errors()[1]
    setup.weights.value = SHIPPED
    assert setup.request().start == str(SHIPPED)
    assert setup.request().recipe.architecture == "small"
    setup.output.value = dataset / "elsewhere"
    setup.simulated.setValue(40)
    setup.resume.setChecked(False)
    request = setup.request()
    assert (request.output, request.simulated) == (dataset / "elsewhere", 40)
    assert not request.resume
    setup.dataset.value = dataset / "nowhere"
    qtbot.waitUntil(lambda: "expected a dataset" in setup.contents.text())


def test_what_is_no_dataset_is_told_in_one_line_and_all_is_remembered(
    qtbot, viewer, widget, tmp_path, finished
) -> None:
    widget.setup.dataset.value = tmp_path
    widget.setup.simulated.setValue(7)
    widget.setup.form.set_values({"epochs": 11})
    press(qtbot, widget.run_button)
    assert widget.cancel_button.isEnabled()
    assert not widget.setup.isEnabled()
    finished(widget)
    (error,) = errors()
    assert "expected a dataset with dataset.json, found none" in error
    assert "\n" not in error
    assert widget.run_button.isEnabled()
    assert widget.setup.isEnabled()
    viewer.window.remove_dock_widget(widget)
    _, again = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Train a network")
    assert again.setup.request().simulated == 7
    assert again.setup.request().recipe.epochs == 11
    assert again.setup.dataset.value == str(tmp_path)


def test_an_earlier_training_is_shown_and_its_weights_go_to_detect_clouds(
    qtbot, viewer, widget, dataset
) -> None:
    folder = dataset / "training"
    folder.mkdir()
    write_history(folder, EPOCHS)
    (folder / BEST).write_bytes(SHIPPED.read_bytes())
    assert not widget.use_button.isEnabled()
    widget.setup.dataset.value = dataset
    assert list(widget.table.table["box mAP"]) == [0.4, 0.8, 0.7]
    assert list(widget.table.table["kept"]) == ["", "best", ""]
    assert list(widget.table.table["minutes"]) == [1, 2, 3]
    assert "mask mAP" in widget.plot.legend.text().replace("&nbsp;", " ")
    # closed: it will have them when it is opened
    press(qtbot, widget.use_button)
    assert "once opened, will use" in widget.status.text()
    _, detect = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    assert detect.form.analysis().network.weights == folder / BEST
    assert detect.form.analysis().method == "mask-rcnn"
    # open: it has them at once, and all else stays
    detect.form.set_values(
        {"method": "threshold", "network": {"weights": "", "score": 0.25}, "roi_factor": 3.0}
    )
    press(qtbot, widget.use_button)
    assert "“Detect clouds” uses" in widget.status.text()
    analysis = detect.form.analysis()
    assert analysis.network.weights == folder / BEST
    assert (analysis.method, analysis.network.score) == ("mask-rcnn", 0.25)
    assert analysis.roi_factor == 3.0
    widget.setup.output.value = dataset / "another"
    assert not widget.use_button.isEnabled()
    assert widget.table.table.empty
    assert errors() == []


def test_the_best_of_a_tuning_is_what_is_trained_next(qtbot, widget, dataset) -> None:
    tuning = widget.tuning
    unfold(qtbot, widget)
    press(qtbot, tuning.tune_button)
    assert "expected the folder of a dataset" in errors()[0]
    best = Hyperparameters(0.00094868, 0.81, 9, 0.031623)
    trials = (
        Trial(0, "done", "sobol", replace(best, momentum=0.7), 0.25),
        Trial(1, "done", "sobol", best, 0.5),
    )
    folder = dataset / "training"
    folder.mkdir()
    write_table(Tuning(Space(), trials, finished=True).table(), folder / TABLE)
    widget.setup.dataset.value = dataset
    assert list(tuning.table.table["state"]) == ["done", "best"]
    choose(widget.setup.recipe, "paper")
    press(qtbot, tuning.use_button)
    assert widget.status.text() == "“Train” uses the values of trial 2."
    trained = widget.setup.request().recipe
    tried = best.recipe(replace(PAPER, architecture="small", augmentations=ALL))
    for name in ("learning_rate", "momentum", "decay_epochs", "decay"):
        assert getattr(trained, name) == pytest.approx(getattr(tried, name), rel=1e-3)
    rounded = {name: getattr(tried, name) for name in ("learning_rate", "momentum", "decay")}
    assert replace(trained, **rounded) == tried
    # of a recipe with another schedule, the one that was tuned
    choose(widget.setup.recipe, "shots")
    assert widget.setup.request().recipe == SHOTS
    press(qtbot, tuning.use_button)
    assert widget.setup.request().recipe.schedule == "step"


def test_the_course_of_a_training_in_numbers() -> None:
    course = Course()
    assert (course.best, course.epoch) == (None, 1)
    assert math.isnan(course.left())
    course.keep(EPOCHS[:1])
    course.plan = Plan(("spot",), 7, 0, 2, (4, 10, 14))
    assert course.epoch == 2
    # it goes on in the middle of the second epoch; a step takes two seconds
    for n in range(7, 11):
        course.add(Progress(n, 14, {"mask": 1.0, "box_reg": 10.0 - n}), 2.0 * n)
    course.add(Progress(10, 14, EPOCHS[1].losses, EPOCHS[1]), 100.0)
    np.testing.assert_allclose(course.places(), [1.5, 1 + 4 / 6, 1 + 5 / 6, 2.0])
    assert course.losses == [4.0, 3.0, 2.0, 1.0]
    assert course.left() == pytest.approx(8.0)
    assert [each.number for each in course.history] == [1, 2]
    assert course.best == EPOCHS[1]
    course.add(Progress(11, 14, {"mask": math.nan}), 22.0)
    assert course.epoch == 3
    smooth = course.smooth()
    assert smooth[0] == 4.0
    assert smooth[-1] == smooth[-2]  # a step that was left out
    # of many steps the average lags by the steps it is over
    line = smoothed(list(np.arange(500.0)), 20)
    assert line[-1] == pytest.approx(499 - 19, abs=0.01)
    # without pictures to judge by the latest weights are kept
    unjudged = Course()
    unjudged.keep(replace(each, box=math.nan, mask=math.nan) for each in EPOCHS)
    assert unjudged.best.number == 3


def test_the_plot_shows_steps_and_epochs(widget, viewer) -> None:
    course = Course()
    course.keep(EPOCHS[:2])
    course.plan = Plan(("spot",), 7, 0, 2, (4, 8, 12))
    for n in (9, 10, 11):
        course.add(Progress(n, 12, {"mask": 1.0 / n}), float(n))
    widget.plot.show_course(course)
    plot = widget.plot.plot
    x, y = plot._steps.getData()
    np.testing.assert_allclose(x, [2.25, 2.5, 2.75])
    np.testing.assert_allclose(y, 1 / np.array([9, 10, 11]))
    assert list(plot._means.getData()[0]) == [0.5, 1.5]
    np.testing.assert_allclose(plot._means.getData()[1], [0.75, 0.5])
    np.testing.assert_allclose(plot._mask.getData(), [[1, 2], [0.5, 0.6]])
    low, high = plot.axes[0].viewRange()[0]
    assert low < 0.05
    assert high > 2.95
    viewer.theme = "light"
    assert plot.colors.background == plot.backgroundBrush().color().name()


def test_every_control_has_a_name_and_an_explanation(widget) -> None:
    for kind in (QAbstractSpinBox, QComboBox, QTableView, QLineEdit):
        for control in widget.findChildren(kind):
            if control.objectName() != "qt_spinbox_lineedit":
                assert control.objectName(), control
                assert control.toolTip(), control.objectName()
    for control in widget.findChildren(QAbstractButton):
        if control.text():
            assert control.toolTip(), control.text()


@pytest.mark.slow
def test_a_training_is_cancelled_goes_on_and_its_weights_detect(
    qtbot, viewer, widget, add, dataset, finished, looked_at
) -> None:
    from napari_coldatoms.clouds.annotations import open_set
    from napari_coldatoms.images.stack import make_stack

    _, detect = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    widget.setup.dataset.value = dataset
    widget.setup.form.set_values(TINY)
    choose(widget.setup.device, "cpu")
    press(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: bool(widget.course.steps), timeout=120_000)
    (child,) = training_processes()
    press(qtbot, widget.cancel_button)
    finished(widget)
    assert widget.status.text().startswith("Stopped; “Train” goes on from there.")
    assert not child.is_running()
    stopped = widget.course.steps[-1]
    total = widget.course.plan.ends[-1]
    assert 1 <= stopped < total
    folder = dataset / "training"
    assert (folder / "checkpoint.safetensors").is_file()

    press(qtbot, widget.run_button)
    finished(widget, timeout=240_000)
    assert widget.status.text().startswith("Done. Trained on")
    assert widget.course.steps == list(range(stopped + 1, total + 1))
    table = widget.table.table
    assert list(table["epoch"]) == [1, 2]
    assert np.isfinite(table["loss"]).all()
    assert table["loss"][1] < table["loss"][0]
    assert table["box mAP"].between(0, 1).all()
    told = json.loads((folder / "history.json").read_text())
    assert [each["box"] for each in told] == list(table["box mAP"])
    assert not Path(folder / "frames").exists()
    looked_at(viewer, "train-network")

    press(qtbot, widget.use_button)
    picture = open_set(dataset).read("shot 1").picture
    add(make_stack(picture, name="shot 1", attrs={"kind": "optical_depth"}))
    press(qtbot, detect.run_button)
    finished(detect)
    assert detect.result.recipe.made_with["weights"] == BEST
    assert set(detect.table.table["label"]) <= {"spot"}
    assert errors() == []

    # with its window a training ends
    widget.setup.output.value = dataset / "another"
    press(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: bool(widget.course.steps), timeout=120_000)
    widget.window().hide()
    assert not widget.busy
    qtbot.waitUntil(lambda: not training_processes(), timeout=60_000)
    assert (dataset / "another" / "checkpoint.safetensors").is_file()


@pytest.mark.slow
def test_a_tuning_is_killed_goes_on_and_its_best_is_used(
    qtbot, viewer, widget, dataset, finished, looked_at
) -> None:
    tuning, folder = widget.tuning, dataset / "training"
    widget.setup.dataset.value = dataset
    choose(widget.setup.recipe, "paper")
    widget.setup.form.set_values({**TINY, "epochs": 1})
    choose(widget.setup.device, "cpu")
    tuning.setup.trials.setValue(2)
    unfold(qtbot, widget)
    press(qtbot, tuning.tune_button)
    assert widget.cancel_button.isEnabled()
    assert not tuning.setup.isEnabled()
    assert not widget.run_button.isEnabled()
    (child,) = tuning_processes(qtbot)
    # in the middle of the second trial
    qtbot.waitUntil(lambda: tuning.course.number == 1, timeout=240_000)
    assert list(tuning.table.table["state"]) == ["best", "running"]
    child.kill()
    finished(widget)
    (error,) = errors()
    assert "killed by SIGKILL" in error
    assert "the same tuning goes on where it was" in error
    assert list(tuning.table.table["state"]) == ["best", "stopped"]
    weights = folder / "trial-000" / BEST
    before = weights.stat().st_mtime_ns

    # a window that is opened now knows what was done
    viewer.window.remove_dock_widget(widget)
    _, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Train a network")
    tuning = widget.tuning
    unfold(qtbot, widget)
    assert tuning.setup.trials.value() == 2
    assert list(tuning.table.table["state"]) == ["best"]
    press(qtbot, tuning.tune_button)
    finished(widget, timeout=240_000)
    assert widget.status.text().startswith("Done. Best of 2 trials: number ")
    assert weights.stat().st_mtime_ns == before
    assert sorted(tuning.table.table["state"]) == ["best", "done"]
    points = [Space().sobol(number) for number in range(2)]
    assert list(tuning.table.table["momentum"]) == [each.momentum for each in points]
    assert len(errors()) == 1
    assert (folder / FIGURE).is_file()
    # nothing but the course is in it before there are five trials
    assert tuning.plot.isVisible()
    assert not tuning.figure.isVisible()
    looked_at(viewer, "tune")

    # the form has what the best network was trained with
    press(qtbot, tuning.use_button)
    best = tuning.course.best
    card = read_card(folder / f"trial-{best.number:03d}" / BEST)
    tried = dict(card.about["recipe"])
    trained = widget.setup.request().recipe.to_dict()
    for name in ("learning_rate", "momentum", "decay"):
        assert trained.pop(name) == pytest.approx(tried.pop(name), rel=1e-3)
    assert trained == tried


def tuning_processes(qtbot) -> list[psutil.Process]:
    """Return the processes of a tuning, once there are any."""
    qtbot.waitUntil(lambda: bool(training_processes(TUNER)), timeout=60_000)
    return training_processes(TUNER)
