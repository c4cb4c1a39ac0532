"""Two modes of a camera's counts that are not whole, fitted with the densities of its light.

See `mode_densities`. Which camera it is, the counts tell: offset and gain are not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.mode_densities import LEAST_VARIANCE, Camera, Grid, State
from napari_coldatoms.statistics.binned import extent, robust_range
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]

MULTIPLIED, NORMAL = Camera(1 / 2, 0.1), Camera(0.0, 0.1)

LEAST_VALUES = 30
"""Fewer tell nothing of the skewness."""

_CUTS = (0.2, 0.4, 0.6, 0.8)  # parts of the values below, to start from
_PASSES = 60
_TOLERANCE = 1e-2  # of the log-likelihood, while starts are compared
# by how much others must be likelier than multiplied photons, in log-likelihood
_COSTS = {
    MULTIPLIED: 0.0,
    Camera(1 / 2, 0.5): 3.0,
    Camera(1 / 3, 0.1): 1.0,
    Camera(1 / 3, 0.8): 3.0,
    NORMAL: 2.0,
}


@dataclass(frozen=True, eq=False)
class SkewedModes:
    """Two modes, and what they gain over one.

    Attributes
    ----------
    mixture : Mixture
        Weights, means and standard deviations.
    camera : Camera
    threshold : float
        From where on the upper mode is likelier.
    false_bright, false_dark : float
        The parts of the lower mode above, and of the upper one below the threshold.
    log_likelihood : float
        Of the values' density.
    gain : float
        Log-likelihood less that of the best single mode, normal or skewed.
    certainty : float
        Of how many values the weights are known as well, were it known where each belongs, over
        the number of values; at most 1.
    """

    mixture: Mixture
    camera: Camera
    threshold: float
    false_bright: float
    false_dark: float
    log_likelihood: float
    gain: float
    certainty: float


def fit_skewed(values: FloatArray) -> dict[Camera, SkewedModes]:
    """Fit two modes by maximum likelihood, for each of some cameras.

    Local maxima are sought by expectation maximisation from several cuts and from two normal modes,
    and the best of them is climbed. Values far outside the rest are left out.

    Parameters
    ----------
    values : (shots,)
        Finite, not all equal, at least `LEAST_VALUES`.

    Returns
    -------
    dict of SkewedModes
        Empty where no fit is found. Values of one mode give some modes, too: see `gain`.
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    none = np.empty(0)
    low, high = robust_range(values, none, *extent(values, none))
    values = values[(values >= low) & (values <= high)]
    if len(values) < LEAST_VALUES or not values.max() > values.min():
        return {}
    normal = fit_mixture(values)
    grid = Grid(values, float(normal.sds.min()))
    improved = [_improved(grid, start) for start in _starts(values, normal, grid)]
    begun = [state for state in improved if state is not None]
    if not begun:
        return {}
    begin = max(begun, key=lambda state: state.value)
    straight = _of_mixture(normal, grid)
    single = grid.single()
    found: dict[Camera, SkewedModes] = {}
    for camera in _COSTS:
        result = _result(
            grid, _climbed(grid, straight if camera == NORMAL else begin, camera), single
        )
        if result is None:
            return {}
        found[camera] = result
    return found


def likeliest(fits: Sequence[Mapping[Camera, SkewedModes]]) -> Camera:
    """Return the camera that is likeliest for all its sites together.

    One site of some hundred shots hardly tells. Where shots do not, light is skewed as behind a
    multiplying register, which costs plain photons next to nothing; the other way round it does.

    Parameters
    ----------
    fits : sequence of dict
        From `fit_skewed`, of sites with two modes.
    """
    total = {
        camera: sum(fit[camera].log_likelihood for fit in fits) - cost
        for camera, cost in _COSTS.items()
    }
    return max(total, key=lambda camera: total[camera])


def _starts(values: FloatArray, normal: Mixture, grid: Grid) -> list[State]:
    starts = [_of_mixture(normal, grid)]
    places = (values - grid.low) / grid.width
    for part in _CUTS:
        upper = places > np.quantile(places, part)
        if min(upper.sum(), (~upper).sum()) < 3:
            continue
        groups = places[~upper], places[upper]
        # a cut takes off the tails
        spread = 1.3 * np.array([group.var() for group in groups])
        means = np.array([group.mean() for group in groups])
        weights = np.array([1 - upper.mean(), upper.mean()])
        starts.append(State(weights, means, np.maximum(spread, LEAST_VARIANCE), MULTIPLIED))
    return starts


def _of_mixture(mixture: Mixture, grid: Grid) -> State:
    variances = np.maximum((mixture.sds / grid.width) ** 2, LEAST_VARIANCE)
    means = (mixture.means - grid.low) / grid.width
    return State(mixture.weights, means, variances, MULTIPLIED)


