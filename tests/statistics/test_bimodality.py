"""One mode or two."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma, norm

from napari_coldatoms.statistics import bimodality, fit_mixture


def support(draw, n, repeats=60, seed=1):
    """Return in which part of samples two modes are supported."""
    rng = np.random.default_rng(seed)
    results = []
    for _ in range(repeats):
        values = draw(rng, n)
        results.append(bimodality(values, fit_mixture(values)).is_supported)
    return np.mean(results)


def two_modes(weight, distance, sd):
    def draw(rng, n):
        upper = rng.random(n) < weight
        return np.where(upper, rng.normal(distance, sd, n), rng.normal(0, 1, n))

    return draw


ONE_MODE = {
    "normal": lambda rng, n: rng.normal(5, 2, n),
    "skew": lambda rng, n: rng.gamma(16, 1, n),
    "skew to the left": lambda rng, n: -rng.gamma(9, 1, n),
    "uneven": lambda rng, n: rng.normal(0, 1, n) + rng.uniform(-1, 1, n),
    "heavy tails": lambda rng, n: rng.standard_t(10, n),
}


@pytest.mark.parametrize("name", ONE_MODE)
@pytest.mark.parametrize("n", [200, 1_000, 10_000])
def test_one_mode_is_one(name, n):
    assert support(ONE_MODE[name], n) <= 0.07


@pytest.mark.parametrize(
    ("weight", "distance", "sd", "n", "least"),
    [
        (0.5, 2.4, 1.0, 500, 0.9),
        (0.5, 2.4, 1.0, 1_000, 1.0),
        (0.5, 2.4, 1.3, 1_000, 0.9),
        (0.2, 2.4, 1.2, 10_000, 0.95),
        (0.8, 2.4, 1.2, 10_000, 0.95),
        (0.5, 3.0, 1.2, 200, 0.75),
        (0.5, 5.0, 1.2, 100, 0.98),
        (0.05, 4.0, 1.1, 10_000, 1.0),
        (0.95, 4.0, 1.1, 10_000, 1.0),
        (0.02, 20.0, 3.0, 1_000, 0.98),
    ],
)
def test_two_modes_are_two(weight, distance, sd, n, least):
    assert support(two_modes(weight, distance, sd), n) >= least


def test_evidence_against_the_likelihoods_of_single_modes():
    values = np.random.default_rng(2).gamma(9, 1, 4_000)
    mixture = fit_mixture(values)
    two = np.log(mixture.density(values)).sum()
    normal = norm(*norm.fit(values)).logpdf(values).sum()
    skew = gamma(*gamma.fit(values, 9, loc=0, scale=1)).logpdf(values).sum()
    found = bimodality(values, mixture)
    assert two - normal > 100
    # the shape is taken from the skewness, which is a little less likely than the likeliest
    assert two - skew < found.evidence + 1e-6 < two - skew + 10
    assert not found.is_supported

    symmetric = two_modes(0.5, 3, 1)(np.random.default_rng(3), 4_000)
    mixture = fit_mixture(symmetric)
    normal = norm(*norm.fit(symmetric)).logpdf(symmetric).sum()
    two = np.log(mixture.density(symmetric)).sum()
    assert bimodality(symmetric, mixture).evidence == pytest.approx(two - normal, abs=5)


def test_numbers_of_a_clear_case():
    values = two_modes(0.25, 6, 1)(np.random.default_rng(4), 20_000)
    found = bimodality(values.reshape(100, -1), fit_mixture(values))
    assert found.separation == pytest.approx(6, rel=0.02)
    assert found.minor_weight == pytest.approx(0.25, rel=0.03)
    assert found.evidence > 1_000
    assert found.is_supported


def test_weights_leave_a_mode_out():
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.normal(0, 1, 1_000), rng.normal(8, 1, 1_000)])
    lower = np.repeat([1.0, 0.0], 1_000)
    assert bimodality(values, fit_mixture(values)).is_supported
    mixture = fit_mixture(values, weights=lower)
    assert not bimodality(values, mixture, weights=lower).is_supported


def test_nothing_to_compare():
    mixture = fit_mixture([0.0, 0.1, 1.0, 1.1])
    with pytest.raises(ValueError, match="found 2"):
        bimodality([1.0, 2.0], mixture)
