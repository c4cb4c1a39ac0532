from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QToolButton, QWidget

from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.analysis import ParameterError, parameters, to_dict
from napari_coldatoms.widgets.form import ParameterForm


@dataclass(frozen=True)
class Fine:
    smoothing: Annotated[float, {"min": 0.5, "max": 9.0, "tooltip": "smoothing (px)"}] = 2.0
    least: Annotated[int, {"min": 1, "tooltip": "least size (px)"}] = 5


@dataclass(frozen=True)
class Everything:
    name: ClassVar[str] = "everything"
    method: Annotated[Literal["fine", "other-way"], {"tooltip": "how"}] = "fine"
    level: Annotated[float | None, {"min": 0.0, "max": 1e6, "tooltip": "level (counts)"}] = None
    rare: Annotated[bool, {"tooltip": "rare"}] = field(default=True, metadata={"advanced": True})
    fine: Fine = field(default_factory=Fine)
    region: tuple[int, int] | None = None


@pytest.fixture
def form(qtbot) -> ParameterForm:
    form = ParameterForm(Everything, prefix="p", exclude=["region"])
    qtbot.addWidget(form)
    return form


@pytest.mark.parametrize("cls", [DetectClouds, MakePicture])
def test_the_forms_of_our_analyses_start_with_their_defaults(qtbot, cls) -> None:
    form = ParameterForm(cls, prefix="p", exclude=["background_region"])
    qtbot.addWidget(form)
    assert form.analysis() == cls()
    for parameter in parameters(cls):
        if parameter.name != "background_region" and not parameter.parameters:
            control = form.control(parameter.name)
            assert control.objectName() == f"p_{parameter.name}"
            assert parameter.help in control.toolTip()


def test_only_the_fold_of_the_method_is_shown(qtbot) -> None:
    form = ParameterForm(DetectClouds, prefix="p")
    qtbot.addWidget(form)
    for method, shown, hidden in (
        ("mask-rcnn", "network", "threshold"),
        ("threshold", "threshold", "network"),
    ):
        form.set_values({"method": method})
        assert form.fold(shown).isVisibleTo(form)
        assert not form.fold(hidden).isVisibleTo(form)


def test_a_path_is_chosen_typed_or_left_empty(qtbot, monkeypatch, tmp_path) -> None:
    form = ParameterForm(DetectClouds, prefix="p")
    qtbot.addWidget(form)
    assert form.values()["network"]["weights"] is None
    chosen = str(tmp_path / "own.safetensors")
    asked = []

    def choose(*arguments):
        asked.append(arguments[1:])
        return chosen, ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    button = form.findChild(QToolButton, "p_network_weights_choose")
    assert "weights" in button.toolTip()
    with qtbot.waitSignal(form.changed):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked == [("weights", "", "(*.safetensors)")]
    # plain values: they are remembered as JSON
    assert form.values()["network"]["weights"] == chosen
    assert form.analysis().network.weights == tmp_path / "own.safetensors"
    again = ParameterForm(DetectClouds, prefix="p")
    qtbot.addWidget(again)
    again.set_values(form.values())
    assert again.values() == form.values()
    form.reset()
    assert form.analysis() == DetectClouds()


def test_values_go_in_and_come_out(form) -> None:
    wanted = Everything(method="other-way", level=12.5, rare=False, fine=Fine(3.5, 7))
    form.set_values(to_dict(wanted))
    assert form.analysis() == wanted
    form.reset()
    assert form.analysis() == Everything()


def test_a_left_out_field_is_given_by_the_caller(form) -> None:
    assert form.analysis(region=(1, 2)) == Everything(region=(1, 2))
    with pytest.raises(ParameterError, match="region"):
        form.analysis(region="somewhere")


def test_what_does_not_fit_any_more_is_passed_over(form) -> None:
    form.set_values({"method": "gone", "fine": {"least": -3, "smoothing": 4.0}, "unheard": 1})
    assert form.analysis() == Everything(fine=Fine(smoothing=4.0))
    form.set_values({"level": "much", "rare": 7, "method": ["fine"]})
    assert form.analysis() == Everything(fine=Fine(smoothing=4.0))


def test_none_is_a_box_that_is_not_ticked(form, qtbot) -> None:
    check = form.findChild(QWidget, "p_level_given")
    assert not check.isChecked()
    assert not form.control("level").isEnabled()
    check.setChecked(True)
    form.control("level").setValue(3.0)
    assert form.analysis().level == 3.0
    check.setChecked(False)
    assert form.analysis().level is None


def test_folds_are_closed_at_first_and_follow_the_method(form, qtbot) -> None:
    form.show()
    assert not form.fold("advanced").isExpanded()
    assert not form.fold("fine").isExpanded()
    assert form.fold("fine").isVisible()
    form.fold("fine").toggleButton().click()
    assert form.fold("fine").isExpanded()
    form.set_values({"method": "other-way"})
    assert not form.fold("fine").isVisible()


def test_each_change_is_told(form, qtbot) -> None:
    with qtbot.waitSignal(form.changed):
        form.control("fine.least").setValue(9)
    assert form.values()["fine"]["least"] == 9


def test_the_wheel_scrolls_the_form_and_changes_no_number(form, qtbot) -> None:
    form.show()
    spin = form.control("fine.least")
    spin.clearFocus()
    wheel = QWheelEvent(
        QPointF(2, 2),
        QPointF(2, 2),
        QPointF(0, 0).toPoint(),
        QPointF(0, 120).toPoint(),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    assert wheel.type() == QEvent.Type.Wheel
    QApplication.sendEvent(spin, wheel)
    assert form.values()["fine"]["least"] == 5
