"""The course of a training as numbers: losses of steps, epochs, how long it still takes."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_coldatoms.clouds.training import Epoch, Progress, best_epoch
from napari_coldatoms.clouds.training_messages import Plan

FloatArray = NDArray[np.float64]

# the loss is averaged over about so much of an epoch, and over at least so many steps
_PART, _FEWEST = 0.2, 5


@dataclass
class Course:
    """What is known of a training, from its beginning or from where it went on.

    Attributes
    ----------
    epochs : dict of int to Epoch
        Those that ended, by their numbers.
    plan : Plan or None
        What it is going to do, once that is known.
    steps, losses : list
        Steps that were taken in this session, and the sum of the parts of their loss; NaN where a
        step was left out.
    """

    epochs: dict[int, Epoch] = field(default_factory=dict)
    plan: Plan | None = None
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    _first: float = field(default=math.nan, init=False)
    _latest: float = field(default=math.nan, init=False)

    def keep(self, history: Iterable[Epoch]) -> None:
        """Take epochs over, such as those of earlier sessions."""
        self.epochs.update((each.number, each) for each in history)

    def add(self, progress: Progress, now: float) -> None:
        """Take a step or an epoch over; `now` is a time in seconds."""
        if progress.epoch is not None:
            self.keep([progress.epoch])
            return
        if math.isnan(self._first):
            self._first = now
        self._latest = now
        self.steps.append(progress.step)
        self.losses.append(sum(progress.losses.values()))

    @property
    def history(self) -> list[Epoch]:
        """The epochs in their order."""
        return [self.epochs[number] for number in sorted(self.epochs)]

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights are kept: that of the highest precision, or the latest."""
        return best_epoch(self.history)

    def left(self) -> float:
        """Return how many seconds the steps that are left take; NaN where that is not known."""
        taken = len(self.steps) - 1
        if self.plan is None or taken < 1:
            return math.nan
        return (self.plan.ends[-1] - self.steps[-1]) * (self._latest - self._first) / taken

    def places(self) -> FloatArray:
        """Return where the steps are along the epochs: 1.5 is in the middle of the second."""
        if self.plan is None:
            return np.empty(0)
        ends = np.array([0, *self.plan.ends], dtype=np.float64)
        return np.interp(np.array(self.steps, dtype=np.float64), ends, np.arange(len(ends)))

    @property
    def epoch(self) -> int:
        """Number, from 1, of the epoch that is under way, or was the last."""
        ends = self.plan.ends if self.plan is not None else ()
        done = bisect.bisect_left(ends, self.steps[-1]) if self.steps else len(self.epochs)
        return min(done + 1, max(len(ends), 1))

    def smooth(self) -> FloatArray:
        """Return the losses averaged over the steps before, the latest ones counting most."""
        of_epoch = self.plan.ends[0] if self.plan is not None else 0
        return smoothed(self.losses, max(_FEWEST, _PART * of_epoch))

    def table(self) -> pd.DataFrame:
        """Return one row per epoch; the one whose weights are kept is marked."""
        best = self.best
        return pd.DataFrame(
            {
                "epoch": [each.number for each in self.history],
                "loss": [each.loss for each in self.history],
                "box mAP": [each.box for each in self.history],
                "mask mAP": [each.mask for each in self.history],
                "kept": ["best" if each is best else "" for each in self.history],
                "minutes": [each.seconds / 60 for each in self.history],
            }
        )


def smoothed(values: Sequence[float], over: float) -> FloatArray:
    """Return an exponential moving average over about so many values, NaN passed over.

    The first values are averaged over those that there are: the average begins at the first one.

    >>> smoothed([4.0, 2.0], 1e9).round(3).tolist()
    [4.0, 3.0]
    """
    kept = 1 - 1 / max(over, 1.0)
    total = weight = 0.0
    found = np.empty(len(values))
    for n, value in enumerate(values):
        if math.isfinite(value):
            total, weight = kept * total + value, kept * weight + 1
        found[n] = total / weight if weight else math.nan
    return found


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(90), duration(5400), duration(20)
    ('2 min', '1.5 h', 'less than a minute')
    """
    if seconds < 45:
        return "less than a minute"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
