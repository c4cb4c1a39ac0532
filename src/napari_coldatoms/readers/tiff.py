"""TIFF: several pages in one file, or one file for each frame."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.readers.errors import ReadError
from napari_coldatoms.readers.lazy import FileArray, Lazy, is_lazy, to_dask
from napari_coldatoms.readers.plain import Plain, check_array

SUFFIXES = (".tif", ".tiff")
EXPECTED = "a TIFF file with grey pictures"

# units of length in ImageJ's and OME's metadata, in micrometres
_LENGTHS = {"micron": 1.0, "microns": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3}
# where the data lie: nothing about the picture
_LAYOUT_TAGS = ("StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts", "ColorMap")


def load(path: Path, lazy: Lazy) -> list[Plain]:
    """Load all pictures of a file; pages of different sizes separately.

    Raises
    ------
    ReadError
        No grey pictures, or a truncated file.
    """
    import tifffile

    with _complaints() as complaints, tifffile.TiffFile(path) as tif:
        loaded = [_load_alike(path, tif, numbers, lazy) for numbers in _alike(tif.series)]
    if complaints:
        raise ReadError(path, "a complete TIFF file", f"a damaged one ({complaints[0]})")
    if not loaded:
        raise ReadError(path, EXPECTED, "no picture in it")
    if len(loaded) > 1:
        loaded = [replace(each, dataset=f"size {i + 1}") for i, each in enumerate(loaded)]
    return loaded


def _alike(series: Sequence[Any]) -> list[list[int]]:
    """Return the numbers of series that belong together: single pages written one by one."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for number, each in enumerate(series):
        several = len(each.shape) > 2 or each.axes.endswith("S")
        key = (each.shape, each.dtype, number if several else None)
        found.setdefault(key, []).append(number)
    return list(found.values())


def _load_alike(path: Path, tif: Any, numbers: list[int], lazy: Lazy) -> Plain:
    series = [tif.series[number] for number in numbers]
    shape, dtype = tuple(series[0].shape), np.dtype(series[0].dtype)
    coloured = series[0].axes.endswith("S")
    if coloured:
        shape = shape[:-1]
    if len(numbers) > 1:
        shape = (len(numbers), *shape)
    check_array(path, shape, dtype)
    _check_complete(path, [series[0], series[-1]])
    native = dtype.newbyteorder("=")
    data: Any
    if is_lazy(int(np.prod(shape)) * dtype.itemsize, lazy) and not coloured:
        flat = (int(np.prod(shape[:-2])), *shape[-2:])
        if len(numbers) > 1:
            loader = partial(_load_series, path, numbers)
        elif series[0].dataoffset is not None:
            loader = partial(_load_contiguous, path, numbers[0], flat)
        else:
            loader = partial(_load_pages, path, numbers[0], flat)
        data = to_dask(FileArray(loader, flat, native)).reshape(shape)
    else:
        data = np.stack([each.asarray() for each in series]).reshape((*shape, -1))
        data = (_grey(path, data) if coloured else data[..., 0]).astype(native, copy=False)
    page = series[0].keyframe
    return Plain(data, _attrs(page), {}, _pixel_size(tif, page))


def _check_complete(path: Path, series: Sequence[Any]) -> None:
    """Check that the file is as long as its first and last page say."""
    size = path.stat().st_size
    ends = []
    for each in series:
        if each.dataoffset is not None:
            ends.append(each.dataoffset + each.nbytes)
        for page in (each.pages[0], each.pages[-1]):
            if page is not None:
                pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
                ends += [offset + count for offset, count in pairs]
    if ends and max(ends) > size:
        found = f"{size} bytes of {max(ends)}: a truncated one"
        raise ReadError(path, "a complete TIFF file", found)


def _load_series(path: Path, numbers: list[int], index: tuple[slice, ...]) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as tif:
        frames = [tif.series[number].asarray() for number in numbers[index[0]]]
    values = np.stack(frames)[(slice(None), *index[1:])]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _load_contiguous(
    path: Path, number: int, shape: tuple[int, ...], index: tuple[slice, ...]
) -> np.ndarray:
    import tifffile

    mapped = tifffile.memmap(path, series=number, mode="r").reshape(shape)
    values = np.array(mapped[index])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _load_pages(
    path: Path, number: int, shape: tuple[int, ...], index: tuple[slice, ...]
) -> np.ndarray:
    import tifffile

    pages = range(*index[0].indices(shape[0]))
    with tifffile.TiffFile(path) as tif:
        frames = [tif.series[number].pages[page].asarray() for page in pages]
    values = np.stack(frames)[(slice(None), *index[1:])]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _grey(path: Path, data: np.ndarray) -> np.ndarray:
    """Return one channel of a grey picture that was stored as three equal ones."""
    colours = data[..., :3]
    if not np.all(colours == colours[..., :1]):
        raise ReadError(path, EXPECTED, "a colour picture")
    return np.ascontiguousarray(data[..., 0])


def _attrs(page: Any) -> dict[str, Any]:
    header = {}
    for tag in page.tags.values():
        value = tag.value
        # nameless tags are a camera's own and mean nothing without its manual
        if tag.name in _LAYOUT_TAGS or tag.name.isdigit():
            continue
        if isinstance(value, str | int | float):
            header[tag.name] = value.strip() if isinstance(value, str) else value
    attrs: dict[str, Any] = {"header": header}
    exposure = header.get("AndorExposureTime")
    # Andor SOLIS writes 0 or -999 where it does not know
    if isinstance(exposure, float) and exposure > 0:
        attrs["exposure"] = exposure
    return attrs


def _pixel_size(tif: Any, page: Any) -> tuple[float, float] | None:
    """Return the pixel size in µm where ImageJ or OME metadata state one with a unit of length."""
    if tif.is_imagej:
        length = _LENGTHS.get(str((tif.imagej_metadata or {}).get("unit", "")).strip())
        sizes = []
        for name in ("YResolution", "XResolution"):
            tag = page.tags.get(name)
            numerator, denominator = tag.value if tag is not None else (0, 1)
            sizes.append(denominator / numerator if numerator else 0.0)
        if length and min(sizes) > 0:
            return sizes[0] * length, sizes[1] * length
    if tif.is_ome and tif.ome_metadata:
        from xml.etree import ElementTree

        for element in ElementTree.fromstring(tif.ome_metadata).iter():
            if element.tag.endswith("Pixels"):
                size = [float(element.get(f"PhysicalSize{axis}", 0)) for axis in "YX"]
                units = [element.get(f"PhysicalSize{axis}Unit", "µm") for axis in "YX"]
                scale = [_LENGTHS.get(unit, 0.0) for unit in units]
                if min(size) > 0 and min(scale) > 0:
                    return size[0] * scale[0], size[1] * scale[1]
    return None


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile complains of in its log: that is all it does about missing pages."""
    found: list[str] = []

    reading = threading.get_ident()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread != reading:  # another file, read at the same time
                return
            message = " ".join(record.getMessage().split())
            found.append(message[:120])

    logger = logging.getLogger("tifffile")
    handler = Collect(level=logging.ERROR)
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
