"""What is counted while atoms are lost: rates, losses, and the distributions that follow."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.photons.histogram import FloatArray, IntArray
from napari_coldatoms.photons.quadrature import legendre, one_loss, one_loss_transitions
from napari_coldatoms.photons.uniformisation import steps_needed, uniformised

DistributionMethod = Literal["auto", "quadrature", "uniformisation"]

_METHODS = get_args(DistributionMethod)
# products of steps, atom numbers and counts that uniformisation may take: about a minute
_MOST_WORK = 3e10
# how far nodes over the brightness reach into its tails, and their steps in units of the narrowest
# peak of the counts; found by trial
_BRIGHTNESS_TAILS = (1e-20, 1e-30)
_BRIGHTNESS_STEP = 0.8


@dataclass(frozen=True)
class LossModel:
    """Counts of a few atoms that are lost while they are being detected.

    With i atoms present, counts arrive as a Poisson process of the rate ``rates[i]`` (Eq. 1 of
    Weyland et al. 2025, arXiv 2412.17434), and i atoms become j at the rate ``losses[i, j]``.

    Parameters
    ----------
    rates : sequence of float
        Detected counts per second with 0, 1, 2, ... atoms present.
    losses : mapping of (int, int) to float
        Rate, per second, of losses from i to j atoms, ``i > j >= 0``; those not named are zero.
    exposure : float
        s.
    brightness_sd : float
        Relative standard deviation, at most 1, of a brightness that varies from shot to shot and
        multiplies all rates; gamma distributed with mean 1. Counts at fixed atom number are
        negative binomial then, instead of Poissonian.

    Raises
    ------
    ValueError
        If a number is negative or not finite, the exposure not above zero, or a loss not from more
        atoms to fewer among those that have a rate.
    """

    rates: Sequence[float]
    losses: Mapping[tuple[int, int], float]
    exposure: float
    brightness_sd: float = 0.0

    def __post_init__(self) -> None:
        rates = tuple(float(rate) for rate in np.ravel(np.asarray(self.rates, dtype=float)))
        if not rates:
            raise ValueError("expected the rate of counts for 0 atoms at least, found none")
        if not all(math.isfinite(rate) and rate >= 0 for rate in rates):
            raise ValueError(f"expected finite rates not below 0, found {rates}")
        losses = {}
        for key, value in dict(self.losses).items():
            try:
                i, j = (operator.index(number) for number in key)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"expected losses by pairs of atom numbers such as (2, 1), found {key!r}"
                ) from error
            if not 0 <= j < i < len(rates):
                raise ValueError(
                    "expected losses from more atoms to fewer, among 0 to "
                    f"{len(rates) - 1} atoms, found {i} to {j}"
                )
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"expected a finite rate of losses not below 0, found {value} for {i} to {j}"
                )
            losses[i, j] = float(value)
        if not (math.isfinite(self.exposure) and self.exposure > 0):
            raise ValueError(f"expected an exposure above 0 s, found {self.exposure}")
        if not 0 <= self.brightness_sd <= 1:
            raise ValueError(
                "expected a relative standard deviation of brightness from 0 to 1, found "
                f"{self.brightness_sd}"
            )
        object.__setattr__(self, "rates", rates)
        object.__setattr__(self, "losses", losses)
        object.__setattr__(self, "exposure", float(self.exposure))
        object.__setattr__(self, "brightness_sd", float(self.brightness_sd))

    def __hash__(self) -> int:
        losses = frozenset(self.losses.items())
        return hash((self.rates, losses, self.exposure, self.brightness_sd))

    @property
    def atoms(self) -> int:
        """Largest number of atoms."""
        return len(self.rates) - 1

    @property
    def mean_counts(self) -> FloatArray:
        """Mean counts if i atoms stayed for the whole exposure, λ_i = r_i T; (atoms + 1,)."""
        return np.asarray(self.rates) * self.exposure

    @property
    def shape(self) -> float:
        """Shape parameter of the brightness; infinite where it is constant."""
        return 1 / self.brightness_sd**2 if self.brightness_sd > 0 else math.inf

    def loss_matrix(self) -> FloatArray:
        """Return the rates of losses as a matrix ``[i, j]``, 1/s; (atoms + 1, atoms + 1)."""
        return self._losses.copy()

    def with_exposure(self, exposure: float) -> LossModel:
        """Return the same rates and losses with another exposure (s)."""
        return replace(self, exposure=exposure)

    def distribution(
        self, max_count: int | None = None, *, method: DistributionMethod = "auto"
    ) -> FloatArray:
        """Return the probability of n counts, for each number of atoms at the beginning (Eq. 2).

        Parameters
        ----------
        max_count : int, optional
            Largest number of counts; by default as many as leave out less than 1e-12.
        method : {"auto", "quadrature", "uniformisation"}
            "quadrature" integrates over the time of the loss (Eq. 3) where a shot can have one loss
            at most; "uniformisation" takes any losses; "auto" the first where it can.

        Returns
        -------
        (atoms + 1, max_count + 1)
            Row i for i atoms, as exact as 1e-10 of every probability above 1e-30 (1e-8 of those
            above 1e-12 where `brightness_sd` goes with several losses).

        Raises
        ------
        ValueError
            If the largest count is negative, the method unknown or not applicable, or the work out
            of all proportion.
        """
        max_count = self._max_count(max_count)
        if self._quadrature(method):
            return one_loss(*self._integrand, max_count)
        return self._by_uniformisation(max_count, np.ones((1, self.atoms + 1)))[0]

    def transitions(
        self, max_count: int | None = None, *, method: DistributionMethod = "auto"
    ) -> FloatArray:
        """Return the joint probability of counts and of the atoms that are left in the end.

        Parameters
        ----------
        max_count, method
            As for `distribution`.

        Returns
        -------
        (atoms + 1, atoms + 1, max_count + 1)
            ``[j, i, n]``: n counts and j atoms at the end, having begun with i.
        """
        max_count = self._max_count(max_count)
        if self._quadrature(method):
            return one_loss_transitions(*self._integrand, max_count)
        return self._by_uniformisation(max_count, np.eye(self.atoms + 1))

    def sample(
        self,
        atoms: ArrayLike,
        size: int | None = None,
        *,
        bins: int = 1,
        rng: np.random.Generator | int | None = None,
    ) -> IntArray:
        """Simulate shots: every loss at its time, then the counts.

        Parameters
        ----------
        atoms : int or (shots,) int
            Number of atoms at the beginning of each shot.
        size : int, optional
            Number of shots, where ``atoms`` is one number.
        bins : int
            Equal parts of the exposure that are counted apart.
        rng : Generator, int or None
            Source or seed of random numbers.

        Returns
        -------
        (shots,) int, or (shots, bins) int if there are several bins
            Counts.

        Raises
        ------
        ValueError
            If there are more atoms than the model has, or fewer than none.
        """
        given = np.asarray(atoms)
        state = np.array(given, dtype=np.int64)
        if (state != given).any():
            raise ValueError(f"expected whole numbers of atoms, found {atoms!r:.60}")
        if size is not None and size < 0:
            raise ValueError(f"expected a number of shots not below 0, found {size}")
        if state.ndim == 0:
            state = np.full(1 if size is None else size, state)
        if state.ndim != 1 or (size is not None and len(state) != size):
            raise ValueError(f"expected one atom number for each shot, found shape {state.shape}")
        if state.size and not 0 <= state.min() <= state.max() <= self.atoms:
            wrong = state.min() if state.min() < 0 else state.max()
            raise ValueError(f"expected 0 to {self.atoms} atoms, found {wrong}")
        if bins < 1:
            raise ValueError(f"expected at least one bin, found {bins}")
        rng = np.random.default_rng(rng)
        counts = rng.poisson(self._mean_counts(state, bins, rng))
        return counts[:, 0] if bins == 1 else counts

    def _mean_counts(self, state: IntArray, bins: int, rng: np.random.Generator) -> FloatArray:
        """Return the mean counts of shots in each bin, given all their losses; changes `state`."""
        rates, losses = self._rates, self._losses
        totals = losses.sum(axis=1)
        # cumulative probability of j atoms after a loss
        targets = np.cumsum(losses, axis=1) / np.where(totals > 0, totals, 1.0)[:, None]
        edges = np.linspace(0, self.exposure, bins + 1)
        means = np.zeros((len(state), bins))
        begin = np.zeros(len(state))
        going = np.arange(len(state))
        while going.size:
            now = state[going]
            wait = np.full(going.size, np.inf)
            may = totals[now] > 0
            wait[may] = rng.exponential(1 / totals[now[may]])
            end = np.minimum(begin[going] + wait, self.exposure)
            spent = np.diff(np.clip(edges, begin[going, None], end[:, None]), axis=1)
            means[going] += rates[now, None] * spent
            lost = end < self.exposure
            going, now, end = going[lost], now[lost], end[lost]
            begin[going] = end
            state[going] = (rng.random(going.size)[:, None] > targets[now]).sum(axis=1)
        if self.brightness_sd > 0:
            means *= rng.gamma(self.shape, 1 / self.shape, (len(state), 1))
        return means

    def _max_count(self, max_count: int | None) -> int:
        if max_count is None:
            mean = float(self.mean_counts.max())
            sd = math.sqrt(mean + (self.brightness_sd * mean) ** 2)
            return math.ceil(mean + (9 + 10 * self.brightness_sd) * sd + 12)
        if max_count < 0:
            raise ValueError(f"expected a largest count not below 0, found {max_count}")
        return int(max_count)

    def _quadrature(self, method: str) -> bool:
        if method not in _METHODS:
            names = ", ".join(_METHODS)
            raise ValueError(f"expected a method of {names}, found {method!r}")
        if method == "uniformisation":
            return False
        if method == "quadrature" and not self._one_loss:
            raise ValueError(
                "expected at most one loss in a shot for quadrature, found losses that lead to "
                "atom numbers with further losses; use uniformisation"
            )
        return self._one_loss

    @cached_property
    def _rates(self) -> FloatArray:
        return np.asarray(self.rates)

    @cached_property
    def _losses(self) -> FloatArray:
        matrix = np.zeros((self.atoms + 1, self.atoms + 1))
        for (i, j), rate in self.losses.items():
            matrix[i, j] = rate
        return matrix

    @cached_property
    def _one_loss(self) -> bool:
        """Whether no loss leads to atom numbers with further losses."""
        lossy = self._losses.sum(axis=1) > 0
        return not (self._losses[:, lossy] > 0).any()

    @cached_property
    def _integrand(self) -> tuple:
        """Return the arguments of `one_loss`."""
        spread = max((abs(self.rates[i] - self.rates[j]) for i, j in self.losses), default=0.0)
        decay = float(self._losses.sum(axis=1).max())
        nodes, weights = legendre(spread * self.exposure, decay * self.exposure)
        return self._rates, self._losses, self.exposure, self.shape, nodes, weights

    def _by_uniformisation(self, max_count: int, ends: FloatArray) -> FloatArray:
        """Return the distributions (ends, atoms + 1, max_count + 1) for weights of last states."""
        rates, losses = self._rates, self._losses
        brightness, weights = self.brightness_nodes(max_count)
        result = np.zeros((len(ends), self.atoms + 1, max_count + 1))
        for factor, weight in zip(brightness, weights, strict=True):
            mean = float((factor * rates + losses.sum(axis=1)).max()) * self.exposure
            steps = steps_needed(mean) if mean > 0 else 0
            if steps * result.size * max(len(self.losses), 1) * len(weights) > _MOST_WORK:
                raise ValueError(
                    f"expected counts that can be computed, found rates up to {mean:.3g} counts "
                    f"and a largest count of {max_count}: count in shorter exposures"
                )
            for end, out in zip(ends, result, strict=True):
                out += weight * uniformised(
                    factor * rates, losses, self.exposure, end, steps, max_count
                )
        return result

    def brightness_nodes(self, max_count: int) -> tuple[FloatArray, FloatArray]:
        """Return values of the brightness and their weights, for means over it.

        Parameters
        ----------
        max_count : int
            Largest number of counts whose probability will be averaged.
        """
        if self.brightness_sd == 0:
            return np.ones(1), np.ones(1)
        from scipy.special import gammainccinv, gammaincinv, gammaln

        # the trapezoidal rule over the logarithm converges exponentially
        shape = self.shape
        low = math.log(gammaincinv(shape, _BRIGHTNESS_TAILS[0]) / shape)
        high = math.log(gammainccinv(shape, _BRIGHTNESS_TAILS[1]) / shape)
        step = _BRIGHTNESS_STEP / math.sqrt(shape + max_count)
        logs = np.linspace(low, high, math.ceil((high - low) / step) + 1)
        values = np.exp(logs)
        log_density = shape * math.log(shape) - gammaln(shape) + shape * (logs - values)
        weights = np.exp(log_density) * (logs[1] - logs[0])
        return values, weights
