"""The widget with its default, the network, in a real napari window."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_coldatoms.clouds.network_process import network_pid, stop_network
from napari_coldatoms.clouds.weights import SHIPPED

NAMES = ["series", "series masks: MOT", "series masks: ODT", "series boxes", "series ellipses"]


@pytest.fixture
def widget(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    return widget


def told(severity: str) -> list[str]:
    return [str(n.message) for n in notification_manager.records if str(n.severity) == severity]


def press(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def many(series, shots: int):
    return series.isel(shot=np.arange(shots) % 3).drop_vars("hold")


def test_the_default_finds_what_thresholds_do_and_takes_their_layers_place(
    qtbot, viewer, widget, add, series, finished, looked_at
) -> None:
    add(series)
    assert widget.form.fold("network").isVisibleTo(widget)
    assert not widget.form.fold("threshold").isVisibleTo(widget)
    press(qtbot, widget.run_button)
    finished(widget)
    assert names(viewer) == NAMES
    table = widget.table.table
    assert list(table["shot"]) == [0, 0, 1, 1, 2, 2]
    assert set(table["label"]) <= {"MOT", "ODT"}
    assert "6 clouds in 3 frames." in widget.status.text()
    looked_at(viewer, "detect-network")

    widget.form.set_values({"method": "threshold"})
    assert not widget.form.fold("network").isVisibleTo(widget)
    press(qtbot, widget.run_button)
    finished(widget)
    assert names(viewer) == [NAMES[0], *NAMES[3:], "series masks: cloud"]
    by_threshold = widget.table.table
    # both ways end in the same fits
    order = ["shot", "x0"]
    for name in ("x0", "y0", "wx", "wy"):
        one = table.sort_values(order)[name].to_numpy()
        other = by_threshold.sort_values(order)[name].to_numpy()
        np.testing.assert_allclose(one, other, atol=0.3)
    assert told("error") == []


@pytest.mark.slow
def test_the_network_killed_in_mid_run_is_told_and_the_run_goes_on(
    qtbot, viewer, widget, add, series, finished
) -> None:
    add(many(series, 12))
    press(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: widget.progress.value() >= 1, timeout=60_000)
    pid = network_pid()
    os.kill(pid, signal.SIGKILL)
    finished(widget)
    assert "24 clouds in 12 frames." in widget.status.text()
    assert not widget.failures.isVisible()
    assert network_pid() not in (None, pid)
    (warning,) = told("warning")
    assert "SIGKILL" in warning
    assert "new one" in warning
    assert "\n" not in warning
    assert told("error") == []


def test_cancel_in_mid_run_keeps_what_is_done(qtbot, viewer, widget, add, series, finished) -> None:
    add(many(series, 120))
    press(qtbot, widget.run_button)
    qtbot.waitUntil(lambda: widget.progress.value() >= 1, timeout=60_000)
    press(qtbot, widget.cancel_button)
    finished(widget)
    done = len(widget.result.frames)
    assert 1 <= done < 120
    assert "cancelled" in widget.status.text()
    assert len(widget.table.table) == 2 * done
    assert told("error") == []


@pytest.mark.slow
def test_weights_that_are_none_are_said_in_one_line(
    qtbot, viewer, widget, add, series, finished, tmp_path
) -> None:
    add(series)
    wrong = tmp_path / "mine.pt"
    wrong.write_bytes(b"PK\x03\x04 what torch.save writes")
    line = widget.findChild(QLineEdit, "parameters_network_weights_path")
    assert line.placeholderText() == "those of the package"
    line.setText(str(wrong))
    press(qtbot, widget.run_button)
    finished(widget)
    (error,) = told("error")
    assert "mine.pt" in error
    assert "pickle" in error
    assert "\n" not in error
    assert names(viewer) == ["series"]
    # a copy of those of the package under another name
    own = tmp_path / "own.safetensors"
    own.write_bytes(SHIPPED.read_bytes())
    line.setText(str(own))
    press(qtbot, widget.run_button)
    finished(widget)
    assert widget.result.recipe.made_with["weights"] == "own.safetensors"
    assert len(widget.table.table) == 6
    line.clear()
    assert widget.form.analysis().network.weights is None


def test_cancel_while_the_network_starts(qtbot, viewer, widget, add, series, finished) -> None:
    stop_network()
    add(series)
    press(qtbot, widget.run_button)
    assert "starting the network" in widget.status.text()
    qtbot.wait(100)
    start = time.perf_counter()
    press(qtbot, widget.cancel_button)
    finished(widget)
    assert time.perf_counter() - start < 5
    assert widget.status.text() == "Cancelled."
    assert widget.result is None
    assert names(viewer) == ["series"]
    assert told("error") == []
