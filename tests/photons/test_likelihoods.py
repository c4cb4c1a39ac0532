"""Log-likelihoods against integrals in 50 digits, and their limits."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from napari_coldatoms.photons.likelihoods import (
    effective_log_likelihood,
    poisson_log_likelihood,
)


def integral(h, mean, variance):
    """Return ln ∫ dλ Pois(h; λ) Gamma(λ; α, β) in 50 digits, by integration."""
    with mpmath.workdps(50):
        mu, var = mpmath.mpf(mean), mpmath.mpf(variance)
        alpha, beta = mu**2 / var + 1, mu / var
        log_scale = alpha * mpmath.log(beta) - mpmath.loggamma(alpha) - mpmath.loggamma(h + 1)
        power = h + alpha - 1
        # the peak of the integrand, and how wide it is
        peak = power / (1 + beta)
        width = mpmath.sqrt(power) / (1 + beta) if power > 0 else 1 / (1 + beta)

        def log_integrand(x):
            return power * mpmath.log(x) - (1 + beta) * x

        top = log_integrand(peak) if peak > 0 else mpmath.mpf(0)
        edges = [peak + width * k for k in (-16, -8, -4, -2, 0, 2, 4, 8, 16, 40)]
        edges = [mpmath.mpf(0)] * (edges[0] > 0) + [max(e, mpmath.mpf(0)) for e in edges]
        edges = [*sorted(set(edges)), edges[-1] + 60 * (width + 1 / (1 + beta))]
        total = mpmath.quad(
            lambda x: mpmath.exp(log_integrand(x) - top) if x > 0 else mpmath.mpf(power == 0), edges
        )
        return float(log_scale + top + mpmath.log(total))


@pytest.mark.parametrize("h", [0, 1, 7, 300])
@pytest.mark.parametrize("ratio", [1e-12, 1e-8, 1e-4, 1e-2, 0.3, 1.0, 10.0])
def test_against_an_integral_in_fifty_digits(h, ratio):
    for mean in (0.02, 1.3, 280.0):
        exact = integral(h, mean, ratio * mean)
        found = float(effective_log_likelihood(h, mean, ratio * mean))
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("h", [299, 300, 301, 5_000, 1_000_000])
@pytest.mark.parametrize("ratio", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 10.0])
def test_large_numbers_against_the_closed_form_in_fifty_digits(h, ratio):
    for mean in (0.5, 30.0, 0.9 * h, 1.1 * h):
        with mpmath.workdps(50):
            mu, s = mpmath.mpf(mean), mpmath.mpf(ratio * mean) / mpmath.mpf(mean)
            alpha, beta = mu / s + 1, 1 / s
            exact = float(
                mpmath.loggamma(h + alpha)
                - mpmath.loggamma(alpha)
                - mpmath.loggamma(h + 1)
                + alpha * mpmath.log(beta)
                - (h + alpha) * mpmath.log1p(beta)
            )
        found = float(effective_log_likelihood(h, mean, ratio * mean))
        assert found == pytest.approx(exact, rel=1e-9, abs=1e-9 + 4e-16 * h)


def test_a_negative_binomial():
    h = np.arange(400)
    mu, variance = 33.0, 71.0
    alpha, beta = mu**2 / variance + 1, mu / variance
    found = effective_log_likelihood(h, mu, variance)
    np.testing.assert_allclose(found, nbinom.logpmf(h, alpha, beta / (1 + beta)), rtol=1e-11)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-9)


def test_without_variance_it_is_poisson():
    h = np.array([0, 1, 5, 400, 10**6])
    for mean in (1e-3, 4.0, 390.0, 1e6):
        exact = poisson.logpmf(h, mean)
        np.testing.assert_allclose(effective_log_likelihood(h, mean, 0), exact, rtol=1e-11)
        np.testing.assert_allclose(poisson_log_likelihood(h, mean), exact, rtol=1e-11)
        close = effective_log_likelihood(h[:4], mean, 1e-13 * mean)
        np.testing.assert_allclose(close, exact[:4], rtol=1e-8, atol=1e-9)


def test_where_nothing_is_expected():
    assert effective_log_likelihood(0, 0, 0) == 0
    assert effective_log_likelihood(3, 0, 0) == -np.inf
    assert effective_log_likelihood(0, 0, 2) == -np.inf
    # and its limit
    assert effective_log_likelihood(0, 1e-300, 2) < -600


def test_shapes_broadcast():
    found = effective_log_likelihood([[0], [3]], [1.0, 2.0, 5.0], 0.5)
    assert found.shape == (2, 3)
    assert found[1, 2] == effective_log_likelihood(3, 5, 0.5)
    assert effective_log_likelihood(2, 1, 1).shape == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, 1), "as observed, found -1"),
        ((1.5, 1, 1), "whole numbers of observed shots, found 1.5"),
        ((1, np.nan, 1), "as mean, found nan"),
        ((1, -2, 1), "as mean, found -2"),
        ((1, 1, -3), "as variance, found -3"),
        ((1, 1, np.inf), "as variance, found inf"),
        (([1, 2], [1, 2, 3], 1), r"broadcast, found \(2,\), \(3,\), \(\)"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        effective_log_likelihood(*arguments)
