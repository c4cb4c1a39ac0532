"""Simulated shots of one lattice, each displaced, for the tests of calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice import GaussianPSF, Lattice, simulate


@dataclass(frozen=True, eq=False)
class Shots:
    """Images (shots, y, x), occupations (shots, n), and where the sites are in each (shots, 2)."""

    lattice: Lattice
    psf: GaussianPSF
    images: NDArray[np.float64]
    occupied: NDArray[np.bool_]
    offset: NDArray[np.float64]


def _shots(
    lattice: Lattice,
    hwhm: float,
    offsets: ArrayLike | float,
    *,
    count: int = 8,
    occupancy: float | NDArray[np.bool_] = 0.5,
    brightness: float | NDArray[np.float64] = 1000.0,
    background: float | NDArray[np.float64] = 50.0,
    shape: tuple[int, int] | None = None,
    seed: int = 0,
) -> Shots:
    rng = np.random.default_rng(seed)
    psf = GaussianPSF(hwhm)
    places = np.asarray(offsets, dtype=np.float64)
    if places.ndim == 0:
        places = rng.uniform(-places, places, (count, 2))
    truths = [
        simulate(
            lattice.shift(place),
            psf,
            image_shape=shape or lattice.frame_shape(3 * hwhm),
            occupancy=occupancy,
            brightness=brightness,
            brightness_sd=0.1 * float(np.mean(brightness)),
            background=background,
            read_noise=2.0,
            rng=rng,
        )
        for place in places
    ]
    images = np.array([truth.image for truth in truths])
    return Shots(lattice, psf, images, np.array([truth.occupied for truth in truths]), places)


@pytest.fixture(scope="session")
def make_shots() -> Callable[..., Shots]:
    """Return a function (lattice, hwhm, offsets or their largest, ...) that simulates shots.

    The brightness scatters by 10 %, the read noise is 2 counts.
    """
    return _shots
