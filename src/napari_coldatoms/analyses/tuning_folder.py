"""A tuning of trainings with its folder: trials, table and figure are there for all to see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_coldatoms.analyses.tuning_figure import plot_tuning
from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.clouds.search_space import Hyperparameters, Space
from napari_coldatoms.clouds.tune import read_tuning, tune
from napari_coldatoms.clouds.tune_training import TrainingObjective
from napari_coldatoms.clouds.tuning import Attempt, Trial, Tuning

__all__ = ["FIGURE", "STORAGE", "TABLE", "read_trials", "tune_in_folder"]

STORAGE, TABLE, FIGURE = "tuning.db", "trials.csv", "tuning.png"
"""Names of the files of a tuning."""

_NAMES = tuple(Space().ranges)
_PLAIN = {"trial", "state", "source", *_NAMES, "value", "seconds", "reason"}
_DPI = 150


def tune_in_folder(
    objective: TrainingObjective,
    *,
    trials: int = 25,
    storage: str = "",
    study: str = "clouds",
    space: Space = Space(),  # noqa: B008
    sobol: int = 5,
    begun: Callable[[int, Tuning], None] | None = None,
    ended: Callable[[Trial, Tuning], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tuning:
    """Look for the hyperparameters of a training; after each trial, table and figure are written.

    Parameters
    ----------
    objective : TrainingObjective
        The training; its folder is that of the tuning.
    trials, study, space, sobol, cancelled
        As for `napari_coldatoms.clouds.tune.tune`.
    storage : str
        As there; a file in the folder where it is empty.
    begun : callable, optional
        Called with the number of each trial that this process begins or goes on with, and with all
        trials that are known then.
    ended : callable, optional
        Called with each trial that this process ended, and with all trials.

    Raises
    ------
    ValueError, TuningError, CheckpointError, WeightsError, OSError
        What `tune` and the training raise.
    """
    place = storage or str(objective.folder / STORAGE)

    def train(values: Hyperparameters, attempt: Attempt) -> float:
        if begun is not None:
            begun(attempt.number, read_tuning(place, study))
        return objective(values, attempt)

    written: tuple[Trial, ...] | None = None

    def write(found: Tuning) -> None:
        nonlocal written
        if found.trials != written:
            _write(found, objective.folder)
            written = found.trials

    def done(trial: Trial) -> None:
        objective.tidy(trial.number)
        found = read_tuning(place, study)
        write(found)
        if ended is not None:
            ended(trial, found)

    objective.folder.mkdir(parents=True, exist_ok=True)
    found = tune(
        train, trials=trials, storage=place, study=study, space=space, sobol=sobol,
        seed=objective.recipe.seed, about=objective.describe(), progress=done, cancelled=cancelled,
    )  # fmt: skip
    write(found)
    return found


def read_trials(folder: Path) -> tuple[Trial, ...]:
    """Return the trials of the table in a folder; none where there is none, or a damaged one."""
    import pandas as pd

    try:
        table = pd.read_csv(folder / TABLE, keep_default_na=False, na_values=[""])
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        return tuple(map(_trial, rows))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _trial(row: dict[Any, Any]) -> Trial:
    known = all(row[name] is not None for name in _NAMES)
    numbers = {name: each for name, each in row.items() if name not in _PLAIN and each is not None}
    return Trial(
        int(row["trial"]),
        row["state"],
        row["source"],
        Space().take(row) if known else None,
        value=None if row["value"] is None else float(row["value"]),
        seconds=None if row["seconds"] is None else float(row["seconds"]),
        notes={name: float(each) for name, each in numbers.items()},
        reason=row["reason"] or "",
    )


def _write(found: Tuning, folder: Path) -> None:
    write_table(found.table(), folder / TABLE)
    with replacing(folder / FIGURE) as new:
        plot_tuning(found, value="mean mAP").savefig(new, dpi=_DPI)
