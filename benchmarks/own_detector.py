"""A detector of one's own from few painted shots: what it is worth, and how long that takes.

``python -m benchmarks.own_detector crossed 20`` does what a user does: a dataset of so many shots,
of which about every fifth is put aside to choose the best epoch by; the recipe ``shots`` from the
weights of the package. The judge are forty other shots.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.unseen_kinds import Kind, painted, shot
from napari_coldatoms.clouds.annotations import create_set
from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.evaluate_detectors import CERTAIN, make_detector
from napari_coldatoms.clouds.evaluate_truth import annotated, matches
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.mixing import training_data
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.recipe import SHOTS, Recipe
from napari_coldatoms.clouds.score import Score, score, score_network
from napari_coldatoms.clouds.train import train

Table = Callable[[Iterable[str], Iterable[Iterable[object]]], str]

JUDGED = 40
# first numbers of the seeds of shots
_TRAINING, _JUDGES, _HAND = 1, 2, 3


@dataclass(frozen=True)
class Outcome:
    """What a detector is worth on the judges.

    Attributes
    ----------
    score : Score
        Average precision.
    clouds, found, extra : int
        How many there are; how many are found with a score from 0.5 on, and with masks that share
        at least half of their union; and what else is found with such a score.
    centre, area : float
        Medians over those that are found: distance of the centroid of the mask from the true one
        (px), and the relative error of the mask's area, whatever its sign.
    minutes : float
        Processor time of the training.
    epochs : int
        Of the training until the best weights.
    last : Score, optional
        What the weights of the last epoch are worth; all else is of the best one.
    """

    score: Score
    clouds: int
    found: int
    extra: int
    centre: float
    area: float
    minutes: float = 0.0
    epochs: int = 0
    last: Score | None = None


def judges(kind: Kind) -> list[Sample]:
    """Return the shots that no training has seen."""
    return [shot(kind, _JUDGES, number).sample() for number in range(JUDGED)]


def learned(
    kind: Kind,
    shots: int,
    *,
    seed: int = 0,
    start: str | None = "shipped",
    recipe: Recipe = SHOTS,
    by_hand: bool = False,
    folder: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Outcome:
    """Return what a network is worth that was trained on so many shots of a kind.

    Parameters
    ----------
    kind : "crossed" or "split"
        Of clouds.
    shots : int
        In the dataset, those included that each epoch is judged by.
    seed : int
        Other shots, and another training.
    start : str, optional
        Weights to start from, as for `train`.
    recipe : Recipe
        How it is trained; its seed is replaced.
    by_hand : bool
        Outlines are those that a hand paints, not the true ones.
    folder : Path, optional
        For dataset and weights; default one that is removed.
    say : callable, optional
        Told a line after each epoch.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        dataset = create_set(place / "dataset", [kind])
        for number in range(shots):
            exact = shot(kind, _TRAINING, seed, number)
            dataset.put(painted(exact, _HAND, seed, number) if by_hand else exact)
        data = training_data(dataset)
        began = time.process_time()
        with _one_thread():
            done = train(
                data.training,
                data.validation,
                replace(recipe, seed=seed),
                output=place / "training",
                labels=data.labels,
                start_weights=start,
                device="cpu",
                progress=_teller(say),
            )
        minutes = (time.process_time() - began) / 60
        best = max(done.history, key=lambda epoch: epoch.overall).number
        outcome = trained(kind, place / "training" / "best.safetensors")
        last = score_network(Network(place / "training" / "last.safetensors", "cpu"), judges(kind))
        return replace(outcome, minutes=minutes, epochs=best, last=last)


def trained(kind: Kind, weights: Path) -> Outcome:
    """Return what weights are worth whose only class is the kind."""
    truth = judges(kind)
    network = Network(weights, "cpu")
    sightings = make_detector("mask-rcnn", finder=network.detect).find(
        [sample.picture for sample in truth]
    )
    return _outcome(score_network(network, truth), truth, sightings)


