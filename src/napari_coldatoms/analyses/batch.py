"""Analyse many files: group by group, so that ten thousand shots do not fill the memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from napari_coldatoms import readers
from napari_coldatoms.analyses.file_groups import (
    as_one_group,
    common_source,
    find_groups,
    may_be_foreign,
    name_groups,
)
from napari_coldatoms.analyses.make_picture import MakePicture, to_analyse
from napari_coldatoms.backend.analysis import Analysis, to_dict
from napari_coldatoms.backend.layer_files import file_name, write_run
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.run import Progress, Run, run
from napari_coldatoms.backend.scheduling import Cancel, Outcome, completed, describe

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
    foreign : tuple of (Path, str)
        Files in the given folders that are no camera files, and what they are: passed over.
    notes : tuple of str
        What readers and analyses warned of, one line each.
    analysed : int
        Number of frames analysed.
    shots : int
        Number of shots, those that failed included.
    cancelled : bool
        Whether it was stopped before all files were done.
    more : dict of str to pandas.DataFrame
        Further tables of the analysis by their names, such as ``shots``.
    """

    table: pd.DataFrame
    failures: pd.DataFrame
    foreign: tuple[tuple[Path, str], ...] = ()
    notes: tuple[str, ...] = ()
    analysed: int = 0
    shots: int = 0
    cancelled: bool = False
    more: dict[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """What is to be done with the files of one group."""

    paths: tuple[Path, ...]
    stem: str
    analysis: Analysis
    picture: MakePicture
    layers: Path | None
    may_be_foreign: bool
    whole_series: bool = False

    @property
    def source(self) -> str:
        """The files in short."""
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}"


@dataclass
class _Group:
    """What came out of the files of one group; small enough to travel between processes."""

    tables: list[pd.DataFrame] = field(default_factory=list)
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    foreign: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    analysed: int = 0
    shots: int = 1
    cancelled: bool = False
    more: dict[str, list[pd.DataFrame]] = field(default_factory=dict)


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
    folder = None if layers is None else Path(layers)
    whole_series = bool(getattr(analysis, "whole_series", False))
    if whole_series:
        groups, foreign = as_one_group(groups, foreign, given)
    jobs = [
        _Job(group, stem, analysis, picture, folder, may_be_foreign(group, given), whole_series)
        for group, stem in zip(groups, name_groups(groups), strict=True)
    ]
    results: dict[int, _Group] = {}
    if len(jobs) == 1:
        alone = {"executor": executor, "progress": progress, "cancel": cancel}
        results[0] = _process_group(jobs[0], alone)
    else:
        if progress is not None:
            progress(0, len(jobs))
        arguments = [partial(_alone, job) for job in jobs]
        for outcome in completed(_process_group, arguments, executor=executor, cancel=cancel):
            results[outcome.position] = _group_of(outcome, jobs)
            if progress is not None:
                progress(len(results), len(jobs))
    recipe = Recipe.of(analysis, picture=to_dict(picture), source=common_source(given))
    return _combine(results, len(jobs), foreign, recipe)


def _process_group(job: _Job, options: dict[str, Any] | None = None) -> _Group:
    done = _Group()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # these files and no others: which belong together is known by now
        stacks, errors = readers.read_many(job.paths, siblings=False)
        reasons = [(error.path, _reason(error, job.paths)) for error in errors]
        if job.may_be_foreign:
            done.foreign += reasons
            done.shots = len(stacks)
        else:
            done.failures += [(0, str(path), reason) for path, reason in reasons]
        names: set[str] = set()
        number = 0
        for stack in stacks:
            shots = stack.sizes.get("shot", 1)
            # pictures of one shot, as those of two cameras, or shots of their own
            first = number if job.whole_series else 0
            number += shots
            done.shots = max(done.shots, first + shots)
            try:
                result = run(
                    job.analysis, to_analyse(job.analysis, job.picture, stack), **(options or {})
                )
                if job.layers is not None:
                    _write(result, job, names)
                table = result.table
                more = _more_tables(result)
            # whatever goes wrong with one file, the others shall be done
            except Exception as error:
                where = "" if stack.name is None else f"{stack.name}: "
                done.failures.append((first, job.source, f"{where}{_reason(error, job.paths)}"))
                continue
            done.tables.append(_numbered(table, first))
            for name, each in more.items():
                done.more.setdefault(name, []).append(_numbered(each, first))
            done.analysed += len(result.good)
            done.cancelled |= result.cancelled
            for row in result.failures.to_dict("records"):
                source = row["source"] or job.source
                done.failures.append((first + row["shot"], source, row["error"]))
    done.notes = [" ".join(str(each.message).split()) for each in caught]
    return done


