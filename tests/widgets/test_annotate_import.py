"""Annotations of other programs are imported in a real window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_coldatoms.clouds.annotations import open_set

PLUGIN = "napari-coldatoms"
SHAPE = (60, 80)
BOX = (20, 10, 30, 24)  # x, y, width, height


@pytest.fixture
def annotate(viewer):
    """Return the widget "Annotate clouds", opened in the window as the user would."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate clouds")
    return widget


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for n in range(3):
        picture = rng.normal(0, 0.02, SHAPE).astype(np.float32)
        tifffile.imwrite(folder / f"shot_{n}.tif", picture)
    return folder


def coco(pictures: Path, **changes) -> Path:
    """Write a file of four pictures, of which three are there, and of bad entries among good."""
    size = {"height": SHAPE[0], "width": SHAPE[1]}
    content = {
        "categories": [{"id": 1, "name": "MOT"}, {"id": 2, "name": "ring"}],
        "images": [{"id": n, "file_name": f"shot_{n}.tif", **size} for n in range(4)],
        "annotations": [
            {"image_id": 0, "category_id": 1, "bbox": list(BOX)},
            {"image_id": 0, "category_id": 2, "segmentation": [[2, 2, 12, 2, 12, 9, 2, 9]]},
            {"image_id": 2, "category_id": 1, "bbox": list(BOX)},
            {"image_id": 2, "category_id": 1, "bbox": [4, 4, 0, 5]},
            {"image_id": 2, "category_id": 9, "bbox": list(BOX)},
            {"image_id": 77, "category_id": 1, "bbox": list(BOX)},
        ],
    }
    # one of them a second time, with a cloud of its own
    content["images"].append({"id": 5, "file_name": "shot_0.tif", **size})
    content["annotations"][1]["image_id"] = 5
    content |= changes
    path = pictures / "coco.json"
    path.write_text(json.dumps(content))
    return path


def via(path: Path) -> Path:
    """Write a file with two attributes, for one of the pictures."""
    drawn = {"name": "circle", "cx": 30.5, "cy": 25.5, "r": 8}
    regions = [{"shape_attributes": drawn, "region_attributes": {"kind": "BEC", "by": "me"}}]
    path.write_text(json.dumps({"a": {"filename": "shot_1.tif", "regions": regions}}))
    return path


def ellipse() -> np.ndarray:
    """Return the pixels whose centres are in the ellipse in the box."""
    x, y, width, height = BOX
    rows, columns = np.indices(SHAPE) + 0.5
    across = (columns - x - width / 2) / (width / 2)
    return across**2 + ((rows - y - height / 2) / (height / 2)) ** 2 <= 1


def errors() -> list[str]:
    return [str(each.message) for each in notification_manager.records]


def test_good_entries_of_coco_are_painted_and_bad_ones_told(
    viewer, annotate, pictures, finished, looked_at, tmp_path
) -> None:
    (source,) = viewer.open([str(pictures)], plugin=PLUGIN)
    assert source.data.shape == (3, *SHAPE)
    annotate.dataset.folder.value = str(tmp_path / "set")
    finished(annotate)
    # what is painted and not saved stays
    layer = annotate.session.activate("cloud")
    viewer.dims.set_point(0, 2)
    layer.paint((2, 50, 10), 1)
    annotate.importing.import_file(coco(pictures))
    finished(annotate)
    words = annotate.status.text()
    assert "Imported 3 pictures with 3 clouds (MOT, ring) into “set”" in words
    assert "which has 3 shots of this image" in words
    assert "1 shot not saved yet: left as painted" in words
    told = annotate.status.toolTip()
    for part in (
        "found no " + str(pictures / "shot_3.tif"),
        "shot_2.tif, annotation 2: expected a box with a surface, found 0 x 5; left out",
        "expected a class with id in [1, 2], found 9",
        "expected annotations of its images, found some of image 77",
    ):
        assert part in told
    dataset = open_set(tmp_path / "set")
    assert len(dataset) == 3
    assert dataset.read("shot_0").labels == ("MOT", "ring")
    np.testing.assert_array_equal(
        dataset.read("shot_1").picture, tifffile.imread(pictures / "shot_1.tif")
    )
    mot, ring = viewer.layers["MOT of shot"], viewer.layers["ring of shot"]
    np.testing.assert_array_equal(mot.data[0] > 0, ellipse())
    assert not mot.data[1:].any()
    expected = np.zeros(SHAPE, bool)
    expected[2:9, 2:12] = True
    np.testing.assert_array_equal(ring.data[0] > 0, expected)
    assert layer.data[2].any()
    assert annotate.session.notes.unsaved == ((2,),)
    assert annotate.session.notes.notes((1,)).empty
    looked_at(viewer, "annotate-import")
    # once more: nothing comes twice
    annotate.importing.import_file(coco(pictures))
    finished(annotate)
    assert "Imported 0 pictures with 0 clouds" in annotate.status.text()
    assert "expected no picture 'shot_0' yet, found one and 2 more" in annotate.status.toolTip()
    assert len(open_set(tmp_path / "set")) == 3
    assert errors() == []


