"""What the process of a training or a tuning says: lines of JSON. Needs no torch.

Numbers and text alone: nothing that is received is ever executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_coldatoms.clouds.annotations import DatasetError
from napari_coldatoms.clouds.search_space import Hyperparameters, Space
from napari_coldatoms.clouds.training import (
    CheckpointError,
    Epoch,
    Progress,
    Training,
    TrainingError,
)
from napari_coldatoms.clouds.tuning import Trial, Tuning, TuningError
from napari_coldatoms.clouds.weights import WeightsError

__all__ = [
    "CANCEL",
    "Failure",
    "Message",
    "Plan",
    "Stage",
    "Trials",
    "decoded",
    "encoded",
    "failure_of",
]

CANCEL = b"cancel\n"
"""What the process is told to make it stop; a closed pipe says the same."""

# the first that fits is told
_KINDS: dict[str, type[Exception]] = {
    "dataset": DatasetError,
    "checkpoint": CheckpointError,
    "weights": WeightsError,
    "training": TrainingError,
    "tuning": TuningError,
    "value": ValueError,
    "file": OSError,
}


@dataclass(frozen=True)
class Plan:
    """What a training is going to do.

    Attributes
    ----------
    labels : tuple of str
        Classes.
    own, simulated : int
        Pictures of the dataset, and simulated frames, to train on.
    validation : int
        Pictures to judge each epoch by.
    ends : tuple of int
        Number of the last step of each epoch, from 1.
    """

    labels: tuple[str, ...]
    own: int
    simulated: int
    validation: int
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """What is done beside the steps.

    Attributes
    ----------
    what : "frames", "weights", "judging" or "choosing"
        Frames are simulated, weights are loaded, pictures are judged after an epoch, the next trial
        of a tuning is chosen.
    done, total : int
        How far it is; both 0 where that is not known.
    """

    what: Literal["frames", "weights", "judging", "choosing"]
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Trials:
    """The trials of a tuning: told when one begins, and when one has ended.

    Attributes
    ----------
    number : int
        Of the trial that has begun or ended, from 0.
    trials : tuple of Trial
        All that were begun, by any process.
    """

    number: int
    trials: tuple[Trial, ...]

    @property
    def has_begun(self) -> bool:
        """Whether the trial is under way now."""
        return any(each.number == self.number and each.state == "running" for each in self.trials)


@dataclass(frozen=True)
class Failure:
    """Why a training or a tuning has failed."""

    kind: str
    message: str
    details: str = ""

    def error(self) -> Exception:
        """Return it as the error that is raised."""
        error = _KINDS.get(self.kind, TrainingError)(self.message)
        if self.details:
            error.add_note(self.details)
        return error


Message: TypeAlias = Plan | Stage | Progress | Training | Trials | Tuning | Failure


def failure_of(error: BaseException, details: str = "") -> Failure:
    """Return in words why a training has failed; details where nobody expected that."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    for kind, cls in _KINDS.items():
        if isinstance(error, cls):
            return Failure(kind, str(error).strip() or lines[0])
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        told = f"too little memory ({lines[0][:200]}); a smaller batch or canvas needs less"
        return Failure("training", told, details)
    if isinstance(error, ImportError):
        return Failure("training", f"torch and torchvision cannot be loaded: {lines[0][:300]}")
    return Failure("training", f"the training failed: {lines[0][:300]}", details)


def encoded(message: Message) -> bytes:
    """Return a message as a line."""
    values = asdict(message)
    if isinstance(message, Training):
        for name in ("best_weights", "last_weights"):
            values[name] = None if values[name] is None else str(values[name])
    return json.dumps({"is": type(message).__name__, **values}).encode() + b"\n"


def decoded(line: bytes) -> Message | None:
    """Return the message of a line; None for what is none, such as what Python's start prints."""
    try:
        values = json.loads(line)
        return _READERS[values.pop("is")](values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _progress(values: Mapping[str, Any]) -> Progress:
    epoch = values["epoch"]
    return Progress(**{**values, "epoch": None if epoch is None else Epoch(**epoch)})


def _training(values: Mapping[str, Any]) -> Training:
    paths = {
        name: None if values[name] is None else Path(values[name])
        for name in ("best_weights", "last_weights")
    }
    history = tuple(Epoch(**each) for each in values["history"])
    return Training(bool(values["finished"]), history, **paths)


def _plan(values: Mapping[str, Any]) -> Plan:
    return Plan(**{**values, "labels": tuple(values["labels"]), "ends": tuple(values["ends"])})


def _trial(values: Mapping[str, Any]) -> Trial:
    chosen = values["hyperparameters"]
    return Trial(
        **{**values, "hyperparameters": None if chosen is None else Hyperparameters(**chosen)}
    )


def _trials(values: Mapping[str, Any]) -> Trials:
    return Trials(int(values["number"]), tuple(map(_trial, values["trials"])))


def _tuning(values: Mapping[str, Any]) -> Tuning:
    trials = tuple(map(_trial, values["trials"]))
    return Tuning(Space.from_dict(values["space"]), trials, bool(values["finished"]))


_READERS: dict[str, Any] = {
    "Plan": _plan,
    "Stage": lambda values: Stage(**values),
    "Progress": _progress,
    "Training": _training,
    "Trials": _trials,
    "Tuning": _tuning,
    "Failure": lambda values: Failure(**values),
}
