"""What a training in a process of its own is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from napari_coldatoms.clouds.augment import Augmentations
from napari_coldatoms.clouds.recipe import OWN, Recipe
from napari_coldatoms.clouds.weights import SHIPPED

__all__ = ["STARTS", "TrainingRequest"]

Device = Literal["auto", "cpu", "cuda", "mps"]

STARTS = ("shipped", "coco", "random")
"""Words for weights to start from; everything else is a path."""


@dataclass(frozen=True)
class TrainingRequest:
    """A training on a dataset folder.

    Attributes
    ----------
    dataset : Path
        The folder of the dataset, see `annotations.open_set`.
    output : Path
        The folder of the training; made if need be.
    start : str
        Weights to start from: ``"shipped"``, those of the package; ``"coco"``, torchvision's for
        everyday objects; ``"random"``; or the path of a file.
    recipe : napari_coldatoms.clouds.recipe.Recipe
        How it is trained.
    simulated : int
        Simulated frames that are mixed in, see `mixing`.
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute.
    resume : bool
        Go on from the checkpoint in `output`, if there is one; else start anew.

    Raises
    ------
    ValueError
        A negative number of frames, another device, or no start.
    """

    dataset: Path
    output: Path
    start: str = "shipped"
    recipe: Recipe = OWN
    simulated: int = 0
    device: Device = "auto"
    resume: bool = True

    def __post_init__(self) -> None:
        # the process may have another working folder
        for name in ("dataset", "output"):
            object.__setattr__(self, name, Path(getattr(self, name)).expanduser().absolute())
        if not self.start:
            raise ValueError(f"start: expected {', '.join(STARTS)} or a path, found nothing")
        if self.start not in STARTS:
            object.__setattr__(self, "start", str(Path(self.start).expanduser().absolute()))
        if self.simulated < 0:
            raise ValueError(f"simulated: expected no negative number, found {self.simulated}")
        if self.device not in get_args(Device):
            known = ", ".join(get_args(Device))
            raise ValueError(f"device: expected one of {known}, found {self.device!r}")

    @property
    def start_weights(self) -> Path | Literal["coco"] | None:
        """The start as `train` takes it."""
        if self.start == "random":
            return None
        if self.start == "coco":
            return "coco"
        return SHIPPED if self.start == "shipped" else Path(self.start)

    def to_dict(self) -> dict[str, Any]:
        """Return the request as plain values."""
        return {
            **asdict(self),
            "dataset": str(self.dataset),
            "output": str(self.output),
            "recipe": self.recipe.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingRequest:
        """Return the request with these values, see `to_dict`."""
        recipe = dict(values["recipe"])
        changes = Augmentations(**recipe.pop("augmentations"))
        return cls(**{**values, "recipe": Recipe(**recipe, augmentations=changes)})
