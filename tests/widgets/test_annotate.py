"""Painting clouds in a real napari window, with real datasets and recovery files."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.layers import Labels
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt

from napari_coldatoms.analyses.annotation_recovery import read_unsaved
from napari_coldatoms.clouds.annotations import open_set
from napari_coldatoms.images.stack import METADATA_KEY
from napari_coldatoms.widgets import annotation_autosave
from napari_coldatoms.widgets.annotation_autosave import unsaved_folder
from napari_coldatoms.widgets.annotation_shot import EMPTY_KEY, NEXT_KEY, PREVIOUS_KEY

PLUGIN = "napari-coldatoms"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_autosave, "WRITE_DELAY", 300)


@pytest.fixture
def annotate(viewer):
    """Return the widget "Annotate clouds", opened in the window as the user would."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate clouds")
    return widget


def press(qtbot, button) -> None:
    qtbot.waitUntil(button.isEnabled, timeout=20_000)  # the dataset may be being opened
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def messages() -> str:
    return "\n".join(str(each.message) for each in notification_manager.records)


def paint(widget, name: str, shot, centre, radius: float) -> Labels:
    """Paint a cloud with napari's brush, as the user would."""
    session = widget.session
    session.go_to(shot)
    layer = session.activate(name)
    layer.brush_size = 2 * radius
    layer.paint((*shot, *centre), layer.selected_label)
    return layer


def kept() -> list[Path]:
    return sorted(unsaved_folder().glob("[!.]*.npz"))


def on_disk(qtbot, count: int = 1, shots: int | None = None) -> Path:
    """Wait until the painting is in a file."""

    def there() -> bool:
        return len(kept()) == count and (
            shots is None or len(read_unsaved(kept()[0]).notes) == shots
        )

    qtbot.waitUntil(there, timeout=20_000)
    return kept()[0] if count else unsaved_folder()


def test_layers_lie_where_the_image_lies_one_for_each_class(
    qtbot, viewer, annotate, add, series
) -> None:
    source = add(series, translate=(0, 100, 200))
    assert annotate.layer == source
    annotate.session.add_class("ODT")
    annotate.show_session()
    annotate.classes.chosen.emit("ODT")
    annotate.session.rename_class("cloud", "MOT", saved=False)
    layer = paint(annotate, "MOT", (1,), (40, 40), 8)
    assert [each.name for each in viewer.layers] == ["series", "ODT of series", "MOT of series"]
    assert viewer.layers.selection.active == layer
    assert layer.mode == "paint"
    assert layer.data.shape == series.shape
    np.testing.assert_array_equal(layer.scale, source.scale)
    np.testing.assert_array_equal(layer.translate, (0, 100, 200))
    assert layer.units == source.units
    assert layer.axis_labels == source.axis_labels == ("shot", "y", "x")
    assert layer.metadata[METADATA_KEY]["source"] == "/data/series.h5"
    # the image is moved, its labels follow
    source.scale, source.translate = (1, 2, 2), (0, 5, 6)
    np.testing.assert_array_equal(layer.scale, (1, 2, 2))
    np.testing.assert_array_equal(layer.translate, (0, 5, 6))
    # each cloud has a number of its own in its shot
    second = paint(annotate, "MOT", (1,), (60, 96), 6)
    assert second == layer
    assert set(np.unique(layer.data[1])) == {0, 1, 2}
    paint(annotate, "MOT", (2,), (60, 96), 6)
    assert set(np.unique(layer.data[2])) == {0, 1}
    assert messages() == ""


