"""napari's reader: pictures become layers, files of counts open in the dock "Count atoms"."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_coldatoms.readers import layers
from napari_coldatoms.readers.count_files import COUNT_SUFFIXES, is_count_file
from napari_coldatoms.readers.errors import ReadError
from napari_coldatoms.readers.registry import SUFFIXES

if TYPE_CHECKING:
    from napari.types import LayerData

Paths = str | Sequence[str]
Reader = Callable[[Paths], "list[LayerData]"]

PHOTON_COUNTS = "coldatoms://samples/photon_counts.csv"
"""Address of the sample that fills the dock. napari wants layers of samples that are functions, but
takes from a reader that there are none."""

_ONLY_COUNTS = frozenset(COUNT_SUFFIXES) - frozenset(SUFFIXES)


def get_reader(path: Paths) -> Reader | None:
    """Return the function that reads the file, folder or files, or None for other formats."""
    if path in (PHOTON_COUNTS, [PHOTON_COUNTS]):
        return open_photon_counts
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if paths and all(_is_of_counts(each) for each in paths):
        return open_counts
    return layers.get_reader(path)


def open_counts(path: Paths) -> list[LayerData]:
    """Open files of counts, or a folder of them, in the dock "Count atoms" of napari's window.

    Returns
    -------
    list of LayerData
        napari's sign for "no layer". What is wrong with a file is told by the dock.

    Raises
    ------
    ReadError
        If there is no window.
    """
    paths = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(each) for each in path]
    dock = _dock(paths[0])
    dock.open_files([file for each in paths for file in files_at(each)])
    return list(layers.NOTHING)


def open_photon_counts(path: Paths = PHOTON_COUNTS) -> list[LayerData]:
    """Fill the dock "Count atoms" of napari's window with `samples.photon_counts`.

    Raises
    ------
    ReadError
        If there is no window.
    """
    from napari_coldatoms.samples import photon_counts

    dock = _dock(Path("photon_counts"))
    sample = photon_counts()
    dock.exposure.setValue(1e3 * sample.exposure)  # ms
    dock.set_controls(sample.controls, source="simulated")
    dock.set_sample(sample.sample, source="simulated")
    dock.say("Simulated controls of 0, 1 and 2 atoms, and a sample: press Run.")
    return list(layers.NOTHING)


def _dock(path: Path) -> Any:
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        raise ReadError(
            path,
            "a window of napari, for counts are no layer",
            "none; napari_coldatoms.readers.read_counts reads them without",
        )
    from napari_coldatoms.widgets.count_atoms import open_dock

    return open_dock(viewer)


def _is_of_counts(path: str) -> bool:
    """Tell whether a file, or what is in a folder, goes to the dock."""
    place = Path(path)
    if place.is_dir():
        return bool(files_at(place))
    if place.suffix.lower() in _ONLY_COUNTS:
        # the dock asks, or tells what is wrong; points and shapes are napari's own
        return is_count_file(place) or (place.is_file() and not _is_layer(place))
    return is_count_file(place)


def files_at(path: Path) -> list[Path]:
    """Return a file, or the files of counts in a folder; none where there are pictures, too."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    if any(file.suffix.lower() in SUFFIXES and not is_count_file(file) for file in files):
        return []
    return [file for file in files if is_count_file(file)]


def _is_layer(path: Path) -> bool:
    """Tell whether a text is a layer of points, shapes or tracks that napari wrote."""
    with path.open("rb") as file:
        names = file.readline().split(b",")
    return any(name.strip(b" \"'\r\n").startswith(b"axis-") for name in names)
