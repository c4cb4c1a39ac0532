"""Images of a drifting lattice, brought to the same place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


class Numbered(Protocol):
    """Images that have numbers: a sequence or a stack of them, read when they are asked for."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, number: int, /) -> ArrayLike:
        """Return one of them, (y, x)."""
        ...


class Aligned:
    """Images moved by whole pixels, so that all have the lattice at nearly the same place.

    What is left, up to half a pixel, the reconstruction adjusts. Images are taken one at a time.

    Parameters
    ----------
    images : sequence of (y, x) arrays
        Counts.
    offsets : (shots, 2) array
        Place (y, x) of the lattice in each, in px; finite.
    numbers : iterable of int, optional
        Which images; default all.
    """

    def __init__(
        self,
        images: Numbered,
        offsets: ArrayLike,
        numbers: Iterable[int] | None = None,
    ) -> None:
        self._images = images
        self._offsets = np.asarray(offsets, dtype=np.float64)
        self._numbers = list(range(len(images)) if numbers is None else numbers)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield the images; pixels that come in at the border are NaN."""
        for number in self._numbers:
            image = np.ma.filled(np.ma.asarray(self._images[number], dtype=np.float64), np.nan)
            y, x = np.rint(self._offsets[number]).astype(int)
            rows, columns = image.shape
            moved = np.full(image.shape, np.nan)
            moved[max(-y, 0) : rows - max(y, 0), max(-x, 0) : columns - max(x, 0)] = image[
                max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)
            ]
            yield moved
