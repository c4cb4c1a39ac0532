"""What was painted on the shots of one image, and which of it is in no dataset yet.

Plain numbers without a window: the widget "Annotate clouds" keeps one `Annotations` for each image,
tells it what was painted, and asks it what to show, to save and to rescue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Annotations", "LabelPatch", "Shot", "ShotNotes", "check_class_name", "one_line"]

Shot = tuple[int, ...]
"""Place of a picture along the leading axes of its image; empty for a single picture."""

# more clouds than any picture has, and napari draws 16 bits quickly
LABEL_TYPE = np.uint16


@dataclass(frozen=True, eq=False)
class LabelPatch:
    """The clouds of one class in one shot: a label image, cropped to what is painted.

    Attributes
    ----------
    offset : (row, column)
        Of the crop in the picture.
    pixels : (ny, nx) array of uint16
        One value for each cloud, 0 for none.
    """

    offset: tuple[int, int]
    pixels: NDArray[np.uint16]

    @classmethod
    def of(cls, labels: Any) -> LabelPatch | None:
        """Return a copy of what is painted in a label image (ny, nx); None where nothing is."""
        labels = np.asarray(labels)
        painted = labels > 0
        rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
        if not rows.size:
            return None
        y, x = int(rows[0]), int(columns[0])
        crop = np.maximum(labels[y : rows[-1] + 1, x : columns[-1] + 1], 0)
        if crop.max() > np.iinfo(LABEL_TYPE).max:
            crop = np.unique(np.append(crop.ravel(), 0), return_inverse=True)[1][:-1].reshape(
                crop.shape
            )
        return cls((y, x), crop.astype(LABEL_TYPE))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values of the clouds, ascending."""
        return tuple(int(n) for n in np.unique(self.pixels) if n)

    def on(self, shape: tuple[int, int]) -> NDArray[np.uint16]:
        """Return the label image of a picture of a shape."""
        labels = np.zeros(shape, dtype=LABEL_TYPE)
        self.draw(labels)
        return labels

    def draw(self, labels: NDArray[np.integer]) -> None:
        """Put the crop into a label image without touching the rest of it."""
        y, x = self.offset
        labels[y : y + self.pixels.shape[0], x : x + self.pixels.shape[1]] = self.pixels

    def same(self, other: LabelPatch | None) -> bool:
        """Tell whether another one has the same values at the same pixels."""
        return (
            other is not None
            and self.offset == other.offset
            and np.array_equal(self.pixels, other.pixels)
        )


@dataclass(frozen=True, eq=False)
class ShotNotes:
    """What is known about one shot.

    Attributes
    ----------
    clouds : mapping of str to LabelPatch
        By class; classes without clouds are left out.
    empty : bool
        Somebody has said that there is no cloud in it.
    """

    clouds: Mapping[str, LabelPatch] = field(default_factory=lambda: MappingProxyType({}))
    empty: bool = False

    @property
    def done(self) -> bool:
        """Whether there is anything to save: clouds, or the word that there are none."""
        return bool(self.clouds) or self.empty

    def labels(self, name: str, shape: tuple[int, int]) -> NDArray[np.uint16]:
        """Return what is painted of a class, the label image of a picture of a shape."""
        patch = self.clouds.get(name)
        return np.zeros(shape, dtype=LABEL_TYPE) if patch is None else patch.on(shape)

    def same(self, other: ShotNotes) -> bool:
        """Tell whether another one says the same."""
        return (
            self.empty == other.empty
            and self.clouds.keys() == other.clouds.keys()
            and all(patch.same(other.clouds[name]) for name, patch in self.clouds.items())
        )


_NOTHING = ShotNotes()


