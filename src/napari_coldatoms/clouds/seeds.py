"""Where a fit without a seed begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import moments
from napari_coldatoms.clouds.threshold import Region, segment


def gaussian_of(region: Region) -> Gaussian2D:
    """Return the Gaussian of a region's mask, in the frame's coordinates, without peak."""
    shape = moments(region.mask, kind="mask")
    return replace(
        shape,
        x0=shape.x0 + region.offset[1],
        y0=shape.y0 + region.offset[0],
        wx=max(shape.wx, 1.0),
        wy=max(shape.wy, 1.0),
    )


def seed_of(region: Region) -> Gaussian2D:
    """Return where to begin the fit of a region: its Gaussian, scaled to the 1/e² contour."""
    shape = gaussian_of(region)
    # a contour at the part f of the peak lies at w sqrt(-log(f) / 2)
    scale = np.sqrt(2 / max(-np.log(region.contour), 0.3))
    return replace(shape, wx=shape.wx * scale, wy=shape.wy * scale)


def seeds_of(pixels: NDArray[np.float64]) -> Iterator[tuple[Gaussian2D, bool]]:
    """Yield seeds for a picture, best first, and whether the detection stands behind each.

    Without it (a picture that is all cloud) the brightest places at each scale are tried.
    """
    regions, space = segment(pixels)
    if space is None:
        return
    for region in regions[:3]:
        yield seed_of(region), True
    ny, nx = pixels.shape
    for level in reversed(space.levels):
        j, i = np.unravel_index(int(np.argmax(level.significance)), level.significance.shape)
        width = min(2.5 * level.size, min(ny, nx) / 4)
        x, y = (i + 0.5) * level.size - 0.5, (j + 0.5) * level.size - 0.5
        yield Gaussian2D(float(x), float(y), width, width), False
