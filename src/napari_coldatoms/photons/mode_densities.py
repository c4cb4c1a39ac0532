"""The distributions of a camera's counts that are not whole: sums of pixels, multiplied or not.

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
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEAST_VARIANCE = 1.0
"""Of a mode, in bins squared."""

_BINS_PER_SD = 4
_MOST_BINS = 1000
_MOST_SKEWED = 0.6  # c b over the dark mode's sd
_OUTLIERS = 1e-4  # part of the values that may lie anywhere
# single modes: their read noise (with little, shots without any photon stand apart), and whether
# they are shifted gamma distributions, as brightnesses may be, instead of those of photons
_SINGLE = ((0.003, False), (0.1, False), (0.5, False), (0.02, True))
_LEAST_SCALE = 1e-3  # bins
# where to start for a single mode, as parts of the skewness of the values
_SKEWNESS = (0.0, 0.5, 0.75, 1.0, 1.25)


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


@dataclass(frozen=True, eq=False)
class State:
    """Weights, means and variances (2,) each, in bins, and the camera."""

    weights: FloatArray
    means: FloatArray
    variances: FloatArray
    camera: Camera
    value: float = -math.inf


class Grid:
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

    def densities(self, state: State) -> FloatArray:
        """Return the probability of each bin in both modes, (2, bins)."""
        difference = state.means[1] - state.means[0]
        slope = max(float(np.diff(state.variances)[0] / difference), 0.0)
        most = _MOST_SKEWED * math.sqrt(state.variances[0])
        noise = state.camera.noise * float(state.variances[0])
        scale = min(state.camera.skew * slope, most)
        return self._density(state.means, state.variances, scale, noise)

    def log_likelihood(self, weights: FloatArray, densities: FloatArray) -> float:
        """Return that of the values, as densities in their own unit."""
        total = float(self.counts @ np.log(self.with_outliers(weights, densities)))
        return total - float(self.counts.sum()) * math.log(self.width)

    def with_outliers(self, weights: FloatArray, densities: FloatArray) -> FloatArray:
        """Return the probability of each bin, (bins,), a few values anywhere included."""
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
            v = max(variance * math.exp(min(max(0.2 * x[1], -5.0), 5.0)), LEAST_VARIANCE)
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
