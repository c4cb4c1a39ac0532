"""A run saved into a file, of the kind that the file's name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_coldatoms.analyses.calibration_file import save_calibration
from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.backend.run import Run
from napari_coldatoms.backend.tables import SUFFIXES, write_table

FILTERS = "Table as CSV (*.csv);;Table as HDF5 (*.h5 *.hdf5);;Recipe as YAML (*.yaml *.yml)"


def export(run: Run, path: Path) -> list[Path]:
    """Save a run's tables (``.csv``, ``.h5``) or its recipe (``.yaml``); return the files written.

    A name without suffix becomes CSV. Further tables of the analysis go beside the main one, as
    ``<name>.<table>``, and so does a calibration that is in no file yet, which the recipe then
    names.

    Raises
    ------
    ValueError
        The suffix is none of these.
    OSError
        A file cannot be written.
    """
    path = Path(path)
    if not path.suffix:
        path = path.with_suffix(".csv")
    suffix = path.suffix.lower()
    if suffix not in (".yaml", ".yml", *SUFFIXES):
        raise ValueError(f"{path.name}: expected a name ending in .csv, .h5 or .yaml")
    run, beside = _with_calibration(run, path)
    if suffix in (".yaml", ".yml"):
        run.recipe.save(path)
        return [path, *beside]
    written = write_table(run.table, path, failures=run.failures)
    more = getattr(run.analysis, "more_tables", None)
    for name, table in ({} if more is None else more(run)).items():
        written += write_table(table, path.with_suffix(f".{name}{suffix}"))
    return [*written, *beside]


def _with_calibration(run: Run, path: Path) -> tuple[Run, list[Path]]:
    """Return a run whose recipe names its calibration, and the files it was saved to for that."""
    analysis = run.analysis
    if not isinstance(analysis, ReconstructLattice) or run.context is None:
        return run, []
    file = path.absolute().with_suffix(".calibration.yaml")
    written = save_calibration(run.context.calibration, file)
    return replace(run, analysis=replace(analysis, calibration=file)), written
