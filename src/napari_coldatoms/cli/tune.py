"""The command ``tune``: look for the hyperparameters of a training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, UsageError
from napari_coldatoms.cli.flags import flags
from napari_coldatoms.cli.interrupts import interruptible
from napari_coldatoms.cli.names import check_output
from napari_coldatoms.cli.report import progress_bar, tell_failure
from napari_coldatoms.cli.training_pictures import (
    HELD_OUT,
    PAPER_SHARE,
    Dataset,
    Device,
    Quiet,
    Workers,
    changed,
    recipe_flags,
    start_of,
    training_pictures,
)
from napari_coldatoms.clouds.recipe import PAPER, Recipe
from napari_coldatoms.clouds.search_space import Hyperparameters, Range, Space

if TYPE_CHECKING:
    from napari_coldatoms.clouds.training import Progress
    from napari_coldatoms.clouds.tuning import Trial, Tuning

    _Changes: TypeAlias = Any
    _Ranges: TypeAlias = Any
else:
    _TUNED = frozenset({"schedule", *(each.name for each in fields(Hyperparameters))})
    _Changes = recipe_flags("Changes of the paper's recipe", without=_TUNED)

    def _member(name: str, own: Range) -> tuple[str, Any, None]:
        words = f"{name.replace('_', ' ')} from where to where; by default {own.low:g} {own.high:g}"
        return f"{name}_range", Annotated[tuple[float, float] | None, {"tooltip": words}], None

    _Ranges = flags(
        make_dataclass("Ranges", [_member(*each) for each in Space().ranges.items()]),
        "What is looked through",
    )


def tune(
    *,
    output: Annotated[
        Path, Parameter(alias="-o", help="folder for table, figure and the trainings of the trials")
    ],
    dataset: Dataset = None,
    frames: Annotated[
        int | None,
        Parameter(help="how many simulated frames to train on, or to mix into a dataset"),
    ] = None,
    trials: Annotated[int, Parameter(help="how many there are to be in all")] = 25,
    storage: Annotated[
        str | None,
        Parameter(
            help="where trials are kept: a file, or the URL of a database that machines share; by "
            "default tuning.db in the folder"
        ),
    ] = None,
    study: Annotated[str, Parameter(help="name of the tuning in the storage")] = "clouds",
    sobol: Annotated[int, Parameter(help="how many trials are points of Sobol's sequence")] = 5,
    paper: Annotated[
        float | None,
        Parameter(
            help=f"share of simulated frames like the paper's, by default {PAPER_SHARE}; not with "
            "a dataset"
        ),
    ] = None,
    validation: Annotated[
        int | None,
        Parameter(
            help=f"how many frames to judge by, by default {HELD_OUT}; not with a dataset, which "
            "has pictures for that"
        ),
    ] = None,
    start_weights: Annotated[
        str | None,
        Parameter(
            help="weights that each training starts from (.safetensors), also of other classes; "
            "`shipped`, those of the package; `coco`, torchvision's for everyday objects, which "
            "are downloaded; or `random`. By default `shipped` with a dataset and the small "
            "network, else `random`"
        ),
    ] = None,
    device: Device = "auto",
    workers: Workers = 1,
    quiet: Quiet = False,
    ranges: Annotated[_Ranges, Parameter(name="*")] = _Ranges(),  # noqa: B008
    changes: Annotated[_Changes, Parameter(name="*")] = _Changes(),  # noqa: B008
) -> int:
    """Look for learning rate, momentum and decay of a training by Bayesian optimisation.

    Each trial is a training. What was stopped goes on where it was when the command is given again;
    several machines work on one tuning when they share the storage. Ctrl-C stops after the current
    step.
    """
    from napari_coldatoms.analyses.tuning_folder import FIGURE, TABLE, tune_in_folder
    from napari_coldatoms.clouds.training import CheckpointError
    from napari_coldatoms.clouds.tune_training import TrainingObjective
    from napari_coldatoms.clouds.tuning import TuningError

    own = dataset is not None
    _check(output, trials, sobol, validation)
    if not own and frames is None:
        raise UsageError("expected --dataset or --frames, found neither")
    space = _space(ranges)
    recipe = changed(replace(PAPER, architecture="small"), changes, own_pictures=own)
    start = start_of(start_weights, recipe, own_pictures=own)
    _check_start(start, recipe)
    with interruptible("step") as stopped:
        try:
            data = training_pictures(
                dataset, output / "frames", frames, paper, validation, workers, stopped, quiet
            )
        except InterruptedError:
            return INTERRUPTED
        try:
            with progress_bar(quiet, "steps") as bar:
                objective = TrainingObjective(
                    data.training, data.validation, output, recipe, data.labels,
                    start_weights=start, device=device, about=data.about, progress=_shower(bar),
                )  # fmt: skip
                found = tune_in_folder(
                    objective, trials=trials, storage=storage or "", study=study, space=space,
                    sobol=sobol, ended=None if quiet else _printer(trials),
                    cancelled=stopped.is_set,
                )  # fmt: skip
        except (TuningError, CheckpointError) as error:
            raise UsageError(str(error)) from error
        except (ValueError, OSError) as error:
            tell_failure(error)
            return NOTHING
    if not quiet:
        _say(found, recipe, [output / name for name in (TABLE, FIGURE)], stopped.is_set())
    if stopped.is_set() and not found.finished:
        return INTERRUPTED
    return NOTHING if found.best is None else DONE


def _check(output: Path, trials: int, sobol: int, validation: int | None) -> None:
    check_output(output)
    least = (("trials", trials, 1), ("sobol", sobol, 0), ("validation", validation, 1))
    for flag, value, low in least:
        if value is not None and value < low:
            raise UsageError(f"--{flag}: expected at least {low}, found {value}")


def _space(ranges: _Ranges) -> Space:
    """Return the paper's ranges, with those that flags change."""
    given = {name: getattr(ranges, f"{name}_range") for name in Space().ranges}
    try:
        return Space().within({name: each for name, each in given.items() if each is not None})
    except ValueError as error:
        name, colon, rest = str(error).partition(":")
        raise UsageError(f"--{name.replace('_', '-')}-range{colon}{rest}") from error


