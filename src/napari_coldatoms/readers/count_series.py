"""Photon counts that were read, and the columns of numbers they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.readers.errors import ReadError

IntArray = NDArray[np.int64]

MOST = 10**9
"""Largest number of counts of one shot; larger ones are time stamps and the like."""

_MOST_OCCURRENCES = 2**53


@dataclass(frozen=True, eq=False)
class CountSeries:
    """Counts of one detector or one site: those of each shot, or how often each number occurred.

    Attributes
    ----------
    name : str
        Of the column, the dataset or the file.
    counts : (shots,) int64 or None
        The counts of each shot, in the order in which they were taken.
    histogram : tuple of two (k,) int64, or None
        ``(n, occurrences)`` where the file holds a histogram only; n may have gaps.
    prepared : (shots,) int64 or None
        The prepared atom number of each shot, of controls in one file; with a histogram that of
        each of its k rows.
    """

    name: str
    counts: IntArray | None = None
    histogram: tuple[IntArray, IntArray] | None = None
    prepared: IntArray | None = None

    @property
    def data(self) -> IntArray | tuple[IntArray, IntArray]:
        """The counts or the histogram, as the functions of `napari_coldatoms.photons` take them."""
        if self.counts is not None:
            return self.counts
        assert self.histogram is not None
        return self.histogram

    @property
    def shots(self) -> int:
        """Number of shots."""
        if self.counts is not None:
            return len(self.counts)
        return int(self.histogram[1].sum()) if self.histogram is not None else 0

    def by_atom_number(self) -> dict[int, IntArray | tuple[IntArray, IntArray]]:
        """Return the counts (or histograms) of the controls, by the prepared atom number.

        Returns
        -------
        dict
            Atom numbers in rising order; within each the shots keep their order.

        Raises
        ------
        ValueError
            If the file does not tell the prepared atom numbers.
        """
        if self.prepared is None:
            raise ValueError(
                f"expected prepared atom numbers of {self.name!r}, found counts without them"
            )
        found: dict[int, IntArray | tuple[IntArray, IntArray]] = {}
        for number in np.unique(self.prepared).tolist():
            rows = self.prepared == number
            if self.counts is not None:
                found[number] = self.counts[rows]
            elif self.histogram is not None:
                found[number] = (self.histogram[0][rows], self.histogram[1][rows])
        return found


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a table, or one array, before anything is known of its meaning.

    Attributes
    ----------
    path : Path
    name : str
        Empty where there is none.
    values : (rows,) int or float
        NaN where a cell is empty or holds no number.
    place : callable
        From the number of a row to where it stands: "line 3", "index 2".
    text : callable or None
        From the number of a row to what is written there; by default the value.
    blank : (rows,) bool or None
        Which cells are empty.
    labels : (rows,) object or None
        The cells as they are, where not all are numbers.
    """

    path: Path
    name: str
    values: NDArray
    place: Callable[[int], str]
    text: Callable[[int], str] | None = None
    blank: NDArray[np.bool_] | None = None
    labels: NDArray | None = None

    @property
    def filled(self) -> int:
        """Number of rows before the column is empty to its end."""
        if self.blank is None or not self.blank.any():
            return len(self.values)
        rows = np.flatnonzero(~self.blank)
        return int(rows[-1]) + 1 if rows.size else 0

    @property
    def unfit(self) -> float:
        """Share of the filled cells that are no counts."""
        filled = self.filled
        return float(_unfit(self.values[:filled], MOST).mean()) if filled else 1.0

    @property
    def has_gaps(self) -> bool:
        """Whether there are counts with empty cells between them, and nothing else."""
        if self.blank is None or not self.blank[: self.filled].any():
            return False
        return not _unfit(self.values[~self.blank], MOST).any()

    def whole(self, rows: int | None = None, what: str = "counts") -> IntArray:
        """Return the first rows (by default all) as whole numbers not below 0.

        Raises
        ------
        ReadError
            Naming the first place where something else was found.
        """
        values = self.values[:rows]
        limit = _MOST_OCCURRENCES if what == "occurrences" else MOST
        wrong = _unfit(values, limit)
        if wrong.any():
            expected = f"{what} as whole numbers not below 0"
            raise ReadError(self.path, expected, self._found(int(np.argmax(wrong)), what))
        return values.astype(np.int64)

    def _found(self, row: int, what: str) -> str:
        value = self.values[row]
        text = self.text(row) if self.text is not None else f"{value}"
        named = f" of {self.name!r}" if self.name else ""
        found = f"{text or 'an empty cell'} in {self.place(row)}{named}"
        if _is_decimal_comma(text):
            return f"{found}: decimal commas are not read, write points"
        if what == "occurrences" and np.isfinite(value) and 0 < value != np.floor(value):
            return f"{found}: with shares instead of occurrences the number of shots is lost"
        if np.isfinite(value) and value > MOST:
            return f"{found}, which is more than {MOST:.0e}"
        return found


def _unfit(values: NDArray, limit: int) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 0) & (values <= limit))
        if values.dtype.kind == "f":
            wrong |= values != np.floor(values)
    return wrong


def _is_decimal_comma(text: str) -> bool:
    before, comma, after = text.strip("'\" ").partition(",")
    return bool(comma) and before.lstrip("+-").isdigit() and after.isdigit()
