"""How a text of numbers is laid out: separator, names, and where the numbers begin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_coldatoms.readers.count_words import OTHER, control_number, role_of_column
from napari_coldatoms.readers.errors import ReadError, describe_content

EXPECTED = "a text file with a column of counts"

SAMPLE = 1 << 16
"""Bytes by which separator and names are found."""

DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
"""What is refused."""

_FIRST_LINES = 1000


@dataclass(frozen=True)
class Form:
    """Where the numbers begin, and how the cells are separated."""

    separator: str  # empty for blanks
    cells: int
    names: tuple[str, ...]  # empty where there are none
    start: int  # byte
    line: int  # number of the line there, from 1
    skipped: int


def find_form(path: Path, raw: bytes) -> Form:
    """Find the separator, the names and the first line of numbers.

    Raises
    ------
    ReadError
        No numbers, decimal commas, or names that do not fit the numbers below them.
    """
    stop = raw.find(b"\n", SAMPLE)
    sample = raw if len(raw) <= SAMPLE else raw[: stop if stop >= 0 else len(raw)]
    lines = sample.splitlines(keepends=True)[:_FIRST_LINES]
    texts = [_text(line) for line in lines]
    # a name may contain #, as in "Shot #"; numbers do not
    cut = [text.partition("#")[0].rstrip(" ") for text in texts]
    plain = [text for text in cut if text and text[0] != "%"]
    separator = _separator(plain)
    if separator == ",":
        _refuse_decimal_commas(path, plain)
    split = [split_line(text, separator) for text in cut]
    data = [
        not text.startswith("%") and any(map(is_number, split[i])) for i, text in enumerate(cut)
    ]
    widths = Counter(len(cells) for cells, here in zip(split, data, strict=True) if here)
    if not widths:
        raise ReadError(path, EXPECTED, content_of(path, "no numbers") if plain else "no numbers")
    cells = widths.most_common(1)[0][0]
    first = next(i for i, here in enumerate(data) if here and len(split[i]) == cells)
    names: tuple[str, ...] = ()
    if cells > 1 and first == 0 and split[0][0] == "" and len(lines) > 1 and split[1][0]:
        # pandas calls columns without names 0, 1, ...
        names, first = ("index", *split[0][1:]), 1
        return Form(separator, cells, names, len(lines[0]), 2, 0)
    above = [(i + 1, texts[i]) for i in range(first) if texts[i]]
    names = _names(path, above, separator, cells, first + 1)
    skipped = [text for _, text in above if text[0] not in "#%"]
    if names and skipped and above[-1][1] == skipped[-1]:
        skipped.pop()
    if separator == "," and cells == 2 and not names:
        _refuse_zeros(path, plain)
    start = sum(len(line) for line in lines[:first])
    return Form(separator, cells, names, start, first + 1, len(skipped))


def _names(
    path: Path, above: list[tuple[int, str]], separator: str, cells: int, number: int
) -> tuple[str, ...]:
    """Return the names in the last line above the numbers, empty if it is something else."""
    for i, (_, line) in enumerate(reversed(above)):
        comment = line[0] in "#%"
        line = line.lstrip("#% ") if comment else line
        names = _names_in(line, separator, cells)
        telling = bool(names) and all(map(_is_known, names))
        # a lone word below other lines may be anything
        alone = sum(text[0] not in "#%" for _, text in above) == 1
        if i == 0 and (telling or (names and not comment and (cells > 1 or alone))):
            return names
        if not comment and telling:
            below, wrong = above[-i]
            raise ReadError(path, "numbers below the names", f"{wrong[:40]!r} in line {below}")
        if not comment and _is_known(line):
            found = f"{cells} in line {number} below {line!r}"
            hint = ": decimal commas are not read, write points" if separator == "," else ""
            raise ReadError(path, "one number in each line", found + hint)
    return ()


def _names_in(line: str, separator: str, cells: int) -> tuple[str, ...]:
    """Return the names in a line, if they are as many as there are cells."""
    for parts in (split_line(line, separator), split_line(line, ","), split_line(line, ""), [line]):
        if len(parts) == cells:
            # a table of pandas leaves the name of its index empty
            return tuple(part.strip(",;") or "index" * (i == 0) for i, part in enumerate(parts))
    return ()


def _is_known(name: str) -> bool:
    return role_of_column(name) != OTHER or control_number(name) is not None


def _separator(lines: list[str]) -> str:
    for separator in (";", "\t", ","):
        if 2 * sum(separator in line for line in lines) > len(lines):
            return separator
    return ""


def _refuse_decimal_commas(path: Path, lines: list[str]) -> None:
    rows = [line.split() for line in lines]
    rows = [row for row in rows if any(map(str.isdigit, "".join(row)))]
    if rows and all(len(row) > 1 and all(map(DECIMAL_COMMA.fullmatch, row)) for row in rows):
        raise ReadError(path, "decimal points", f"decimal commas ({rows[0][0]!r})")


def _refuse_zeros(path: Path, lines: list[str]) -> None:
    if all(re.fullmatch(r"[+-]?\d+,0+", line) for line in lines):
        found = f"decimal commas ({lines[0]!r}), or a second column of zeros without a name"
        raise ReadError(path, "decimal points", found)


def _text(line: bytes) -> str:
    # a tab may be an empty cell
    return line.decode(errors="replace").strip(" \r\n")


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of a line, without quotes and blanks around them."""
    parts = line.split(separator) if separator else line.split()
    return [part.strip().strip("\"'").strip() for part in parts]


def rows_of(body: bytes, form: Form) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line with cells, comments taken away."""
    for number, line in enumerate(body.splitlines(), start=form.line):
        text = _text(line).partition("#")[0].rstrip(" ")
        if text and text[0] != "%":
            yield number, text


def is_number(cell: str) -> bool:
    """Tell whether a cell was meant as a number."""
    words = ("nan", "inf", "-inf")
    known = not np.isnan(number_in(cell)) or cell.lower() in words
    return known or bool(DECIMAL_COMMA.fullmatch(cell))


def number_in(cell: str) -> float:
    """Return the number in a cell, NaN if there is none."""
    try:
        return float(cell)
    except ValueError:
        return np.nan


def content_of(path: Path, otherwise: str) -> str:
    """Return in words what a file holds that is no text of numbers."""
    found = describe_content(path)
    return otherwise if found.startswith("text") else found