def _numbered(table: pd.DataFrame, first: int) -> pd.DataFrame:
    """Return a table whose first shot has that number."""
    return table.assign(shot=table["shot"] + first) if first and "shot" in table else table


def _more_tables(result: Run) -> dict[str, pd.DataFrame]:
    """Return further tables of the analysis by their names."""
    make = getattr(result.analysis, "more_tables", None)
    return {} if make is None else make(result)


def _write(result: Run, job: _Job, names: set[str]) -> None:
    assert job.layers is not None
    first = file_name(job.stem, str(result.stack.name or "picture"))
    # pictures of one file may have the same name
    free = (f"{first}_{number}" if number > 1 else first for number in count(1))
    name = next(each for each in free if each not in names)
    names.add(name)
    write_run(result, job.layers, name)


def _alone(job: _Job) -> tuple[_Job]:
    return (job,)


def _group_of(outcome: Outcome, jobs: Sequence[_Job]) -> _Group:
    if outcome.error is None:
        return outcome.value
    return _Group(failures=[(0, jobs[outcome.position].source, outcome.error)])


def _combine(
    results: dict[int, _Group],
    all_groups: int,
    strangers: Sequence[Path],
    recipe: Recipe,
) -> Batch:
    tables: list[pd.DataFrame] = []
    failures: list[tuple[int, str, str]] = []
    units: dict[str, str] = {}
    foreign = [(path, "no camera file") for path in strangers]
    more: dict[str, list[pd.DataFrame]] = {}
    shot = 0
    for position in range(all_groups):
        group = results.get(position)
        if group is None:  # cancelled; numbers of later shots shall not depend on that
            shot += 1
            continue
        for table in group.tables:
            units |= table.attrs.get("units", {})
            tables.append(_numbered(table, shot))
        for name, each in group.more.items():
            more.setdefault(name, []).extend(_numbered(table, shot) for table in each)
        foreign += group.foreign
        failures += [(shot + inside, source, error) for inside, source, error in group.failures]
        shot += group.shots
    table = _stacked(tables)
    table.attrs = {
        "units": units,
        "recipe": recipe.to_dict(),
        "version": recipe.version,
        "source": recipe.source,
    }
    others = {}
    for name, parts in more.items():
        own = {**table.attrs, "units": parts[0].attrs.get("units", {})}
        others[name] = _stacked(parts)
        others[name].attrs = own
    return Batch(
        table=table,
        failures=pd.DataFrame(failures, columns=list(FAILURES)),
        foreign=tuple(foreign),
        notes=tuple(note for place in sorted(results) for note in results[place].notes),
        analysed=sum(group.analysed for group in results.values()),
        shots=shot,
        cancelled=len(results) < all_groups or any(g.cancelled for g in results.values()),
        more=others,
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


def _reason(error: Exception, paths: Sequence[Path]) -> str:
    """Return an error in one line that does not name the file a second time."""
    known = isinstance(error, (OSError, ValueError)) and str(error)
    text = " ".join(str(error).split()) if known else describe(error)
    for path in paths:
        for name in (str(path), path.name):
            text = text.removeprefix(f"{name}: ")
    return text
