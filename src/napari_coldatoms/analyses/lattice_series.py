"""What the shots of a lattice share, and what of it each shot gets."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.reconstruct import Reconstructor
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.track import PhaseTrack

FloatArray = NDArray[np.float64]
Pair = tuple[float, float]

_STEP = 0.02  # px, between places that reconstructors are made for
_MOST_KEPT = 4
_ALONE = 8.0  # px


@dataclass(frozen=True)
class Place:
    """Where one image has the lattice.

    Attributes
    ----------
    offset, stderr : (float, float)
        Relative to the calibration (y, x), in px; the error is NaN where it is not known.
    contrast : float
        Of the two modes there; NaN where it was not looked for.
    trusted : bool
        Whether the image itself tells it.
    known : bool
        Whether the image or others before and after it tell it.
    """

    offset: Pair
    stderr: Pair = (np.nan, np.nan)
    contrast: float = np.nan
    trusted: bool = False
    known: bool = True


@dataclass(frozen=True, eq=False)
class ShotContext:
    """All that the reconstruction of one shot needs; small, and may go to another process.

    Attributes
    ----------
    calibration : Calibration
    places : tuple of Place
        Of each image of the shot.
    parameters : ImagingParameters or None
        What is known of the atoms' brightness; None where each image tells it.
    rescue : ImagingParameters or None
        The same for images that do not tell it.
    relative_brightness : (n,) array or None
    remarks : tuple of str
        What the user should know of all shots.
    token : str
        The same for all shots of a series.
    """

    calibration: Calibration
    places: tuple[Place, ...]
    parameters: ImagingParameters | None
    rescue: ImagingParameters | None
    relative_brightness: FloatArray | None
    remarks: tuple[str, ...]
    token: str

    def reconstructor(self, place: Place) -> tuple[Reconstructor, Pair]:
        """Return what reconstructs images at a place, and the offset it is made for."""
        y, x = (round(_STEP * round(value / _STEP), 6) for value in place.offset)
        return _kept(self, (y, x)), (y, x)

    def _make(self, offset: Pair) -> Reconstructor:
        if offset != _CALIBRATED:
            return _kept(self, _CALIBRATED).moved(offset)
        known = self.calibration
        return Reconstructor(
            known.lattice,
            known.psf,
            image_shape=known.image_shape,
            relative_brightness=self.relative_brightness,
        )


class _Slot:
    """Holds a reconstructor; of several threads that want it, one makes it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: Reconstructor | None = None

    def get(self, make: Callable[[], Reconstructor]) -> Reconstructor:
        with self._lock:
            if self._made is None:
                self._made = make()
            return self._made


_CALIBRATED: Pair = (0.0, 0.0)
_lock = Lock()
_slots: dict[tuple[str, Pair], _Slot] = {}


def _kept(context: ShotContext, offset: Pair) -> Reconstructor:
    """Return the reconstructor of an offset; those used last are kept."""
    key = (context.token, offset)
    with _lock:
        slot = _slots.pop(key, None) or _Slot()
        _slots[key] = slot
        while len(_slots) > _MOST_KEPT:
            del _slots[next(iter(_slots))]
    return slot.get(lambda: context._make(offset))


@dataclass(frozen=True, eq=False)
class SeriesContext:
    """What all shots share.

    Attributes
    ----------
    calibration : Calibration
    places : tuple of Place
        Of all images, shot by shot.
    images_per_shot : int
    parameters, rescue, relative_brightness, remarks
        See `ShotContext`.
    shots : tuple of int or None
        The shots that the places are of, ascending; None: all.
    """

    calibration: Calibration
    places: tuple[Place, ...]
    images_per_shot: int = 1
    parameters: ImagingParameters | None = None
    rescue: ImagingParameters | None = None
    relative_brightness: FloatArray | None = None
    remarks: tuple[str, ...] = ()
    shots: tuple[int, ...] | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def of_frame(self, index: tuple[int, ...]) -> ShotContext:
        """Return what the reconstruction of one shot needs."""
        shot = index[0] if index else 0
        number = shot if self.shots is None else self.shots.index(shot)
        first = number * self.images_per_shot
        return ShotContext(
            self.calibration,
            self.places[first : first + self.images_per_shot],
            self.parameters,
            self.rescue,
            self.relative_brightness,
            self.remarks,
            self.token,
        )


def places_of(track: PhaseTrack) -> tuple[Place, ...]:
    """Return the places of a track; where no shot tells anything, that of the calibration."""
    return tuple(
        Place(
            (float(y), float(x)) if np.isfinite([y, x]).all() else (0.0, 0.0),
            (float(dy), float(dx)),
            float(contrast),
            bool(trusted),
            bool(np.isfinite([y, x]).all()),
        )
        for (y, x), (dy, dx), contrast, trusted in zip(
            track.offset, track.stderr, track.contrast, track.trusted, strict=True
        )
    )


def measured_place(place: Place, made_for: Pair, found: Reconstruction) -> Place:
    """Return the place as the reconstruction of the image tells it, where that is more precise.

    Parameters
    ----------
    place : Place
        As it was known before.
    made_for : (float, float)
        Offset (y, x) of the reconstructor, in px.
    found : Reconstruction
    """
    if not (place.trusted and np.all(np.less(found.place_error, place.stderr))):
        return place
    y, x = (a + b for a, b in zip(made_for, found.place, strict=True))
    return replace(place, offset=(y, x), stderr=found.place_error)


def spacing_of(lattice: Lattice) -> float:
    """Return the distance of neighbouring sites, in px; of a single site any length."""
    if lattice.vectors is not None:
        return float(np.linalg.norm(lattice.vectors, axis=1).min())
    area = lattice.site_area
    return float(np.sqrt(area)) if np.isfinite(area) else _ALONE
