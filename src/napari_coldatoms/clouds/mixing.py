"""What a training on a dataset of one's own sees: its pictures, and simulated frames among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.annotated import DatasetError
from napari_coldatoms.clouds.annotated_set import AnnotatedSet, open_set
from napari_coldatoms.clouds.dataset import Sample, Samples
from napari_coldatoms.clouds.frame_cache import CachedFrames, simulate_samples
from napari_coldatoms.clouds.simulate_kinds import LABELS

__all__ = ["Mixed", "TrainingData", "mixed", "training_data"]

# of what is seen in an epoch, one's own pictures are at least this part
_OWN = 0.5
# numbers this much below a whole one are meant to be it
_ROUNDING = 1e-9


@dataclass(frozen=True)
class TrainingData:
    """What a training on a dataset sees.

    Attributes
    ----------
    training, validation : sequence of Sample
        What it learns from, and what each epoch is judged by.
    labels : tuple of str
        Classes.
    own, simulated : int
        How many different pictures of the dataset, and simulated frames, are learned from.
    """

    training: Samples
    validation: Samples
    labels: tuple[str, ...]
    own: int
    simulated: int

    def about(self, dataset: Path) -> dict[str, Any]:
        """Return what the cards of weights say of it; of the dataset's path only the name."""
        return {
            "training data": dataset.absolute().name,
            "own pictures": self.own,
            "simulated frames": self.simulated,
        }


class Mixed(Sequence[Sample]):
    """Samples of two kinds in turn, made by `mixed`."""

    def __init__(self, first: Samples, second: Samples, order: Sequence[tuple[bool, int]]) -> None:
        self._first, self._second, self._order = first, second, tuple(order)

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: int, /) -> Sample:  # type: ignore[override]
        second, number = self._order[index]
        return (self._second if second else self._first)[number]


def mixed(samples: Samples, simulated: Samples, share: float) -> Samples:
    """Return samples with simulated ones evenly among them.

    Each of both is there at least once; those of which there are too few for the share are
    repeated. Nothing is random.

    Parameters
    ----------
    samples, simulated : sequence of Sample
        At least one each, or only one kind of them.
    share : float
        Part of the simulated ones, above 0 and below 1.

    Raises
    ------
    ValueError
        A share beyond these bounds.
    """
    if not 0 < share < 1:
        raise ValueError(f"expected a share of simulated samples above 0, below 1, found {share}")
    if not len(simulated):
        return samples
    if not len(samples):
        return simulated
    total = math.ceil(max(len(samples) / (1 - share), len(simulated) / share) - _ROUNDING)
    while _simulated_until(total, share) < len(simulated) or (
        total - _simulated_until(total, share) < len(samples)
    ):
        total += 1
    order = []
    for place in range(total):
        before = _simulated_until(place, share)
        second = _simulated_until(place + 1, share) > before
        number = before % len(simulated) if second else (place - before) % len(samples)
        order.append((second, number))
    return Mixed(samples, simulated, order)


def _simulated_until(place: int, share: float) -> int:
    """Return how many simulated ones are before a place."""
    return int(place * share + _ROUNDING)


def training_data(
    dataset: AnnotatedSet | str | Path,
    *,
    simulated: int = 0,
    frames: str | Path | None = None,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TrainingData:
    """Return what a training on a dataset sees.

    Simulated frames have clouds of the classes MOT and ODT. Those with a class that the dataset
    does not have are left out: their clouds would count as background. One's own pictures are
    repeated where they would be less than half of what is seen in an epoch.

    Parameters
    ----------
    dataset : AnnotatedSet or path
    simulated : int
        How many simulated frames are made.
    frames : path
        Folder in which they are kept, see `frame_cache.simulate_samples`.
    processes, progress, cancelled
        Of making them, as there.

    Raises
    ------
    DatasetError
        No pictures for training or for validation, no clouds to train on, or simulated frames are
        wanted by a dataset that has none of their classes.
    InterruptedError
        It was cancelled.
    """
    found = dataset if isinstance(dataset, AnnotatedSet) else open_set(dataset)
    own, validation = found.samples("train"), found.samples("validation")
    if not len(own) or not len(validation):
        raise DatasetError(
            f"{found.folder}: expected pictures for training and for validation, at least two, "
            f"found {len(own)} and {len(validation)}"
        )
    if not any(own.labels):
        raise DatasetError(f"{found.folder}: expected pictures with clouds to train on, found none")
    if simulated < 1:
        return TrainingData(own, validation, found.classes, len(own), 0)
    if not set(LABELS) & set(found.classes):
        raise DatasetError(
            f"{found.folder}: expected one of the classes {', '.join(LABELS)} to mix simulated "
            f"frames in, found {', '.join(found.classes)}"
        )
    if frames is None:
        raise ValueError("expected a folder for the simulated frames, found none")
    cached = simulate_samples(
        frames, simulated, processes=processes, progress=progress, cancelled=cancelled
    )
    chosen = _Chosen(
        cached,
        [n for n in range(len(cached)) if set(cached.labels(n)) <= set(found.classes)],
    )
    share = min(1 - _OWN, len(chosen) / (len(chosen) + len(own)))
    training = mixed(own, chosen, share) if len(chosen) else own
    return TrainingData(training, validation, found.classes, len(own), len(chosen))


class _Chosen(Sequence[Sample]):
    """Some of simulated frames."""

    def __init__(self, frames: CachedFrames, numbers: Sequence[int]) -> None:
        self._frames, self._numbers = frames, tuple(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int, /) -> Sample:  # type: ignore[override]
        return self._frames[self._numbers[index]]
