"""Lattice, PSF and frame together, and the adjustments of the first two that images ask for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from functools import cached_property
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.deconvolution import Deconvolver
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.misfit import NO_MISFIT, Misfit
from napari_coldatoms.lattice.optics import Optics, make_optics
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.snr import SignalToNoise

BoolArray = NDArray[np.bool_]
_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

LEAST_LIGHT = 0.05  # of a site's light in the frame, squared and summed, for it to count
_MOST_KEPT, _MOST_RATIOS = 4, 64


class Setup:
    """What all images of one lattice share; several threads may use it.

    Parameters
    ----------
    lattice, psf, image_shape, relative_brightness
        See `Reconstructor`.

    Attributes
    ----------
    optics : Optics
        Of the lattice and PSF as given.
    inside : (n,) bool array
        Sites whose centre and some of their light are in the frame.
    """

    def __init__(
        self,
        lattice: Lattice,
        psf: PSF,
        image_shape: tuple[int, int],
        relative_brightness: ArrayLike | None,
    ) -> None:
        self.lattice = lattice
        self._first = lattice  # wherever it is moved to
        self.psf = psf
        self.optics = make_optics(lattice, psf, image_shape)
        if relative_brightness is not None:
            self.optics = self.optics.with_relative_brightness(relative_brightness)
        self.image_shape = self.optics.image_shape
        self._adjusted: dict[Misfit, Optics] = {}
        self._ratios: dict[float, SignalToNoise] = {}
        self._lock = Lock()
        self.inside = self._find_inside()

    @cached_property
    def deconvolver(self) -> Deconvolver:
        """The deconvolution of images of this lattice."""
        return Deconvolver(self.lattice, self.psf, self.image_shape)

    @cached_property
    def dark_pixels(self) -> BoolArray:
        """Pixels that the sites' light does not reach."""
        light = self.optics.even_light
        dark: BoolArray = light < 1e-3 * light.max()
        return dark

    def signal_to_noise(self, width: float = 1.0) -> SignalToNoise:
        """Return the signal-to-noise ratio for a PSF wider by a factor; keeps the last ones."""

        def make() -> SignalToNoise:
            # the same for all places, whichever of them is the first to ask
            return SignalToNoise(self._first, self.psf.scaled(width))

        return self._keep(self._ratios, _MOST_RATIOS, width, make)

    def moved(self, offset: tuple[float, float]) -> Setup:
        """Return the same setup with the lattice elsewhere, (y, x) in px; shares what it can."""
        if offset == (0.0, 0.0):
            return self
        other = copy(self)
        other.lattice = self.lattice.shift(offset)
        other.optics = self._optics(Misfit(offset))
        other._adjusted = {}
        for name in ("deconvolver", "dark_pixels"):
            other.__dict__.pop(name, None)
        other.inside = other._find_inside()
        return other

    def with_relative_brightness(self, relative: ArrayLike) -> Setup:
        """Return the same setup for sites of unequal brightness, (n,) relative to the mean."""
        other = copy(self)
        other.optics = self.optics.with_relative_brightness(relative)
        other._adjusted = {}
        other.__dict__.pop("dark_pixels", None)
        return other

    def adjusted(self, misfit: Misfit) -> Optics:
        """Return the optics of lattice and PSF adjusted to a misfit; keeps the last ones."""
        if misfit == NO_MISFIT:
            return self.optics
        return self._keep(self._adjusted, _MOST_KEPT, misfit, lambda: self._optics(misfit))

    def _optics(self, misfit: Misfit) -> Optics:
        """Make the optics of lattice and PSF adjusted to a misfit."""
        lattice = self.lattice.shift(misfit.offset)
        if misfit.width == 1:
            optics = make_optics(lattice, self.psf, self.image_shape, like=self.optics)
        else:
            optics = make_optics(lattice, self.psf.scaled(misfit.width), self.image_shape)
        return optics.with_relative_brightness(self.optics.relative)

    def _find_inside(self) -> BoolArray:
        strength = self.optics.strength
        inside: BoolArray = self.lattice.inside(self.image_shape)
        inside &= strength > LEAST_LIGHT * strength.max()
        if not inside.any():
            places = self.lattice.positions
            raise ValueError(
                f"expected sites within a frame of {self.image_shape} pixels, found none: they lie "
                f"from {places.min(axis=0)} to {places.max(axis=0)} (y, x)"
            )
        return inside

    def _keep(
        self, kept: dict[_Key, _Value], most: int, key: _Key, make: Callable[[], _Value]
    ) -> _Value:
        """Return what was kept under a key, or make it; the oldest ones are dropped."""
        with self._lock:
            if key in kept:
                return kept[key]
        value = make()  # two threads may both do so, but neither waits for the other
        with self._lock:
            while len(kept) >= most:
                del kept[next(iter(kept))]
            kept[key] = value
        return value
