"""A training as the objective of a tuning: how good a network becomes with hyperparameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from napari_coldatoms.clouds.dataset import Samples
from napari_coldatoms.clouds.recipe import PAPER, Recipe
from napari_coldatoms.clouds.search_space import Hyperparameters
from napari_coldatoms.clouds.simulate_kinds import LABELS
from napari_coldatoms.clouds.train import train
from napari_coldatoms.clouds.training import Progress, TrainingError, best_epoch
from napari_coldatoms.clouds.tuning import Attempt
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError, read_card

__all__ = ["TrainingObjective", "check_start", "trial_folder"]


def check_start(start_weights: str | Path | None, architecture: str) -> None:
    """Say what is wrong with start weights, before a tuning is of them.

    Parameters
    ----------
    start_weights : path, "shipped" or "coco", optional
        As for `napari_coldatoms.clouds.train.train`.
    architecture : str
        The network that is trained.

    Raises
    ------
    WeightsError
        They are damaged, or of another network.
    """
    if start_weights is None:
        return
    if start_weights == "coco":
        found = "resnet50"
    else:
        path = SHIPPED if start_weights == "shipped" else start_weights
        found = read_card(path).architecture
    if found != architecture:
        raise WeightsError(f"{start_weights}: expected a network {architecture}, found {found}")


@dataclass(frozen=True)
class TrainingObjective:
    """Train a network with hyperparameters, and return the mean of its two precisions.

    What counts is the epoch with the highest mean of the average precisions of boxes and masks;
    a training whose loss does not stay finite has the value 0. Each trial has a folder of its own,
    ``trial-000`` and so on, and goes on from its checkpoint.

    Attributes
    ----------
    training, validation : Samples
        What a network learns from, and what it is judged by.
    folder : Path
        For the folders of the trials.
    recipe : napari_coldatoms.clouds.recipe.Recipe
        Everything but the hyperparameters.
    labels : tuple of str
        Classes.
    start_weights : path or "coco", optional
        As for `napari_coldatoms.clouds.train.train`, and so is the device.
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute.
    about : dict
        What the cards of the weights say besides the recipe.
    progress : callable, optional
        Called with the number of the trial after each step and each epoch.

    Raises
    ------
    ValueError
        There is nothing to train on, or to judge by.
    """

    training: Samples
    validation: Samples
    folder: Path
    recipe: Recipe = PAPER
    labels: Sequence[str] = LABELS
    start_weights: str | Path | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    about: Mapping[str, Any] = field(default_factory=dict)
    progress: Callable[[int, Progress], None] | None = None

    def __post_init__(self) -> None:
        for what, samples in (("train on", self.training), ("judge by", self.validation)):
            if len(samples) == 0:
                raise ValueError(f"expected at least one picture to {what}, found none")

    def __call__(self, values: Hyperparameters, attempt: Attempt) -> float:
        """Return the mean of both precisions; their two values and the epoch become notes."""
        tell = self.progress
        try:
            done = train(
                self.training, self.validation, values.recipe(self.recipe),
                output=self.place(attempt.number), labels=self.labels,
                start_weights=self.start_weights, device=self.device, about=self.about,
                progress=None if tell is None else lambda now: tell(attempt.number, now),
                cancelled=attempt.cancelled,
            )  # fmt: skip
        except TrainingError:
            attempt.notes.update(box=0.0, mask=0.0)
            return 0.0
        if not done.finished:
            raise InterruptedError
        best = best_epoch(done.history)
        assert best is not None  # a finished training has epochs
        attempt.notes.update(box=best.box, mask=best.mask, epoch=best.number)
        return best.overall

    def place(self, number: int) -> Path:
        """Return the folder of a trial."""
        return trial_folder(self.folder, number)

    def tidy(self, number: int) -> None:
        """Delete of a trial that has ended what is only there to go on; the best weights stay."""
        for name in ("checkpoint.safetensors", "last.safetensors"):
            (self.place(number) / name).unlink(missing_ok=True)

    def describe(self) -> dict[str, Any]:
        """Return what the value depends on besides the hyperparameters, for `tune(about=...)`."""
        recipe = self.recipe.to_dict()
        for name in (*(each.name for each in fields(Hyperparameters)), "schedule"):
            del recipe[name]
        start = self.start_weights
        about = {
            "recipe": recipe,
            "classes": list(self.labels),
            "training pictures": len(self.training),
            "validation pictures": len(self.validation),
            "start weights": None if start is None else Path(start).name,
            **self.about,
        }
        return dict(json.loads(json.dumps(about)))


def trial_folder(folder: Path, number: int) -> Path:
    """Return the folder of a trial's training in that of its tuning."""
    return folder / f"trial-{number:03d}"