def as_it_comes(kind: Kind, method: str) -> Outcome:
    """Return what the network of the package, or thresholds, are worth where classes are ignored.

    Parameters
    ----------
    kind : "crossed" or "split"
        Of clouds.
    method : "mask-rcnn" or "threshold"
        See `evaluate_detectors.make_detector`.
    """
    truth = judges(kind)
    pictures = [sample.picture for sample in truth]
    if method == "threshold":
        found = make_detector("threshold").find(pictures)
    else:
        found = make_detector("mask-rcnn", finder=Network(device="cpu").detect).find(pictures)
    sightings = [
        [replace(each, label=kind) for each in of_picture if not each.double]
        for of_picture in found
    ]
    return _outcome(score(sightings, truth, [kind]), truth, sightings)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums depend on their number, and so do the weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _outcome(worth: Score, truth: Sequence[Sample], sightings: Sequence[Sequence]) -> Outcome:
    extra = 0
    centres, areas = [], []
    for sample, of_picture in zip(truth, sightings, strict=True):
        certain = [each.mask for each in of_picture if each.score >= CERTAIN]
        clouds = annotated(sample).clouds
        right = [(n, m) for n, m in enumerate(matches(clouds, certain)) if m is not None]
        extra += len(certain) - len(right)
        for n, m in right:
            off = np.subtract(_centroid(certain[m]), _centroid(clouds[n].mask))
            centres.append(float(np.hypot(*off)))
            areas.append(abs(certain[m].area / clouds[n].mask.area - 1))
    medians = (float(np.median(each)) if each else math.nan for each in (centres, areas))
    return Outcome(worth, worth.clouds, len(centres), extra, *medians)


def _centroid(mask: Patch) -> NDArray[np.float64]:
    return np.argwhere(mask.pixels).mean(axis=0) + mask.offset


def _teller(say: Callable[[str], None] | None):
    def tell(progress) -> None:
        epoch = progress.epoch
        if say is not None and epoch is not None:
            say(
                f"  epoch {epoch.number}: loss {epoch.loss:.3f}, box {epoch.box:.3f}, "
                f"mask {epoch.mask:.3f}, {epoch.seconds:.0f} s"
            )

    return tell


def row(outcome: Outcome) -> list[object]:
    """Return the cells of a table that `HEAD` names."""
    worth = outcome.score
    return [
        f"{worth.box.mean:.2f}",
        f"{worth.mask.mean:.2f}",
        f"{worth.mask.at_50:.2f}",
        f"{outcome.found} of {outcome.clouds}",
        outcome.extra,
        f"{outcome.centre:.1f} px",
        f"{100 * outcome.area:.0f} %",
    ]


HEAD = ("box mAP", "mask mAP", "mask AP50", "found", "extra", "centre", "area")


def section(table: Table, kinds: Sequence[Kind] = get_args(Kind)) -> str:
    """Return the section of the page of accuracies."""
    rows: list[list[object]] = []
    for kind in kinds:
        rows.append([kind, "thresholds", *row(as_it_comes(kind, "threshold")), ""])
        rows.append([kind, "network as it comes", *row(as_it_comes(kind, "mask-rcnn")), ""])
        outcome = learned(kind, 20)
        rows.append([kind, "trained on 20 shots", *row(outcome), f"{outcome.minutes:.1f}"])
    return "\n".join(
        [
            "## A detector of one's own\n",
            "Clouds of a class that the network of the package does not know, 200² pixels, with "
            "the fringes and the noise of the paper set: `crossed` dipole traps, of which it knows "
            "the shape, and clouds that are `split` in two, of which it does not. It is trained by "
            "the recipe *shots* on a dataset of 20 shots, of which 3 only choose the best epoch, "
            f"and judged by {JUDGED} others. The first two ways know no such class, and are not "
            "judged by classes. Found and extra: at scores from 0.5, and with masks that share at "
            "least half of their union. Centre and area: medians of the errors of the masks.\n",
            table(["clouds", "way", *HEAD, "CPU minutes of training"], rows),
        ]
    )


def main(words: Sequence[str]) -> int:
    """Train once, and print what that came to."""
    kind, shots, *rest = words
    seed = int(rest[0]) if rest else 0
    if kind not in get_args(Kind):
        print(f"expected one of {', '.join(get_args(Kind))}, found {kind}", file=sys.stderr)
        return 2
    outcome = learned(kind, int(shots), seed=seed, say=print)
    print(dict(zip(HEAD, row(outcome), strict=True)))
    print(f"{outcome.minutes:.1f} CPU minutes, best epoch {outcome.epochs}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
