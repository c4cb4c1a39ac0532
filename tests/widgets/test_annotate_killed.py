"""napari is killed in the middle of a stroke; the next session brings the painting back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_coldatoms.analyses.annotation_recovery import read_unsaved
from napari_coldatoms.images.stack import make_stack

PLUGIN = "napari-coldatoms"
PICTURES = np.random.default_rng(1).normal(0, 0.02, (4, 96, 128)).astype(np.float32)

PAINTER = """
import sys
import napari, numpy as np
from napari_coldatoms.demo import wait
from napari_coldatoms.images.stack import make_stack, to_layer

viewer = napari.Viewer()
data, kwargs, _ = to_layer(
    make_stack(np.load(sys.argv[1]), name="series", attrs={"source": "/data/series.h5"})
)
viewer.add_image(data, **kwargs)
_, widget = viewer.window.add_plugin_dock_widget("napari-coldatoms", "Annotate clouds")
session = widget.session
for shot, centre in ((0, (40, 30)), (2, (60, 90))):
    session.go_to((shot,))
    layer = session.activate("cloud")
    layer.brush_size = 20
    layer.paint((shot, *centre), layer.selected_label)
np.save(sys.argv[2], layer.data)
print("painted", flush=True)
with layer.block_history():  # the mouse button is down, for ever
    x = 20
    while True:
        x = x + 1 if x < 110 else 20
        layer.paint((2, 20, x), 7)
        wait(0.02)
"""


@pytest.mark.slow
def test_nothing_is_lost_when_napari_is_killed(qtbot, viewer, add, tmp_path, monkeypatch) -> None:
    np.save(tmp_path / "pictures.npy", PICTURES)
    state, painted = tmp_path / "state", tmp_path / "painted.npy"
    monkeypatch.setenv("COLDATOMS_CONFIG", str(state))
    child = subprocess.Popen(
        [sys.executable, "-c", PAINTER, tmp_path / "pictures.npy", painted],
        env={**os.environ, "NAPARI_CONFIG": str(tmp_path / "napari.yaml")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "painted"
        wait_for_stroke(state / "unsaved")
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(30)

    # the next session
    add(make_stack(PICTURES, name="series", attrs={"source": "/data/series.h5"}))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Annotate clouds")
    qtbot.waitUntil(lambda: widget.banner.isVisible())
    assert "never saved: 2 shots" in widget.banner.words.text()
    widget.banner.recover_button.click()
    data, whole = viewer.layers["cloud of series"].data, np.load(painted)
    np.testing.assert_array_equal(data[0], whole[0])
    outside = data[2] != 7
    np.testing.assert_array_equal(data[2][outside], whole[2][outside])
    assert (data[2] == 7).sum() > 300  # more than a touch of the brush
    assert widget.session.notes.unsaved == ((0,), (2,))


def wait_for_stroke(folder: Path, timeout: float = 120) -> None:
    """Wait until a good part of the unfinished stroke is on disk."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        time.sleep(0.2)
        for path in folder.glob("[!.]*.npz"):  # a name with a dot is of a file under way
            patch = read_unsaved(path).notes.get((2,))
            if patch and (patch.clouds["cloud"].pixels == 7).sum() > 600:
                return
    raise TimeoutError("the stroke did not get on disk")
