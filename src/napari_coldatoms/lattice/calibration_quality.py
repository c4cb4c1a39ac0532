"""Whether a calibration can be relied upon, and if not, why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.calibration import Quality
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.phase import Camera, Fit
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.reconstruct import Reconstructor
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.registration import Registration
from napari_coldatoms.lattice.track import PhaseTrack, spread

FloatArray = NDArray[np.float64]

_FEW_TRUSTED = 0.5  # of the shots
_ROUGH = 0.1  # spacings that the last sites may be off
_UNSETTLED = 0.03  # change of the PSF's width in the last round
_WIDEST = 1.3  # half widths of the PSF over the spacing, beyond which no site can be told
_MOST_ERRORS = 0.05
_BEYOND = 0.3  # occupancy of the sites around the lattice over that of its own
_JUDGED = 3  # shots that are reconstructed to see what images are like


def judge_calibration(
    lattice: Lattice,
    psf: PSF,
    track: PhaseTrack,
    fits: Sequence[Fit],
    fitted: Lattice,
    around: Lattice,
    registration: Registration | None,
    camera: Camera,
) -> tuple[Quality, ImagingParameters | None]:
    """Return what a calibration is worth, and the imaging parameters that the images have.

    Parameters
    ----------
    lattice, psf, track
        Of the calibration.
    fits : sequence of Fit
        Shots that show the lattice.
    fitted : Lattice
        That their offsets refer to.
    around : Lattice
        The same with more sites around it, which the fits are of.
    registration : Registration or None
        The last adjustment of lattice and PSF; None where nothing could be adjusted.
    camera : Camera
        That took the images.
    """
    spacing, angle, spacing_error, angle_error = _geometry(lattice, registration)
    judged = _judged(fitted, psf, fits, camera)
    clear = [result for result in judged if result.has_contrast]
    doubts = list(_doubts(lattice, psf, track, registration, spacing, spacing_error, angle_error))
    if _atoms_beyond(fitted, around, fits):
        doubts.append("there are atoms beyond the last rows of sites: the lattice is too small")
    errors = [result.predicted_error_rate for result in clear]
    error = float(np.mean(errors)) if errors else math.nan
    if error > _MOST_ERRORS:
        doubts.append(f"{100 * error:.2g} % errors are to be expected of the reconstruction")
    notes = []
    if registration is not None and not math.isfinite(registration.width_error):
        notes.append("a single shot does not tell the errors of the vectors and the width")
    found = track.trusted
    quality = Quality(
        trusted=not doubts,
        remarks=(*doubts, *notes),
        shots=len(track),
        trusted_shots=int(found.sum()),
        spacing=spacing,
        spacing_error=spacing_error,
        angle=angle,
        angle_error=angle_error,
        hwhm_error=math.inf if registration is None else psf.hwhm * registration.width_error,
        contrast=float(np.median(track.contrast[found])) if found.any() else 0.0,
        snr_db=float(np.mean([r.snr_db for r in clear])) if clear else math.nan,
        predicted_error_rate=error,
    )
    return quality, _mean_parameters(clear)


def _doubts(
    lattice: Lattice,
    psf: PSF,
    track: PhaseTrack,
    registration: Registration | None,
    spacing: tuple[float, ...],
    spacing_error: tuple[float, ...],
    angle_error: tuple[float, ...],
) -> Iterator[str]:
    count = int(track.trusted.sum())
    if count == 0:
        yield "no shot shows the sites where the lattice has them"
        return
    if count < _FEW_TRUSTED * len(track):
        yield f"only {count} of {len(track)} shots show the sites clearly"
    if spacing and psf.hwhm > _WIDEST * min(spacing):
        yield (
            f"the PSF's half width of {psf.hwhm:.2f} px is too large for a spacing of "
            f"{min(spacing):.2f} px"
        )
    if registration is None or lattice.shape is None:
        return
    for axis in (0, 1):
        sites = lattice.shape[axis] / 2
        error = spacing_error[axis]
        if math.isfinite(error) and sites * error > _ROUGH * spacing[axis]:
            yield (
                f"the spacing of {spacing[axis]:.3f} ± {error:.3f} px is too rough for "
                f"{lattice.shape[axis]} sites"
            )
        error = angle_error[axis]
        if math.isfinite(error) and sites * math.radians(error) > _ROUGH:
            yield (f"an angle known to {error:.2g}° is too rough for {lattice.shape[axis]} sites")
    half = np.array(lattice.shape) / 2
    assert lattice.vectors is not None
    moved = np.abs(registration.strain @ (half[:, None] * lattice.vectors).T).max()
    if moved > 2 * _ROUGH * min(spacing) or abs(registration.width - 1) > _UNSETTLED:
        yield "lattice and PSF did not settle: other values may suit the images as well"


def _atoms_beyond(lattice: Lattice, around: Lattice, fits: Sequence[Fit]) -> bool:
    """Tell whether sites around a regular lattice hold about as many atoms as its own."""
    if not fits or lattice.shape is None or lattice.vectors is None:
        return False
    steps = (around.positions - np.array(lattice.origin)) @ np.linalg.inv(lattice.vectors)
    inside = np.all((steps > -0.5) & (steps < np.array(lattice.shape) - 0.5), axis=1)
    held = np.mean([fit.probability > 0.5 for fit in fits], axis=0)
    seen = fits[0].shot.valid
    within, beyond = held[inside & seen], held[~inside & seen]
    return len(beyond) > 0 and float(beyond.mean()) > _BEYOND * float(within.mean())


def _geometry(lattice: Lattice, registration: Registration | None) -> tuple[tuple[float, ...], ...]:
    """Return spacings, angles (degrees), and the standard errors of both."""
    if lattice.vectors is None:
        area = lattice.site_area
        return (math.sqrt(area),), (), (math.nan,), ()
    lengths = np.linalg.norm(lattice.vectors, axis=1)
    angles = np.degrees(np.arctan2(lattice.vectors[:, 0], lattice.vectors[:, 1]))
    variance = np.full((2, 2), np.inf) if registration is None else registration.strain_error**2
    along, across = [], []
    for vector, length in zip(lattice.vectors, lengths, strict=True):
        unit = vector / length
        normal = np.array([unit[1], -unit[0]])
        along.append(float(length * _projected(unit, variance, unit)))
        across.append(math.degrees(_projected(normal, variance, unit)))
    return tuple(lengths.tolist()), tuple(angles.tolist()), tuple(along), tuple(across)


def _projected(left: FloatArray, variance: FloatArray, right: FloatArray) -> float:
    weights = np.outer(left, right) ** 2
    return math.sqrt(float((weights * np.where(weights > 0, variance, 0.0)).sum()))


def _judged(
    lattice: Lattice, psf: PSF, fits: Sequence[Fit], camera: Camera
) -> list[Reconstruction]:
    """Return some shots reconstructed, each with the sites where it has them."""
    results = []
    for k in spread(len(fits), _JUDGED) if fits else ():
        shot = fits[k].shot
        image = np.where(shot.good > 0, shot.image, np.nan)
        place = lattice.shift(fits[k].offset)
        there = Reconstructor(place, psf, image_shape=shot.optics.image_shape)
        try:
            results.append(there.reconstruct(image, **asdict(camera)))
        except ValueError:  # few sites
            continue
    return results


def _mean_parameters(results: Sequence[Reconstruction]) -> ImagingParameters | None:
    if not results:
        return None
    names = ("occupancy", "brightness", "brightness_sd", "background", "read_noise", "excess_noise")
    return ImagingParameters(
        **{
            name: float(np.mean([getattr(result.parameters, name) for result in results]))
            for name in names
        }
    )
