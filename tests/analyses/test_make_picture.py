"""From raw frames to pictures: what is decided, what is recorded."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from napari_coldatoms.analyses import MakePicture
from napari_coldatoms.backend import ParameterError, from_dict, to_dict
from napari_coldatoms.images.stack import StackError, make_stack


def raw(*roles: str, shots: int | None = None) -> xr.DataArray:
    level = {"atoms": 300.0, "probe": 1100.0, "dark": 100.0, "background": 150.0}
    frames = np.stack([np.full((4, 6), level.get(role, 0.5)) for role in roles])
    if shots is not None:
        frames = np.stack([frames] * shots)
    return make_stack(frames, roles=roles, name="raw", pixel_size=3.0)


def test_a_triplet_gives_the_optical_depth():
    picture = MakePicture()(raw("atoms", "probe", "dark"))
    assert picture.attrs["kind"] == "optical_depth"
    assert picture.dims == ("y", "x")
    np.testing.assert_allclose(picture, np.log(1000 / 200), rtol=1e-6)
    assert picture.name == "raw"
    np.testing.assert_array_equal(picture.x, 3.0 * np.arange(6))


def test_frames_without_probe_give_fluorescence():
    picture = MakePicture()(raw("atoms", "background"))
    assert picture.attrs["kind"] == "fluorescence"
    np.testing.assert_allclose(picture, 150.0)
    np.testing.assert_allclose(MakePicture(subtract="none")(raw("atoms", "background")), 300.0)


def test_the_user_can_decide():
    picture = MakePicture(kind="fluorescence")(raw("atoms", "probe", "dark"))
    np.testing.assert_allclose(picture, 300.0 - 1100.0)
    with pytest.raises(StackError, match="needs a frame with the role 'probe'"):
        MakePicture(kind="absorption")(raw("atoms", "dark"))


def test_what_the_camera_program_made_is_taken():
    picture = MakePicture()(raw("optical_depth", shots=2))
    assert picture.dims == ("shot", "y", "x")
    assert "frame" not in picture.coords
    assert picture.attrs["kind"] == "optical_depth"
    np.testing.assert_array_equal(picture, 0.5)


def test_pictures_pass():
    picture = MakePicture()(raw("atoms", "probe"))
    assert MakePicture(kind="fluorescence")(picture) is picture


def test_the_region_corrects_the_power():
    stack = raw("atoms", "probe", "dark").astype(float)
    # half of the picture is free of atoms, and there the second pulse is 3 % weaker
    stack[0, :, 3:] = 100 + 1000 / 0.97
    region = (0, 3, 4, 6)
    for made in (
        MakePicture(background_region=region),
        MakePicture(background_region=region, power_correction="region"),
    ):
        np.testing.assert_allclose(made(stack)[:, 3:], 0.0, atol=1e-6)
    uncorrected = MakePicture(background_region=region, power_correction="none")(stack)
    np.testing.assert_allclose(uncorrected[:, 3:], np.log(0.97), rtol=1e-5)


@pytest.mark.parametrize("roles", [("atoms", "probe", "dark"), ("atoms", "background"), ("atoms",)])
def test_what_was_done_can_be_done_again(roles):
    stack = raw(*roles)
    made = MakePicture(saturation=5000.0)
    picture = made(stack)
    recorded = picture.attrs["picture"]
    assert recorded["saturation"] == 5000.0
    assert recorded["kind"] in ("absorption", "fluorescence")  # decided, not "auto"
    again = MakePicture.from_recipe(recorded)(stack)
    xr.testing.assert_identical(again, picture)


def test_what_images_records_is_a_recipe_too():
    from napari_coldatoms.images.absorption import optical_depth

    stack = raw("atoms", "probe", "dark")
    picture = optical_depth(stack)
    again = MakePicture.from_recipe(picture.attrs["picture"])(stack)
    xr.testing.assert_equal(again, picture)


def test_lazy_stacks_give_lazy_pictures():
    stack = raw("atoms", "probe", "dark", shots=5)
    lazy = stack.copy(data=da.from_array(stack.values, chunks=(1, 3, 4, 6)))
    picture = MakePicture()(lazy)
    assert isinstance(picture.data, da.Array)
    np.testing.assert_array_equal(picture.compute(), MakePicture()(stack))


def test_parameters():
    made = MakePicture(background_region=(0, 1, 2, 3), min_probe=4.0)
    assert from_dict(MakePicture, to_dict(made)) == made
    with pytest.raises(ParameterError, match="saturation: expected a number from"):
        MakePicture(saturation=-1.0)
    with pytest.raises(ParameterError, match=r"picture\.power_correction: expected one of 'auto'"):
        MakePicture.from_recipe({"power_correction": "best"})
