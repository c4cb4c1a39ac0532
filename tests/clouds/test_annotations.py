"""Datasets of annotated pictures: nothing is lost, and other programs can read them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from faster_coco_eval import COCO
from faster_coco_eval import mask as coco_mask

from napari_coldatoms.clouds.annotation_check import check_set
from napari_coldatoms.clouds.annotations import (
    Annotated,
    DatasetError,
    create_set,
    export_labels,
    labels_to_masks,
    open_set,
)
from napari_coldatoms.clouds.run_lengths import decode, encode


def annotated(name="shot", seed=0, shape=(30, 40), **changes) -> Annotated:
    """Return a picture with a hole, a MOT, and an ODT that lies over it."""
    rng = np.random.default_rng(seed)
    picture = rng.normal(size=shape).astype(np.float32)
    picture[0, 0] = np.nan
    masks = np.zeros((2, *shape), dtype=bool)
    masks[0, 5:20, 8:25] = True
    masks[1, 10:13, 2:38] = True
    return replace(Annotated(name, picture, ("MOT", "ODT"), masks), **changes)


@pytest.fixture
def dataset(tmp_path):
    return create_set(tmp_path / "set", ["MOT", "ODT"])


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_run_lengths_are_those_of_coco(density):
    mask = np.random.default_rng(1).random((57, 131)) < density
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = theirs["counts"]
    text = text.decode() if isinstance(text, bytes) else text
    ours = encode(mask)
    assert ours == {"size": [57, 131], "counts": text}
    np.testing.assert_array_equal(decode(ours), mask)


def test_long_runs():
    mask = np.zeros((2000, 3000), dtype=bool)
    mask[1000:, 1500] = True
    np.testing.assert_array_equal(coco_mask.decode(encode(mask)).astype(bool), mask)
    np.testing.assert_array_equal(decode(encode(mask)), mask)


@pytest.mark.parametrize(
    "runs",
    [
        {"size": [3, 4], "counts": [5, 6]},
        {"size": [3, 4], "counts": [5, -1, 8]},
        {"size": [3, 4], "counts": [5.5, 6.5]},
        {"size": [3, 4], "counts": "5"},
        {"size": [3, 4], "counts": "o" * 30},
        {"size": [3, 4], "counts": "é"},
        {"size": [3], "counts": [3]},
        {"counts": [12]},
    ],
)
def test_damaged_run_lengths_are_refused(runs):
    with pytest.raises(ValueError, match="expected run lengths"):
        decode(runs)


def test_what_was_put_comes_back(dataset, tmp_path):
    given = annotated("run 7/shot ü", source="C:/data/run.h5", index=(3, 1))
    dataset.put(given)
    dataset.put(annotated("none", labels=(), masks=np.zeros((0, 30, 40), dtype=bool)))
    found = open_set(tmp_path / "set")
    assert found.classes == ("MOT", "ODT")
    assert found.names == ("run 7/shot ü", "none")
    read = found.read("run 7/shot ü")
    np.testing.assert_array_equal(read.picture, given.picture)
    np.testing.assert_array_equal(read.masks, given.masks)
    assert (read.labels, read.source, read.index) == (given.labels, given.source, (3, 1))
    assert found.find("C:/data/run.h5", (3, 1)) == "run 7/shot ü"
    assert found.find("C:/data/run.h5") is None
    assert not found.read("none").labels
    sample = found.samples()[0]
    assert sample.boxes.tolist() == [[5, 8, 20, 25], [10, 2, 13, 38]]
    assert found.samples().labels == (("MOT", "ODT"), ())
    file = found.entry("run 7/shot ü").file
    assert file.isascii()
    assert tifffile.imread(tmp_path / "set" / "pictures" / file).dtype == np.float32


def test_others_read_it(dataset, tmp_path):
    given = [annotated(f"shot {n}", n) for n in range(3)]
    dataset.put_all(given)
    coco = COCO(str(tmp_path / "set" / "dataset.json"))
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == ["MOT", "ODT"]
    for each in coco.loadAnns(coco.getAnnIds()):
        shot = given[each["image_id"] - 1]
        mask = shot.masks[shot.labels.index(coco.cats[each["category_id"]]["name"])]
        np.testing.assert_array_equal(coco.annToMask(each), mask)
        assert each["area"] == mask.sum()
        assert each["bbox"] == coco_mask.toBbox(each["segmentation"]).tolist()
        assert each["iscrowd"] == 0


def test_every_fifth_is_for_validation_and_stays_so(tmp_path):
    names = [f"shot {n}" for n in range(60)]
    splits = []
    for order in (names, names[::-1]):
        found = create_set(tmp_path / order[0], ["MOT", "ODT"])
        for name in order:
            found.put(annotated(name, shape=(14, 39)))
            own = [found.entry(each).split for each in found.names]
            n, k = len(own), own.count("validation")
            assert n // 5 - 1 <= k <= n // 5 + 1
            assert n == 1 or 1 <= k < n
        splits.append({name: found.entry(name).split for name in names})
    # some are decided by how many there are already
    assert sum(splits[0][name] != splits[1][name] for name in names) <= 12
    found.put(annotated("shot 3", seed=9, shape=(14, 39)))
    assert found.entry("shot 3").split == splits[1]["shot 3"]
    other = "train" if splits[1]["shot 3"] == "validation" else "validation"
    with pytest.raises(DatasetError, match="expected split"):
        found.put(annotated("shot 3", shape=(14, 39), split=other))
    assert len(found.samples("train")) + len(found.samples("validation")) == 60


def test_what_a_file_says_wins(dataset):
    for n in range(3):
        dataset.put(annotated(f"shot {n}", split="validation"))
    assert len(dataset.samples("validation")) == 3
    dataset.put(annotated("more"))
    assert dataset.entry("more").split == "train"


def test_another_picture_of_the_same_name(dataset, tmp_path):
    dataset.put(annotated("shot"))
    dataset.put(annotated("other"))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "set/pictures").iterdir()}
    fewer = annotated("shot")
    dataset.put(replace(fewer, labels=("ODT",), masks=fewer.masks[1:]))
    # the picture is the same, and was not written again
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "set/pictures").iterdir()}
    assert dataset.read("shot").labels == ("ODT",)
    dataset.put(annotated("shot", seed=5, shape=(50, 60)))
    assert open_set(tmp_path / "set").read("shot").shape == (50, 60)
    assert len(list((tmp_path / "set/pictures").iterdir())) == 2
    dataset.remove("shot")
    assert dataset.names == ("other",)
    assert len(list((tmp_path / "set/pictures").iterdir())) == 1


def test_names_that_differ_in_case_alone(dataset, tmp_path):
    for name in ("a", "A", "a!", "a?", "con", "../x", "...", "x" * 300):
        dataset.put(annotated(name, seed=len(name)))
    files = [path.name.lower() for path in (tmp_path / "set/pictures").iterdir()]
    assert len(set(files)) == 8
    assert open_set(tmp_path / "set").names == dataset.names


def test_two_windows_keep_what_the_other_one_wrote(dataset, tmp_path):
    other = open_set(tmp_path / "set")
    dataset.put(annotated("one"))
    other.put(annotated("two"))
    dataset.add_class("ring")
    other.put(annotated("three", labels=("MOT", "ring")))
    found = open_set(tmp_path / "set")
    assert found.names == ("one", "two", "three")
    assert found.classes == ("MOT", "ODT", "ring")


def test_all_or_none(dataset, tmp_path):
    dataset.put(annotated("one"))
    before = (tmp_path / "set" / "dataset.json").read_bytes()
    with pytest.raises(DatasetError, match="expected one of the classes MOT, ODT, found 'BEC'"):
        dataset.put_all([annotated("two"), annotated("three", labels=("MOT", "BEC"))])
    assert (tmp_path / "set" / "dataset.json").read_bytes() == before
    assert len(list((tmp_path / "set/pictures").iterdir())) == 1
    assert dataset.names == ("one",)


KILLED = """
import sys
import numpy as np
from napari_coldatoms.clouds.annotations import Annotated, open_set

