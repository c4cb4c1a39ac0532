"""The sub-pixel place of a lattice in one image: its phase.

Where neighbouring sites are not resolved, an image has hardly any light at the lattice's own
spatial frequencies. Its square has: of the image filtered as `spectrum` says, it is a pattern of
the lattice's period, whatever sites are occupied, and the phase of its Fourier component at a
reciprocal vector G tells the place of the sites. This needs no guess. From there, the
reconstructed occupation tells the place more precisely, as the shift that fits best.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.global_step import GlobalStep, global_step, site_prior
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.misfit import Misfit, fit_shift
from napari_coldatoms.lattice.preparation import (
    BadPixels,
    GlobalEstimator,
    make_shot,
    with_background_map,
)
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.spectrum import filtered, fit_power, fluctuations, transfer_function

FloatArray = NDArray[np.float64]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """Read noise (counts) and factor on the variance of the shot noise of a camera."""

    read_noise: float = 0.0
    excess_noise: float = 1.0


_ROUNDS = 2
_SETTLED = 0.02  # half widths of the PSF
_UNCLEAR = 20.0  # how much larger errors are for each expected error of the occupation
_STEP = 0.02  # px, between places for which the optics are made
_LEAST_SIGNIFICANCE = 4.5  # standard deviations
_STANDS_OUT = 1.3  # contrast over that at half a lattice step
_FARTHEST_STEP = 0.25  # spacings
_MOST_ERROR = 0.1  # spacings; beyond that errors of the reconstruction explode
_NOISE_PLACES = np.array([(a, b) for a in (-7, -5, -3, 3, 5, 7) for b in (-7, -5, -3, 3, 5, 7)])
_GRID = 0.25  # px, of trial offsets of arbitrary positions
_FARTHEST = 8.0  # px
_USUAL = Camera()


@dataclass(frozen=True, eq=False)
class Phase:
    """Where an image has the sites.

    Attributes
    ----------
    lattice : Lattice
        The lattice, moved to where the image has it.
    offset : (float, float)
        That place (y, x) relative to the given lattice's, in px. Of a regular lattice the shortest
        of all equivalent ones, or the one nearest to the place expected.
    stderr : (float, float)
        Standard error of the offset, in px.
    contrast : float
        Contrast ``(m1 - m0)² / (v0 + v1)`` of the two modes of the brightnesses there; 0 if
        nothing is to be seen.
    significance : float
        Height of the lattice's pattern over its noise, in standard deviations, along the direction
        where it is weaker.
    trusted : bool
        Whether the offset can be relied upon: the pattern is significant, there are two modes, and
        the offset is known to a tenth of the spacing.
    """

    lattice: Lattice
    offset: Pair
    stderr: Pair
    contrast: float
    significance: float
    trusted: bool


def find_phase(
    image: ArrayLike,
    lattice: Lattice,
    psf: PSF,
    *,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    bad_pixels: BadPixels = "auto",
) -> Phase:
    """Find where an image has the sites.

    The guess that `lattice` is may be off by any amount; of a regular lattice the place is found
    up to whole steps of it. Positions that are arbitrary are found up to the distance of nearest
    neighbours.

    Parameters
    ----------
    image : (y, x) array or DataArray
        Counts.
    lattice : Lattice
        The sites; vectors or arrangement must be right.
    psf : PSF
        Point spread function.
    read_noise, excess_noise, bad_pixels
        See `Reconstructor.reconstruct`.

    Returns
    -------
    Phase

    Raises
    ------
    ValueError
        If the image is not two-dimensional or has no finite pixel, or no site is in the frame.
    """
    shape = np.shape(image)
    if len(shape) != 2:
        raise ValueError(f"expected an image of shape (y, x), found shape {shape}")
    finder = PhaseFinder(lattice, psf, (shape[0], shape[1]))
    shot = finder.shot(image, Camera(read_noise, excess_noise), bad_pixels)
    return finder.fit(shot)[0]


@dataclass(frozen=True, eq=False)
class Fit:
    """What is in an image at a place near the one that fits best.

    Attributes
    ----------
    offset, stderr, contrast
        As of `Phase`.
    place : (float, float)
        Offset (y, x) for which the optics of the shot were made, in px.
    shot : Shot
        The image with the sites at that place, above a map of the background.
    probability : (n,) array
        Of the sites being occupied.
    """

    offset: Pair
    stderr: Pair
    contrast: float
    place: Pair
    shot: Shot
    probability: FloatArray


class PhaseFinder:
    """Finds the phase of images of one lattice; keeps what they share.

    Parameters
    ----------
    lattice, psf
        See `find_phase`.
    image_shape : (int, int)
        Rows and columns of the images.
    estimate : callable
        The global estimate of a shot: that of the shot alone, or of a pool of shots.
    """

    def __init__(
        self,
        lattice: Lattice,
        psf: PSF,
        image_shape: tuple[int, int],
        estimate: GlobalEstimator = global_step,
    ) -> None:
        self.setup = Setup(lattice, psf, image_shape, None)
        self._global = estimate
        self._transfer = transfer_function(psf, self.setup.image_shape)
        self._coarse = _coarse_finder(self.setup)
        area = lattice.site_area
        self._spacing = math.sqrt(area) if math.isfinite(area) else 4 * psf.hwhm

    def with_estimate(self, estimate: GlobalEstimator) -> PhaseFinder:
        """Return a finder with another global estimate."""
        other = copy(self)
        other._global = estimate
        return other

    def shot(
        self, image: ArrayLike, camera: Camera = _USUAL, bad_pixels: BadPixels = "auto"
    ) -> Shot:
        """Return an image with its bad pixels and a first background, see `find_phase`."""
        return make_shot(
            self.setup,
            image,
            background="auto",
            bad_pixels=bad_pixels,
            read_noise=camera.read_noise,
            excess_noise=camera.excess_noise,
            parameters=None,
        )

    def fit(self, shot: Shot, near: Pair = (0.0, 0.0)) -> tuple[Phase, Fit | None]:
        """Find the phase of a shot, and what is in the image there; None without contrast."""
        rest = fluctuations(shot.image[None])
        spectrum = fit_power(rest, self._transfer)
        coarse = self._coarse(filtered(rest, self._transfer, spectrum)[0] ** 2, near)
        found = self._refined(shot, coarse.offset)
        clear = found is not None
        if found is not None and coarse.significance < _LEAST_SIGNIFICANCE:
            found, clear = self._compared(shot, found, near)
        offset = coarse.offset if found is None else found.offset
        stderr = coarse.stderr if found is None else found.stderr
        phase = Phase(
            self.setup.lattice.shift(offset),
            offset,
            stderr,
            0.0 if found is None else found.contrast,
            coarse.significance,
            clear and max(stderr) < _MOST_ERROR * self._spacing,
        )
        return phase, found

    def _refined(self, shot: Shot, offset: Pair) -> Fit | None:
        """Return the place that suits the occupation found; None where there is no contrast."""
        found = None
        for _ in range(_ROUNDS):
            place = as_pair([round(round(value / _STEP) * _STEP, 6) for value in offset])
            there, step = self._estimate(shot, place)
            if step is None:
                return None
            there, step = with_background_map(self.setup, there, step, self._global)
            shot = shot.with_background(there.background)
            _, probability = local_step(there, step, site_prior(step, there))
            light = there.optics.image(probability)
            change, error = fit_shift(there.signal, there.good, light, 2 * self.setup.psf.hwhm)
            if not np.all(np.isfinite(change)):
                return None
            reach = _FARTHEST_STEP * self._spacing
            offset = as_pair(np.asarray(place) + np.clip(change, -reach, reach))
            unclear = np.minimum(probability, 1 - probability)[there.valid].mean()
            error *= 1 + _UNCLEAR * unclear
            found = Fit(offset, as_pair(error), step.mixture.contrast, place, there, probability)
            if np.abs(change).max() < _SETTLED * self.setup.psf.hwhm:
                break
        return found

    def _estimate(self, shot: Shot, place: Pair) -> tuple[Shot, GlobalStep | None]:
        """Return the shot with the sites at an offset, and its estimate if that has contrast."""
        there = replace(shot, optics=self.setup.adjusted(Misfit(place)))
        try:
            step = self._global(there)
        except ValueError:  # too few sites, or no light of theirs on good pixels
            return there, None
        return there, step if step.has_contrast else None

    def _compared(self, shot: Shot, found: Fit, near: Pair) -> tuple[Fit, bool]:
        """Compare a place with those half a lattice step away, where contrast is least.

        Returns the better one, and whether it stands out.
        """
        others = [
            as_pair(found.offset + 0.5 * vector)
            for vector in (self._coarse.vectors[0], self._coarse.vectors[1])
        ]
        contrasts = []
        for place in others:
            _, step = self._estimate(shot, place)
            contrasts.append(0.0 if step is None else step.mixture.contrast)
        most = int(np.argmax(contrasts))
        if contrasts[most] <= found.contrast:
            return found, found.contrast > _STANDS_OUT * contrasts[most]
        place = others[most]
        if self.setup.lattice.is_regular:
            place = as_pair(nearest_equivalent(np.array(place), self._coarse.vectors, near))
        better = self._refined(shot, place)
        if better is None:
            return found, False
        return better, better.contrast > _STANDS_OUT * found.contrast


@dataclass(frozen=True)
class _Coarse:
    offset: Pair
    stderr: Pair
    significance: float


def _coarse_finder(setup: Setup) -> _Periodic | _Comb:
    window = _window(setup)
    return _Periodic(setup, window) if setup.lattice.is_regular else _Comb(setup)


class _Periodic:
    """Finds the phase of a regular lattice from two Fourier components."""

    def __init__(self, setup: Setup, window: FloatArray) -> None:
        assert setup.lattice.vectors is not None
        self.vectors = reduced(setup.lattice.vectors)
        self._window = window
        origin = setup.lattice.origin
        assert origin is not None
        self._origin = np.array(origin)
        rows, columns = setup.image_shape
        self._y, self._x = np.arange(rows), np.arange(columns)
        used = window > 0.5 * window.max()
        # frequencies that differ by more than the width of a peak
        self._apart = _NOISE_PLACES / np.array(
            [max(int(used.any(axis=1 - axis).sum()), 8) for axis in (0, 1)]
        )

    def __call__(self, squares: FloatArray, near: Pair) -> _Coarse:
        pattern = self._window * (squares - np.average(squares, weights=self._window))
        reciprocal = np.linalg.inv(self.vectors).T
        parts, heights = np.empty(2), np.empty(2)
        for axis, vector in enumerate(reciprocal):
            component = self._component(pattern, vector)
            around = [abs(self._component(pattern, vector + step)) ** 2 for step in self._apart]
            noise = math.sqrt(0.5 * float(np.mean(around)))
            heights[axis] = abs(component) / max(noise, 1e-300)
            parts[axis] = -np.angle(component) / (2 * np.pi)
        place = parts @ self.vectors - self._origin
        offset = nearest_equivalent(place, self.vectors, near)
        errors = 1 / (2 * np.pi * np.maximum(heights, 0.3))
        stderr = np.sqrt(errors**2 @ self.vectors**2)
        return _Coarse(as_pair(offset), as_pair(stderr), float(heights.min()))

    def _component(self, pattern: FloatArray, vector: FloatArray) -> complex:
        down = np.exp(-2j * np.pi * vector[0] * self._y)
        across = np.exp(-2j * np.pi * vector[1] * self._x)
        return complex(np.einsum("i,i", np.einsum("i,ij", down, pattern), across))


class _Comb:
    """Finds the offset of arbitrary positions, where the squares there are largest."""

    def __init__(self, setup: Setup) -> None:
        self._positions = setup.lattice.positions[setup.inside]
        area = setup.lattice.site_area
        reach = min(0.5 * math.sqrt(area), _FARTHEST) if math.isfinite(area) else _FARTHEST
        self.vectors = 2 * reach * np.eye(2)
        count = max(math.ceil(reach / _GRID), 2)
        self._steps = _GRID * np.arange(-count, count + 1)

    def __call__(self, squares: FloatArray, near: Pair) -> _Coarse:
        grid = np.stack(np.meshgrid(self._steps, self._steps, indexing="ij"), axis=-1)
        places = self._positions[:, None, None] + grid + np.asarray(near)
        smooth = gaussian_filter(squares, 0.5)
        found = map_coordinates(smooth, np.moveaxis(places, -1, 0), order=1, mode="nearest")
        score = found.mean(axis=0)
        row, column = divmod(int(np.argmax(score)), score.shape[1])
        quiet = smooth[smooth <= np.quantile(smooth, 0.9)]
        noise = float(smooth.std()) / math.sqrt(len(self._positions))
        height = (float(score[row, column]) - float(quiet.mean())) / max(noise, 1e-300)
        offset = np.array([_peak(score[:, column], row), _peak(score[row], column)])
        offset = self._steps[0] + _GRID * offset + np.asarray(near)
        error = _GRID + 1 / max(height, 0.3)
        return _Coarse(as_pair(offset), (error, error), height)


def _peak(values: FloatArray, top: int) -> float:
    """Return the place of a maximum between samples."""
    if not 0 < top < len(values) - 1:
        return float(top)
    low, high = values[top - 1], values[top + 1]
    bend = low - 2 * values[top] + high
    return float(top + (0.5 * (low - high) / bend if bend < 0 else 0.0))


def _window(setup: Setup) -> FloatArray:
    """Return where in the frame the sites are, without their own pattern."""
    light = setup.optics.image(np.ones(len(setup.optics)))
    spacing = math.sqrt(min(setup.lattice.site_area, float(light.size)))
    smooth = gaussian_filter(light, spacing, mode="constant")
    return np.asarray(np.minimum(smooth / max(float(smooth.max()), 1e-300), 1.0))


def reduced(vectors: FloatArray) -> FloatArray:
    """Return the shortest two vectors of the same lattice (Gauss reduction), (2, 2)."""
    a, b = np.array(vectors, dtype=np.float64)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        steps = round(float(a @ b) / float(a @ a))
        if steps == 0:
            return np.array([a, b])
        b = b - steps * a


def nearest_equivalent(place: FloatArray, vectors: FloatArray, near: ArrayLike) -> FloatArray:
    """Return a place plus those lattice steps that bring it nearest to another, (2,).

    Parameters
    ----------
    place, near : (2,) arrays
        (y, x) in px.
    vectors : (2, 2) array
        Reduced lattice vectors.
    """
    rest = np.asarray(place) - np.asarray(near)
    rest = rest - np.rint(rest @ np.linalg.inv(vectors)) @ vectors
    steps = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)]) @ vectors
    return np.asarray(near + min(rest + steps, key=lambda each: float(each @ each)))


def as_pair(values: ArrayLike) -> Pair:
    """Return two numbers (y, x)."""
    y, x = np.asarray(values, dtype=np.float64)
    return float(y), float(x)
