"""Make the guide's pictures of the window: ``python docs/screenshots.py``, on a screen.

``make screenshots`` does so on a virtual screen where there is none. Names of pictures may be given
as arguments, such as ``lattice_grid``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from napari.layers import Points
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea, QWidget

from napari_coldatoms.clouds.annotations import Annotated, create_set
from napari_coldatoms.clouds.dataset import sample_of
from napari_coldatoms.clouds.simulate_frames import simulate_frame
from napari_coldatoms.clouds.simulate_kinds import LABELS
from napari_coldatoms.demo import PLUGIN, own_settings, wait, wait_until
from napari_coldatoms.samples import photon_counts

IMAGES = Path(__file__).parent / "images"
WINDOW = (1366, 768)
DOCK_WIDTH = 385
LARGEST = 250_000  # bytes of a picture
TIMEOUT = 300.0
GAP = 8  # px between parts that are put side by side


@contextmanager
def window(sample: str, widget: str) -> Iterator[tuple[Any, Any, Any]]:
    """Open a sample and one of the widgets; give the viewer, the dock, and the widget."""
    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    try:
        viewer.open_sample(PLUGIN, sample)
        dock, opened = viewer.window.add_plugin_dock_widget(PLUGIN, widget)
        dock.parent().resizeDocks([dock], [DOCK_WIDTH], Qt.Orientation.Horizontal)
        wait(0.5)
        yield viewer, dock, opened
    finally:
        viewer.close()
        wait(0.2)


def finished(widget: Any) -> None:
    """Wait for the job, and what it shows."""
    wait_until(lambda: not widget.busy, TIMEOUT)
    wait(0.8)


def scroll_to(widget: Any, part: QWidget, above: int = 0) -> None:
    """Scroll a widget until a part of it is on top."""
    area = widget.findChild(QScrollArea, "scroll_area")
    wait(0.3)
    area.verticalScrollBar().setValue(part.mapTo(area.widget(), part.rect().topLeft()).y() - above)
    wait(0.3)


def whole(viewer: Any) -> np.ndarray:
    """Return the window as it stands, (y, x, 3)."""
    wait(0.5)
    return np.asarray(viewer.screenshot(canvas_only=False, flash=False))[..., :3]


def cut(viewer: Any, *parts: QWidget) -> np.ndarray:
    """Return parts of the window side by side, (y, x, 3)."""
    picture = whole(viewer)
    pieces = []
    for part in parts:
        ratio = part.devicePixelRatioF()
        corner = part.mapTo(part.window(), part.rect().topLeft())
        x, y = round(corner.x() * ratio), round(corner.y() * ratio)
        width, height = round(part.width() * ratio), round(part.height() * ratio)
        pieces += [
            picture[y : y + height, x : x + width],
            np.full((height, GAP, 3), 255, np.uint8),
        ]
    height = min(len(piece) for piece in pieces)
    return np.concatenate([piece[:height] for piece in pieces[:-1]], axis=1)


def look_at(viewer: Any, source: Any, centre: tuple[float, float], pixels: float) -> None:
    """Show so many of the image's pixels around a place (y, x) in pixels from top to bottom."""
    scale = float(source.scale[-1])
    viewer.scene.camera.center = tuple(scale * value for value in centre)
    height = canvas(viewer).height()
    viewer.scene.camera.zoom = height / (pixels * scale)
    wait(0.3)


def canvas(viewer: Any) -> QWidget:
    """Return the part of the window that shows the image."""
    central = viewer.window._qt_window.centralWidget()
    assert isinstance(central, QWidget)
    return central


def sites_of(viewer: Any) -> Any:
    """Return the layer with the sites that were judged."""
    return next(x for x in viewer.layers if isinstance(x, Points) and "uncertain" in x.features)


def lattice_window() -> np.ndarray:
    """Picture the window after both buttons: atoms, read-out."""
    with window("drifting_lattice", "Reconstruct lattice") as (viewer, _, widget):
        found_and_judged(widget)
        viewer.dims.set_current_step(0, 7)
        scroll_to(widget, widget.folds["readout"])
        return whole(viewer)


def lattice_calibrated() -> np.ndarray:
    """Picture the fold "Calibrate" after "Find sites", beside the sites."""
    with window("drifting_lattice", "Reconstruct lattice") as (viewer, dock, widget):
        widget.calibrate.find_button.click()
        finished(widget)
        look_at(viewer, viewer.layers[0], (60, 60), 110)
        scroll_to(widget, widget.folds["calibrate"])
        return cut(viewer, canvas(viewer), dock)


