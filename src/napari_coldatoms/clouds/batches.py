"""Which samples a training sees in which step, and how they get there in time. Needs torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from napari_coldatoms.clouds.augment import prepared
from napari_coldatoms.clouds.dataset import Samples
from napari_coldatoms.clouds.recipe import Recipe

__all__ = ["Batch", "Step", "loaded", "plan"]

# what is drawn for the order of an epoch, and for the samples of a step, have seeds of their own
_ORDER, _SAMPLES = 0, 1


@dataclass(frozen=True)
class Step:
    """What is seen in a step.

    Attributes
    ----------
    number, epoch : int
        From 0.
    canvas : int
        Network pixels along each side.
    samples : tuple of int
        Numbers of the samples.
    """

    number: int
    epoch: int
    canvas: int
    samples: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """A step's pictures and what a network should say, as torchvision's networks take them."""

    step: Step
    images: list[Tensor]
    targets: list[dict[str, Tensor]]


def plan(samples: int, recipe: Recipe) -> list[Step]:
    """Return all steps of a training: a function of the recipe and the number of samples alone."""
    steps: list[Step] = []
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng((recipe.seed, _ORDER, epoch))
        order = rng.permutation(samples).tolist()
        while order:
            large = rng.random() < recipe.large
            size = max(1, recipe.batch // 2) if large else recipe.batch
            canvas = recipe.large_canvas if large else recipe.canvas
            steps.append(Step(len(steps), epoch, canvas, tuple(order[:size])))
            order = order[size:]
    return steps


def loaded(
    samples: Samples, steps: Sequence[Step], recipe: Recipe, labels: Sequence[str], threads: int
) -> Generator[Batch]:
    """Return the batches of steps in their order, prepared ahead by threads.

    Raises
    ------
    ValueError
        A sample has a class that is not among the labels.
    """
    # products of small matrices gain nothing by threads, and would take them from the training
    with ThreadPoolExecutor(threads) as pool, threadpool_limits(1, user_api="blas"):
        coming = iter(steps)
        ready: deque[Future[Batch]] = deque()
        try:
            for step in islice(coming, 2 * threads):
                ready.append(pool.submit(_load, samples, step, recipe, labels))
            while ready:
                batch = ready.popleft().result()
                for step in islice(coming, 1):
                    ready.append(pool.submit(_load, samples, step, recipe, labels))
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)


def _load(samples: Samples, step: Step, recipe: Recipe, labels: Sequence[str]) -> Batch:
    rng = np.random.default_rng((recipe.seed, _SAMPLES, step.number))
    images, targets = [], []
    for number in step.samples:
        sample = samples[number]
        for label in sample.labels:
            if label not in labels:
                raise ValueError(
                    f"sample {number}: expected classes {', '.join(labels)}, found {label!r}"
                )
        seen = prepared(sample, step.canvas, rng, recipe.augmentations)
        images.append(torch.from_numpy(seen.channels))
        targets.append(
            {
                "boxes": torch.from_numpy(seen.boxes[:, [1, 0, 3, 2]]),
                # 0 is the background
                "labels": torch.tensor([labels.index(n) + 1 for n in seen.labels]).long(),
                "masks": torch.from_numpy(seen.masks),
            }
        )
    return Batch(step, images, targets)
