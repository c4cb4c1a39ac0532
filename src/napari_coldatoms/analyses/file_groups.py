"""Which files are analysed together, and what they are called in the results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_coldatoms import readers
from napari_coldatoms.readers.grouping import shot_name

EVERYBODYS = (".json",)
"""Suffixes of camera files that other files beside them have, too."""


def find_groups(paths: Sequence[Path]) -> tuple[list[tuple[Path, ...]], list[Path]]:
    """Return the groups of files that belong together, and the foreign files in the folders.

    A foreign file that is named itself, or a folder without camera files, is a group of its own, so
    that its reading says what is wrong with it.
    """
    foreign: list[Path] = []
    known: list[Path] = []
    alone: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != ".")
            strange = [p for p in inside if p.suffix.lower() not in readers.SUFFIXES]
            foreign += strange
            (known if len(strange) < len(inside) else alone).append(path)
        elif path.is_file() and path.suffix.lower() in readers.SUFFIXES:
            known.append(path)
        else:
            alone.append(path)
    groups = [tuple(group) for group in readers.group(known)] if known else []
    return [*groups, *((path,) for path in alone)], foreign


def may_be_foreign(group: Sequence[Path], named: Sequence[Path]) -> bool:
    """Tell whether a file was found in a folder and may be any program's."""
    return group[0].suffix.lower() in EVERYBODYS and group[0] not in {p.absolute() for p in named}


def as_one_group(
    groups: Sequence[tuple[Path, ...]], foreign: Sequence[Path], named: Sequence[Path]
) -> tuple[list[tuple[Path, ...]], list[Path]]:
    """Return all files as one group, and the foreign ones without those of any program's."""
    strangers = [group for group in groups if may_be_foreign(group, named)]
    files = [path for group in groups if group not in strangers for path in group]
    return (
        [tuple(files)] if files else [],
        [*foreign, *(path for group in strangers for path in group)],
    )


def name_groups(groups: Sequence[tuple[Path, ...]]) -> list[str]:
    """Return a name for each group, the one its pictures have, but no two the same."""
    stems: list[str] = []
    used: set[str] = set()
    for group in groups:
        unique, number = (stem := shot_name(group)), 2
        while unique.lower() in used:
            unique, number = f"{stem}_{number}", number + 1
        used.add(unique.lower())
        stems.append(unique)
    return stems


def common_source(paths: Sequence[Path]) -> str:
    """Return the file, or the folder that holds all files."""
    if len(paths) == 1:
        return str(paths[0].absolute())
    try:
        return os.path.commonpath([path.absolute() for path in paths])
    except ValueError:  # no files, or files on several drives
        return ""
