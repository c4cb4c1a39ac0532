"""The result of a reconstruction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.statistics.mixture import Mixture

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Every site judged.

    Arrays over sites are in the order of ``lattice.positions``.

    Attributes
    ----------
    brightness : (n,) array
        Light of each site, in counts; relative to the site's own where a brightness map was given.
        NaN where the site is outside the frame.
    occupied : (n,) bool array
        Whether the site holds an atom: the probability is above 1/2.
    probability : (n,) array
        Probability that the site is occupied; NaN where nothing is known, outside the frame or in
        an image without contrast.
    threshold : float
        Brightness that divides empty from occupied sites, in counts.
    mixture : Mixture
        The two modes of the brightness.
    predicted_error_rate : float
        Expected share of wrong decisions, the mean of min(P, 1 - P).
    snr_db : float
        Signal-to-noise ratio for the imaging parameters found (Eq. 12), in dB.
    background : (y, x) array
        Background, in counts per pixel.
    parameters : ImagingParameters
        As given, or as found in the image.
    valid : (n,) bool array
        Sites that the frame shows.
    bad_pixels : (y, x) bool array
        Pixels that were left out.
    has_contrast : bool
        Whether two modes can be told apart.
    remarks : tuple of str
        What the user should know.
    method : str
        The estimator.
    offset : (float, float)
        Place (y, x) of the sites relative to where the lattice has them, in px, as far as the
        image shows that and it was taken into account.
    psf_width : float
        Width of the PSF over that of the given one, likewise.
    place, place_error : (float, float)
        Where (y, x) the image has the sites, relative to where the lattice has them, and the
        standard error, in px. It is finer than the offset, which is left as it is where the sites
        lie within a few hundredths of a pixel of it. NaN where it was not looked for.
    relative_brightness : (n,) array or None
        Brightness map that was taken into account; None where all sites are equally bright.
    """

    brightness: FloatArray
    occupied: BoolArray
    probability: FloatArray
    threshold: float
    mixture: Mixture
    predicted_error_rate: float
    snr_db: float
    background: FloatArray
    parameters: ImagingParameters
    valid: BoolArray
    bad_pixels: BoolArray
    has_contrast: bool
    remarks: tuple[str, ...]
    method: str
    offset: tuple[float, float] = (0.0, 0.0)
    psf_width: float = 1.0
    relative_brightness: FloatArray | None = None
    place: tuple[float, float] = (math.nan, math.nan)
    place_error: tuple[float, float] = (math.nan, math.nan)

    def __repr__(self) -> str:
        text = (
            f"Reconstruction({int(self.occupied.sum())} of {int(self.valid.sum())} sites occupied, "
            f"expected errors {100 * self.predicted_error_rate:.2g} %, SNR {self.snr_db:.1f} dB"
        )
        return f"{text}; {'; '.join(self.remarks)})" if self.remarks else f"{text})"
