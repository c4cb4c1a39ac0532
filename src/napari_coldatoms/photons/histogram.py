"""Counts of photons, as measured shot by shot or already counted into a histogram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_COUNTS = 1_000_000
"""Largest number of counts in one shot that is taken."""


@dataclass(frozen=True, eq=False, repr=False)
class Histogram:
    """How many shots gave each number of counts.

    Attributes
    ----------
    occurrences : (max_count + 1,) int
        Number of shots with n counts, at index n; the last one is not zero.
    in_order : (shots,) int or None
        The counts of each shot in the order they were taken; None where only the histogram is
        known.
    """

    occurrences: IntArray
    in_order: IntArray | None = None

    def __repr__(self) -> str:
        order = ", in order" if self.in_order is not None else ""
        return f"Histogram({self.total} shots of {self.mean:.4g} counts in the mean{order})"

    @property
    def total(self) -> int:
        """Number of shots."""
        return int(self.occurrences.sum())

    @property
    def max_count(self) -> int:
        """Largest number of counts of a shot."""
        return len(self.occurrences) - 1

    @property
    def mean(self) -> float:
        """Mean number of counts."""
        return float(np.arange(len(self.occurrences)) @ self.occurrences / self.total)

    @property
    def variance(self) -> float:
        """Variance of the number of counts, of one shot more than none: divided by shots - 1."""
        deviation = np.arange(len(self.occurrences)) - self.mean
        return float(deviation**2 @ self.occurrences / max(self.total - 1, 1))

    def padded(self, max_count: int) -> IntArray:
        """Return the occurrences from 0 to `max_count`, which is not below the own one."""
        return np.pad(self.occurrences, (0, max_count - self.max_count))


Counts = ArrayLike | Histogram | Mapping[int, int]
"""What is taken as counts, see `histogram`."""

CountsByAtomNumber = Sequence[Counts] | Mapping[int, Counts]
"""Counts of control shots, see `control_histograms`."""


def histogram(counts: Counts, name: str = "counts") -> Histogram:
    """Count how often each number of photon counts occurs.

    Parameters
    ----------
    counts : (shots,) array, Histogram, mapping, or tuple of two arrays
        The counts of each shot, in the order they were taken, one-dimensional; or a histogram as it
        is; or a mapping ``{n: occurrences}``; or a *tuple* ``(n, occurrences)`` of two arrays of
        one length.
    name : str
        What errors call the counts.

    Returns
    -------
    Histogram

    Notes
    -----
    A pandas Series is taken for the counts of each shot, its index is not looked at: what
    ``value_counts`` returns is to be given as a ``dict``.

    Raises
    ------
    ValueError
        If counts or occurrences are negative, fractional, NaN or infinite; if there is no shot at
        all; if the counts are not one-dimensional, or above `MOST_COUNTS`.
    """
    if isinstance(counts, Histogram):
        return counts
    if isinstance(counts, Mapping):
        counts = (list(counts.keys()), list(counts.values()))
    if isinstance(counts, tuple) and len(counts) == 2 and np.ndim(counts[0]) == 1:
        return _from_occurrences(counts[0], counts[1], name)
    values = whole_numbers(counts, name)
    if values.size == 0:
        raise ValueError(f"expected {name} of at least one shot, found none")
    return Histogram(np.bincount(values).astype(np.int64), values)


def _from_occurrences(numbers: ArrayLike, occurrences: ArrayLike, name: str) -> Histogram:
    n = whole_numbers(numbers, f"numbers of {name}")
    times = whole_numbers(occurrences, f"occurrences of {name}", limit=None)
    if n.size != times.size:
        raise ValueError(
            f"expected as many occurrences as numbers of {name}, found {times.size} and {n.size}"
        )
    if times.sum() == 0:
        raise ValueError(f"expected {name} of at least one shot, found only zero occurrences")
    n = n[times > 0]
    result = np.zeros(int(n.max()) + 1, dtype=np.int64)
    np.add.at(result, n, times[times > 0])
    return Histogram(result)


def whole_numbers(values: ArrayLike, name: str, limit: int | None = MOST_COUNTS) -> IntArray:
    """Return whole numbers from 0 to the limit, one-dimensional, or say what else was found."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biu":
            if array.dtype.kind in "cmM":
                raise TypeError(f"no whole numbers: {array.dtype}")
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected {name} as whole numbers, found {values!r:.60}") from error
    if array.ndim != 1:
        raise ValueError(
            f"expected {name} in one dimension (one number for each shot), found shape "
            f"{array.shape}; a histogram is a tuple (n, occurrences) or a Histogram"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            wrong = array[~np.isfinite(array)][0]
            raise ValueError(f"expected {name} as whole numbers, found {wrong}")
        if (array != np.rint(array)).any():
            wrong = array[array != np.rint(array)][0]
            raise ValueError(f"expected {name} as whole numbers, found {wrong:g}")
    if array.size and array.min() < 0:
        raise ValueError(f"expected {name} not below 0, found {array.min():g}")
    if array.size and array.max() > (limit or np.iinfo(np.int64).max / 2):
        most = limit or np.iinfo(np.int64).max // 2
        raise ValueError(f"expected {name} up to {most}, found {array.max():g}")
    return array.astype(np.int64)


def control_histograms(counts_by_atom_number: CountsByAtomNumber) -> tuple[Histogram, ...]:
    """Return the histograms of control shots, prepared with 0, 1, 2, ... atoms.

    Parameters
    ----------
    counts_by_atom_number : sequence or mapping
        Counts (see `histogram`) for 0, 1, 2, ... atoms in this order, or by atom number.

    Raises
    ------
    ValueError
        If one control is missing or not usable, or if there are fewer than two.
    """
    if isinstance(counts_by_atom_number, Mapping):
        numbers = sorted(counts_by_atom_number)
        if numbers != list(range(len(numbers))):
            raise ValueError(
                "expected controls for every atom number from 0 on, found "
                f"{', '.join(map(str, numbers))}"
            )
        controls = [counts_by_atom_number[number] for number in numbers]
    elif isinstance(counts_by_atom_number, Sequence | np.ndarray):
        controls = list(counts_by_atom_number)
    else:
        raise ValueError(
            "expected controls as a sequence of counts for 0, 1, 2, ... atoms or a mapping by atom "
            f"number, found {counts_by_atom_number!r:.60}"
        )
    if len(controls) < 2:
        raise ValueError(
            f"expected controls for 0 and 1 atoms at least, found {len(controls)} control(s)"
        )
    for number, control in enumerate(controls):
        if control is None or (isinstance(control, Sequence) and len(control) == 0):
            raise ValueError(f"expected controls for {number} atoms, found none")
    return tuple(
        histogram(control, f"controls for {number} atoms")
        for number, control in enumerate(controls)
    )
