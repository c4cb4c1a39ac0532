"""Painting that is in no dataset yet, kept in files from which it can be brought back.

Each session of painting on an image has a file of its own, so that two windows never write the same
one. A file holds JSON and cropped label images, as npz without pickled objects.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import Any

import numpy as np

from napari_coldatoms.analyses.annotations import LabelPatch, Shot, ShotNotes
from napari_coldatoms.atomic import replacing

__all__ = ["ImageKey", "RecoveryFile", "Unsaved", "find_unsaved", "read_unsaved", "set_aside"]

FORMAT = "napari-coldatoms unsaved painting 1"
SUFFIX, ASIDE = ".npz", ".discarded"
# of files on other images so many are looked into
_LOOKED_INTO = 50
# what was discarded can be brought back by hand for so long (s)
_KEPT = 30 * 24 * 3600

_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class ImageKey:
    """What an image is known by when it is opened again.

    Attributes
    ----------
    name : str
        Of the image.
    shape : tuple of int
        Rows and columns; shots may have been added since.
    source : str
        Its file or folder.
    """

    name: str
    shape: tuple[int, ...]
    source: str

    @property
    def digest(self) -> str:
        """The same for the same image, of letters that a file name may have."""
        whole = json.dumps([self.name, list(self.shape[-2:]), self.source])
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def may_be(self, other: ImageKey) -> bool:
        """Tell whether another image is likely the same: renamed, its file moved or linked."""
        if self.shape[-2:] != other.shape[-2:] or not (self.source and other.source):
            return False
        if self.source == other.source:
            return True
        mine, theirs = Path(self.source), Path(other.source)
        try:
            return mine.samefile(theirs)
        except OSError:  # one of them is gone
            # names of both kinds of systems
            same = PureWindowsPath(mine).name == PureWindowsPath(theirs).name
            return same and mine.exists() and not theirs.exists()


@dataclass(frozen=True, eq=False)
class Unsaved:
    """Painting that is in no dataset yet.

    Attributes
    ----------
    image : ImageKey
        What was painted on.
    classes : tuple of str
        All classes, also those without clouds.
    notes : mapping of tuple of int to ShotNotes
        Of the shots that are not saved; such without clouds were erased since they were saved.
    dataset : str
        Folder of the dataset that was open, empty where there was none.
    when : float
        When it was written, seconds since 1970.
    """

    image: ImageKey
    classes: tuple[str, ...]
    notes: Mapping[Shot, ShotNotes]
    dataset: str = ""
    when: float = field(default_factory=time.time)


class RecoveryFile:
    """The file of one session of painting on an image.

    It may be written from several threads; what is older never replaces what is newer.

    Parameters
    ----------
    folder : Path
        Where such files are; made where it is missing.
    image : ImageKey
        What is painted on.
    """

    def __init__(self, folder: Path, image: ImageKey) -> None:
        self.path = Path(folder) / f"{image.digest}.{secrets.token_hex(6)}{SUFFIX}"
        self._lock = threading.Lock()
        self._newest = 0

    def write(self, unsaved: Unsaved, number: int) -> bool:
        """Write, or remove the file where nothing is unsaved; tell whether it was the newest.

        Parameters
        ----------
        unsaved : Unsaved
            All that is to be kept.
        number : int
            Higher for what is newer.

        Raises
        ------
        OSError
            It cannot be written; the former file stays.
        """
        with self._lock:
            if number < self._newest:
                return False
            if unsaved.notes:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _write(self.path, unsaved)
            else:
                self.path.unlink(missing_ok=True)
            self._newest = number
            return True


def find_unsaved(folder: Path, image: ImageKey, *, but: Iterable[Path] = ()) -> list[Path]:
    """Return the files with unsaved painting on an image, the newest first.

    Behind them stand those on images that may be the same, see `ImageKey.may_be`. Files of sessions
    that go on are left out with `but`.
    """
    skip = set(but)
    # a name that begins with a dot is of a file that was never completed; glob passes those over
    found = [path for path in Path(folder).glob(f"*{SUFFIX}") if path not in skip]
    found.sort(key=_modified, reverse=True)
    own = [path for path in found if path.name.startswith(f"{image.digest}.")]
    others = [path for path in found if path not in own][:_LOOKED_INTO]
    return own + [path for path in others if (of := _image_of(path)) and image.may_be(of)]


def read_unsaved(path: Path) -> Unsaved:
    """Return the painting in a file.

    Raises
    ------
    ValueError
        The file is missing, damaged, or something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            said = _about(file)
            notes = {
                tuple(int(n) for n in shot["index"]): ShotNotes(
                    MappingProxyType(
                        {
                            str(cloud["class"]): _patch(cloud["offset"], file[cloud["array"]])
                            for cloud in shot["clouds"]
                        }
                    ),
                    bool(shot["empty"]),
                )
                for shot in said["shots"]
            }
            return Unsaved(
                _key(said["image"]),
                tuple(str(name) for name in said["classes"]),
                notes,
                str(said["dataset"]),
                float(said["when"]),
            )
    except _DAMAGED as error:
        raise ValueError(
            f"{path}: expected unsaved painting, found a damaged file ({error})"
        ) from None


def set_aside(path: Path) -> None:
    """Discard a file, in such a way that it can be brought back by hand for thirty days."""
    path = Path(path)
    path.replace(path.with_suffix(ASIDE))
    now = time.time()
    os.utime(path.with_suffix(ASIDE), (now, now))
    for old in path.parent.glob(f"*{ASIDE}"):
        if now - _modified(old) > _KEPT:
            old.unlink(missing_ok=True)


def _about(file: Any) -> dict[str, Any]:
    said = json.loads(bytes(file["about"]).decode("utf-8"))
    if said.get("format") != FORMAT:
        raise ValueError(f"expected format {FORMAT!r}, found {said.get('format')!r}")
    return dict(said)


def _key(image: Mapping[str, Any]) -> ImageKey:
    shape = tuple(int(n) for n in image["shape"])
    return ImageKey(str(image["name"]), shape, str(image["source"]))


def _image_of(path: Path) -> ImageKey | None:
    """Return the image of a file; None where that is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return _key(_about(file)["image"])
    except _DAMAGED:
        return None


def _write(path: Path, unsaved: Unsaved) -> None:
    arrays: dict[str, Any] = {}
    shots = []
    for index, notes in unsaved.notes.items():
        clouds = []
        for name, patch in notes.clouds.items():
            key = f"labels{len(arrays)}"
            arrays[key] = patch.pixels
            clouds.append({"class": name, "offset": list(patch.offset), "array": key})
        shots.append({"index": list(index), "empty": notes.empty, "clouds": clouds})
    about = {
        "format": FORMAT,
        "image": {
            "name": unsaved.image.name,
            "shape": list(unsaved.image.shape),
            "source": unsaved.image.source,
        },
        "classes": list(unsaved.classes),
        "dataset": unsaved.dataset,
        "when": unsaved.when,
        "shots": shots,
    }
    text = np.frombuffer(json.dumps(about).encode("utf-8"), dtype=np.uint8)
    with replacing(path) as new, new.open("wb") as file:
        np.savez_compressed(file, about=text, **arrays)
        file.flush()
        os.fsync(file.fileno())  # a power failure shall not leave an empty file of a good name


def _patch(offset: Any, pixels: Any) -> LabelPatch:
    y, x = offset
    if pixels.ndim != 2 or pixels.dtype.kind != "u":
        raise ValueError(f"expected labels (ny, nx), found shape {pixels.shape}")
    return LabelPatch((int(y), int(x)), pixels)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return 0.0
