from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_coldatoms.images import StackError, fluorescence, make_stack


def frames_of(*levels: float, dtype: type = np.uint16) -> np.ndarray:
    return np.stack([np.full((6, 8), level) for level in levels]).astype(dtype)


@pytest.mark.parametrize(
    ("roles", "subtract", "expected", "subtracted"),
    [
        (("atoms", "background"), "auto", 60, "background"),
        (("atoms", "dark"), "auto", 60, "dark"),
        (("dark", "atoms"), "auto", -60, "dark"),
        (("atoms", "probe"), "auto", 60, "probe"),
        (("fluorescence", "unknown"), "auto", 100, "none"),
        (("atoms", "background"), "none", 100, "none"),
    ],
)
def test_counts_above_a_frame_without_atoms(roles, subtract, expected, subtracted):
    stack = make_stack(frames_of(100, 40), roles=roles, pixel_size=2)
    picture = fluorescence(stack, subtract=subtract)
    np.testing.assert_array_equal(picture, expected)
    assert picture.dims == ("y", "x")
    assert picture.attrs["kind"] == "fluorescence"
    assert picture.attrs["picture"]["subtract"] == subtracted
    assert picture["x"].attrs["units"] == "um"


def test_the_frame_most_alike_is_subtracted():
    stack = make_stack(frames_of(100, 40, 7), roles=("atoms", "background", "dark"))
    np.testing.assert_array_equal(fluorescence(stack), 60)
    np.testing.assert_array_equal(fluorescence(stack, subtract="dark"), 93)


def test_saturated_pixels_are_nan_and_counted():
    frames = frames_of(100, 40)
    frames[0, 2, 3] = 65535
    picture = fluorescence(make_stack(frames, roles=("atoms", "dark")))
    assert np.argwhere(np.isnan(picture.values)).tolist() == [[2, 3]]
    assert picture["invalid_count"] == picture["saturated_count"] == 1


def test_lazy_shots_stay_lazy():
    frames = np.stack([frames_of(100, 40), frames_of(90, 50)])
    stack = make_stack(da.from_array(frames, chunks=(1, 2, 6, 8)), roles=("atoms", "dark"))
    picture = fluorescence(stack)
    assert hasattr(picture.data, "dask")
    np.testing.assert_array_equal(picture[:, 0, 0].compute(), [60, 40])


@pytest.mark.parametrize(
    ("roles", "subtract", "message"),
    [
        (("probe", "dark"), "auto", "'atoms'"),
        (("atoms", "dark"), "probe", "'probe'"),
        (("atoms", "dark"), "nonsense", "nonsense"),
    ],
)
def test_what_it_cannot_do(roles, subtract, message):
    with pytest.raises(StackError, match=message):
        fluorescence(make_stack(frames_of(2, 1), roles=roles), subtract=subtract)
    with pytest.raises(StackError, match="picture"):
        fluorescence(make_stack(np.ones((3, 3))))
