from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from napari.layers import Image

from napari_coldatoms.images import (
    METADATA_KEY,
    StackError,
    check_stack,
    from_layer,
    is_raw,
    make_stack,
    origin,
    pixel_size,
    shots,
    spatial,
    to_layer,
    unit,
)

ROLES = ("atoms", "probe", "dark")


def raw_stack(lazy: bool = False) -> xr.DataArray:
    data = np.arange(4 * 3 * 5 * 7, dtype=np.uint16).reshape(4, 3, 5, 7)
    return make_stack(
        da.from_array(data, chunks=(1, 3, 5, 7)) if lazy else data,
        roles=ROLES,
        name="scan",
        pixel_size=(4.4, 2.2),
        coords={
            "tof": np.array([1.0, 2.0, 3.0, 4.0]),
            "source": ["a.h5", "b.h5", "c.h5", "d.h5"],
            "detuning": -2.5,
        },
        attrs={"source": "folder", "files": ["a.h5"], "header": {"GAIN": 3}},
    )


def layer_of(stack: xr.DataArray, **overrides: object) -> Image:
    data, kwargs, kind = to_layer(stack, **overrides)
    assert kind == "image"
    return Image(data, **kwargs)


@pytest.mark.parametrize(
    ("shape", "roles", "dims"),
    [
        ((5, 7), None, ("y", "x")),
        ((4, 5, 7), None, ("shot", "y", "x")),
        ((3, 5, 7), ROLES, ("frame", "y", "x")),
        ((4, 3, 5, 7), ROLES, ("shot", "frame", "y", "x")),
    ],
)
def test_dimensions_of_a_stack(shape, roles, dims):
    stack = make_stack(np.zeros(shape), roles=roles)
    assert stack.dims == dims
    assert is_raw(stack) is (roles is not None)
    assert stack.attrs["kind"] == "counts"
    assert pixel_size(stack) is None
    assert unit(stack) is None
    assert origin(stack) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        (np.zeros(5), {}, "dimension"),
        (np.zeros((1, 2, 3, 4)), {}, "dimension"),
        (np.zeros((1, 2, 3, 4, 5)), {"roles": ROLES}, "dimension"),
        (np.zeros((0, 4)), {}, "at least one pixel"),
        (np.zeros((3, 4), dtype=complex), {}, "real numbers"),
        (np.array([["a", "b"]]), {}, "real numbers"),
        (np.zeros((2, 3, 4)), {"roles": ROLES}, "one role for each of the 2 frames"),
        (np.zeros((3, 4, 4)), {"roles": ("atoms", "probe", "nonsense")}, "nonsense"),
        (np.zeros((3, 4)), {"pixel_size": -1}, "positive pixel size"),
        (np.zeros((3, 4)), {"pixel_size": np.nan}, "positive pixel size"),
        (np.zeros((3, 4)), {"pixel_size": 1, "unit": ""}, "name of a unit"),
        (np.zeros((3, 4)), {"coords": {"tof": [1, 2]}}, "'tof'"),
        (np.zeros((3, 4, 4)), {"coords": {"tof": [1, 2]}}, "'tof'"),
    ],
)
def test_what_is_no_stack(data, kwargs, message):
    with pytest.raises(StackError, match=message):
        make_stack(data, **kwargs)


@pytest.mark.parametrize(
    "stack",
    [
        xr.DataArray(np.zeros((3, 4)), dims=("x", "y")),
        xr.DataArray(np.zeros((3, 4, 5)), dims=("time", "y", "x")),
        xr.DataArray(np.zeros((3, 4, 5)), dims=("frame", "y", "x")),
        xr.DataArray(np.zeros((1, 3)), dims=("y", "x"), coords={"x": [0.0, 1.0, 5.0]}),
        xr.DataArray(np.zeros((1, 3)), dims=("y", "x"), coords={"x": [2.0, 1.0, 0.0]}),
        xr.DataArray(
            np.zeros((2, 2)),
            dims=("y", "x"),
            coords={"y": ("y", [0.0, 1], {"units": "um"}), "x": ("x", [0.0, 1], {"units": "mm"})},
        ),
    ],
)
def test_arrays_that_break_the_model(stack):
    with pytest.raises(StackError):
        check_stack(stack)


