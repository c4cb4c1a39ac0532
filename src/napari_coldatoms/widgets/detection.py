"""What "Detect clouds" computes in the background: a run with all it shows, and cuts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import Run, leading_dims, run
from napari_coldatoms.clouds.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.images.stack import pixel_size, unit
from napari_coldatoms.widgets.cuts import Cut, principal_cuts


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
) -> Detected:
    """Run the analysis and make its layers: all that takes time."""
    if not is_compiled():
        compile_elsewhere(cancel)
    done = run(analysis, stack, progress=progress, cancel=cancel, frames=frames)
    _ = done.table, done.failures  # summarised here and now, kept for later
    models = analysis.model_layers(done) if with_models else []
    return Detected(done, analysis.layers(done), models)


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
