"""Simulated exposures: from what the atoms do to the raw frames of a camera, and to a picture.

An `Absorption` or `Fluorescence` holds light and camera of one shot before there are atoms. It
tells how much noise the picture will have at a given height of the clouds, and exposes the frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from napari_coldatoms.clouds.exposure import (
    Camera,
    Picture,
    log_uniform,
    optical_depth_noise,
    random_fringes,
)
from napari_coldatoms.clouds.simulate_light import (
    Beam,
    flat_beam,
    hot_pixels,
    random_beam,
    random_tilt,
    speckle,
    stray_light,
    warped,
)

Raw = NDArray[np.uint16]
Index = tuple[slice, slice]
HotPixels = tuple[NDArray[np.intp], NDArray[np.float64]]

_NO_HOT_PIXELS: HotPixels = (np.empty(0, np.intp), np.empty(0))
_BITS, _BITS_SHARES = (8, 10, 12, 14, 16), (0.12, 0.08, 0.25, 0.15, 0.4)


@dataclass(frozen=True)
class Absorption:
    """A raw triplet before there are atoms: `atoms` and `probe` are mean counts of light.

    ``clutter`` is the rms of what looks like structure in the picture (fringes), ``scale`` the
    height of a cloud of optical depth 1.
    """

    roles: ClassVar[tuple[str, ...]] = ("atoms", "probe", "dark")
    kind: ClassVar[str] = "optical_depth"

    camera: Camera
    atoms: Picture
    probe: Picture
    lit: NDArray[np.bool_] | None
    hot: HotPixels
    clutter: float
    settings: dict[str, Any]

    def height(self, brightest: float) -> float:
        """Return the factor from heights of a scene to those of this picture: 1."""
        return 1.0

    def noise(self, heights: Picture, where: Index) -> Picture:
        """Return the standard deviation of the picture."""
        atoms = np.maximum(self.atoms[where] * np.exp(-heights), 1e-3)
        probe = np.maximum(self.probe[where], 1e-3)
        gain, read_noise = self.camera.gain, self.camera.read_noise
        return optical_depth_noise(atoms, probe, gain=gain, read_noise=read_noise)

    def expose(
        self, heights: Picture, ghost: Picture | None, rng: np.random.Generator, noise: bool
    ) -> Raw:
        """Return the raw frames (frame, y, x); the ghost is in the probe frame, too early."""
        probe = self.probe if ghost is None else self.probe * np.exp(-ghost)
        lights = (self.atoms * np.exp(-heights), probe, np.zeros(heights.shape))
        return _expose(lights, self.camera, self.hot, rng, noise)


@dataclass(frozen=True)
class Fluorescence:
    """A fluorescence frame, and its background frame where there is one, before there are atoms."""

    kind: ClassVar[str] = "fluorescence"

    roles: tuple[str, ...]
    camera: Camera
    stray: Picture
    peak: float
    hot: HotPixels
    clutter: float
    settings: dict[str, Any]
    lit: NDArray[np.bool_] | None = None

    def height(self, brightest: float) -> float:
        """Return the factor that makes the brightest cloud of a scene `peak` counts high."""
        return self.peak / brightest

    def noise(self, heights: Picture, where: Index) -> Picture:
        """Return the standard deviation of the picture."""
        stray, gain, frames = self.stray[where], self.camera.gain, len(self.roles)
        square = gain * (frames * stray + heights) + frames * (self.camera.read_noise**2 + 1 / 12)
        return np.sqrt(square)

    def expose(
        self, heights: Picture, ghost: Picture | None, rng: np.random.Generator, noise: bool
    ) -> Raw:
        """Return the raw frames (frame, y, x); the ghost is in the background frame."""
        lights = [self.stray + heights, self.stray if ghost is None else self.stray + ghost]
        return _expose(lights[: len(self.roles)], self.camera, self.hot, rng, noise)


def plain_absorption(rng: np.random.Generator, shape: tuple[int, int]) -> Absorption:
    """Return a triplet of an even beam with 0 to 3 fringe systems and white noise.

    Fringes have 10**-2.3 to 10**-1.2 in optical depth, the noise is 10**-2 to 10**-0.9 where no
    atoms are.
    """
    level, read_noise = 2000.0, 3.0
    noise = log_uniform(rng, 10**-2, 10**-0.9)
    # solved for the gain: the noise of `optical_depth_noise` at equal light in both frames
    gain = level / 2 * noise**2 - (read_noise**2 + 1 / 12) / level
    camera = Camera(gain, 100.0, read_noise, 16)
    count = int(rng.integers(0, 4))
    return _absorption(rng, shape, camera, flat_beam(shape), level, 1.0, count, 0.0, False)


def random_absorption(rng: np.random.Generator, shape: tuple[int, int]) -> Absorption:
    """Return a triplet over the ranges measured on real frames.

    Probe level 50 to 5000 counts, gain 0.1 to 20 counts per electron, 8 to 16 bits, dark offset 2
    to 700, read noise 0.5 to 7.5 counts, power ratio 0.96 to 1.03, noise of the optical depth
    0.009 to 0.14; 0 to 3 fringe systems; one in ten overexposed at its brightest spots.
    """
    beam = random_beam(rng, shape)
    bits = int(rng.choice(_BITS, p=_BITS_SHARES))
    full = 2**bits - 1
    brightest = float(beam.light.max()) * (0.8 if rng.random() < 0.1 else 1.1)
    gain, level, offset, read_noise = 0.0, 0.0, 0.0, 0.0
    while not 0.1 <= gain <= 20:
        noise = log_uniform(rng, 0.009, 0.14)
        read_noise = float(rng.uniform(0.5, 7.5 if bits > 8 else 2.5))
        offset = float(rng.uniform(max(2.0, 4 * read_noise), min(700.0, 0.2 * full)))
        level = min(log_uniform(rng, 50, 5000), (full - offset) / brightest)
        gain = level / 2 * noise**2 - (read_noise**2 + 1 / 12) / level
    camera = Camera(gain, offset, read_noise, bits)
    ratio = float(rng.uniform(0.96, 1.03))
    count = int(rng.choice(4, p=[0.15, 0.35, 0.3, 0.2]))
    tilt = 0.1 if rng.random() < 0.4 else 0.0
    return _absorption(rng, shape, camera, beam, level, ratio, count, tilt, True)


def random_fluorescence(rng: np.random.Generator, shape: tuple[int, int]) -> Fluorescence:
    """Return a fluorescence shot: faint (peaks of 6 to 60 counts) or bright (to thousands).

    Stray light of 5 to 60 counts with stripes and glints; every second has a background frame.
    """
    roles = ("fluorescence", "background")[: int(rng.integers(1, 3))]
    bits = int(rng.choice(_BITS, p=_BITS_SHARES))
    full = 2**bits - 1
    read_noise = float(rng.uniform(0.5, 7.5 if bits > 8 else 2.5))
    offset = float(rng.uniform(max(2.0, 4 * read_noise), min(700.0, 0.2 * full)))
    faint = bits == 8 or rng.random() < 0.4
    peak = log_uniform(rng, 6, 60) if faint else log_uniform(rng, 100, 5000)
    level = log_uniform(rng, 5, 60)
    # one in ten runs into the end of the camera's range
    room = (full - offset - 2 * level) * (1.3 if rng.random() < 0.1 else 0.9)
    peak = min(peak, room)
    camera = Camera(log_uniform(rng, 0.1, min(20.0, 0.5 * peak)), offset, read_noise, bits)
    stripes = log_uniform(rng, 0.02, 0.3) * min(level, peak) if rng.random() < 0.5 else 0.0
    glints = int(rng.integers(1, 5)) if rng.random() < 0.4 else 0
    glint_peak = peak * log_uniform(rng, 0.02, 0.5)
    stray = stray_light(rng, shape, level, stripes=stripes, glints=glints, glint_peak=glint_peak)
    settings = {
        "stray_light": level,
        "stripes": stripes,
        "glints": glints,
        "peak": peak,
    }
    # a background frame takes stripes and glints away
    clutter = stripes if len(roles) == 1 else 0.0
    hot = hot_pixels(rng, shape, camera.full_scale)
    settings["hot_pixels"] = len(hot[0])
    return Fluorescence(roles, camera, stray, peak, hot, clutter, settings)


def _absorption(
    rng: np.random.Generator,
    shape: tuple[int, int],
    camera: Camera,
    beam: Beam,
    level: float,
    ratio: float,
    count: int,
    tilt: float,
    hard: bool,
) -> Absorption:
    probe = level * beam.light
    atoms = ratio * probe
    fringes = random_fringes(rng, count)
    if hard:
        fringes = tuple(warped(rng, shape, f) if rng.random() < 0.6 else f for f in fringes)
    for fringe in fringes:
        atoms, probe = atoms * fringe.factor(shape, moved=True), probe * fringe.factor(shape)
    # what the fringes do not say: the beam itself is not quite where it was
    drift = log_uniform(rng, 0.003, 0.03) if hard and rng.random() < 0.3 else 0.0
    if drift:
        atoms = atoms * speckle(rng, shape, drift)
    if tilt:
        atoms = atoms * (1 + random_tilt(rng, shape, tilt))
    pixels = hot_pixels(rng, shape, camera.full_scale) if hard else _NO_HOT_PIXELS
    settings = {
        **beam.settings,
        "probe_level": level,
        "power_ratio": ratio,
        "tilt": tilt,
        "drift": drift,
        "fringes": [(fringe.optical_depth, fringe.period) for fringe in fringes],
        "hot_pixels": len(pixels[0]),
        "noise": float(
            optical_depth_noise(
                level * ratio, level, gain=camera.gain, read_noise=camera.read_noise
            )
        ),
    }
    clutter = math.sqrt(sum(fringe.optical_depth**2 for fringe in fringes) / 2 + drift**2)
    return Absorption(camera, atoms, probe, beam.lit, pixels, clutter, settings)


def _expose(
    lights: Sequence[Picture], camera: Camera, hot: HotPixels, rng: np.random.Generator, noise: bool
) -> Raw:
    frames = np.stack([camera.expose(light, rng, noise) for light in lights])
    places, counts = hot
    for frame in frames:
        values = np.minimum(frame.flat[places] + counts, camera.full_scale)
        frame.flat[places] = values.astype(np.uint16)
    return frames


def make_picture(raw: Raw, roles: tuple[str, ...], camera: Camera) -> NDArray[np.float32]:
    """Return the picture of raw frames, as `napari_coldatoms.images` makes it, float32.

    The optical depth of atoms, probe and dark without power correction, or fluorescence minus
    background where there is one. NaN where it cannot be had: saturated pixels, those darker than
    the dark frame, and those where most of the 5 x 5 pixels around are not lit.
    """
    frames = raw.astype(np.float32)
    if roles[0] == "fluorescence":
        picture = frames[0] - frames[1] if len(roles) > 1 else frames[0]
        picture[raw[0] >= camera.full_scale] = np.nan
        return picture
    atoms, probe = frames[0] - frames[2], frames[1] - frames[2]
    valid = (atoms > 0) & (probe > 0) & (raw[:2].max(axis=0) < camera.full_scale)
    floor = 3 * math.hypot(camera.read_noise, math.sqrt(1 / 12))
    lit = probe >= floor
    if not lit.all():
        valid &= uniform_filter(lit.astype(np.float32), 5, mode="nearest") > 0.5
    picture = np.full(atoms.shape, np.nan, np.float32)
    np.divide(probe, atoms, out=picture, where=valid)
    np.log(picture, out=picture, where=valid)
    return picture
