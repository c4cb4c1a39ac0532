"""How bright the atoms of a series are: what each shot, all of them, or the calibration tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.lattice_images import Images
from napari_coldatoms.analyses.lattice_series import Place
from napari_coldatoms.lattice.aligned import Aligned
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.track import spread

FloatArray = NDArray[np.float64]
Brightness = Literal["auto", "each shot", "all shots", "calibrated"]

_MANY_SITES = 100  # that show two modes in one image
_FEW_SHOTS = 3  # that do so together
_MOST_SHOTS = 60  # that brightnesses are found from


def how_bright(
    wanted: Brightness, lattice: Lattice, shape: tuple[int, int], images: int, *, known: bool
) -> Brightness:
    """Return where the brightness of atoms is best taken from, if it is not said."""
    if wanted != "auto":
        return wanted
    if int(lattice.inside(shape).sum()) >= _MANY_SITES:
        return "each shot"
    if images >= _FEW_SHOTS:
        return "all shots"
    return "calibrated" if known else "each shot"


@dataclass(frozen=True, eq=False)
class Light:
    """How bright atoms are, as far as it is known before an image is looked at."""

    parameters: ImagingParameters | None
    relative_brightness: FloatArray | None


def find_light(
    images: Images,
    calibration: Calibration,
    places: tuple[Place, ...],
    *,
    wanted: Brightness,
    known: ImagingParameters | None,
    map_wanted: bool,
    read_noise: float,
    excess_noise: float,
    progress: Callable[[int, int], None] | None = None,
) -> Light:
    """Return what is known of the light of atoms before an image is looked at.

    Parameters
    ----------
    images, calibration, places
        Of the series.
    wanted : Brightness
        Where the brightness of atoms is taken from.
    known : ImagingParameters or None
        Those of the calibration.
    map_wanted : bool
        Whether the brightness of each site is learnt.
    read_noise, excess_noise : float
        Of the camera.
    progress : callable, optional
        Called with (images looked at, all).

    Raises
    ------
    ValueError
        If the calibrated brightness is wanted, and there is none.
    """
    way = how_bright(
        wanted, calibration.lattice, images.shape, len(images), known=known is not None
    )
    if way == "calibrated" and known is None:
        raise ValueError(
            "expected a calibration with imaging parameters, found none; take the brightness of "
            "atoms from the shots"
        )
    together = way == "all shots"
    light = Light(None, calibration.relative_brightness)
    if together or map_wanted:
        light = _learnt(
            images,
            calibration,
            places,
            together=together,
            map_wanted=map_wanted,
            read_noise=read_noise,
            excess_noise=excess_noise,
            progress=progress,
        )
    if way == "calibrated" or (together and light.parameters is None):
        return replace(light, parameters=known)
    return light


def _learnt(
    images: Images,
    calibration: Calibration,
    places: tuple[Place, ...],
    *,
    together: bool,
    map_wanted: bool,
    read_noise: float,
    excess_noise: float,
    progress: Callable[[int, int], None] | None,
) -> Light:
    """Return what many shots tell: the common occupation and brightness, that of each site."""
    trusted = [k for k, place in enumerate(places) if place.trusted] or list(range(len(places)))
    chosen = [trusted[k] for k in spread(len(trusted), _MOST_SHOTS)]
    aligned = Aligned(images, [place.offset for place in places], chosen)
    results = calibration.reconstructor().reconstruct_stack(
        aligned,
        joint_mixture=together,
        brightness_map="learn" if map_wanted else None,
        on_progress=None if progress is None else lambda done, all_: progress(done, all_ or done),
        read_noise=read_noise,
        excess_noise=excess_noise,
    )
    clear = [result for result in results if result.has_contrast]
    relative = results[0].relative_brightness if map_wanted else calibration.relative_brightness
    return Light(_common(clear) if together and clear else None, relative)


def _common(results: list[Reconstruction]) -> ImagingParameters:
    """Return the parameters that images judged together share, with their median background."""
    first = results[0].parameters
    return ImagingParameters(
        first.occupancy,
        first.brightness,
        first.brightness_sd,
        float(np.median([result.parameters.background for result in results])),
        float(np.median([result.parameters.read_noise for result in results])),
        first.excess_noise,
    )
