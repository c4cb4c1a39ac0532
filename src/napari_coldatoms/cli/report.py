"""What the user sees while files are analysed, and after."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    import pandas as pd

    from napari_coldatoms.analyses.batch import Batch

# of a long list of failures so many are shown; all of them are beside the table
_MOST_LINES = 20

# what fits on a screen; all of it is in the file
_SHORT = ("shot", "picture", "cloud", "label", "score")
_LENGTHS = ("x0", "y0", "wx", "wy")
_NUMBERS = ("theta", "peak", "quality")


@contextmanager
def progress_bar(quiet: bool, unit: str = "files") -> Iterator[Callable[[int, int], None]]:
    """Give a function (done, all) that moves a bar on stderr, where somebody sees it."""
    with tqdm(
        file=sys.stderr, disable=quiet or not sys.stderr.isatty(), leave=False, unit=f" {unit}"
    ) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            bar.refresh()

        yield progress


def tell_failure(error: Exception | str) -> None:
    """Say on stderr, in one line, why there is no result."""
    print(f"failed: {' '.join(str(error).split())}", file=sys.stderr)


def print_table(table: pd.DataFrame, columns: Mapping[str, str] | None = None) -> None:
    """Print a table: the main columns for a person, CSV with all of them for another program.

    `columns` are the main ones with their headings; by default those of clouds.
    """
    if not sys.stdout.isatty():
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    units = table.attrs.get("units", {})
    if columns is None:
        lengths = [_physical(name, units) for name in _LENGTHS]
        columns = {name: name for name in (*_SHORT, *lengths, *_NUMBERS)}
    shown = [c for c in columns if c in table.columns]
    headings = {c: f"{columns[c]} ({units[c]})" if c in units else columns[c] for c in shown}
    short = table[shown].rename(columns=headings)
    print(short.to_string(index=False, float_format="{:.4g}".format) if len(short) else "nothing")


def report(batch: Batch, written: Sequence[Path], *, quiet: bool, thing: str = "cloud") -> None:
    """Say on stderr, one line each, what was passed over, what failed, and what was done.

    `thing` is what the table has one row of.
    """
    _list("skipped", [f"{path}: {reason}" for path, reason in batch.foreign], quiet=quiet)
    _list("note", list(dict.fromkeys(batch.notes)), quiet=quiet)
    rows = batch.failures.itertuples(index=False)
    _list("failed", [f"{row.source}: {row.error}" for row in rows], quiet=False)
    if quiet:
        return
    parts = [
        _count(len(batch.table), thing),
        f"in {_count(batch.analysed, 'picture')} of {_count(batch.shots, 'shot')}",
    ]
    line = " ".join(parts)
    if len(batch.failures):
        line += f"; {len(batch.failures)} failed"
    if batch.cancelled:
        line += "; interrupted"
    if written:
        line += f"; wrote {', '.join(map(str, written))}"
    print(line, file=sys.stderr)


def _physical(name: str, units: dict[str, str]) -> str:
    """Return the column of a length in a physical unit where there is one."""
    found = [c for c in units if c.startswith(f"{name}_") and c == f"{name}_{units[c]}"]
    return found[0] if found else name


def _list(what: str, lines: Sequence[str], *, quiet: bool) -> None:
    if quiet:
        return
    for line in lines[:_MOST_LINES]:
        print(f"{what}: {' '.join(line.split())}", file=sys.stderr)
    if len(lines) > _MOST_LINES:
        print(f"{what}: and {len(lines) - _MOST_LINES} more", file=sys.stderr)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
