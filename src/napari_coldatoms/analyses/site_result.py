"""What was found in one shot of a lattice."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.lattice_series import Pair, Place
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.reconstruction import Reconstruction

BoolArray = NDArray[np.bool_]

_UNCERTAIN = 0.05  # probability of a wrong decision


@dataclass(frozen=True, eq=False)
class SiteImage:
    """The sites of a lattice in one image.

    Attributes
    ----------
    found : Reconstruction
        Its ``background`` is brought down to its mean, shape (1, 1), and its ``bad_pixels`` are
        left out: of thousands of shots they would fill the memory.
    lattice : Lattice
        The sites, where this image has them.
    place : Place
        What was known of that before.
    offset : (float, float)
        Place (y, x) of the lattice relative to the calibration, in px.
    bad_pixels : int
        Number of pixels that were left out.
    remarks : tuple of str
        What the user should know.
    """

    found: Reconstruction
    lattice: Lattice
    place: Place
    offset: Pair
    bad_pixels: int
    remarks: tuple[str, ...]

    @classmethod
    def of(
        cls,
        found: Reconstruction,
        lattice: Lattice,
        place: Place,
        offset: Pair,
        remarks: tuple[str, ...],
    ) -> SiteImage:
        """Return it, without what is as large as the image."""
        small = replace(
            found,
            background=np.full((1, 1), found.background.mean()),
            bad_pixels=np.zeros((1, 1), dtype=np.bool_),
        )
        bad = int(found.bad_pixels.sum())
        return cls(small, lattice, place, offset, bad, (*remarks, *found.remarks))

    def with_threshold(self, threshold: float) -> SiteImage:
        """Return it with the sites judged by their brightness alone.

        The probabilities stay, so that the expected errors are those of these decisions.
        """
        found = self.found
        occupied = found.valid & (found.brightness > threshold)
        wrong = np.where(occupied, 1 - found.probability, found.probability)[found.valid]
        rejudged = replace(
            found,
            occupied=occupied,
            threshold=float(threshold),
            predicted_error_rate=float(wrong.mean()) if len(wrong) else np.nan,
        )
        return replace(self, found=rejudged)

    @property
    def uncertain(self) -> BoolArray:
        """Which valid sites may well be judged wrongly, or are not judged at all."""
        probability = self.found.probability
        clear = np.minimum(probability, 1 - probability) <= _UNCERTAIN
        return self.found.valid & ~clear

    @property
    def atoms(self) -> int:
        """Number of occupied sites."""
        return int(self.found.occupied.sum())


@dataclass(frozen=True, eq=False)
class ShotSites:
    """The sites of a lattice in one shot: in its image, or in each of its images of the same atoms.

    Attributes
    ----------
    images : tuple of SiteImage
    """

    images: tuple[SiteImage, ...]

    def with_threshold(self, threshold: float) -> ShotSites:
        """Return it judged by a threshold, see `SiteImage.with_threshold`."""
        return ShotSites(tuple(image.with_threshold(threshold) for image in self.images))
