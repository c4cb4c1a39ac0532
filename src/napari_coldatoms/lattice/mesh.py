"""Tent functions on a coarse grid over a frame: what varies slowly, in a few numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.setup import Setup

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = NDArray[np.float64]


class Mesh:
    """Tent functions on a coarse grid over the frame: linear interpolation.

    Parameters
    ----------
    setup : Setup
        Its frame and its sites.
    spacing : float
        About the distance of the nodes, in px.

    Attributes
    ----------
    pixels, sites : (pixels, nodes) and (n, nodes) sparse arrays
        The tent functions at each pixel, row by row, and at each site.
    """

    def __init__(self, setup: Setup, spacing: float) -> None:
        rows, columns = setup.image_shape
        self._size = np.array(setup.image_shape) - 1.0
        self._shape = np.maximum(2, np.rint(self._size / spacing).astype(int) + 1)
        y, x = np.mgrid[:rows, :columns]
        self.pixels = self.at(np.column_stack([y.ravel(), x.ravel()]))
        self.sites = self.at(setup.lattice.positions)

    @property
    def nodes(self) -> FloatArray:
        """Positions (y, x) of the nodes, in px, (nodes, 2)."""
        y, x = (np.linspace(0, size, n) for size, n in zip(self._size, self._shape, strict=True))
        return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)

    def at(self, places: NDArray[Any]) -> csr_array:
        """Return the tent functions at some places (y, x) in px, (places, nodes).

        Places outside the frame count as on its border.
        """
        from scipy.sparse import csr_array

        grid = np.clip(places / np.maximum(self._size, 1), 0, 1) * (self._shape - 1)
        low = np.minimum(grid.astype(int), self._shape - 2)
        part = grid - low
        corners = [(a, b) for a in (0, 1) for b in (0, 1)]
        node = [(low[:, 0] + a) * self._shape[1] + low[:, 1] + b for a, b in corners]
        value = [np.abs(1 - a - part[:, 0]) * np.abs(1 - b - part[:, 1]) for a, b in corners]
        place = np.tile(np.arange(len(places)), 4)
        shape = (len(places), int(self._shape.prod()))
        return csr_array((np.concatenate(value), (place, np.concatenate(node))), shape=shape)