def test_pixel_size_and_origin_follow_cropping_and_binning():
    stack = make_stack(np.ones((8, 12)), pixel_size=(2.0, 3.0), unit="µm")
    assert pixel_size(stack) == (2.0, 3.0)
    assert unit(stack) == "um"
    cropped = stack[2:6, 3:9]
    assert origin(cropped) == (4.0, 9.0)
    binned = cropped.coarsen(y=2, x=2).mean()
    assert pixel_size(binned) == (4.0, 6.0)
    # the centre of the first bin lies between its pixels
    assert origin(binned) == (5.0, 10.5)
    assert pixel_size(stack[:1]) == (3.0, 3.0)


def test_round_trip_through_a_layer():
    stack = raw_stack()
    layer = layer_of(stack)
    np.testing.assert_allclose(layer.scale, (1, 1, 4.4, 2.2))
    np.testing.assert_allclose(layer.translate, 0)
    # so that the shots lie on the same axis as those of a picture, whose last three they are
    assert layer.axis_labels == ("frame", "shot", "y", "x")
    np.testing.assert_array_equal(layer.data[1, 2], stack.values[2, 1])
    assert [str(each) for each in layer.units] == ["pixel", "pixel", "micrometer", "micrometer"]
    assert not layer.rgb
    back = from_layer(layer)
    xr.testing.assert_allclose(back, stack)
    assert back.name == "scan"
    assert back.attrs == stack.attrs
    assert back["y"].attrs == stack["y"].attrs
    assert set(back.coords) == set(stack.coords)
    assert tuple(back["frame"].values) == ROLES
    assert back.dtype == np.uint16
    # and once more, so that nothing piles up
    xr.testing.assert_identical(from_layer(layer_of(back)), back)


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 7), (2, 40, 3)])
def test_round_trip_of_pictures_without_pixel_size(shape):
    stack = make_stack(np.random.default_rng(0).normal(size=shape), name="picture")
    layer = layer_of(stack)
    assert layer.ndim == len(shape)
    xr.testing.assert_identical(from_layer(layer), stack)


def test_coordinates_over_pixels_and_scalars_survive():
    stack = raw_stack()[1, 0]
    stack = stack.assign_coords(invalid=(("y", "x"), np.eye(5, 7, dtype=bool)))
    back = from_layer(layer_of(stack))
    xr.testing.assert_allclose(back, stack)
    assert back["tof"] == 2.0
    assert back["source"] == "b.h5"
    assert str(back["frame"].values) == "atoms"


def test_translation_of_a_crop_survives():
    stack = raw_stack()[:, :, 2:, 3:]
    layer = layer_of(stack)
    np.testing.assert_allclose(layer.translate, (0, 0, 8.8, 6.6))
    assert origin(from_layer(layer)) == pytest.approx((8.8, 6.6))


def test_lazy_data_stay_lazy():
    computed = []

    def block(frames):
        computed.append(frames.shape)
        return frames

    stack = raw_stack(lazy=True)
    stack = stack.copy(data=stack.data.map_blocks(block, dtype=stack.dtype, meta=stack.data._meta))
    data, _, _ = to_layer(stack)
    assert hasattr(data, "dask")
    assert hasattr(from_layer(layer_of(stack, contrast_limits=(0, 500))).data, "dask")
    assert len(computed) <= 1  # napari itself shows one slice


def test_what_the_user_changed_in_napari_counts():
    layer = layer_of(raw_stack())
    layer.scale = (1, 1, 0.5, 0.25)
    layer.units = ("pixel", "pixel", "mm", "mm")
    layer.translate = (0, 0, 1, 2)
    layer.name = "mine"
    back = from_layer(layer)
    assert pixel_size(back) == (0.5, 0.25)
    assert unit(back) == "mm"
    assert origin(back) == (1.0, 2.0)
    assert back.name == "mine"
    assert list(back["tof"].values) == [1, 2, 3, 4]


def test_a_scale_without_unit_is_no_pixel_size_but_is_kept():
    layer = layer_of(make_stack(np.zeros((5, 7))))
    layer.scale = (2, 2)
    stack = from_layer(layer)
    assert pixel_size(stack) is None
    assert spatial(stack)["scale"] == (2, 2)


@pytest.mark.parametrize("unit_name", ["um", "nm", "mm", "m", "micron", "micrometer", "µm"])
def test_units_come_back_in_short(unit_name):
    layer = Image(np.zeros((4, 5)), scale=(2, 2), units=unit_name)
    stack = from_layer(layer)
    expected = unit_name if unit_name in ("nm", "mm", "m") else "um"
    assert unit(stack) == expected
    assert unit(make_stack(np.zeros((4, 5)), pixel_size=2, unit=unit_name)) == expected


