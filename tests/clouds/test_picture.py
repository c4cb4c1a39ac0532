"""What counts as a picture, and in which form the kernels get it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr

from napari_coldatoms.clouds import Gaussian2D, detect
from napari_coldatoms.clouds.picture import pixels_of

CLOUD = Gaussian2D(50.3, 40.7, 14.0, 9.0, 0.4, 1.0, 0.1)
PICTURE = CLOUD.image((90, 110)) + np.random.default_rng(1).normal(0, 0.03, (90, 110))


def unaligned():
    raw = np.empty(PICTURE.nbytes + 1, dtype=np.uint8)
    picture = raw[1:].view(np.float64).reshape(PICTURE.shape)
    picture[:] = PICTURE
    return picture


def read_only():
    picture = PICTURE.copy()
    picture.flags.writeable = False
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        read_only(),
        unaligned(),
        PICTURE.astype(">f8"),
        np.asfortranarray(PICTURE),
        np.repeat(PICTURE, 2, axis=1)[:, ::2],
    ],
    ids=["read-only", "unaligned", "big-endian", "columns first", "strided"],
)
def test_kernels_get_one_kind_of_array(picture):
    pixels = pixels_of(picture)
    assert pixels.dtype == np.float64
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous
    assert pixels.flags.aligned
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, PICTURE)


def test_infinite_and_masked_pixels_are_invalid():
    out = np.random.default_rng(2).random(PICTURE.shape) < 0.05
    invalid = np.where(out, np.nan, PICTURE)
    infinite = np.where(out, np.where(np.indices(out.shape)[0] % 2, np.inf, -np.inf), PICTURE)
    masked = np.ma.masked_array(np.where(out, 1e6, PICTURE), mask=out)
    counts = np.ma.masked_array(np.where(out, 60_000, 1000).astype(np.uint16), mask=out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (expected,) = detect(invalid)
        for picture in (infinite, masked):
            np.testing.assert_array_equal(pixels_of(picture), invalid)
            assert detect(picture)[0].fit == expected.fit
        np.testing.assert_array_equal(pixels_of(counts), np.where(out, np.nan, 1000))


def test_axes_in_another_order_are_refused():
    with pytest.raises(ValueError, match=r"\(y, x\), found \(x, y\)"):
        detect(xr.DataArray(PICTURE, dims=("x", "y")))
