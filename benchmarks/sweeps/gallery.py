"""Where the sweeps leave their figures, pictures and statements, and how all pictures look."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
METHODS = ("deconvolution", "global", "local", "alternating")
# colours that differ for the colour-blind, too
LOOKS = {
    "deconvolution": {"color": "#7f7f7f", "marker": "s"},
    "global": {"color": "#0072b2", "marker": "^"},
    "local": {"color": "#d55e00", "marker": "o"},
    "alternating": {"color": "#009e73", "marker": "D"},
}

Row = dict[str, float]


def pyplot() -> Any:
    """Return matplotlib's pyplot without a window, or end with what to install."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit(
            "the pictures need matplotlib, found none: uv pip install --group docs"
        ) from None
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def write_rows(name: str, rows: list[Row], note: str) -> None:
    """Write the figures of a sweep with a line on how they were made.

    Rows need not have the same columns; what a row has not is left empty.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (FOLDER / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {note}\n")
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)


def read_rows(name: str) -> tuple[list[Row], str]:
    """Return the figures of the last run of a sweep, and how they were made."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        raise SystemExit(f"expected the figures of an earlier run, found no {path}")
    with path.open(encoding="utf-8") as file:
        note = file.readline().removeprefix("# ").strip()
        rows = [
            {key: float(value) for key, value in row.items() if value}
            for row in csv.DictReader(file)
        ]
    return rows, note


def write_statements(name: str, text: str) -> None:
    """Write what was measured, for the page that shows the picture."""
    (FOLDER / f"{name}_measured.md").write_text(text, encoding="utf-8")


def save(name: str, figure: Any) -> None:
    """Write a picture."""
    figure.savefig(FOLDER / f"{name}.png", dpi=100)
    print(f"written to {FOLDER / name}.png, .csv, _measured.md")
