"""Lattice, point spread function and drift, found in a stack of images.

The first model needs no guess (`first_model`). Then all is refined with the occupation of the
sites: each shot's place (`phase`, `track`), the vectors and the PSF's width together
(`registration`), and which rows of sites hold atoms (`extent`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.calibration_quality import judge_calibration
from napari_coldatoms.lattice.extent import filled
from napari_coldatoms.lattice.first_model import (
    Arrangement,
    Extent,
    Model,
    first_model,
    nothing_seen,
)
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.phase import Camera, Fit, Phase, PhaseFinder
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.psf_fit import measure_psf
from napari_coldatoms.lattice.registration import Registration, register
from napari_coldatoms.lattice.track import (
    PhaseTrack,
    Preparer,
    checked_times,
    counted_images,
    follow,
    make_track,
    spread,
)
from napari_coldatoms.lattice.tweezers import refine_positions

FloatArray = NDArray[np.float64]
PSFShape = Literal["auto", "as given", "measured"]
Progress = Callable[[int, int], None]

_MOST_SHOTS = 40  # that lattice and PSF are found from
_MOST_PIXELS = 2e7  # in those
_FEWEST_SHOTS = 12  # even of large images
_ROUNDS = 3
_STILL, _STILL_WIDTH = 0.03, 0.003  # px, and relative: changes that do not matter
_LIT = 0.4  # of the light of a site in the middle of the frame


def calibrate(
    stack: ArrayLike | Iterable[ArrayLike],
    *,
    guess: Lattice | Calibration | None = None,
    arrangement: Arrangement = "auto",
    extent: Extent = "as given",
    psf_shape: PSFShape = "auto",
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    times: ArrayLike | None = None,
    source: str | None = None,
    on_progress: Progress | None = None,
) -> Calibration:
    """Find lattice, point spread function and drift in a stack of images.

    Parameters
    ----------
    stack : (shots, y, x) or (y, x) array or DataArray, or iterable of (y, x) arrays
        Counts. Twenty shots of some hundred atoms are plenty; one dense image may do.
    guess : Lattice or Calibration, optional
        What is known before: a lattice whose vectors are right within some percent, anywhere in
        the frame, or positions that are right within half their distance. Its shape is kept. Of a
        calibration the PSF is taken, too. Without a guess, rows of sites that hold atoms are found.
    arrangement : {"auto", "regular", "positions"}
        Whether the sites form a lattice with two vectors, or are at arbitrary positions that show
        as single peaks in the mean image; "auto" decides by the images.
    extent : {"as given", "found"}
        Which sites there are: those of the guess, or of a lattice all rows that hold atoms, with
        the guess telling the vectors only.
    psf_shape : {"auto", "as given", "measured"}
        Whether the PSF is a Gaussian, or that of the calibration that is the guess, of the width
        that suits the images; or measured in them, super-sampled. "auto" takes the measured one
        where the images refute the other, see `psf_fit.measure_psf`.
    read_noise, excess_noise
        See `Reconstructor.reconstruct`.
    times : (shots,) array, optional
        When the shots were taken, see `track_phase`.
    source : str, optional
        Where the images are from; default the stack's ``attrs["source"]``.
    on_progress : callable, optional
        Called with (done, all).

    Returns
    -------
    Calibration
        Its quality says whether and why it is not to be trusted.

    Raises
    ------
    ValueError
        If the images are no stack, none can be read, or no sites are seen in them and there is no
        guess.
    """
    from threadpoolctl import threadpool_limits

    if arrangement not in get_args(Arrangement):
        raise ValueError(
            f"expected arrangement one of {get_args(Arrangement)}, found {arrangement!r}"
        )
    if extent not in get_args(Extent):
        raise ValueError(f"expected extent one of {get_args(Extent)}, found {extent!r}")
    if psf_shape not in get_args(PSFShape):
        raise ValueError(f"expected psf_shape one of {get_args(PSFShape)}, found {psf_shape!r}")
    given: Any = stack
    images = counted_images([given] if getattr(given, "ndim", 3) == 2 else given)
    when = checked_times(times, len(images))
    if source is None:
        source = str(getattr(stack, "attrs", {}).get("source", ""))
    camera = Camera(read_noise, excess_noise)
    # on a busy machine several threads wait for each other a hundred times as long
    with threadpool_limits(1, user_api="blas"):
        found = _calibrated(
            images, when, guess, arrangement, extent, psf_shape, camera, on_progress
        )
    return replace(found, source=source)


def _calibrated(
    images: Sequence[ArrayLike],
    when: FloatArray,
    guess: Lattice | Calibration | None,
    arrangement: Arrangement,
    extent: Extent,
    psf_shape: PSFShape,
    camera: Camera,
    on_progress: Progress | None,
) -> Calibration:
    shape = _image_shape(images)
    most = int(np.clip(_MOST_PIXELS / (shape[0] * shape[1]), _FEWEST_SHOTS, _MOST_SHOTS))
    chosen = spread(len(images), most)
    model = first_model([images[k] for k in chosen], shape, guess, arrangement, extent)
    look = _Look(shape, camera, _ROUNDS * len(chosen) + len(images), on_progress)
    places = None
    for turn in range(_ROUNDS):
        some = [images[k] for k in chosen]
        model, places = look.improved(model, some, when[chosen], places)
        if turn == 0 and model.endless and model.registration is None:
            raise ValueError(nothing_seen("auto"))
        if model.settled:
            look.skip((_ROUNDS - 1 - turn) * len(chosen))
            break
    near = None
    if places is not None and places.trusted.any():
        near = [np.interp(when, places.time, places.offset[:, axis]) for axis in (0, 1)]
    seen = look.at(model, images, None if near is None else np.column_stack(near), keep=chosen)
    track = make_track(seen.phases, when)
    psf = _measured(seen, model.psf, psf_shape)
    lattice = model.lattice
    if track.trusted.any():
        middle = np.median(track.measured[track.trusted], axis=0)
        lattice = lattice.shift(middle)
        track = replace(track, offset=track.offset - middle, measured=track.measured - middle)
    quality, parameters = judge_calibration(
        lattice, psf, track, seen.fits, model.lattice, seen.lattice, model.registration, camera
    )
    return Calibration(
        lattice=lattice,
        psf=psf,
        phase_track=track,
        quality=quality,
        image_shape=shape,
        parameters=parameters,
    )


@dataclass
class _Seen:
    lattice: Lattice  # with the sites around it, which the fits are of
    phases: list[Phase | None] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)


class _Look:
    """Looks at images with a model, and makes the model better."""

    def __init__(
        self,
        shape: tuple[int, int],
        camera: Camera,
        total: int,
        on_progress: Progress | None,
    ) -> None:
        self._shape = shape
        self._camera = camera
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def skip(self, images: int) -> None:
        """Leave out some looks at images that are not needed any more."""
        self._done += images

    def at(
        self,
        model: Model,
        images: Sequence[ArrayLike],
        near: FloatArray | None,
        keep: Iterable[int] | None = None,
    ) -> _Seen:
        """Return all phases, and the fits of the trusted shots among some numbers."""
        finder = PhaseFinder(model.lattice, model.psf, self._shape)
        seen = _Seen(finder.setup.lattice)
        kept = range(len(images)) if keep is None else {int(k) for k in keep}
        prepare = Preparer(finder, self._camera)
        for number, (phase, fit) in enumerate(follow(finder, images, prepare, near)):
            seen.phases.append(phase)
            if fit is not None and number in kept and phase is not None and phase.trusted:
                seen.fits.append(fit)
            self._done += 1
            if self._on_progress is not None:
                self._on_progress(self._done, self._total)
        if prepare.error is not None and not any(seen.phases):
            raise prepare.error
        return seen

    def improved(
        self,
        model: Model,
        images: Sequence[ArrayLike],
        times: FloatArray,
        places: PhaseTrack | None,
    ) -> tuple[Model, PhaseTrack | None]:
        """Return a model that suits the images better, and the places of the shots in it.

        The same if they show nothing.
        """
        known = places is not None and places.trusted.any()
        seen = self.at(model, images, places.offset if places is not None and known else None)
        if not seen.fits:
            return model, places
        track = make_track(seen.phases, times)
        middle = np.median(track.measured[track.trusted], axis=0)
        found = register(seen.fits, model.psf.hwhm)
        # of an endless lattice, the atoms tell which sites there are
        base = seen.lattice if model.endless else model.lattice
        lattice = base.shift(middle)
        if lattice.is_regular:
            lattice = _strained(lattice, found, self._shape)
        else:
            moved = refine_positions(seen.fits, lattice.positions, model.psf)
            lattice = Lattice.from_positions(lattice.positions + moved)
        if model.endless:
            lattice = _held(lattice, seen.fits)
        psf = model.psf.scaled(found.width)
        moved = model.lattice.shift(middle).positions
        settled = abs(found.width - 1) < _STILL_WIDTH and len(moved) == len(lattice)
        settled = settled and float(np.abs(lattice.positions - moved).max()) < _STILL
        better = replace(model, lattice=lattice, psf=psf, registration=found, settled=settled)
        return better, replace(track, offset=track.offset - middle)


def _image_shape(images: Sequence[ArrayLike]) -> tuple[int, int]:
    """Return the rows and columns that most images have."""
    shapes = Counter(np.shape(images[k]) for k in spread(len(images), _FEWEST_SHOTS))
    shape = shapes.most_common(1)[0][0]
    if len(shape) != 2:
        raise ValueError(f"expected images of shape (y, x), found shape {shape}")
    return shape[0], shape[1]


def _measured(seen: _Seen, psf: PSF, wanted: PSFShape) -> PSF:
    """Return the PSF as measured in the shots, if that is wanted or needed."""
    if wanted == "as given" or not seen.fits:
        return psf
    try:
        found = measure_psf(seen.fits, seen.lattice, psf)
    except ValueError:  # no light, or a wrong occupation
        return psf
    return found.psf if found.significant or wanted == "measured" else psf


def _held(lattice: Lattice, fits: Sequence[Fit]) -> Lattice:
    """Return the part of a lattice that holds atoms in some shots."""
    held = np.mean([fit.probability > 0.5 for fit in fits], axis=0)
    if not held.any():
        return lattice
    if not lattice.is_regular:
        return Lattice.from_positions(lattice.positions[held > 0])
    shot = fits[0].shot
    known = shot.valid & (shot.optics.strength > _LIT * shot.optics.strength.max())
    return filled(lattice, np.where(known, held, np.nan), len(fits))


def _strained(lattice: Lattice, found: Registration, shape: tuple[int, int]) -> Lattice:
    assert lattice.vectors is not None
    assert lattice.origin is not None
    assert lattice.shape is not None
    middle = (np.array(shape) - 1) / 2
    origin = np.array(lattice.origin)
    origin = origin + found.strain @ (origin - middle)
    vectors = lattice.vectors + lattice.vectors @ found.strain.T
    return Lattice(vectors, origin, lattice.shape, mask=lattice.mask)