def test_painted_shots_are_saved_and_come_back(
    qtbot, viewer, annotate, add, series, finished, tmp_path
) -> None:
    source = add(series)
    folder = tmp_path / "my set"
    annotate.dataset.folder.value = str(folder)
    layer = paint(annotate, "cloud", (0,), (40, 38), 10)
    paint(annotate, "cloud", (0,), (60, 96), 7)
    annotate.session.go_to((2,))
    viewer.dims.set_point(0, 2)
    qtbot.waitUntil(lambda: "Shot 2" in annotate.shot.label.text())
    qtbot.mouseClick(
        annotate.shot.empty_check,
        Qt.MouseButton.LeftButton,
        pos=QPoint(8, annotate.shot.empty_check.height() // 2),
    )
    qtbot.waitUntil(lambda: "2 of 3 shots done, 2 not saved" in annotate.shot.label.text())
    press(qtbot, annotate.dataset.save_button)
    finished(annotate)
    assert "Saved 2 shots into “my set”" in annotate.status.text()
    dataset = open_set(folder)
    assert (len(dataset), dataset.classes) == (2, ("cloud",))
    first = dataset.read(dataset.find("/data/series.h5", (0,)))
    np.testing.assert_array_equal(first.picture, series.values[0].astype(np.float32))
    assert {int(mask.sum()) for mask in first.masks} == {
        int((layer.data[0] == n).sum()) for n in (1, 2)
    }
    assert dataset.read(dataset.find("/data/series.h5", (2,))).labels == ()
    qtbot.waitUntil(lambda: annotate.shot.label.text() == "Shot 2: no cloud. 2 of 3 shots done.")
    on_disk(qtbot, 0)  # nothing is left to rescue

    # opened again, the masks are there, and the shots are known to be saved
    viewer.layers.clear()
    again = add(series, name="series")
    assert again != source
    qtbot.waitUntil(lambda: "cloud of series" in viewer.layers, timeout=20_000)
    finished(annotate)
    assert annotate.session.notes.unsaved == ()
    shown = viewer.layers["cloud of series"].data
    assert {int((shown[0] == n).sum()) for n in np.unique(shown[0]) if n} == {
        int(mask.sum()) for mask in first.masks
    }
    # where somebody has deleted the dataset, all is saved again
    shutil.rmtree(folder)
    paint(annotate, "cloud", (1,), (40, 38), 10)
    press(qtbot, annotate.dataset.save_button)
    finished(annotate)
    assert len(open_set(folder)) == 3
    # what is erased is taken out
    shown[0] = 0
    viewer.layers["cloud of series"].refresh()
    press(qtbot, annotate.dataset.save_button)
    finished(annotate)
    assert len(open_set(folder)) == 2
    assert messages() == ""


def test_keys_lead_through_the_open_shots(qtbot, viewer, annotate, add, series) -> None:
    add(series)
    paint(annotate, "cloud", (0,), (40, 38), 10)
    keys = {str(key): call for key, call in viewer.keymap.items()}
    assert {NEXT_KEY, "Shift+N", EMPTY_KEY} <= keys.keys()
    keys[NEXT_KEY](viewer)
    assert annotate.session.shown_shot() == (1,)
    keys[EMPTY_KEY](viewer)
    qtbot.waitUntil(lambda: annotate.shot.empty_check.isChecked())
    keys[NEXT_KEY](viewer)
    assert annotate.session.shown_shot() == (2,)
    keys["Shift+N"](viewer)
    assert "No other shot is open" in annotate.status.text()
    assert PREVIOUS_KEY == "Shift-N"
    # napari uses none of them
    from napari.utils.shortcuts import default_shortcuts

    used = {str(key) for bound in default_shortcuts.values() for key in bound}
    assert used & {NEXT_KEY, "Shift+N", EMPTY_KEY} == set()


def test_every_stroke_gets_on_disk_also_when_the_dock_is_closed(
    qtbot, viewer, annotate, add, series
) -> None:
    add(series)
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    path = on_disk(qtbot, shots=1)
    np.testing.assert_array_equal(
        read_unsaved(path).notes[(1,)].clouds["cloud"].on(series.shape[1:]), layer.data[1]
    )
    dock = next(iter(viewer.window.dock_widgets))
    viewer.window.remove_dock_widget(viewer.window.dock_widgets[dock])
    del annotate
    gc.collect()
    viewer.dims.set_point(0, 2)
    layer.paint((2, 50, 60), 3)
    on_disk(qtbot, shots=2)
    # undone: nothing is left of that shot
    viewer.dims.set_point(0, 0)
    layer.undo()

    def undone() -> bool:
        return not read_unsaved(kept()[0]).notes[(2,)].clouds

    qtbot.waitUntil(undone, timeout=20_000)
    # a second dock goes on with the same
    _, again = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate clouds")
    assert not again.banner.isVisible()
    assert again.session.notes.counts((1,)) == {"cloud": 1}


def test_a_copy_of_a_layer_is_the_users_own(qtbot, viewer, annotate, add, series, finished) -> None:
    add(series)
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    copied = {key: layer.metadata[key] for key in layer.metadata}
    copy = viewer.add_labels(layer.data.copy(), name="copy", metadata=copied)
    assert "“copy” is a layer of your own" in annotate.status.text()
    assert annotate.painting.layer.layers == [copy]
    viewer.layers.remove(copy)
    # the first one is still that of the class
    layer.paint((2, 50, 60), 3)
    on_disk(qtbot, shots=2)
    assert annotate.session.notes.counts((2,)) == {"cloud": 1}


def test_layers_that_come_back_are_kept_again(qtbot, viewer, annotate, add, series) -> None:
    source = add(series)
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    both = [each.__wrapped__ for each in (source, layer)]
    layer.mode = "pan_zoom"
    viewer.layers.clear()
    for each in both:
        viewer.layers.append(each)
    layer.paint((2, 50, 60), 3)
    on_disk(qtbot, shots=2)
    assert not annotate.banner.isVisible()


def test_what_cannot_be_written_is_told_once_and_tried_again(
    qtbot, viewer, annotate, add, series
) -> None:
    add(series)
    unsaved_folder().parent.mkdir(parents=True, exist_ok=True)
    unsaved_folder().write_text("in the way")
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    qtbot.waitUntil(lambda: "is not on disk yet" in annotate.status.text())
    assert not annotate.session.flush()
    assert messages().count("is not on disk yet") == 1
    unsaved_folder().unlink()
    qtbot.waitUntil(lambda: annotate.status.text() == "What was painted is on disk.")
    layer.paint((2, 50, 60), 3)
    on_disk(qtbot, shots=2)


def test_half_a_stroke_is_kept(qtbot, viewer, annotate, add, series) -> None:
    add(series)
    layer = annotate.session.activate("cloud")
    with layer.block_history():  # the mouse button is down
        layer.paint((0, 40, 40), 1)
        path = on_disk(qtbot, shots=1)
        assert read_unsaved(path).notes[(0,)].clouds["cloud"].numbers == (1,)


def test_painting_is_recovered_when_the_image_is_opened_again(
    qtbot, viewer, annotate, add, series
) -> None:
    source = add(series)
    annotate.session.add_class("ODT")
    before = paint(annotate, "ODT", (1,), (40, 38), 10).data.copy()
    viewer.layers.remove(viewer.layers["ODT of series"])
    assert "Its clouds are kept" in annotate.status.text()
    # with a click on the class they are back
    np.testing.assert_array_equal(annotate.session.activate("ODT").data, before)
    viewer.layers.clear()  # at once, before any timer
    path = kept()[0]
    assert source not in viewer.layers

    add(series, name="renamed")
    qtbot.waitUntil(lambda: annotate.banner.isVisible())
    assert annotate.banner.words.text().startswith(
        "Painting on “series” of /data/series.h5 was never saved: 1 shot, "
    )
    press(qtbot, annotate.banner.recover_button)
    np.testing.assert_array_equal(viewer.layers["ODT of renamed"].data, before)
    assert annotate.session.notes.unsaved == ((1,),)
    assert not annotate.banner.isVisible()
    (new,) = kept()
    assert new != path
    assert read_unsaved(new).notes.keys() == {(1,)}


def test_shapes_and_labels_are_taken_into_their_classes(
    qtbot, viewer, annotate, add, series, finished
) -> None:
    source = add(series, translate=(0, 100, 200))
    session = annotate.session
    session.add_class("ODT")
    y, x = 100 + 4 * 40.0, 200 + 4 * 38.0  # um, as the image lies
    box = np.array([[1, y + dy, x + dx] for dy, dx in ((-40, -60), (-40, 60), (40, 60), (40, -60))])
    shapes = viewer.add_shapes(
        [box, box + np.array([1, 0, 0])],
        shape_type=["ellipse", "rectangle"],
        features={"label": ["ODT", "something"]},
        units=source.units,
    )
    viewer.layers.selection.active = shapes
    assert annotate.painting.layer.layer == shapes
    viewer.dims.set_point(0, 1)
    press(qtbot, annotate.painting.take_button)
    finished(annotate)
    assert "Took 1 cloud" in annotate.status.text()
    odt = viewer.layers["ODT of series"].data
    rows, columns = np.indices(series.shape[1:])
    truth = ((rows - 40) / 10) ** 2 + ((columns - 38) / 15) ** 2 <= 1
    np.testing.assert_array_equal(odt[1] > 0, truth)
    annotate.painting.scope.setCurrentText("all shots")
    annotate.classes.select("cloud")
    press(qtbot, annotate.painting.take_button)
    finished(annotate)
    assert "Took 1 cloud" in annotate.status.text()
    assert "1 cloud left out" in annotate.status.text()
    inside = viewer.layers["cloud of series"].data[2] > 0
    assert inside.sum() == pytest.approx(20 * 30, rel=0.1)
    assert odt[2].max() == 0

    assert messages() == ""

    flat = np.zeros(series.shape[1:], int)
    flat[70:80, 10:20] = 5
    labels = viewer.add_labels(flat, name="mine")
    viewer.layers.selection.active = labels
    press(qtbot, annotate.painting.take_button)
    finished(annotate)
    shot = session.shown_shot()
    assert (viewer.layers["cloud of series"].data[shot][70:80, 10:20] > 0).all()


def test_clouds_are_taken_from_what_detect_clouds_shows(
    qtbot, viewer, detect, annotate, add, series, finished
) -> None:
    source = add(series, translate=(0, 100, 200))
    detect.run()
    finished(detect)
    session = annotate.session
    for name in ("ellipses", "boxes"):
        session.add_class(name)
    annotate.show_session()
    annotate.painting.scope.setCurrentText("all shots")

    def take(shown: str, chosen: str):
        viewer.layers.selection.active = viewer.layers[f"series {shown}"]
        annotate.classes.select(chosen)
        press(qtbot, annotate.painting.take_button)
        finished(annotate)
        assert "Took 6 clouds" in annotate.status.text()

    # named after the class, whichever is chosen
    take("masks: cloud", "boxes")
    layer, masks = viewer.layers["cloud of series"], viewer.layers["series masks: cloud"].data
    for shot in range(3):
        assert {(layer.data[shot] == n).tobytes() for n in (1, 2)} == {
            (masks[shot] == n).tobytes() for n in (1, 2)
        }
    assert [each.name for each in viewer.layers if each.name.endswith("of series")] == [layer.name]
    assert layer.data.max() == 2
    np.testing.assert_array_equal(layer.scale, source.scale)
    np.testing.assert_array_equal(layer.translate, (0, 100, 200))
    assert (layer.units, layer.axis_labels) == (source.units, source.axis_labels)
    # without such a class: into the chosen one
    session.rename_class("cloud", "masks", saved=False)
    annotate.show_session()
    take("ellipses", "ellipses")
    take("boxes", "boxes")
    table, boxes = detect.table.table, viewer.layers["series boxes"]
    rows, columns = np.indices(series.shape[1:])
    for shot, here in table.groupby("shot"):
        inside = np.zeros(series.shape[1:], bool)
        for cloud in here.itertuples():
            across = (columns - cloud.x0) + 1j * (rows - cloud.y0)
            across = across * np.exp(-1j * np.deg2rad(cloud.theta))
            inside |= (across.real / cloud.wx) ** 2 + (across.imag / cloud.wy) ** 2 <= 1
        np.testing.assert_array_equal(viewer.layers["ellipses of series"].data[shot] > 0, inside)
        filled = np.zeros(series.shape[1:], bool)
        for outline in boxes.data:
            (top, left), (bottom, right) = np.ceil([outline[:, 1:].min(0), outline[:, 1:].max(0)])
            if round(outline[0, 0]) == shot:
                filled[int(top) : int(bottom), int(left) : int(right)] = True
        np.testing.assert_array_equal(viewer.layers["boxes of series"].data[shot] > 0, filled)
    assert session.notes.counts((1,)) == {"masks": 2, "ellipses": 2, "boxes": 2}
    assert messages() == ""


def test_a_mask_of_the_wrong_size_is_told_kindly(
    qtbot, viewer, annotate, add, series, finished
) -> None:
    add(series)
    viewer.add_labels(np.ones((50, 60), int), name="mine")
    viewer.layers.selection.active = viewer.layers["mine"]
    press(qtbot, annotate.painting.take_button)
    finished(annotate)
    assert (
        "“mine” is 50 x 60, “series” 3 x 96 x 128: labels must have the size of the image"
        in annotate.status.text()
    )
    assert "“mine” is 50 x 60" in messages()
    notification_manager.records.clear()
    # the same for a layer of ours that is given other data; what was painted stays
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    on_disk(qtbot, shots=1)
    layer.data = np.zeros((96, 100), np.uint16)
    assert "“cloud of series” is 96 x 100" in messages()
    assert annotate.session.notes.counts((1,)) == {"cloud": 1}


def test_the_rule_draws_outlines_and_can_be_undone(
    qtbot, viewer, annotate, add, series, finished, looked_at
) -> None:
    add(series)
    viewer.dims.set_point(0, 0)
    layer = paint(annotate, "cloud", (0,), (40, 38), 8)
    paint(annotate, "cloud", (0,), (60, 96), 6)
    rough = layer.data.copy()
    press(qtbot, annotate.painting.rule_button)
    finished(annotate, 300_000)
    assert "Drew 2 outlines at 1/e² of the fit." in annotate.status.text()
    from napari_coldatoms.clouds.gaussian import Gaussian2D

    truths = [Gaussian2D(38, 40, 14, 9, 0.4), Gaussian2D(96, 60, 9, 7, 0.1)]
    for number, truth in enumerate(truths, 1):
        mask, found = truth.mask((96, 128)), layer.data[0] == number
        assert (mask & found).sum() / (mask | found).sum() > 0.9
    assert not layer.data[1:].any()
    looked_at(viewer, "annotate-rule")
    layer.undo()
    np.testing.assert_array_equal(layer.data, rough)
    annotate.session.note()
    assert set(annotate.session.notes.notes((0,)).clouds["cloud"].numbers) == {1, 2}


def test_classes_are_added_renamed_and_removed_with_the_dataset(
    qtbot, viewer, annotate, add, series, finished, tmp_path
) -> None:
    add(series)
    annotate.dataset.folder.value = str(tmp_path / "set")
    paint(annotate, "cloud", (0,), (40, 38), 10)
    press(qtbot, annotate.classes.add_button)
    assert annotate.session.notes.classes == ("cloud", "class 2")
    press(qtbot, annotate.dataset.save_button)
    finished(annotate)
    item = annotate.classes.list.item(0)
    item.setText("bec")
    assert annotate.session.notes.classes == ("bec", "class 2")
    assert "bec of series" in viewer.layers
    assert open_set(tmp_path / "set").classes == ("bec", "class 2")
    assert annotate.session.notes.unsaved == ()
    annotate.classes.list.item(1).setText("bec")  # there already
    assert "is there already" in messages()
    notification_manager.records.clear()
    annotate.classes.select("bec")
    press(qtbot, annotate.classes.remove_button)
    assert "erase them first" in messages()
    annotate.classes.select("class 2")
    press(qtbot, annotate.classes.remove_button)
    assert annotate.session.notes.classes == ("bec",)
    assert open_set(tmp_path / "set").classes == ("bec",)


def test_a_single_picture_its_labels_and_their_export(
    qtbot, viewer, annotate, add, series, finished, tmp_path
) -> None:
    source = add(series.isel(shot=0), name="one")
    layer = paint(annotate, "cloud", (), (40, 38), 10)
    assert layer.data.shape == (96, 128)
    assert layer.units == source.units
    qtbot.waitUntil(lambda: "This picture: 1 cloud, not saved." in annotate.shot.label.text())
    assert not annotate.shot.next_button.isEnabled()
    annotate.dataset.export_labels_to(tmp_path)
    finished(annotate)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "one.cloud.tif"), layer.data)
    annotate.dataset.folder.value = str(tmp_path / "set")
    press(qtbot, annotate.dataset.save_button)
    finished(annotate)
    assert "Saved the picture into “set”" in annotate.status.text()
    assert len(open_set(tmp_path / "set")) == 1


def test_shots_that_come_later_get_labels_too(qtbot, viewer, annotate, add, series) -> None:
    source = add(series.isel(shot=[0, 1]))
    layer = paint(annotate, "cloud", (1,), (40, 38), 10)
    before = layer.data.copy()
    source.data = series.values
    assert layer.data.shape == series.shape
    np.testing.assert_array_equal(layer.data[:2], before)
    paint(annotate, "cloud", (2,), (40, 38), 10)
    annotate.session.note()
    assert annotate.session.notes.unsaved == ((1,), (2,))


def test_raw_frames_and_results_are_not_on_offer(viewer, annotate) -> None:
    viewer.open_sample(PLUGIN, "single_cloud")
    raw, picture = viewer.layers
    assert annotate.layer_combo.layers == [picture]
    assert raw not in annotate.layer_combo.layers


def test_every_control_says_what_it_does(annotate) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListWidget

    for kind in (QAbstractButton, QComboBox, QLineEdit, QListWidget):
        for each in annotate.findChildren(kind):
            if each.isEnabled() and not each.objectName().startswith("qt_"):
                name = each.objectName() or each.parent().objectName()
                assert each.toolTip() or isinstance(each.parent(), QLineEdit), name
