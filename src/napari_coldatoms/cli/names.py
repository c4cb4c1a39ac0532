"""Names of the files that commands write: looked at before the work, not after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from napari_coldatoms.backend.tables import check_suffix
from napari_coldatoms.cli import UsageError

RECIPES = (".yaml", ".yml")


def check_folder(path: Path) -> None:
    """Raise `UsageError` where a file cannot be written, for want of its folder."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: expected an existing folder, found no {path.parent}")


def check_output(folder: Path) -> None:
    """Raise `UsageError` where ``--output`` is a file, not a folder that is or can be made."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output: expected a folder, found the file {folder}")


def check_tables(tables: Mapping[str, Path | None]) -> None:
    """Raise `UsageError` where tables cannot be written, by their flags."""
    for flag, path in tables.items():
        if path is None:
            continue
        try:
            check_suffix(path)
        except ValueError as error:
            raise UsageError(f"--{flag}: {error}") from error
        check_folder(path)


def check_name(flag: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Raise `UsageError` where a file has another suffix, or no folder."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"--{flag}: {path}: expected a name ending in {' or '.join(suffixes)}")
    check_folder(path)


def check_apart(written: Mapping[str, Path | None], read: Iterable[Path]) -> None:
    """Raise `UsageError` where a file would be written over one that is read or written, too.

    Parameters
    ----------
    written : mapping of str to path or None
        By their flags.
    read : iterable of path
        What is counted.
    """
    sources = {_place(path) for path in read}
    taken: dict[Path, str] = {}
    for flag, path in written.items():
        if path is None:
            continue
        for each in (path, *_beside(flag, path)):
            place = _place(each)
            if place in sources:
                raise UsageError(f"--{flag}: {each}: expected a new file, found one that is read")
            if taken.setdefault(place, flag) != flag:
                raise UsageError(
                    f"--{flag}: {each}: expected a file of its own, found that of --{taken[place]}"
                )


def _beside(flag: str, path: Path) -> list[Path]:
    """Return what is written beside a table; not the recipe, which is that of all tables."""
    of_output = flag == "output" and path.suffix.lower() == ".csv"
    return [path.with_suffix(".parameters.csv")] if of_output else []


def _place(path: Path) -> Path:
    return path.expanduser().resolve()