def test_layers_that_are_not_ours():
    assert from_layer(Image(np.zeros((5, 7)))).dims == ("y", "x")
    assert from_layer(Image(np.zeros((4, 5, 7)))).dims == ("shot", "y", "x")
    with pytest.raises(StackError, match="4 dimension"):
        from_layer(Image(np.zeros((2, 4, 5, 7))))
    with pytest.raises(StackError, match="RGB"):
        from_layer(Image(np.zeros((40, 50, 3), dtype=np.uint8), rgb=True))
    multiscale = Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True)
    assert from_layer(multiscale).shape == (64, 64)
    with pytest.raises(StackError, match="one unit"):
        from_layer(Image(np.zeros((5, 7)), units=("um", "mm")))
    with pytest.raises(StackError, match="positive pixel size"):
        from_layer(Image(np.zeros((5, 7)), scale=(-1, 1)))


def test_metadata_that_no_longer_fit_are_left_out():
    layer = layer_of(raw_stack())
    layer.data = np.asarray(layer.data)[:, :2]  # two of four shots
    back = from_layer(layer)
    assert back.sizes["shot"] == 2
    assert "tof" not in back.coords
    assert back["detuning"] == -2.5
    assert tuple(back["frame"].values) == ROLES
    layer = layer_of(raw_stack()[0])
    layer.data = np.asarray(layer.data)[:2]  # frames are gone: no roles to trust
    assert from_layer(layer).dims == ("shot", "y", "x")


def test_overrides_win_and_metadata_are_added():
    _, kwargs, _ = to_layer(
        raw_stack(),
        name="other",
        visible=False,
        metadata={"theirs": 1, METADATA_KEY: {"recipe": "r"}},
    )
    assert kwargs["name"] == "other"
    assert kwargs["visible"] is False
    assert kwargs["metadata"]["theirs"] == 1
    assert kwargs["metadata"][METADATA_KEY]["recipe"] == "r"
    assert kwargs["metadata"][METADATA_KEY]["dims"] == ("frame", "shot", "y", "x")


def test_place_of_result_layers():
    stack = raw_stack()[:, :, 1:]
    assert spatial(stack) == {
        "scale": (1.0, pytest.approx(4.4), pytest.approx(2.2)),
        "translate": (0.0, pytest.approx(4.4), 0.0),
        "units": ("pixel", "um", "um"),
        "axis_labels": ("shot", "y", "x"),
    }
    assert spatial(stack, ndim=2)["axis_labels"] == ("y", "x")
    assert spatial(stack[0, 0], ndim=3)["scale"] == (1.0, pytest.approx(4.4), pytest.approx(2.2))
    with pytest.raises(StackError):
        spatial(stack, ndim=1)


def test_a_turned_layer_gives_turned_results():
    rng = np.random.default_rng(3)
    layer = Image(
        rng.random((4, 5, 7)),
        rotate=30,
        shear=(0, 0, 0.2),
        scale=(1, 2, 2),
        units=("pixel", "um", "um"),
    )
    affine = np.eye(4)
    affine[1:3, 3] = (5, 6)
    layer.affine = affine
    stack = from_layer(layer)
    result = Image(rng.random((4, 5, 7)), **spatial(stack))
    for corner in ([0, 0, 0], [2, 4.5, 6], [3, 1, 2]):
        np.testing.assert_allclose(result.data_to_world(corner), layer.data_to_world(corner))
    again = layer_of(stack)
    np.testing.assert_allclose(again.data_to_world([1, 2, 3]), layer.data_to_world([1, 2, 3]))
    # on the spatial axes alone
    flat = Image(rng.random((5, 7)), **spatial(stack, ndim=2))
    np.testing.assert_allclose(flat.data_to_world([2, 3]), layer.data_to_world([0, 2, 3])[1:])


def test_shots():
    stack = raw_stack()
    listed = list(shots(stack))
    assert [index for index, _ in listed] == [0, 1, 2, 3]
    assert listed[2][1].dims == ("frame", "y", "x")
    assert listed[2][1]["tof"] == 3.0
    assert [index for index, _ in shots(stack[0])] == [0]
