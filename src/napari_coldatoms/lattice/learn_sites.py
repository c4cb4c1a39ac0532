"""How bright each site of a calibrated lattice is, and what divides empty from occupied there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.aligned import Aligned
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.site_thresholds import site_thresholds
from napari_coldatoms.lattice.track import PhaseTrack, counted_images, spread, track_phase

FloatArray = NDArray[np.float64]

_MOST_SHOTS = 200
_FEW_SITES = 100  # fewer in an image do not make a histogram of two modes


def learn_sites(
    calibration: Calibration,
    stack: ArrayLike | Iterable[ArrayLike],
    *,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
) -> Calibration:
    """Learn brightness map and thresholds of single sites from many shots.

    The shots are reconstructed with the map as it becomes known, see
    `Reconstructor.reconstruct_stack`; the thresholds are those of `site_thresholds` for the
    brightnesses that come out of it, relative to the map: a site is brighter than its threshold
    where ``result.brightness > calibration.threshold``.

    Parameters
    ----------
    calibration : Calibration
        Of the n sites.
    stack : (shots, y, x) array, or iterable of (y, x) arrays
        Counts; those of the calibration, or others. Of many, 200 are used.
    read_noise, excess_noise
        See `Reconstructor.reconstruct`.

    Returns
    -------
    Calibration
        With `relative_brightness` and `threshold`.

    Raises
    ------
    ValueError
        If the images are no stack, or none shows the sites clearly.
    """
    images = counted_images(stack)
    track = calibration.phase_track
    if len(track) != len(images):
        track = track_phase(
            images,
            calibration.lattice,
            calibration.psf,
            read_noise=read_noise,
            excess_noise=excess_noise,
        )
    chosen = _trusted(track)
    results = (
        replace(calibration, relative_brightness=None)
        .reconstructor()
        .reconstruct_stack(
            Aligned(images, track.offset, chosen),
            joint_mixture=int(calibration.lattice.inside(calibration.image_shape).sum())
            < _FEW_SITES,
            brightness_map="learn",
            read_noise=read_noise,
            excess_noise=excess_noise,
        )
    )
    clear = [result for result in results if result.has_contrast]
    if not clear:
        raise ValueError("expected shots that show occupied and empty sites, found none")
    brightness = np.array([np.where(r.valid, r.brightness, np.nan) for r in clear])
    return replace(
        calibration,
        relative_brightness=clear[0].relative_brightness,
        threshold=site_thresholds(brightness).threshold,
    )


def _trusted(track: PhaseTrack) -> NDArray[np.intp]:
    numbers = np.flatnonzero(track.trusted)
    if not len(numbers):
        raise ValueError("expected shots that show where the sites are, found none")
    return np.asarray(numbers[spread(len(numbers), _MOST_SHOTS)])
