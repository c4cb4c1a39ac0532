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

from napari_coldatoms.lattice.coarse_phase import Pair, as_pair, coarse_finder, nearest_equivalent
from napari_coldatoms.lattice.extent import best_step, likely_step, padded
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.global_step import (
    GlobalStep,
    first_regularisation,
    global_step,
    site_prior,
)
from napari_coldatoms.lattice.linear import precondition
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.misfit import Misfit, fit_light
from napari_coldatoms.lattice.preparation import (
    BadPixels,
    GlobalEstimator,
    make_shot,
    measure_shift,
    with_background_map,
)
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.setup import LEAST_LIGHT, Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.spectrum import (
    fluctuations,
    quick_fluctuations,
    sharpened,
    transfer_function,
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """Read noise (counts) and factor on the variance of the shot noise of a camera."""

    read_noise: float = 0.0
    excess_noise: float = 1.0


_ROUNDS = 2
_PADDING = 1  # sites; more of them, all empty, make weak shots weaker
_MOST_STEPS = 8  # to an equivalent place that holds more atoms
REACH = 2.0
"""Half widths of the PSF beyond the frame from where light of a site comes in."""
_SETTLED = 0.02  # half widths of the PSF
_STEP = 0.02  # px, between places for which the optics are made
_LEAST_SIGNIFICANCE = 4.8  # standard deviations
_STRONG = 8.0  # standard deviations, from where on a pattern tells the place by itself
_ROUGH = 0.1  # of the usual regularisation
_WORTH = 8.0  # standard deviations, of a contrast e times that at half a lattice step
_MOST_RATIO = 1.6  # that is believed, unless the contrast is above that of chance
_BY_CHANCE = 3.5  # contrast that a wrong place may have
_FARTHEST_STEP = 0.25  # spacings
_MOST_ERROR = 0.1  # spacings; beyond that errors of the reconstruction explode
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
        of all equivalent ones, if no other one holds more atoms.
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

    The guess that `lattice` is may be off by any amount: of a regular lattice the place is found up
    to whole steps of it, and of those the one that holds the most atoms. Arbitrary positions are
    found within half the distance of nearest neighbours.

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
        Of the sites being occupied, those around the lattice included.
    clarity : float
        To be compared with that at other places: the contrast, or where that is of many shots,
        how well the sites' light explains this one.
    """

    offset: Pair
    stderr: Pair
    contrast: float
    place: Pair
    shot: Shot
    probability: FloatArray
    clarity: float


class PhaseFinder:
    """Finds the phase of images of one lattice; keeps what they share.

    Around a regular lattice, more sites are looked at: where the guess is off by more than half a
    site, the outermost atoms are not where it has sites.

    Parameters
    ----------
    lattice, psf
        See `find_phase`.
    image_shape : (int, int)
        Rows and columns of the images.
    estimate : callable
        The global estimate of a shot: that of the shot alone, or of a pool of shots.

    Attributes
    ----------
    setup : Setup
        With the sites around the lattice.
    """

    def __init__(
        self,
        lattice: Lattice,
        psf: PSF,
        image_shape: tuple[int, int],
        estimate: GlobalEstimator = global_step,
    ) -> None:
        self._lattice = lattice
        around = lattice
        if lattice.is_regular:
            around = padded(lattice, image_shape, _PADDING, REACH * psf.hwhm)
        self.setup = Setup(around, psf, image_shape, None)
        self._global = estimate
        self._clarity = _contrast
        self._transfer = transfer_function(psf, self.setup.image_shape)
        self._coarse = coarse_finder(self.setup)
        area = lattice.site_area
        self._spacing = math.sqrt(area) if math.isfinite(area) else 4 * psf.hwhm

    def pooled(self, estimate: GlobalEstimator) -> PhaseFinder:
        """Return a finder with a global estimate whose modes are those of many shots."""
        other = copy(self)
        other._global = estimate
        other._clarity = _explained
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

    def fit(
        self, shot: Shot, near: Pair = (0.0, 0.0), *, fine: bool = True
    ) -> tuple[Phase, Fit | None]:
        """Find the phase of a shot, and what is in the image there; None without contrast.

        Unless a fine phase is wanted, the pattern alone will do where it is strong, if the light
        outside of the lattice leaves no doubt which of the equivalent places is right. Then there
        is no fit, and the contrast is NaN.
        """
        if not fine and self._lattice.is_regular:
            quick = self._quick(shot, near)
            if quick is not None:
                return quick, None
        rest = fluctuations(shot.image[None])[0]
        coarse = self._coarse(sharpened(rest, self._transfer) ** 2, near)
        found = self._refined(shot, coarse.offset)
        clear = found is not None
        if found is not None and coarse.significance < _LEAST_SIGNIFICANCE:
            found, ratio = self._compared(shot, found, near)
            evidence = coarse.significance + _WORTH * math.log(max(ratio, 1e-9))
            clear = evidence > _LEAST_SIGNIFICANCE
        if found is not None and clear and self._lattice.is_regular:
            found = self._with_most_atoms(shot, found)
        offset = coarse.offset if found is None else found.offset
        stderr = coarse.stderr if found is None else found.stderr
        phase = Phase(
            self._lattice.shift(offset),
            offset,
            stderr,
            0.0 if found is None else found.contrast,
            coarse.significance,
            clear and max(stderr) < _MOST_ERROR * self._spacing,
        )
        return phase, found

    def _quick(self, shot: Shot, near: Pair) -> Phase | None:
        """Return the phase by the pattern alone, if that is strong and there is no doubt."""
        rest = quick_fluctuations(shot.image)
        coarse = self._coarse(sharpened(rest, self._transfer) ** 2, near)
        if coarse.significance < _STRONG or max(coarse.stderr) > _MOST_ERROR * self._spacing:
            return None
        offset = self._likely(shot, coarse.offset)
        if offset is None:
            return None
        there = self._lattice.shift(offset)
        return Phase(there, offset, coarse.stderr, math.nan, coarse.significance, True)

    def _likely(self, shot: Shot, offset: Pair) -> Pair | None:
        """Return the equivalent place that holds the most light, if that is clear."""
        assert self._lattice.vectors is not None
        for _ in range(_MOST_STEPS):
            light = self._rough_light(shot, offset)
            step = likely_step(self._lattice, self.setup.lattice, _PADDING, light)
            if step is None or not step.any():
                return None if step is None else offset
            offset = as_pair(np.array(offset) + step @ self._lattice.vectors)
        return None

    def _rough_light(self, shot: Shot, offset: Pair) -> FloatArray:
        """Return about how bright the sites are at an offset, 0 outside of the frame.

        The image is moved by whole pixels, so that the sites need not be. Hardly regularised: the
        noise of single sites is of no account in the sum over a row of them.
        """
        optics = self.setup.optics
        signal, good = _moved(shot.signal, offset), _moved(shot.good, offset)
        weights = optics.site_weights(good)
        seen = self.setup.inside & (weights > LEAST_LIGHT)
        there = replace(shot, image=signal, background=np.zeros_like(signal), good=good)
        level = there.mean_brightness()
        rest = good * (signal - level * optics.even_light)
        found = precondition(
            optics,
            optics.relative * np.sqrt(weights),
            optics.collect(rest),
            shift=_ROUGH * first_regularisation(shot, rest),
        )
        return np.where(seen, level + found, 0.0)

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
            change, error = measure_shift(self.setup, there, probability)
            if not np.all(np.isfinite(change)):
                return None
            reach = _FARTHEST_STEP * self._spacing
            offset = as_pair(np.asarray(place) + np.clip(change, -reach, reach))
            contrast, clarity = step.mixture.contrast, self._clarity(there, step)
            found = Fit(offset, as_pair(error), contrast, place, there, probability, clarity)
            if np.abs(change).max() < _SETTLED * self.setup.psf.hwhm:
                break
        return found

    def _with_most_atoms(self, shot: Shot, found: Fit) -> Fit:
        """Return the fit at the equivalent place where the lattice holds the most atoms."""
        assert self._lattice.vectors is not None
        for _ in range(_MOST_STEPS):
            occupied = found.shot.valid & (found.probability > 0.5)
            step = best_step(self._lattice, self.setup.lattice, _PADDING, occupied)
            if not step.any():
                break
            there = as_pair(np.array(found.offset) + step @ self._lattice.vectors)
            again = self._refined(shot, there)
            if again is None:
                break
            found = again
        return found

    def _estimate(self, shot: Shot, place: Pair) -> tuple[Shot, GlobalStep | None]:
        """Return the shot with the sites at an offset, and its estimate if that has contrast."""
        there = replace(shot, optics=self.setup.adjusted(Misfit(place)))
        try:
            step = self._global(there)
        except ValueError:  # too few sites, or no light of theirs on good pixels
            return there, None
        return there, step if step.has_contrast else None

    def _compared(self, shot: Shot, found: Fit, near: Pair) -> tuple[Fit, float]:
        """Compare a place with those half a lattice step away, where all is least clear.

        Returns the better one, and its clarity over that of the next one.
        """
        others = [
            as_pair(found.offset + 0.5 * vector)
            for vector in (self._coarse.vectors[0], self._coarse.vectors[1])
        ]
        clear = []
        for place in others:
            there, step = self._estimate(shot, place)
            clear.append(0.0 if step is None else self._clarity(there, step))
        most = int(np.argmax(clear))
        if clear[most] <= found.clarity:
            return found, _believed(found.clarity / max(clear[most], 1e-9), found)
        place = others[most]
        if self.setup.lattice.is_regular:
            place = as_pair(nearest_equivalent(np.array(place), self._coarse.vectors, near))
        better = self._refined(shot, place)
        if better is None:
            return found, 0.0
        return better, _believed(better.clarity / max(found.clarity, 1e-9), better)


def _moved(image: FloatArray, offset: Pair) -> FloatArray:
    """Return an image in which the sites are where they were without an offset; 0 beyond it."""
    rows, columns = image.shape
    y, x = (min(max(round(value), -n), n) for value, n in zip(offset, image.shape, strict=True))
    moved = np.zeros_like(image)
    moved[max(-y, 0) : rows - max(y, 0), max(-x, 0) : columns - max(x, 0)] = image[
        max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)
    ]
    return moved


def _believed(ratio: float, found: Fit) -> float:
    return min(ratio, max(_MOST_RATIO, found.contrast / _BY_CHANCE))


def _contrast(shot: Shot, step: GlobalStep) -> float:
    return step.mixture.contrast


def _explained(shot: Shot, step: GlobalStep) -> float:
    """Return the inverse of what is left of a shot without the light of the sites."""
    light = shot.optics.image(step.mixture.probability(step.brightness))
    brightness, level = fit_light(shot.signal, shot.good, light)
    rest = shot.good * (shot.signal - level - max(brightness, 0.0) * light) ** 2
    return 1 / max(float(rest.sum()), 1e-300)
