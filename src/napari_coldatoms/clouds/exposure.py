"""How light becomes a raw frame: the probe beam, its fringes, and the camera.

The forward model of the simulator. Each effect is a factor on the light; the camera adds shot
noise, gain, read noise, offset, quantisation and full scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

Picture = NDArray[np.float64]
Seed = np.random.Generator | int | None


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a random number whose logarithm is uniform between `low` and `high`."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass(frozen=True)
class Camera:
    """A linear camera: ``counts = dark_offset + gain * electrons + read noise``.

    Parameters
    ----------
    gain : float
        Counts per photoelectron.
    dark_offset : float
        Counts without light.
    read_noise : float
        Standard deviation of the read noise, in counts.
    bits : int
        Depth of the converter: values are clipped to ``0 .. 2**bits - 1``.
    """

    gain: float = 0.5
    dark_offset: float = 100.0
    read_noise: float = 3.0
    bits: int = 16

    def __post_init__(self) -> None:
        if self.gain <= 0 or self.read_noise < 0:
            raise ValueError(
                "expected gain > 0 and read_noise >= 0, "
                f"found gain={self.gain}, read_noise={self.read_noise}"
            )
        if not 1 <= self.bits <= 16:
            raise ValueError(f"expected 1 to 16 bits, found {self.bits}")

    @property
    def full_scale(self) -> int:
        """Largest value the camera can give, in counts."""
        return int(2**self.bits - 1)

    def expose(
        self, light: Picture, rng: np.random.Generator, noise: bool = True
    ) -> NDArray[np.uint16]:
        """Return a frame (uint16, shape of `light`) of the mean `light`, in counts."""
        counts = light
        if noise:
            counts = self.gain * rng.poisson(light / self.gain).astype(np.float64)
            counts += rng.normal(0.0, self.read_noise, light.shape)
        return np.clip(np.rint(counts + self.dark_offset), 0, self.full_scale).astype(np.uint16)


@dataclass(frozen=True)
class Fringe:
    """One interference fringe system: a factor ``1 + amplitude * cos(k·r + phase)`` on the light.

    Parameters
    ----------
    amplitude : float
        Relative modulation of the light.
    period : float
        Distance of two bright fringes, in pixels.
    angle : float
        Direction across the fringes, in radians, from +x towards +y.
    phase : float
        Phase at pixel (0, 0) of the probe frame, in radians.
    shift : float
        How much further the phase is in the atoms frame, in radians. Fringes that do not move
        (0) drop out of the optical depth; at the default, the modulation of the light and of
        the optical depth are equal.
    curvature : float
        Bends the fringes: adds ``curvature * (x**2 + y**2)`` (rad) to the phase.
    spot : (float, float, float), optional
        Row, column and 1/e radius of the part of the frame that has the fringes, in pixels;
        default all of it.
    """

    amplitude: float
    period: float
    angle: float = 0.0
    phase: float = 0.0
    shift: float = np.pi / 3
    curvature: float = 0.0
    spot: tuple[float, float, float] | None = None

    @property
    def optical_depth(self) -> float:
        """Amplitude in the optical depth, to first order in `amplitude`."""
        return float(2 * self.amplitude * abs(np.sin(self.shift / 2)))

    def factor(self, shape: tuple[int, int], *, moved: bool = False) -> Picture:
        """Return the factor on the light, in the atoms frame if `moved`, else in the probe's."""
        y, x = np.arange(shape[0], dtype=float), np.arange(shape[1], dtype=float)
        step = 2 * np.pi / self.period
        along_y = step * np.sin(self.angle) * y + self.curvature * y**2
        along_x = step * np.cos(self.angle) * x + self.curvature * x**2
        along_y += self.phase + (self.shift if moved else 0.0)
        rows, columns = np.full(shape[0], self.amplitude), np.ones(shape[1])
        if self.spot is not None:
            y0, x0, radius = self.spot
            rows *= np.exp(-(((y - y0) / radius) ** 2))
            columns *= np.exp(-(((x - x0) / radius) ** 2))
        # cos(a + b) from cosines of rows and columns: many times as fast as of all pixels
        wave = np.outer(rows * np.cos(along_y), columns * np.cos(along_x))
        wave -= np.outer(rows * np.sin(along_y), columns * np.sin(along_x))
        wave += 1
        return wave


