"""What lattice, point spread function and frame fix: the operators M and MᵀM.

Everything in here depends on the geometry alone, and serves for any number of images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.overlaps import Overlaps, find_overlaps
from napari_coldatoms.lattice.projection import Patches, patches, signed, unsigned
from napari_coldatoms.lattice.psf import PSF

FloatArray = NDArray[np.float64]

_CORE = 0.5  # part of a patch, along each side, that holds next to all of the squared PSF
_WIDE = 1.5  # px; overlaps of PSFs of this half width do not depend on the place within a pixel


@dataclass(frozen=True, eq=False)
class Optics:
    """The sites' light on the pixels of a frame, and how much of it neighbours share.

    The unknowns are brightnesses relative to each site's own: a site of relative brightness g
    that is given the brightness x sends out g x.

    Attributes
    ----------
    patches : Patches
        The light of each of n sites.
    overlaps : Overlaps
        The light that they share, were they equally bright.
    relative : (n,) array
        Brightness of each site relative to the mean.
    """

    patches: Patches
    overlaps: Overlaps
    relative: FloatArray

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.relative)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        return self.patches.image_shape

    def with_relative_brightness(self, relative: ArrayLike) -> Optics:
        """Return the same optics for sites of unequal brightness.

        Parameters
        ----------
        relative : (n,) array
            Brightness of each site relative to the mean, positive.
        """
        given = np.array(relative, dtype=np.float64)
        if given.shape != (len(self),):
            raise ValueError(
                f"expected a relative brightness for each of {len(self)} sites, found an array "
                f"of shape {given.shape}"
            )
        if not (np.isfinite(given).all() and given.min() > 0):
            raise ValueError("expected relative brightnesses that are finite and positive")
        return replace(self, relative=given)

    def image(self, brightness: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return M x, the light of the sites on the pixels; `out` is overwritten with it."""
        return self.patches.image(self.relative * brightness, out)

    @cached_property
    def even_light(self) -> FloatArray:
        """M x for sites that all have the brightness 1, (y, x)."""
        return self.image(np.ones(len(self)))

    def collect(self, image: FloatArray) -> FloatArray:
        """Return Mᵀ y, the pixels' values collected by the sites."""
        out = np.empty(len(self))
        p = self.patches
        _collect(p.values, p.kind, p.corner, image, out)
        return out * self.relative

    def site_weights(self, weights: FloatArray) -> FloatArray:
        """Return the mean weight of the pixels around each site, weighed with its PSF squared.

        With it MᵀWM is about ``sqrt(w_i w_j)`` times MᵀM, as the weights hardly change from a site
        to the next.
        """
        known = self._core
        return np.divide(
            self._collect_squared(weights, _CORE),
            known,
            out=np.zeros(len(self)),
            where=known > 0,
        )

    @cached_property
    def strength(self) -> FloatArray:
        """Diagonal of MᵀM for sites of relative brightness 1; 0 for one without light, (n,)."""
        return self._collect_squared(np.ones(self.image_shape), 1.0)

    @cached_property
    def _core(self) -> FloatArray:
        return self._collect_squared(np.ones(self.image_shape), _CORE)

    def _collect_squared(self, image: FloatArray, part: float) -> FloatArray:
        """Return the pixels' values collected with the squared PSF, of the patch's middle part."""
        out = np.empty(len(self))
        p = self.patches
        size = p.values.shape[1]
        margin = int(0.5 * (1 - part) * size)
        _collect_squared(p.values, p.kind, p.corner, image, margin, out)
        return out


def make_optics(
    lattice: Lattice, psf: PSF, image_shape: tuple[int, int], like: Optics | None = None
) -> Optics:
    """Return the optics of a lattice seen with a PSF in a frame.

    `like` is that of the same lattice elsewhere and the same PSF, where it is at hand.
    """
    light = patches(lattice, psf, image_shape)
    if like is not None and psf.hwhm >= _WIDE:
        overlaps = like.overlaps.moved(like.patches, light)
    else:
        overlaps = find_overlaps(lattice, light)
    return Optics(light, overlaps, np.ones(len(light)))


@njit(cache=True, nogil=True, fastmath=True)
def _collect(values: Any, kind: Any, corner: Any, image: Any, out: Any) -> None:
    size = values.shape[1]
    rows, columns = image.shape
    # indices without a sign: no time is lost by looking for negative ones
    for site in range(kind.size):
        k = unsigned(kind[site])
        top, left = signed(corner[site, 0]), signed(corner[site, 1])
        first = max(0, -left)
        count = min(size, columns - left) - first
        total = 0.0
        for v in range(max(0, -top), min(size, rows - top)):
            row, part = unsigned(top + v), unsigned(v)
            for u in range(count):
                total += (
                    image[row, unsigned(left + first + u)] * (values[k, part, unsigned(first + u)])
                )
        out[site] = total


@njit(cache=True, nogil=True, fastmath=True)
def _collect_squared(
    values: Any, kind: Any, corner: Any, image: Any, margin: int, out: Any
) -> None:
    size = values.shape[1] - margin
    rows, columns = image.shape
    for site in range(kind.size):
        k = unsigned(kind[site])
        top, left = signed(corner[site, 0]), signed(corner[site, 1])
        first = max(margin, -left)
        count = min(size, columns - left) - first
        total = 0.0
        for v in range(max(margin, -top), min(size, rows - top)):
            row, part = unsigned(top + v), unsigned(v)
            for u in range(count):
                light = values[k, part, unsigned(first + u)]
                total += image[row, unsigned(left + first + u)] * light * light
        out[site] = total
