"""What is fitted to control counts: parameters, their order, and the stages of a fit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_kernels import CONSTANT
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.loss_model import LossModel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ControlMethod = Literal["steps", "joint"]
Channel = tuple[int, int]

MOST_LOSS = 100.0
"""Largest rate of a loss that is fitted, times the exposure."""

# largest share of single atoms lost, largest squared standard deviation of the brightness
_MOST_SINGLE_LOSS = 0.99
_MOST_VARIANCE = 4.0


@dataclass(frozen=True)
class ControlSetting:
    """What is fitted to control counts.

    Parameters travel as vectors, in units of the exposure, in the order of `control_kernels`.

    Attributes
    ----------
    atoms : int
        Largest number of atoms.
    channels : tuple of (int, int)
        Losses from, to.
    exposure : float
        s.
    method : {"steps", "joint"}
    fits_brightness : bool
        Whether the standard deviation of the brightness is fitted.
    """

    atoms: int
    channels: tuple[Channel, ...]
    exposure: float
    method: ControlMethod
    fits_brightness: bool

    def __post_init__(self) -> None:
        if self.method not in get_args(ControlMethod):
            names = ", ".join(get_args(ControlMethod))
            raise ValueError(f"expected a method of {names}, found {self.method!r}")
        if not (math.isfinite(self.exposure) and self.exposure > 0):
            raise ValueError(f"expected an exposure above 0 s, found {self.exposure}")

    @property
    def size(self) -> int:
        """Number of parameters, fitted or not."""
        return self.atoms + 3 + len(self.channels)

    @property
    def single_loss(self) -> int:
        """Where the loss of single atoms stands."""
        return self.atoms + 1

    @property
    def channel_array(self) -> IntArray:
        """The losses as an array (channels, 2)."""
        return np.array(self.channels, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def chain(self) -> bool:
        """Whether a shot can have several losses."""
        lossy = {start for start, _ in self.channels}
        return any(end in lossy for _, end in self.channels)

    def own(self, control: int) -> list[int]:
        """Return the parameters that a control brings, step by step."""
        result = [control]
        if control == 1:
            result.append(self.single_loss)
        result += [
            self.atoms + 2 + k for k, (start, _) in enumerate(self.channels) if start == control
        ]
        if control == 1 and self.fits_brightness:
            result.append(self.size - 1)
        return result

    @property
    def fitted(self) -> list[int]:
        """All parameters that are fitted."""
        return sorted(k for control in range(self.atoms + 1) for k in self.own(control))

    def stages(self) -> tuple[IntArray, IntArray]:
        """Return the stages of the fit and the controls that they look at; see `fit_stages`."""
        if self.method == "joint":
            return self._padded([self.fitted]), np.array([[0, self.atoms]])
        return self.steps()

    def steps(self) -> tuple[IntArray, IntArray]:
        """Return the stages of the stepwise fit: one for each control."""
        controls = range(self.atoms + 1)
        return self._padded([self.own(i) for i in controls]), np.array([[i, i] for i in controls])

    def _padded(self, stages: Sequence[Sequence[int]]) -> IntArray:
        result = np.full((len(stages), self.size), -1, dtype=np.int64)
        for row, stage in zip(result, stages, strict=True):
            row[: len(stage)] = stage
        return result

    def upper(self, max_count: int) -> FloatArray:
        """Return the largest parameters that are fitted."""
        result = np.full(self.size, MOST_LOSS)
        # many atoms may be lost before they give all the light that they could
        result[: self.atoms + 1] = 5.0 * max_count + 10.0
        result[self.single_loss] = _MOST_SINGLE_LOSS
        result[-1] = _MOST_VARIANCE
        return result

    def model(self, theta: FloatArray) -> LossModel:
        """Return the model with these parameters."""
        variance = float(theta[-1])
        return LossModel(
            tuple(float(mean) / self.exposure for mean in theta[: self.atoms + 1]),
            {
                channel: float(theta[self.atoms + 2 + k]) / self.exposure
                for k, channel in enumerate(self.channels)
            },
            self.exposure,
            brightness_sd=math.sqrt(variance) if variance >= CONSTANT else 0.0,
        )

    def theta(self, model: LossModel, single_atom_loss: float) -> FloatArray:
        """Return the parameters of a model."""
        return np.array(
            [
                *model.mean_counts,
                single_atom_loss,
                *(model.losses[channel] * self.exposure for channel in self.channels),
                model.brightness_sd**2,
            ]
        )

    def scale(self, theta: FloatArray) -> FloatArray:
        """Return what turns parameters into rates (1/s), and the variance into the sd."""
        result = np.full(self.size, 1 / self.exposure)
        result[self.single_loss] = 1.0
        sd = math.sqrt(theta[-1])
        result[-1] = 0.5 / sd if sd > 0 else math.nan
        return result

    def names(self) -> list[str]:
        """Return what each parameter is called."""
        return [
            *(f"rate of counts with {atoms(i)}" for i in range(self.atoms + 1)),
            "loss of single atoms before the counting",
            *(f"loss from {i} to {atoms(j)}" for i, j in self.channels),
            "standard deviation of the brightness",
        ]


def atoms(number: int) -> str:
    """Return a number of atoms in words."""
    return f"{number} atom" if number == 1 else f"{number} atoms"


def loss_channels(losses: Iterable[Channel] | None, most_atoms: int) -> tuple[Channel, ...]:
    """Return the losses that are fitted; by default of one or two of at least two atoms.

    Raises
    ------
    ValueError
        If one is not from more atoms to fewer, among those of the controls.
    """
    if losses is None:
        return tuple((i, j) for i in range(2, most_atoms + 1) for j in (i - 1, i - 2))
    result: list[Channel] = []
    for channel in losses:
        try:
            start, end = (int(number) for number in channel)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"expected losses as pairs of atom numbers such as (2, 1), found {channel!r}"
            ) from error
        if not 0 <= end < start <= most_atoms:
            raise ValueError(
                f"expected losses from more atoms to fewer, among 0 to {most_atoms} atoms, "
                f"found {start} to {end}"
            )
        if (start, end) not in result:
            result.append((start, end))
    return tuple(sorted(result, key=lambda pair: (pair[0], -pair[1])))


def occurrences_of(histograms: Sequence[Histogram], bins: int) -> FloatArray:
    """Return the occurrences of all controls in one array (controls, bins)."""
    return np.array([h.padded(bins - 1) for h in histograms], dtype=np.float64)


def bins_for(max_count: int) -> int:
    """Return how many numbers of counts a fit looks at: a little beyond the largest."""
    return max_count + 2 + math.ceil(2 * math.sqrt(max_count + 1))
