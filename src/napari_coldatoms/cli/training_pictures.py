"""What the commands that train share: flags, pictures, a recipe, weights to start from."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_coldatoms.backend.analysis import ParameterError, from_dict, parameters, to_dict
from napari_coldatoms.cli import UsageError
from napari_coldatoms.cli.flags import flags
from napari_coldatoms.cli.report import progress_bar
from napari_coldatoms.clouds.augment import ALL
from napari_coldatoms.clouds.recipe import Recipe

if TYPE_CHECKING:
    from napari_coldatoms.clouds.dataset import Samples

# without a dataset: frames to train on, the share of the paper's, frames to judge by
FRAMES, PAPER_SHARE, HELD_OUT = 20_000, 0.4, 120

Dataset = Annotated[
    Path | None, Parameter(help="folder of annotated pictures to train on and to judge by")
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Parameter(help="where it computes")]
Workers = Annotated[int, Parameter(help="how many processes simulate frames")]
Quiet = Annotated[bool, Parameter(alias="-q", negative=(), help="no progress, no scores")]


def recipe_flags(group: str, *, without: frozenset[str] = frozenset()) -> Any:
    """Return a dataclass of flags that change a recipe; None stands for what the recipe says."""
    plain = [p for p in parameters(Recipe) if not p.parameters and p.name not in without]
    members = [(p.name, Annotated[p.type | None, dict(p.options)], None) for p in plain]
    return flags(make_dataclass("Changes", members), group)


def changed(base: Recipe, changes: Any, *, own_pictures: bool) -> Recipe:
    """Return a recipe with what flags say, and for pictures of one's own with more variety."""
    given = {each.name: getattr(changes, each.name) for each in fields(changes)}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        found: Recipe = from_dict(Recipe, to_dict(base) | given)
    except ParameterError as error:
        flag, colon, rest = str(error).partition(":")
        raise UsageError(f"--{flag.replace('_', '-')}{colon}{rest}") from error
    return replace(found, augmentations=ALL) if own_pictures else found


def start_of(start_weights: str | None, recipe: Recipe, *, own_pictures: bool) -> str | None:
    """Return the weights to start from; None for random ones."""
    if start_weights is None and own_pictures and recipe.architecture == "small":
        return "shipped"
    return None if start_weights == "random" else start_weights


def training_pictures(
    dataset: Path | None,
    folder: Path,
    frames: int | None,
    paper: float | None,
    validation: int | None,
    workers: int,
    stopped: threading.Event,
    quiet: bool,
) -> Data:
    """Return the pictures of a dataset or simulated frames, which are kept in a folder.

    Raises
    ------
    InterruptedError
        It was stopped.
    UsageError
        The dataset, or a number, will not do.
    """
    if workers < 1:
        raise UsageError(f"--workers: expected at least 1, found {workers}")
    if frames is not None and frames < (1 if dataset is None else 0):
        raise UsageError(f"--frames: expected at least 1, found {frames}")
    with progress_bar(quiet, "frames") as bar:
        making: dict[str, Any] = {"processes": workers, "progress": bar}
        making["cancelled"] = stopped.is_set
        if dataset is None:
            return _simulated(folder, frames, paper, validation, making)
        return _own(dataset, folder, frames, paper, validation, making)


@dataclass(frozen=True)
class Data:
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
) -> Data:
    """Return simulated frames."""
    from napari_coldatoms.clouds.dataset import held_out
    from napari_coldatoms.clouds.frame_cache import simulate_samples
    from napari_coldatoms.clouds.simulate_kinds import LABELS

    share = PAPER_SHARE if paper is None else paper
    judged = HELD_OUT if validation is None else validation
    if judged < 0:
        raise UsageError(f"--validation: expected no negative number, found {judged}")
    if not 0 <= share <= 1:
        raise UsageError(f"--paper: expected 0 to 1, found {share}")
    samples = simulate_samples(folder, FRAMES if frames is None else frames, paper=share, **making)
    about = {"training data": "simulated frames", "share of paper frames": share}
    return Data(samples, held_out(judged), tuple(LABELS), about)


def _own(
    dataset: Path,
    folder: Path,
    frames: int | None,
    paper: float | None,
    validation: int | None,
    making: dict[str, Any],
) -> Data:
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
    return Data(found.training, found.validation, found.labels, found.about(dataset))
