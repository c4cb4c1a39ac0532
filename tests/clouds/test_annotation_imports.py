"""Annotations of other programs, against COCO's own masks and against known shapes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from faster_coco_eval import mask as coco_mask

from napari_coldatoms.clouds import Gaussian2D
from napari_coldatoms.clouds.annotations import (
    DatasetError,
    create_set,
    import_coco,
    import_via,
    open_set,
)

SHAPE = (120, 160)
CLOUD = Gaussian2D(70.0, 55.0, 24.0, 15.0, 0.4, peak=1.0, background=0.0)


@pytest.fixture
def pictures(tmp_path):
    """Make three pictures of a cloud in noise."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(4)
    for n in range(3):
        picture = CLOUD.image(SHAPE) + rng.normal(0, 0.03, SHAPE)
        tifffile.imwrite(folder / f"shot_{n}.tif", picture.astype(np.float32))
    return folder


def written(path, content):
    path.write_text(json.dumps(content))
    return path


def coco(annotations, **changes):
    """Return a COCO file's content: three images, two classes."""
    height, width = SHAPE
    images = [
        {"id": 10 + n, "file_name": f"shot_{n}.tif", "height": height, "width": width}
        for n in range(3)
    ]
    annotations = [{"id": n, "iscrowd": 0, **each} for n, each in enumerate(annotations)]
    categories = [{"id": 7, "name": " MOT\n"}, {"id": 3, "name": "ring"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def via(regions, name="shot_1.tif"):
    attributes = {"class": "MOT", "quality": {"good": True, "poor": False}}
    regions = [{"shape_attributes": each, "region_attributes": attributes} for each in regions]
    return {"_via_settings": {}, "_via_img_metadata": {"x": {"filename": name, "regions": regions}}}


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


def test_coco_masks_are_those_of_coco(pictures, tmp_path):
    truth = CLOUD.mask(SHAPE)
    runs = coco_mask.encode(np.asfortranarray(truth.astype(np.uint8)))
    text = runs["counts"]
    runs["counts"] = text.decode() if isinstance(text, bytes) else text
    flat = np.concatenate([[0], truth.T.ravel(), [0]]).astype(int)
    ends = [0, *(np.flatnonzero(np.diff(flat))).tolist(), truth.size]
    counts = {"size": list(SHAPE), "counts": np.diff(ends).tolist()}
    outline = [70.5, 20.2, 110.3, 60.9, 80.0, 90.0, 30.7, 75.1]
    second = [5.0, 5.0, 20.0, 5.0, 20.0, 30.0, 5.0, 30.0]
    content = coco(
        [
            {"image_id": 10, "category_id": 7, "segmentation": runs},
            {"image_id": 10, "category_id": 3, "segmentation": counts},
            {"image_id": 11, "category_id": 7, "segmentation": [outline, second]},
            {"image_id": 11, "category_id": 7, "segmentation": [second], "iscrowd": 1},
        ]
    )
    path = written(pictures / "instances.json", content)
    told = []
    found = import_coco(path, tmp_path / "set", read_picture=tifffile.imread, note=told.append)
    assert told == []
    assert found.classes == ("ring", "MOT")
    assert found.names == ("shot_0", "shot_1", "shot_2")
    first, polygon, none = (found.read(name) for name in found.names)
    assert first.labels == ("MOT", "ring")
    np.testing.assert_array_equal(first.masks[0], coco_mask.decode(runs).astype(bool))
    np.testing.assert_array_equal(first.masks[1], truth)
    np.testing.assert_array_equal(first.picture, tifffile.imread(pictures / "shot_0.tif"))
    assert first.source == str(pictures / "shot_0.tif")
    theirs = [
        coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(each, *SHAPE))).astype(bool)
        for each in ([outline, second], [second])
    ]
    # COCO's own outlines are rounded to a fifth of a pixel
    assert overlap(polygon.masks[0], theirs[0]) > 0.98
    np.testing.assert_array_equal(polygon.masks[1], theirs[1])
    assert none.labels == ()
    assert len(open_set(tmp_path / "set")) == 3


