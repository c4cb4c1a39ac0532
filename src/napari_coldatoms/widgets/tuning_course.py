"""The course of a tuning as numbers: its trials, the best one, how long it still takes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from napari_coldatoms.clouds.search_space import Space
from napari_coldatoms.clouds.training_messages import Trials
from napari_coldatoms.clouds.tuning import Trial, Tuning


@dataclass
class TuningCourse:
    """What is known of a tuning.

    Attributes
    ----------
    trials : tuple of Trial
        All that were begun, by any process.
    wanted : int
        How many there are to be in all; 0 while none is under way here.
    number : int or None
        Of the trial that is under way here.
    """

    trials: tuple[Trial, ...] = ()
    wanted: int = 0
    number: int | None = None

    def take(self, told: Trials) -> None:
        """Take over what the process of the tuning told."""
        self.trials = told.trials
        self.number = told.number if told.has_begun else None

    def end(self, trials: Iterable[Trial] | None = None) -> None:
        """Take over that nothing is under way here any more, and what there is then."""
        here, self.number, self.wanted = self.number, None, 0
        if trials is not None:
            self.trials = tuple(trials)
            return
        self.trials = tuple(
            replace(each, state="stopped")
            if each.number == here and each.state == "running"
            else each
            for each in self.trials
        )

    @property
    def best(self) -> Trial | None:
        """The trial of the highest value."""
        return Tuning(Space(), self.trials, finished=False).best

    def left(self, of_trial: float) -> float:
        """Return how many seconds it still takes; NaN where that is not known.

        Parameters
        ----------
        of_trial : float
            How many seconds the trial that is under way still takes.
        """
        settled = sum(each.state in ("done", "failed") for each in self.trials)
        others = sum(each.state == "running" for each in self.trials) - (self.number is not None)
        coming = self.wanted - settled - others - (self.number is not None)
        if coming <= 0:
            return of_trial
        took = [each.seconds for each in self.trials if each.seconds is not None]
        return of_trial + coming * (sum(took) / len(took) if took else math.nan)

    def table(self) -> pd.DataFrame:
        """Return one row per trial, numbered from 1; the best one is marked."""
        best = self.best
        trials = self.trials
        chosen = [each.hyperparameters for each in trials]
        return pd.DataFrame(
            {
                "trial": [each.number + 1 for each in trials],
                "mAP": [each.value for each in trials],
                "state": ["best" if each is best else each.state for each in trials],
                **{
                    name.replace("_", " "): [
                        None if values is None else getattr(values, name) for values in chosen
                    ]
                    for name in Space().ranges
                },
                "box mAP": [each.notes.get("box") for each in trials],
                "mask mAP": [each.notes.get("mask") for each in trials],
                "minutes": [None if each.seconds is None else each.seconds / 60 for each in trials],
                "chosen by": ["Sobol" if each.source == "sobol" else "model" for each in trials],
                "reason": [each.reason for each in trials],
            }
        )
