"""How good detections are: the average precision of COCO, of boxes and of masks.

What computes loads torch, which must not be loaded beside a window: see `server`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.dataset import Sample, Samples

if TYPE_CHECKING:
    from torch import Tensor

    from napari_coldatoms.clouds.inference import Network

__all__ = ["AveragePrecision", "Found", "Score", "Scorer", "score", "score_network"]

_KINDS = {"box": "bbox", "mask": "segm"}
# pictures that are looked at together
_TOGETHER = 8


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision, mean over classes; NaN where there is nothing to be found.

    Attributes
    ----------
    mean : float
        Mean over the least overlaps 0.50, 0.55, ..., 0.95 (intersection over union) that count as
        found: COCO's mAP.
    at_50, at_75 : float
        At the least overlaps 0.5 and 0.75.
    of_class : dict of str to float
        The mean of each class.
    """

    mean: float
    at_50: float
    at_75: float
    of_class: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """Average precision of boxes and of masks.

    Attributes
    ----------
    box, mask : AveragePrecision
        With overlaps of boxes, and of masks pixel by pixel.
    pictures, clouds : int
        What it was computed from.
    """

    box: AveragePrecision
    mask: AveragePrecision
    pictures: int
    clouds: int

    @property
    def overall(self) -> float:
        """Mean of both: the epoch with the highest is kept (Hofer et al. 2021, section 4)."""
        return (self.box.mean + self.mask.mean) / 2

    def to_dict(self) -> dict[str, Any]:
        """Return the score as plain numbers and strings."""
        return asdict(self)


class Found(Protocol):
    """What is judged: a `detection.Detection`, or anything like it."""

    @property
    def label(self) -> str:
        """Class."""
        ...

    @property
    def score(self) -> float:
        """Confidence."""
        ...

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Pixel edges ``y0, x0, y1, x1``."""
        ...

    def soft_mask(self, shape: tuple[int, int], /) -> tuple[tuple[int, int], NDArray[np.float32]]:
        """Return the first row and column of a crop, and its values; the mask is where >= 0.5."""
        ...


class Scorer:
    """Collects detections picture by picture; masks are kept compressed.

    Parameters
    ----------
    labels : sequence of str
        Classes.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        from torchmetrics.detection import MeanAveragePrecision

        self._labels = tuple(labels)
        with warnings.catch_warnings():
            # pycocotools is not what computes
            warnings.filterwarnings("ignore", message=".*pycocotools.*")
            self._metric = MeanAveragePrecision(
                iou_type=tuple(_KINDS.values()),
                class_metrics=True,
                backend="faster_coco_eval",
            )
        self._metric.warn_on_many_detections = False
        self._pictures = self._clouds = 0

    def add(self, detections: Sequence[Found], truth: Sample) -> None:
        """Add the detections in a picture, and what should have been found.

        Raises
        ------
        ValueError
            A class that is not among the labels.
        """
        shape = truth.picture.shape[0], truth.picture.shape[1]
        masks = np.zeros((len(detections), *shape), dtype=bool)
        for mask, each in zip(masks, detections, strict=True):
            (row, column), soft = each.soft_mask(shape)
            mask[row : row + soft.shape[0], column : column + soft.shape[1]] = soft >= 0.5
        found = _tensors(
            np.array([each.box for each in detections]).reshape(-1, 4),
            self._numbers(each.label for each in detections),
            masks,
            np.array([each.score for each in detections]),
        )
        expected = _tensors(truth.boxes, self._numbers(truth.labels), truth.masks >= 0.5)
        self._metric.update([found], [expected])
        self._pictures += 1
        self._clouds += len(truth.labels)

    def result(self) -> Score:
        """Return the score of what was added.

        Raises
        ------
        ValueError
            Nothing was added.
        """
        if self._pictures == 0:
            raise ValueError("expected at least one picture, found none")
        values = self._metric.compute()
        return Score(
            self._precision(values, "box"),
            self._precision(values, "mask"),
            self._pictures,
            self._clouds,
        )

    def _numbers(self, labels: Iterable[str]) -> list[int]:
        numbers = []
        for label in labels:
            if label not in self._labels:
                raise ValueError(f"expected classes {', '.join(self._labels)}, found {label!r}")
            numbers.append(self._labels.index(label))
        return numbers

    def _precision(self, values: Mapping[str, Tensor], kind: str) -> AveragePrecision:
        prefix = _KINDS[kind]
        numbers = values["classes"].reshape(-1).tolist()
        means = values[f"{prefix}_map_per_class"].reshape(-1).tolist()
        of_class = dict.fromkeys(self._labels, float("nan"))
        of_class |= {self._labels[int(n)]: _known(m) for n, m in zip(numbers, means, strict=True)}
        mean, at_50, at_75 = (
            _known(float(values[f"{prefix}_{name}"])) for name in ("map", "map_50", "map_75")
        )
        return AveragePrecision(mean, at_50, at_75, of_class)


def score(
    found: Iterable[Sequence[Found]], truth: Iterable[Sample], labels: Sequence[str]
) -> Score:
    """Return the score of detections in pictures.

    Parameters
    ----------
    found : iterable of sequence of Found
        In each picture, in pixels of the picture.
    truth : iterable of Sample
        The same pictures at their own size, and what is in them.
    labels : sequence of str
        Classes.
    """
    scorer = Scorer(labels)
    for detections, sample in zip(found, truth, strict=True):
        scorer.add(detections, sample)
    return scorer.result()


def score_network(network: Network, samples: Samples) -> Score:
    """Return the score of a network on samples at their own size."""
    scorer = Scorer(network.card.labels)
    for start in range(0, len(samples), _TOGETHER):
        together = [samples[n] for n in range(start, min(start + _TOGETHER, len(samples)))]
        found = network.detect([each.picture for each in together])
        for detections, sample in zip(found, together, strict=True):
            scorer.add(detections, sample)
    return scorer.result()


def _tensors(
    boxes: NDArray[np.float64],
    labels: Sequence[int],
    masks: NDArray[np.bool_],
    scores: NDArray[np.float64] | None = None,
) -> dict[str, Tensor]:
    import torch

    tensors = {
        "boxes": torch.from_numpy(boxes[:, [1, 0, 3, 2]].astype(np.float32)),
        "labels": torch.tensor(labels, dtype=torch.long),
        "masks": torch.from_numpy(masks),
    }
    if scores is not None:
        tensors["scores"] = torch.from_numpy(scores.astype(np.float32))
    return tensors


def _known(value: float) -> float:
    """Return a value, NaN for the -1 that stands for none."""
    return float("nan") if value < 0 else value