def lattice_grid() -> np.ndarray:
    """Picture a grid that was placed, and turned too far."""
    with window("drifting_lattice", "Reconstruct lattice") as (viewer, dock, widget):
        controls = widget.calibrate.grid_controls
        controls.spacing.setValue(3.9)
        controls.rows.setValue(42)
        controls.columns.setValue(42)
        widget.calibrate.place_button.click()
        controls.angle.setValue(6.0)
        scroll_to(widget, widget.folds["calibrate"])
        return cut(viewer, canvas(viewer), dock)


def lattice_readout() -> np.ndarray:
    """Picture sites near to, uncertain ones among them, and the read-out."""
    with window("lattice_image", "Reconstruct lattice") as (viewer, dock, widget):
        found_and_judged(widget)
        source = viewer.layers[0]
        points = sites_of(viewer)
        unsure = points.data[points.features["uncertain"].to_numpy(dtype=bool)]
        look_at(viewer, source, tuple(busiest(unsure, 15)), 46)
        scroll_to(widget, widget.folds["readout"])
        return cut(viewer, canvas(viewer), dock)


def lattice_survival() -> np.ndarray:
    """Picture a painted region and the survival in it."""
    with window("survival_pair", "Reconstruct lattice") as (viewer, dock, widget):
        found_and_judged(widget)
        widget.region.paint_button.click()
        region = widget.region.layer
        y, x = np.indices(region.data.shape) - 0.5 * np.array(region.data.shape)[:, None, None]
        painted = ((y / 55) ** 2 + (x / 45) ** 2 < 1).astype(np.uint8)
        region.data = painted
        region.mode = "pan_zoom"  # without the circle of the brush
        wait(1.0)
        finished(widget)
        area = widget.findChild(QScrollArea, "scroll_area")
        bar = area.verticalScrollBar()
        bar.setValue(bar.maximum())
        return cut(viewer, canvas(viewer), dock)


def lattice_tweezers() -> np.ndarray:
    """Picture tweezers, of which there are few, judged together."""
    with window("tweezer_array", "Reconstruct lattice") as (viewer, dock, widget):
        found_and_judged(widget)
        scroll_to(widget, widget.folds["readout"])
        return cut(viewer, canvas(viewer), dock)


def detect_clouds() -> np.ndarray:
    """Picture the window with two clouds that were found."""
    with window("mot_and_odt", "Detect clouds") as (viewer, _, widget):
        widget.run()
        finished(widget)
        return whole(viewer)


def train_network() -> np.ndarray:
    """Picture the dock of a training after its end, its upper and its lower part."""
    with training_window() as (viewer, dock, widget):
        widget.setup.form.set_values({"epochs": 4, "canvas": 96})
        finished(widget)
        above = cut(viewer, dock)
        widget.run_button.click()
        finished(widget)
        scroll_to(widget, widget.run_button)
        return side_by_side(above, cut(viewer, dock))


def tune() -> np.ndarray:
    """Picture the fold of a tuning after its end, and its figure."""
    with training_window() as (viewer, dock, widget):
        widget.setup.form.set_values({"epochs": 2, "canvas": 96})
        widget.tuning.setup.trials.setValue(8)
        for control, epochs in zip(widget.tuning.setup.ranges["decay_epochs"], (1, 2), strict=True):
            control.setValue(epochs)
        widget.tuning_fold.expand(animate=False)
        widget.tuning.tune_button.click()
        finished(widget)
        scroll_to(widget, widget.run_button)
        figure = widget.tuning.figure.picture.toImage()
        large = np.asarray(Image.fromqimage(figure).convert("RGB"))
        fold = cut(viewer, dock)
        height = len(fold)
        width = round(large.shape[1] * height / len(large))
        smaller = Image.fromarray(large).resize((width, height), Image.Resampling.LANCZOS)
        return side_by_side(fold, np.asarray(smaller))


@contextmanager
def training_window() -> Iterator[tuple[Any, Any, Any]]:
    """Open "Train a network" with a dataset of a dozen simulated frames."""
    with TemporaryDirectory() as folder, window("mot_and_odt", "Train a network") as opened:
        dataset = create_set(Path(folder) / "dataset", LABELS)
        for n in range(12):
            truth = sample_of(simulate_frame((7, n), "paper", shape=(96, 96)))
            dataset.put(Annotated(f"shot {n}", truth.picture, truth.labels, truth.masks > 0.5))
        opened[-1].setup.dataset.value = dataset.folder
        yield opened


