"""A run saved into a file, of the kind that the file's name says."""

from __future__ import annotations

from pathlib import Path

from napari_coldatoms.backend.run import Run
from napari_coldatoms.backend.tables import SUFFIXES, write_table

FILTERS = "Table as CSV (*.csv);;Table as HDF5 (*.h5 *.hdf5);;Recipe as YAML (*.yaml *.yml)"


def export(run: Run, path: Path) -> Path:
    """Save a run's table (``.csv``, ``.h5``) or its recipe (``.yaml``); return the file written.

    A name without suffix becomes CSV.

    Raises
    ------
    ValueError
        The suffix is none of these.
    OSError
        The file cannot be written.
    """
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".csv")
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        run.recipe.save(path)
    elif suffix in SUFFIXES:
        write_table(run.table, path, failures=run.failures)
    else:
        raise ValueError(f"{path.name}: expected a name ending in .csv, .h5 or .yaml")
    return path
