"""The background of sites: a number, the mean of a region, or of a ring around each site."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.histogram import IntArray

if TYPE_CHECKING:
    from napari_coldatoms.images.regions import Regions


def region_pixels(background: Any, image: Any) -> tuple[IntArray, ...]:
    """Return the pixels of a background region, all parts of it together, as one tuple entry."""
    from napari_coldatoms.images.regions import region_masks

    found = region_masks(background, image)
    return (np.flatnonzero(found.any.ravel()).astype(np.int64),)


def ring_pixels(sites: Regions, gap: float, width: float) -> tuple[IntArray, ...]:
    """Return the pixels around each site that belong to no site, and to no site's gap.

    Where sites lie so close that their gaps fill all of a ring, it takes what is in no site.

    Parameters
    ----------
    sites : Regions
    gap : float
        Distance of the ring from the site, in pixels.
    width : float
        Width of the ring.

    Raises
    ------
    ValueError
        If a site has no pixel around it that belongs to none, or gap or width are out of range.
    """
    if not (0 <= gap < math.inf and 0 < width < math.inf):
        raise ValueError(
            f"expected a ring with a gap not below 0 and a width above 0, found {gap}, {width}"
        )
    from scipy.ndimage import distance_transform_edt

    taken = sites.any
    near = distance_transform_edt(~taken) <= gap if gap > 0 else taken
    reach = math.ceil(gap + width)
    rings = []
    for number, pixels in zip(sites.numbers, sites.pixels, strict=True):
        y, x = np.unravel_index(pixels, sites.shape)
        rows = _around(y, reach, sites.shape[0])
        columns = _around(x, reach, sites.shape[1])
        outside = np.ones((rows.stop - rows.start, columns.stop - columns.start), dtype=np.bool_)
        outside[y - rows.start, x - columns.start] = False
        distance = distance_transform_edt(outside)
        ring = (distance > gap) & (distance <= gap + width) & ~taken[rows, columns]
        free = ring & ~near[rows, columns]
        chosen = free if free.any() else ring
        if not chosen.any():
            raise ValueError(
                f"expected pixels around site {number} that belong to no site, found none: give "
                "a wider ring or a background region"
            )
        rings.append(_flat(chosen, rows.start, columns.start, sites.shape[1]))
    return tuple(rings)


def _around(index: NDArray, reach: int, size: int) -> slice:
    return slice(max(int(index.min()) - reach, 0), min(int(index.max()) + reach + 1, size))


def _flat(chosen: NDArray[np.bool_], row: int, column: int, columns: int) -> IntArray:
    y, x = np.nonzero(chosen)
    return np.asarray((y + row) * columns + x + column, dtype=np.int64)
