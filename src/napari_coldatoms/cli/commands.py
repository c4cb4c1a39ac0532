"""The commands. Their parameters are the flags; see ``napari-coldatoms COMMAND --help``."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.analyses.batch import Batch, process
from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.analyses.recipes import follow
from napari_coldatoms.backend.analysis import Analysis, to_dict
from napari_coldatoms.backend.recipe import Recipe, RecipeError
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, PARTLY, UsageError
from napari_coldatoms.cli.flags import build, flags
from napari_coldatoms.cli.interrupts import ignore_interrupts, interruptible, interrupts_ignored
from napari_coldatoms.cli.names import check_folder, check_tables
from napari_coldatoms.cli.report import print_table, progress_bar, report

if TYPE_CHECKING:
    _DetectFlags: TypeAlias = Any
    _PictureFlags: TypeAlias = Any
else:
    _DetectFlags = flags(DetectClouds, "Detection")
    _PictureFlags = flags(MakePicture, "Picture")

Files = Annotated[
    Path, Parameter(help="camera files, and folders of them; files of one shot belong together")
]
Output = Annotated[
    Path | None,
    Parameter(
        alias="-o",
        help="where the table goes: .csv (the recipe beside it) or .h5; by default it is printed",
    ),
]
Layers = Annotated[
    Path | None,
    Parameter(help="folder for each picture's masks (TIFF) and outlines (CSV that napari opens)"),
]
SavedRecipe = Annotated[
    Path | None, Parameter(help="save what was done, for the command `run` (YAML)")
]
Workers = Annotated[int, Parameter(help="how many processes work at once")]
Quiet = Annotated[bool, Parameter(alias="-q", negative=(), help="no progress bar, no summary")]


def detect(
    *files: Files,
    output: Output = None,
    layers: Layers = None,
    recipe: SavedRecipe = None,
    workers: Workers = 1,
    quiet: Quiet = False,
    detection: Annotated[_DetectFlags, Parameter(name="*")] = _DetectFlags(),  # noqa: B008
    picture: Annotated[_PictureFlags, Parameter(name="picture")] = _PictureFlags(),  # noqa: B008
) -> int:
    """Find clouds in camera files, outline and fit them."""
    analysis = build(DetectClouds, detection)
    make_picture = build(MakePicture, picture, "picture.")
    if recipe is not None:
        check_folder(recipe)
    code = process_files(files, analysis, make_picture, output, layers, workers, quiet)
    if recipe is not None and code != NOTHING:
        Recipe.of(analysis, picture=to_dict(make_picture)).save(recipe)
    return code


def run(
    recipe: Annotated[
        Path,
        Parameter(help="a recipe, as `detect`, `reconstruct`, `count` and the widgets save it"),
    ],
    /,
    *files: Files,
    output: Output = None,
    shots: Annotated[
        Path | None, Parameter(help="where the table of shots goes, of a recipe that makes one")
    ] = None,
    layers: Layers = None,
    workers: Workers = 1,
    quiet: Quiet = False,
) -> int:
    """Do on other files what a recipe says."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            analysis, make_picture = follow(recipe)
    except RecipeError as error:
        raise UsageError(str(error)) from error
    for each in caught:
        print(f"note: {each.message}", file=sys.stderr)
    if not isinstance(analysis, Analysis):
        # counts of photons are no pictures; by name, so that recipes for pictures load none of it
        follow_recipe = importlib.import_module("napari_coldatoms.cli.count").follow_recipe
        return int(follow_recipe(analysis, files, output=output, shots=shots, quiet=quiet))
    return process_files(
        files, analysis, make_picture, output, layers, workers, quiet, more={"shots": shots}
    )


def demo(
    *,
    output: Annotated[Path, Parameter(help="folder for what it makes")] = Path("demo-output"),
) -> int:
    """Show the main job on simulated shots, in a window where there is a screen."""
    # by name: the demo stands above the command line, since it shows the window too
    return int(importlib.import_module("napari_coldatoms.demo").run_demo(output))


def process_files(
    files: tuple[Path, ...],
    analysis: Analysis,
    make_picture: MakePicture,
    output: Path | None,
    layers: Path | None,
    workers: int,
    quiet: bool,
    *,
    more: Mapping[str, Path | None] | None = None,
    columns: Mapping[str, str] | None = None,
) -> int:
    """Analyse files, write or print the table, and return the exit code.

    `more` says where further tables of the analysis go, by their names; `columns` are the main
    columns of the table with their headings, for the screen.
    """
    wanted = {name: path for name, path in (more or {}).items() if path is not None}
    if not files:
        raise UsageError("expected camera files or folders, found none")
    if workers < 1:
        raise UsageError(f"--workers: expected a whole number of at least 1, found {workers}")
    check_tables({"output": output, **wanted})
    if layers is not None:
        layers.mkdir(parents=True, exist_ok=True)
    with (
        interruptible("file") as stopped,
        _pool(workers) as executor,
        progress_bar(quiet) as progress,
    ):
        batch = process(
            files,
            analysis,
            make_picture,
            executor=executor,
            progress=progress,
            cancel=stopped,
            layers=layers,
        )
    code = _code(batch)
    written: list[Path] = []
    # an interrupted run without any result must not replace an earlier table
    if code != NOTHING and batch.analysed:
        if output is None:
            print_table(batch.table, columns)
        else:
            written = write_table(batch.table, output, failures=batch.failures)
        for name, path in wanted.items():
            if name in batch.more:
                written += write_table(batch.more[name], path)
            else:
                print(f"note: there is no table of {name}; {path} was not written", file=sys.stderr)
    report(batch, written, quiet=quiet, thing=getattr(analysis, "thing", "cloud"))
    return code


def _code(batch: Batch) -> int:
    if batch.cancelled:
        return INTERRUPTED
    if batch.analysed == 0:
        return NOTHING
    return PARTLY if len(batch.failures) else DONE


@contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    # spawned, not forked: numba's and OpenMP's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_work, initargs=(workers,)
    )
    with interrupts_ignored():
        # started now, so that Ctrl-C cannot kill them while they load, before the initializer
        for _ in range(workers):
            pool.submit(int)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_work(workers: int) -> None:
    ignore_interrupts()
    # each of them starts a network, whose threads shall not compete for the processors
    share = max(1, (os.cpu_count() or 1) // workers)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))
