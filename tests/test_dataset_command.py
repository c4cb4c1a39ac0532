"""The commands `dataset ...`, and `train` on a dataset; in this process."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

# before a window of other tests is there: the LLVM of torch's triton crashes beside that of Mesa
import torchvision  # noqa: F401
from skimage.io import imsave

from napari_coldatoms.cli import DONE, NOTHING, PARTLY, USAGE, main
from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.annotations import open_set
from napari_coldatoms.clouds.weights import read_card

SHAPE = (64, 80)


@pytest.fixture
def annotated(tmp_path):
    """Make six pictures of a cloud, and a COCO file with a box for each but the last."""
    folder = tmp_path / "shots"
    folder.mkdir()
    rng = np.random.default_rng(2)
    images, annotations = [], []
    for n in range(6):
        cloud = Gaussian2D(rng.uniform(25, 55), rng.uniform(20, 44), 14, 9, 0.3, 1.0, 0.1)
        picture = cloud.image(SHAPE) + rng.normal(0, 0.05, SHAPE)
        tifffile.imwrite(folder / f"shot_{n}.tif", picture.astype(np.float32))
        y0, x0, y1, x1 = cloud.ellipse_box()
        size = {"height": SHAPE[0], "width": SHAPE[1]}
        images.append({"id": n, "file_name": f"shot_{n}.tif", **size})
        if n < 5:
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({"id": n, "image_id": n, "category_id": 1, "bbox": box})
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "ring"}]
    (folder / "coco.json").write_text(json.dumps(content))
    return folder


def test_an_import_and_a_check(one_line, annotated, tmp_path, capsys):
    folder = tmp_path / "set"
    given = ["dataset", "import-coco", str(annotated / "coco.json"), "-o", str(folder)]
    assert main([*given, "--boxes", "rule"]) == DONE
    assert capsys.readouterr().err == f"{folder}: 6 pictures, classes ring\n"
    found = open_set(folder)
    assert found.read("shot_0").masks.sum() == pytest.approx(np.pi * 14 * 9, rel=0.06)
    assert found.read("shot_5").labels == ()
    assert main(given) == NOTHING
    assert "failed: " in one_line(capsys.readouterr().err)
    assert main(["dataset", "check", str(folder)]) == DONE
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()[2:]]
    assert rows[0][0] == "pictures"
    assert sum(map(int, rows[0][1:])) == 6
    assert sum(map(int, rows[2][1:])) == 5
    assert err == ""
    (folder / "pictures" / "shot_1.tif").unlink()
    assert main(["dataset", "check", str(folder), "--quiet"]) == PARTLY
    assert "problem: " in one_line(capsys.readouterr().err)
    assert main(["dataset", "check", str(tmp_path)]) == NOTHING
    assert "expected a dataset with dataset.json" in one_line(capsys.readouterr().err)


def test_an_import_from_via(one_line, annotated, tmp_path, capsys):
    circle = {"name": "circle", "cx": 30, "cy": 30, "r": 12}
    regions = [
        {"shape_attributes": circle, "region_attributes": {"kind": "MOT", "by": "me"}},
        {"shape_attributes": {"name": "point"}, "region_attributes": {"kind": "MOT", "by": "me"}},
    ]
    path = tmp_path / "via.json"
    path.write_text(json.dumps({"a": {"filename": "shot_0.png", "regions": regions}}))
    grey = np.arange(64 * 80, dtype=np.uint8).reshape(64, 80)
    imsave(annotated / "shot_0.png", np.stack([grey] * 3, axis=2), check_contrast=False)
    given = ["dataset", "import-via", str(path), "--pictures", str(annotated)]
    into = ["--output", str(tmp_path / "set")]
    assert main([*given, *into]) == NOTHING
    assert "to be chosen, found by, kind" in one_line(capsys.readouterr().err)
    assert main([*given, *into, "--class-attribute", "kind"]) == DONE
    assert "region 2: expected a rect, circle" in capsys.readouterr().err
    found = open_set(tmp_path / "set")
    assert found.classes == ("MOT",)
    np.testing.assert_array_equal(found.read("shot_0").picture, grey)
    imsave(annotated / "shot_0.png", np.stack([grey, grey, grey // 2], 2), check_contrast=False)
    assert main([*given, "--class-attribute", "kind", "-o", str(tmp_path / "other")]) == NOTHING
    assert "expected a grey picture, found 64 x 80 x 3 with colours" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([*given[:3], "-o", str(tmp_path / "file")]) == USAGE
    assert "--output: expected a folder" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--validation", "3"], "--validation: expected none with a dataset, found 3"),
        (["--paper", "0.5"], "--paper: expected none with a dataset, found 0.5"),
        (["--frames", "-1"], "--frames: expected at least 1, found -1"),
        ([], "--dataset: "),
    ],
)
def test_what_it_cannot_train_on_is_told_in_one_line(one_line, flags, words, tmp_path, capsys):
    given = ["train", "-o", str(tmp_path / "new"), "--dataset", str(tmp_path / "none"), *flags]
    assert main(given) == USAGE
    assert words in one_line(capsys.readouterr().err)


@pytest.mark.slow
def test_it_trains_on_a_dataset_from_weights_of_other_classes(
    one_line, annotated, tmp_path, capsys
):
    folder, training = tmp_path / "set", tmp_path / "training"
    main(["dataset", "import-coco", str(annotated / "coco.json"), "-o", str(folder), "-q"])
    given = ["train", "--dataset", str(folder), "-o", str(training), "--device", "cpu"]
    given += ["--canvas", "64", "--epochs", "2", "--learning-rate", "1e-4"]
    assert main(given) == DONE
    out, _ = capsys.readouterr()
    assert out.splitlines()[1].startswith("epoch 2 of 2, loss ")
    card = read_card(training / "best.safetensors")
    assert card.labels == ("ring",)
    assert card.about["own pictures"] + card.about["validation"]["pictures"] == 6
    assert card.about["recipe"]["augmentations"]["fringes"]
    # simulated frames have none of these classes
    assert main([*given, "--frames", "2"]) == USAGE
    assert "expected one of the classes MOT, ODT" in one_line(capsys.readouterr().err)
