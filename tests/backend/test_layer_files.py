"""Layers in files: read back with napari's own reader and with tifffile."""

from __future__ import annotations

import csv

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import tifffile
from napari_builtins.io import csv_to_layer_data

from napari_coldatoms.backend.layer_files import file_name, write_layers

METADATA = {"napari_coldatoms": {"recipe": {"analysis": "a"}, "source": "µ.h5", "version": "1"}}


def kwargs(name: str, ndim: int, **others: object) -> dict[str, object]:
    return {
        "name": name,
        "scale": (1.0,) * (ndim - 2) + (2.0, 4.0),
        "units": ("pixel",) * (ndim - 2) + ("um", "um"),
        "ndim": ndim,
        "metadata": METADATA,
        **others,
    }


@pytest.mark.parametrize("kind", ["rectangle", "ellipse"])
def test_outlines_open_in_napari(tmp_path, kind):
    outlines = [np.random.default_rng(i).normal(size=(4, 3)) for i in range(3)]
    layer = (outlines, kwargs("shot boxes", 3, shape_type=kind), "shapes")
    (path,) = write_layers([layer], tmp_path / "new", "shot")
    assert path == tmp_path / "new" / "shot_boxes.csv"
    data, found, layer_type = csv_to_layer_data(path)
    assert layer_type == "shapes"
    assert found["shape_type"] == [kind] * 3
    np.testing.assert_array_equal(np.array(data), np.array(outlines))


def test_no_outlines_are_a_header(tmp_path):
    layer = ([], kwargs("boxes", 2, shape_type="ellipse"), "shapes")
    (path,) = write_layers([layer], tmp_path, "shot")
    with path.open() as file:
        assert list(csv.reader(file)) == [
            ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
        ]


def test_points_open_in_napari_with_their_features(tmp_path):
    places = np.random.default_rng(3).normal(size=(5, 3))
    features = pd.DataFrame({"site": np.arange(5), "probability": np.linspace(0, 1, 5)})
    layer = (places, kwargs("shot sites", 3, features=features), "points")
    (path,) = write_layers([layer], tmp_path, "shot")
    assert path.name == "shot_sites.csv"
    data, found, layer_type = csv_to_layer_data(path)
    assert layer_type == "points"
    np.testing.assert_array_equal(data, places)
    np.testing.assert_array_equal(found["properties"]["probability"], features["probability"])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [(20, 30), (3, 20, 30)])
def test_masks_as_tiff(tmp_path, shape, lazy):
    masks = np.random.default_rng(0).integers(0, 4, shape).astype(np.uint16)
    data = da.from_array(masks, chunks=(1,) * (len(shape) - 2) + (20, 30)) if lazy else masks
    layer = (data, kwargs("shot masks: MOT", len(shape)), "labels")
    (path,) = write_layers([layer], tmp_path, "shot")
    assert path.name == "shot_masks_MOT.tif"
    with tifffile.TiffFile(path) as tiff:
        found = tiff.asarray()
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, masks)
        page = tiff.pages[0]
        # pixels per centimetre of pixels 4 um wide and 2 um high
        across, down = (page.tags[name].value for name in ("XResolution", "YResolution"))
        assert across[0] / across[1] == pytest.approx(2500)
        assert down[0] / down[1] == pytest.approx(5000)
        assert tiff.shaped_metadata is not None
        assert "analysis: a" in tiff.shaped_metadata[0]["recipe"]
        assert tiff.shaped_metadata[0]["source"] == "µ.h5"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("stem", "layer", "expected"),
    [
        ("shot_01", "shot_01 boxes", "shot_01_boxes"),
        ("shot_01", "shot_01", "shot_01"),
        ("shot_01", "shot_012 boxes", "shot_01_shot_012_boxes"),
        ("shot_01", "TOF boxes", "shot_01_TOF_boxes"),
        ("a/b:c", "masks: <MOT>", "a_b_c_masks_MOT"),
        ("Laser µ", "boxes", "Laser_µ_boxes"),
    ],
)
def test_names_that_every_system_takes(stem, layer, expected):
    assert file_name(stem, layer) == expected
