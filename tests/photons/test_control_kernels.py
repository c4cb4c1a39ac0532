"""Derivatives of the distributions of counts, against differences of the distributions."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons.chain_derivatives import brightness_nodes
from napari_coldatoms.photons.control_kernels import fill_counts, pure_counts, share
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.quadrature import legendre
from napari_coldatoms.photons.scoring import damped_step

BINS = 80
TWO = ((1.0, 15.0, 29.0), {(2, 1): 0.8, (2, 0): 0.4})
THREE = ((1.0, 15.0, 29.0, 41.0), {(1, 0): 0.1, (2, 1): 0.8, (2, 0): 0.4, (3, 2): 1.2})


def _evaluate(theta: np.ndarray, channels: list, chain: bool) -> tuple[np.ndarray, np.ndarray]:
    atoms = len(theta) - len(channels) - 3
    nodes, weights = legendre(theta.max(), 3.0)
    p = np.zeros((atoms + 1, BINS))
    dp = np.zeros((len(theta), atoms + 1, BINS))
    wanted = np.ones(len(theta), dtype=bool)
    pairs = np.array(channels, dtype=np.int64).reshape(-1, 2)
    pure_counts(theta, atoms, pairs, chain, nodes, weights, 0, atoms, wanted, p, dp)
    return p, dp


@pytest.mark.parametrize(
    ("model", "chain", "variance", "tolerance"),
    [
        (TWO, False, 0.0, 1e-13),
        (TWO, False, 0.04, 1e-13),
        (TWO, True, 0.0, 1e-13),
        (THREE, True, 0.0, 1e-13),
        (THREE, True, 0.04, 2e-8),
        (((3.0, 20.0), {}), False, 0.01, 1e-13),
    ],
)
def test_distributions_and_their_derivatives(
    model: tuple, chain: bool, variance: float, tolerance: float
) -> None:
    rates, losses = model
    theta = np.array([*rates, 0.03, *losses.values(), variance])
    p, dp = _evaluate(theta, list(losses), chain)

    def distribution(theta: np.ndarray) -> np.ndarray:
        values = dict(zip(losses, theta[len(rates) + 1 : -1], strict=True))
        return LossModel(theta[: len(rates)], values, 1.0, math.sqrt(theta[-1])).distribution(
            BINS - 1
        )

    np.testing.assert_allclose(p, distribution(theta), atol=tolerance)
    for k, value in enumerate(theta):
        if k == len(rates) or (k == len(theta) - 1 and variance == 0):
            continue
        step = np.zeros(len(theta))
        step[k] = 1e-4 * max(value, 0.1)
        difference = (distribution(theta + step) - distribution(theta - step)) / (2 * step[k])
        np.testing.assert_allclose(dp[k], difference, atol=5e-7)


def test_the_derivative_by_the_brightness_is_right_where_it_is_constant() -> None:
    # to first order in the variance v: p + v m²/2 p''(m), with p'' the second difference of Poisson
    theta = np.array([1.0, 15.0, 0.0, 0.0])
    _, dp = _evaluate(theta, [], chain=False)
    n = np.arange(BINS)
    second = (
        stats.poisson.pmf(n, 15) - 2 * stats.poisson.pmf(n - 1, 15) + stats.poisson.pmf(n - 2, 15)
    )
    np.testing.assert_allclose(dp[-1, 1], 15**2 / 2 * second, atol=5e-3)


@pytest.mark.parametrize("mean", [1e-3, 15.0, 500.0, 5000.0])
@pytest.mark.parametrize("variance", [0.0, 1e-7, 0.04, 1.5])
def test_counts_of_one_mean(mean: float, variance: float) -> None:
    out = np.empty(7000)
    fill_counts(mean, variance, out)
    for n in (0, 1, int(mean), int(mean + math.sqrt(mean)) + 3):
        with mpmath.workdps(40):
            m, v = mpmath.mpf(mean), mpmath.mpf(variance)
            log = -m
            if v:
                log = mpmath.loggamma(n + 1 / v) - mpmath.loggamma(1 / v)
                log += n * mpmath.log(v / (1 + v * m)) - mpmath.log1p(v * m) / v
            expected = float(mpmath.exp(log + n * mpmath.log(m) - mpmath.loggamma(n + 1)))
        assert out[n] == pytest.approx(expected, rel=1e-10, abs=1e-290)


def test_no_light_gives_no_counts() -> None:
    out = np.empty(5)
    fill_counts(0.0, 0.0, out)
    assert out.tolist() == [1, 0, 0, 0, 0]


def test_nodes_over_the_brightness_have_the_moments_of_a_gamma_distribution() -> None:
    nodes, weights = brightness_nodes(0.04, 16)
    for power in range(12):
        moment = stats.gamma(25, scale=0.04).moment(power) if power else 1.0
        assert weights @ nodes**power == pytest.approx(moment, rel=1e-10)


def test_shares_of_atoms_left_are_binomial() -> None:
    for left in range(4):
        value, slope = share(left, 3, 0.1)
        assert value == pytest.approx(stats.binom.pmf(left, 3, 0.9), rel=1e-12)
        difference = stats.binom.pmf(left, 3, 0.9 - 1e-5) - stats.binom.pmf(left, 3, 0.9 + 1e-5)
        assert slope == pytest.approx(difference / 2e-5, rel=1e-6)


def test_counts_are_filled_over_whatever_was_there():
    out = np.full(40, np.nan)
    fill_counts(7.0, 0.0, out)
    np.testing.assert_allclose(out, stats.poisson.pmf(np.arange(40), 7.0), rtol=1e-12)


def test_a_damped_step_leaves_what_is_held_where_it_is() -> None:
    rng = np.random.default_rng(4)
    a = rng.normal(0, 1, (4, 4)) * [1.0, 1e3, 1.0, 1e-3]
    info, gradient = a.T @ a, rng.normal(0, 1, 4)
    free = np.array([True, True, False, True])
    step = np.where(free, gradient, np.nan)
    assert damped_step(np.tril(info), 0.3, free, step)
    kept = np.flatnonzero(free)
    # damping adds a part of each diagonal element
    part = info[np.ix_(kept, kept)] + 0.3 * np.diag(np.diag(info)[kept])
    np.testing.assert_allclose(step[kept], np.linalg.solve(part, gradient[kept]), rtol=1e-9)
    assert step[2] == 0
    info[1, 1] = -1.0
    assert not damped_step(info, 0.3, free, gradient)
