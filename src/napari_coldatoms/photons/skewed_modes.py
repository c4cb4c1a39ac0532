"""Two modes of a camera's counts that are not whole: sums of pixels, multiplied or not.

N photons, Poissonian of mean λ, give the sum of N numbers that are exponential, of mean g, behind
a multiplying register, and all equal to g without one. With read noise and light of other sources
the cumulants are

    multiplied      κ2 = 2 λ g² + σ²,   κ3 = 6 λ g³
    not multiplied  κ2 =   λ g² + σ²,   κ3 =   λ g³

so that modes are the more skewed to the right, the more variances rise with means: with the slope
``b = (v1 - v0) / (m1 - m0)`` it is ``κ3 = 3 c b (κ2 - σ²)``, c = 1/2 with and 1/3 without
multiplication, 0 for normal modes. A mode of these cumulants has the characteristic function

    exp(i m t - (v - σ²) t² / 2 / (1 - i c b t) - σ² t² / 2),

which is the exact one of multiplied photons. Offset and gain are not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.statistics.binned import extent, robust_range
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]


class Camera(NamedTuple):
    """What a camera makes of light: how skewed modes are, and what part of them is read noise.

    Attributes
    ----------
    skew : float
        c.
    noise : float
        σ² over the variance of the dark mode. Above 0, so that densities have no edge.
    """

    skew: float
    noise: float


MULTIPLIED, NORMAL = Camera(1 / 2, 0.1), Camera(0.0, 0.1)

LEAST_VALUES = 30
"""Fewer tell nothing of the skewness."""

_BINS_PER_SD = 4
_MOST_BINS = 1000
_LEAST_VARIANCE = 1.0  # bins²
_MOST_SKEWED = 0.6  # c b over the dark mode's sd
_OUTLIERS = 1e-4  # part of the values that may lie anywhere
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
# single modes: their read noise (with little, shots without any photon stand apart), and whether
# they are shifted gamma distributions, as brightnesses may be, instead of those of photons
_SINGLE = ((0.003, False), (0.1, False), (0.5, False), (0.02, True))
_LEAST_SCALE = 1e-3  # bins
# where to start for a single mode, as parts of the skewness of the values
_SKEWNESS = (0.0, 0.5, 0.75, 1.0, 1.25)


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


@dataclass(frozen=True, eq=False)
class _State:
    """Weights, means and variances (2,) each, in bins, and the camera."""

    weights: FloatArray
    means: FloatArray
    variances: FloatArray
    camera: Camera
    value: float = -math.inf


class _Grid:
    """Values in equal bins, and densities on them."""

    def __init__(self, values: FloatArray, sd: float) -> None:
        from scipy.fft import next_fast_len

        self.low = float(values.min())
        reach = float(values.max()) - self.low
        width = max(sd / _BINS_PER_SD, reach / _MOST_BINS)
        # whole counts must fall into all bins alike
        whole = bool((values == np.rint(values)).all())
        self.width = float(max(round(width), 1)) if whole else width
        places = np.rint((values - self.low) / self.width).astype(np.int64)
        self.counts = np.bincount(places).astype(np.float64)
        self.places = np.arange(len(self.counts), dtype=np.float64)
        # as much again, so that tails do not come back at the other end
        self._length = int(next_fast_len(2 * len(self.counts) + 64, real=True))
        self._t = 2 * np.pi * np.fft.rfftfreq(self._length)

    def densities(self, state: _State) -> FloatArray:
        """Return the probability of each bin in both modes, (2, bins)."""
        difference = state.means[1] - state.means[0]
        slope = max(float(np.diff(state.variances)[0] / difference), 0.0)
        most = _MOST_SKEWED * math.sqrt(state.variances[0])
        noise = state.camera.noise * float(state.variances[0])
        scale = min(state.camera.skew * slope, most)
        return self._density(state.means, state.variances, scale, noise)

    def log_likelihood(self, weights: FloatArray, densities: FloatArray) -> float:
        total = float(self.counts @ np.log(self.with_outliers(weights, densities)))
        return total - float(self.counts.sum()) * math.log(self.width)

    def with_outliers(self, weights: FloatArray, densities: FloatArray) -> FloatArray:
        return np.asarray(weights @ densities + _OUTLIERS / len(self.counts))

    def single(self) -> float:
        """Return the log-likelihood of the most likely single mode, skewed as much as it may be."""
        from scipy.optimize import minimize

        total = self.counts.sum()
        mean = float(self.counts @ self.places) / total
        variance = float(self.counts @ (self.places - mean) ** 2) / total
        third = float(self.counts @ (self.places - mean) ** 3) / total
        sd, one = math.sqrt(variance), np.ones(1)

        def loss(x: FloatArray, noise: float, gamma: bool) -> float:
            v = max(variance * math.exp(min(max(0.2 * x[1], -5.0), 5.0)), _LEAST_VARIANCE)
            place = (mean + 0.2 * sd * x[0]) * one
            density = self._density(place, v * one, sd * x[2], noise * v, gamma=gamma)
            return -self.log_likelihood(one, density)

        best = -math.inf
        for noise, gamma in _SINGLE:
            scale = third / (3 * sd**3 * (1 - noise))
            starts = [np.array([0.0, 0.0, part * scale]) for part in _SKEWNESS]
            start = min(starts, key=lambda x: loss(x, noise, gamma))
            found = minimize(loss, start, (noise, gamma), method="BFGS", options={"gtol": 0.05})
            best = max(best, -float(found.fun))
        return best

    def _density(
        self,
        means: FloatArray,
        variances: FloatArray,
        scale: float,
        noise: float,
        *,
        gamma: bool = False,
    ) -> FloatArray:
        t, m, v = self._t, means[:, None], variances[:, None]
        # complex conjugate of the characteristic function, as numpy's transform has it
        exponent = -1j * t * m - noise / 2 * t**2
        if gamma and abs(scale) > _LEAST_SCALE:
            # of the same third cumulant
            wide = 1.5 * scale
            exponent = exponent - (v - noise) / wide**2 * (np.log1p(1j * wide * t) - 1j * wide * t)
        else:
            exponent = exponent - (v - noise) / 2 * t**2 / (1 + 1j * scale * t)
        density = np.fft.irfft(np.exp(exponent), self._length, axis=-1)
        return np.asarray(np.maximum(density[:, : len(self.places)], 0.0))


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
    grid = _Grid(values, float(normal.sds.min()))
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


def _starts(values: FloatArray, normal: Mixture, grid: _Grid) -> list[_State]:
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
        starts.append(_State(weights, means, np.maximum(spread, _LEAST_VARIANCE), MULTIPLIED))
    return starts


def _of_mixture(mixture: Mixture, grid: _Grid) -> _State:
    variances = np.maximum((mixture.sds / grid.width) ** 2, _LEAST_VARIANCE)
    means = (mixture.means - grid.low) / grid.width
    return _State(mixture.weights, means, variances, MULTIPLIED)


def _improved(grid: _Grid, state: _State) -> _State | None:
    """Return a state near a maximum, by mean and variance of what belongs to each mode."""
    weights, means, variances = state.weights, state.means, state.variances
    before = -math.inf
    for _ in range(_PASSES):
        if not (weights.min() > 0 and means[1] > means[0]):
            return None
        state = _State(weights, means, variances, state.camera)
        densities = grid.densities(state)
        value = grid.log_likelihood(weights, densities)
        state = _State(weights, means, variances, state.camera, value)
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
        variances = np.maximum((squares * parts).sum(axis=1) / totals, _LEAST_VARIANCE)
    return state


def _climbed(grid: _Grid, start: _State, camera: Camera) -> _State:
    """Return the most likely state near a start."""
    from scipy.optimize import minimize

    sds = np.sqrt(start.variances)
    begin = np.array([math.log(start.weights[1] / start.weights[0]), *start.means, 0.0, 0.0])
    steps = np.array([0.2, *(0.2 * sds), 0.2, 0.2])

    def state(x: FloatArray) -> _State:
        odds, lower, upper, *logs = begin + steps * x
        share = 1 / (1 + math.exp(-min(max(odds, -20.0), 20.0)))
        variances = start.variances * np.exp(np.clip(logs, -10.0, 10.0))
        return _State(
            np.array([1 - share, share]),
            np.array([lower, upper]),
            np.maximum(variances, _LEAST_VARIANCE),
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
    return _State(best.weights, best.means, best.variances, camera, -float(found.fun))


def _result(grid: _Grid, state: _State, single: float) -> SkewedModes | None:
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


def _certainty(grid: _Grid, state: _State) -> float:
    """Return the variance of a counted share over that of the weight, by Fisher's information."""
    at = np.array([state.weights[1], *state.means, *state.variances])
    sds = np.sqrt(state.variances)
    steps = 0.01 * np.array([state.weights.prod(), *sds, *state.variances])

    def density(x: FloatArray) -> FloatArray:
        moved = _State(np.array([1 - x[0], x[0]]), x[1:3], x[3:], state.camera)
        return grid.with_outliers(moved.weights, grid.densities(moved))

    slopes = [(density(at + step) - density(at - step)) / 2 for step in np.diag(steps)]
    scaled = np.array(slopes) / np.sqrt(density(at))
    # a part of the largest one keeps what is not known at all finite
    information = scaled @ scaled.T
    information += 1e-12 * np.trace(information) * np.eye(len(at))
    variance = float(np.linalg.inv(information)[0, 0]) * steps[0] ** 2
    return float(min(state.weights.prod() / variance, 1.0)) if variance > 0 else 1.0
