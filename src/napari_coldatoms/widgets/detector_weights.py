"""Weights that are handed to the widget "Detect clouds", open or opened later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.detect_clouds import ANALYSIS, DetectCloudsWidget

METHOD = "mask-rcnn"


def use_weights(viewer: Any, path: Path) -> bool:
    """Make "Detect clouds" find clouds with these weights; return whether it is open.

    Where it is not, it will have them when it is opened.
    """
    before = memory.recall(ANALYSIS)
    network = before.get("network")
    network = {**(network if isinstance(network, dict) else {}), "weights": str(path)}
    memory.remember(ANALYSIS, {**before, "method": METHOD, "network": network})
    open_ones = [
        widget
        for widget in viewer.window.dock_widgets.values()
        if isinstance(widget, DetectCloudsWidget)
    ]
    for widget in open_ones:
        widget.form.set_values({"method": METHOD, "network": {"weights": str(path)}})
    return bool(open_ones)
