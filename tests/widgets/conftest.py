"""A napari window for the widgets' tests, with remembered parameters of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

PLUGIN = "napari-coldatoms"


@pytest.fixture(autouse=True)
def _own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDATOMS_CONFIG", str(tmp_path / "remembered"))


@pytest.fixture(autouse=True)
def _own_notifications() -> None:
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()


@pytest.fixture(autouse=True)
def _plugins_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for plugins once, and not for each window: they stay the same."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    if PLUGIN not in (manifest.name for manifest in manager.iter_manifests()):
        manager.discover(include_npe1=True)
    monkeypatch.setattr(PluginManager, "discover", lambda *_, **__: 0)


@pytest.fixture(autouse=True)
def _no_dialog(monkeypatch: pytest.MonkeyPatch) -> None:
    """A modal chooser would hang the tests for ever: make it an error."""
    from qtpy.QtWidgets import QDialog

    def refuse(self, *_):
        raise AssertionError(f"a modal dialog was opened: {type(self).__name__}")

    monkeypatch.setattr(QDialog, "exec_", refuse, raising=False)
    monkeypatch.setattr(QDialog, "exec", refuse)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """Return an empty napari window of usual size, as a plugin sees it."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1366, 768)
    return viewer


@pytest.fixture
def finished(qtbot) -> Callable:
    """Return a function that waits until a widget is idle."""

    def wait(widget, timeout: int = 60_000) -> None:
        qtbot.waitUntil(lambda: not widget.busy, timeout=timeout)

    return wait


@pytest.fixture
def detect(viewer) -> Iterator:
    """Return the widget "Detect clouds", opened in the window as the user would.

    Its method is "threshold", which starts no network: most of the widget is the same with both.
    """
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Detect clouds")
    widget.form.set_values({"method": "threshold"})
    return widget


@pytest.fixture
def raw_frames(viewer):
    """Return the widget "Raw frames → picture", opened in the window as the user would."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Raw frames → picture")
    return widget


@pytest.fixture
def looked_at(qtbot) -> Callable:
    """Return a function that takes a screenshot, kept in the folder COLDATOMS_SCREENSHOTS."""

    def take(viewer, name: str) -> np.ndarray:
        qtbot.wait(100)
        seen = np.asarray(viewer.screenshot(canvas_only=False, flash=False))
        folder = os.environ.get("COLDATOMS_SCREENSHOTS")
        if folder:
            from skimage.io import imsave

            Path(folder).mkdir(parents=True, exist_ok=True)
            imsave(Path(folder) / f"{name}.png", seen[..., :3], check_contrast=False)
        return seen

    return take


@pytest.fixture
def add(viewer) -> Callable:
    """Return a function that adds a stack to the window as its reader would."""
    from napari_coldatoms.images.stack import to_layer

    def add(stack, **overrides):
        data, kwargs, _ = to_layer(stack, **overrides)
        return viewer.add_image(data, **kwargs)

    return add


@pytest.fixture(scope="session")
def series():
    """Return pictures of three shots with two clouds each, 4 um pixels, dims (shot, y, x)."""
    from napari_coldatoms.clouds.gaussian import Gaussian2D
    from napari_coldatoms.images.stack import make_stack

    rng = np.random.default_rng(4)
    shape = (96, 128)
    pictures = [
        Gaussian2D(38 + 4 * i, 40, 14, 9, 0.4, 1.5, 0.0).image(shape)
        + Gaussian2D(96, 60, 9, 7, 0.1, 1.0, 0.0).image(shape)
        + rng.normal(0, 0.03, shape)
        for i in range(3)
    ]
    return make_stack(
        np.stack(pictures),
        pixel_size=4.0,
        name="series",
        coords={"hold": ("shot", np.array([1.0, 2.0, 3.0]), {"units": "ms"})},
        attrs={"kind": "optical_depth", "source": "/data/series.h5"},
    )


@pytest.fixture(scope="session")
def site_image() -> Callable:
    """Return a function that makes an image of a lattice as it is judged, from two modes."""
    from napari_coldatoms.analyses.lattice_series import Place
    from napari_coldatoms.analyses.site_result import SiteImage
    from napari_coldatoms.lattice.geometry import Lattice
    from napari_coldatoms.lattice.parameters import ImagingParameters
    from napari_coldatoms.lattice.reconstruction import Reconstruction
    from napari_coldatoms.statistics.mixture import Mixture

    modes = Mixture(np.array([0.6, 0.4]), np.array([0.0, 1000.0]), np.array([60.0, 120.0]))

    def make(shape=(50, 50), *, seed=1, contrast=True, remarks=()) -> SiteImage:
        """Three sites are not valid; without contrast all are empty."""
        rng = np.random.default_rng(seed)
        lattice = Lattice.square(4.0, shape)
        upper = ((rng.random(len(lattice)) < modes.weights[1]) & contrast).astype(int)
        brightness = rng.normal(modes.means[upper], modes.sds[upper])
        valid = np.arange(len(lattice)) >= 3
        brightness[~valid] = np.nan
        probability = np.where(contrast, modes.probability(brightness), np.nan)
        errors = np.minimum(probability, 1 - probability)[valid]
        found = Reconstruction(
            brightness=brightness,
            occupied=probability > 0.5,
            probability=probability,
            threshold=modes.threshold,
            mixture=modes,
            predicted_error_rate=float(errors.mean()),
            snr_db=14.8 if contrast else np.nan,
            background=np.full((1, 1), 50.0),
            parameters=ImagingParameters(0.4, 1000, 100, 50),
            valid=valid,
            bad_pixels=np.zeros((1, 1), dtype=bool),
            has_contrast=contrast,
            remarks=(),
            method="local",
        )
        place = Place((0.1, -0.2), (0.02, 0.03), 12.0, True)
        return SiteImage(found, lattice, place, (0.1, -0.2), 0, tuple(remarks))

    return make
