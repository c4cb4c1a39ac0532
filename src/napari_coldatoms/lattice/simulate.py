"""Simulated images of the sites, with the truth they were made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice, checked_image_shape
from napari_coldatoms.lattice.projection import patches
from napari_coldatoms.lattice.psf import PSF


@dataclass(frozen=True, eq=False)
class Simulation:
    """A simulated image and its truth.

    Attributes
    ----------
    image : (y, x) float64 array
        Counts, background included.
    occupied : (n,) bool array
        Which sites hold an atom.
    brightness : (n,) float64 array
        Light of each site, in counts; 0 where it is empty.
    """

    image: NDArray[np.float64]
    occupied: NDArray[np.bool_]
    brightness: NDArray[np.float64]


def simulate(
    lattice: Lattice,
    psf: PSF,
    *,
    image_shape: tuple[int, int],
    occupancy: float | ArrayLike,
    brightness: float | ArrayLike,
    brightness_sd: float,
    background: float | ArrayLike,
    read_noise: float,
    excess_noise: float = 1.0,
    rng: np.random.Generator | int | None = None,
) -> Simulation:
    """Return a simulated image of the sites, ``y = M x + k + noise``.

    Each occupied site sends out a normally distributed brightness, clipped at 0. The shot noise
    is Poissonian, the read noise normal (Cheneau et al. 2025, arXiv:2502.08511, Sec. II).

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function, cut off as in `projection`.
    image_shape : (int, int)
        Rows and columns.
    occupancy : float or (n,) bool array
        Probability that a site is occupied, or which ones are.
    brightness : float or (n,) array
        Mean brightness µ of occupied sites, in counts.
    brightness_sd : float
        Its standard deviation σ.
    background : float or (y, x) array
        Background k, in counts per pixel.
    read_noise : float
        Standard deviation of the read noise, in counts per pixel.
    excess_noise : float
        Factor F on the variance of the shot noise. With F > 1 each electron that the light sets
        free is multiplied by an exponential law or a power of it: n of them give a gamma
        distribution of shape n / (F - 1) and scale F - 1, of mean n. F = 2 is the statistics of
        an electron-multiplying register of high gain.
    rng : numpy.random.Generator or int, optional
        Random generator or seed; a seed gives the same image, bit by bit.

    Raises
    ------
    ValueError
        If a value is not finite or out of its range, or an array has the wrong shape.
    """
    shape = checked_image_shape(image_shape)
    rng = np.random.default_rng(rng)
    count = len(lattice)
    mean = _checked(brightness, (count,), "brightness")
    spread = _checked(brightness_sd, (), "brightness_sd")
    offset = _checked(background, shape, "background")
    noise = _checked(read_noise, (), "read_noise")
    excess = float(_checked(excess_noise, (), "excess_noise"))
    if excess < 1:
        raise ValueError(f"expected an excess_noise of at least 1, found {excess}")
    occupied = _occupation(occupancy, count, rng)
    draws = np.maximum(rng.normal(mean, spread, count), 0.0)
    light = np.where(occupied, draws, 0.0)
    # a measured PSF may have dips below zero
    expected = np.maximum(patches(lattice, psf, shape).image(light) + offset, 0.0)
    image = rng.poisson(expected).astype(np.float64)
    if excess > 1:
        image = rng.standard_gamma(image / (excess - 1)) * (excess - 1)
    if noise > 0:
        image += rng.normal(0.0, noise, shape)
    return Simulation(image, occupied, light)


def _occupation(
    occupancy: float | ArrayLike, count: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which sites are occupied, drawn or given."""
    given = np.asarray(occupancy)
    if given.ndim == 0 and given.dtype != np.bool_:
        probability = float(given)
        if not 0 <= probability <= 1:
            raise ValueError(f"expected an occupancy between 0 and 1, found {probability}")
        return rng.random(count) < probability
    if given.dtype != np.bool_ or given.shape != (count,):
        raise ValueError(
            f"expected a probability, or a boolean array that says which of {count} sites are "
            f"occupied, found {given.dtype} of shape {given.shape}"
        )
    return given.copy()


def _checked(value: float | ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Return a scalar or an array of the given shape, finite and not negative, or raise."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), shape):
        allowed = f"a number or shape {shape}" if shape else "a number"
        raise ValueError(f"expected {name} as {allowed}, found shape {array.shape}")
    if not (np.all(np.isfinite(array)) and np.all(array >= 0)):
        raise ValueError(f"expected {name} to be finite and at least 0, found other values")
    return array
