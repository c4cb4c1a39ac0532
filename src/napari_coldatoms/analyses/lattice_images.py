"""All images of atoms in a stack, shot by shot; a shot may have several of the same atoms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.images.stack import StackError, check_stack, is_raw

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
Pair = tuple[float, float]

ATOMS = ("atoms", "fluorescence")
"""Roles of raw frames that show atoms."""


class Images:
    """All images of atoms in a stack, shot by shot, read one at a time.

    Parameters
    ----------
    stack : DataArray
        Pictures, or raw frames with several images of the same atoms in each shot.
    pairs : bool
        See `frames_of_atoms`.
    offset, gain : float
        Of the camera (counts, counts per photoelectron): images are (counts - offset) / gain.
    shots : iterable of int, optional
        Those wanted, by their numbers in the stack; all by default.

    Raises
    ------
    StackError
        If raw frames hold one image of atoms only: then the picture is to be made first.
    """

    def __init__(
        self,
        stack: xr.DataArray,
        *,
        pairs: bool = False,
        offset: float = 0.0,
        gain: float = 1.0,
        shots: Iterable[int] | None = None,
    ) -> None:
        check_stack(stack)
        if is_raw(stack):
            frames = frames_of_atoms(stack, pairs=pairs)
            if len(frames) < 2:
                roles = ", ".join(map(str, stack["frame"].values))
                raise StackError(
                    f"{stack.name or 'stack'}: expected pictures, or raw frames with several "
                    f"images of atoms, found {roles}; make the picture first"
                )
            stack = stack.isel(frame=frames)
            self.per_shot = len(frames)
        else:
            self.per_shot = 1
        self.shape = (stack.sizes["y"], stack.sizes["x"])
        self._stack = stack
        self._dims = stack.dims[:-2]
        self._camera = (offset, gain)
        indices = list(np.ndindex(*stack.shape[:-2]))
        self.shots: tuple[int, ...] | None = None
        if shots is not None and "shot" in stack.dims:
            self.shots = tuple(sorted(set(shots)))
            indices = [index for index in indices if index[0] in self.shots]
        self._indices = indices

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._indices)

    def __getitem__(self, number: int) -> NDArray:
        """Return an image, (y, x)."""
        index = dict(zip(self._dims, self._indices[number], strict=True))
        return photoelectrons(np.asarray(self._stack.isel(index).values), *self._camera)

    def __iter__(self) -> Iterator[NDArray]:
        return (self[number] for number in range(len(self)))


def photoelectrons(counts: NDArray, offset: float, gain: float) -> NDArray:
    """Return (counts - offset) / gain; the counts themselves for 0 and 1."""
    if offset == 0 and gain == 1:
        return counts
    return (counts.astype(np.float64) - offset) / gain


def frames_of_atoms(stack: xr.DataArray, *, pairs: bool = False) -> list[int]:
    """Return the numbers of the raw frames that show atoms.

    With `pairs` these are all frames, whatever role they have: a file with two pictures does not
    tell that both show the same atoms.
    """
    roles = [str(role) for role in stack["frame"].values]
    return [number for number, role in enumerate(roles) if pairs or role in ATOMS]
