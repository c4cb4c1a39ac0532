"""Samples of clouds: raw triplets, see `clouds.simulate` for their truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from xarray import DataArray

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate import Fringe, probe_light, simulate_triplet
from napari_coldatoms.images.stack import make_stack

if TYPE_CHECKING:
    from napari.types import LayerData

BOLTZMANN = 1.380649e-23  # J/K
GRAVITY = 9.81  # m/s²
RB87_MASS = 1.443160648e-25  # kg
RB87_WAVELENGTH = 780.241209686e-9  # m, the D2 line


def single_cloud() -> DataArray:
    """Return one round MOT in a clean beam: a raw triplet, dims (frame, y, x), 5 um pixels."""
    mot = Gaussian2D(x0=268.0, y0=241.0, wx=72.0, wy=58.0, theta=0.35, peak=1.4, background=0.0)
    return simulate_triplet(
        [mot],
        labels=["MOT"],
        probe_level=3000.0,
        gain=1.2,
        power_ratio=0.985,
        fringes=[Fringe(0.008, 55.0, angle=0.9, phase=1.0)],
        vignette=0.3,
        structure=0.10,
        dust=3,
        pixel_size=5.0,
        name="single cloud",
        rng=20110536,
    )


def mot_and_odt() -> DataArray:
    """Return a dense dipole trap and the faint rest of its MOT below, under strong fringes.

    A raw triplet, dims (frame, y, x), 5 um pixels; labels MOT and ODT, whose boxes overlap.
    """
    mot = Gaussian2D(x0=192.0, y0=312.0, wx=104.0, wy=92.0, theta=-0.5, peak=0.40, background=0.0)
    odt = Gaussian2D(x0=312.0, y0=190.0, wx=84.0, wy=11.0, theta=0.6, peak=1.6, background=0.0)
    return simulate_triplet(
        [mot, odt],
        labels=["MOT", "ODT"],
        probe_level=2200.0,
        gain=1.0,
        power_ratio=1.02,
        fringes=[
            Fringe(0.030, 46.0, angle=0.6, phase=0.4),
            Fringe(0.020, 11.0, angle=2.1, phase=2.0),
            Fringe(0.015, 95.0, angle=1.4, phase=4.0),
        ],
        vignette=0.45,
        structure=0.14,
        dust=6,
        pixel_size=5.0,
        name="MOT and ODT",
        rng=20110537,
    )


def time_of_flight() -> DataArray:
    """Return ten shots of a thermal Rb-87 cloud that falls and expands, 2 to 20 ms long.

    A raw stack, dims (shot, frame, y, x), 6 um pixels, y pointing down, with the coordinate
    ``time_of_flight`` (s) along shot. The widths are ``σ² = σ0² + (k_B T / m) t²`` and the centre
    falls by ``g t² / 2``. The truth holds temperature (K), mass (kg), gravity (m/s²), sigma0_x and
    sigma0_y (m), cross_section (m²), atom_number of each shot, and under ``shots`` the truth of
    each triplet.
    """
    times = np.linspace(2e-3, 20e-3, 10)
    temperature, sigma0_x, sigma0_y, pixel = 1.0e-6, 60e-6, 25e-6, 6e-6
    shape, start = (512, 320), (40.0, 158.0)
    cross_section = 3 * RB87_WAVELENGTH**2 / (2 * np.pi)
    rng = np.random.default_rng(20110538)
    light = probe_light(shape, vignette=0.25, structure=0.11, dust=4, rng=rng)
    fringes = (Fringe(0.008, 60.0, angle=1.1), Fringe(0.005, 13.0, angle=0.3))
    atom_numbers = 1.3e5 * (1 + 0.03 * rng.standard_normal(len(times)))
    shots = []
    for t, number in zip(times, atom_numbers, strict=True):
        expansion = BOLTZMANN * temperature / RB87_MASS * t**2
        sigma_x, sigma_y = np.sqrt(sigma0_x**2 + expansion), np.sqrt(sigma0_y**2 + expansion)
        cloud = Gaussian2D(
            x0=start[1],
            y0=start[0] + GRAVITY * t**2 / 2 / pixel,
            wx=float(2 * sigma_x / pixel),
            wy=float(2 * sigma_y / pixel),
            theta=0.0,
            peak=float(number * cross_section / (2 * np.pi * sigma_x * sigma_y)),
            background=0.0,
        )
        drifted = [replace(f, phase=float(rng.uniform(0, 2 * np.pi))) for f in fringes]
        shots.append(
            simulate_triplet(
                [cloud],
                labels=["cloud"],
                shape=shape,
                light=light,
                probe_level=3000.0,
                gain=1.0,
                power_ratio=float(rng.uniform(0.97, 1.03)),
                fringes=drifted,
                rng=rng,
            )
        )
    truth = {
        "temperature": temperature,
        "mass": RB87_MASS,
        "gravity": GRAVITY,
        "sigma0_x": sigma0_x,
        "sigma0_y": sigma0_y,
        "cross_section": cross_section,
        "atom_number": [float(number) for number in atom_numbers],
        "shots": [shot.attrs["truth"] for shot in shots],
    }
    return make_stack(
        np.stack([shot.to_numpy() for shot in shots]),
        roles=[str(role) for role in shots[0]["frame"].values],
        name="time of flight",
        pixel_size=pixel * 1e6,
        coords={"time_of_flight": ("shot", times, {"units": "s"})},
        attrs={**shots[0].attrs, "truth": truth},
    )


def single_cloud_layers() -> list[LayerData]:
    """Return `single_cloud` as napari layers: raw frames (hidden) and the optical depth."""
    return _layers(single_cloud)


def mot_and_odt_layers() -> list[LayerData]:
    """Return `mot_and_odt` as napari layers: raw frames (hidden) and the optical depth."""
    return _layers(mot_and_odt)


def time_of_flight_layers() -> list[LayerData]:
    """Return `time_of_flight` as napari layers: raw frames (hidden) and the optical depth."""
    return _layers(time_of_flight)


def _layers(sample: Callable[[], DataArray]) -> list[LayerData]:
    from napari_coldatoms.readers.layers import stack_layers

    return stack_layers(sample())
