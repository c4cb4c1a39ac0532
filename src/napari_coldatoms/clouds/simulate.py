"""Simulated raw camera frames of cold clouds, with the truth they were made from.

A frame is made in the order the light takes: the light on the camera (`exposure.probe_light`,
`exposure.Fringe`), what the atoms take away from it or add to it, and the camera itself
(`exposure.Camera`). A further effect is one more factor on the light or term of the optical
depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xarray import DataArray

from napari_coldatoms.clouds.exposure import (
    Camera,
    Fringe,
    Picture,
    Seed,
    log_uniform,
    optical_depth_noise,
    probe_light,
    random_fringes,
)
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.images.stack import make_stack

__all__ = [
    "Camera",
    "Fringe",
    "optical_depth_noise",
    "probe_light",
    "random_empty_triplet",
    "random_fringes",
    "random_gaussian",
    "simulate_fluorescence",
    "simulate_triplet",
]


def simulate_triplet(
    clouds: Sequence[Gaussian2D],
    *,
    shape: tuple[int, int] = (512, 512),
    probe_level: float = 2000.0,
    gain: float = 0.5,
    dark_offset: float = 100.0,
    read_noise: float = 3.0,
    power_ratio: float = 1.0,
    fringes: int | Sequence[Fringe] = (),
    vignette: float = 0.0,
    structure: float = 0.0,
    dust: int = 0,
    light: Picture | None = None,
    bits: int = 16,
    noise: bool = True,
    pixel_size: float | tuple[float, float] | None = None,
    labels: Sequence[str] | None = None,
    name: str = "simulated triplet",
    rng: Seed = None,
) -> DataArray:
    """Return a raw absorption triplet: ``atoms = probe * power_ratio * exp(-OD)``.

    Parameters
    ----------
    clouds : sequence of Gaussian2D
        Positions and 1/e² radii in pixels, peaks in optical depth; their models add up.
    shape : (int, int)
        Rows and columns of a frame.
    probe_level : float
        Mean of the probe light over the frame, in counts above the dark level.
    gain, dark_offset, read_noise, bits
        The camera, see `Camera`.
    power_ratio : float
        Probe power of the atoms frame over that of the probe frame.
    fringes : int or sequence of Fringe
        Fringe systems, or how many to draw at random.
    vignette, structure, dust
        The probe beam, common to both frames, see `probe_light`.
    light : (y, x) array, optional
        A beam to use in their place, relative to its mean; shots of one scan share it.
    noise : bool
        False leaves shot and read noise out; the frames are still quantised.
    pixel_size : float or (float, float), optional
        Pixel size (dy, dx) in the object plane, in um.
    labels : sequence of str, optional
        One label per cloud; default ``"cloud"``.
    name : str
        Name of the stack.
    rng : numpy.random.Generator or int, optional
        Random generator or seed; a seed gives the same frames, bit by bit.

    Returns
    -------
    DataArray
        uint16, dims (frame, y, x), roles atoms, probe, dark. ``attrs["truth"]`` holds the
        clouds (label, parameters and 1/e² box in pixels), fringes, power ratio and camera.
    """
    rng = np.random.default_rng(rng)
    camera = Camera(gain, dark_offset, read_noise, bits)
    if light is None:
        light = probe_light(shape, vignette=vignette, structure=structure, dust=dust, rng=rng)
    elif light.shape != tuple(shape):
        raise ValueError(f"expected light of shape {tuple(shape)}, found {light.shape}")
    systems = random_fringes(rng, fringes) if isinstance(fringes, int) else tuple(fringes)
    atoms, probe = probe_level * power_ratio * light, probe_level * light
    for fringe in systems:
        atoms, probe = atoms * fringe.factor(shape, moved=True), probe * fringe.factor(shape)
    atoms = atoms * np.exp(-_sum_of(clouds, shape))
    frames = [camera.expose(mean, rng, noise) for mean in (atoms, probe, np.zeros(shape))]
    truth = {
        **_truth(clouds, labels, camera),
        "power_ratio": float(power_ratio),
        "probe_level": float(probe_level),
        "fringes": [asdict(fringe) for fringe in systems],
    }
    return _raw_stack(frames, ("atoms", "probe", "dark"), camera, truth, name, pixel_size)


def simulate_fluorescence(
    clouds: Sequence[Gaussian2D],
    *,
    shape: tuple[int, int] = (512, 512),
    stray_light: float = 18.0,
    gain: float = 0.5,
    dark_offset: float = 100.0,
    read_noise: float = 3.0,
    bits: int = 16,
    noise: bool = True,
    pixel_size: float | tuple[float, float] | None = None,
    labels: Sequence[str] | None = None,
    name: str = "simulated fluorescence",
    rng: Seed = None,
) -> DataArray:
    """Return raw fluorescence frames: one with atoms, one of the stray light alone.

    Peaks of `clouds` and `stray_light` are counts above the dark level; the other parameters
    and the truth are those of `simulate_triplet`. Roles are fluorescence and background.
    """
    rng = np.random.default_rng(rng)
    camera = Camera(gain, dark_offset, read_noise, bits)
    stray = np.full(shape, float(stray_light))
    means = (np.maximum(stray + _sum_of(clouds, shape), 0.0), stray)
    frames = [camera.expose(mean, rng, noise) for mean in means]
    truth = {**_truth(clouds, labels, camera), "stray_light": float(stray_light)}
    roles = ("fluorescence", "background")
    return _raw_stack(frames, roles, camera, truth, name, pixel_size)


def random_gaussian(
    rng: np.random.Generator,
    shape: tuple[int, int] = (256, 256),
    *,
    noise: float = 0.0,
    min_radius: float = 3.0,
    aspect: tuple[float, float] = (1.0, 8.0),
    peak: tuple[float, float] = (0.07, 6.0),
    min_signal_to_noise: float = 5.0,
    margin: float = 2.0,
) -> Gaussian2D:
    """Return a random cloud that lies whole inside the frame.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random generator.
    shape : (int, int)
        Rows and columns.
    noise : float
        Noise of the picture per pixel; the peak is at least `min_signal_to_noise` times this.
    min_radius : float
        Smallest minor 1/e² radius, in pixels.
    aspect, peak : (float, float)
        Ranges: the aspect ratio is drawn uniformly, the peak log-uniformly.
    margin : float
        The ellipse of `margin` times the 1/e² radii stays inside the frame.

    Raises
    ------
    ValueError
        If no such cloud fits into the frame.
    """
    ratio, theta = rng.uniform(*aspect), rng.uniform(-np.pi / 2, np.pi / 2)
    half_x = margin * np.hypot(ratio * np.cos(theta), np.sin(theta))
    half_y = margin * np.hypot(ratio * np.sin(theta), np.cos(theta))
    largest = min(shape[1] / (2 * half_x), shape[0] / (2 * half_y))
    if largest < min_radius:
        raise ValueError(
            f"expected a frame that holds a cloud of radius {min_radius} px, aspect {ratio:.1f} "
            f"and margin {margin}, found {tuple(shape)}"
        )
    minor = log_uniform(rng, min_radius, largest)
    lowest = max(peak[0], min_signal_to_noise * noise)
    return Gaussian2D(
        x0=float(rng.uniform(half_x * minor, shape[1] - half_x * minor)) - 0.5,
        y0=float(rng.uniform(half_y * minor, shape[0] - half_y * minor)) - 0.5,
        wx=ratio * minor,
        wy=minor,
        theta=theta,
        peak=log_uniform(rng, lowest, max(lowest, peak[1])),
        background=0.0,
    )


def random_empty_triplet(
    rng: np.random.Generator, shape: tuple[int, int] = (256, 256)
) -> DataArray:
    """Return a raw triplet without atoms, over the ranges measured on real frames.

    One to three fringe systems of 10**-2.3 to 10**-1.2 in optical depth, noise of 10**-2 to
    10**-0.9 in optical depth (at the mean light), power ratio 0.96 to 1.03, beam structure of
    9 to 18 %, vignette and dust rings.
    """
    target = log_uniform(rng, 10**-2, 10**-0.9)
    gain = 0.0
    while not 0.1 <= gain <= 20:  # the light and read noise that make up the wanted noise
        level, read_noise = log_uniform(rng, 50, 5000), rng.uniform(0.5, 7.5)
        gain = level / 2 * target**2 - (read_noise**2 + 1 / 12) / level
    return simulate_triplet(
        (),
        shape=shape,
        probe_level=level,
        gain=gain,
        dark_offset=rng.uniform(max(2.0, 4 * read_noise), 700),
        read_noise=read_noise,
        power_ratio=rng.uniform(0.96, 1.03),
        fringes=int(rng.integers(1, 4)),
        vignette=rng.uniform(0.0, 0.7),
        structure=rng.uniform(0.09, 0.18),
        dust=int(rng.integers(0, 11)),
        name="empty triplet",
        rng=rng,
    )


def _sum_of(clouds: Sequence[Gaussian2D], shape: tuple[int, int]) -> Picture:
    """Return the sum of the clouds' models, their backgrounds included."""
    return sum((cloud.image(shape) for cloud in clouds), np.zeros(shape))


def _truth(
    clouds: Sequence[Gaussian2D], labels: Sequence[str] | None, camera: Camera
) -> dict[str, Any]:
    """Return plain numbers and strings only, so that the truth can go into files."""
    names = ["cloud"] * len(clouds) if labels is None else list(labels)
    if len(names) != len(clouds):
        raise ValueError(f"expected one label per cloud ({len(clouds)}), found {len(names)}")
    found = [
        {"label": label, **asdict(cloud), "box": tuple(float(edge) for edge in cloud.ellipse_box())}
        for label, cloud in zip(names, clouds, strict=True)
    ]
    return {"clouds": found, "boxes": [cloud["box"] for cloud in found], **asdict(camera)}


def _raw_stack(
    frames: Sequence[NDArray[np.uint16]],
    roles: tuple[str, ...],
    camera: Camera,
    truth: dict[str, Any],
    name: str,
    pixel_size: float | tuple[float, float] | None,
) -> DataArray:
    attrs = {
        "kind": "counts",
        "roles_certain": True,
        "roles_reason": "simulated",
        "gain": camera.gain,
        "saturation": camera.full_scale,
        "truth": truth,
    }
    return make_stack(np.stack(frames), roles=roles, name=name, pixel_size=pixel_size, attrs=attrs)
