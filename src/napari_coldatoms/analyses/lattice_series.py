"""What the shots of a lattice share: its calibration, its drift, and how bright its atoms are.

Images are all frames of atoms of a stack, shot by shot; a shot may have several of them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.images.stack import StackError, check_stack, is_raw
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.reconstruct import Reconstructor
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.track import PhaseTrack

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
Pair = tuple[float, float]
Brightness = Literal["auto", "each shot", "all shots", "calibrated"]

ATOMS = ("atoms", "fluorescence")
"""Roles of raw frames that show atoms."""

_MANY_SITES = 100  # that show two modes in one image
_FEW_SHOTS = 3  # that do so together
_MOST_SHOTS = 60  # that brightnesses are found from
_COARSE, _FINE = 0.5, 0.02  # px; the reconstruction itself adjusts the rest of a coarse step
_MOST_KEPT = 8
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

    def reconstructor(self, place: Place, *, adjusted: bool) -> tuple[Reconstructor, Pair]:
        """Return what reconstructs images near a place, and the offset it is made for.

        Where the reconstruction adjusts the place, a coarse one will do for many shots.
        """
        step = _COARSE if adjusted else _FINE
        y, x = (step * round(value / step) for value in place.offset)
        return _kept(self, (y, x)), (y, x)


_lock = Lock()
_reconstructors: dict[tuple[str, Pair], Reconstructor] = {}


def _kept(context: ShotContext, offset: Pair) -> Reconstructor:
    key = (context.token, offset)
    with _lock:
        if key in _reconstructors:
            return _reconstructors[key]
    made = _reconstructor(context.calibration, offset, context.relative_brightness)
    with _lock:
        while len(_reconstructors) >= _MOST_KEPT:
            del _reconstructors[next(iter(_reconstructors))]
        _reconstructors[key] = made
    return made


def _reconstructor(
    calibration: Calibration, offset: Pair, relative: FloatArray | None
) -> Reconstructor:
    return Reconstructor(
        calibration.lattice.shift(offset),
        calibration.psf,
        image_shape=calibration.image_shape,
        relative_brightness=relative,
    )


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
    """

    calibration: Calibration
    places: tuple[Place, ...]
    images_per_shot: int = 1
    parameters: ImagingParameters | None = None
    rescue: ImagingParameters | None = None
    relative_brightness: FloatArray | None = None
    remarks: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def of_frame(self, index: tuple[int, ...]) -> ShotContext:
        """Return what the reconstruction of one shot needs."""
        first = (index[0] if index else 0) * self.images_per_shot
        return ShotContext(
            self.calibration,
            self.places[first : first + self.images_per_shot],
            self.parameters,
            self.rescue,
            self.relative_brightness,
            self.remarks,
            self.token,
        )


class Images:
    """All images of atoms in a stack, shot by shot, read one at a time.

    Parameters
    ----------
    stack : DataArray
        Pictures, or raw frames with several images of the same atoms in each shot.
    pairs : bool
        See `frames_of_atoms`.

    Raises
    ------
    StackError
        If raw frames hold one image of atoms only: then the picture is to be made first.
    """

    def __init__(self, stack: xr.DataArray, *, pairs: bool = False) -> None:
        check_stack(stack)
        if is_raw(stack):
            frames = frames_of_atoms(stack, pairs=pairs)
            if len(frames) < 2:
                roles = ", ".join(map(str, stack["frame"].values))
                raise StackError(
                    f"{stack.name or 'stack'}: expected pictures, or raw frames with several "
                    f"images of atoms, found {roles}; make the picture first"
                )
            stack = stack.isel(frame=frames)
            self.per_shot = len(frames)
        else:
            self.per_shot = 1
        self.shape = (stack.sizes["y"], stack.sizes["x"])
        self._stack = stack
        self._dims = stack.dims[:-2]
        self._indices = list(np.ndindex(*stack.shape[:-2]))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._indices)

    def __getitem__(self, number: int) -> NDArray:
        """Return an image, (y, x)."""
        index = dict(zip(self._dims, self._indices[number], strict=True))
        return np.asarray(self._stack.isel(index).values)

    def __iter__(self) -> Iterator[NDArray]:
        return (self[number] for number in range(len(self)))


def frames_of_atoms(stack: xr.DataArray, *, pairs: bool = False) -> list[int]:
    """Return the numbers of the raw frames that show atoms.

    With `pairs` these are all frames, whatever role they have: a file with two pictures does not
    tell that both show the same atoms.
    """
    roles = [str(role) for role in stack["frame"].values]
    return [number for number, role in enumerate(roles) if pairs or role in ATOMS]


class Aligned:
    """Images moved by whole pixels, so that all have the lattice at nearly the same place.

    Pixels that come in at the border are NaN.
    """

    def __init__(self, images: Images, places: tuple[Place, ...], numbers: list[int]) -> None:
        self._images = images
        self._places = places
        self._numbers = numbers

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[FloatArray]:
        for number in self._numbers:
            image = self._images[number]
            down, right = (round(value) for value in self._places[number].offset)
            moved = np.full(image.shape, np.nan)
            rows, columns = image.shape
            moved[max(-down, 0) : rows - max(down, 0), max(-right, 0) : columns - max(right, 0)] = (
                image[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)]
            )
            yield moved


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


def learn_light(
    images: Images,
    calibration: Calibration,
    places: tuple[Place, ...],
    *,
    together: bool,
    map_wanted: bool,
    read_noise: float,
    excess_noise: float,
) -> Light:
    """Find from many shots how bright atoms are, and how bright each site is.

    Parameters
    ----------
    images, calibration, places
        Of the series.
    together : bool
        Whether all shots are taken to have the same occupation and brightness, which are found.
    map_wanted : bool
        Whether the brightness of each site is learnt.
    """
    trusted = [k for k, place in enumerate(places) if place.trusted] or list(range(len(places)))
    chosen = np.linspace(0, len(trusted) - 1, min(len(trusted), _MOST_SHOTS)).round().astype(int)
    aligned = Aligned(images, places, [trusted[k] for k in np.unique(chosen)])
    results = _reconstructor(
        calibration, (0.0, 0.0), calibration.relative_brightness
    ).reconstruct_stack(
        aligned,
        joint_mixture=together,
        brightness_map="learn" if map_wanted else None,
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


def spacing_of(lattice: Lattice) -> float:
    """Return the distance of neighbouring sites, in px; of a single site any length."""
    if lattice.vectors is not None:
        return float(np.linalg.norm(lattice.vectors, axis=1).min())
    area = lattice.site_area
    return float(np.sqrt(area)) if np.isfinite(area) else _ALONE
