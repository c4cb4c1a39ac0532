"""The search for the highest contrast, with contrasts made up."""

from __future__ import annotations

import math

import pytest

from napari_coldatoms.lattice.tuning import Trial, best_trial, tune
from napari_coldatoms.statistics import Bimodality, Mixture

RADII = [0.0, 1.0, 2.0, 3.0]


def trial(power, radius, contrast, evidence=100.0):
    distance = math.sqrt(2 * contrast)
    mixture = Mixture([0.5, 0.5], [0, distance], [1, 1])
    return Trial(power, radius, mixture, Bimodality(evidence, distance, 0.5))


class Landscape:
    """A hill of contrast over log κ and radius; remembers where it was asked."""

    def __init__(self, power, radius, evidence=100.0):
        self.summit = power, radius
        self.evidence = evidence
        self.asked = []

    def __call__(self, power, radii):
        self.asked.append(power)
        rows = []
        for radius in radii:
            distance = (power - self.summit[0]) ** 2 + (radius - self.summit[1]) ** 2
            rows.append(trial(power, radius, 10 / (1 + 0.3 * distance), self.evidence))
        return rows


@pytest.mark.parametrize("power", [-4.7, -3.3, -2.2, -1.95, -0.6, 0.4, 0.7])
@pytest.mark.parametrize("radius", RADII)
def test_summit_is_found_with_few_attempts(power, radius):
    hill = Landscape(power, radius)
    best = tune(hill, RADII)
    assert best.power == pytest.approx(power, abs=0.06)
    assert best.radius == radius
    assert len(hill.asked) == len(set(hill.asked))
    assert len(hill.asked) <= 12


@pytest.mark.parametrize(("power", "end"), [(-7.0, -5.0), (3.0, 1.0)])
def test_summit_beyond_the_range(power, end):
    hill = Landscape(power, 1.0)
    assert tune(hill, RADII).power == end
    assert min(hill.asked) >= -5
    assert max(hill.asked) <= 1


def test_without_contrast_the_regularisation_is_plain():
    hill = Landscape(-4.0, 1.0, evidence=2.0)
    best = tune(hill, RADII)
    assert best.power in (-2.0, -1.0)
    assert not best.bimodality.is_supported
    assert sorted(hill.asked) == [-5, -4, -3, -2, -1, 0, 1]


def test_contrast_of_a_few_values_does_not_count():
    few = trial(-4.0, 0.0, 50.0, evidence=20.0)
    many = trial(-2.0, 1.0, 8.0, evidence=500.0)
    less = trial(-1.0, 1.0, 6.0, evidence=400.0)
    best = best_trial([few, many, less])
    assert best.mixture is many.mixture
    assert best.bimodality.trials == 3
    assert best_trial([few, trial(-2.0, 1.0, 8.0, evidence=30.0)]).mixture is few.mixture
