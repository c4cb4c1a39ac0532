"""Sums over the pixels of sites, in all shots of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_coldatoms.photons.histogram import FloatArray, IntArray
from napari_coldatoms.photons.stack_pixels import StackPixels


@dataclass(frozen=True, eq=False)
class SiteSums:
    """The pixels of sites and of their background.

    Attributes
    ----------
    sites : tuple of (k,) int arrays
        Flat indices of each site's pixels.
    around : tuple of (m,) int arrays
        Those of the background: of each site, or one entry for all, or none.
    """

    sites: tuple[IntArray, ...]
    around: tuple[IntArray, ...]

    def some(self, first: int, last: int) -> SiteSums:
        """Return these sites alone."""
        common = len(self.around) != len(self.sites)
        return SiteSums(self.sites[first:last], self.around if common else self.around[first:last])

    def sums(
        self, source: StackPixels, weights: Sequence[FloatArray]
    ) -> tuple[FloatArray, FloatArray, int]:
        """Return weighted sums and mean backgrounds, (sites, shots) both.

        The third is the number of shots with a saturated pixel in a site. A NaN in a pixel of
        weight 0 does not count.
        """
        from scipy.sparse import csr_array

        pixels, places = self._union()
        sites, around = places[: len(self.sites)], places[len(self.sites) :]
        parts = [np.full(len(place), 1 / len(place)) for place in around]
        values = [*weights, *parts]
        matrix = csr_array(
            (
                np.concatenate(values),
                np.concatenate(places),
                np.concatenate([[0], np.cumsum([len(place) for place in places])]),
            ),
            shape=(len(places), len(pixels)),
        )
        matrix.eliminate_zeros()
        inside = np.unique(np.concatenate(sites))
        totals = np.empty((len(places), source.shots))
        saturated = 0
        for shots, block in source.blocks(pixels):
            totals[:, shots] = matrix @ block.T
            if source.saturation is not None:
                saturated += int((block[:, inside] >= source.saturation).any(axis=1).sum())
        means = totals[len(sites) :] if around else np.zeros((1, source.shots))
        return (
            totals[: len(sites)],
            np.broadcast_to(means, (len(sites), source.shots)),
            saturated,
        )

    def frames(self, source: StackPixels, shots: IntArray) -> list[FloatArray]:
        """Return each site's pixels in some shots, (shots, k), their mean background taken off."""
        pixels, places = self._union()
        values = np.empty((len(shots), len(pixels)))
        for part, block in source.blocks(pixels, shots):
            values[part] = block
        sites, around = places[: len(self.sites)], places[len(self.sites) :]
        frames = [values[:, place] for place in sites]
        means = [values[:, place].mean(axis=1) for place in around]
        for number, mean in enumerate(means if len(means) == len(frames) else means * len(frames)):
            frames[number] -= mean[:, None]
        return frames

    def _union(self) -> tuple[IntArray, list[IntArray]]:
        """Return all pixels, ascending, and where those of each part are among them."""
        parts = [*self.sites, *self.around]
        pixels = np.unique(np.concatenate(parts))
        return pixels, [np.searchsorted(pixels, part).astype(np.int64) for part in parts]