def _improved(grid: Grid, state: State) -> State | None:
    """Return a state near a maximum, by mean and variance of what belongs to each mode."""
    weights, means, variances = state.weights, state.means, state.variances
    before = -math.inf
    for _ in range(_PASSES):
        if not (weights.min() > 0 and means[1] > means[0]):
            return None
        state = State(weights, means, variances, state.camera)
        densities = grid.densities(state)
        value = grid.log_likelihood(weights, densities)
        state = State(weights, means, variances, state.camera, value)
        if abs(value - before) < _TOLERANCE:
            break
        before = value
        shares = weights[:, None] * densities / grid.with_outliers(weights, densities)
        parts = shares * grid.counts
        totals = parts.sum(axis=1)
        if totals.min() < 1:
            return None
        weights = totals / totals.sum()
        means = parts @ grid.places / totals
        squares = (grid.places - means[:, None]) ** 2
        variances = np.maximum((squares * parts).sum(axis=1) / totals, LEAST_VARIANCE)
    return state


def _climbed(grid: Grid, start: State, camera: Camera) -> State:
    """Return the most likely state near a start."""
    from scipy.optimize import minimize

    sds = np.sqrt(start.variances)
    begin = np.array([math.log(start.weights[1] / start.weights[0]), *start.means, 0.0, 0.0])
    steps = np.array([0.2, *(0.2 * sds), 0.2, 0.2])

    def state(x: FloatArray) -> State:
        odds, lower, upper, *logs = begin + steps * x
        share = 1 / (1 + math.exp(-min(max(odds, -20.0), 20.0)))
        variances = start.variances * np.exp(np.clip(logs, -10.0, 10.0))
        return State(
            np.array([1 - share, share]),
            np.array([lower, upper]),
            np.maximum(variances, LEAST_VARIANCE),
            camera,
        )

    def loss(x: FloatArray) -> float:
        tried = state(x)
        # not infinite: differences are taken of it
        if not tried.means[1] - tried.means[0] > 1e-3:
            return 1e12
        return -grid.log_likelihood(tried.weights, grid.densities(tried))

    found = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 0.05, "maxiter": 100})
    best = state(np.asarray(found.x))
    return State(best.weights, best.means, best.variances, camera, -float(found.fun))


def _result(grid: Grid, state: State, single: float) -> SkewedModes | None:
    if not (state.weights.min() > 0 and state.means[1] > state.means[0]):
        return None
    densities = grid.densities(state)
    densities /= densities.sum(axis=1, keepdims=True)
    below = np.cumsum(densities, axis=1)  # up to the upper edge of each bin
    wrong = state.weights[0] * (1 - below[0]) + state.weights[1] * below[1]
    # between the means
    first = int(np.clip(math.floor(state.means[0]), 0, len(wrong) - 1))
    last = int(np.clip(math.ceil(state.means[1]), first, len(wrong) - 1))
    best = first + int(np.argmin(wrong[first : last + 1]))
    place = best + 0.5
    if best + 1 < len(wrong):
        # where both are equally likely, within the bins
        lead = state.weights @ (densities[:, best : best + 2] * np.array([[-1.0], [1.0]]))
        if lead[0] < 0 < lead[1]:
            place = best + lead[0] / (lead[0] - lead[1])
    edges = grid.places + 0.5
    rates = [float(np.interp(place, edges, below[k], left=0.0)) for k in (0, 1)]
    mixture = Mixture(
        state.weights,
        grid.low + grid.width * state.means,
        grid.width * np.sqrt(state.variances),
    )
    return SkewedModes(
        mixture,
        state.camera,
        grid.low + grid.width * float(place),
        max(1 - rates[0], 0.0),
        min(rates[1], 1.0),
        state.value,
        state.value - single,
        _certainty(grid, state),
    )


def _certainty(grid: Grid, state: State) -> float:
    """Return the variance of a counted share over that of the weight, by Fisher's information."""
    at = np.array([state.weights[1], *state.means, *state.variances])
    sds = np.sqrt(state.variances)
    steps = 0.01 * np.array([state.weights.prod(), *sds, *state.variances])

    def density(x: FloatArray) -> FloatArray:
        moved = State(np.array([1 - x[0], x[0]]), x[1:3], x[3:], state.camera)
        return grid.with_outliers(moved.weights, grid.densities(moved))

    slopes = [(density(at + step) - density(at - step)) / 2 for step in np.diag(steps)]
    scaled = np.array(slopes) / np.sqrt(density(at))
    # a part of the largest one keeps what is not known at all finite
    information = scaled @ scaled.T
    information += 1e-12 * np.trace(information) * np.eye(len(at))
    variance = float(np.linalg.inv(information)[0, 0]) * steps[0] ** 2
    return float(min(state.weights.prod() / variance, 1.0)) if variance > 0 else 1.0
