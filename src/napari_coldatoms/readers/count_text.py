"""csv, txt, dat, tsv: columns of numbers, with or without names."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.readers.count_series import Column
from napari_coldatoms.readers.count_text_form import (
    DECIMAL_COMMA,
    EXPECTED,
    SAMPLE,
    Form,
    content_of,
    find_form,
    is_number,
    number_in,
    rows_of,
    split_line,
)
from napari_coldatoms.readers.errors import ReadError

SUFFIXES = (".csv", ".txt", ".dat", ".tsv")


@dataclass(frozen=True)
class Table:
    """Columns of a text file.

    Attributes
    ----------
    columns : list of Column
    named : bool
        Whether the file names them.
    notes : tuple of str
        What is to be said about them.
    """

    columns: list[Column]
    named: bool
    notes: tuple[str, ...] = ()


def load(path: Path, raw: bytes) -> Table:
    """Read the columns of a text.

    Parameters
    ----------
    path : Path
        For messages.
    raw : bytes
        The text.

    Raises
    ------
    ReadError
        No text, no numbers in it, decimal commas, or rows of different lengths.
    """
    raw = _decoded(path, raw)
    form = find_form(path, raw)
    body = raw[form.start :]
    if form.cells > 2 and not form.names and body.count(b"\n") < 50:
        lines = [(number, split_line(line, form.separator)) for number, line in rows_of(body, form)]
        if len(lines) < 3 and any(len(cells) > 2 for _, cells in _filled(lines)):
            return _rows_as_columns(path, _filled(lines))
    return _columns(path, body, form)


def _columns(path: Path, body: bytes, form: Form) -> Table:
    import pandas as pd

    if b"%" in body or b"#" in body:
        body = re.sub(rb"(?m)^[ \t]*[%#]", b"#", body)
    options: dict[str, Any] = {"sep": form.separator} if form.separator else {"sep": r"\s+"}
    try:
        frame = pd.read_csv(
            io.BytesIO(body),
            header=None,
            # one more than there should be, to notice longer lines
            names=list(range(form.cells + 1)),
            index_col=False,
            comment="#" if b"#" in body else None,
            skipinitialspace=True,
            keep_default_na=False,
            na_values=[""],
            low_memory=False,
            **options,
        )
    except pd.errors.ParserError as error:
        raise _ragged(path, body, form) from error

    if frame.pop(form.cells).notna().any():
        raise _ragged(path, body, form)
    if not len(frame):
        raise ReadError(path, EXPECTED, "no line with numbers")

    def place(row: int) -> str:
        return f"line {_cells(body, form, row)[0]}"

    columns: list[Column] = []
    for i in range(form.cells):
        cells = frame[i]
        blank = cells.isna().to_numpy()
        name = form.names[i] if form.names else f"column {i + 1}" if form.cells > 1 else ""
        if blank.all() and not (form.names and name):
            continue  # a separator at the end of every line
        labels = None
        if cells.dtype.kind not in "iuf":
            labels = cells.astype(object).to_numpy()
            # words only, such as names of sites and times of day, take long to convert
            if pd.to_numeric(cells[:1000].astype(str), errors="coerce").notna().any():
                cells = pd.to_numeric(cells.astype(str), errors="coerce")
            else:
                cells = pd.Series(np.full(len(cells), np.nan))

        def text(row: int, i: int = i) -> str:
            parts = _cells(body, form, row)[1]
            return repr(parts[i]) if i < len(parts) and parts[i] else ""

        column = Column(path, name, cells.to_numpy(), place, text, blank, labels)
        _refuse_decimal_cells(column)
        columns.append(column)
    if len(columns) == 1 and not form.names:
        columns = [replace(columns[0], name="")]
    notes = (f"{form.skipped} line(s) above the numbers were skipped",) if form.skipped else ()
    return Table(columns, bool(form.names), notes)


def _filled(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Return numbers and cells of lines without the empty cells at their ends."""
    ends = [max((i + 1 for i, cell in enumerate(cells) if cell), default=0) for _, cells in lines]
    return [(number, cells[:end]) for (number, cells), end in zip(lines, ends, strict=True)]


def _rows_as_columns(path: Path, lines: list[tuple[int, list[str]]]) -> Table:
    """Read one or two long lines, whose numbers are the shots."""
    columns = [_long_line(path, number, parts) for number, parts in lines]
    if len({len(column.values) for column in columns}) > 1:
        lengths = " and ".join(str(len(column.values)) for column in columns)
        raise ReadError(path, "lines of the same length", f"{lengths} numbers in two lines")
    if len(columns) == 1:
        columns = [replace(columns[0], name="")]
    return Table(columns, False, ("the numbers of a line are the shots",))


def _long_line(path: Path, number: int, parts: list[str]) -> Column:
    def place(i: int) -> str:
        return f"number {i + 1} of line {number}"

    def text(i: int) -> str:
        return repr(parts[i]) if parts[i] else ""

    try:
        values = np.array(parts, dtype=float)
    except ValueError:
        if not all(map(is_number, filter(None, parts))):
            raise ReadError(path, EXPECTED, f"text ({' '.join(parts)[:30]!r} ...)") from None
        values = np.array([number_in(part) for part in parts])
    blank = np.array([not part for part in parts])
    return Column(path, f"line {number}", values, place, text, blank)


def _decoded(path: Path, raw: bytes) -> bytes:
    """Return a text as UTF-8 without byte-order mark."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16").encode()
        except UnicodeDecodeError:
            return raw[: len(raw) // 2 * 2].decode("utf-16", errors="replace").encode()
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in raw[:SAMPLE]:
        raise ReadError(path, EXPECTED, content_of(path, "binary data"))
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace").encode()
    return raw


def _refuse_decimal_cells(column: Column) -> None:
    for row, cell in enumerate(column.labels[:1000] if column.labels is not None else ()):
        if isinstance(cell, str) and DECIMAL_COMMA.fullmatch(cell.strip()):
            found = f"decimal commas ({cell.strip()!r} in {column.place(row)})"
            raise ReadError(column.path, "decimal points", found)


def _cells(body: bytes, form: Form, row: int) -> tuple[int, list[str]]:
    """Return the number of the line of a row, and its cells."""
    for i, (number, text) in enumerate(rows_of(body, form)):
        if i == row:
            return number, split_line(text, form.separator)
    return form.line, []


def _ragged(path: Path, body: bytes, form: Form) -> ReadError:
    for number, text in rows_of(body, form):
        found = len(split_line(text, form.separator))
        if found > form.cells:
            hint = ""
            if form.separator == "," and found == 2 * form.cells:
                hint = ": decimal commas are not read, write points"
            return ReadError(
                path, f"{form.cells} cell(s) in each line", f"{found} in line {number}{hint}"
            )
    return ReadError(path, f"{form.cells} cell(s) in each line", "others")
