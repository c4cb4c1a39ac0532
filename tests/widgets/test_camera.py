"""The camera's numbers and their profiles."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.camera import IDEAL, CameraPanel

ANDOR = {"offset": 200.0, "gain": 62.5, "read_noise": 0.3, "excess_noise": 2.0}
PERFECT = {"offset": 0.0, "gain": 1.0, "read_noise": 0.0, "excess_noise": 1.0}


@pytest.fixture
def camera(qtbot):
    camera = CameraPanel()
    qtbot.addWidget(camera)
    return camera


def again(qtbot) -> CameraPanel:
    camera = CameraPanel()
    qtbot.addWidget(camera)
    return camera


def test_a_profile_is_saved_under_the_name_that_was_typed(qtbot, camera) -> None:
    assert camera.values() == PERFECT
    assert camera.profile.currentText() == IDEAL
    assert not camera.save_button.isEnabled()
    with qtbot.waitSignal(camera.changed):
        camera.offset.setValue(200)
    assert camera.profile.currentText() == ""  # not an ideal one any more
    camera.set_values(ANDOR)
    assert not camera.save_button.isEnabled()
    qtbot.keyClicks(camera.profile.lineEdit(), "iXon 1")
    qtbot.mouseClick(camera.save_button, Qt.MouseButton.LeftButton)
    assert not camera.save_button.isEnabled()

    camera.profile.setCurrentIndex(0)
    camera.profile.activated.emit(0)
    assert camera.values() == PERFECT
    other = again(qtbot)
    assert other.values() == PERFECT
    index = other.profile.findText("iXon 1")
    other.profile.setCurrentIndex(index)
    with qtbot.waitSignal(other.changed):
        other.profile.activated.emit(index)
    assert other.values() == ANDOR
    # numbers and name come back as they were left, saved or not
    other.gain.setValue(63)
    last = again(qtbot)
    assert last.values() == {**ANDOR, "gain": 63.0}
    assert last.profile.currentText() == "iXon 1"
    assert last.save_button.isEnabled()


def test_a_profile_is_deleted_and_the_ideal_camera_is_not(qtbot, camera) -> None:
    assert not camera.delete_button.isEnabled()
    camera.set_values(ANDOR)
    camera.profile.setEditText("old")
    camera.save()
    qtbot.mouseClick(camera.delete_button, Qt.MouseButton.LeftButton)
    assert camera.values() == ANDOR
    assert again(qtbot).profile.count() == 1
    camera.profile.setEditText(IDEAL)
    camera.save()
    camera.delete()
    assert camera.profile.itemText(0) == IDEAL
    assert memory.recall("cameras")["profiles"] == {}


def test_a_damaged_memory_is_passed_over(qtbot) -> None:
    good = {"offset": 5.0, "gain": "much", "read_noise": float("inf")}
    memory.remember(
        "cameras", {"profiles": {"a": good, "b": 3, IDEAL: ANDOR}, "current": [], "chosen": 7}
    )
    camera = again(qtbot)
    assert camera.values() == PERFECT
    camera.profile.activated.emit(camera.profile.findText("a"))
    assert camera.values() == {**PERFECT, "offset": 5.0}


def test_the_wheel_turns_no_number_that_is_passed(qtbot, camera) -> None:
    camera.show()
    spin = camera.gain
    event = QWheelEvent(
        QPointF(5, 5),
        QPointF(spin.mapToGlobal(QPoint(5, 5))),
        QPoint(0, 0),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    spin.clearFocus()
    QApplication.sendEvent(spin, event)
    assert camera.values() == PERFECT
