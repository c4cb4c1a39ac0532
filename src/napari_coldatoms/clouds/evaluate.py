"""How good a detector is: precision, errors of the parameters, and what its masks do for fits.

The figures of Hofer et al. 2021 (arXiv:2011.10536): COCO's mean average precision of boxes and
masks; errors of the Gaussians that follow from masks, beside those of conventional moments (their
Fig. 7); and fits that begin at the masks beside fits that begin with nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.detect import detect
from napari_coldatoms.clouds.evaluate_detectors import (
    CERTAIN,
    THRESHOLD_MASKS,
    Detector,
    Sighting,
    make_detector,
    truth_as_detector,
)
from napari_coldatoms.clouds.evaluate_errors import (
    CloudError,
    cloud_errors,
    conventional,
    reference_fits,
)
from napari_coldatoms.clouds.evaluate_fits import UNSEEDED, FitTrial, fit_trials
from napari_coldatoms.clouds.evaluate_tables import errors_table, errors_text, fits_table, fits_text
from napari_coldatoms.clouds.evaluate_truth import (
    TrueFrame,
    annotated,
    matches,
    patch_of,
    simulated_truth,
)
from napari_coldatoms.clouds.fit import fit_gaussian
from napari_coldatoms.clouds.gaussian import PARAMETERS, Gaussian2D
from napari_coldatoms.clouds.picture import pixels_of
from napari_coldatoms.clouds.simulate_frames import LABELS, SimulatedFrame

if TYPE_CHECKING:
    from pandas import DataFrame

    from napari_coldatoms.clouds.score import AveragePrecision, Score

__all__ = [
    "CloudError",
    "Detector",
    "Evaluation",
    "FitTrial",
    "TrueFrame",
    "annotated",
    "evaluate",
    "make_detector",
    "simulated_truth",
    "truth_as_detector",
]

FITS = "fits"
"""Source of parameters that are those of the detector's own fits."""


@dataclass
class _Counts:
    frames: int = 0
    clouds: int = 0
    found: int = 0
    confused: int = 0
    extra: int = 0
    seconds: float = 0.0

    def add(
        self, frame: TrueFrame, certain: Sequence[Sighting], found: Sequence[int | None]
    ) -> None:
        hits = [(n, k) for n, k in enumerate(found) if k is not None]
        self.frames += 1
        self.clouds += len(frame.clouds)
        self.found += len(hits)
        self.extra += len(certain) - len(hits)
        self.confused += sum(certain[k].label != frame.clouds[n].label for n, k in hits)


