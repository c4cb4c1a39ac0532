"""A training under way: its steps, its files, and how it goes on after a stop. Needs torch."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from napari_coldatoms.clouds.batches import Batch, loaded, plan
from napari_coldatoms.clouds.checkpoints import (
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from napari_coldatoms.clouds.dataset import Samples
from napari_coldatoms.clouds.inference import Device, Network, choose_device, filled
from napari_coldatoms.clouds.learner import Learner
from napari_coldatoms.clouds.maskrcnn import build
from napari_coldatoms.clouds.other_classes import for_classes
from napari_coldatoms.clouds.recipe import Recipe
from napari_coldatoms.clouds.score import Score, score_network
from napari_coldatoms.clouds.training import (
    CheckpointError,
    Epoch,
    Progress,
    Training,
    TrainingError,
    best_epoch,
)
from napari_coldatoms.clouds.training_folder import BEST, CHECKPOINT, LAST, write_history
from napari_coldatoms.clouds.weights import SHIPPED, WeightsCard, load_weights, save_weights

__all__ = ["TrainingRun"]

# after so many steps in a row without a finite loss a training ends
_MOST_LEFT_OUT = 20
# more threads than this prepare no more samples
_MOST_THREADS = 12


class TrainingRun:
    """A training under way: a learner, the step it is at, and what was before."""

    def __init__(
        self,
        training: Samples,
        validation: Samples,
        recipe: Recipe,
        folder: Path,
        labels: tuple[str, ...],
        place: Device,
        about: dict[str, Any],
    ) -> None:
        self.training, self.validation, self.recipe = training, validation, recipe
        self.folder, self.labels, self.about = folder, labels, about
        self.place, self.device = place, choose_device(place)
        self.steps = plan(len(training), recipe)
        self.step = 0
        self.sums: dict[str, float] = {}
        self.history: list[Epoch] = []
        self.seconds = 0.0
        # steps in a row that were left out
        self.left_out = 0
        self.learner: Learner

    def begin(self, start_weights: str | Path | None) -> None:
        """Start from weights: random ones, those of a file, torchvision's, or the package's.

        Weights of other classes are taken as far as they go, see `other_classes`.
        """
        torch.manual_seed(self.recipe.seed)
        coco = start_weights == "coco"
        model = build(self.recipe.architecture, self.labels, coco=coco)
        if start_weights is not None and not coco:
            path = SHIPPED if start_weights == "shipped" else Path(start_weights)
            card, tensors = load_weights(path)
            if card.labels != self.labels:
                tensors = for_classes(tensors, card.labels, self.labels, self.recipe.seed)
            model = filled(self.recipe.architecture, self.labels, tensors, path.name)
        self.learner = Learner(model, self.recipe, self.device)

    def restore(self) -> bool:
        """Go back to the checkpoint, and return whether there was one."""
        path = self.folder / CHECKPOINT
        try:
            found = load_checkpoint(path)
        except FileNotFoundError:
            return False
        for name, own in self._identity().items():
            if found.state.get(name) != own:
                raise CheckpointError(
                    f"{path}: expected a training with {name} {_words(own)}, found "
                    f"{_words(found.state.get(name))}; choose another folder, or start anew"
                )
        model = build(self.recipe.architecture, self.labels)
        self.learner = Learner(model, self.recipe, self.device)
        try:
            self.learner.restore(found.tensors)
            self.step = int(found.state["step"])
            self.sums = {str(k): float(v) for k, v in found.state["sums"].items()}
            self.history = [Epoch(**each) for each in found.state["history"]]
            self.seconds = float(found.state["seconds"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path}: expected a whole checkpoint, found another ({error})"
            ) from None
        return True

    def follow(
        self,
        progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool] | None,
        pause: float,
    ) -> Training:
        """Take the steps that are left."""
        tell = progress or (lambda _: None)
        threads = 1 if self.device.type == "cpu" else min(_MOST_THREADS, os.cpu_count() or 1)
        ends = [n + 1 for n, step in enumerate(self.steps[:-1]) if self._ends(n)]
        ends.append(len(self.steps))
        before = self.seconds
        start = saved = time.monotonic()
        batches = loaded(self.training, self.steps[self.step :], self.recipe, self.labels, threads)
        try:
            while True:
                if len(self.history) < len(ends) and self.step >= ends[len(self.history)]:
                    self.seconds = before + time.monotonic() - start
                    # judging takes its time, and may fail
                    self._save()
                    epoch = self._close_epoch()
                    self._save()
                    saved = time.monotonic()
                    tell(Progress(self.step, len(self.steps), epoch.losses, epoch))
                if self.step == len(self.steps):
                    return self._result(finished=True)
                losses = self._advance(next(batches))
                tell(Progress(self.step, len(self.steps), losses))
                stop = cancelled is not None and cancelled() and self.step < len(self.steps)
                if stop or time.monotonic() - saved >= pause:
                    self.seconds = before + time.monotonic() - start
                    self._save()
                    saved = time.monotonic()
                if stop:
                    return self._result(finished=False)
        finally:
            batches.close()

    def _ends(self, number: int) -> bool:
        return self.steps[number].epoch != self.steps[number + 1].epoch

    def _advance(self, batch: Batch) -> dict[str, float]:
        step = batch.step
        rate = self.recipe.rate(step.number, len(self.steps), step.epoch)
        losses = self.learner.learn(batch, rate)
        self.step += 1
        if all(math.isfinite(each) for each in losses.values()):
            self.left_out = 0
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + value
        else:
            self.left_out += 1
            if self.left_out > _MOST_LEFT_OUT:
                raise TrainingError(
                    f"step {self.step}: expected a finite loss, found none in "
                    f"{self.left_out} steps; try a lower learning rate"
                )
        return losses

    def _close_epoch(self) -> Epoch:
        """Judge the weights, keep them where they are the best, and begin the next epoch."""
        number = len(self.history)
        own = [step for step in self.steps if step.epoch == number]
        losses = {name: value / len(own) for name, value in sorted(self.sums.items())}
        rate = self.recipe.rate(own[-1].number, len(self.steps), number)
        path = self.folder / LAST
        tensors = self.learner.weights()
        save_weights(path, tensors, self._card(number + 1, None))
        score = None
        if len(self.validation):
            # what is judged is what is kept: half-precision weights in a file
            network = Network(path, self.place)
            score = score_network(network, self.validation)
            save_weights(path, tensors, self._card(number + 1, score))
        box, mask = (score.box.mean, score.mask.mean) if score else (math.nan, math.nan)
        epoch = Epoch(number + 1, losses, rate, box, mask, self.seconds)
        if best_epoch([*self.history, epoch]) is epoch:
            save_weights(self.folder / BEST, tensors, self._card(number + 1, score))
        self.history.append(epoch)
        self.sums = {}
        write_history(self.folder, self.history)
        return epoch

    def _card(self, epoch: int, score: Score | None) -> WeightsCard:
        from napari_coldatoms import __version__

        about = {
            **self.about,
            "version": __version__,
            "recipe": self.recipe.to_dict(),
            "training pictures": len(self.training),
            "epoch": epoch,
            "steps": self.step,
            "seconds": round(self.seconds),
            "device": self.device.type,
            "precision": self.learner.precision,
        }
        if score is not None:
            about["validation"] = score.to_dict()
        return WeightsCard(self.recipe.architecture, self.labels, about)

    def _identity(self) -> dict[str, Any]:
        """Return what another training would not share, as JSON gives it back."""
        identity = {
            "recipe": self.recipe.to_dict(),
            "labels": self.labels,
            "samples": len(self.training),
        }
        return dict(json.loads(json.dumps(identity)))

    def _save(self) -> None:
        state = {
            **self._identity(),
            "step": self.step,
            "sums": self.sums,
            "history": [asdict(each) for each in self.history],
            "seconds": self.seconds,
        }
        save_checkpoint(self.folder / CHECKPOINT, Checkpoint(self.learner.tensors(), state))

    def _result(self, *, finished: bool) -> Training:
        best, last = (self.folder / name if self.history else None for name in (BEST, LAST))
        return Training(finished, tuple(self.history), best, last)


def _words(value: Any) -> str:
    return json.dumps(value)
