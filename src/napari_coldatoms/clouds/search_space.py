"""What a tuning may choose: ranges of the four hyperparameters of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.recipe import Recipe

__all__ = ["Hyperparameters", "Range", "Space"]


@dataclass(frozen=True)
class Range:
    """From where to where a hyperparameter may go.

    Attributes
    ----------
    low, high : float
        Both belong to it.
    log : bool
        Equal factors are equally far apart, instead of equal differences.
    whole : bool
        Whole numbers only.

    Raises
    ------
    ValueError
        `low` is not below `high`, or a bound does not fit `log` or `whole`.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"expected a range low < high, found {self.low} to {self.high}")
        if self.log and (self.low <= 0 or self.whole):
            raise ValueError(f"log: expected a range above 0 of any numbers, found {self}")
        if self.whole and (self.low != int(self.low) or self.high != int(self.high)):
            raise ValueError(f"whole: expected whole bounds, found {self.low} and {self.high}")

    def value(self, part: float) -> float:
        """Return what lies at a part, 0 to 1, of the range; whole numbers have equal shares."""
        if self.whole:
            return min(self.low + math.floor(part * (self.high - self.low + 1)), self.high)
        if self.log:
            found = self.low * (self.high / self.low) ** part
        else:
            found = self.low + part * (self.high - self.low)
        # rounding must not lead out of the range
        return min(max(found, self.low), self.high)

    def part(self, value: float) -> float:
        """Return at which part of the range a value lies; the middle of its share if whole."""
        if self.whole:
            return (value - self.low + 0.5) / (self.high - self.low + 1)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def grid(self, points: int) -> NDArray[np.float64]:
        """Return values that are equally far apart: all whole numbers, or so many points."""
        if self.whole:
            return np.arange(self.low, self.high + 1)
        return np.array([self.value(part) for part in np.linspace(0, 1, points)])


@dataclass(frozen=True)
class Hyperparameters:
    """The four numbers that a tuning chooses, named as in a `Recipe`.

    Attributes
    ----------
    learning_rate : float
        Of the first epochs.
    momentum : float
        Of gradient descent.
    decay_epochs : int
        Epochs between changes of the learning rate.
    decay : float
        Factor of each change.
    """

    learning_rate: float
    momentum: float
    decay_epochs: int
    decay: float

    def recipe(self, base: Recipe) -> Recipe:
        """Return a recipe with these numbers, and with the schedule that they are of."""
        return replace(base, schedule="step", **asdict(self))


@dataclass(frozen=True)
class Space:
    """Ranges of the hyperparameters; by default those of Hofer et al. 2021, Table 1.

    Attributes
    ----------
    learning_rate, momentum, decay_epochs, decay : Range
        See `Hyperparameters`.
    """

    learning_rate: Range = Range(1e-4, 9e-3, log=True)
    momentum: Range = Range(0.7, 0.92)
    decay_epochs: Range = Range(3, 15, whole=True)
    decay: Range = Range(1e-3, 1.0, log=True)

    @property
    def ranges(self) -> dict[str, Range]:
        """The ranges by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def within(self, bounds: Mapping[str, tuple[float, float]]) -> Space:
        """Return the space with other bounds for some hyperparameters, by name.

        Raises
        ------
        ValueError
            They make no range; the error begins with the name and a colon.
        """
        changed = {}
        for name, (low, high) in bounds.items():
            try:
                changed[name] = replace(self.ranges[name], low=low, high=high)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return replace(self, **changed)

    def at(self, parts: Sequence[float] | NDArray[np.float64]) -> Hyperparameters:
        """Return what lies at a part, 0 to 1, of each range."""
        ranges = self.ranges.items()
        return self.take(
            {name: own.value(float(u)) for (name, own), u in zip(ranges, parts, strict=True)}
        )

    def parts(self, values: Hyperparameters) -> NDArray[np.float64]:
        """Return at which part of each range the hyperparameters lie."""
        return np.array([own.part(getattr(values, name)) for name, own in self.ranges.items()])

    def take(self, values: Mapping[str, float]) -> Hyperparameters:
        """Return hyperparameters from numbers by name."""
        return Hyperparameters(
            float(values["learning_rate"]),
            float(values["momentum"]),
            int(values["decay_epochs"]),
            float(values["decay"]),
        )

    def sobol(self, number: int) -> Hyperparameters:
        """Return a point of Sobol's sequence, from 0, in the order of `scipy.stats.qmc.Sobol`.

        The sequence is not scrambled: it is the same for everybody, and begins at the lowest
        values of all ranges.
        """
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(self.ranges), scramble=False)
        if number:
            sequence.fast_forward(number)
        return self.at(sequence.random(1)[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the bounds and scales as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Space:
        """Return the space with these bounds and scales, see `to_dict`."""
        return cls(**{name: Range(**each) for name, each in values.items()})
