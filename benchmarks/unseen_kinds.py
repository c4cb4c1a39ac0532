"""Simulated shots of clouds that the network of the package does not know, with their truth.

Two kinds. ``crossed``: two long Gaussians through one centre, as crossed dipole traps hold them.
The network of the package was trained on such shapes, but calls them what it calls every dipole
trap. ``split``: two Gaussians side by side, which are one cloud, as in a double well. It was
trained on nothing of that kind.

The true outline of a cloud is the contour at 1/e² of its own peak, without noise; where that comes
in two pieces, both belong to the cloud. Shots are raw triplets of an even beam with up to three
systems of fringes and white noise, see `simulate_raw.plain_absorption`, and become optical depths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_coldatoms.clouds.annotated import Annotated
from napari_coldatoms.clouds.exposure import log_uniform
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate_raw import make_picture, plain_absorption
from napari_coldatoms.clouds.simulate_shapes import Part, SimulatedCloud

Kind = Literal["crossed", "split"]
SHAPE = (200, 200)
# empty pixels between the outlines of two clouds, and between outline and border
_APART, _MARGIN = 3, 2
# of the two optical depths that clouds have at their peak
_FAINTEST, _DENSEST = 0.2, 3.0
# a painted outline: how far off all around, the rms of its waves and how long these are (px)
_OFF, _WAVES, _LONG = 2.0, 1.0, 8.0


def shot(kind: Kind, *seed: int) -> Annotated:
    """Return the shot that belongs to a seed: one cloud or two, with their true outlines."""
    rng = np.random.default_rng((list(KINDS).index(kind), *seed))
    light = plain_absorption(rng, SHAPE)
    heights = np.zeros(SHAPE)
    masks: list[NDArray[np.bool_]] = []
    wanted = int(rng.integers(1, 3))
    while len(masks) < wanted:
        ellipse = Gaussian2D(
            *rng.uniform(0, 199, 2).tolist(),
            1.0,
            1.0,
            float(rng.uniform(-math.pi / 2, math.pi / 2)),
            log_uniform(rng, _FAINTEST, _DENSEST),
        )
        seen = SimulatedCloud(kind, kind, KINDS[kind](rng, ellipse)).render(SHAPE)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[seen.slices] = seen.mask
        inner = mask[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        free = not masks or distance_transform_edt(~np.any(masks, axis=0))[mask].min() > _APART
        if np.count_nonzero(inner) < seen.area or not free:
            continue
        masks.append(mask)
        heights[seen.slices] += seen.heights
    raw = light.expose(heights, None, rng, True)
    picture = make_picture(raw, light.roles, light.camera)
    name = f"{kind} {'-'.join(map(str, seed))}"
    return Annotated(name, picture, (kind,) * len(masks), np.array(masks))


def painted(exact: Annotated, *seed: int) -> Annotated:
    """Return a shot as a hand would paint it.

    Each outline is up to two pixels too far out or in, as if with a wrong idea of the border, and
    has waves of one pixel (rms), some 20 pixels long.
    """
    rng = np.random.default_rng(seed)
    masks = []
    for mask in exact.masks:
        outside, inside = distance_transform_edt(~mask), distance_transform_edt(mask)
        waves = gaussian_filter(rng.standard_normal(mask.shape), _LONG)
        off = rng.uniform(-_OFF, _OFF) + _WAVES / float(waves.std()) * waves
        masks.append(inside - outside + np.where(mask, -0.5, 0.5) + off > 0)
    return replace(exact, masks=np.array(masks))


def _crossed(rng: np.random.Generator, at: Gaussian2D) -> tuple[Part, ...]:
    """Return two arms of 1/e² radii 24 to 45 and 4 to 7 px at an angle of 40 to 90 degrees."""
    long, thin = float(rng.uniform(24, 45)), float(rng.uniform(4, 7))
    share, turn = float(rng.uniform(0.4, 0.6)), math.radians(rng.uniform(40, 90))
    one = replace(at, wx=long, wy=thin, peak=share * at.peak)
    other = replace(
        one,
        wx=long * float(rng.uniform(0.7, 1.0)),
        theta=at.theta + turn,
        peak=(1 - share) * at.peak,
    )
    return Part(one), Part(other)


def _split(rng: np.random.Generator, at: Gaussian2D) -> tuple[Part, ...]:
    """Return two clouds of 1/e² radii 10 to 28 and 5 to 9 px, 2 to 3.2 of the smaller apart."""
    long, thin = float(rng.uniform(10, 28)), float(rng.uniform(5, 9))
    half = float(rng.uniform(1.0, 1.6)) * thin
    weaker = float(rng.uniform(0.5, 1.0)) * at.peak
    dy, dx = half * math.cos(at.theta), -half * math.sin(at.theta)
    one = replace(at, x0=at.x0 + dx, y0=at.y0 + dy, wx=long, wy=thin)
    other = replace(at, x0=at.x0 - dx, y0=at.y0 - dy, wx=long, wy=thin, peak=weaker)
    return Part(one), Part(other)


KINDS: dict[Kind, Callable[[np.random.Generator, Gaussian2D], tuple[Part, ...]]] = {
    "crossed": _crossed,
    "split": _split,
}
"""Kinds of clouds, and what draws one."""
