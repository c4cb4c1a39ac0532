"""The local estimate: what the global one says about each site is its prior (Eqs. 37-42)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from napari_coldatoms.lattice.global_step import GlobalStep
from napari_coldatoms.lattice.linear import estimate_brightness
from napari_coldatoms.lattice.prior import SitePrior
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_PASSES = 2
_BETWEEN = 0.3  # distance from µ/2, in µ, of the sites that lie between the modes
_TAIL_BINS = 15
_TAIL_RATES = np.geomspace(4.0, 60.0, 32)
_TAIL_LEANS = np.linspace(-2.0, 2.0, 33)


def local_step(shot: Shot, step: GlobalStep, prior: SitePrior) -> tuple[FloatArray, FloatArray]:
    """Return brightness and probability of the local estimate."""
    if step.local is not None:
        return step.local
    start: FloatArray | None = None  # the prior mean: nearer than the global estimate
    probability = step.mixture.probability(step.brightness)
    for _ in range(_PASSES):
        brightness = start = _conditional(shot, prior, probability, start=start)
        probability = _tail_probability(brightness, prior.brightness, shot.valid)
    return brightness, probability


def _conditional(
    shot: Shot,
    prior: SitePrior,
    probability: FloatArray,
    *,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return the linear estimate for sites occupied with given probabilities (Eqs. 37-39)."""
    mean = prior.mean(probability)
    return estimate_brightness(
        shot.optics,
        shot.signal,
        shot.weights(mean),
        mean,
        prior.spread(probability),
        start=start,
    )


def _tail_probability(brightness: FloatArray, mean: float, valid: BoolArray) -> FloatArray:
    """Return how likely sites are occupied, from how many lie between the modes.

    The tails of both modes of the local estimate fall off exponentially towards µ/2: a density
    ``cosh(r t + c)`` of the distance t from there, in units of µ, and a probability of
    ``1 / (1 + exp(-2 (r t + c)))``. The most likely r and c are taken.
    """
    t = brightness / mean - 0.5
    edges = np.linspace(-_BETWEEN, _BETWEEN, 2 * _TAIL_BINS + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    counts, _ = np.histogram(t[valid], edges)
    rate = _TAIL_RATES[:, None]
    lean = _TAIL_LEANS[None, :]
    # usual values where there are few sites: r about 14, c about 0
    likelihood = -np.log((rate - 14) ** 2 + 100) - 0.5 * (lean / 0.5) ** 2
    likelihood -= counts.sum() * np.log(np.sinh(rate * _BETWEEN) * np.cosh(lean) / rate)
    likelihood += np.log(np.cosh(rate[..., None] * middle + lean[..., None])) @ counts
    r, c = np.unravel_index(int(np.argmax(likelihood)), likelihood.shape)
    return np.asarray(expit(2 * (_TAIL_RATES[r] * t + _TAIL_LEANS[c])))
