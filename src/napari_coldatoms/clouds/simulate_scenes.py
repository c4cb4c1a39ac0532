"""Random scenes: which clouds are in a frame, where, and of what shape.

`paper_scene` has clouds like those of Hofer et al. 2021 (arXiv:2011.10536); `hard_scene` all kinds
of `simulate_kinds`, several at a time, touching, overlapping and cut by the border, and the peaks
of a condensate diffracted by a lattice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from napari_coldatoms.clouds.exposure import log_uniform
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate_kinds import (
    LABELS,
    MIN_MAJOR,
    MIN_MINOR,
    moved,
    random_cloud,
    random_ellipse,
    resized,
)
from napari_coldatoms.clouds.simulate_shapes import Part, SimulatedCloud

# minor radius (px) of a MOT on which a dipole trap is told from it
_WIDE = 14.0


@dataclass(frozen=True)
class Scene:
    """The clouds of a frame.

    Attributes
    ----------
    arrangement : str
        How they lie: ``"empty"``, ``"single"``, ``"both"``, ``"pair"``, ``"row"``, ``"several"``.
    clouds : tuple of SimulatedCloud
        Heights are in optical depth, 0.07 to 6.
    """

    arrangement: str
    clouds: tuple[SimulatedCloud, ...]


def paper_scene(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Return clouds like those of the paper's data, for a frame of 256 x 256 or more.

    One MOT (major 1/e² radius 13 to 50 px, aspect 1 to 1.33) with probability 0.45, one ODT (20 to
    77 px, aspect 3 to 9, minor at least 2.5 px) 0.25, both 0.25, none 0.05; Gaussian, with centres
    in the middle 60 % and peaks of 10**-0.9 to 10**0.5.
    """
    kind = str(rng.choice(["MOT", "ODT", "both", "empty"], p=[0.45, 0.25, 0.25, 0.05]))
    ranges = {"MOT": ((13.0, 50.0), (1.0, 1.33)), "ODT": ((20.0, 77.0), (3.0, 9.0))}
    clouds = []
    for label, (radii, aspects) in ranges.items():
        if kind not in (label, "both"):
            continue
        major = rng.uniform(*radii)
        aspect = rng.uniform(aspects[0], min(aspects[1], major / MIN_MINOR))
        ellipse = Gaussian2D(
            x0=shape[1] * rng.uniform(0.2, 0.8) - 0.5,
            y0=shape[0] * rng.uniform(0.2, 0.8) - 0.5,
            wx=major,
            wy=major / aspect,
            theta=rng.uniform(-math.pi / 2, math.pi / 2),
            peak=float(10 ** rng.uniform(-0.9, 0.5)),
        )
        clouds.append(SimulatedCloud(label, "gaussian", (Part(ellipse),)))
    return Scene("single" if kind in LABELS else kind, tuple(clouds))


