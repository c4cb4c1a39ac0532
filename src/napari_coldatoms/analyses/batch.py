"""Analyse many files: group by group, so that ten thousand shots do not fill the memory."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_coldatoms import readers
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.analysis import Analysis, to_dict
from napari_coldatoms.backend.layer_files import file_name, write_layers
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.run import Progress, Run, run
from napari_coldatoms.backend.scheduling import Cancel, Outcome, completed, describe

if TYPE_CHECKING:
    import xarray as xr

FAILURES = ("shot", "source", "error")


@dataclass(frozen=True, eq=False)
class Batch:
    """What came out of many files.

    Attributes
    ----------
    table : pandas.DataFrame
        All rows; ``shot`` runs over the files. Its ``attrs`` are those of `Run.table`.
    failures : pandas.DataFrame
        Files that could not be read and frames that could not be analysed: ``shot``, ``source``
        and the ``error`` in one line.
    foreign : tuple of Path
        Files in the given folders that are no camera files: passed over.
    notes : tuple of str
        What readers and analyses warned of, one line each.
    analysed : int
        Number of frames analysed.
    shots : int
        Number of shots, those that failed included.
    cancelled : bool
        Whether it was stopped before all files were done.
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    foreign: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    analysed: int = 0
    shots: int = 0
    cancelled: bool = False


@dataclass
class _Group:
    """What came out of the files of one group; small enough to travel between processes."""

    tables: list[pd.DataFrame] = field(default_factory=list)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    analysed: int = 0
    shots: int = 1
    cancelled: bool = False


def process(
    paths: Iterable[str | Path],
    analysis: Analysis,
    picture: MakePicture | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancel: Cancel = None,
    layers: str | Path | None = None,
) -> Batch:
    """Read files and folders, make the pictures and analyse them.

    Parameters
    ----------
    paths : iterable of path
        Files, and folders whose camera files are taken. Files that make up one shot (one file per
        frame) are read together.
    analysis : Analysis
    picture : MakePicture, optional
        How pictures are made of raw frames.
    executor : concurrent.futures.Executor, optional
        Works on several groups of files at once, or on the frames of a single one.
    progress : callable, optional
        Called in the calling thread with (done, all): groups of files, or frames of a single one.
    cancel : threading.Event or callable, optional
        Once set, what is done is returned.
    layers : path, optional
        Folder into which each picture's layers are written.

    Returns
    -------
    Batch
    """
    picture = MakePicture() if picture is None else picture
    given = [Path(path) for path in paths]
    groups, foreign = find_groups(given)
    stems = _stems(groups)
    results: dict[int, _Group] = {}
    if len(groups) == 1:
        alone = {"executor": executor, "progress": progress, "cancel": cancel}
        results[0] = _process_group(groups[0], stems[0], analysis, picture, layers, alone)
    else:
        jobs: list[Any] = [
            partial(_arguments, group, stem, analysis, picture, layers)
            for group, stem in zip(groups, stems, strict=True)
        ]
        if progress is not None:
            progress(0, len(groups))
        for outcome in completed(_process_group, jobs, executor=executor, cancel=cancel):
            results[outcome.position] = _group_of(outcome, groups)
            if progress is not None:
                progress(len(results), len(groups))
    recipe = Recipe.of(analysis, picture=to_dict(picture), source=_common(given))
    return _combine(results, groups, foreign, recipe)


def find_groups(paths: Sequence[Path]) -> tuple[list[tuple[Path, ...]], list[Path]]:
    """Return the groups of files that belong together, and the foreign files in the folders.

    A foreign file that is named itself is a group of its own, so that its reading says what is
    wrong with it.
    """
    foreign: list[Path] = []
    known: list[Path] = []
    alone: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            foreign += [p for p in inside if p.suffix.lower() not in readers.SUFFIXES]
            known.append(path)
        elif path.is_file() and path.suffix.lower() in readers.SUFFIXES:
            known.append(path)
        else:
            alone.append(path)
    groups = [tuple(group) for group in readers.group(known)] if known else []
    return [*groups, *((path,) for path in alone)], foreign


def _arguments(*arguments: Any) -> tuple[Any, ...]:
    return arguments


def _process_group(
    paths: tuple[Path, ...],
    stem: str,
    analysis: Analysis,
    picture: MakePicture,
    layers: str | Path | None,
    options: dict[str, Any] | None = None,
) -> _Group:
    done = _Group()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            stacks = readers.read(list(paths))
        except (OSError, ValueError) as error:
            done.failures.append((0, _shown(paths), _reason(error, paths)))
            stacks = []
        names: set[str] = set()
        for stack in stacks:
            _process_stack(
                stack, paths, analysis, picture, done, options or {}, layers, stem, names
            )
    done.notes = [" ".join(str(each.message).split()) for each in caught]
    return done


