"""What a tuning in a process of its own is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.search_space import Space
from napari_coldatoms.clouds.training_request import TrainingRequest

__all__ = ["TuningRequest"]


@dataclass(frozen=True)
class TuningRequest:
    """A tuning of the trainings on a dataset folder.

    Attributes
    ----------
    training : TrainingRequest
        What each trial trains, but for what is tuned; its folder is that of the tuning. A tuning
        always goes on, whatever it says of that.
    trials : int
        How many there are to be in all.
    sobol : int
        How many of them are points of Sobol's sequence.
    space : Space
        Ranges of what is tuned.
    storage : str
        Where trials are kept, see `tune.tune`; where it is empty, in a file in the folder.
    study : str
        Name of the tuning in the storage.

    Raises
    ------
    ValueError
        No trials, a negative number of points, or no name.
    """

    training: TrainingRequest
    trials: int = 25
    sobol: int = 5
    space: Space = field(default_factory=Space)
    storage: str = ""
    study: str = "clouds"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"trials: expected at least 1, found {self.trials}")
        if self.sobol < 0:
            raise ValueError(f"sobol: expected no negative number, found {self.sobol}")
        if not self.study:
            raise ValueError("study: expected a name, found nothing")
        if self.storage and "://" not in self.storage:
            # the process may have another working folder
            path = Path(self.storage).expanduser().absolute()
            object.__setattr__(self, "storage", str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the request as plain values."""
        return {
            "training": self.training.to_dict(),
            "trials": self.trials,
            "sobol": self.sobol,
            "space": self.space.to_dict(),
            "storage": self.storage,
            "study": self.study,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TuningRequest:
        """Return the request with these values, see `to_dict`."""
        training = TrainingRequest.from_dict(values["training"])
        return cls(**{**values, "training": training, "space": Space.from_dict(values["space"])})
