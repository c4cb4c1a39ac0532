"""From results to layers: place, provenance, leading dimensions, laziness."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Layer

from napari_coldatoms.backend import layers
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.run import FrameResult, Run


class Nothing:
    """All that the layers ask of an analysis is how it is written down."""

    name = "nothing"


@pytest.fixture
def done(stack, monkeypatch) -> Run:
    recipe = Recipe("nothing", {"a": 1}, source="folder")
    monkeypatch.setattr(Run, "recipe", recipe)
    frames = tuple(FrameResult((i,), {}, i) for i in range(12))
    return Run(Nothing(), stack, frames)


def test_layers_lie_where_the_pictures_lie(done):
    kwargs = layers.result_kwargs(done, "boxes")
    assert kwargs["name"] == "pictures boxes"
    assert kwargs["scale"] == (1, 2, 2)
    assert kwargs["axis_labels"] == ("shot", "y", "x")
    assert kwargs["units"][-1] == "um"
    assert kwargs["metadata"]["napari_coldatoms"] == {
        "recipe": done.recipe.to_dict(),
        "version": done.recipe.version,
        "source": "folder",
    }


def test_a_box_of_edges_surrounds_its_pixels():
    # pixels 2 and 3 of the rows, pixel 5 of the columns
    corners = layers.box_corners((2, 5, 4, 6))
    assert corners.tolist() == [[1.5, 4.5], [1.5, 5.5], [3.5, 5.5], [3.5, 4.5]]
    placed = layers.place_outline(corners, (7,))
    assert placed.shape == (4, 3)
    assert set(placed[:, 0]) == {7.0}
    np.testing.assert_array_equal(placed[:, 1:], corners)
    assert layers.place_outline(corners, ()).shape == (4, 2)


def test_a_box_covers_the_pixels_of_its_slice_in_napari():
    box = (2, 5, 6, 9)
    layer = Layer.create([layers.box_corners(box)], {"shape_type": "rectangle"}, "shapes")
    expected = np.zeros((12, 14), dtype=bool)
    expected[2:6, 5:9] = True
    np.testing.assert_array_equal(layer.to_masks((12, 14))[0], expected)


def test_shapes_show_their_class_and_features(done):
    outlines = [layers.place_outline(layers.box_corners((1, 1, 4, 3)), (i,)) for i in range(3)]
    features = pd.DataFrame({"label": ["ODT", "MOT", "ODT"], "score": [0.5, 0.25, 1.0]})
    made = layers.shapes_layer(
        done,
        "boxes",
        outlines,
        features,
        shape_type="rectangle",
        text="{label} {score:.2f}",
        labels=list(features["label"]),
    )
    layer = Layer.create(*made)
    assert layer.ndim == 3
    assert list(layer.text.values) == ["ODT 0.50", "MOT 0.25", "ODT 1.00"]
    assert list(layer.shape_type) == ["rectangle"] * 3
    colours = layer.edge_color
    np.testing.assert_array_equal(colours[0], colours[2])
    assert not np.allclose(colours[0], colours[1])
    assert 0 < layer.edge_width[0] < 0.1  # a frame of 6 pixels


def test_colours_do_not_depend_on_the_order():
    assert layers.class_colours(["ODT", "MOT"]) == layers.class_colours(["MOT", "ODT", "MOT"])
    many = layers.class_colours([str(i) for i in range(20)])
    assert len(many) == 20


def test_no_shapes_are_a_layer_all_the_same(done):
    features = pd.DataFrame({"label": pd.Series(dtype="str"), "score": pd.Series(dtype=float)})
    made = layers.shapes_layer(done, "boxes", [], features, shape_type="ellipse", text="{label}")
    layer = Layer.create(*made)
    assert layer.ndim == 3
    assert len(layer.data) == 0
    assert list(layer.features.columns) == ["label", "score"]


def draw(frame: FrameResult) -> np.ndarray:
    return np.full((6, 5), frame.result)


def test_pictures_over_the_stack(done):
    pictures = layers.per_frame(done, done.frames[2:4], draw, dtype=np.uint16)
    assert isinstance(pictures, np.ndarray)
    assert pictures.dtype == np.uint16
    assert pictures[:, 0, 0].tolist() == [0, 0, 2, 3] + [0] * 8
    filled = layers.per_frame(done, done.frames[2:4], draw, dtype=np.float32, fill=np.nan)
    assert np.isnan(filled[0]).all()
    assert np.isfinite(filled[2]).all()


def test_a_single_picture_has_no_leading_dimension(done):
    single = Run(done.analysis, done.stack[0], (FrameResult((), {}, 9),))
    assert layers.per_frame(single, single.frames, draw, dtype=np.uint8).tolist() == [[9] * 5] * 6


def test_large_results_are_drawn_when_they_are_looked_at(done, monkeypatch):
    drawn = []

    def count(frame: FrameResult) -> np.ndarray:
        drawn.append(frame.index)
        return draw(frame)

    eager = layers.per_frame(done, done.frames[2:], draw, dtype=np.uint16)
    monkeypatch.setattr(layers, "LAZY_ABOVE", eager.nbytes - 1)
    lazy = layers.per_frame(done, done.frames[2:], count, dtype=np.uint16)
    assert drawn == []
    assert lazy.chunks[0] == (1,) * 12
    np.testing.assert_array_equal(lazy[3].compute(), eager[3])
    assert drawn == [(3,)]
    np.testing.assert_array_equal(lazy.compute(), eager)
    layer = Layer.create(lazy, layers.result_kwargs(done, "masks"), "labels")
    assert layer.data.shape == (12, 6, 5)