found = open_set(sys.argv[1])
mask = np.ones((1, 200, 200), dtype=bool)
number = 0
while True:
    picture = np.full((200, 200), number, dtype=np.float32)
    found.put(Annotated(f"shot {number % 40}", picture, ("MOT",), mask))
    number += 1
    print(number, flush=True)
"""


def test_a_kill_in_the_middle_of_writing(dataset, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "set")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 60:
            break
    child.kill()
    written = [int(line) for line in child.stdout]
    child.wait()
    child.stdout.close()
    latest = written[-1] if written else 60
    found = open_set(tmp_path / "set")
    assert len(found) == 40
    values = [float(found.read(name).picture[0, 0]) for name in found.names]
    assert max(values) >= latest - 1
    assert not check_set(found).problems


def test_classes_are_added_renamed_and_removed(dataset):
    dataset.put(annotated())
    dataset.add_class("ring")
    dataset.add_class("ring")
    dataset.rename_class("ODT", "dipole trap")
    assert dataset.classes == ("MOT", "dipole trap", "ring")
    assert dataset.read("shot").labels == ("MOT", "dipole trap")
    dataset.remove_class("ring")
    with pytest.raises(DatasetError, match="expected no clouds of class 'MOT'"):
        dataset.remove_class("MOT")
    with pytest.raises(DatasetError, match="different names"):
        dataset.rename_class("MOT", "dipole trap")
    assert dataset.classes == ("MOT", "dipole trap")


def test_damaged_datasets_are_told(dataset, tmp_path):
    with pytest.raises(DatasetError, match="expected no dataset, found one"):
        create_set(tmp_path / "set", ["MOT"])
    with pytest.raises(DatasetError, match=r"expected a dataset with dataset\.json, found none"):
        open_set(tmp_path)
    with pytest.raises(DatasetError, match="expected a picture 'x', found none"):
        dataset.read("x")
    dataset.put(annotated())
    path = tmp_path / "set" / "dataset.json"
    whole = json.loads(path.read_text())

    def changed(where, **changes):
        copy = json.loads(json.dumps(whole))
        copy[where][0] |= changes
        return json.dumps(copy)

    for text, words in (
        (path.read_text()[:-40], "expected JSON, found a damaged file"),
        ("[1]", "expected a JSON object, found list"),
        (json.dumps({"images": []}), "expected format"),
        (changed("annotations", category_id=7), "expected a whole dataset, found a damaged one"),
        (changed("annotations", image_id=7), "clouds in pictures that are there"),
        (changed("images", split="test"), "expected split train or validation"),
        (changed("images", file_name="../../x.tif"), "expected the name of a file in pictures"),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=words):
            open_set(tmp_path / "set")
    for text, words in (
        (changed("images", width=41), "expected a picture of 30 x 41 pixels, found 30 x 40"),
        (changed("images", file_name="y.tif"), "expected a picture, found no file"),
        (
            changed("annotations", segmentation={"size": [3, 4], "counts": [0, 12]}),
            "cloud 1: expected a mask with pixels of 30 x 40, found one of 3 x 4",
        ),
    ):
        path.write_text(text)
        found = open_set(tmp_path / "set")
        with pytest.raises(DatasetError, match=words):
            found.read("shot")
        assert any("expected" in line for line in check_set(found).problems)
    path.write_text(json.dumps(whole))
    picture = tmp_path / "set" / "pictures" / "shot.tif"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(DatasetError, match="found a damaged file"):
        open_set(tmp_path / "set").read("shot")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"picture": np.zeros((2, 3, 4))}, r"expected a picture \(ny, nx\)"),
        ({"picture": np.zeros((3, 4), dtype=complex)}, "of real numbers"),
        ({"labels": ("MOT",)}, "expected masks of bool of shape"),
        ({"masks": np.zeros((2, 30, 40))}, "expected masks of bool"),
        ({"masks": np.zeros((2, 30, 40), dtype=bool)}, "expected clouds with pixels"),
        ({"split": "test"}, "expected split"),
        ({"name": " "}, "expected a picture's name"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        annotated(**changes)


def test_label_images_and_back():
    given = annotated()
    images = export_labels(given)
    assert images["MOT"].dtype == np.uint16
    labels, masks = labels_to_masks(images)
    assert labels == ("MOT", "ODT")  # an image for each class: they may overlap
    np.testing.assert_array_equal(masks, given.masks)
    same = export_labels(replace(given, labels=("MOT", "MOT")))
    # the smaller one is on top
    np.testing.assert_array_equal(same["MOT"] == 2, given.masks[1])
    labels, masks = labels_to_masks({"MOT": np.zeros((3, 4), dtype=int)})
    assert labels == ()
    assert masks.shape == (0, 3, 4)
    with pytest.raises(ValueError, match="of one size"):
        labels_to_masks({"MOT": np.zeros((3, 4), int), "ODT": np.zeros((4, 4), int)})


def test_a_check_tells_slips(dataset, tmp_path):
    dataset.put_all([annotated(f"shot {n}") for n in range(6)])
    twice = annotated("twice")
    dataset.put(replace(twice, masks=twice.masks[[0, 0]], labels=("MOT", "MOT")))
    dot = np.zeros((1, 30, 40), dtype=bool)
    dot[0, 3, 3] = True
    dataset.put(replace(twice, name="dot", masks=dot, labels=("MOT",)))
    dataset.put(replace(twice, name="none", masks=dot[:0], labels=()))
    dataset.add_class("ring")
    (tmp_path / "set/pictures/more.tif").write_bytes(b"")
    found = check_set(dataset)
    assert sum(found.pictures.values()) == 9
    assert sum(found.empty.values()) == 1
    assert sum(found.clouds["MOT"].values()) == 9
    assert not found.problems
    notes = "\n".join(found.notes)
    for words in (
        "twice: clouds 1 and 2 are nearly the same",
        "dot: cloud 1 has 1 pixels",
        "no ring among the pictures for train",
        "pictures/more.tif belongs to no picture",
    ):
        assert words in notes