@dataclass(frozen=True)
class Evaluation:
    """What a detector is worth on a set of frames.

    Attributes
    ----------
    detector, frames_name : str
        Names of the detector and of the set.
    frames, clouds : int
        How many frames, and true clouds in them.
    score : Score
        Mean average precision of boxes and masks, of all detections.
    found : int
        True clouds with a detection of a score of at least 0.5 whose mask has an intersection over
        union of at least 0.5 with theirs, one to one, whatever the class.
    confused : int
        Those of them that were given another class.
    extra : int
        Detections of such scores that are none of these.
    seconds : float
        Time that the detection took.
    errors : tuple of CloudError
        Of the clouds that were found.
    fits : tuple of FitTrial
        Of the clouds that were found.
    """

    detector: str
    frames_name: str
    frames: int
    clouds: int
    score: Score
    found: int
    confused: int
    extra: int
    seconds: float
    errors: tuple[CloudError, ...] = field(repr=False)
    fits: tuple[FitTrial, ...] = field(repr=False)

    def table(self, what: Literal["scores", "errors", "fits"] = "scores") -> DataFrame:
        """Return one of the tables.

        Parameters
        ----------
        what : {"scores", "errors", "fits"}
            One row with precision and counts; `errors_table`; `fits_table`.
        """
        import pandas as pd

        if what == "errors":
            return errors_table(self.errors)
        if what == "fits":
            return fits_table(self.fits)
        return pd.DataFrame([self._figures()])

    def text(self) -> str:
        """Return all tables as plain text."""
        f = self._figures()
        head = f"{self.detector}, {self.frames_name}: {self.frames} frames, {self.clouds} clouds, "
        head += f"{1000 * self.seconds / max(self.frames, 1):.0f} ms a frame"
        lines = [head, "", "        mAP    AP50   AP75"]
        for kind in ("box", "mask"):
            values = [f[f"{kind}_{name}"] for name in ("map", "ap50", "ap75")]
            lines.append(f"{kind:5} " + "".join(f"  {value:.3f}" for value in values))
        lines += [
            "",
            f"At scores from 0.5: {self.found} found ({self.confused} as another class), "
            f"{self.clouds - self.found} missed, {self.extra} that match none",
            "",
            errors_text(self.table("errors")),
            fits_text(self.table("fits")),
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return figures and tables as plain lists, numbers and texts; None for what is not known.

        What `json.dumps` takes.
        """
        tables = {what: _plain(self.table(what).to_dict("records")) for what in ("errors", "fits")}
        return {**_plain([self._figures()])[0], **tables}

    def clouds_table(self) -> DataFrame:
        """Return the errors of each single cloud, one row per source and reference."""
        import pandas as pd

        rows = []
        for error in self.errors:
            row = asdict(error)
            values = row.pop("values")
            row["subsets"] = ", ".join(error.subsets)
            rows.append({**row, **dict(zip(PARAMETERS, values, strict=True))})
        return pd.DataFrame(rows)

    def _figures(self) -> dict[str, Any]:
        return {
            "set": self.frames_name,
            "detector": self.detector,
            "frames": self.frames,
            "clouds": self.clouds,
            **_precision("box", self.score.box),
            **_precision("mask", self.score.mask),
            "found": self.found,
            "confused": self.confused,
            "missed": self.clouds - self.found,
            "extra": self.extra,
            "seconds": self.seconds,
        }


def evaluate(
    frames: Iterable[TrueFrame | SimulatedFrame],
    detector: Detector,
    *,
    name: str = "frames",
    labels: Sequence[str] = LABELS,
    unseeded: int = 100,
    batch: int = 8,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Judge a detector on frames with known clouds.

    Needs torchmetrics, and so torch: not beside a window.

    Parameters
    ----------
    frames : iterable of TrueFrame or SimulatedFrame
        Such as a `validation_set`; no more than a batch of them is held at a time.
    detector : Detector
        From `make_detector`.
    name : str
        Of the set of frames.
    labels : sequence of str
        Classes of the clouds.
    unseeded : int
        On how many of the first frames of one cloud fits without a seed, and scipy's, are compared:
        these are slow.
    batch : int
        How many pictures the detector gets at a time.
    progress : callable, optional
        Called with the number of frames done.
    """
    # imported here: it loads torch
    from napari_coldatoms.clouds.score import Scorer

    counts, scorer = _Counts(), Scorer(labels)
    errors: list[CloudError] = []
    fits: list[FitTrial] = []
    # kernels are loaded before a fit is timed
    fit_gaussian(Gaussian2D(16, 15, 6, 4).image((32, 32)))
    compared = 0
    for chunk in _chunks(map(_true, frames), batch):
        start = time.perf_counter()
        seen = detector.find([frame.picture for frame in chunk])
        counts.seconds += time.perf_counter() - start
        for frame, sightings in zip(chunk, seen, strict=True):
            scorer.add(sightings, frame.sample())
            certain = [each for each in sightings if each.score >= CERTAIN and not each.double]
            found = matches(frame.clouds, [each.mask for each in certain])
            counts.add(frame, certain, found)
            if any(k is not None for k in found):
                more, trials = _judge(frame, certain, found, detector.masks, compared < unseeded)
                errors += more
                fits += trials
                compared += any(trial.kind == UNSEEDED for trial in trials)
            if progress is not None:
                progress(counts.frames)
    return Evaluation(
        detector=detector.name,
        frames_name=name,
        score=scorer.result(),
        errors=tuple(errors),
        fits=tuple(fits),
        **asdict(counts),
    )


def _judge(
    frame: TrueFrame,
    certain: Sequence[Sighting],
    found: Sequence[int | None],
    masks: str,
    unseeded: bool,
) -> tuple[list[CloudError], list[FitTrial]]:
    """Return the errors and the fits of the clouds of a frame that were found."""
    pixels = pixels_of(frame.picture)
    clouds = [each.cloud for each in certain]
    references = reference_fits(pixels, [cloud.gaussian for cloud in frame.clouds])
    estimates = conventional(frame, pixels)
    if masks != THRESHOLD_MASKS:
        estimates = {THRESHOLD_MASKS: _threshold_masks(frame, pixels), **estimates}
    errors, trials = [], []
    for number, k in enumerate(found):
        if k is None:
            continue
        own = {masks: clouds[k].gaussian}
        if clouds[k].fit is not None:
            own[FITS] = clouds[k].best
        others = {source: each[number] for source, each in estimates.items()}
        errors += cloud_errors(frame, number, {**own, **others}, references[number])
        trials += fit_trials(
            frame, pixels, clouds, number, k, references[number], unseeded=unseeded
        )
    return errors, trials


def _threshold_masks(frame: TrueFrame, pixels: NDArray[np.float64]) -> list[Gaussian2D | None]:
    """Return what the masks found by thresholds say of each true cloud."""
    clouds = detect(pixels, method="threshold", fit=False)
    found = matches(frame.clouds, [patch_of(cloud) for cloud in clouds])
    return [None if k is None else clouds[k].gaussian for k in found]


def _true(frame: TrueFrame | SimulatedFrame) -> TrueFrame:
    return simulated_truth(frame) if isinstance(frame, SimulatedFrame) else frame


def _chunks(frames: Iterable[TrueFrame], size: int) -> Iterator[list[TrueFrame]]:
    rest = iter(frames)
    while chunk := list(islice(rest, size)):
        yield chunk


def _precision(kind: str, found: AveragePrecision) -> dict[str, float]:
    of_class = {f"{kind}_map_{label}": value for label, value in found.of_class.items()}
    whole = {f"{kind}_map": found.mean, f"{kind}_ap50": found.at_50, f"{kind}_ap75": found.at_75}
    return {**whole, **of_class}


def _plain(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return rows with plain numbers, and None for those that are not known."""
    return [{str(key): _plain_value(value) for key, value in row.items()} for row in rows]


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
