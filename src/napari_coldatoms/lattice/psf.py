"""Point spread functions, and their light in whole pixels.

All lengths are in pixels. A point spread function is a frozen object with a half width at half
maximum `hwhm`, a `cutoff` beyond which the projection matrix takes no light, and `integrate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.surface import Surface, pixel_edges

FloatArray = NDArray[np.float64]

_FIRST_ZERO = 3.8317059702075125  # of the Bessel function J1
_SECOND_ZERO = 7.015586669815619
_HALF_MAXIMUM = 1.616339948310703  # where (2 J1(v) / v)² is a half
_SAMPLES_PER_RADIUS = 16  # of the table of an Airy pattern


@runtime_checkable
class PSF(Protocol):
    """What a point spread function offers."""

    @property
    def hwhm(self) -> float:
        """Half width at half maximum (px)."""
        ...

    @property
    def cutoff(self) -> float:
        """Distance from the site beyond which the light is neglected (px)."""
        ...

    def integrate(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the light in each pixel of patches around the sites.

        Parameters
        ----------
        offsets : (k, 2) array
            Place (y, x) of each site from the centre of the patch's central pixel, within
            [-0.5, 0.5] px.
        half : int
            The patch reaches this many pixels from its central one.

        Returns
        -------
        (k, 2 * half + 1, 2 * half + 1) array
            Parts of a total light of 1, not cut off.
        """
        ...

    def scaled(self, factor: float) -> PSF:
        """Return the same PSF, wider by a factor."""
        ...


