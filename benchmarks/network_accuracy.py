"""The detectors of clouds on the two fixed sets, as tables: `napari_coldatoms.clouds.evaluate`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from napari_coldatoms.clouds.evaluate import Evaluation, evaluate, make_detector
from napari_coldatoms.clouds.evaluate_detectors import METHODS
from napari_coldatoms.clouds.evaluate_errors import SUBSETS
from napari_coldatoms.clouds.gaussian import PARAMETERS
from napari_coldatoms.clouds.simulate_sets import VALIDATION_SETS, validation_set

Table = Callable[[Iterable[str], Iterable[Iterable[object]]], str]


def evaluations(frames: int | None = None) -> dict[str, list[Evaluation]]:
    """Return what each method is worth on each set."""
    return {
        name: [
            evaluate(validation_set(name, stop=frames), make_detector(method), name=name)
            for method in METHODS
        ]
        for name in VALIDATION_SETS
    }


def section(table: Table, frames: int | None = None) -> str:
    """Return the section of the page of accuracies."""
    found = evaluations(frames)
    parts = [
        "## Detectors of clouds\n",
        "The two fixed sets of simulated frames. Average precision as COCO has it, mean over "
        "intersections over union of 0.50 to 0.95; thresholds know no classes, a cloud of aspect "
        "below 2 counts as a MOT. Found, of another class, missed and extra: at scores from 0.5.\n",
        table(
            [
                *("set", "method", "clouds", "box mAP", "AP50", "AP75"),
                *("mask mAP", "AP50", "AP75", "found", "other class", "extra"),
            ],
            [_scores(each) for of_set in found.values() for each in of_set],
        ),
    ]
    for name, of_set in found.items():
        hybrid = next(each for each in of_set if each.detector == "hybrid")
        parts += [
            f"RMSE of the parameters on the {name} set, without a fit (network masks, moments) and "
            "with one, against the 2-D fit from the truth: centres in extents, radii relative, θ "
            "in rad, peak and background in peaks:\n",
            table(["clouds", "from", "number", *PARAMETERS], _errors(hybrid)),
            f"Fits on the {name} set; possible: those that converge from the truth:\n",
            table(
                ["frames", "fit", "number", "converge", "of possible", "right", "median"],
                _fits(hybrid),
            ),
        ]
    return "\n".join(parts)


def _scores(found: Evaluation) -> list[object]:
    precisions = [
        f"{value:.3f}"
        for each in (found.score.box, found.score.mask)
        for value in (each.mean, each.at_50, each.at_75)
    ]
    counts = (found.found, found.confused, found.extra)
    return [found.frames_name, found.detector, found.clouds, *precisions, *counts]


def _errors(found: Evaluation) -> list[list[object]]:
    table = found.table("errors")
    table = table[table["reference"] == "fit"]
    return [
        [subset, source, rows["clouds"].max(), *(_number(value) for value in rows["rmse"])]
        for subset in SUBSETS
        for source, rows in table[table["subset"] == subset].groupby("source", sort=False)
    ]


def _fits(found: Evaluation) -> list[list[object]]:
    return [
        [
            row.frames,
            row.kind,
            row.fits,
            f"{100 * row.converged:.1f} %",
            f"{100 * row.converged_where_possible:.1f} %",
            f"{100 * row.correct:.1f} %",
            "" if math.isnan(row.median_seconds) else f"{1000 * row.median_seconds:.2g} ms",
        ]
        for row in found.table("fits").itertuples()
    ]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
