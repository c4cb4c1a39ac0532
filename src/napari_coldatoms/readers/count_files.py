"""Files of photon counts: what they hold, and whether a file holds counts rather than pictures."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from napari_coldatoms.readers import count_arrays, count_hdf5, count_text, count_text_form, hdf5
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.readers.count_roles import is_telling, usable
from napari_coldatoms.readers.count_series import CountSeries
from napari_coldatoms.readers.count_table import Reading, arrange, join_controls, with_left_out
from napari_coldatoms.readers.errors import ReadError, describe_content, first_line

COUNT_SUFFIXES = (*count_text.SUFFIXES, ".npy", ".npz", *hdf5.SUFFIXES)
"""Suffixes of the files in which counts are looked for, in lower case."""

_LAYOUTS = ("counts", "histogram", "prepared")
_RESULTS = {"counts", "called"}
"""Columns of a table that tells the atoms of single shots: it is made from counts."""


@dataclass(frozen=True, eq=False)
class CountFile:
    """Photon counts of one file.

    Attributes
    ----------
    path : pathlib.Path
    series : tuple of CountSeries
        One for each detector or site.
    certain : bool
        Whether the file says what its numbers mean; otherwise it was guessed from the values.
    reason : str
        Why it was read like this, what was left out, and what else it could be.
    """

    path: Path
    series: tuple[CountSeries, ...]
    certain: bool
    reason: str


def read_counts(path: str | os.PathLike[str], *, layout: Layout | None = None) -> CountFile:
    """Read photon counts.

    Parameters
    ----------
    path : path
        csv, txt, dat, tsv, npy, npz or HDF5.
    layout : {"counts", "histogram", "prepared"}, optional
        What the columns hold, where that is known better: "counts" of each shot, one series for
        each column; a "histogram" (n, occurrences); counts with the "prepared" atom number of each
        shot. By default found out, from names or else from values.

    Returns
    -------
    CountFile

    Raises
    ------
    ReadError
        No counts in the file, or a negative, fractional or missing one; the message names the
        place, what was expected and what was found.
    ValueError
        If the layout is unknown.
    """
    if layout is not None and layout not in _LAYOUTS:
        raise ValueError(f"expected a layout of {', '.join(_LAYOUTS)} or None, found {layout!r}")
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing of this name"
        raise ReadError(path, "a file of counts", found)
    suffix = path.suffix.lower()
    if suffix not in COUNT_SUFFIXES:
        listed = ", ".join(f"*{each}" for each in COUNT_SUFFIXES)
        named = f"with the suffix {path.suffix!r}" if path.suffix else "without a suffix"
        found = f"{describe_content(path)} {named}"
        raise ReadError(path, f"a file of counts ({listed})", found)
    try:
        if path.stat().st_size == 0:
            raise ReadError(path, "a file of counts", "an empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reading = _read(path, suffix, layout)
    except ReadError:
        raise
    except Exception as error:
        # libraries raise anything over damaged files
        found = f"{describe_content(path)}, damaged or incomplete ({first_line(error)})"
        raise ReadError(path, "a file of counts", found) from error
    return CountFile(path, reading.series, reading.certain, reading.reason)


def is_count_file(path: str | os.PathLike[str]) -> bool:
    """Tell from the first part of a file whether it holds counts, and surely no picture.

    Of texts the first 64 kB are read, of other files the headers and some numbers. Arrays with two
    dimensions are taken for pictures, as are columns of numbers without names where there are more
    than two; `read_counts` reads them nevertheless.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        if suffix not in COUNT_SUFFIXES or not path.is_file():
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suffix in count_text.SUFFIXES:
                return _is_text(path)
            if suffix in hdf5.SUFFIXES:
                return count_hdf5.is_counts(path)
            return count_arrays.is_npy(path) if suffix == ".npy" else count_arrays.is_npz(path)
    except Exception:
        # what cannot be read is no file of counts
        return False


def _read(path: Path, suffix: str, layout: Layout | None) -> Reading:
    if suffix in count_text.SUFFIXES:
        return _read_text(path, count_text.load(path, path.read_bytes()), layout)
    if suffix in hdf5.SUFFIXES:
        return count_hdf5.read(path, layout)
    if suffix == ".npy":
        return count_arrays.read_npy(path, layout)
    return count_arrays.read_npz(path, layout)


def _read_text(path: Path, table: count_text.Table, layout: Layout | None) -> Reading:
    layer = next((c.name for c in table.columns if re.fullmatch(r"axis-\d+", c.name)), None)
    if layer is not None:
        raise ReadError(
            path, count_text_form.EXPECTED, f"a layer of napari (with a column {layer!r})"
        )
    kept, others = usable(table.columns, named=table.named)
    if not kept:
        (others or table.columns)[0].whole()
    telling = table.named and any(is_telling(column.name) for column in kept)
    reading = arrange(path, kept, layout, path.stem, named=table.named)
    series, joined = join_controls(reading.series)
    reason = "; ".join([reading.reason, *joined, *table.notes])
    # where no name tells of counts, it is a guess which columns they are
    certain = reading.certain and (telling or not others or layout is not None)
    return with_left_out(Reading(tuple(series), certain, reason), others)


def _is_text(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(count_text_form.SAMPLE)
        if file.read(1):
            # the last line, or the last number of a single line, may be cut
            end = max(start.rfind(b"\n"), start.rfind(b"\r"))
            end = end if end > 0 else max(start.rfind(each) for each in (b",", b" ", b"\t", b";"))
            start = start[: max(end, 0)]
    table = count_text.load(path, start)
    columns = table.columns
    if {column.name for column in columns} >= _RESULTS:
        return False
    _read_text(path, table, None)
    if not table.named:
        return len(columns) <= 2 and not usable(columns, named=False)[1]
    # tables of results have columns of whole numbers, too
    telling = any(is_telling(column.name) for column in columns)
    return telling or len(columns) == 1 or not usable(columns)[1]