def test_boxes_stand_for_clouds(pictures, tmp_path):
    y0, x0, y1, x1 = CLOUD.ellipse_box()
    drawn = [x0 - 4, y0 + 2, x1 - x0 + 6, y1 - y0 - 5]  # by hand
    path = written(
        pictures / "boxes.json", coco([{"image_id": 10, "category_id": 7, "bbox": drawn}])
    )
    masks = {}
    for boxes in ("ellipse", "rule", "rectangle"):
        found = import_coco(path, tmp_path / boxes, read_picture=tifffile.imread, boxes=boxes)
        (masks[boxes],) = found.read("shot_0").masks
    assert overlap(masks["rule"], CLOUD.mask(SHAPE)) > 0.97
    assert abs(masks["rectangle"].sum() / (drawn[2] * drawn[3]) - 1) < 0.05
    assert abs(masks["ellipse"].sum() / masks["rectangle"].sum() - np.pi / 4) < 0.02
    with pytest.raises(ValueError, match="expected boxes as ellipse, rule, rectangle"):
        import_coco(path, tmp_path / "no", read_picture=tifffile.imread, boxes="no")
    # nothing but noise there
    empty = coco([{"image_id": 10, "category_id": 7, "bbox": [3, 3, 20, 12]}])
    told = []
    import_coco(
        written(pictures / "noise.json", empty), tmp_path / "noise",
        read_picture=tifffile.imread, boxes="rule", note=told.append,
    )  # fmt: skip
    assert "cloud 1 is the ellipse in its box" in told[0]


def test_shapes_of_via(pictures, tmp_path):
    regions = [
        {"name": "rect", "x": 20, "y": 30, "width": 41, "height": 12},
        {"name": "circle", "cx": 70.5, "cy": 55.5, "r": 20},
        {"name": "ellipse", "cx": 70.5, "cy": 55.5, "rx": 24, "ry": 15, "theta": 0.4},
        {
            "name": "polygon",
            "all_points_x": [10, 30, 30, 10],
            "all_points_y": [5, 5, 25, 25],
        },
        {"name": "point", "cx": 3, "cy": 4},
        {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [1, 2]},
        {"name": "rect", "x": 5, "y": 5, "width": 0, "height": 3},
        {"name": "circle", "cx": 500, "cy": 4, "r": 3},
    ]
    path = written(pictures / "via.json", via(regions))
    told = []
    found = import_via(
        path, tmp_path / "set", class_attribute="class", read_picture=tifffile.imread,
        boxes="rectangle", note=told.append,
    )  # fmt: skip
    shot = found.read("shot_1")
    assert shot.labels == ("MOT",) * 4
    rectangle, circle, ellipse, polygon = shot.masks
    expected = np.zeros(SHAPE, dtype=bool)
    expected[30:42, 20:61] = True
    np.testing.assert_array_equal(rectangle, expected)
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    np.testing.assert_array_equal(circle, (x - 70) ** 2 + (y - 55) ** 2 <= 400)
    np.testing.assert_array_equal(ellipse, CLOUD.mask(SHAPE))
    expected[:] = False
    expected[5:25, 10:30] = True
    np.testing.assert_array_equal(polygon, expected)
    assert len(told) == 4
    assert "region 5: expected a rect, circle, ellipse or polygon, found a point" in told[0]
    assert "1 clouds without a pixel" in told[-1]


