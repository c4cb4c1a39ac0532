"""The command ``train``: a network that finds clouds, from simulated frames or one's own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, UsageError
from napari_coldatoms.cli.interrupts import interruptible
from napari_coldatoms.cli.names import check_output
from napari_coldatoms.cli.report import progress_bar, tell_failure
from napari_coldatoms.cli.training_pictures import (
    FRAMES,
    HELD_OUT,
    PAPER_SHARE,
    Data,
    Dataset,
    Device,
    Quiet,
    Workers,
    changed,
    recipe_flags,
    start_of,
    training_pictures,
)
from napari_coldatoms.clouds.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from napari_coldatoms.clouds.training import Epoch, Progress, Training

    _Changes: TypeAlias = Any
else:
    _Changes = recipe_flags("Changes of the recipe")


def train(
    *,
    output: Annotated[
        Path, Parameter(alias="-o", help="folder for weights, checkpoint and simulated frames")
    ],
    dataset: Dataset = None,
    recipe: Annotated[
        Literal["own", "shots", "paper"] | None,
        Parameter(
            help="`own`, that of the weights of the package; `shots`, for tens of pictures, the "
            "default with a dataset; `paper`, that of Hofer et al. 2021"
        ),
    ] = None,
    frames: Annotated[
        int | None,
        Parameter(
            help=f"how many simulated frames to train on, by default {FRAMES}; with a dataset, "
            "how many are mixed in, by default none"
        ),
    ] = None,
    paper: Annotated[
        float | None,
        Parameter(
            help=f"share of frames like the paper's, by default {PAPER_SHARE}; the others have all "
            "disturbances; not with a dataset"
        ),
    ] = None,
    validation: Annotated[
        int | None,
        Parameter(
            help=f"how many frames to judge each epoch by, by default {HELD_OUT}; not with a "
            "dataset, which has pictures for that"
        ),
    ] = None,
    start_weights: Annotated[
        str | None,
        Parameter(
            help="weights to start from (.safetensors), also of other classes; `shipped`, those of "
            "the package; `coco`, torchvision's for everyday objects, which are downloaded; or "
            "`random`. By default `shipped` with a dataset and the small network, else `random`"
        ),
    ] = None,
    device: Device = "auto",
    resume: Annotated[
        bool, Parameter(help="go on from the checkpoint in the folder, if there is one")
    ] = True,
    workers: Workers = 1,
    quiet: Quiet = False,
    changes: Annotated[_Changes, Parameter(name="*")] = _Changes(),  # noqa: B008
) -> int:
    """Train a network that finds clouds on simulated frames, or on pictures of your own.

    What was stopped goes on where it was when the command is given again. Ctrl-C stops after the
    current step.
    """
    check_output(output)
    own = dataset is not None
    base = RECIPES[recipe or ("shots" if own else "own")]
    wanted = changed(base, changes, own_pictures=own)
    start = start_of(start_weights, wanted, own_pictures=own)
    with interruptible("step") as stopped:
        try:
            data = training_pictures(
                dataset, output / "frames", frames, paper, validation, workers, stopped, quiet
            )
        except InterruptedError:
            return INTERRUPTED
        done = _trained(
            data, wanted, stopped, quiet,
            output=output, start_weights=start, device=device, resume=resume,
        )  # fmt: skip
    if done is None:
        return NOTHING
    if not quiet:
        _say(done)
    return DONE if done.finished else INTERRUPTED


def _trained(
    data: Data, recipe: Recipe, stopped: threading.Event, quiet: bool, **options: Any
) -> Training | None:
    """Return what the training came to; None, with the reason on stderr, where it failed."""
    from napari_coldatoms.clouds.train import train
    from napari_coldatoms.clouds.training import CheckpointError, TrainingError
    from napari_coldatoms.clouds.weights import WeightsError

    try:
        with progress_bar(quiet, "steps") as bar:
            return train(
                data.training, data.validation, recipe, labels=data.labels, about=data.about,
                progress=_teller(bar, recipe.epochs, quiet), cancelled=stopped.is_set, **options,
            )  # fmt: skip
    except (CheckpointError, WeightsError) as error:
        raise UsageError(str(error)) from error
    except (TrainingError, ValueError, OSError) as error:
        tell_failure(error)
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
