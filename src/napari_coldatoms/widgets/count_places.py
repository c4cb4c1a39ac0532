"""Where counts belong: the sample, or the control of an atom number; told by files and names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.photons.histogram import Histogram, histogram
from napari_coldatoms.readers.count_files import CountFile
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.readers.count_series import CountSeries

SAMPLE = "sample"
"""The place of shots whose atom numbers are not known."""

Place = int | str
"""`SAMPLE`, or the atom number of a control."""

MOST_ATOMS = 20
"""Largest atom number of a control."""

_NUMBER = (
    re.compile(r"(?:atoms?|controls?|ctrl|prepared|loaded|calibration)[\W_]*(\d{1,2})(?!\d)"),
    re.compile(r"(?<!\d)(\d{1,2})[\W_]*atoms?(?![a-z])"),
)
_WORDS: tuple[tuple[Place, str], ...] = (
    (SAMPLE, r"samples?|unknown|mixtures?|mixed|test"),
    (0, r"dark|background|empty|(?:zero|no|without)[\W_]*atoms?"),
    (1, r"(?:one|single)[\W_]*atoms?"),
    (2, r"(?:two|pairs?[\W_]*of)[\W_]*atoms?"),
    (3, r"three[\W_]*atoms?"),
)


@dataclass(frozen=True, eq=False)
class CountEntry:
    """Counts in their place.

    Attributes
    ----------
    histogram : Histogram
    source : str
        Where they are from, in a few words.
    paths : tuple of Path
        The files; empty where they are from an image.
    layout : str or None
        The layout that the file was read with, see `readers.read_counts`.
    series : str or None
        Which of several series of the file it is.
    remarks : tuple of str
        Doubts about how they were counted.
    """

    histogram: Histogram
    source: str
    paths: tuple[Path, ...] = ()
    layout: Layout | None = None
    series: str | None = None
    remarks: tuple[str, ...] = ()


def title_of(place: Place) -> str:
    """Return how a place is called."""
    if isinstance(place, str):
        return place
    return f"{place} atom{'' if place == 1 else 's'}"


def place_by_name(name: str) -> Place | None:
    """Return the place that a name of a file tells, or None."""
    plain = name.lower()
    for pattern in _NUMBER:
        found = pattern.search(plain)
        if found and int(found[1]) <= MOST_ATOMS:
            return int(found[1])
    for place, words in _WORDS:
        if re.search(rf"(?<![a-z])(?:{words})(?![a-z])", plain):
            return place
    return None


def entry_of(series: CountSeries, file: CountFile, layout: Layout | None = None) -> CountEntry:
    """Return the counts of one series of a file, whatever was prepared."""
    alone = sum((each.prepared is None) == (series.prepared is None) for each in file.series) == 1
    path = file.path
    name = path.name if len(file.series) == 1 else f"{path.name}: {series.name}"
    return CountEntry(histogram(series.data), name, (path,), layout, None if alone else series.name)


def by_prepared(
    series: CountSeries, file: CountFile, layout: Layout | None = None
) -> dict[Place, CountEntry]:
    """Return the controls in a series, by the prepared atom number.

    Raises
    ------
    ValueError
        If an atom number is too large for one.
    """
    found = series.by_atom_number()
    path = file.path
    if max(found) > MOST_ATOMS:
        raise ValueError(
            f"expected prepared atom numbers up to {MOST_ATOMS}, found {max(found)} in {path.name}"
        )
    several = sum(each.prepared is not None for each in file.series) > 1
    name = series.name if several else None
    return {
        number: CountEntry(histogram(data), path.name, (path,), layout, name)
        for number, data in found.items()
    }


def placed(
    file: CountFile,
    wanted: Place | None = None,
    *,
    sure: bool = False,
    layout: Layout | None = None,
) -> dict[Place, CountEntry] | None:
    """Return what a file holds, each in its place; None where the user must be asked.

    Parameters
    ----------
    file : CountFile
    wanted : Place, optional
        Where the user has put it.
    sure : bool
        Whether it is right how the file was read, even if that was a guess.
    layout : str, optional
        What it was read with.
    """
    if not (file.certain or sure):
        return None
    series = list(file.series)
    if wanted is not None:
        alone = len(series) == 1 and series[0].prepared is None
        return {wanted: entry_of(series[0], file, layout)} if alone else None
    prepared = [each for each in series if each.prepared is not None]
    others = [each for each in series if each.prepared is None]
    if len(prepared) == 1 and len(others) <= 1:
        found = by_prepared(prepared[0], file, layout)
        if others:
            found[SAMPLE] = entry_of(others[0], file, layout)
        return found
    if len(series) == 1:
        place = place_by_name(file.path.stem)
        return None if place is None else {place: entry_of(series[0], file, layout)}
    return None


def joined(entries: Sequence[CountEntry]) -> CountEntry:
    """Return several counts as one, in the order that is given."""
    if len(entries) == 1:
        return entries[0]
    orders = [each.histogram.in_order for each in entries]
    if all(order is not None for order in orders):
        counts: Any = np.concatenate([order for order in orders if order is not None])
    else:
        largest = max(each.histogram.max_count for each in entries)
        counts = Histogram(
            np.sum([each.histogram.padded(largest) for each in entries], axis=0, dtype=np.int64)
        )
    paths = tuple(dict.fromkeys(path for each in entries for path in each.paths))
    sources = list(dict.fromkeys(each.source for each in entries))
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    remarks = tuple(dict.fromkeys(remark for each in entries for remark in each.remarks))
    return CountEntry(
        histogram(counts), sources[0] + more, paths, entries[0].layout, remarks=remarks
    )
