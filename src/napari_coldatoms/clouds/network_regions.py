"""From what a network finds to masks, Gaussians, and where fits begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.cut_ellipse import is_cut, whole_ellipse
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import moments
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.threshold import Region

# networks learn masks that end at 1/e² of the peak
_CONTOUR = float(np.exp(-2.0))
# from this probability on a pixel belongs to the cloud
_INSIDE = 0.5


def region_of(detection: Detection, shape: tuple[int, int]) -> tuple[Region, Gaussian2D]:
    """Return the pixels of a detection, and the Gaussian of its mask, without peak.

    The Gaussian has the moments of the soft mask, values below 0.5 set to 0 (Hofer et al. 2021,
    arXiv:2011.10536, section 5); that of a mask which the frame cuts off is the Gaussian of the
    whole ellipse. A mask without any pixel of at least 0.5 counts as the ellipse in
    its box.

    Parameters
    ----------
    detection : Detection
    shape : (int, int)
        Rows and columns of the picture.
    """
    (y, x), soft = detection.soft_mask(shape)
    inside = soft >= _INSIDE
    if not inside.any():
        box = Gaussian2D.in_box(detection.box)
        gaussian = replace(box, wx=max(box.wx, 1.0), wy=max(box.wy, 1.0))
        rows, columns = gaussian.window(shape)
        inside = gaussian.mask(shape)[rows, columns]
        y, x = rows.start, columns.start
        if not inside.any():  # smaller than a pixel
            y, x = _pixel_at(gaussian, shape)
            inside = np.ones((1, 1), dtype=bool)
        return _region(inside, (y, x), detection.score), gaussian
    found = moments(soft, kind="mask")
    gaussian = replace(
        found,
        x0=found.x0 + x,
        y0=found.y0 + y,
        # a line or a point is no ellipse
        wx=max(found.wx, 1.0),
        wy=max(found.wy, 1.0),
    )
    if is_cut(inside, (y, x), shape):
        gaussian = whole_ellipse(gaussian, shape)
    return _region(inside, (y, x), detection.score), gaussian


def _region(inside: NDArray[np.bool_], offset: tuple[int, int], score: float) -> Region:
    part = Patch.of(inside)
    place = offset[0] + part.offset[0], offset[1] + part.offset[1]
    return Region(np.ascontiguousarray(part.pixels), place, score, _CONTOUR)


def _pixel_at(gaussian: Gaussian2D, shape: tuple[int, int]) -> tuple[int, int]:
    row = int(np.clip(round(gaussian.y0), 0, shape[0] - 1))
    column = int(np.clip(round(gaussian.x0), 0, shape[1] - 1))
    return row, column
