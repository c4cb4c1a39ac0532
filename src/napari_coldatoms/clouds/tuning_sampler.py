"""How the hyperparameters of a trial are chosen. Needs optuna, and torch after Sobol's points."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial

from napari_coldatoms.clouds.search_space import Space

__all__ = ["TuningSampler", "distributions", "make_sampler"]

# a Gaussian process of a single value knows no scale
_LEAST = 2


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the ranges as optuna knows them."""
    return {
        name: IntDistribution(int(own.low), int(own.high))
        if own.whole
        else FloatDistribution(own.low, own.high, log=own.log)
        for name, own in space.ranges.items()
    }


def make_sampler(space: Space, number: int, sobol: int, seed: int) -> TuningSampler:
    """Return the sampler of one trial: what it chooses depends on no other sampler."""
    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    with warnings.catch_warnings():
        # older versions call it an experiment
        warnings.simplefilter("ignore")
        return TuningSampler(space, number if number < sobol else None, own)


class TuningSampler(GPSampler):
    """A point of Sobol's sequence, or the one of highest expected improvement.

    Trials that others are at work on are taken into account. Before two trials are done, which is
    so when more processes begin than there are points of the sequence, points are random.
    """

    def __init__(self, space: Space, sobol: int | None, seed: int) -> None:
        super().__init__(seed=seed, n_startup_trials=_LEAST)
        self._space, self._sobol, self._seed = space, sobol, seed

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the whole space."""
        return distributions(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the hyperparameters of a trial."""
        if self._sobol is not None:
            return asdict(self._space.sobol(self._sobol))
        if found := super().sample_relative(study, trial, search_space):
            return found
        return asdict(self._space.at(np.random.default_rng(self._seed).random(len(search_space))))
