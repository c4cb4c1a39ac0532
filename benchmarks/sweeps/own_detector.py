"""What a detector of one's own is worth, against the number of painted shots.

The setting is that of `benchmarks.own_detector`; nothing of it is in a paper.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy import table
from benchmarks.own_detector import JUDGED, Outcome, as_it_comes, learned
from benchmarks.sweeps.gallery import Row
from benchmarks.unseen_kinds import KINDS, Kind, shot
from napari_coldatoms.clouds.recipe import SHOTS

NAMES: tuple[Kind, ...] = tuple(KINDS)
WORDS = {"crossed": "crossed traps", "split": "split clouds"}
COLOURS = ("#0072b2", "#d55e00")
# ways of a row
THRESHOLDS, AS_IT_COMES, TRAINED = range(3)
# of 200 shots ten epochs take as many steps as thirty of 67
MANY, MANY_EPOCHS = 100, 10


class Case(NamedTuple):
    """A training: of which kind, on how many shots, and how."""

    kind: Kind
    shots: int
    seed: int = 0
    shipped: bool = True
    by_hand: bool = False

    @property
    def epochs(self) -> int:
        """How often each shot is seen."""
        return SHOTS.epochs if self.shots < MANY else MANY_EPOCHS


CASES = (
    *(Case(kind, 20, seed) for kind in NAMES for seed in range(3)),
    *(Case(kind, shots) for kind in NAMES for shots in (50, 200)),
    Case("crossed", 20, by_hand=True),
    Case("crossed", 50, shipped=False),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All cases are fixed."""


def measure(options: argparse.Namespace) -> list[Row]:
    rows = [
        cells(kind, way, as_it_comes(kind, method))
        for kind in NAMES
        for way, method in ((THRESHOLDS, "threshold"), (AS_IT_COMES, "mask-rcnn"))
    ]
    for case in CASES:
        outcome = learned(
            case.kind,
            case.shots,
            seed=case.seed,
            start="shipped" if case.shipped else None,
            recipe=replace(SHOTS, epochs=case.epochs),
            by_hand=case.by_hand,
        )
        rows.append(cells(case.kind, TRAINED, outcome) | numbers(case))
        print(case, rows[-1], flush=True)
    return rows


def cells(kind: Kind, way: int, outcome: Outcome) -> Row:
    """Return what is kept of an outcome."""
    found = {
        "kind": float(NAMES.index(kind)),
        "way": float(way),
        "box": outcome.score.box.mean,
        "mask": outcome.score.mask.mean,
        "mask AP50": outcome.score.mask.at_50,
        "clouds": float(outcome.clouds),
        "found": float(outcome.found),
        "extra": float(outcome.extra),
        "centre": outcome.centre,
        "area": outcome.area,
        "minutes": outcome.minutes,
        "best": float(outcome.epochs),
    }
    if outcome.last is not None:
        found |= {"last box": outcome.last.box.mean, "last mask": outcome.last.mask.mean}
    return found


def numbers(case: Case) -> Row:
    """Return a case as numbers."""
    return {
        "shots": float(case.shots),
        "seed": float(case.seed),
        "epochs": float(case.epochs),
        "shipped": float(case.shipped),
        "by hand": float(case.by_hand),
    }


def statements(rows: list[Row], note: str) -> str:
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["kind"], _way(row)), []).append(row)
    found = [
        [
            WORDS[NAMES[int(kind)]],
            way,
            _spread([each["box"] for each in of_way], "{:.2f}"),
            _spread([each["mask"] for each in of_way], "{:.2f}"),
            *(
                _spread([each[name] for each in of_way], "{:.2f}") if name in of_way[0] else ""
                for name in ("last box", "last mask")
            ),
            _spread([100 * each["found"] / each["clouds"] for each in of_way], "{:.0f}") + " %",
            _spread([100 * each["extra"] / each["clouds"] for each in of_way], "{:.0f}") + " %",
            _spread([each["centre"] for each in of_way], "{:.1f}") + " px",
            _spread([100 * each["area"] for each in of_way], "{:.0f}") + " %",
            _spread([each["minutes"] for each in of_way], "{:.1f}") if "shots" in of_way[0] else "",
        ]
        for (kind, way), of_way in sorted(groups.items(), key=lambda item: item[0][0])
    ]
    head = (
        *("clouds", "way", "box mAP", "mask mAP", "last: box", "mask"),
        *("found", "extra", "centre", "area", "CPU min"),
    )
    return "\n".join([f"`{note}`\n", table(head, found)])


def _way(row: Row) -> str:
    if row["way"] != TRAINED:
        return "thresholds" if row["way"] == THRESHOLDS else "network as it comes"
    words = f"{row['shots']:.0f} shots"
    if row["by hand"]:
        words += ", painted roughly"
    return words if row["shipped"] else f"{words}, from random weights"


def _spread(values: list[float], form: str) -> str:
    low, high = (form.format(each) for each in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure = pyplot.figure(figsize=(10, 4.2), layout="constrained")
    places = figure.add_gridspec(2, 4)
    for number, kind in enumerate(NAMES):
        for column in range(2):
            axis = figure.add_subplot(places[number, column])
            example = shot(kind, 2, 1 + column)
            axis.imshow(example.picture, cmap="gray", interpolation="nearest")
            for mask in example.masks:
                axis.contour(mask, [0.5], colors=COLOURS[number], linewidths=1)
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(WORDS[kind])
    axis = figure.add_subplot(places[:, 2:])
    for number, kind in enumerate(NAMES):
        own = [row for row in rows if row["kind"] == number]
        plain = [row for row in own if row.get("shots") and row["shipped"] and not row["by hand"]]
        look = {"color": COLOURS[number]}
        axis.plot(
            [row["shots"] for row in plain], [_overall(row) for row in plain], "o",
            label=WORDS[kind], **look,
        )  # fmt: skip
        shots = sorted({row["shots"] for row in plain})
        means = [np.mean([_overall(r) for r in plain if r["shots"] == n]) for n in shots]
        axis.plot(shots, means, "-", lw=1, **look)
        for way, line in ((THRESHOLDS, ":"), (AS_IT_COMES, "--")):
            level = next(_overall(row) for row in own if row["way"] == way)
            axis.axhline(level, ls=line, lw=1, **look)
    axis.plot([], [], "k--", lw=1, label="network as it comes")
    axis.plot([], [], "k:", lw=1, label="thresholds")
    axis.set(xscale="log", xlabel="painted shots", ylabel="mAP, mean of boxes and masks")
    axis.set(ylim=(0, 1), xticks=[20, 50, 200], title=f"{JUDGED} other shots")
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.minorticks_off()
    axis.legend(fontsize=9, loc="center right", bbox_to_anchor=(1, 0.27))
    return figure


def _overall(row: Row) -> float:
    return (row["box"] + row["mask"]) / 2
