from __future__ import annotations

import gc
import sys
import warnings

import numpy as np
import pytest
from astropy.io import fits

from napari_coldatoms.readers import ReadError, read

TRIPLET = ("atoms", "probe", "dark")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float32, np.float64]
)
def test_cube_of_any_type_is_native(tmp_path, triplet, write_fits, dtype, lazy):
    data = (triplet // 8).astype(dtype)
    (stack,) = read(write_fits(tmp_path / "a.fits", data), lazy=lazy)
    assert stack.dtype == dtype
    assert stack.dtype.isnative
    assert hasattr(stack.data, "dask") is lazy
    assert tuple(stack["frame"].values) == TRIPLET
    np.testing.assert_array_equal(stack, data)
    assert stack.compute().dtype.isnative


@pytest.mark.parametrize("lazy", [False, True])
def test_leading_axis_of_one(tmp_path, triplet, write_fits, lazy):
    (stack,) = read(write_fits(tmp_path / "a.fits", triplet[:1]), lazy=lazy)
    assert stack.dims == ("y", "x")
    np.testing.assert_array_equal(stack, triplet[0])
    (stack,) = read(write_fits(tmp_path / "b.fits", triplet[np.newaxis]), lazy=lazy)
    assert stack.dims == ("frame", "y", "x")
    np.testing.assert_array_equal(stack, triplet)


@pytest.mark.parametrize("lazy", [False, True])
def test_scaled_values(tmp_path, lazy):
    unit = fits.PrimaryHDU(np.arange(600, dtype=np.int16).reshape(20, 30))
    unit.header["BSCALE"] = 0.5
    unit.header["BZERO"] = 3.0
    path = tmp_path / "a.fits"
    unit.writeto(path)
    (stack,) = read(path, lazy=lazy)
    expected = np.arange(600).reshape(20, 30) * 0.5 + 3
    np.testing.assert_allclose(stack, expected)
    assert stack.dtype == np.float32


def test_camera_keywords(tmp_path, triplet, write_fits):
    path = write_fits(tmp_path / "a.fits", triplet, EXPOSURE=2e-4, GAIN=3, TEMP=-70.0, HEAD="DU888")
    (stack,) = read(path)
    assert stack.attrs["exposure"] == 2e-4
    assert stack.attrs["gain"] == 3
    assert stack.attrs["camera_temperature"] == -70
    assert stack.attrs["header"]["HEAD"] == "DU888"
    path = write_fits(tmp_path / "b.fits", triplet, EXPOSURE=0.0, GAIN=0, TEMP=-999.0)
    (stack,) = read(path)
    assert not {"exposure", "gain", "camera_temperature"} & set(stack.attrs)


def test_several_units(tmp_path, triplet):
    path = tmp_path / "a.fits"
    units = [fits.PrimaryHDU()] + [
        fits.ImageHDU(frame, name=name)
        for frame, name in zip(triplet, ("PROBE", "ATOMS", "DARK"), strict=True)
    ]
    fits.HDUList([*units, fits.BinTableHDU.from_columns([])]).writeto(path)
    (stack,) = read(path)
    assert tuple(stack["frame"].values) == TRIPLET
    np.testing.assert_array_equal(stack, triplet[[1, 0, 2]])


def test_compressed(tmp_path, triplet, write_fits):
    import gzip

    path = write_fits(tmp_path / "a.fits", triplet)
    path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read(path)[0], triplet)
    np.testing.assert_array_equal(read(path, lazy=True)[0], triplet)


def test_real_li6_cube(real_data):
    path = next((real_data / "li6_fits").glob("*.fits"))
    (stack,) = read(path)
    assert stack.sizes == {"frame": 3, "y": 512, "x": 512}
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.dtype == np.uint16
    assert stack.attrs["roles_certain"] is False
    assert "agrees" in stack.attrs["roles_reason"]
    assert "exposure" not in stack.attrs  # the file says 0
    np.testing.assert_array_equal(stack, fits.getdata(path))


def test_a_truncated_file_is_not_held_open(tmp_path, triplet, write_fits, monkeypatch):
    path = write_fits(tmp_path / "a.fits", triplet)
    path.write_bytes(path.read_bytes()[:4000])
    opened = []
    monkeypatch.setattr(sys, "unraisablehook", opened.append)
    with pytest.raises(ReadError, match="truncated"):
        read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()
    assert not opened