def annotate() -> np.ndarray:
    """Picture the window with two clouds that were painted roughly, then fitted."""
    with window("mot_and_odt", "Annotate clouds") as (viewer, _, widget):
        session = widget.session
        session.rename_class("cloud", "MOT", saved=False)
        session.add_class("ODT")
        turn = np.linspace(0, 4 * np.pi, 60)
        along = np.linspace(-65, 65, 40)
        strokes = {
            "MOT": (312 + 4.5 * turn * np.sin(turn), 192 + 4.5 * turn * np.cos(turn), 50),
            "ODT": (190 + np.sin(0.6) * along, 312 + np.cos(0.6) * along, 18),
        }
        for name, (rows, columns, size) in strokes.items():
            layer = session.activate(name)
            layer.brush_size = size
            for place in zip(rows, columns, strict=True):
                layer.paint(place, layer.selected_label)
        widget.classes.select("ODT")
        widget.painting.fit_outlines()
        finished(widget)
        return whole(viewer)


def count_dock() -> np.ndarray:
    """Picture the dock with the sample of photon counts, and after "Run"."""
    with window("photon_counts", "Count atoms") as (viewer, dock, widget):
        scroll_to(widget, widget.folds["counts"])
        before = cut(viewer, dock)
        fitted(widget)
        scroll_to(widget, widget.folds["result"])
        return side_by_side(before, cut(viewer, dock))


def count_question() -> np.ndarray:
    """Picture what is asked about a file whose name tells nothing."""
    with window("photon_counts", "Count atoms") as (viewer, dock, widget):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "run_0417.txt"
            path.write_text("\n".join(map(str, photon_counts().sample)))
            widget.open_files([path])
            finished(widget)
        scroll_to(widget, widget.folds["counts"])
        below = widget.source.regions_fold
        bottom = below.mapTo(dock, below.rect().topLeft()).y()
        return cut(viewer, dock)[: round(bottom * dock.devicePixelRatioF())]


def count_tabs() -> np.ndarray:
    """Picture the controls, single shots, and the planning."""
    with window("photon_counts", "Count atoms") as (viewer, dock, widget):
        fitted(widget)
        tabs, pictures = widget.results.tabs, []
        titles = [tabs.tabText(at) for at in range(tabs.count())]
        for title in ("Controls", "Shots", "Plan"):
            tabs.setCurrentIndex(titles.index(title))
            wait_until(lambda: not widget.results.planning.busy, TIMEOUT)
            scroll_to(widget, widget.folds["result"])
            pictures.append(cut(viewer, dock))
        return side_by_side(*pictures)


def count_sites() -> np.ndarray:
    """Picture regions over pictures of tweezers, how they are counted, and what was found."""
    with window("tweezer_counts", "Count atoms") as (viewer, dock, widget):
        regions = widget.source.regions
        regions.weights.setCurrentIndex(regions.weights.findData("learn"))
        widget.source.regions_fold.expand(animate=False)
        viewer.dims.set_current_step(0, 6)
        viewer.reset_view()
        scroll_to(widget, widget.source.regions_fold)
        before = cut(viewer, canvas(viewer), dock)
        regions.count_button.click()
        finished(widget)
        scroll_to(widget, widget.folds["result"])
        return side_by_side(before, cut(viewer, dock))


def fitted(widget: Any) -> None:
    """Press "Run"."""
    finished(widget)
    widget.run_button.click()
    finished(widget)


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """Return pictures in a row, as high as the lowest."""
    height = min(len(picture) for picture in pictures)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture[:height], gap)]
    return np.concatenate(parts[:-1], axis=1)


def found_and_judged(widget: Any) -> None:
    """Press "Find sites", then "Run"."""
    for button in (widget.calibrate.find_button, widget.run_button):
        button.click()
        finished(widget)


def busiest(places: np.ndarray, reach: float) -> np.ndarray:
    """Return the place (y, x) that has the most others within reach."""
    distance = np.linalg.norm(places[:, None] - places, axis=-1)
    return np.asarray(places[np.argmax((distance < reach).sum(axis=1))])


PICTURES = (
    lattice_window,
    lattice_calibrated,
    lattice_grid,
    lattice_readout,
    lattice_survival,
    lattice_tweezers,
    detect_clouds,
    annotate,
    train_network,
    tune,
    count_dock,
    count_question,
    count_tabs,
    count_sites,
)


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture with as many colours as its size allows."""
    image = Image.fromarray(picture)
    seen, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    # what is small, such as a thin line, shall keep its colour beside a large noisy image
    weighted = Image.fromarray(np.repeat(seen, np.sqrt(counts).astype(int), axis=0)[None])
    for colors in (256, 160, 96, 64, 48):
        palette = weighted.quantize(colors, kmeans=2)
        image.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= LARGEST:
            break
    print(f"{path.name}: {path.stat().st_size // 1000} kB, {colors} colours")


def main(names: list[str]) -> None:
    """Make the pictures of these names, or all."""
    with own_settings(headless=True):
        for make in PICTURES:
            if not names or make.__name__ in names:
                save(make(), IMAGES / f"{make.__name__}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