class Annotations:
    """The clouds of an image's shots, and which shots are not saved.

    Parameters
    ----------
    shape : tuple of int
        Of the image: leading axes, rows, columns.
    classes : sequence of str
        Of the clouds.

    Raises
    ------
    ValueError
        A class has no name, or two have the same.
    """

    def __init__(self, shape: Sequence[int], classes: Sequence[str]) -> None:
        self.shape: tuple[int, ...] = tuple(int(n) for n in shape)
        self._classes: list[str] = []
        self._notes: dict[Shot, ShotNotes] = {}
        self._unsaved: set[Shot] = set()
        for name in classes:
            self.add_class(name)

    @property
    def picture_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[-2], self.shape[-1]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, in their order."""
        return tuple(self._classes)

    @property
    def unsaved(self) -> tuple[Shot, ...]:
        """Shots whose clouds are not in the dataset as they are now."""
        return tuple(sorted(self._unsaved))

    def shots(self) -> Iterator[Shot]:
        """Iterate over the places of all pictures."""
        yield from np.ndindex(*self.shape[:-2])

    def notes(self, shot: Shot) -> ShotNotes:
        """Return what is known about a shot."""
        return self._notes.get(shot, _NOTHING)

    def unsaved_notes(self) -> dict[Shot, ShotNotes]:
        """Return what is known about the shots that are not saved; it changes no more."""
        return {shot: self.notes(shot) for shot in self.unsaved}

    def counts(self, shot: Shot) -> dict[str, int]:
        """Return how many clouds of each class are in a shot."""
        clouds = self.notes(shot).clouds
        return {name: len(clouds[name].numbers) if name in clouds else 0 for name in self._classes}

    def done(self) -> int:
        """Return in how many shots there is something to save."""
        return sum(notes.done for notes in self._notes.values())

    def paint(self, shot: Shot, name: str, labels: Any) -> bool:
        """Take what is painted of a class in a shot, a label image; tell whether it is new.

        Raises
        ------
        ValueError
            The label image has not the size of the picture.
        """
        labels = np.asarray(labels)
        if labels.shape != self.picture_shape:
            raise ValueError(
                f"expected labels of {self.shape[-2]} x {self.shape[-1]} pixels, found "
                + " x ".join(map(str, labels.shape))
            )
        before = self.notes(shot)
        patch, old = LabelPatch.of(labels), before.clouds.get(name)
        if (patch is None and old is None) or (patch is not None and patch.same(old)):
            return False
        clouds = {each: before.clouds[each] for each in before.clouds if each != name}
        if patch is not None:
            clouds[name] = patch
        self._set(shot, ShotNotes(MappingProxyType(clouds), before.empty and not clouds))
        return True

    def set_empty(self, shot: Shot, empty: bool) -> None:
        """Say that there is no cloud in a shot, or that nothing is said about it.

        Raises
        ------
        ValueError
            There are clouds in it.
        """
        before = self.notes(shot)
        if empty and before.clouds:
            raise ValueError("expected a shot without clouds, found some: erase them first")
        if empty != before.empty:
            self._set(shot, ShotNotes(before.clouds, empty))

    def put(self, shot: Shot, notes: ShotNotes, *, saved: bool) -> None:
        """Take notes from a file, of a dataset (saved) or of what was to be saved.

        Classes that were not known are added.
        """
        for name in notes.clouds:
            if name not in self._classes:
                self.add_class(name)
        self._set(shot, notes)
        if saved:
            self._unsaved.discard(shot)

    def saved(self, notes: Mapping[Shot, ShotNotes]) -> None:
        """Take note of what was saved; a shot that has changed since stays unsaved."""
        for shot, each in notes.items():
            if self.notes(shot).same(each):
                self._unsaved.discard(shot)

    def changed(self, shots: Iterable[Shot]) -> None:
        """Say that shots are not saved as they are now: into another dataset, for instance."""
        self._unsaved.update(shots)

    def next_open(self, shot: Shot, step: int = 1) -> Shot | None:
        """Return the next shot about which nothing is known, or the one before (``step=-1``).

        After the last shot comes the first. None where all others are done.
        """
        shots = list(self.shots())
        here = shots.index(shot) if shot in shots else (-1 if step > 0 else len(shots))
        for away in range(1, len(shots) + 1):
            other = shots[(here + step * away) % len(shots)]
            if other != shot and not self.notes(other).done:
                return other
        return None

    def add_class(self, name: str) -> None:
        """Add a class.

        Raises
        ------
        ValueError
            It has no name, or there is one of this name.
        """
        self._classes.append(check_class_name(name, self._classes))

    def rename_class(self, old: str, new: str, *, saved: bool = False) -> None:
        """Give a class another name, in all shots.

        Parameters
        ----------
        old, new : str
        saved : bool
            The dataset has got the new name already.

        Raises
        ------
        ValueError
            It has no name, or there is one of this name.
        """
        new = check_class_name(new, [each for each in self._classes if each != old])
        self._classes[self._classes.index(old)] = new
        if new == old:
            return
        before = set(self._unsaved)
        for shot, notes in list(self._notes.items()):
            if old in notes.clouds:
                clouds = {new if each == old else each: p for each, p in notes.clouds.items()}
                self._set(shot, ShotNotes(MappingProxyType(clouds), notes.empty))
        if saved:
            self._unsaved = before

    def remove_class(self, name: str) -> None:
        """Remove a class of which there are no clouds.

        Raises
        ------
        ValueError
            There are clouds of it, or it is the only one.
        """
        shots = [shot for shot, notes in self._notes.items() if name in notes.clouds]
        if shots:
            raise ValueError(
                f"expected a class without clouds, found clouds of “{name}” in {len(shots)} "
                f"shot{'s' if len(shots) != 1 else ''}: erase them first"
            )
        if len(self._classes) == 1:
            raise ValueError("expected at least one class to be left: rename this one instead")
        self._classes.remove(name)

    def grow(self, shape: Sequence[int]) -> bool:
        """Take the image's new shape; tell whether it suits: only shots may have been added."""
        shape = tuple(int(n) for n in shape)
        fits = (
            len(shape) == len(self.shape)
            and shape[-2:] == self.shape[-2:]
            and all(new >= old for new, old in zip(shape, self.shape, strict=True))
        )
        if fits:
            self.shape = shape
        return fits

    def _set(self, shot: Shot, notes: ShotNotes) -> None:
        self._notes[shot] = notes
        self._unsaved.add(shot)


def one_line(name: str) -> str:
    """Return the name of a class without spaces around it, or more than one within."""
    return " ".join(str(name).split())


def check_class_name(name: str, others: Iterable[str] = ()) -> str:
    """Return the name of a class in `one_line`.

    Raises
    ------
    ValueError
        There is nothing left, or it is among the others.
    """
    name = one_line(name)
    if not name:
        raise ValueError("expected a name for the class, found none")
    if name in others:
        raise ValueError(f"expected another name for the class: “{name}” is there already")
    return name
