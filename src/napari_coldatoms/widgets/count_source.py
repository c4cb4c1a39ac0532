"""The fold "Counts": what is counted, from files or from pictures, each in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_coldatoms.images.regions import region_masks
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.readers.count_files import COUNT_SUFFIXES
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.widgets.base import JobWidget, button, row
from napari_coldatoms.widgets.control_rows import ControlRows
from napari_coldatoms.widgets.count_jobs import CountedRegions, ReadFile, count_regions, read_files
from napari_coldatoms.widgets.count_places import CountEntry, Place, joined, placed, title_of
from napari_coldatoms.widgets.count_question import FileQuestion
from napari_coldatoms.widgets.count_regions import AUTOMATIC, CONTROLS, LEARN, SITES, RegionSource
from napari_coldatoms.widgets.count_words import sites_summary
from napari_coldatoms.widgets.file_reader import files_at
from napari_coldatoms.widgets.folds import fold

FILTER = f"Counts ({' '.join(f'*{each}' for each in COUNT_SUFFIXES)});;All files (*)"


class CountSource(QWidget):
    """Holds the counts of the sample and of the controls, and gets them.

    Parameters
    ----------
    host : JobWidget
        Reads and counts in the background.
    level : callable
        Returns the probability of intervals.
    known : callable
        Returns what was fitted to controls last, or None.
    """

    changed = Signal()
    """There are other counts."""
    counted = Signal(object, object)
    """A layer of regions, and what was counted in them, as `CountedRegions`."""

    def __init__(
        self,
        host: JobWidget,
        *,
        level: Callable[[], float],
        known: Callable[[], ControlFit | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("count_source")
        self._host = host
        self._level, self._known = level, known
        self.entries: dict[Place, CountEntry] = {}
        self._waiting: list[tuple[Path, Place | None]] = []
        self._open: list[tuple[ReadFile, Place | None]] = []
        self._folder = ""
        self.rows = ControlRows()
        self.rows.dropped.connect(self._on_dropped)
        self.rows.browse_asked.connect(self.browse)
        self.rows.cleared.connect(self.clear)
        self.add_button = button(
            "Add files…",
            "add_files",
            "open files of counts (csv, txt, npy, npz, HDF5), or drop them onto this dock: a "
            "column of the prepared atom number, or names such as atoms_1.csv, tell where they "
            "belong",
            lambda: self.browse(None),
        )
        self.clear_button = button("Clear", "clear_counts", "take all counts out", self.clear)
        self.question = FileQuestion()
        self.question.answered.connect(self._on_answered)
        self.question.skipped.connect(self._next_question)
        self.question.reread.connect(self._reread)
        self.regions = RegionSource(host.viewer)
        self.regions.count_asked.connect(self.count)
        self.regions_fold = fold("From pictures", "regions_fold", self.regions)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.rows)
        layout.addLayout(row(self.add_button, self.clear_button))
        layout.addWidget(self.question)
        layout.addWidget(self.regions_fold)
        self.set_running(False)

    def put(self, entries: Mapping[Place, CountEntry]) -> None:
        """Take counts into their places, instead of those there."""
        if not entries:
            return
        self.entries = {**self.entries, **entries}
        self._show()

    def replace_controls(self, entries: Mapping[Place, CountEntry]) -> None:
        """Take these controls instead of all there are."""
        kept: dict[Place, CountEntry] = {
            place: each for place, each in self.entries.items() if isinstance(place, str)
        }
        self.entries = {**kept, **entries}
        self._show()

    def clear(self, place: Any = None) -> None:
        """Take counts out: of one place, or all."""
        if place is None or isinstance(place, bool):
            self.entries = {}
        else:
            self.entries = {key: each for key, each in self.entries.items() if key != place}
        self._show()

    def browse(self, place: Place | None) -> None:
        """Ask for files, for one place or for those that they tell."""
        title = "Counts" if place is None else f"Counts: {title_of(place)}"
        names, _ = QFileDialog.getOpenFileNames(self, title, self._folder, FILTER)
        if names:
            self.open_files([Path(name) for name in names], place)

    def open_files(self, paths: Iterable[Path], place: Place | None = None) -> None:
        """Read files of counts in the background, and take them where they belong.

        Of a folder all files of counts are read, unless there are pictures, too.
        Of files that do not tell what they hold or where it belongs the user is asked.
        """
        new = [(Path(path), place) for path in paths]
        if not new:
            return
        self._folder = str(new[0][0].parent)
        self._waiting += new
        self.go_on()

    def go_on(self) -> None:
        """Read the files that wait, once nothing else is done."""
        if self._host.busy or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []

        def work(*, progress: Any, cancel: Any) -> tuple[list[ReadFile], list[Place | None]]:
            # a folder without files of counts is told of as it is
            each = [(file, place) for path, place in waiting for file in files_at(path) or [path]]
            found = read_files([path for path, _ in each], progress=progress, cancel=cancel)
            return found, [place for _, place in each]

        def done(outcome: tuple[list[ReadFile], list[Place | None]]) -> None:
            self._take(*outcome)

        names = waiting[0][0].name if len(waiting) == 1 else f"{len(waiting)} files"
        self._host.start_job(work, done, words=f"Reading {names} …")

    def count(self) -> None:
        """Count the light of the regions in the chosen layers, in the background."""
        host, chosen = self._host, self.regions
        image, layer = chosen.image_combo.layer, chosen.region_combo.layer
        if host.busy or image is None or layer is None:
            return
        try:
            stack = from_layer(image)
            # a large image of labels takes its time, the others may be edited meanwhile
            regions = layer if isinstance(layer, Labels) else region_masks(layer, stack)
            camera, level = chosen.camera_gain, self._level()
            known = self._known_controls()
        except ValueError as error:
            host.complain(error)
            return
        weights = LEARN if chosen.weights.currentData() == LEARN else None
        background, images = chosen.background_value, chosen.images.value()
        judge = chosen.destination.currentData() in (AUTOMATIC, SITES)
        name = str(image.name)

        def work(*, progress: Any, cancel: Any) -> CountedRegions:
            return count_regions(
                stack,
                regions,
                name,
                weights=weights,
                background=background,
                camera=camera,
                images=images,
                judge=judge,
                level=level,
                known=known,
                progress=progress,
                cancel=cancel,
            )

        def done(found: CountedRegions) -> None:
            self._take_regions(layer, found)

        host.start_job(work, done, words=f"Counting in “{name}” …", layers=[image, layer])

    def _known_controls(self) -> ControlFit | None:
        """Return the controls that tell the thresholds of sites; None where the modes do."""
        if self.regions.thresholds.currentData() != CONTROLS:
            return None
        known = self._known()
        if known is None:
            raise ValueError(
                "expected fitted controls for the thresholds, found none: run the fit first"
            )
        return known

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.question.setEnabled(not running)
        self.regions.set_running(running)
        self.clear_button.setEnabled(not running and bool(self.entries))

    def _show(self) -> None:
        self.rows.show_entries(self.entries)
        self.clear_button.setEnabled(bool(self.entries) and not self._host.busy)
        self.changed.emit()

    def _on_dropped(self, place: Place, paths: list[Path]) -> None:
        self.open_files(paths, place)

    def _take(self, found: list[ReadFile], places: list[Place | None]) -> None:
        errors = [each.error for each in found if each.file is None]
        ready: dict[Place, list[CountEntry]] = {}
        read = 0
        for each, place in zip(found, places, strict=True):
            if each.file is None:
                continue
            try:
                entries = placed(each.file, place)
            except ValueError as error:
                errors.append(f"{each.path.name}: {error}")
                continue
            if entries is None:
                self._open.append((each, place))
                continue
            read += 1
            for key, entry in entries.items():
                ready.setdefault(key, []).append(entry)
        self.put({place: joined(entries) for place, entries in ready.items()})
        if read:
            names = ", ".join(each.path.name for each in found if each.file is not None)
            self._host.say(f"Read {names}.")
        if errors:
            self._host.say(errors[0], "\n".join(errors))
            self._host.notify(errors)
        if self.question.path is None:
            self._next_question()

    def _next_question(self) -> None:
        if not self._open:
            self.question.close_question()
            return
        read, place = self._open.pop(0)
        assert read.file is not None
        self.question.ask(read.file, place)
        self._host.say(f"{read.path.name}: what does it hold, and where does it belong?")

    def _on_answered(self) -> None:
        try:
            entries = self.question.entries()
        except ValueError as error:
            self._host.complain(error)
            return
        name = self.question.path
        self.put(entries)
        self._host.say(f"Read {name.name}." if name is not None else "")
        self._next_question()

    def _reread(self, path: Path, layout: Layout | None) -> None:
        if self._host.busy:
            self.question.show_layout()
            return

        def work(*, progress: Any, cancel: Any) -> list[ReadFile]:
            return read_files([path], layout, progress=progress, cancel=cancel)

        def done(found: list[ReadFile]) -> None:
            if self.question.path != path:
                return
            file = found[0].file
            if file is None:
                self._host.complain(found[0].error)
                self.question.show_layout()
                return
            self.question.ask(file, self.question.wanted, layout)

        self._host.start_job(work, done, words=f"Reading {path.name} …")

    def _take_regions(self, layer: Any, found: CountedRegions) -> None:
        number = len(found.entries)
        place = self.regions.place_of(number)
        words = f"{number} region{'s' * (number > 1)}, {found.counts.counts.shape[1]} pictures."
        if place is not None:
            self.put({place: joined(found.entries)})
            words = f"{title_of(place)}: {words}"
        elif found.sites is not None:
            words = sites_summary(found.sites)
        doubts = found.remarks
        self._host.say(" ".join([words, *doubts[:1]]), "\n".join([words, *doubts]))
        self.counted.emit(layer, found)
