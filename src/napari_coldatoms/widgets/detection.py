"""What "Detect clouds" computes in the background: a run with all it shows, and cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import Run, leading_dims, run
from napari_coldatoms.clouds.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.clouds.network_process import NetworkStopped, network_pid
from napari_coldatoms.images.stack import pixel_size, unit
from napari_coldatoms.widgets.cuts import Cut, principal_cuts
from napari_coldatoms.widgets.jobs import Cancelled


@dataclass(frozen=True)
class Detected:
    """A run and what it shows, made in the background."""

    run: Run
    layers: list[LayerData]
    models: list[LayerData] = field(default_factory=list)


def detect_and_draw(
    analysis: DetectClouds,
    stack: Any,
    frames: list[tuple[int, ...]] | None,
    with_models: bool,
    *,
    progress: Any = None,
    cancel: Any = None,
    on_restart: Callable[[str], None] | None = None,
) -> Detected:
    """Run the analysis and make its layers: all that takes time.

    Raises
    ------
    Cancelled
        Where the network was being started.
    Exception
        What ``analysis.context`` raises.
    """
    if not is_compiled():
        compile_elsewhere(cancel)
    try:
        context = analysis.context(stack, frames, cancel=cancel, on_restart=on_restart)
    except NetworkStopped:
        raise Cancelled("Cancelled.") from None
    done = run(analysis, stack, progress=progress, cancel=cancel, frames=frames, context=context)
    _ = done.table, done.failures  # summarised here and now, kept for later
    models = analysis.model_layers(done) if with_models else []
    return Detected(done, analysis.layers(done), models)


def beginning(analysis: DetectClouds, name: str) -> str:
    """Say in words what a run begins with."""
    words = f"Searching “{name}” …"
    if not is_compiled():
        words += " (compiling first, once after an installation: about 20 s)"
    if analysis.method == "mask-rcnn" and network_pid() is None:
        words += " (starting the network first: some seconds)"
    return words


def cuts_of(done: Run, index: tuple[int, ...], cloud: Any) -> tuple[Cut, Cut]:
    """Return the cuts through a cloud, with its fit or else the Gaussian of its mask."""
    stack = done.stack
    picture = np.asarray(stack.isel(dict(zip(leading_dims(stack), index, strict=True))).values)
    gaussian = cloud.best
    along, across = principal_cuts(
        picture,
        gaussian,
        centre=(gaussian.y0, gaussian.x0),
        radii=(gaussian.wx, gaussian.wy),
        theta=gaussian.theta,
        pixel_size=pixel_size(stack),
        unit=unit(stack),
    )
    fitted = cloud.fit is not None and cloud.fit.success
    return replace(along, fitted=fitted), replace(across, fitted=fitted)


def summary(found: int, frames: int, failed: int, cancelled: bool) -> str:
    """Say in words what a run gave.

    >>> summary(3, 10, 1, False)
    '3 clouds in 10 frames, 1 failed.'
    """
    words = (
        f"{found} cloud{'s' if found != 1 else ''} in {frames} frame{'s' if frames != 1 else ''}"
    )
    if failed:
        words += f", {failed} failed"
    return f"{words}; cancelled before the end." if cancelled else f"{words}."
