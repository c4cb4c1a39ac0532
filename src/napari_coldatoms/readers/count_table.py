"""Series of counts made of the columns of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.readers.count_meaning import Layout, rises
from napari_coldatoms.readers.count_roles import Roles, roles_by_name, roles_by_value
from napari_coldatoms.readers.count_series import Column, CountSeries
from napari_coldatoms.readers.count_words import control_number
from napari_coldatoms.readers.errors import ReadError


@dataclass(frozen=True, eq=False)
class Reading:
    """Series of one table, whether their meaning is certain, and why they were read like this."""

    series: tuple[CountSeries, ...]
    certain: bool
    reason: str


def arrange(
    path: Path, columns: Sequence[Column], layout: Layout | None, stem: str, *, named: bool = True
) -> Reading:
    """Make series of the columns of one table.

    Parameters
    ----------
    path : Path
    columns : sequence of Column
        Usable ones, of the same length.
    layout : str or None
        What they are; None to find out.
    stem : str
        Name of a series without one.
    named : bool
        Whether the names of the columns may tell something.

    Raises
    ------
    ReadError
        No counts, or not as many columns as the layout needs.
    """
    if layout in ("histogram", "prepared") and len(columns) < 2:
        raise ReadError(path, f"two columns for layout={layout!r}", f"{len(columns)}")
    if len(columns) == 1 or named:
        roles = roles_by_name(columns, layout)
    else:
        roles = roles_by_value(columns, layout)
    series, notes = _series(roles, stem)
    for each in series:
        if each.shots == 0:
            raise ReadError(path, "at least one shot", f"none of {each.name!r}")
    reason = f"read with layout={layout!r}" if layout is not None else roles.reason
    return Reading(tuple(series), layout is not None or roles.certain, "; ".join([reason, *notes]))


def _series(roles: Roles, stem: str) -> tuple[list[CountSeries], list[str]]:
    notes: list[str] = []
    rows = len(roles.values[0].values)
    prepared = bins = None
    if roles.prepared is not None:
        prepared = roles.prepared.whole(what="prepared atom numbers")
        notes.append(f"{roles.prepared.name!r} is the prepared atom number")
    if roles.bins is not None:
        bins = roles.bins.whole(what="numbers of counts")
    order = np.arange(rows)
    if roles.index is not None:
        notes.append(f"{roles.index.name!r} is the number of the shot")
        numbers = roles.index.values
        if roles.site is None and not rises(numbers) and len(np.unique(numbers)) == rows:
            order = np.argsort(numbers, kind="stable")
            notes.append("the shots were sorted by it")
    # columns that belong to nothing else may differ in length
    alone = prepared is None and bins is None and roles.site is None
    made: list[CountSeries] = []
    for column in roles.values:
        filled = column.filled if alone else rows
        values = column.whole(filled, "counts" if bins is None else "occurrences")
        name = column.name or stem
        for label, chosen in _by_site(roles, order[order < filled]):
            full = " ".join([name] * (not label or len(roles.values) > 1) + [label] * bool(label))
            own = prepared[chosen] if prepared is not None else None
            if bins is None:
                made.append(CountSeries(full, counts=values[chosen], prepared=own))
            else:
                histogram = (bins[chosen], values[chosen])
                made.append(CountSeries(full, histogram=histogram, prepared=own))
    if roles.site is not None:
        notes.append(f"one series for each {roles.site.name!r}")
    return made, notes


def _by_site(roles: Roles, rows: NDArray[np.int64]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the name and the rows of each site, or all rows without a name."""
    if roles.site is None:
        return [("", rows)]
    import pandas as pd

    site = roles.site
    cells = site.labels if site.labels is not None else site.values
    group, distinct = pd.factorize(cells[rows], use_na_sentinel=False)
    ends = np.cumsum(np.bincount(group))
    parts = np.split(rows[np.argsort(group, kind="stable")], ends[:-1])
    found: list[tuple[str, NDArray[np.int64]]] = []
    for label, chosen in zip(distinct.tolist(), parts, strict=True):
        if roles.index is not None:
            numbers = roles.index.values[chosen]
            if not rises(numbers) and len(np.unique(numbers)) == len(numbers):
                chosen = chosen[np.argsort(numbers, kind="stable")]
        found.append((f"{site.name} {label}", chosen))
    return found


def with_left_out(reading: Reading, columns: Sequence[Column]) -> Reading:
    """Add to the reason which columns hold no counts."""
    if not columns:
        return reading
    names = ", ".join(repr(column.name) for column in columns[:5])
    more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
    return replace(reading, reason=f"{reading.reason}; left out, no counts: {names}{more}")


def join_controls(series: Sequence[CountSeries]) -> tuple[list[CountSeries], list[str]]:
    """Join series with names such as atoms_0, atoms_1 to one with prepared atom numbers."""
    numbers = [control_number(each.name) for each in series]
    found = [(n, s) for n, s in zip(numbers, series, strict=True) if n is not None]
    kinds = {each.counts is None for _, each in found}
    if not found or len(kinds) > 1 or any(each.prepared is not None for _, each in found):
        return list(series), []
    found.sort(key=lambda each: each[0])
    rows = [len(s.counts if s.counts is not None else s.histogram[0]) for _, s in found]  # type: ignore[index]
    prepared = np.repeat(np.array([n for n, _ in found], dtype=np.int64), rows)
    if found[0][1].counts is not None:
        counts = np.concatenate([s.counts for _, s in found if s.counts is not None])
        joined = CountSeries("controls", counts=counts, prepared=prepared)
    else:
        pairs = [s.histogram for _, s in found if s.histogram is not None]
        histogram = (np.concatenate([n for n, _ in pairs]), np.concatenate([o for _, o in pairs]))
        joined = CountSeries("controls", histogram=histogram, prepared=prepared)
    names = ", ".join(repr(each.name) for _, each in found)
    rest = [s for n, s in zip(numbers, series, strict=True) if n is None]
    return [joined, *rest], [f"{names} hold the controls of these atom numbers"]
