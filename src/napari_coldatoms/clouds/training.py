"""What is known of a training: where it is, and what it came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CheckpointError",
    "Epoch",
    "FolderInUseError",
    "Progress",
    "Training",
    "TrainingError",
    "best_epoch",
]


class CheckpointError(ValueError):
    """A file that holds no checkpoint, or that of another training."""


class FolderInUseError(OSError):
    """A folder that another training is writing to."""


class TrainingError(RuntimeError):
    """A training that cannot go on."""


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes
    ----------
    number : int
        From 1.
    losses : dict of str to float
        Mean over the steps of each part of the loss, which is their sum.
    learning_rate : float
        Of the last step.
    box, mask : float
        COCO's mean average precision on the validation samples; NaN without any.
    seconds : float
        Of the whole training until then.
    """

    number: int
    losses: Mapping[str, float]
    learning_rate: float
    box: float
    mask: float
    seconds: float

    @property
    def loss(self) -> float:
        """Sum of the parts of the loss."""
        return sum(self.losses.values())

    @property
    def overall(self) -> float:
        """Mean of both precisions."""
        return (self.box + self.mask) / 2


def best_epoch(history: Iterable[Epoch]) -> Epoch | None:
    """Return the epoch whose weights are kept: that of the highest precision, the first of equals.

    Without validation pictures there is no precision, and the latest is kept.
    """
    best: Epoch | None = None
    for each in history:
        if best is None or not each.overall <= best.overall:
            best = each
    return best


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes
    ----------
    step, steps : int
        Steps done, and all.
    losses : dict of str to float
        Parts of the loss in the latest step, NaN if it was left out.
    epoch : Epoch or None
        The epoch that has just ended, if one has.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    epoch: Epoch | None = None


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Attributes
    ----------
    finished : bool
        False after a cancel.
    history : tuple of Epoch
        The epochs that ended.
    best_weights, last_weights : Path or None
        Weights of the epoch with the highest mean of both precisions, and of the last one; None
        before the end of the first epoch.
    """

    finished: bool
    history: tuple[Epoch, ...]
    best_weights: Path | None
    last_weights: Path | None
