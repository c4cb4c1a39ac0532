"""A detected cloud."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D


@dataclass(frozen=True)
class Cloud:
    """A cloud found in a picture.

    Attributes
    ----------
    label : str
        Class of the cloud, such as "MOT" or "ODT"; "cloud" where the method knows no classes.
    score : float
        Confidence in (0, 1]: the network's, or what grows with significance.
    box : (y0, x0, y1, x1)
        Extent of the 1/e² ellipse as pixel edges, half-open: ``picture[y0:y1, x0:x1]`` is the box.
        At the fitted radii if the fit succeeded, else at the mask's.
    gaussian : Gaussian2D
        From the mask (the soft one, where a network made it), without a fit: moments, histogram
        peak of the background, and Eq. 3 of Hofer et al. 2021 (arXiv:2011.10536).
    fit : GaussianFit or None
        The fit, if one was asked for.
    significance : float
        Peak over noise at the scale that shows the cloud best; NaN where a network found it.
    crop : (ny, nx) boolean array
        The mask, cropped.
    offset : (row, column)
        Of the crop in the frame.
    shape : (rows, columns)
        Of the frame.
    physical : Gaussian2D or None
        The fit, or else the mask's Gaussian, in the picture's own coordinates, where it knows its
        pixel size.
    unit : str or None
        Unit of `physical`.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    gaussian: Gaussian2D
    fit: GaussianFit | None
    significance: float
    crop: NDArray[np.bool_] = field(compare=False, repr=False)
    offset: tuple[int, int]
    shape: tuple[int, int]
    physical: Gaussian2D | None = None
    unit: str | None = None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The cloud's pixels on the whole frame."""
        mask = np.zeros(self.shape, dtype=bool)
        y, x = self.offset
        mask[y : y + self.crop.shape[0], x : x + self.crop.shape[1]] = self.crop
        return mask

    @property
    def area(self) -> int:
        """Number of pixels of the mask."""
        return int(np.count_nonzero(self.crop))

    @property
    def best(self) -> Gaussian2D:
        """The fit where it succeeded, else the mask's Gaussian."""
        return self.fit.gaussian if self.fit is not None and self.fit.success else self.gaussian
