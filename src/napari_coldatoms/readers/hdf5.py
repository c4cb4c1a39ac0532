"""HDF5: labscript shots, and datasets of pictures anywhere in a file.

Files are opened read-only and without lock, and never held open: else our handle would make the
laboratory's own program fail to write.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.readers import labscript
from napari_coldatoms.readers.combine import concatenate
from napari_coldatoms.readers.errors import ReadError
from napari_coldatoms.readers.lazy import FileArray, Lazy, is_lazy, to_dask
from napari_coldatoms.readers.named import stacks_of_named
from napari_coldatoms.readers.plain import Plain, check_array, squeezed

SUFFIXES = (".h5", ".hdf5", ".hdf")
EXPECTED = "an HDF5 file with pictures"

# smaller ones are tables of numbers
SMALLEST_PICTURE = 8
_TIME = re.compile(r"\d{1,2}[:.]\d{2}[:.]\d{2}([.,]\d+)?")


def read(path: Path, lazy: Lazy) -> list[xr.DataArray]:
    """Read all pictures of a file.

    Raises
    ------
    ReadError
        No dataset that holds pictures.
    """
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        if "images" in file and isinstance(file["images"], h5py.Group) and labscript.is_shot(file):
            stacks = labscript.read(path, file, partial(load_dataset, path, lazy=lazy))
        else:
            stacks = _read_any(path, file, lazy)
    if not stacks:
        raise ReadError(path, EXPECTED, "no dataset with pictures in it")
    return stacks


def load_dataset(path: Path, dataset: Any, *, lazy: Lazy) -> Plain:
    """Load a dataset of pictures, or promise to."""
    shape = squeezed(dataset.shape)
    native = np.dtype(dataset.dtype).newbyteorder("=")
    data: Any
    if is_lazy(dataset.size * native.itemsize, lazy):
        lost = len(dataset.shape) - len(shape)
        loader = partial(_load_slice, path, dataset.name, lost)
        data = to_dask(FileArray(loader, shape, native))
    else:
        data = dataset[()].astype(native, copy=False).reshape(shape)
    header = {str(key): labscript.plain_value(value) for key, value in dataset.attrs.items()}
    attrs = {"header": header} if header else {}
    return Plain(data, attrs, {}, None, dataset.name.rsplit("/", 1)[-1])


def _load_slice(path: Path, name: str, lost: int, index: tuple[slice, ...]) -> np.ndarray:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        values = file[name][(*(0,) * lost, *index)]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _read_any(path: Path, file: Any, lazy: Lazy) -> list[xr.DataArray]:
    groups = _pictures_by_group(path, file)
    stacks: list[xr.DataArray] = []
    # groups beside each other with the same datasets, such as one for each time of day, are shots
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name, datasets in groups.items():
        above = name.rpartition("/")[0]
        leaves = tuple((each.name.rpartition("/")[2], each.shape) for each in datasets)
        alike.setdefault((above, name == "", leaves), []).append(name)
    for (above, *_), names in alike.items():
        shots = []
        for name in names:
            plains = [load_dataset(path, each, lazy=lazy) for each in groups[name]]
            if len(names) == 1:
                stacks += stacks_of_named(plains, dataset=name)
                continue
            own = name.rpartition("/")[2]
            label = "time" if _TIME.fullmatch(own) else "group"
            shots += stacks_of_named(plains, {label: own}, dataset=above)
        stacks += concatenate(shots)
    return stacks


def _pictures_by_group(path: Path, file: Any) -> dict[str, list[Any]]:
    import h5py

    found: dict[str, list[Any]] = {}
    unfit: list[ReadError] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf":
            return
        if item.shape is None or len(item.shape) < 2 or min(item.shape[-2:]) < SMALLEST_PICTURE:
            return
        try:
            check_array(path, item.shape, item.dtype)
        except ReadError as error:
            unfit.append(ReadError(path, error.expected, f"{error.found} in {name!r}"))
            return
        found.setdefault(name.rpartition("/")[0], []).append(item)

    file.visititems(visit)
    if not found and unfit:
        raise unfit[0]
    return found