def test_classes_of_via(pictures, tmp_path):
    rect = {"name": "rect", "x": 20, "y": 30, "width": 41, "height": 12}
    plain = {"k": {"filename": "shot_0.tif", "regions": {"0": {"shape_attributes": rect}}}}
    path = written(pictures / "plain.json", plain)
    assert import_via(path, tmp_path / "a", read_picture=tifffile.imread).classes == ("cloud",)
    ticked = via([rect])
    path = written(pictures / "via.json", ticked)
    with pytest.raises(DatasetError, match="to be chosen, found class, quality"):
        import_via(path, tmp_path / "b", read_picture=tifffile.imread)
    with pytest.raises(DatasetError, match="expected a region attribute 'kind'"):
        import_via(path, tmp_path / "b", class_attribute="kind", read_picture=tifffile.imread)
    found = import_via(
        path, tmp_path / "b", class_attribute="quality", read_picture=tifffile.imread
    )
    assert found.classes == ("good",)
    ticked["_via_img_metadata"]["x"]["regions"][0]["region_attributes"]["quality"]["poor"] = True
    with pytest.raises(DatasetError, match=r"shot_1\.tif, region 1: expected one class"):
        import_via(
            written(pictures / "via.json", ticked), tmp_path / "c", class_attribute="quality",
            read_picture=tifffile.imread,
        )  # fmt: skip


def test_more_pictures_come_to_a_dataset(pictures, tmp_path):
    found = create_set(tmp_path / "set", ["ODT"])
    boxed = coco([{"image_id": 10, "category_id": 7, "bbox": [20, 30, 41, 12]}])
    boxed["images"][1] |= {"split": "validation", "source": "run.h5", "index": [4]}
    path = written(pictures / "more.json", boxed)
    import_coco(path, tmp_path / "set", read_picture=tifffile.imread)
    found.refresh()
    assert found.classes == ("ODT", "ring", "MOT")
    assert found.entry("shot_1").split == "validation"
    assert found.find("run.h5", (4,)) == "shot_1"
    with pytest.raises(DatasetError, match="expected no picture 'shot_0' yet"):
        import_coco(path, tmp_path / "set", read_picture=tifffile.imread)
    # a dataset can be imported, too
    again = import_coco(
        tmp_path / "set" / "dataset.json", tmp_path / "again", tmp_path / "set" / "pictures",
        read_picture=tifffile.imread, split="train",
    )  # fmt: skip
    np.testing.assert_array_equal(again.read("shot_0").masks, found.read("shot_0").masks)
    assert len(again.samples("train")) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 3}, "expected COCO with images, annotations and categories"),
        ({"categories": [{"id": 1, "name": "MOT"}]}, "expected a class with id in"),
        ({"images": []}, "expected annotations of its images"),
    ],
)
def test_damaged_files_are_told(changes, words, pictures, tmp_path):
    content = coco([{"image_id": 10, "category_id": 7, "bbox": [1, 2, 30, 40]}]) | changes
    path = written(pictures / "coco.json", content)
    with pytest.raises(DatasetError, match=words):
        import_coco(path, tmp_path / "set", read_picture=tifffile.imread)
    assert not (tmp_path / "set").exists()


def test_pictures_that_do_not_fit_change_nothing(pictures, tmp_path):
    path = written(pictures / "coco.json", coco([]))
    tifffile.imwrite(pictures / "shot_2.tif", np.zeros((9, 8), dtype=np.float32))
    with pytest.raises(DatasetError, match="expected a picture 120 x 160, found"):
        import_coco(path, tmp_path / "set", read_picture=tifffile.imread)
    assert not (tmp_path / "set").exists()
    found = create_set(tmp_path / "there", ["ODT"])
    (pictures / "shot_2.tif").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"shot_2\.tif: expected a picture, found"):
        import_coco(path, tmp_path / "there", read_picture=tifffile.imread)
    found.refresh()
    assert (len(found), found.classes) == (0, ("ODT",))
    assert not list((tmp_path / "there" / "pictures").iterdir())
    (pictures / "shot_0.tif").unlink()
    (pictures / "shot_2.tif").unlink()
    with pytest.raises(DatasetError, match=r"found no .*shot_0\.tif and 1 more"):
        import_coco(path, tmp_path / "set", read_picture=tifffile.imread)
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(DatasetError, match=r"expected .*JSON"):
            import_via(path, tmp_path / "set", read_picture=tifffile.imread)
    with pytest.raises(DatasetError, match="expected annotations of VIA 2"):
        import_via(written(path, {"a": 1}), tmp_path / "set", read_picture=tifffile.imread)