def test_what_a_file_leaves_open_is_asked_for(
    annotate, pictures, finished, tmp_path, qtbot, monkeypatch
) -> None:
    file = via(tmp_path / "via.json")
    asked: list[object] = []
    answers = {"attribute": ("kind", True), "folder": ""}

    def attribute(parent, title, words, names, **options):
        asked.append(tuple(names))
        return answers["attribute"]

    def folder(parent, title, *start):
        asked.append(title)
        return answers["folder"]

    monkeypatch.setattr(QInputDialog, "getItem", attribute)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", folder)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    # without any image in the window
    annotate.dataset.folder.value = str(tmp_path / "set")
    annotate.importing.button.click()
    qtbot.waitUntil(lambda: "Nothing was imported: the pic" in annotate.status.text())
    assert asked == [("by", "kind"), "Folder of the pictures that “via.json” is about"]
    assert not (tmp_path / "set").exists()
    answers["folder"] = str(pictures)
    annotate.importing.button.click()
    qtbot.waitUntil(lambda: "Imported 1 picture with 1 cloud (BEC)" in annotate.status.text())
    (mask,) = open_set(tmp_path / "set").read("shot_1").masks
    rows, columns = np.indices(SHAPE)
    np.testing.assert_array_equal(mask, (rows - 25) ** 2 + (columns - 30) ** 2 <= 64)
    answers["attribute"] = ("", False)
    annotate.importing.button.click()
    qtbot.waitUntil(lambda: "no attribute was chosen" in annotate.status.text())
    # another file is told in one line
    (tmp_path / "via.json").write_text('{"a": 1}')
    annotate.importing.button.click()
    qtbot.waitUntil(lambda: "expected annotations of VIA 2" in annotate.status.text())
    assert len(errors()) == 1


def test_cancel_leaves_the_dataset_as_it_was(
    annotate, pictures, finished, tmp_path, monkeypatch
) -> None:
    annotate.dataset.folder.value = str(tmp_path / "set")
    annotate.importing.import_file(coco(pictures))
    finished(annotate)
    for path in pictures.glob("*.tif"):
        path.rename(path.with_name(f"more_{path.name}"))
    size = {"height": SHAPE[0], "width": SHAPE[1]}
    images = [{"id": n, "file_name": f"more_shot_{n}.tif", **size} for n in range(3)]
    file = coco(pictures, images=images, annotations=[])
    start = annotate.start_job

    def start_and_stop(function, done, **options):
        start(function, done, **options)
        annotate.cancel_button.click()

    monkeypatch.setattr(annotate, "start_job", start_and_stop)
    annotate.importing.import_file(file)
    finished(annotate)
    assert annotate.status.text() == "Cancelled: nothing was imported."
    assert open_set(tmp_path / "set").names == ("shot_0", "shot_1", "shot_2")
    assert len(list((tmp_path / "set" / "pictures").iterdir())) == 3