def hard_scene(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    """Return none to nine clouds of any kind, over the ranges measured on real frames."""
    names = list(_ARRANGEMENTS)
    kind = str(rng.choice(names, p=[0.1, 0.42, 0.14, 0.1, 0.08, 0.16]))
    blur = float(rng.uniform(1, 3)) if rng.random() < 0.5 else 0.0
    clouds = _ARRANGEMENTS[kind](rng, shape)
    return Scene(kind, tuple(replace(cloud, blur=blur) for cloud in clouds))


def _empty(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    return []


def _single(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    return [random_cloud(rng, shape)]


def _both(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    """Return a MOT and the long cloud of a dipole trap loaded from it, on or beside the MOT."""
    mot = random_cloud(rng, shape, "MOT", largest=0.35)
    e = mot.parts[0].ellipse
    major = max(10.0, e.wx * rng.uniform(0.7, 2.0))
    minor = max(major / log_uniform(rng, 3.0, 12.0), MIN_MINOR)
    theta, direction = rng.uniform(-math.pi / 2, math.pi / 2), rng.uniform(0, 2 * math.pi)
    odt = Gaussian2D(e.x0, e.y0, major, minor, float(theta))
    reach = _radius(e, direction) + _radius(odt, direction)
    # on the MOT it is seen only if it is much narrower, after blur, too
    if e.wy >= _WIDE and rng.random() < 0.6:
        odt = replace(odt, wy=max(min(minor, 0.35 * e.wy), MIN_MINOR))
        far = rng.uniform(0, 0.5) * reach
    else:
        far = rng.uniform(0.75, 1.3) * reach
    odt = replace(
        odt,
        x0=e.x0 + far * math.cos(direction),
        y0=e.y0 + far * math.sin(direction),
        peak=float(np.clip(e.peak * log_uniform(rng, 0.4, 3.0), 0.07, 6.0)),
    )
    return [mot, SimulatedCloud("ODT", "gaussian", (Part(odt),))]


def _pair(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    """Return two clouds that touch or overlap, with a dip between them."""
    first = random_cloud(rng, shape, largest=0.25)
    second = random_cloud(rng, shape, str(rng.choice(LABELS, p=[0.6, 0.4])), largest=0.25)
    e, other = first.parts[0].ellipse, second.parts[0].ellipse
    # of similar size and height, so that neither drowns in the other
    ratio = log_uniform(rng, 0.4, 2.5) * e.wx / other.wx
    grown = max(ratio, max(MIN_MINOR / other.wy, MIN_MAJOR / other.wx))
    height = min(log_uniform(rng, 0.5, 2.0) * e.peak, 6.0) / other.peak
    direction = rng.uniform(0, 2 * math.pi)
    turned = resized(second, grown, height)
    reach = _radius(e, direction) + _radius(turned.parts[0].ellipse, direction)
    far = rng.uniform(0.7, 1.2) * reach
    return [
        first,
        moved(turned, e.x0 + far * math.cos(direction), e.y0 + far * math.sin(direction)),
    ]


def _row(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    """Return three to nine peaks in a row: a condensate diffracted by a lattice."""
    count = int(rng.integers(3, 10))
    ellipse = random_ellipse(rng, shape, (1.0, 1.8), largest=0.05)
    direction = ellipse.theta + (math.pi / 2 if rng.random() < 0.5 else 0.0)
    step = rng.uniform(1.5, 3.5) * _radius(ellipse, direction)
    span = rng.uniform(0.8, 2.5)
    profile = "thomas-fermi" if rng.random() < 0.4 else "gaussian"
    y0 = shape[0] * rng.uniform(0.4, 0.6)
    x0 = shape[1] * rng.uniform(0.4, 0.6)
    clouds = []
    for order in range(count):
        order_from_middle = order - (count - 1) / 2
        fall = math.exp(-2 * (order_from_middle / (span * count / 2)) ** 2)
        peak = ellipse.peak * fall * rng.uniform(0.6, 1.0)
        place = replace(
            ellipse,
            x0=x0 + order_from_middle * step * math.cos(direction),
            y0=y0 + order_from_middle * step * math.sin(direction),
            peak=peak,
        )
        clouds.append(SimulatedCloud("ODT", "peak", (Part(place, profile),)))
    return clouds


def _several(rng: np.random.Generator, shape: tuple[int, int]) -> list[SimulatedCloud]:
    """Return two to nine clouds that do not overlap much."""
    wanted = int(rng.integers(2, 10))
    clouds: list[SimulatedCloud] = []
    for _ in range(4 * wanted):
        label = str(rng.choice(LABELS, p=[0.65, 0.35]))
        cloud = random_cloud(rng, shape, label, largest=0.2)
        e = cloud.parts[0].ellipse
        if all(_apart(e, kept.parts[0].ellipse) > 0.9 for kept in clouds):
            clouds.append(cloud)
        if len(clouds) == wanted:
            break
    return clouds


_ARRANGEMENTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], list[SimulatedCloud]]] = {
    "empty": _empty,
    "single": _single,
    "both": _both,
    "pair": _pair,
    "row": _row,
    "several": _several,
}


def _radius(ellipse: Gaussian2D, direction: float) -> float:
    """Return the radius of the 1/e² ellipse in a direction."""
    turn = direction - ellipse.theta
    return 1 / math.hypot(math.cos(turn) / ellipse.wx, math.sin(turn) / ellipse.wy)


def _apart(first: Gaussian2D, second: Gaussian2D) -> float:
    """Return the distance of two ellipses over the sum of their radii towards each other."""
    dy, dx = second.y0 - first.y0, second.x0 - first.x0
    direction = math.atan2(dy, dx)
    return math.hypot(dx, dy) / (_radius(first, direction) + _radius(second, direction))
