"""Training of the networks that find clouds. A training loads torch, neither napari nor Qt.

A training is a function of its recipe, its samples and the weights that it starts from: what is
random in a step has the seed of that step, so that one that was killed goes on from its last
checkpoint to the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from napari_coldatoms.clouds.dataset import Samples
from napari_coldatoms.clouds.recipe import OWN, Recipe
from napari_coldatoms.clouds.simulate_kinds import LABELS
from napari_coldatoms.clouds.training import Progress, Training
from napari_coldatoms.clouds.training_folder import only_training

__all__ = ["train"]


def train(
    training: Samples,
    validation: Samples = (),
    recipe: Recipe = OWN,
    *,
    output: str | Path,
    labels: Sequence[str] = LABELS,
    start_weights: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    about: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    resume: bool = True,
    checkpoint_minutes: float = 5.0,
) -> Training:
    """Train a network.

    Parameters
    ----------
    training, validation : sequence of Sample
        What it learns from, and what each epoch is judged by, at their own size.
    recipe : napari_coldatoms.clouds.recipe.Recipe
        How.
    output : path
        Folder for ``best.safetensors`` and ``last.safetensors`` (weights),
        ``history.json``, and ``checkpoint.safetensors``; made if need be.
    labels : sequence of str
        Classes.
    start_weights : path, "shipped" or "coco", optional
        Weights to start from: a file, those of the package, or torchvision's for everyday objects,
        which it downloads where they are not on disk. Default random ones. Weights of other
        classes do as well, see `napari_coldatoms.clouds.other_classes`.
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute.
    about : dict, optional
        What the card of the weights says besides the recipe, such as of the samples.
    progress : callable, optional
        Called after each step and each epoch.
    cancelled : callable, optional
        Asked after each step; true ends the training, with a checkpoint.
    resume : bool
        Go on from the checkpoint in `output`, if there is one; else start anew.
    checkpoint_minutes : float
        Time between checkpoints; one more is written at the end of each epoch.

    Raises
    ------
    ValueError
        No samples, or a sample of another class.
    CheckpointError
        The checkpoint is damaged, or of another training.
    WeightsError
        The start weights are damaged, or of another network.
    FolderInUseError
        Another training is at work in `output`.
    TrainingError
        More than twenty steps in a row had no finite loss; single ones are left out.
    """
    import torch

    from napari_coldatoms.clouds.inference import choose_device
    from napari_coldatoms.clouds.training_run import TrainingRun

    if len(training) == 0:
        raise ValueError("expected at least one sample to train on, found none")
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    where = choose_device(device)
    devices = [where] if where.type == "cuda" else []
    with only_training(folder), torch.random.fork_rng(devices=devices):
        run = TrainingRun(
            training, validation, recipe, folder, tuple(labels), device, dict(about or {})
        )
        if not (resume and run.restore()):
            run.begin(start_weights)
        return run.follow(progress, cancelled, 60 * checkpoint_minutes)
