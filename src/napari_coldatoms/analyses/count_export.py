"""Counted atoms into files: tables, JSON, figures and the recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from napari_coldatoms import __version__
from napari_coldatoms.analyses.count_files import recipe_of
from napari_coldatoms.analyses.count_result import CountResult, plain
from napari_coldatoms.analyses.counted_sites import SiteResult
from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.tables import write_csv

if TYPE_CHECKING:
    import pandas as pd

PICTURES = (".png", ".svg")
"""Suffixes of figures."""

SUFFIXES = (".csv", ".json", *PICTURES, ".yaml", ".yml")
"""Suffixes of the files that a result can be written to."""

SITE_SUFFIXES = (".csv", ".json")
"""The same of a table of sites."""


def export(result: CountResult | SiteResult, path: str | Path) -> list[Path]:
    """Write a result as the suffix says, and return the files written.

    Parameters
    ----------
    result : CountResult or SiteResult
    path : path
        - ``.csv``: the probabilities; beside it the parameters (``NAME.parameters.csv``) and the
          recipe (``NAME.recipe.yaml``). Of sites their table, and beside it what each was called
          in each shot (``NAME.shots.csv``).
        - ``.json``: all of it, with version, seed and sources.
        - ``.png``, ``.svg``: the figure.
        - ``.yaml``: the recipe.

    Each file appears whole or not at all.

    Raises
    ------
    ValueError
        For any other suffix.
    OSError
        Where a file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    known = SUFFIXES if isinstance(result, CountResult) else SITE_SUFFIXES
    if suffix not in known:
        raise ValueError(f"{path}: expected a name ending in {', '.join(known)}")
    if isinstance(result, SiteResult):
        return _export_sites(result, path, suffix)
    if suffix == ".csv":
        table = result.table()
        table.attrs["recipe"] = recipe_of(result).to_dict()
        return [
            *write_csv(table, path),
            *write_csv(result.parameters(), path.with_suffix(".parameters.csv")),
        ]
    if suffix == ".json":
        return _write(path, result.to_json())
    if suffix in PICTURES:
        from napari_coldatoms.analyses.count_figure import plot_counts

        figure = plot_counts(result)
        with replacing(path) as new:
            figure.savefig(new, dpi=150)
        return [path]
    recipe_of(result).save(path)
    return [path]


def _export_sites(result: SiteResult, path: Path, suffix: str) -> list[Path]:
    table = result.table()
    if suffix == ".csv":
        return [
            *write_csv(table, path),
            *write_csv(result.shots(), path.with_suffix(".shots.csv")),
        ]
    return _write(path, _site_json(result, table))


def _site_json(result: SiteResult, table: pd.DataFrame) -> str:
    values = {
        "napari-coldatoms": __version__,
        "analysis": "count_sites",
        "images": result.images,
        "level": result.level,
        "units": table.attrs["units"],
        "sites": table.to_dict("records"),
        "remarks": result.remarks,
    }
    return json.dumps(plain(values), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> list[Path]:
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")
    return [path]
