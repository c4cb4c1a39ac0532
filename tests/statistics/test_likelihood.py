"""The likelihood, its derivatives and its maximum, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from napari_coldatoms.statistics.likelihood import (
    evaluate,
    expectation_step,
    maximise,
    newton_step,
    penalty,
)

STATE = np.array([0.4, 0.3, 0.62, 2 * np.log(0.1), 2 * np.log(0.13)])
VARIANCE = 0.04


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(0.3, 0.1, 400), rng.normal(0.6, 0.12, 500)])


def logs(state, x):
    """Return logs of both components' densities times weights, (2, n)."""
    weights = np.array([1, np.exp(state[0])]) / (1 + np.exp(state[0]))
    variances = np.exp(state[3:])[:, None]
    squares = (x - state[1:3, None]) ** 2
    return np.log(weights)[:, None] - 0.5 * (squares / variances + np.log(2 * np.pi * variances))


def objective(state, x):
    return np.logaddexp(*logs(state, x)).sum() + penalty(state, VARIANCE, float(x.size))


def run(state, x):
    sums, curvature = np.empty((2, 3)), np.empty(5)
    value = evaluate(x, np.ones_like(x), np.zeros_like(x), state, sums, curvature)
    return value, sums, curvature


def test_value_and_sums(values):
    value, sums, curvature = run(STATE, values)
    both = logs(STATE, values)
    shares = np.exp(both - np.logaddexp(*both))
    assert value == pytest.approx(np.logaddexp(*both).sum(), rel=1e-12)
    for j in range(2):
        d = values - STATE[1 + j]
        expected = [(shares[j] * d**k).sum() for k in range(3)]
        np.testing.assert_allclose(sums[j], expected, rtol=1e-10)
    t = values - STATE[1:3].mean()
    np.testing.assert_allclose(
        curvature, [(shares[0] * shares[1] * t**k).sum() for k in range(5)], rtol=1e-9
    )


def test_penalty_is_highest_at_the_variance_of_all():
    trial = np.linspace(-6, 0, 601)
    heights = [penalty(np.array([0, 0, 0, t, t]), VARIANCE, 10.0) for t in trial]
    assert trial[np.argmax(heights)] == pytest.approx(np.log(VARIANCE), abs=0.01)


def test_newton_step_against_numerical_derivatives(values):
    _, sums, curvature = run(STATE, values)
    step = np.empty(5)
    gain = newton_step(STATE, sums, curvature, VARIANCE, float(values.size), 0.0, step)
    gradient = approx_fprime(STATE, objective, 1e-7, values)
    hessian = np.array(
        [
            (
                approx_fprime(STATE + h, objective, 1e-6, values)
                - approx_fprime(STATE - h, objective, 1e-6, values)
            )
            / 2e-3
            for h in 1e-3 * np.eye(5)
        ]
    )
    expected = -np.linalg.solve(hessian, gradient)
    np.testing.assert_allclose(step, expected, atol=2e-3 * np.abs(expected).max())
    assert gain == pytest.approx(0.5 * gradient @ expected, rel=1e-2)


def test_expectation_step_never_loses(values):
    state = np.array([-1.0, 0.2, 0.9, np.log(0.05), np.log(0.01)])
    value = objective(state, values)
    for _ in range(30):
        _, sums, _ = run(state, values)
        state = expectation_step(state, sums, VARIANCE, float(values.size))
        new = objective(state, values)
        assert new >= value - 1e-9
        value = new


def test_maximum_has_no_slope(values):
    one = np.ones_like(values)
    state, _ = maximise(values, one, 0 * one, STATE, VARIANCE, float(values.size), 1e-9, 100)
    slope = approx_fprime(state, objective, 1e-7, values)
    assert np.abs(slope).max() < 1e-2


def test_component_without_values_is_given_up(values):
    one = np.ones_like(values)
    far = np.array([0.0, 0.4, 50.0, np.log(0.05), np.log(0.01)])
    _, value = maximise(values, one, 0 * one, far, VARIANCE, float(values.size), 1e-9, 100)
    assert value == -np.inf