@dataclass(frozen=True, init=False)
class GaussianPSF:
    """A Gaussian, ``exp(-r² / 2σ²)`` with ``σ = hwhm / sqrt(2 ln 2)``.

    Parameters
    ----------
    hwhm : float
        Half width at half maximum (px).
    cutoff : float, optional
        Where the light is cut off (px); default three times the half width.

    Raises
    ------
    ValueError
        If a length is not positive and finite.
    """

    hwhm: float
    cutoff: float

    def __init__(self, hwhm: float, cutoff: float | None = None) -> None:
        hwhm = _length(hwhm, "hwhm")
        object.__setattr__(self, "hwhm", hwhm)
        object.__setattr__(self, "cutoff", _length(3 * hwhm if cutoff is None else cutoff))

    @property
    def sigma(self) -> float:
        """Standard deviation along y and along x (px)."""
        return self.hwhm / math.sqrt(2 * math.log(2))

    def integrate(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the light in each pixel of patches around the sites, see `PSF.integrate`."""
        from scipy.special import erf

        y, x = pixel_edges(offsets, half)
        scale = 1 / (self.sigma * math.sqrt(2))
        along_y = np.diff(0.5 * erf(y * scale), axis=1)
        along_x = np.diff(0.5 * erf(x * scale), axis=1)
        light: FloatArray = along_y[:, :, None] * along_x[:, None, :]
        return light

    def scaled(self, factor: float) -> GaussianPSF:
        """Return the same PSF, wider by a factor."""
        return GaussianPSF(self.hwhm * factor, self.cutoff * factor)


@dataclass(frozen=True, init=False)
class AiryPSF:
    """An Airy pattern, ``(2 J1(v) / v)²`` with ``v = 3.8317 r / radius``.

    Parameters
    ----------
    radius : float
        Radius of the first dark ring (px): 0.61 wavelength / NA times the magnification over the
        pixel pitch.
    cutoff : float, optional
        Where the light is cut off (px); default the second dark ring, which holds 91 % of it.

    Raises
    ------
    ValueError
        If a length is not positive and finite.
    """

    radius: float
    cutoff: float

    def __init__(self, radius: float, cutoff: float | None = None) -> None:
        radius = _length(radius, "radius")
        object.__setattr__(self, "radius", radius)
        second = radius * _SECOND_ZERO / _FIRST_ZERO
        object.__setattr__(self, "cutoff", _length(second if cutoff is None else cutoff))

    @property
    def hwhm(self) -> float:
        """Half width at half maximum (px)."""
        return self.radius * _HALF_MAXIMUM / _FIRST_ZERO

    def integrate(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the light in each pixel of patches around the sites, see `PSF.integrate`."""
        return _airy_surface(self.radius, half + 1).in_pixels(offsets, half)

    def scaled(self, factor: float) -> AiryPSF:
        """Return the same PSF, wider by a factor."""
        return AiryPSF(self.radius * factor, self.cutoff * factor)


@dataclass(frozen=True, init=False, eq=False)
class SampledPSF:
    """A measured or computed point spread function on a grid finer than the pixels.

    Between its samples it is a cubic spline, outside of the array it is zero.

    Parameters
    ----------
    array : (odd, odd) array
        Light per area at the grid points; the middle one is the site's place. Any scale: it is
        normalised to a total light of 1.
    oversampling : float
        Grid points per pixel.
    cutoff : float, optional
        Where the light is cut off (px); default the largest circle within the array.
    pixel_integrated : bool
        Whether a value is the light that a whole pixel around that grid point gets, as in a mean
        over the images of single atoms, rather than that at the point itself.

    Raises
    ------
    ValueError
        If the array is not two-dimensional with odd sizes of at least 5, holds values that are not
        finite, or no light in all; if a length is not positive and finite.
    """

    array: FloatArray
    oversampling: float
    cutoff: float
    pixel_integrated: bool
    _surface: Surface = field(init=False, repr=False)
    _hwhm: float = field(init=False, repr=False)

    def __init__(
        self,
        array: ArrayLike,
        oversampling: float,
        cutoff: float | None = None,
        *,
        pixel_integrated: bool = False,
    ) -> None:
        samples = np.array(array, dtype=np.float64)
        if samples.ndim != 2 or min(samples.shape) < 5 or not all(n % 2 for n in samples.shape):
            raise ValueError(
                f"expected an array of two odd sizes of at least 5, with the site in the middle, "
                f"found shape {samples.shape}"
            )
        if not np.all(np.isfinite(samples)):
            raise ValueError("expected finite values of the PSF, found some that are not")
        oversampling = _length(oversampling, "oversampling")
        total = Surface.through(samples, 1 / oversampling).total()
        if not total > 0:
            raise ValueError(f"expected a PSF of positive total light, found {total:g}")
        samples /= total
        samples.setflags(write=False)
        surface = Surface.through(samples, 1 / oversampling)
        inner = (min(samples.shape) - 1) / 2 / oversampling
        object.__setattr__(self, "array", samples)
        object.__setattr__(self, "oversampling", oversampling)
        object.__setattr__(self, "cutoff", _length(inner if cutoff is None else cutoff))
        object.__setattr__(self, "pixel_integrated", bool(pixel_integrated))
        object.__setattr__(self, "_surface", surface)
        object.__setattr__(self, "_hwhm", surface.half_width(inner))

    @property
    def hwhm(self) -> float:
        """Half width at half maximum (px), of the mean over all directions."""
        return self._hwhm

    def integrate(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the light in each pixel of patches around the sites, see `PSF.integrate`."""
        if self.pixel_integrated:
            return self._surface.at_pixels(offsets, half)
        return self._surface.in_pixels(offsets, half)

    def scaled(self, factor: float) -> SampledPSF:
        """Return the same PSF, wider by a factor."""
        return SampledPSF(
            self.array,
            self.oversampling / factor,
            self.cutoff * factor,
            pixel_integrated=self.pixel_integrated,
        )


@lru_cache(maxsize=8)
def _airy_surface(radius: float, reach: int) -> Surface:
    """Return a spline of the Airy pattern of total light 1, out to `reach` px and a little more."""
    from scipy.special import j1

    step = radius / _SAMPLES_PER_RADIUS
    count = math.ceil(reach / step) + 4
    grid = step * np.arange(-count, count + 1)
    v = np.hypot(grid[:, None], grid[None, :]) * (_FIRST_ZERO / radius)
    v[count, count] = 1.0
    pattern = (2 * j1(v) / v) ** 2
    pattern[count, count] = 1.0
    pattern *= _FIRST_ZERO**2 / (4 * np.pi * radius**2)
    return Surface.through(pattern, step, degree=5)


def _length(value: float, name: str = "cutoff") -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"expected a positive, finite {name}, found {value}")
    return float(value)
