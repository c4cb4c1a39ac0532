"""Drop a camera file into the window, press one button, read the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Labels, Shapes
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

import napari_coldatoms
from napari_coldatoms import samples
from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.run import run


@pytest.fixture
def ours_first():
    """Make our reader the one for camera files, so that no chooser opens."""
    settings = get_settings()
    before = dict(settings.plugins.extension2reader)
    ours = {f"*{suffix}": "napari-coldatoms" for suffix in (".tif", ".tiff", ".h5", ".fits")}
    settings.plugins.extension2reader = {**before, **ours}
    yield
    settings.plugins.extension2reader = before


@pytest.fixture
def drop():
    """Return a function that drops files onto the window."""

    def drop(viewer, *paths: Path) -> None:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        event = QDropEvent(
            QPointF(100, 100),
            Qt.DropAction.CopyAction,
            mime,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        # the window's canvas: tests may look behind the public face of the viewer
        viewer.__wrapped__.window._qt_viewer.dropEvent(event)

    return drop


def write_triplet(path: Path, frames: np.ndarray) -> Path:
    tifffile.imwrite(path, frames, photometric="minisblack")
    return path


def test_drop_run_read(qtbot, viewer, ours_first, drop, finished, looked_at, tmp_path) -> None:
    raw = samples.mot_and_odt()
    path = write_triplet(tmp_path / "shot_0001.tif", raw.values)
    drop(viewer, path)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    frames, picture = viewer.layers
    assert not frames.visible
    assert picture.visible
    np.testing.assert_allclose(picture.data, MakePicture()(raw).values)
    # what the camera did not write, the user sets
    picture.scale, picture.units = (5, 5), ("um", "um")
    frames.scale, frames.units = (1, 5, 5), ("pixel", "um", "um")

    _, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    assert widget.layer == picture
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)

    shown = list(viewer.layers)[2:]
    assert any(isinstance(layer, Shapes) for layer in shown)
    assert any(isinstance(layer, Labels) for layer in shown)
    for layer in shown:
        np.testing.assert_array_equal(layer.scale, (5, 5))
        assert layer.units == picture.units
        assert layer.axis_labels == picture.axis_labels == ("y", "x")
        assert layer.metadata["napari_coldatoms"]["source"] == str(path)
    headless = run(DetectClouds(), MakePicture()(raw)).table
    assert len(headless) == 2
    for name in ("x0", "y0", "wx", "wy", "theta", "peak", "wx_stderr"):
        np.testing.assert_allclose(widget.table.table[name], headless[name], rtol=1e-12)
    np.testing.assert_allclose(widget.table.table["wx_um"], 5 * headless["wx"])
    qtbot.waitUntil(lambda: bool(widget.plot.cuts))
    assert widget.plot.cuts[0].unit == "um"

    seen = looked_at(viewer, "whole-way")
    height, width = seen.shape[:2]
    canvas = seen[height // 4 : 3 * height // 4, width // 3 : width // 2, :3]
    assert canvas.std() > 10  # a picture, not an empty canvas
    layers = len(viewer.layers)
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)
    assert len(viewer.layers) == layers


def test_a_real_triplet_of_three_files(
    qtbot, viewer, ours_first, drop, finished, looked_at, real_data
) -> None:
    folder = real_data / "ring_bec_tiff"
    files = sorted(folder.glob("*_0156.tiff"))
    assert len(files) == 3
    drop(viewer, *files)
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=20_000)
    _, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)
    assert widget.failures.count() == 0
    assert len(widget.table.table) >= 1
    qtbot.waitUntil(lambda: bool(widget.plot.cuts))
    looked_at(viewer, "ring")


def test_a_file_that_is_no_camera_file_is_told_and_opens_nothing(viewer, tmp_path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"no picture at all")
    with pytest.raises(napari_coldatoms.ReadError, match=r"broken\.tif: expected .* found"):
        viewer.open(str(broken), plugin="napari-coldatoms")
    assert len(viewer.layers) == 0
