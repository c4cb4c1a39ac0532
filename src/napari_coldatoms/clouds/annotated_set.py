"""A dataset of annotated pictures: a folder that is read and written picture by picture."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from napari_coldatoms.clouds.annotated import Annotated, DatasetError, Split
from napari_coldatoms.clouds.annotation_files import (
    INDEX,
    PICTURES,
    Contents,
    Entry,
    entry_of,
    file_name,
    read_contents,
    read_picture,
    same_picture,
    wanted_split,
    write_contents,
    write_picture,
)
from napari_coldatoms.clouds.dataset import Sample

__all__ = ["AnnotatedSamples", "AnnotatedSet", "create_set", "open_set"]


class AnnotatedSet:
    """A dataset of annotated pictures in a folder.

    Pictures are read when they are asked for. What is written is on disk when a method returns, and
    a reader sees the old dataset or the new one. What others wrote meanwhile is kept: the file is
    looked at again before each change. Made by `open_set` and `create_set`.

    Raises
    ------
    DatasetError
        The folder holds no dataset, or a damaged one; of methods also where a picture or a class
        is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.RLock()
        self._stamp: tuple[int, ...] | None = None
        self._contents = Contents((), {})
        self.refresh()

    def __len__(self) -> int:
        return len(self._contents.entries)

    def __contains__(self, name: object) -> bool:
        return name in self._contents.entries

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._contents.classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pictures, in the order in which they came."""
        return tuple(self._contents.entries)

    def refresh(self) -> None:
        """Look at the file again, if it has changed since."""
        with self._lock:
            stamp = self._file_stamp()
            if stamp is None or stamp != self._stamp:
                self._contents = read_contents(self.folder)
                self._stamp = stamp

    def entry(self, name: str) -> Entry:
        """Return what is known of a picture without reading it: size, split, source, classes."""
        try:
            return self._contents.entries[name]
        except KeyError:
            raise DatasetError(f"{self.folder}: expected a picture {name!r}, found none") from None

    def find(self, source: str, index: tuple[int, ...] | None = None) -> str | None:
        """Return the name of the picture from a place in a source, None where there is none."""
        for entry in self._contents.entries.values():
            if entry.source == source and entry.index == index:
                return entry.name
        return None

    def read(self, name: str) -> Annotated:
        """Return a picture and its clouds."""
        return self._read(self.entry(name))

    def put(self, annotated: Annotated) -> None:
        """Add a picture, or put another in place of that of the same name."""
        self.put_all([annotated])

    def put_all(
        self, pictures: Iterable[Annotated], *, progress: Callable[[int], None] | None = None
    ) -> None:
        """Add or replace pictures, all or none of them.

        What a picture is for, training or validation, is decided when it first comes in, and
        stays: about every fifth is for validation.

        Parameters
        ----------
        pictures : iterable of Annotated
        progress : callable, optional
            Called with the number of pictures written.

        Raises
        ------
        DatasetError
            A class that the dataset does not have, or another split than the recorded one.
        """
        with self._lock:
            self.refresh()
            entries = dict(self._contents.entries)
            new: list[Path] = []
            try:
                for done, annotated in enumerate(pictures, 1):
                    entry = self._placed(annotated, entries, new)
                    entries[entry.name] = entry
                    if progress is not None:
                        progress(done)
                self._write(replace(self._contents, entries=entries))
            except BaseException:
                for path in new:
                    with suppress(OSError):
                        path.unlink(missing_ok=True)
                raise

    def remove(self, name: str) -> None:
        """Take a picture and its clouds out."""
        with self._lock:
            self.refresh()
            self.entry(name)
            entries = {key: each for key, each in self._contents.entries.items() if key != name}
            self._write(replace(self._contents, entries=entries))

    def add_class(self, name: str) -> None:
        """Add a class; one that is there already stays."""
        with self._lock:
            self.refresh()
            if name not in self.classes:
                self._write(replace(self._contents, classes=checked((*self.classes, name))))

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name, also for all of its clouds."""
        with self._lock:
            self.refresh()
            self._known(old)
            classes = checked([new if each == old else each for each in self.classes])
            entries = {
                name: replace(
                    entry,
                    clouds=tuple(
                        replace(cloud, label=new) if cloud.label == old else cloud
                        for cloud in entry.clouds
                    ),
                )
                for name, entry in self._contents.entries.items()
            }
            self._write(Contents(classes, entries))

    def remove_class(self, name: str) -> None:
        """Take a class out of which there are no clouds."""
        with self._lock:
            self.refresh()
            self._known(name)
            used = [n for n, entry in self._contents.entries.items() if name in entry.labels]
            if used:
                raise DatasetError(
                    f"expected no clouds of class {name!r}, found some in {len(used)} pictures, "
                    f"the first {used[0]!r}"
                )
            classes = checked([each for each in self.classes if each != name])
            self._write(replace(self._contents, classes=classes))

    def samples(self, split: Split | None = None) -> AnnotatedSamples:
        """Return the pictures for training or validation, or all: read when they are asked for.

        Pictures without clouds are among them. What is changed afterwards is not.
        """
        entries = self._contents.entries.values()
        return AnnotatedSamples(
            self, [each for each in entries if split is None or each.split == split]
        )

    def _read(self, entry: Entry) -> Annotated:
        return Annotated(
            entry.name,
            read_picture(self.folder / PICTURES / entry.file, entry.shape),
            entry.labels,
            entry.masks(),
            entry.source,
            entry.index,
            entry.split,
        )

    def _placed(self, annotated: Annotated, entries: dict[str, Entry], new: list[Path]) -> Entry:
        """Write a picture where it is not on disk yet, and return what is said of it."""
        for label in annotated.labels:
            self._known(label)
        old = entries.get(annotated.name)
        split = annotated.split
        if old is not None:
            if split not in (None, old.split):
                raise DatasetError(
                    f"{annotated.name}: expected split {old.split!r}, which was recorded, found "
                    f"{split!r}"
                )
            if self._is_there(old, annotated):
                return entry_of(annotated, old.file, old.split)
            split = old.split
        elif split is None:
            split = wanted_split(annotated.name, (each.split for each in entries.values()))
        # not over the old picture: its masks are those on disk until the dataset is written
        pictures = self.folder / PICTURES
        pictures.mkdir(exist_ok=True)
        taken = {*(each.file for each in entries.values()), *(path.name for path in new)}
        file = file_name(annotated.name, taken)
        new.append(pictures / file)
        write_picture(pictures / file, annotated.picture)
        return entry_of(annotated, file, split)

    def _is_there(self, entry: Entry, annotated: Annotated) -> bool:
        try:
            found = read_picture(self.folder / PICTURES / entry.file, entry.shape)
        except DatasetError:
            return False
        return same_picture(found, annotated.picture)

    def _write(self, contents: Contents) -> None:
        write_contents(self.folder, contents)
        kept = {each.file for each in contents.entries.values()}
        left = {each.file for each in self._contents.entries.values()} - kept
        self._contents, self._stamp = contents, self._file_stamp()
        for file in left:
            with suppress(OSError):  # one that is left behind does no harm
                (self.folder / PICTURES / file).unlink(missing_ok=True)

    def _known(self, label: str) -> None:
        if label not in self.classes:
            known = ", ".join(self.classes)
            raise DatasetError(f"expected one of the classes {known}, found {label!r}")

    def _file_stamp(self) -> tuple[int, ...] | None:
        try:
            found = (self.folder / INDEX).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class AnnotatedSamples(Sequence[Sample]):
    """Pictures of a dataset as samples, see `AnnotatedSet.samples`."""

    def __init__(self, dataset: AnnotatedSet, entries: Sequence[Entry]) -> None:
        self._dataset, self._entries = dataset, tuple(entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the pictures."""
        return tuple(each.name for each in self._entries)

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """Classes of the clouds of each picture, without reading any."""
        return tuple(each.labels for each in self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int, /) -> Sample:  # type: ignore[override]
        return self._dataset._read(self._entries[index]).sample()


def open_set(folder: str | Path) -> AnnotatedSet:
    """Return the dataset in a folder.

    Raises
    ------
    DatasetError
        There is none, or it is damaged.
    """
    return AnnotatedSet(folder)


def create_set(folder: str | Path, classes: Iterable[str]) -> AnnotatedSet:
    """Make an empty dataset in a folder, and return it.

    Parameters
    ----------
    folder : path
        Made if need be. Other files in it stay.
    classes : iterable of str
        At least one.

    Raises
    ------
    DatasetError
        There is one already, or the classes have no names or the same one twice.
    """
    folder = Path(folder)
    names = checked(classes)
    if (folder / INDEX).exists():
        raise DatasetError(f"{folder}: expected no dataset, found one; open it instead")
    if folder.exists() and not folder.is_dir():
        raise DatasetError(f"{folder}: expected a folder, found a file")
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    write_contents(folder, Contents(names, {}))
    return AnnotatedSet(folder)


def checked(classes: Iterable[str]) -> tuple[str, ...]:
    """Return names of classes; an error where there are none, one is empty, or twice there."""
    if isinstance(classes, str):
        raise DatasetError(f"expected a sequence of classes, found the text {classes!r}")
    names = tuple(classes)
    if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise DatasetError(f"expected classes with different names, found {list(names)}")
    return names
