"""Random light on the camera: beams, apertures, dust, and what is not the atoms' in a frame.

Ranges are those of real frames. Everything common to the frames of a shot is in the `Beam`; what
differs between them is in `random_tilt` and in the fringes of `exposure`. `stray_light` is what a
fluorescence frame has without atoms; `hot_pixels` are the camera's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from napari_coldatoms.clouds.exposure import Fringe, Picture

# the power of the structure of measured probe beams falls with the frequency to this power, from
# periods of the size of the frame to those of a few pixels
_SLOPE = -2.2


@dataclass(frozen=True)
class Beam:
    """Light of the probe beam.

    Attributes
    ----------
    light : (y, x) array
        Light relative to its mean over the lit pixels.
    lit : (y, x) array of bool, or None
        Pixels that are not covered by an aperture; None if all are lit.
    settings : dict
        What it was made from.
    """

    light: Picture
    lit: NDArray[np.bool_] | None
    settings: dict[str, float | int | str]


def flat_beam(shape: tuple[int, int]) -> Beam:
    """Return a beam without structure."""
    return Beam(np.ones(shape), None, {"aperture": "none", "dust": 0, "structure": 0.0})


def random_beam(rng: np.random.Generator, shape: tuple[int, int]) -> Beam:
    """Return a beam as found on real frames.

    Structure of 9 to 18 % rms, the frame's corners dark in half of the cases, 0 to 10 dust rings,
    and with a chance of one quarter a round or straight aperture that leaves 30 to 95 % lit.
    """
    structure = float(rng.uniform(0.09, 0.18))
    vignette = float(rng.uniform(0.0, 0.8)) if rng.random() < 0.5 else 0.0
    dust = int(rng.integers(0, 11))
    light = speckle(rng, shape, structure)
    if vignette:
        light *= _gaussian_beam(rng, shape, vignette)
    for _ in range(dust):
        _add_dust(rng, light)
    kind = str(rng.choice(["none", "round", "straight"], p=[0.75, 0.13, 0.12]))
    lit = None
    if kind != "none":
        opening = random_aperture(rng, shape, kind)
        light *= opening
        lit = opening > 0.5
    light /= light.mean() if lit is None else light[lit].mean()
    settings: dict[str, float | int | str] = {
        "structure": structure,
        "vignette": vignette,
        "dust": dust,
        "aperture": kind,
        "lit_fraction": 1.0 if lit is None else float(lit.mean()),
    }
    return Beam(light, lit, settings)


def speckle(rng: np.random.Generator, shape: tuple[int, int], rms: float) -> Picture:
    """Return structure of a beam: mean 1, relative rms `rms`, and the spectrum of real beams."""
    spectrum = np.asarray(rfft2(rng.standard_normal(shape)))
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    square = ky * ky + kx * kx
    # nothing slower than the frame: that is vignetting
    spectrum *= np.maximum(square, max(shape) ** -2.0) ** (_SLOPE / 4)
    spectrum[0, 0] = 0
    field = np.asarray(irfft2(spectrum, s=shape))
    return np.maximum(1 + rms / float(field.std()) * field, 0.05)


def _gaussian_beam(rng: np.random.Generator, shape: tuple[int, int], vignette: float) -> Picture:
    """Return a round Gaussian that has lost `vignette` at the distance of the corners."""
    y = np.arange(shape[0]) - shape[0] * rng.uniform(0.3, 0.7)
    x = np.arange(shape[1]) - shape[1] * rng.uniform(0.3, 0.7)
    fall = math.log(1 - vignette) / (shape[0] ** 2 / 4 + shape[1] ** 2 / 4)
    return np.exp(fall * y**2)[:, None] * np.exp(fall * x**2)[None, :]


def _add_dust(rng: np.random.Generator, light: Picture) -> None:
    """Multiply the light by the diffraction rings of one grain (radius 5..40 px, 5..30 %)."""
    radius, contrast = rng.uniform(5, 40), rng.uniform(0.05, 0.3)
    y0, x0 = rng.uniform(0, light.shape[0]), rng.uniform(0, light.shape[1])
    spread = rng.uniform(0.8, 1.4)
    reach = 2.6 * radius
    top, left = max(0, int(y0 - reach)), max(0, int(x0 - reach))
    near = light[top : int(y0 + reach) + 1, left : int(x0 + reach) + 1]
    y = (np.arange(near.shape[0]) + (top - y0))[:, None] / radius
    x = (np.arange(near.shape[1]) + (left - x0))[None, :] / radius
    square = y * y + x * x
    near *= 1 - contrast * np.exp(-square / spread) * np.cos(2 * math.pi * square)


def random_aperture(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> Picture:
    """Return the part of the light that passes a ``"round"`` or ``"straight"`` edge."""
    y = np.arange(shape[0])[:, None] - (shape[0] - 1) / 2
    x = np.arange(shape[1])[None, :] - (shape[1] - 1) / 2
    fraction = rng.uniform(0.3, 0.95)
    soft = rng.uniform(0.5, 3.0)
    if kind == "round":
        radius = math.sqrt(fraction * shape[0] * shape[1] / math.pi)
        y, x = y - shape[0] * rng.uniform(-0.1, 0.1), x - shape[1] * rng.uniform(-0.1, 0.1)
        inside = radius - np.sqrt(y * y + x * x)
    else:
        # mostly along the rows or columns, as the masks in front of chips are
        angle = rng.integers(0, 4) * math.pi / 2 + rng.normal(0, 0.05)
        along = x * math.cos(angle) + y * math.sin(angle)
        span = abs(shape[1] * math.cos(angle)) + abs(shape[0] * math.sin(angle))
        inside = span * (fraction - 0.5) - along
    return 0.5 * (1 + np.tanh(inside / soft))


def random_tilt(rng: np.random.Generator, shape: tuple[int, int], largest: float) -> Picture:
    """Return a plane of zero mean whose values stay within `largest`, a gradient over the frame."""
    slope_y, slope_x = rng.uniform(-largest / 2, largest / 2, 2)
    y = np.linspace(-1, 1, shape[0])[:, None]
    return slope_y * y + slope_x * np.linspace(-1, 1, shape[1])[None, :]


def warped(rng: np.random.Generator, shape: tuple[int, int], fringe: Fringe) -> Fringe:
    """Return fringes as they mostly are: bent, some to circles, and not all over the frame."""
    step, size = 2 * math.pi / fringe.period, max(shape)
    bend = rng.uniform(-0.25, 0.25)
    if fringe.period > 30 and rng.random() < 0.3:
        bend = rng.uniform(0.5, 1.5) * rng.choice([-1, 1])
    spot = None
    if rng.random() < 0.5:
        y0, x0 = shape[0] * rng.uniform(0, 1), shape[1] * rng.uniform(0, 1)
        spot = (float(y0), float(x0), float(size * rng.uniform(0.3, 1.0)))
    return replace(fringe, curvature=float(bend * step / size), spot=spot)


def stray_light(
    rng: np.random.Generator,
    shape: tuple[int, int],
    level: float,
    *,
    stripes: float = 0.0,
    glints: int = 0,
    glint_peak: float = 0.0,
) -> Picture:
    """Return the light of a fluorescence frame without atoms, in counts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random generator.
    shape : (int, int)
        Rows and columns.
    level : float
        Mean of the smooth part, which rises and falls over the frame.
    stripes : float
        Amplitude of stripes along rows or columns, in counts.
    glints : int
        Number of reflections at windows, each a few small spots (1/e² radius 1 to 4 px).
    glint_peak : float
        Height of the brightest spot.
    """
    light = level * (1 + random_tilt(rng, shape, 0.6))
    light += 0.15 * level * (speckle(rng, shape, 0.3) - 1)
    if stripes:
        axis = int(rng.integers(0, 2))
        place = np.arange(shape[axis])
        wave = np.cos(2 * math.pi * place / rng.uniform(3, 40) + rng.uniform(0, 2 * math.pi))
        wave += rng.standard_normal(shape[axis]) * rng.uniform(0, 0.6)
        light += stripes * (wave[:, None] if axis == 0 else wave[None, :])
    for _ in range(glints):
        y0, x0 = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        for _ in range(int(rng.integers(1, 6))):
            _add_spot(
                light,
                y0 + rng.normal(0, 8),
                x0 + rng.normal(0, 8),
                rng.uniform(1, 4),
                glint_peak * rng.uniform(0.1, 1),
            )
    return np.maximum(light, 0.0)


def _add_spot(light: Picture, y0: float, x0: float, radius: float, peak: float) -> None:
    top, left = max(0, int(y0 - 2 * radius)), max(0, int(x0 - 2 * radius))
    near = light[top : max(0, int(y0 + 2 * radius) + 1), left : max(0, int(x0 + 2 * radius) + 1)]
    y = np.arange(near.shape[0]) + (top - y0)
    x = np.arange(near.shape[1]) + (left - x0)
    near += peak * np.exp(-2 * (y / radius) ** 2)[:, None] * np.exp(-2 * (x / radius) ** 2)


def hot_pixels(
    rng: np.random.Generator, shape: tuple[int, int], full_scale: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return flat indices and additional counts of 0 to 20 hot pixels, in all frames of a shot."""
    count = int(rng.integers(0, 21)) if rng.random() < 0.5 else 0
    places = rng.integers(0, shape[0] * shape[1], count)
    return places, full_scale * np.exp(rng.uniform(math.log(0.003), math.log(1.0), count))
