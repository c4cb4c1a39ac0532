"""Counts in npy, npz and HDF5 files: arrays with names, those of one length together."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.readers.count_roles import is_telling, usable
from napari_coldatoms.readers.count_series import MOST, Column, CountSeries
from napari_coldatoms.readers.count_table import Reading, arrange, join_controls, with_left_out
from napari_coldatoms.readers.errors import ReadError, describe_content
from napari_coldatoms.readers.numpy_files import header_of, header_of_member

EXPECTED_NPY = "a numpy array of counts: one whole number for each shot"
EXPECTED_NPZ = "a numpy archive with one-dimensional arrays of counts"

_PEEK = 1000
_NEVER = "Python objects (pickled), which are never opened"


def read_npy(path: Path, layout: Layout | None) -> Reading:
    """Read the counts of an npy file.

    Raises
    ------
    ReadError
        No array of whole numbers in one or two dimensions.
    """
    shape, dtype = _npy_header(path)
    if dtype.hasobject:
        raise ReadError(path, "whole numbers", _NEVER)
    inner = tuple(length for length in shape if length != 1) or (1,)
    if dtype.kind not in "iuf" or len(inner) > 2 or 0 in shape:
        raise ReadError(path, EXPECTED_NPY, f"an array of the shape {shape} and the type {dtype}")
    values = np.load(path, allow_pickle=False).reshape(inner)
    columns = _columns(path, values)
    if len(columns) == 1:
        columns[0].whole()
        return arrange(path, columns, layout, path.stem)
    kept, others = usable(columns, named=False)
    if not kept:
        others[0].whole()
    reading = arrange(path, kept, layout, path.stem, named=False)
    return with_left_out(reading, others)


def read_npz(path: Path, layout: Layout | None) -> Reading:
    """Read all counts of an npz archive.

    Raises
    ------
    ReadError
        No one-dimensional array of whole numbers in it.
    """
    if not zipfile.is_zipfile(path):
        raise ReadError(path, EXPECTED_NPZ, describe_content(path))
    arrays: dict[str, NDArray] = {}
    # opened here, because numpy forgets to close what is damaged
    with (
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
        zipfile.ZipFile(path) as members,
    ):
        for name in archive.files:
            shape, dtype = header_of_member(members, name)
            if dtype.hasobject:
                raise ReadError(path, "whole numbers", f"{_NEVER}, in {name!r}")
            if dtype.kind in "iuf" and len(shape) == 1 and shape[0]:
                arrays[name] = archive[name]
    if not arrays:
        raise ReadError(path, EXPECTED_NPZ, "none in it")
    return read_arrays(path, arrays, layout)


def is_npy(path: Path) -> bool:
    """Tell whether an npy file holds counts and no picture: one dimension, whole numbers."""
    shape, dtype = _npy_header(path)
    if len(shape) != 1 or not shape[0] or dtype.kind not in "iuf":
        return False
    return _whole_start(np.load(path, mmap_mode="r", allow_pickle=False)[:_PEEK])


def is_npz(path: Path) -> bool:
    """Tell whether an npz archive holds counts and no pictures, by its headers."""
    found = False
    with zipfile.ZipFile(path) as members:
        for name in members.namelist():
            shape, dtype = header_of_member(members, name)
            if dtype.hasobject or len(shape) > 1:
                return False
            telling = is_telling(name.removesuffix(".npy"))
            integer = dtype.kind in "iu" or (dtype.kind == "f" and telling)
            found |= integer and len(shape) == 1 and shape[0] > 0
    return found


def read_arrays(path: Path, arrays: Mapping[str, NDArray], layout: Layout | None) -> Reading:
    """Make series of one-dimensional arrays with names.

    Those of one length and one group belong together. Floats count where the name says so, or
    where there are no integers.
    """
    columns = {name: _column(path, _parts(name)[1], each) for name, each in arrays.items()}
    integers = {
        name: column
        for name, column in columns.items()
        if column.values.dtype.kind in "iu" or is_telling(column.name)
    } or columns
    kept, others = usable(list(integers.values()))
    if not kept:
        others[0].whole()
    groups: dict[str, dict[int, list[Column]]] = {}
    for name, column in integers.items():
        if column in kept:
            lengths = groups.setdefault(_parts(name)[0], {})
            lengths.setdefault(len(column.values), []).append(column)
    if layout in ("histogram", "prepared") and not any(
        len(alike) > 1 for lengths in groups.values() for alike in lengths.values()
    ):
        raise ReadError(path, f"two arrays of one length for layout={layout!r}", "none")
    series: list[CountSeries] = []
    reasons: list[str] = []
    certain = True
    for group, lengths in groups.items():
        found: list[CountSeries] = []
        for alike in lengths.values():
            own = layout if len(alike) > 1 or layout == "counts" else None
            reading = arrange(path, alike, own, path.stem)
            found += reading.series
            reasons.append(reading.reason)
            certain &= reading.certain
        found, joined = join_controls(found)
        reasons += joined
        several = len(groups) > 1 and group
        series += [replace(s, name=f"{group}/{s.name}") if several else s for s in found]
    # what is called counts comes first
    series.sort(key=lambda each: not is_telling(_parts(each.name)[1]))
    left = [column for column in columns.values() if column not in kept]
    # where no name tells of counts, it is a guess which arrays they are
    certain &= layout is not None or not left or any(is_telling(column.name) for column in kept)
    return with_left_out(Reading(tuple(series), certain, "; ".join(dict.fromkeys(reasons))), left)


def _columns(path: Path, values: NDArray) -> list[Column]:
    """Return the columns of an array: its longer axis counts the shots."""
    if values.ndim == 1:
        return [_column(path, "", values)]
    if values.shape[1] > values.shape[0]:
        values = values.T
    return [_column(path, f"column {i + 1}", column) for i, column in enumerate(values.T)]


def _column(path: Path, name: str, values: Any) -> Column:
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return Column(path, name, native, place=lambda i: f"index {i}")


def _parts(name: str) -> tuple[str, str]:
    """Return the group and the own name of a dataset."""
    group, _, own = name.rpartition("/")
    return group, own


def _npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ReadError(path, EXPECTED_NPY, describe_content(path))
        file.seek(0)
        return header_of(file)


def _whole_start(values: NDArray) -> bool:
    start = np.asarray(values, dtype=float)
    return bool(np.all((start >= 0) & (start <= MOST) & (start == np.floor(start))))
