"""Where the sites are in each of many shots: drift, and shots that show it too weakly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.coarse_phase import Pair, as_pair
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.joint import pool_of
from napari_coldatoms.lattice.phase import Camera, Fit, Phase, PhaseFinder
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.series import checked_images
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FEW_SITES = 40  # fewer in an image do not make a histogram of two modes
_POOLED_SHOTS = 60
_NEIGHBOURS = 4  # shots on either side that a shot is compared with
_OUTLYING = 6.0  # standard deviations
_LEAST_JITTER = 0.02  # px
_STRONG = 4.5  # significance of a pattern that is believed wherever it is


@dataclass(frozen=True, eq=False)
class PhaseTrack:
    """Place of the lattice in each shot.

    Attributes
    ----------
    offset : (shots, 2) array
        Place (y, x) relative to the lattice, in px; of shots that are not trusted interpolated
        between those that are, and NaN if there are none.
    stderr : (shots, 2) array
        Standard errors, in px.
    measured : (shots, 2) array
        What each shot says of itself, in px; NaN where it could not be read.
    contrast, significance : (shots,) arrays
        As of `Phase`; 0 where the shot could not be read. The contrast is NaN where it was not
        looked for.
    trusted : (shots,) bool array
        Whether the offset is the shot's own.
    outlier : (shots,) bool array
        Whether a shot is far from its neighbours.
    time : (shots,) array
        Place of the shots along the axis of interpolation: their times or numbers.
    """

    offset: FloatArray
    stderr: FloatArray
    measured: FloatArray
    contrast: FloatArray
    significance: FloatArray
    trusted: BoolArray
    outlier: BoolArray
    time: FloatArray

    def __len__(self) -> int:
        """Return the number of shots."""
        return len(self.offset)

    def __repr__(self) -> str:
        moved = np.ptp(self.offset, axis=0) if self.trusted.any() else np.full(2, np.nan)
        return (
            f"PhaseTrack({int(self.trusted.sum())} of {len(self)} shots trusted, range "
            f"{moved[0]:.2f} px along y, {moved[1]:.2f} px along x)"
        )


def track_phase(
    images: ArrayLike | Iterable[ArrayLike],
    lattice: Lattice,
    psf: PSF,
    *,
    times: ArrayLike | None = None,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    fine: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> PhaseTrack:
    """Find where each image has the sites, see `find_phase`.

    The phase of a regular lattice is continued from shot to shot, so that a slow drift may go over
    many sites. Shots whose pattern is weak and that do not fit to their neighbours are not trusted.

    Parameters
    ----------
    images : (shots, y, x) array, or iterable of (y, x) arrays
        Counts.
    lattice, psf, read_noise, excess_noise
        See `find_phase`.
    times : (shots,) array, optional
        When the shots were taken, ascending; by default they are evenly spaced.
    fine : bool
        If False, the pattern alone tells the phase of a regular lattice where it is strong, to a
        few hundredths of a pixel and several times as fast: good enough for a reconstruction,
        which adjusts the place once more. The contrast is NaN there.
    on_progress : callable, optional
        Called with the number of images done, after each. What it raises ends the work.

    Returns
    -------
    PhaseTrack

    Raises
    ------
    ValueError
        If the images are no stack, there are none, none can be read, or the times do not fit.
    """
    shots = counted_images(images)
    when = checked_times(times, len(shots))
    shape = np.shape(shots[0])
    if len(shape) != 2:
        raise ValueError(f"expected images of shape (y, x), found shape {shape}")
    finder = PhaseFinder(lattice, psf, (shape[0], shape[1]))
    prepare = Preparer(finder, Camera(read_noise, excess_noise))
    phases: list[Phase | None] = []
    for phase, _ in follow(finder, shots, prepare, fine=fine):
        phases.append(phase)
        if on_progress is not None:
            on_progress(len(phases))
    if prepare.error is not None and not any(phases):
        raise prepare.error
    return make_track(phases, when)


class Preparer:
    """Makes shots of images; those that cannot be read become None, and the first error is kept."""

    def __init__(self, finder: PhaseFinder, camera: Camera) -> None:
        self._finder = finder
        self._camera = camera
        self.error: Exception | None = None

    def __call__(self, image: ArrayLike) -> Shot | None:
        """Return the shot, or None."""
        try:
            return self._finder.shot(image, self._camera)
        except (ValueError, TypeError) as error:
            self.error = self.error or error
            return None


def follow(
    finder: PhaseFinder,
    images: Iterable[ArrayLike],
    prepare: Callable[[ArrayLike], Shot | None],
    near: FloatArray | None = None,
    *,
    fine: bool = True,
) -> Iterator[tuple[Phase | None, Fit | None]]:
    """Find the phase of one image after the other, each near the last trusted one.

    Where there are few sites in an image, the modes of their brightness are those of many images.
    `near` holds the offsets expected, (shots, 2), where they are known. An image that cannot be
    read has no phase.
    """
    shots: Iterable[Shot | None] = map(prepare, images)
    if finder.setup.inside.sum() < _FEW_SITES:
        ready = list(shots)
        finder, shots = _pooled(finder, [shot for shot in ready if shot is not None]), ready
    expected: Pair = (0.0, 0.0)
    for number, shot in enumerate(shots):
        if shot is None:
            yield None, None
            continue
        there = expected if near is None else as_pair(near[number])
        phase, fit = finder.fit(shot, there, fine=fine)
        if phase.trusted:
            expected = phase.offset
        yield phase, fit


def _pooled(finder: PhaseFinder, shots: Sequence[Shot]) -> PhaseFinder:
    """Return a finder that takes the modes of the brightness from many shots."""
    if len(shots) < 2:
        return finder
    try:
        pool = pool_of([shots[k] for k in spread(len(shots), _POOLED_SHOTS)])
    except ValueError:  # too few sites, or no light on them
        return finder
    return finder.pooled(pool.estimate) if pool.has_contrast else finder


def spread(count: int, most: int) -> NDArray[np.intp]:
    """Return at most some numbers below a count, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def make_track(phases: Sequence[Phase | None], times: FloatArray) -> PhaseTrack:
    """Return the track of shots whose phases are known; None stands for one without."""
    nothing = (np.nan, np.nan)
    measured = np.array([nothing if phase is None else phase.offset for phase in phases])
    stderr = np.array([nothing if phase is None else phase.stderr for phase in phases])
    contrast = np.array([0.0 if phase is None else phase.contrast for phase in phases])
    significance = np.array([0.0 if phase is None else phase.significance for phase in phases])
    trusted = np.array([phase is not None and phase.trusted for phase in phases])
    outlier, jitter = _outliers(measured, stderr, trusted)
    trusted &= ~outlier | (significance > _STRONG)
    offset = measured.copy()
    if trusted.any():
        for axis in (0, 1):
            offset[~trusted, axis] = np.interp(
                times[~trusted], times[trusted], measured[trusted, axis]
            )
        typical = np.median(stderr[trusted], axis=0)
        stderr[~trusted] = np.sqrt(typical**2 + jitter**2)
    else:
        offset[:] = np.nan
    return PhaseTrack(offset, stderr, measured, contrast, significance, trusted, outlier, times)


