"""The command ``train``: a network that finds clouds, from simulated frames."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.backend.analysis import ParameterError, from_dict, parameters, to_dict
from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, UsageError
from napari_coldatoms.cli.flags import flags
from napari_coldatoms.cli.interrupts import interruptible
from napari_coldatoms.cli.report import progress_bar
from napari_coldatoms.clouds.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from napari_coldatoms.clouds.frame_cache import CachedFrames
    from napari_coldatoms.clouds.training import Epoch, Progress, Training

    _Changes: TypeAlias = Any
else:
    _PLAIN = [each for each in parameters(Recipe) if not each.parameters]
    # None stands for what the recipe says
    _Changes = flags(
        make_dataclass(
            "Changes",
            [(p.name, Annotated[p.type | None, dict(p.options)], None) for p in _PLAIN],
        ),
        "Changes of the recipe",
    )


def train(
    *,
    output: Annotated[
        Path, Parameter(alias="-o", help="folder for weights, checkpoint and simulated frames")
    ],
    recipe: Annotated[
        Literal["own", "paper"],
        Parameter(help="that of the weights of the package, or of Hofer et al. 2021"),
    ] = "own",
    frames: Annotated[int, Parameter(help="how many to train on")] = 20_000,
    paper: Annotated[
        float, Parameter(help="share of frames like the paper's; the others have all disturbances")
    ] = 0.4,
    validation: Annotated[int, Parameter(help="how many to judge each epoch by")] = 120,
    start_weights: Annotated[
        str | None,
        Parameter(
            help="weights to start from (.safetensors), or `coco`: torchvision's for everyday "
            "objects, which are downloaded; by default random ones"
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Parameter(help="where it computes")
    ] = "auto",
    resume: Annotated[
        bool, Parameter(help="go on from the checkpoint in the folder, if there is one")
    ] = True,
    workers: Annotated[int, Parameter(help="how many processes simulate frames")] = 1,
    quiet: Annotated[
        bool, Parameter(alias="-q", negative=(), help="no progress, no scores")
    ] = False,
    changes: Annotated[_Changes, Parameter(name="*")] = _Changes(),  # noqa: B008
) -> int:
    """Train a network that finds clouds on simulated frames.

    What was stopped goes on where it was when the command is given again. Ctrl-C stops after the
    current step.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: expected a folder, found the file {output}")
    for flag, value in (("frames", frames), ("workers", workers)):
        if value < 1:
            raise UsageError(f"--{flag}: expected at least 1, found {value}")
    if validation < 0:
        raise UsageError(f"--validation: expected no negative number, found {validation}")
    if not 0 <= paper <= 1:
        raise UsageError(f"--paper: expected 0 to 1, found {paper}")
    wanted = _recipe(recipe, changes)
    with interruptible("step") as stopped:
        samples = _simulated(output / "frames", frames, paper, workers, stopped, quiet)
        if samples is None:
            return INTERRUPTED
        done = _trained(
            samples, validation, wanted, stopped, quiet,
            output=output, start_weights=start_weights, device=device, resume=resume,
            about={"training data": "simulated frames", "share of paper frames": paper},
        )  # fmt: skip
    if done is None:
        return NOTHING
    if not quiet:
        _say(done)
    return DONE if done.finished else INTERRUPTED


def _recipe(name: str, changes: Any) -> Recipe:
    given = {each.name: getattr(changes, each.name) for each in fields(changes)}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return from_dict(Recipe, to_dict(RECIPES[name]) | given)
    except ParameterError as error:
        flag, colon, rest = str(error).partition(":")
        raise UsageError(f"--{flag.replace('_', '-')}{colon}{rest}") from error


def _simulated(
    folder: Path, frames: int, paper: float, workers: int, stopped: threading.Event, quiet: bool
) -> CachedFrames | None:
    """Return frames to train on, None after a stop."""
    from napari_coldatoms.clouds.frame_cache import simulate_samples

    with progress_bar(quiet, "frames") as progress:
        try:
            return simulate_samples(
                folder, frames, paper=paper, processes=workers, progress=progress,
                cancelled=stopped.is_set,
            )  # fmt: skip
        except InterruptedError:
            return None


def _trained(
    samples: CachedFrames,
    validation: int,
    recipe: Recipe,
    stopped: threading.Event,
    quiet: bool,
    **options: Any,
) -> Training | None:
    """Return what the training came to; None, with the reason on stderr, where it failed."""
    from napari_coldatoms.clouds.dataset import held_out
    from napari_coldatoms.clouds.train import train
    from napari_coldatoms.clouds.training import CheckpointError, TrainingError
    from napari_coldatoms.clouds.weights import WeightsError

    try:
        with progress_bar(quiet, "steps") as bar:
            return train(
                samples, held_out(validation), recipe, **options,
                progress=_teller(bar, recipe.epochs, quiet), cancelled=stopped.is_set,
            )  # fmt: skip
    except (CheckpointError, WeightsError) as error:
        raise UsageError(str(error)) from error
    except (TrainingError, ValueError, OSError) as error:
        print(f"failed: {' '.join(str(error).split())}", file=sys.stderr)
        return None


def _teller(
    bar: Callable[[int, int], None], epochs: int, quiet: bool
) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        bar(progress.step, progress.steps)
        if progress.epoch is not None and not quiet:
            print(_line(progress.epoch, epochs), flush=True)

    return tell


def _line(epoch: Epoch, epochs: int) -> str:
    parts = [f"epoch {epoch.number} of {epochs}", f"loss {epoch.loss:.4g}"]
    if epoch.overall == epoch.overall:  # not NaN: it was judged
        parts += [f"box mAP {epoch.box:.3f}", f"mask mAP {epoch.mask:.3f}"]
    return ", ".join([*parts, f"rate {epoch.learning_rate:.2g}", f"{epoch.seconds / 60:.1f} min"])


def _say(done: Training) -> None:
    if not done.finished:
        print("interrupted; the same command goes on", file=sys.stderr)
    elif done.best_weights is not None:
        print(f"wrote {done.best_weights}, {done.last_weights}", file=sys.stderr)
