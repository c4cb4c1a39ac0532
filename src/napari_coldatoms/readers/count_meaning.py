"""What two columns without telling names hold, judged by their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["counts", "histogram", "prepared"]
Meaning = Literal["counts", "histogram", "prepared", "index"]

MOST_ATOMS = 10
"""Largest number taken for a prepared atom number where no name tells so."""


@dataclass(frozen=True)
class Guess:
    """What columns mean.

    Attributes
    ----------
    meaning : str
        "counts": each column is a series; "histogram": the first holds n, the others occurrences;
        "index": the first numbers the shots, the others are series; "prepared": one of them holds
        the prepared atom numbers.
    certain : bool
    reason : str
        With what else it could be.
    column : int
        Which one holds the prepared atom numbers.
    """

    meaning: Meaning
    certain: bool
    reason: str
    column: int = 0


def rises(values: NDArray) -> bool:
    """Tell whether each value is larger than the one before."""
    return bool(np.all(values[1:] > values[:-1]))


def guess_meaning(columns: Sequence[NDArray], layout: Layout | None = None) -> Guess:
    """Guess what columns without names hold.

    Parameters
    ----------
    columns : sequence of (rows,) arrays
        Two or more.
    layout : str, optional
        What is known of them.
    """
    first, second = columns[0], columns[1]
    rising = rises(first) and len(first) > 1
    if layout == "histogram":
        return Guess("histogram", True, "")
    if layout == "prepared":
        return Guess("prepared", True, "", _prepared_column(columns, sure=True) or 0)
    counted = rising and first[0] in (0, 1) and first[-1] - first[0] == len(first) - 1
    if layout == "counts":
        return Guess("index" if counted else "counts", True, "")
    if rising and _is_histogram(first, second):
        return Guess(
            "histogram",
            False,
            "the first column rises and the second one is smooth: a histogram (n, occurrences); it "
            "could be the number of the shot and its counts (layout='counts')",
        )
    if rising:
        return Guess(
            "index",
            False,
            "the first column rises and the second one scatters: the number of the shot and its "
            "counts; it could be a histogram (layout='histogram')",
        )
    column = _prepared_column(columns)
    if column is not None:
        return Guess(
            "prepared",
            False,
            f"column {column + 1} has few small values and the counts depend on it: the prepared "
            "atom number; it could be counts of another detector (layout='counts')",
            column,
        )
    return Guess(
        "counts",
        False,
        f"{len(columns)} columns without names: counts of {len(columns)} detectors or sites; it "
        "could be counts with the prepared atom number (layout='prepared')",
    )


def _is_histogram(n: NDArray, occurrences: NDArray) -> bool:
    """Tell whether values over n are a histogram and not counts in the order of the shots.

    A histogram is smooth, or scatters like Poisson numbers where there are few shots, and ends
    with rare numbers. Simulated, from 100 shots on 92 % of the histograms are recognised, and 94 %
    of the series whose brightness drifts (lag-1 correlation 0.7), all where it does not.
    """
    if len(n) < 6:
        return True
    y = occurrences.astype(float)
    if y.min() > 0 and n[-1] - n[0] < 100 * len(n):
        # n that did not occur may have been left out
        y = np.zeros(int(n[-1] - n[0]) + 1)
        y[(n - n[0]).astype(int)] = occurrences
    spread = float(np.sum((y - y.mean()) ** 2))
    if spread == 0:
        return False
    steps = float(np.sum(np.diff(y) ** 2))
    # von Neumann's ratio: 2 for independent values, near 0 for a smooth curve
    ratio = steps / spread
    # 1 for Poisson numbers of one mean, the Fano factor for counts in any order
    scatter = steps / float(np.sum(y[1:] + y[:-1]))
    sparse = len(y) <= 150 or y.mean() < 1
    smooth = ratio < 0.7 or (sparse and ratio < 1.5 and scatter < 2)
    return smooth and bool(y[-1] <= max(3.0, 0.15 * y.max()))


def _prepared_column(columns: Sequence[NDArray], *, sure: bool = False) -> int | None:
    """Return which column has few small values on which the others depend, if one does."""
    found: list[tuple[bool, int, int]] = []
    for i, column in enumerate(columns):
        other = columns[1 if i == 0 else 0]
        if column.size == 0 or column.max() > MOST_ATOMS:
            continue
        distinct, group = np.unique(column, return_inverse=True)
        if len(distinct) > min(len(column) // 2, MOST_ATOMS + 1) and not sure:
            continue
        explained = _explained(group, other)
        alone = len(distinct) == 1 and len(columns) == 2
        if sure or alone or (other.max() > column.max() and explained > 0.1):
            found.append((len(distinct) == 1, len(distinct), -i))
    return -min(found)[2] if found else None


def _explained(group: NDArray, values: NDArray) -> float:
    """Return the share of the variance of values that lies between groups."""
    y = values.astype(float)
    total = float(np.sum((y - y.mean()) ** 2))
    if total == 0:
        return 0.0
    size = np.bincount(group)
    means = np.bincount(group, weights=y) / size
    return float(np.sum(size * (means - y.mean()) ** 2)) / total
