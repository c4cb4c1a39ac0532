"""Reading: which format a file has, which files belong together, and what comes out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import xarray as xr

from napari_coldatoms.images.stack import StackError
from napari_coldatoms.readers import fits, hdf5, numpy_files, oqtant, tiff
from napari_coldatoms.readers.combine import concatenate
from napari_coldatoms.readers.errors import ReadError, ReadWarning, describe_content, first_line
from napari_coldatoms.readers.grouping import group_files, mere_numbering, shot_name
from napari_coldatoms.readers.lazy import Lazy, is_lazy
from napari_coldatoms.readers.named import stacks_of_named
from napari_coldatoms.readers.plain import Plain, squeezed, stack_of_file, stack_of_shot

PathLike = str | os.PathLike[str]
Result = TypeVar("Result")

# what a file with each suffix is expected to be; the libraries behind it load when one is read
_FORMATS: dict[str, str] = {
    **dict.fromkeys(tiff.SUFFIXES, tiff.EXPECTED),
    **dict.fromkeys(hdf5.SUFFIXES, hdf5.EXPECTED),
    **dict.fromkeys(fits.SUFFIXES, fits.EXPECTED),
    ".npy": numpy_files.EXPECTED_NPY,
    ".npz": numpy_files.EXPECTED_NPZ,
    **dict.fromkeys(oqtant.SUFFIXES, oqtant.EXPECTED),
}
SUFFIXES = tuple(_FORMATS)
"""Suffixes of the files that can be read, in lower case."""


def read(path: PathLike | Sequence[PathLike], *, lazy: Lazy = "auto") -> list[xr.DataArray]:
    """Read camera files.

    Parameters
    ----------
    path : path, or sequence of paths
        A file; a file of a shot with one file for each frame, whose others are found beside it; a
        folder, whose camera files are read; or several of these. Of several files exactly these
        are read.
    lazy : bool or "auto"
        Whether the pictures stay in their files until they are asked for; by default where they
        are larger than 256 MB.

    Returns
    -------
    list of DataArray
        One stack for each kind of picture, each with a name: raw frames with dims
        ([shot,] frame, y, x), ready pictures ([shot,] y, x). Shots of several files are stacked.

    Raises
    ------
    ReadError
        Nothing could be read; the message names the (first) file, what was expected and what was
        found.

    Warns
    -----
    ReadWarning
        Some of several files could not be read.
    """
    several = not isinstance(path, str | os.PathLike)
    paths: list[Path] = [Path(each) for each in path] if several else [Path(path)]  # type: ignore
    if not paths:
        raise ReadError("no file", "at least one file", "none")
    stacks, errors = read_many(paths, lazy=lazy, siblings=len(paths) == 1)
    if not stacks:
        raise errors[0]
    if errors:
        lines = "; ".join(str(error) for error in errors[:3])
        more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
        warnings.warn(f"skipped: {lines}{more}", ReadWarning, stacklevel=2)
    return stacks


def group(paths: PathLike | Iterable[PathLike], *, siblings: bool = True) -> list[tuple[Path, ...]]:
    """Sort files into shots: those that belong together, and each other file by itself.

    Parameters
    ----------
    paths : path or iterable of paths
        Files, and folders whose camera files are taken (not those of folders in them). Files of
        other formats are left out, also if they are named.
    siblings : bool
        Whether the other frames of a shot are found beside a given file.

    Returns
    -------
    list of tuple of Path
        In natural order of their names; no file twice.
    """
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    given = [Path(os.path.abspath(path)) for path in listed]  # noqa: PTH100 (keeps links)
    files: list[Path] = []
    single: list[Path] = []
    for path in given:
        if path.is_dir():
            files += _camera_files(path)
        elif path.suffix.lower() in _FORMATS:
            single.append(path)
    groups = group_files(files, siblings=False) if files else []
    if single:
        taken = {path for each in groups for path in each}
        rest = [path for path in single if path not in taken]
        groups += [g for g in group_files(rest, siblings=siblings) if not taken & set(g)]
    return groups


def read_many(
    paths: Iterable[PathLike], *, lazy: Lazy = "auto", siblings: bool = True
) -> tuple[list[xr.DataArray], list[ReadError]]:
    """Read many files and stack what is alike; collect failures instead of raising them.

    Parameters
    ----------
    paths : iterable of paths
        Files and folders.
    lazy : bool or "auto"
        As in `read`; "auto" counts all files together.
    siblings : bool
        As in `group`.

    Returns
    -------
    stacks : list of DataArray
    errors : list of ReadError
    """
    listed = [Path(path) for path in paths]
    errors: list[ReadError] = []
    for path in listed:
        if not path.exists():
            errors.append(ReadError(path, "a file or folder", "nothing of this name"))
        elif path.is_dir():
            if not _camera_files(path):
                errors.append(
                    ReadError(path, f"camera files ({_suffixes()})", "none in the folder")
                )
        elif path.suffix.lower() not in _FORMATS:
            found = f"{describe_content(path)} with the suffix {path.suffix or 'missing'!r}"
            errors.append(ReadError(path, f"a camera file ({_suffixes()})", found))
    groups = group([path for path in listed if path.exists()], siblings=siblings)
    if lazy == "auto" and len(groups) > 1:
        total = sum(file.stat().st_size for files in groups for file in files if file.exists())
        lazy = is_lazy(total, lazy) or "auto"
    asked = {file for path in listed for file in _files_at(path)}
    stacks: list[xr.DataArray] = []
    for files in groups:
        try:
            stacks += _read_shot(files, asked, lazy)
        except ReadError as error:
            errors.append(error)
    return concatenate(stacks), errors


def _read_shot(files: tuple[Path, ...], asked: set[Path], lazy: Lazy) -> list[xr.DataArray]:
    """Read one file, or the files of one shot; the result knows where it comes from."""
    found: list[tuple[tuple[Path, ...], xr.DataArray]] = []
    if len(files) > 1:
        stack = _frames_of_shot(files, asked, lazy)
        if stack is not None:
            found = [(files, stack)]
    if not found:
        # alone, or the names only look like those of one shot
        for file in files:
            if file in asked:
                found += [((file,), stack) for stack in _read_file(file, lazy)]
    for members, stack in found:
        stack.attrs.setdefault("dataset", "")
        stack.attrs["source"] = str(members[0])
        stack.attrs["files"] = [str(file) for file in members]
        source = str(members[0])
        if "shot" in stack.dims:
            stack.coords["source"] = ("shot", [source] * stack.sizes["shot"])
        else:
            stack.coords["source"] = source
    return [stack for _, stack in found]


def _frames_of_shot(files: tuple[Path, ...], asked: set[Path], lazy: Lazy) -> xr.DataArray | None:
    """Return the stack of a shot with one file for each frame, or None if they are no such files.

    Raises
    ------
    ReadError
        A file is damaged, or frames that were all asked for differ in size.
    """
    members: list[tuple[Path, Plain]] = []
    for file in files:
        plains = _guarded(file, partial(_load_plain, file, lazy))
        if len(plains) != 1:
            return None
        members.append((file, plains[0]))
    shapes = {squeezed(plain.data.shape) for _, plain in members}
    if len({len(shape) for shape in shapes}) > 1 or max(map(len, shapes)) > 3:
        return None
    # letters and numbers at the end may just count files
    if mere_numbering(files) and max(map(len, shapes)) > 2:
        return None
    if len(shapes) > 1 and (mere_numbering(files) or not set(files) <= asked):
        return None
    try:
        return stack_of_shot(members, shot_name(files))
    except StackError as error:
        raise ReadError(files[0], "frames of one shot", first_line(error)) from error


def _read_file(path: Path, lazy: Lazy) -> list[xr.DataArray]:
    def stacks() -> list[xr.DataArray]:
        suffix = path.suffix.lower()
        if suffix in hdf5.SUFFIXES:
            return hdf5.read(path, lazy)
        if suffix in oqtant.SUFFIXES:
            return oqtant.read(path)
        if suffix == ".npz":
            return stacks_of_named(*numpy_files.load_npz(path, lazy))
        plains = _load_plain(path, lazy)
        return (
            [stack_of_file(plains[0], path.stem)] if len(plains) == 1 else stacks_of_named(plains)
        )

    made = _guarded(path, stacks)
    for stack in made:
        stack.name = f"{path.stem} {stack.attrs.get('dataset', '')}".strip()
    return made


def _load_plain(path: Path, lazy: Lazy) -> list[Plain]:
    suffix = path.suffix.lower()
    if suffix in tiff.SUFFIXES:
        return tiff.load(path, lazy)
    if suffix == ".npy":
        return numpy_files.load_npy(path, lazy)
    return fits.load(path, lazy)


def _guarded(path: Path, action: Callable[[], Result]) -> Result:
    """Run the reading of a file; whatever goes wrong becomes one clear error."""
    try:
        if path.stat().st_size == 0:
            raise ReadError(path, _FORMATS[path.suffix.lower()], "an empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return action()
    except ReadError:
        raise
    except MemoryError as error:
        found = f"one that does not fit into memory ({first_line(error)}); read it lazily"
        raise ReadError(path, _FORMATS[path.suffix.lower()], found) from error
    except StackError as error:
        raise ReadError(path, _FORMATS[path.suffix.lower()], first_line(error)) from error
    except Exception as error:
        # libraries raise anything over damaged files
        found = describe_content(path)
        what = _FORMATS[path.suffix.lower()]
        if found.split()[1] in what:
            found += ", damaged or incomplete"
        raise ReadError(path, what, f"{found} ({first_line(error)})") from error


def _files_at(path: Path) -> list[Path]:
    path = Path(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    return _camera_files(path) if path.is_dir() else [path]


def _camera_files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _FORMATS and not path.name.startswith(".") and path.is_file()
    ]


def _suffixes() -> str:
    return ", ".join(f"*{suffix}" for suffix in SUFFIXES)
