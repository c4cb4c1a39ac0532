"""What the room takes as a picture: a plain array, or a DataArray that may know its pixel size."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """How pixels lie in space: size (dy, dx), coordinate (y, x) of the first pixel, unit."""

    pixel_size: tuple[float, float]
    origin: tuple[float, float]
    unit: str | None


def pixels_of(picture: Any) -> NDArray[np.float64]:
    """Return a picture, or a mask, as a plain two-dimensional array of floats.

    Pixels that are infinite or masked out (`numpy.ma`) become NaN. The array is always contiguous,
    aligned and writable: for any other kind the kernels would be compiled once more.

    Parameters
    ----------
    picture : (ny, nx) array or DataArray
        A leading axis of length one is dropped from a DataArray.

    Raises
    ------
    ValueError
        If it is no picture: wrong number of dimensions, complex, raw frames or several shots.
    """
    if _has_dimensions(picture):
        if "frame" in picture.dims:
            raise ValueError(
                "expected a picture, found raw frames; make an optical depth or fluorescence "
                "picture from them first"
            )
        if picture.ndim > 2 and all(n == 1 for n in picture.shape[:-2]):
            picture = picture[(0,) * (picture.ndim - 2)]
        if picture.ndim != 2:
            raise ValueError(
                f"expected one picture with dimensions (y, x), found {dict(picture.sizes)}; "
                "take one shot, such as picture.isel(shot=0)"
            )
        if picture.dims == ("x", "y"):
            raise ValueError(
                "expected a picture with dimensions (y, x), found (x, y); transpose it"
            )
        values = np.asarray(picture.data)
    else:
        values = np.asanyarray(picture)
    if values.ndim != 2:
        raise ValueError(f"expected a two-dimensional picture, found shape {values.shape}")
    if values.dtype.kind not in "buif":
        raise ValueError(f"expected a picture of real numbers, found dtype {values.dtype}")
    if values.size == 0:
        raise ValueError(f"expected a picture with pixels, found shape {values.shape}")
    plain = np.require(np.asarray(values), np.float64, ["C", "A", "W"])
    out = ~np.isfinite(plain) | np.ma.getmaskarray(values)
    return np.where(out, np.nan, plain) if out.any() else plain


def frame_of(picture: Any) -> Frame | None:
    """Return how the pixels of a picture lie in space, or None where it does not know."""
    if not _has_dimensions(picture):
        return None
    from napari_coldatoms.images import stack

    size = stack.pixel_size(picture)
    if size is None:
        return None
    return Frame(size, stack.origin(picture), stack.unit(picture))


def _has_dimensions(picture: Any) -> bool:
    """Whether it is a DataArray; xarray takes a second to load, which plain arrays need not."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(picture, xarray.DataArray)