def _check_start(start_weights: str | None, recipe: Recipe) -> None:
    """Say what is wrong with start weights before a tuning is of them."""
    from napari_coldatoms.clouds.tune_training import check_start
    from napari_coldatoms.clouds.weights import WeightsError

    try:
        check_start(start_weights, recipe.architecture)
    except WeightsError as error:
        raise UsageError(f"--start-weights: {error}") from error


def _shower(bar: Callable[[int, int], None]) -> Callable[[int, Progress], None]:
    return lambda number, now: bar(now.step, now.steps)


def _printer(trials: int) -> Callable[[Trial, Tuning], None]:
    return lambda trial, _: print(_line(trial, trials), flush=True)


def _line(trial: Trial, trials: int) -> str:
    parts = [f"trial {trial.number + 1} of {trials}"]
    if trial.value is None:
        parts.append(f"failed: {trial.reason}")
    else:
        parts += [f"{name} mAP {trial.notes[name]:.3f}" for name in ("box", "mask")]
    return ", ".join([*parts, *_flags(trial)])


def _flags(trial: Trial) -> list[str]:
    chosen = trial.hyperparameters
    known = {} if chosen is None else asdict(chosen)
    return [f"{name.replace('_', '-')} {value:.3g}" for name, value in known.items()]


def _say(found: Tuning, recipe: Recipe, written: list[Path], stopped: bool) -> None:
    best = found.best
    if best is not None:
        flags = " ".join(f"--{each}" for each in _flags(best))
        print(
            f"best: trial {best.number + 1}, mean mAP {best.value:.3f}; train --recipe paper "
            f"--architecture {recipe.architecture} {flags}",
            file=sys.stderr,
        )
    if stopped and not found.finished:
        print("interrupted; the same command goes on", file=sys.stderr)
    elif running := sum(each.state == "running" for each in found.trials):
        print(f"other processes are at work on {running} trials", file=sys.stderr)
    print(f"wrote {', '.join(map(str, written))}", file=sys.stderr)