def random_fringes(
    rng: np.random.Generator, count: int, *, amplitude: tuple[float, float] = (0.005, 0.063)
) -> tuple[Fringe, ...]:
    """Return `count` fringe systems as found on real frames.

    Periods are 4 to 16 px or 30 to 130 px with equal chance; `amplitude` is the range in
    optical depth, drawn log-uniformly (default 10**-2.3 to 10**-1.2).
    """
    fringes = []
    for _ in range(count):
        period = rng.uniform(4, 16) if rng.random() < 0.5 else rng.uniform(30, 130)
        shift = rng.uniform(np.pi / 6, np.pi) * rng.choice([-1, 1])
        light = log_uniform(rng, *amplitude) / (2 * abs(np.sin(shift / 2)))
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        fringes.append(Fringe(light, float(period), angle, phase, float(shift)))
    return tuple(fringes)


def probe_light(
    shape: tuple[int, int],
    *,
    vignette: float = 0.0,
    structure: float = 0.0,
    dust: int = 0,
    rng: Seed = None,
) -> Picture:
    """Return the probe beam on the camera, relative to its mean over the frame.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    vignette : float
        Part of the light that is missing in the corners of the frame, 0 to below 1.
    structure : float
        Relative rms of the beam's speckle; real beams have 0.09 to 0.18.
    dust : int
        Number of diffraction rings of dust grains (radius 5 to 40 px, contrast 5 to 30 %).
    rng : numpy.random.Generator or int, optional
        Random generator or seed.
    """
    if not 0 <= vignette < 1:
        raise ValueError(f"expected 0 <= vignette < 1, found {vignette}")
    rng = np.random.default_rng(rng)
    y, x = np.ogrid[: shape[0], : shape[1]]
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    corner = max(middle[0] ** 2 + middle[1] ** 2, 1.0)
    light = (1 - vignette) ** (((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / corner)
    if structure:
        field = np.zeros(shape)
        for grain in (1.5, 6.0, 24.0):
            part = gaussian_filter(rng.standard_normal(shape), grain, mode="wrap")
            field += part / part.std()
        light *= np.maximum(1 + structure * (field - field.mean()) / field.std(), 0.05)
    for _ in range(dust):
        radius, contrast = rng.uniform(5, 40), rng.uniform(0.05, 0.3)
        distance = np.hypot(y - rng.uniform(0, shape[0]), x - rng.uniform(0, shape[1])) / radius
        light *= 1 - contrast * np.exp(-(distance**2)) * np.cos(2 * np.pi * distance**2)
    return light / light.mean()


def optical_depth_noise(
    atoms: ArrayLike, probe: ArrayLike, *, gain: float, read_noise: float
) -> Picture:
    """Return the standard deviation of the optical depth of one raw triplet.

    To first order, with the signals above the dark level ``A`` and ``P`` in counts, the variance
    is ``gain/A + gain/P + r² (1/A² + 1/P²) + r² (1/A - 1/P)²``, ``r² = read_noise² + 1/12``:
    shot noise, read noise and quantisation of both frames, and those of the one dark frame
    that both share.

    Parameters
    ----------
    atoms, probe : array_like
        Mean counts above the dark level.
    gain : float
        Counts per photoelectron.
    read_noise : float
        Standard deviation of the read noise, in counts.
    """
    a, p = 1 / np.asarray(atoms, dtype=float), 1 / np.asarray(probe, dtype=float)
    read = read_noise**2 + 1 / 12
    return np.sqrt(gain * (a + p) + read * (a**2 + p**2 + (a - p) ** 2))
