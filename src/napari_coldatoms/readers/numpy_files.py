"""npy and npz: arrays of numbers; pickled objects are never opened."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.readers.errors import ReadError, describe_content
from napari_coldatoms.readers.lazy import FileArray, Lazy, is_lazy, to_dask
from napari_coldatoms.readers.plain import Plain, check_array

EXPECTED_NPY = "a numpy array of pictures"
EXPECTED_NPZ = "a numpy archive with arrays of pictures"


def load_npy(path: Path, lazy: Lazy) -> list[Plain]:
    """Load the array of an npy file.

    Raises
    ------
    ReadError
        No array of numbers, or one that holds no pictures.
    """
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ReadError(path, EXPECTED_NPY, describe_content(path))
        file.seek(0)
        _, dtype = header_of(file)
    if dtype.hasobject:
        raise ReadError(path, "real numbers", "Python objects (pickled), which are never opened")
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    check_array(path, mapped.shape, mapped.dtype)
    native = mapped.dtype.newbyteorder("=")
    data: Any
    if is_lazy(mapped.nbytes, lazy):
        data = to_dask(FileArray(partial(_load_slice, path), mapped.shape, native))
    else:
        data = np.array(mapped, dtype=native, order="C")
    return [Plain(data)]


def load_npz(path: Path, lazy: Lazy) -> tuple[list[Plain], dict[str, Any]]:
    """Load all arrays of pictures of an npz file, and its single numbers and lists.

    Returns
    -------
    pictures : list of Plain
        With their names in the archive.
    coords : dict
        Scalars and 1-D arrays: scan parameters.
    """
    if not zipfile.is_zipfile(path):
        raise ReadError(path, EXPECTED_NPZ, describe_content(path))
    pictures: list[Plain] = []
    coords: dict[str, Any] = {}
    with np.load(path, allow_pickle=False) as archive, zipfile.ZipFile(path) as members:
        for name in archive.files:
            shape, dtype = header_of_member(members, name)
            if dtype.hasobject:
                found = f"Python objects (pickled) in {name!r}, which are never opened"
                raise ReadError(path, "real numbers", found)
            if len(shape) < 2:
                if dtype.kind in "iufbU" and 0 not in shape:
                    coords[name] = archive[name][()]
                continue
            check_array(path, shape, dtype)
            native = dtype.newbyteorder("=")
            data: Any
            if is_lazy(int(np.prod(shape)) * dtype.itemsize, lazy):
                data = to_dask(FileArray(partial(_load_member, path, name), shape, native))
            else:
                data = archive[name].astype(native, copy=False)
            pictures.append(Plain(data, {}, {}, None, name))
    if not pictures:
        raise ReadError(path, EXPECTED_NPZ, "none in it")
    return pictures, coords


def header_of(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of the array in an open npy file."""
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def header_of_member(members: Any, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of an array in an open npz archive."""
    stored = name if name in members.namelist() else f"{name}.npy"
    with members.open(stored) as file:
        return header_of(file)


def _load_slice(path: Path, index: tuple[slice, ...]) -> np.ndarray:
    values = np.array(np.load(path, mmap_mode="r", allow_pickle=False)[index])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _load_member(path: Path, name: str, index: tuple[slice, ...]) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        values = archive[name][index]
    return values.astype(values.dtype.newbyteorder("="), copy=False)
