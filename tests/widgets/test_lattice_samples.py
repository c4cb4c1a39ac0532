"""Every lattice sample in a real window: found without a guess, judged, and compared."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Points
from qtpy.QtCore import Qt

from napari_coldatoms import samples
from napari_coldatoms.analyses import ReconstructLattice
from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.backend import run
from napari_coldatoms.lattice import Lattice

PLUGIN = "napari-coldatoms"
SAMPLES = (
    ("lattice_image", "dark"),
    ("triangular_lattice", "light"),
    ("tweezer_array", "dark"),
    ("drifting_lattice", "light"),
    ("survival_pair", "dark"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("sample", "theme"), SAMPLES)
def test_the_window_gives_the_numbers_of_the_command_line(
    qtbot, viewer, finished, looked_at, sample, theme
) -> None:
    viewer.theme = theme
    viewer.open_sample(PLUGIN, sample)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Reconstruct lattice")
    qtbot.mouseClick(widget.calibrate.find_button, Qt.MouseButton.LeftButton)
    finished(widget)
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)
    looked_at(viewer, f"{sample}-{theme}")

    stack = getattr(samples, sample)()
    analysis = ReconstructLattice()
    headless = run(analysis, stack, context=analysis.context(stack, calibrate_lattice(stack)))
    table = widget.result.run.table
    for name in ("i", "j", "occupied", "valid"):
        np.testing.assert_array_equal(table[name], headless.table[name])
    # the order of sums in several threads of BLAS moves where an iteration stops
    for name in ("y", "x", "brightness", "probability"):
        np.testing.assert_allclose(table[name], headless.table[name], rtol=1e-7, atol=1e-7)
    shots = analysis.shots(headless)
    pd.testing.assert_frame_equal(widget.result.shots, shots, rtol=1e-6, atol=1e-7)

    # nearly all of the truth: places within half a site of one another
    truth = stack.attrs["truth"]
    if sample in ("lattice_image", "drifting_lattice"):
        present = np.ravel(truth["occupied"])
        assert (table["occupied"].to_numpy() == present).mean() > 0.999
    points = next(layer for layer in viewer.layers if isinstance(layer, Points) and layer.visible)
    assert points.ndim == 2
    assert len(points.data) > 0.9 * len(widget.calibrate.calibration.lattice)


def test_all_layers_may_be_deleted_at_once(qtbot, viewer, finished) -> None:
    viewer.open_sample(PLUGIN, "lattice_image")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Reconstruct lattice")
    truth = samples.lattice_image().attrs["truth"]
    guess = Lattice(truth["vectors_px"], truth["origin_px"], tuple(truth["shape"]))
    widget.calibrate.take(calibrate_lattice(samples.lattice_image(), guess=guess))
    widget.form.set_values({"method": "global"})
    widget.run()
    finished(widget)
    sites = next(layer for layer in viewer.layers if isinstance(layer, Points) and layer.visible)
    viewer.layers.remove(sites)
    viewer.dims.set_point(0, 3.0)
    assert sites not in viewer.layers  # what the user deletes comes back with the next run only
    viewer.layers.clear()
    assert not viewer.layers
