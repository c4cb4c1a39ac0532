"""Random clouds of every kind, over the ranges measured on real frames.

Two classes, those of Hofer et al. 2021 (arXiv:2011.10536): ``"MOT"``, round to oval thermal clouds,
and ``"ODT"``, what comes from optical dipole traps: long thermal clouds, condensates with and
without thermal part, rings and crossed traps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from napari_coldatoms.clouds.exposure import log_uniform
from napari_coldatoms.clouds.gaussian import Gaussian2D, wrap_angle
from napari_coldatoms.clouds.simulate_shapes import Part, SimulatedCloud

LABELS = ("MOT", "ODT")
"""Classes of the clouds."""

MIN_MAJOR = 6.0
"""Smallest major 1/e² radius of a cloud, in pixels."""

MIN_MINOR = 2.5
"""Smallest minor 1/e² radius of a cloud before blur, in pixels."""

# MOTs are rounder than this, thermal clouds of dipole traps longer
_LONG = 2.2


def random_cloud(
    rng: np.random.Generator,
    shape: tuple[int, int],
    label: str | None = None,
    *,
    largest: float = 0.45,
) -> SimulatedCloud:
    """Return one cloud of class `label` (default: either), radius 0.01 to `largest` of the frame.

    One of eight lies at the border of the frame, cut by it.
    """
    label = label or str(rng.choice(LABELS))
    kinds = _MOTS if label == "MOT" else _ODTS
    names = list(kinds)
    name = str(rng.choice(names, p=[kinds[n][0] for n in names]))
    _, draw, aspects, smallest = kinds[name]
    ellipse = random_ellipse(rng, shape, aspects, smallest, largest)
    return SimulatedCloud(label, name, draw(rng, ellipse))


def random_ellipse(
    rng: np.random.Generator,
    shape: tuple[int, int],
    aspects: tuple[float, float],
    smallest: float = MIN_MAJOR,
    largest: float = 0.45,
) -> Gaussian2D:
    """Return an ellipse of random size (log-uniform), aspect (log-uniform), angle and place."""
    aspect = log_uniform(rng, *aspects)
    # long clouds mostly lie along an axis of the camera, and along the longer side of long frames
    theta = float(rng.uniform(-math.pi / 2, math.pi / 2))
    if rng.random() < (0.9 if max(shape) > 2 * min(shape) else 0.4):
        upright = shape[0] > shape[1] if max(shape) > 1.5 * min(shape) else rng.random() < 0.4
        theta = wrap_angle(float(rng.normal(0, 0.1)) + (math.pi / 2 if upright else 0.0))
    half_x = math.hypot(math.cos(theta), math.sin(theta) / aspect)
    half_y = math.hypot(math.sin(theta), math.cos(theta) / aspect)
    limit = largest * min(shape[1] / half_x, shape[0] / half_y)
    smallest = max(smallest, 0.01 * min(shape))
    major = log_uniform(rng, smallest, max(limit, 1.2 * smallest))
    minor = min(max(major / aspect, MIN_MINOR), major)
    centres = []
    cut = int(rng.integers(0, 4)) if rng.random() < 0.125 else -1
    for axis, (size, half) in enumerate(zip(shape, (half_y * major, half_x * major), strict=True)):
        inside = (half, size - half) if 2 * half < size else (0.3 * size, 0.7 * size)
        place = rng.uniform(*inside)
        if cut // 2 == axis and cut >= 0:
            depth = half * rng.uniform(-0.3, 0.8)
            place = depth if cut % 2 == 0 else size - depth
        centres.append(float(place) - 0.5)
    peak = log_uniform(rng, 0.07, 6.0)
    return Gaussian2D(centres[1], centres[0], major, minor, theta, peak)


def _thermal(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    return (Part(ellipse),)


def _hollow(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    """Return a Gaussian with a dip near its middle, which keeps at least a quarter of it."""
    depth, width = rng.uniform(0.3, 0.75), rng.uniform(0.3, 0.6)
    aside = rng.uniform(0, 0.15) if rng.random() < 0.5 else 0.0
    dip = replace(
        ellipse,
        x0=ellipse.x0 + aside * ellipse.wy,
        wx=width * ellipse.wx,
        wy=width * ellipse.wy,
        peak=-depth * ellipse.peak,
    )
    return Part(ellipse), Part(dip)


def _lopsided(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    """Return a Gaussian with a weaker one at its side: beams out of balance."""
    angle, size = rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 0.9)
    far, share = rng.uniform(0.3, 0.6) * ellipse.wy, rng.uniform(0.15, 0.4)
    side = replace(
        ellipse,
        x0=ellipse.x0 + far * math.cos(angle),
        y0=ellipse.y0 + far * math.sin(angle),
        wx=size * ellipse.wx,
        wy=size * ellipse.wy,
        peak=share * ellipse.peak,
    )
    return Part(replace(ellipse, peak=(1 - share) * ellipse.peak)), Part(side)


def _condensate(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    return (Part(ellipse, "thomas-fermi"),)


def _bimodal(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    """Return a condensate in a thermal cloud: in a long trap, or after its expansion."""
    share = rng.uniform(0.2, 0.75)
    size = rng.uniform(0.25, 0.65)
    thermal = replace(ellipse, peak=share * ellipse.peak)
    wx, wy, theta = size * ellipse.wx, size * ellipse.wy, ellipse.theta
    if ellipse.wx < 1.5 * ellipse.wy:
        # the condensate of a long trap is long across it after a time of flight
        stretch = math.sqrt(rng.uniform(1.0, 3.0))
        wx, wy = wx / stretch, wy * stretch
    core = Gaussian2D(ellipse.x0, ellipse.y0, wx, wy, theta, (1 - share) * ellipse.peak)
    profile = "bose" if rng.random() < 0.5 else "gaussian"
    return Part(thermal, profile), Part(core, "thomas-fermi")


def _ring(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    detail = max(float(rng.uniform(0.08, 0.35)), 2.5 / ellipse.wy)
    lean = (float(rng.uniform(0, 0.5)), float(rng.uniform(0, 2 * math.pi)))
    # the outer edge, not the ridge, is where the ellipse was drawn
    inner = replace(ellipse, wx=ellipse.wx / (1 + detail), wy=ellipse.wy / (1 + detail))
    return (Part(inner, "ring", detail, lean),)


def _crossed(rng: np.random.Generator, ellipse: Gaussian2D) -> tuple[Part, ...]:
    """Return two long clouds through one centre, and the atoms held where they cross."""
    turn = rng.uniform(0.35, math.pi / 2) * rng.choice([-1, 1])
    size, share = rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.6)
    dimple = rng.uniform(0, 0.4)
    arms = (1 - dimple) * ellipse.peak
    other = replace(
        ellipse,
        wx=size * ellipse.wx,
        theta=wrap_angle(ellipse.theta + turn),
        peak=(1 - share) * arms,
    )
    middle = replace(ellipse, wx=1.2 * ellipse.wy, wy=1.2 * ellipse.wy, peak=dimple * ellipse.peak)
    return Part(replace(ellipse, peak=share * arms)), Part(other), Part(middle)


_Draw = Callable[[np.random.Generator, Gaussian2D], tuple[Part, ...]]
# name -> probability, function, range of the aspect, smallest major radius (px)
_MOTS: dict[str, tuple[float, _Draw, tuple[float, float], float]] = {
    "gaussian": (0.65, _thermal, (1.0, _LONG), MIN_MAJOR),
    "hollow": (0.2, _hollow, (1.0, _LONG), 15.0),
    "lopsided": (0.15, _lopsided, (1.0, 1.6), 10.0),
}
_ODTS: dict[str, tuple[float, _Draw, tuple[float, float], float]] = {
    "gaussian": (0.4, _thermal, (_LONG, 14.0), 8.0),
    "bimodal": (0.18, _bimodal, (1.0, 1.3), 14.0),
    "in-trap": (0.1, _bimodal, (1.5, 14.0), 14.0),
    "thomas-fermi": (0.1, _condensate, (1.2, 8.0), 8.0),
    "ring": (0.12, _ring, (1.0, 1.3), 12.0),
    "crossed": (0.1, _crossed, (4.0, 12.0), 20.0),
}


def moved(cloud: SimulatedCloud, x0: float, y0: float) -> SimulatedCloud:
    """Return the cloud with the centre of its first part at a new place."""
    first = cloud.parts[0].ellipse
    parts = tuple(
        replace(
            part,
            ellipse=replace(
                part.ellipse,
                x0=part.ellipse.x0 + x0 - first.x0,
                y0=part.ellipse.y0 + y0 - first.y0,
            ),
        )
        for part in cloud.parts
    )
    return replace(cloud, parts=parts)


def resized(cloud: SimulatedCloud, size: float, height: float) -> SimulatedCloud:
    """Return the cloud with all radii and heights multiplied, about its first part's centre."""
    first = cloud.parts[0].ellipse
    parts = []
    for part in cloud.parts:
        e = part.ellipse
        x0, y0 = first.x0 + size * (e.x0 - first.x0), first.y0 + size * (e.y0 - first.y0)
        scaled = replace(e, x0=x0, y0=y0, wx=size * e.wx, wy=size * e.wy, peak=height * e.peak)
        parts.append(replace(part, ellipse=scaled))
    return replace(cloud, parts=tuple(parts))
