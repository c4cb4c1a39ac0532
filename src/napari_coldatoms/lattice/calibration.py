"""What a calibration is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.reconstruct import Reconstructor
from napari_coldatoms.lattice.track import PhaseTrack

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Quality:
    """What a calibration is worth.

    Attributes
    ----------
    trusted : bool
        Whether it can be relied upon.
    remarks : tuple of str
        Why not, or what the user should know.
    shots, trusted_shots : int
        Images given, and those whose phase could be trusted.
    spacing : tuple of float
        Lengths of the two lattice vectors, in px; of arbitrary positions the median distance of
        nearest neighbours.
    spacing_error : tuple of float
        Standard errors, in px; infinite where a single shot tells nothing of them.
    angle : tuple of float
        Angles of the lattice vectors from +x (columns) towards +y (rows), in degrees; none of
        arbitrary positions.
    angle_error : tuple of float
        Standard errors, in degrees.
    hwhm_error : float
        Standard error of the PSF's half width at half maximum, in px.
    contrast : float
        Median over the trusted shots of the contrast of the two modes.
    snr_db : float
        Signal-to-noise ratio, in dB; NaN where it is not known.
    predicted_error_rate : float
        Share of wrong decisions to be expected of the best estimator; NaN where it is not known.
    """

    trusted: bool
    remarks: tuple[str, ...]
    shots: int
    trusted_shots: int
    spacing: tuple[float, ...]
    spacing_error: tuple[float, ...]
    angle: tuple[float, ...]
    angle_error: tuple[float, ...]
    hwhm_error: float
    contrast: float
    snr_db: float
    predicted_error_rate: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Where the sites are in the images of an experiment, and what one atom looks like.

    Attributes
    ----------
    lattice : Lattice
        The sites, where they are in the mean over the trusted shots.
    psf : PSF
        Point spread function.
    phase_track : PhaseTrack
        Place of the lattice in each shot that the calibration was made from.
    quality : Quality
        What it is worth.
    image_shape : (int, int)
        Rows and columns of the images.
    parameters : ImagingParameters or None
        Occupation, brightness, background and camera as found in the images.
    relative_brightness : (n,) array or None
        Brightness of each site relative to the mean; None where all count as equally bright.
    threshold : (n,) array or None
        Brightness that divides empty from occupied for each site, in counts.
    source : str
        The images it was made from.
    offset, gain : float
        Of the camera, in counts and in counts per photoelectron: the images were taken as
        (counts - offset) / gain, in photoelectrons, before all else.
    """

    lattice: Lattice
    psf: PSF
    phase_track: PhaseTrack
    quality: Quality
    image_shape: tuple[int, int]
    parameters: ImagingParameters | None = None
    relative_brightness: FloatArray | None = None
    threshold: FloatArray | None = None
    source: str = ""
    offset: float = 0.0
    gain: float = 1.0

    def __repr__(self) -> str:
        quality = self.quality
        spacing = " × ".join(f"{value:.3f}" for value in quality.spacing)
        text = (
            f"Calibration({len(self.lattice)} sites, spacing {spacing} px, PSF HWHM "
            f"{self.psf.hwhm:.3f} px, {quality.trusted_shots} of {quality.shots} shots trusted"
        )
        if not quality.trusted:
            text += "; NOT TRUSTED"
        return f"{text}: {'; '.join(quality.remarks)})" if quality.remarks else f"{text})"

    def reconstructor(self) -> Reconstructor:
        """Return what reconstructs images of this calibration."""
        return Reconstructor(
            self.lattice,
            self.psf,
            image_shape=self.image_shape,
            relative_brightness=self.relative_brightness,
        )