def _process_stack(
    stack: xr.DataArray,
    paths: tuple[Path, ...],
    analysis: Analysis,
    picture: MakePicture,
    done: _Group,
    options: dict[str, Any],
    layers: str | Path | None,
    stem: str,
    names: set[str],
) -> None:
    done.shots = max(done.shots, stack.sizes.get("shot", 1))
    try:
        result = run(analysis, picture(stack), **options)
        if layers is not None:
            _write(result, layers, stem, names)
        table = result.table
    except (OSError, ValueError) as error:
        name = "" if stack.name is None else f"{stack.name}: "
        done.failures.append((0, _shown(paths), f"{name}{_reason(error, paths)}"))
        return
    done.tables.append(table)
    done.analysed += len(result.good)
    done.cancelled |= result.cancelled
    for row in result.failures.to_dict("records"):
        done.failures.append((row["shot"], row["source"] or _shown(paths), row["error"]))


def _write(result: Run, folder: str | Path, stem: str, names: set[str]) -> None:
    # pictures of one file may have the same name
    name = file_name(stem, str(result.stack.name or "picture"))
    number = 2
    while name in names:
        name = f"{file_name(stem, str(result.stack.name or 'picture'))}_{number}"
        number += 1
    names.add(name)
    title = str(result.stack.name or "picture")
    layers = []
    for data, kwargs, kind in result.analysis.layers(result):
        what = str(kwargs["name"]).removeprefix(title).strip()
        layers.append((data, {**kwargs, "name": what}, kind))
    write_layers(layers, folder, name)


def _group_of(outcome: Outcome, groups: Sequence[tuple[Path, ...]]) -> _Group:
    if outcome.error is None:
        return outcome.value
    return _Group(failures=[(0, _shown(groups[outcome.position]), outcome.error)])


def _combine(
    results: dict[int, _Group],
    groups: Sequence[tuple[Path, ...]],
    foreign: Sequence[Path],
    recipe: Recipe,
) -> Batch:
    tables: list[pd.DataFrame] = []
    failures: list[tuple[int, str, str]] = []
    units: dict[str, str] = {}
    shot = 0
    for position in range(len(groups)):
        group = results.get(position)
        if group is None:  # cancelled; numbers of later shots shall not depend on that
            shot += 1
            continue
        for table in group.tables:
            units |= table.attrs.get("units", {})
            tables.append(table.assign(shot=table["shot"] + shot))
        failures += [(shot + inside, source, error) for inside, source, error in group.failures]
        shot += group.shots
    table = _stacked(tables)
    table.attrs = {
        "units": units,
        "recipe": recipe.to_dict(),
        "version": recipe.version,
        "source": recipe.source,
    }
    return Batch(
        table=table,
        failures=pd.DataFrame(failures, columns=list(FAILURES)),
        foreign=tuple(foreign),
        notes=tuple(note for place in sorted(results) for note in results[place].notes),
        analysed=sum(group.analysed for group in results.values()),
        shots=shot,
        cancelled=len(results) < len(groups) or any(g.cancelled for g in results.values()),
    )


def _stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables below each other, with the columns of all, in the order of the fullest one."""
    filled = [table for table in tables if len(table)] or list(tables[:1])
    if not filled:
        return pd.DataFrame()
    widest = max(filled, key=lambda table: table.shape[1])
    rest = dict.fromkeys(c for table in filled for c in table.columns if c not in widest.columns)
    for table in filled:
        table.attrs = {}  # pandas compares them otherwise, which takes long for many tables
    return pd.concat(filled, ignore_index=True)[[*widest.columns, *rest]]


def _stems(groups: Sequence[tuple[Path, ...]]) -> list[str]:
    """Return a name for each group, no two the same: that of its file, or what its files share."""
    stems: list[str] = []
    used: set[str] = set()
    for group in groups:
        names = [path.stem for path in group]
        start = _shared_start(names)
        end = _shared_start([name[::-1] for name in names])[::-1]
        stem = re.sub(r"^[\W_]+|[\W_]+$", "", max(start, end, key=len)) or names[0]
        unique, number = stem, 2
        while unique.lower() in used:
            unique, number = f"{stem}_{number}", number + 1
        used.add(unique.lower())
        stems.append(unique)
    return stems


def _shared_start(names: Sequence[str]) -> str:
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same)


def _shown(paths: Sequence[Path]) -> str:
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def _reason(error: Exception, paths: Sequence[Path]) -> str:
    """Return an error in one line that does not name the file a second time."""
    text = " ".join(str(error).split()) or describe(error)
    for path in paths:
        for name in (str(path), path.name):
            text = text.removeprefix(f"{name}: ")
    return text


def _common(paths: Sequence[Path]) -> str:
    """Return the file, or the folder that holds all files."""
    if len(paths) == 1:
        return str(paths[0].absolute())
    return os.path.commonpath([str(path.absolute()) for path in paths]) if paths else ""
