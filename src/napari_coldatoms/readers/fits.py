"""FITS: a picture, or a cube of frames; big-endian on disk, native in memory."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.images.roles import guess_roles
from napari_coldatoms.readers.errors import ReadError, describe_content, first_line
from napari_coldatoms.readers.lazy import FileArray, Lazy, is_lazy, to_dask
from napari_coldatoms.readers.plain import (
    Plain,
    check_array,
    common_attrs,
    squeezed,
    stacked_frames,
)

SUFFIXES = (".fits", ".fit", ".fts")
EXPECTED = "a FITS file with a picture or a cube of frames"

_STRUCTURE = ("SIMPLE", "EXTEND", "BITPIX", "BZERO", "BSCALE", "XTENSION", "PCOUNT", "GCOUNT")


def load(path: Path, lazy: Lazy) -> list[Plain]:
    """Load the pictures of all image units of a file.

    Raises
    ------
    ReadError
        No picture in it, or a truncated file.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyUserWarning

    with path.open("rb") as file:
        start = file.read(6)
    # astropy would unpack archives of anything else
    if start != b"SIMPLE" and not start.startswith(b"\x1f\x8b"):
        raise ReadError(path, EXPECTED, describe_content(path))
    loaded = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # astropy only warns of a file shorter than its header says
        warnings.filterwarnings("error", ".*truncated.*", AstropyUserWarning)
        try:
            # opened here: after an error astropy would leave its own file open
            with (
                path.open("rb") as file,
                fits.open(file, memmap=False, lazy_load_hdus=False) as units,
            ):
                for number, unit in enumerate(units):
                    if not unit.is_image or not unit.header.get("NAXIS", 0):
                        continue
                    loaded.append(_plain(path, number, unit, lazy))
        except AstropyUserWarning as warning:
            found = f"a truncated one ({first_line(warning)})"
            raise ReadError(path, "a complete FITS file", found) from warning
    if not loaded:
        raise ReadError(path, EXPECTED, "no picture in it")
    if len(loaded) == 1:
        return [replace(loaded[0], dataset="")]
    return _as_cube(loaded)


def _as_cube(units: list[Plain]) -> list[Plain]:
    """Put frames in units without telling names together: their number tells their roles."""
    shapes = {plain.data.shape for plain in units}
    roles = guess_roles([plain.dataset for plain in units]).roles
    if len(shapes) > 1 or set(roles) != {"unknown"} or units[0].data.ndim != 2:
        return units
    data = stacked_frames([plain.data for plain in units])
    attrs = common_attrs([plain.attrs for plain in units])
    return [Plain(data, attrs)]


def _plain(path: Path, number: int, unit: Any, lazy: Lazy) -> Plain:
    shape = tuple(int(length) for length in unit.shape)
    dtype = _dtype(unit)
    check_array(path, shape, dtype)
    data: Any
    if is_lazy(int(np.prod(shape)) * dtype.itemsize, lazy):
        axes = squeezed(shape)
        lost = len(shape) - len(axes)
        data = to_dask(FileArray(partial(_load_section, path, number, lost), axes, dtype))
    else:
        data = np.asarray(unit.data).astype(dtype, copy=False)
    header: dict[str, Any] = {
        str(key): value
        for key, value in unit.header.items()
        if key and isinstance(value, bool | int | float | str)
        if key not in _STRUCTURE
        and not key.startswith("NAXIS")
        and key not in ("COMMENT", "HISTORY")
    }
    attrs: dict[str, Any] = {"header": header}
    # 0 and -999 are what camera programs write where they do not know
    for name, keys in (("exposure", ("EXPOSURE", "EXPTIME")), ("gain", ("GAIN",))):
        known = [header[key] for key in keys if _is_number(header.get(key)) and header[key] > 0]
        if known:
            attrs[name] = float(known[0])
    temperature = header.get("TEMP", 0)
    if _is_number(temperature) and temperature > -273.15 and temperature != 0:
        attrs["camera_temperature"] = float(temperature)
    return Plain(data, attrs, {}, None, str(unit.name or f"unit {number}"))


def _dtype(unit: Any) -> np.dtype:
    """Return the native type of a unit's values, with its BZERO and BSCALE applied."""
    bits, zero, scale = (
        unit.header["BITPIX"],
        unit.header.get("BZERO", 0),
        unit.header.get("BSCALE", 1),
    )
    plain = {
        8: np.uint8,
        16: np.int16,
        32: np.int32,
        64: np.int64,
        -32: np.float32,
        -64: np.float64,
    }
    if scale == 1 and zero == 0:
        return np.dtype(plain[bits])
    unsigned = {(16, 2**15): np.uint16, (32, 2**31): np.uint32, (64, 2**63): np.uint64}
    if scale == 1 and (bits, zero) in unsigned:
        return np.dtype(unsigned[bits, zero])
    if (scale, bits, zero) == (1, 8, -128):
        return np.dtype(np.int8)
    return np.dtype(np.float64 if abs(bits) > 16 else np.float32)


def _load_section(path: Path, number: int, lost: int, index: tuple[slice, ...]) -> np.ndarray:
    from astropy.io import fits

    with fits.open(path, memmap=False) as units:
        values = np.array(units[number].section[(*(0,) * lost, *index)])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
