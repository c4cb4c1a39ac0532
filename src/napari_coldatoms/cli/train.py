"""The command ``train``: a network that finds clouds, from simulated frames or one's own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.backend.analysis import ParameterError, from_dict, parameters, to_dict
from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, UsageError
from napari_coldatoms.cli.flags import flags
from napari_coldatoms.cli.interrupts import interruptible
from napari_coldatoms.cli.report import progress_bar
from napari_coldatoms.clouds.augment import ALL
from napari_coldatoms.clouds.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from napari_coldatoms.clouds.dataset import Samples
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

# without a dataset: frames to train on, the share of the paper's, frames to judge by
_FRAMES, _PAPER, _HELD_OUT = 20_000, 0.4, 120


def train(
    *,
    output: Annotated[
        Path, Parameter(alias="-o", help="folder for weights, checkpoint and simulated frames")
    ],
    dataset: Annotated[
        Path | None, Parameter(help="folder of annotated pictures to train on and to judge by")
    ] = None,
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
            help=f"how many simulated frames to train on, by default {_FRAMES}; with a dataset, "
            "how many are mixed in, by default none"
        ),
    ] = None,
    paper: Annotated[
        float | None,
        Parameter(
            help=f"share of frames like the paper's, by default {_PAPER}; the others have all "
            "disturbances; not with a dataset"
        ),
    ] = None,
    validation: Annotated[
        int | None,
        Parameter(
            help=f"how many frames to judge each epoch by, by default {_HELD_OUT}; not with a "
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
    """Train a network that finds clouds on simulated frames, or on pictures of your own.

    What was stopped goes on where it was when the command is given again. Ctrl-C stops after the
    current step.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"--output: expected a folder, found the file {output}")
    if workers < 1:
        raise UsageError(f"--workers: expected at least 1, found {workers}")
    if frames is not None and frames < (1 if dataset is None else 0):
        raise UsageError(f"--frames: expected at least 1, found {frames}")
    wanted = _recipe(recipe or ("own" if dataset is None else "shots"), changes)
    if dataset is not None:
        wanted = replace(wanted, augmentations=ALL)
        if start_weights is None and wanted.architecture == "small":
            start_weights = "shipped"
    start = None if start_weights == "random" else start_weights
    folder = output / "frames"
    with interruptible("step") as stopped:
        try:
            with progress_bar(quiet, "frames") as bar:
                making: dict[str, Any] = {"processes": workers, "progress": bar}
                making["cancelled"] = stopped.is_set
                if dataset is None:
                    data = _simulated(folder, frames, paper, validation, making)
                else:
                    data = _own(dataset, folder, frames, paper, validation, making)
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


def _recipe(name: str, changes: Any) -> Recipe:
    given = {each.name: getattr(changes, each.name) for each in fields(changes)}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return from_dict(Recipe, to_dict(RECIPES[name]) | given)
    except ParameterError as error:
        flag, colon, rest = str(error).partition(":")
        raise UsageError(f"--{flag.replace('_', '-')}{colon}{rest}") from error


@dataclass(frozen=True)
class _Data:
    """What is trained on and judged by."""

    training: Samples
    validation: Samples
    labels: tuple[str, ...]
    about: dict[str, Any]


def _simulated(
    folder: Path,
    frames: int | None,
    paper: float | None,
    validation: int | None,
    making: dict[str, Any],
) -> _Data:
    """Return simulated frames."""
    from napari_coldatoms.clouds.dataset import held_out
    from napari_coldatoms.clouds.frame_cache import simulate_samples
    from napari_coldatoms.clouds.simulate_kinds import LABELS

    share = _PAPER if paper is None else paper
    judged = _HELD_OUT if validation is None else validation
    if judged < 0:
        raise UsageError(f"--validation: expected no negative number, found {judged}")
    if not 0 <= share <= 1:
        raise UsageError(f"--paper: expected 0 to 1, found {share}")
    samples = simulate_samples(folder, _FRAMES if frames is None else frames, paper=share, **making)
    about = {"training data": "simulated frames", "share of paper frames": share}
    return _Data(samples, held_out(judged), tuple(LABELS), about)


def _own(
    dataset: Path,
    folder: Path,
    frames: int | None,
    paper: float | None,
    validation: int | None,
    making: dict[str, Any],
) -> _Data:
    """Return the pictures of a dataset, and simulated frames among them."""
    from napari_coldatoms.clouds.annotations import DatasetError
    from napari_coldatoms.clouds.mixing import training_data

    for flag, value in (("paper", paper), ("validation", validation)):
        if value is not None:
            raise UsageError(f"--{flag}: expected none with a dataset, found {value}")
    try:
        found = training_data(dataset, simulated=frames or 0, frames=folder, **making)
    except DatasetError as error:
        raise UsageError(f"--dataset: {error}") from error
    about = {
        "training data": dataset.absolute().name,
        "own pictures": found.own,
        "simulated frames": found.simulated,
    }
    return _Data(found.training, found.validation, found.labels, about)


def _trained(
    data: _Data, recipe: Recipe, stopped: threading.Event, quiet: bool, **options: Any
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