def _outliers(
    measured: FloatArray, stderr: FloatArray, trusted: BoolArray
) -> tuple[BoolArray, FloatArray]:
    """Return which trusted shots are far from their neighbours, and how much those scatter."""
    outlier = np.zeros(len(trusted), dtype=np.bool_)
    numbers = np.flatnonzero(trusted)
    if len(numbers) < 3:
        return outlier, np.zeros(2)
    places = measured[numbers]
    apart = np.empty_like(places)
    for k in range(len(numbers)):
        first = min(max(k - _NEIGHBOURS, 0), max(len(numbers) - 2 * _NEIGHBOURS - 1, 0))
        near = np.arange(first, min(first + 2 * _NEIGHBOURS + 1, len(numbers)))
        apart[k] = places[k] - np.median(places[near[near != k]], axis=0)
    jitter = 1.4826 * np.median(np.abs(apart), axis=0)
    limit = _OUTLYING * np.sqrt(np.maximum(jitter, _LEAST_JITTER) ** 2 + stderr[numbers] ** 2)
    outlier[numbers] = (np.abs(apart) > limit).any(axis=1)
    return outlier, jitter


def counted_images(images: ArrayLike | Iterable[ArrayLike]) -> Sequence[ArrayLike]:
    """Return images that have a number and can be gone through again, or raise."""
    shots: Any = checked_images(images)
    if not (hasattr(shots, "__len__") and hasattr(shots, "__getitem__")):
        shots = list(shots)
    if not len(shots):
        raise ValueError("expected images, found none")
    return shots


def checked_times(times: ArrayLike | None, count: int) -> FloatArray:
    """Return the times of the shots, or raise."""
    if times is None:
        return np.arange(count, dtype=np.float64)
    when = np.array(times, dtype=np.float64)
    if when.shape != (count,):
        raise ValueError(f"expected {count} times, one for each image, found shape {when.shape}")
    if not (np.isfinite(when).all() and (np.diff(when) > 0).all()):
        raise ValueError("expected finite, ascending times, found others")
    return when
