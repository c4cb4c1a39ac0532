"""Which files belong to one shot, where a camera program writes one file for each frame."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_coldatoms.images.roles import RoleWord, role_words
from napari_coldatoms.readers import fits, tiff
from napari_coldatoms.readers.combine import common_name
from napari_coldatoms.readers.plain import ROLE_ORDER

SINGLE_FRAME_SUFFIXES = (*tiff.SUFFIXES, *fits.SUFFIXES, ".npy")
"""Suffixes of files that may hold one frame only; the others hold whole shots."""

_Key = tuple[str, str, str, str]


def group_files(files: Iterable[Path], *, siblings: bool) -> list[tuple[Path, ...]]:
    """Group files into shots, in natural order.

    Parameters
    ----------
    files : iterable of Path
        Each counts once.
    siblings : bool
        Whether files in the same folder that belong to a given one are taken, too.

    Returns
    -------
    list of tuple of Path
        Files of one shot together, each other file by itself. Numbers in names are sorted as
        numbers.
    """
    given = list(dict.fromkeys(files))
    wanted = set(given)
    if siblings:
        given = list(dict.fromkeys([*given, *_siblings(given)]))
    groups: list[tuple[Path, ...]] = []
    left = dict.fromkeys(sorted(given, key=natural))
    for _, members in sorted(_candidates(left).items(), key=_rating):
        free = [(path, word) for path, word in members if path in left]
        if not _is_shot(free):
            continue
        free.sort(key=lambda member: ROLE_ORDER.index(member[1].role))
        groups.append(tuple(path for path, _ in free))
        for path, _ in free:
            del left[path]
    groups += [(path,) for path in left]
    groups = [each for each in groups if wanted & set(each)]
    return sorted(groups, key=lambda each: natural(each[0].with_name(shot_name(each))))


def shot_name(files: Sequence[Path]) -> str:
    """Return the name of a shot: its file's, or that of its files without the roles."""
    if len(files) == 1:
        return files[0].stem
    for key, members in _candidates(files).items():
        if len(members) == len(files):
            name = re.sub(r"[\s_.-]{2,}", "_", f"{key[1]}_{key[2]}").strip(" _-.")
            return name or files[0].parent.name
    return common_name([path.stem for path in files]) or files[0].stem


def mere_numbering(files: Sequence[Path]) -> bool:
    """Tell whether files are grouped by a letter A, B, C or an ending -1, -2, -3 alone."""
    for members in _candidates(files).values():
        if len(members) == len(files) and min(word.rank for _, word in members) < 2:
            return False
    return True


def natural(path: Path) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sorting key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", str(path).lower())
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), str(
        path
    )


def _candidates(files: Iterable[Path]) -> dict[_Key, list[tuple[Path, RoleWord]]]:
    """Return, for each name with a role word left out, the files that have it."""
    found: dict[_Key, list[tuple[Path, RoleWord]]] = {}
    for path in files:
        if path.suffix.lower() not in SINGLE_FRAME_SUFFIXES:
            continue
        stem = path.stem
        for word in role_words(stem):
            if word.role in ("optical_depth", "fluorescence"):
                continue
            key = (str(path.parent), stem[: word.start], stem[word.stop :], path.suffix.lower())
            found.setdefault(key, []).append((path, word))
    return found


def _is_shot(members: Sequence[tuple[Path, RoleWord]]) -> bool:
    roles = {word.role for _, word in members}
    if len(roles) < 2 or len(roles) < len(members):
        return False
    # A, B, C and -1, -2, -3 are mere numbering unless the set is there; more of them are shots
    if all(word.rank >= 2 for _, word in members):
        return {"atoms", "probe"} <= roles
    return True


def _rating(item: tuple[_Key, list[tuple[Path, RoleWord]]]) -> tuple[int, int, _Key]:
    """Order the ways to group: words before letters and numbers, and more roles first."""
    key, members = item
    roles = {word.role for _, word in members}
    return max(word.rank for _, word in members), -len(roles), key


def _siblings(files: Sequence[Path]) -> list[Path]:
    """Return the files beside the given ones that differ from them in a role word only."""
    patterns: dict[Path, set[tuple[str, str, str]]] = {}
    for parent, before, after, suffix in _candidates(files):
        patterns.setdefault(Path(parent), set()).add((before, after, suffix))
    found: list[Path] = []
    for folder, wanted in patterns.items():
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError:
            continue
        suffixes = {suffix for _, _, suffix in wanted}
        for name in names:
            path = folder / name
            ending = path.suffix.lower()
            if ending not in suffixes:
                continue
            stem = path.stem
            if any((stem[: w.start], stem[w.stop :], ending) in wanted for w in role_words(stem)):
                found.append(path)
    return sorted(found, key=natural)
