"""The widget in a real napari window, with the real readers, pictures and fits."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels, Shapes
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_coldatoms import samples
from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.run import run
from napari_coldatoms.backend.tables import read_hdf5
from napari_coldatoms.images.stack import METADATA_KEY

NAMES = ["series", "series masks: cloud", "series boxes", "series ellipses"]


@pytest.fixture(scope="module")
def expected(series) -> pd.DataFrame:
    """The same analysis without a window."""
    return run(DetectClouds(method="threshold"), series).table


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def press(qtbot, button) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def under_way(qtbot, widget) -> None:
    qtbot.waitUntil(lambda: widget.progress.value() > 1, timeout=20_000)


def errors() -> list[str]:
    return [str(n.message) for n in notification_manager.records if str(n.severity) == "error"]


def test_run_shows_boxes_masks_and_numbers_where_the_picture_is(
    qtbot, viewer, detect, add, series, expected, finished, looked_at
) -> None:
    source = add(series, translate=(0, 100, 200))
    assert detect.layer == source
    press(qtbot, detect.run_button)
    finished(detect)
    assert names(viewer) == NAMES
    for layer in viewer.layers[1:]:
        assert layer.ndim == 3
        np.testing.assert_array_equal(layer.scale, source.scale)
        np.testing.assert_array_equal(layer.translate, (0, 100, 200))
        assert layer.units == source.units
        assert layer.axis_labels == source.axis_labels == ("shot", "y", "x")
        ours = layer.metadata[METADATA_KEY]
        assert ours["recipe"]["analysis"] == "detect_clouds"
        assert ours["version"]
        assert ours["source"] == "/data/series.h5"
    boxes, masks = viewer.layers["series boxes"], viewer.layers["series masks: cloud"]
    assert isinstance(boxes, Shapes)
    assert isinstance(masks, Labels)
    assert len(boxes.data) == len(boxes.features) == len(expected) == 6
    assert masks.data.shape == series.shape
    assert set(np.unique(masks.data)) == {0, 1, 2}
    # pixels alike; places shifted by the layer's translation
    numbers = ["x0", "y0", "wx", "wy", "theta", "peak", "background", "reduced_chi2", "x0_stderr"]
    pd.testing.assert_frame_equal(detect.table.table[numbers], expected[numbers])
    np.testing.assert_allclose(detect.table.table["x0_um"], expected["x0_um"] + 200)
    assert "6 clouds in 3 frames." in detect.status.text()
    assert errors() == []
    seen = looked_at(viewer, "detect-series")
    assert seen[..., :3].std() > 10


def test_a_second_run_updates_the_same_layers_and_keeps_their_looks(
    qtbot, viewer, detect, add, series, finished
) -> None:
    source = add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    boxes, masks = viewer.layers["series boxes"], viewer.layers["series masks: cloud"]
    boxes.visible, boxes.opacity, masks.opacity, boxes.name = False, 0.4, 0.9, "mine"
    boxes.edge_width = 5
    before = masks.data.copy()
    source.data = series.values[:, ::-1].copy()
    source.scale = (1, 2, 2)
    press(qtbot, detect.run_button)
    finished(detect)
    assert names(viewer) == [NAMES[0], NAMES[1], "mine", NAMES[3]]
    assert (boxes.visible, boxes.opacity, masks.opacity) == (False, 0.4, 0.9)
    assert set(boxes.edge_width) == {5}
    assert len(boxes.data) == len(boxes.features) == 6
    np.testing.assert_array_equal(boxes.scale, (1, 2, 2))
    assert not np.array_equal(before, masks.data)
    assert (masks.data > 0).sum() == pytest.approx((before > 0).sum(), rel=0.02)


def test_what_the_user_edited_is_left_alone(qtbot, viewer, detect, add, series, finished) -> None:
    add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    boxes, masks = viewer.layers["series boxes"], viewer.layers["series masks: cloud"]
    boxes.selected_data = {0}
    boxes.remove_selected()
    masks.paint((0, 2, 2), 7)
    own = viewer.add_shapes(np.zeros((4, 3)), name="series boxes of mine")
    press(qtbot, detect.run_button)
    finished(detect)
    assert len(boxes.data) == 5
    assert masks.data[0, 2, 2] == 7
    assert len(own.data) == 1
    assert sorted(names(viewer)) == sorted(
        [*NAMES, own.name, "series boxes [1]", "series masks: cloud [1]"]
    )
    assert len(viewer.layers["series boxes [1]"].data) == 6
    press(qtbot, detect.run_button)
    finished(detect)
    assert len(viewer.layers) == 7


def test_results_of_one_picture_do_not_touch_those_of_another(
    qtbot, viewer, detect, add, series, finished
) -> None:
    add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    add(series.isel(shot=0), name="single")
    assert detect.layer.name == "single"
    press(qtbot, detect.run_button)
    finished(detect)
    assert names(viewer) == [*NAMES, *[name.replace("series", "single") for name in NAMES]]
    assert viewer.layers["single boxes"].ndim == 2
    assert "2 clouds in 1 frame." in detect.status.text()


def test_only_pictures_can_be_chosen_and_the_list_follows_the_viewer(
    qtbot, viewer, detect, add, series, finished
) -> None:
    assert detect.layer is None
    assert not detect.run_button.isEnabled()
    assert "drop" in detect.status.text()
    first = add(series)
    second = add(series, name="other")
    viewer.add_labels(np.zeros((5, 5), int))
    assert detect.layer == second
    first.name = "renamed"
    combo = detect.layer_combo
    assert [combo.itemText(i) for i in range(combo.count())] == ["other", "renamed"]
    viewer.layers.selection.active = first
    assert detect.layer == first
    detect.model_check.setChecked(True)
    press(qtbot, detect.run_button)
    finished(detect)
    assert "renamed model" in names(viewer)
    assert combo.layers == [second, first]
    viewer.layers.remove(first)
    assert detect.layer == second


def test_this_frame_is_the_one_the_slider_shows(
    qtbot, viewer, detect, add, series, expected, finished
) -> None:
    # a scaled and shifted shot axis: the slider is in world coordinates
    add(series, scale=(2.0, 4.0, 4.0), translate=(10.0, 0.0, 0.0))
    viewer.add_image(np.zeros((20, 3, 8, 8)), name="four dimensions")
    viewer.layers.selection.active = viewer.layers["series"]
    detect.scope.setCurrentText("this frame")
    viewer.dims.set_point(1, 14.0)
    press(qtbot, detect.run_button)
    finished(detect)
    assert set(detect.table.table["shot"]) == {2}
    boxes = viewer.layers["series boxes"]
    assert {float(corner[0]) for box in boxes.data for corner in box} == {2.0}
    masks = viewer.layers["series masks: cloud"].data
    assert masks.shape == series.shape
    assert not masks[:2].any()
    assert masks[2].any()
    here = expected[expected["shot"] == 2].reset_index(drop=True)
    np.testing.assert_allclose(detect.table.table["wx"], here["wx"])


def test_a_row_shows_its_cloud_and_a_shape_its_row(
    qtbot, viewer, detect, add, series, finished, looked_at
) -> None:
    add(series)
    viewer.dims.set_current_step(0, 1)
    press(qtbot, detect.run_button)
    finished(detect)
    # the first cloud of the frame that is shown, which stays
    assert detect.table.selected_row() == 2
    assert viewer.dims.current_step[0] == 1
    boxes, ellipses = viewer.layers["series boxes"], viewer.layers["series ellipses"]
    assert set(boxes.selected_data) == {2}

    # a click on the last row, by way of the sorted view
    index = detect.table.model().index(5, 0)
    detect.table.scrollTo(index)
    qtbot.waitUntil(lambda: bool(detect.plot.cuts))
    detect.plot.clear_cuts()
    qtbot.mouseClick(
        detect.table.viewport(),
        Qt.MouseButton.LeftButton,
        pos=detect.table.visualRect(index).center(),
    )
    qtbot.waitUntil(lambda: bool(detect.plot.cuts))
    assert set(boxes.selected_data) == set(ellipses.selected_data) == {5}
    assert viewer.dims.current_step[0] == 2
    cloud = detect.result.frames[2].result[1]
    assert detect.plot.cuts[0].radius == pytest.approx(4.0 * cloud.best.wx)
    # data and fit agree to what the noise of 0.03 and the interpolation leave
    centre = np.abs(detect.plot.cuts[0].position) < detect.plot.cuts[0].radius
    difference = detect.plot.cuts[0].data - detect.plot.cuts[0].model
    assert np.nanstd(difference[centre]) < 0.05
    looked_at(viewer, "detect-row-selected")

    # shapes are found by their features, also after one of them was deleted
    boxes.selected_data = {0}
    boxes.remove_selected()
    boxes.selected_data = {0}
    assert detect.table.selected_row() == 1
    assert viewer.dims.current_step[0] == 0


def test_model_and_residual_come_and_go_as_images(
    qtbot, viewer, detect, add, series, finished
) -> None:
    source = add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    detect.model_check.setChecked(True)
    finished(detect)
    detect.residual_check.setChecked(True)
    finished(detect)
    model, residual = viewer.layers["series model"], viewer.layers["series residual"]
    assert isinstance(model, Image)
    np.testing.assert_allclose(model.data + residual.data, series.values, atol=1e-5)
    np.testing.assert_array_equal(model.scale, source.scale)
    assert model.units == source.units
    # what two Gaussians leave over is the noise
    assert np.std(residual.data) == pytest.approx(0.03, rel=0.05)
    assert len(viewer.layers) == 6
    press(qtbot, detect.run_button)
    finished(detect)
    assert len(viewer.layers) == 6
    detect.model_check.setChecked(False)
    detect.residual_check.setChecked(False)
    assert names(viewer) == NAMES


def test_a_failing_frame_is_told_and_the_others_are_kept(
    qtbot, viewer, detect, add, series, finished
) -> None:
    import dask.array as da

    def frame(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 2:  # not the one shown first
            raise OSError("camera file ends early")
        return block

    whole = da.from_array(series.values, chunks=(1, -1, -1))
    broken = whole.map_blocks(frame, dtype=series.dtype, meta=np.empty((0, 0, 0)))
    add(series.copy(data=broken), contrast_limits=(0, 2))
    press(qtbot, detect.run_button)
    finished(detect)
    assert "4 clouds in 3 frames, 1 failed." in detect.status.text()
    assert set(detect.table.table["shot"]) == {0, 1}
    assert detect.failures.isVisible()
    assert detect.failures.item(0).text().startswith("shot 2: ")
    assert "camera file ends early" in detect.failures.item(0).text()
    (told,) = [e for e in errors() if "camera file ends early" in e]
    assert "\n" not in told


def test_cancel_keeps_what_is_done_and_is_no_error(
    qtbot, viewer, detect, add, series, finished
) -> None:
    many = series.isel(shot=np.arange(300) % 3).drop_vars("hold")
    add(many)
    press(qtbot, detect.run_button)
    under_way(qtbot, detect)
    assert not detect.run_button.isEnabled()
    press(qtbot, detect.cancel_button)
    finished(detect)
    done = len(detect.result.frames)
    assert 1 < done < 300
    assert "cancelled" in detect.status.text()
    assert len(detect.table.table) == 2 * done == len(viewer.layers["series boxes"].data)
    assert errors() == []
    assert detect.run_button.isEnabled()
    assert not detect.cancel_button.isEnabled()


def test_the_window_stays_alive_during_a_run(qtbot, detect, add, series, finished) -> None:
    add(series)
    press(qtbot, detect.run_button)  # compiled and loaded: the first run shows a window once
    finished(detect)
    many = series.isel(shot=np.arange(60) % 3).drop_vars("hold")
    add(many, name="many")
    pauses, timer, clock = [], QTimer(), time.perf_counter
    last = clock()

    def tick() -> None:
        nonlocal last
        now = clock()
        pauses.append(now - last)
        last = now

    timer.timeout.connect(tick)
    timer.start(5)
    press(qtbot, detect.run_button)
    qtbot.waitUntil(lambda: not detect.job.running, timeout=60_000)
    timer.stop()
    # the odd pause belongs to the machine; frozen windows are frozen all the time
    assert np.percentile(pauses, 95) < 0.1
    finished(detect)


def test_the_layer_removed_during_a_run_ends_it(
    qtbot, viewer, detect, add, series, finished
) -> None:
    source = add(series.isel(shot=np.arange(300) % 3).drop_vars("hold"))
    press(qtbot, detect.run_button)
    under_way(qtbot, detect)
    viewer.layers.remove(source)
    finished(detect, timeout=2000)
    qtbot.wait(200)
    assert len(viewer.layers) == 0
    assert "removed" in detect.status.text()
    assert not detect.run_button.isEnabled()
    assert errors() == []


def test_the_widget_closed_during_a_run_ends_it(qtbot, viewer, add, series) -> None:
    from superqt.utils._qthreading import WorkerBase

    add(series.isel(shot=np.arange(300) % 3).drop_vars("hold"))
    dock, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    widget.form.set_values({"method": "threshold"})
    press(qtbot, widget.run_button)
    under_way(qtbot, widget)
    dock.destroyOnClose()
    assert not widget.busy
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=5000)
    assert names(viewer) == ["series"]
    del widget, dock
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    viewer.layers.clear()  # the widget that is gone must not mind
    assert errors() == []


def test_raw_frames_become_a_picture_first(qtbot, viewer, detect, add, finished) -> None:
    raw = samples.single_cloud()
    add(raw, visible=False)
    press(qtbot, detect.run_button)
    finished(detect)
    assert "made the picture" in detect.status.text()
    picture = detect.layer
    assert picture.name == "single cloud picture"
    np.testing.assert_allclose(picture.data, MakePicture()(raw).values)
    assert names(viewer)[:2] == ["single cloud", "single cloud picture"]
    count = len(viewer.layers)
    truth = raw.attrs["truth"]["clouds"][0]
    x0, error = detect.table.table.loc[0, ["x0", "x0_stderr"]]
    assert abs(x0 - truth["x0"]) < 5 * error
    # once more from the raw frames: the picture that is there is used
    viewer.layers.selection.active = viewer.layers["single cloud"]
    assert detect.layer.name == "single cloud"
    press(qtbot, detect.run_button)
    finished(detect)
    assert len(viewer.layers) == count
    assert "searched" in detect.status.text()


def test_a_picture_that_cannot_be_used_is_said_in_one_line(qtbot, viewer, detect) -> None:
    viewer.add_image(np.zeros((20, 20, 3), np.uint8), rgb=True, name="photo")
    press(qtbot, detect.run_button)
    assert "RGB" in detect.status.text()
    assert len([e for e in errors() if "RGB" in e]) == 1
    assert not detect.busy


def test_parameters_are_remembered(qtbot, viewer, add, series, finished) -> None:
    add(series)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    widget.form.set_values({"method": "threshold"})
    widget.form.control("roi_factor").setValue(3.0)
    press(qtbot, widget.run_button)
    finished(widget)
    assert widget.result.analysis.roi_factor == 3.0
    dock.destroyOnClose()
    _, again = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Detect clouds")
    assert again.form.analysis().roi_factor == 3.0
    press(qtbot, again.defaults_button)
    assert again.form.analysis() == DetectClouds()


def test_export_writes_what_the_name_says(
    qtbot, detect, add, series, expected, finished, tmp_path
) -> None:
    assert not detect.export_button.isEnabled()
    add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    detect.export_to(tmp_path / "clouds.csv")
    assert "clouds.csv" in detect.status.text()
    np.testing.assert_allclose(pd.read_csv(tmp_path / "clouds.csv")["wx"], expected["wx"])
    detect.export_to(tmp_path / "clouds.h5")
    np.testing.assert_allclose(read_hdf5(tmp_path / "clouds.h5")["wx"], expected["wx"])
    detect.export_to(tmp_path / "recipe.yaml")
    assert Recipe.load(tmp_path / "recipe.yaml") == detect.result.recipe
    detect.export_to(tmp_path / "clouds.docx")
    detect.export_to(tmp_path / "nowhere" / "clouds.csv")
    assert len(errors()) == 2


def test_every_control_has_a_name_and_an_explanation(detect) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QTableView

    for kind in (QAbstractSpinBox, QComboBox, QTableView):
        for control in detect.findChildren(kind):
            assert control.objectName(), control
            assert control.toolTip(), control.objectName()
    for control in detect.findChildren(QAbstractButton):
        if control.text():
            assert control.toolTip(), control.text()
    assert "px" in detect.form.control("binning").toolTip()


def test_the_dock_fits_a_small_screen(qtbot, viewer, detect, add, series, finished) -> None:
    add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    qtbot.wait(50)
    window = viewer.window.geometry()
    assert window[2:] == (1366, 768)
    assert detect.width() <= 420
    assert detect.minimumSizeHint().width() <= 320
    assert detect.minimumSizeHint().height() <= 200


def test_the_plot_takes_the_theme_along(
    qtbot, viewer, detect, add, series, finished, looked_at
) -> None:
    add(series)
    press(qtbot, detect.run_button)
    finished(detect)
    dark = detect.plot.colors
    viewer.theme = "light"
    assert detect.plot.colors != dark
    seen = looked_at(viewer, "detect-light")
    assert seen[..., :3].mean() > 80


def test_results_follow_a_source_turned_back_and_renamed(
    qtbot, viewer, detect, add, series, finished
) -> None:
    source = add(series[0], rotate=30)
    press(qtbot, detect.run_button)
    finished(detect)
    boxes, masks, ellipses = (
        viewer.layers[f"series {what}"] for what in ("boxes", "masks: cloud", "ellipses")
    )
    np.testing.assert_allclose(boxes.rotate, source.rotate, atol=1e-12)
    source.rotate, source.name, ellipses.name = 0, "first", "mine"
    press(qtbot, detect.run_button)
    finished(detect)
    for layer in (boxes, masks, ellipses):
        np.testing.assert_allclose(layer.rotate, np.eye(2), atol=1e-12)
        np.testing.assert_allclose(
            layer.data_to_world((3, 5)), source.data_to_world((3, 5)), atol=1e-9
        )
    assert (boxes.name, masks.name, ellipses.name) == ("first boxes", "first masks: cloud", "mine")


def test_the_users_colour_outlives_a_run_that_finds_nothing(
    qtbot, viewer, detect, add, series, finished
) -> None:
    source = add(series[0])
    press(qtbot, detect.run_button)
    finished(detect)
    boxes, ellipses = viewer.layers["series boxes"], viewer.layers["series ellipses"]
    ours = ellipses.edge_color[0].copy()
    boxes.edge_color, boxes.edge_width = "red", 5
    for picture, found in ((np.zeros(series.shape[1:]), 0), (series.values[1], 2)):
        source.data = picture
        press(qtbot, detect.run_button)
        finished(detect)
        assert len(boxes.data) == len(ellipses.data) == found
    np.testing.assert_allclose(boxes.edge_color, [[1, 0, 0, 1]] * 2)
    assert set(boxes.edge_width) == {5}
    np.testing.assert_allclose(ellipses.edge_color, [ours] * 2)


def test_model_and_residual_do_not_cover_the_outlines(
    qtbot, viewer, detect, add, series, finished
) -> None:
    detect.residual_check.setChecked(True)
    add(series[0])
    press(qtbot, detect.run_button)
    finished(detect)
    detect.model_check.setChecked(True)
    finished(detect)
    assert names(viewer) == [
        "series",
        "series residual",
        "series model",
        "series masks: cloud",
        "series boxes",
        "series ellipses",
    ]


def test_all_frames_after_one_leave_the_slider_where_it_is(
    qtbot, viewer, detect, add, series, finished
) -> None:
    add(series)
    viewer.dims.set_point(0, 2)
    for scope, row in (("this frame", 0), ("all frames", 4)):
        detect.scope.setCurrentText(scope)
        press(qtbot, detect.run_button)
        finished(detect)
        assert viewer.dims.point[0] == 2
        assert detect.table.selected_row() == row
