"""Pictures that stay in their file until they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Lazy = bool | Literal["auto"]

LIMIT = 256 * 2**20
"""Bytes of pictures above which reading is lazy."""

_BLOCK = 16 * 2**20


def is_lazy(nbytes: int, lazy: Lazy) -> bool:
    """Tell whether pictures of so many bytes are to stay in their file."""
    return nbytes > LIMIT if lazy == "auto" else bool(lazy)


@dataclass(frozen=True, eq=False)
class FileArray:
    """An array in a file, which is opened for every access and not held open in between.

    Attributes
    ----------
    load : callable
        From a tuple of slices to the values; picklable, so that dask may use other processes.
    shape : tuple of int
    dtype : numpy.dtype
    """

    load: Callable[[tuple[slice, ...]], np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self.load(index if isinstance(index, tuple) else (index,)))


def to_dask(array: FileArray) -> Any:
    """Return a dask array of blocks of whole pictures, some megabytes each."""
    import dask.array as da

    picture = int(np.prod(array.shape[-2:])) * array.dtype.itemsize
    # multiples of three keep triplets in one block
    block = max(3, 3 * (_BLOCK // max(1, 3 * picture)))
    chunks: tuple[int, ...] = array.shape
    if array.ndim > 2:
        chunks = (min(block, array.shape[0]), *array.shape[1:])
    meta = np.empty((0,) * array.ndim, dtype=array.dtype)
    return da.from_array(array, chunks=chunks, name=False, inline_array=True, meta=meta)
