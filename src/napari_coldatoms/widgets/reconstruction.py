"""What "Reconstruct lattice" computes in the background: a run with all it shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_coldatoms.analyses.make_picture import MakePicture, to_analyse
from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.analyses.site_tables import compare_images, shots_table
from napari_coldatoms.backend.run import Run, frame_columns, run
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.lattice.pair_comparison import PairComparison
from napari_coldatoms.widgets.jobs import stopping

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Reconstructed:
    """A run and what the read-out shows of it, made in the background."""

    run: Run
    shots: pd.DataFrame
    comparison: PairComparison | None

    @property
    def calibration(self) -> Calibration:
        """The calibration that was used."""
        found: Calibration = self.run.context.calibration
        return found

    @property
    def threshold(self) -> float | None:
        """The threshold that the sites were judged by; None by their probabilities."""
        value: float | None = self.run.analysis.threshold  # type: ignore[attr-defined]
        return value

    def is_of(
        self, analysis: ReconstructLattice, calibration: Calibration, index: tuple[int, ...]
    ) -> bool:
        """Tell whether a shot was judged in this way, the threshold apart."""
        made = replace(self.run.analysis, threshold=None)  # type: ignore[type-var]
        same = made == replace(analysis, threshold=None) and self.calibration is calibration
        return same and self.image(index) is not None

    def image(self, index: tuple[int, ...], number: int = 0) -> SiteImage | None:
        """Return an image of a shot; None where that has no result."""
        frame = next((f for f in self.run.good if f.index == index), None)
        return None if frame is None else frame.result.images[number]


def compiled_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a job's function that lets another process compile the kernels, if need be."""

    def work(*, progress: Any, cancel: Any) -> Any:
        if not is_compiled():
            compile_elsewhere(cancel)
            stopping(progress, cancel)(0, 1)
        return function(progress=progress, cancel=cancel)

    return work


def to_reconstruct(analysis: ReconstructLattice, stack: Any) -> Any:
    """Return what is analysed: the stack, or the picture of raw frames with one image of atoms."""
    return to_analyse(analysis, MakePicture(kind="fluorescence"), stack)


def prepared(
    analysis: ReconstructLattice,
    stack: Any,
    calibration: Calibration | None,
    frames: list[tuple[int, ...]] | None,
    *,
    progress: Callable[[int, int], None],
    cancel: Callable[[], bool],
) -> Any:
    """Return what all shots share, or some of them."""
    shots = None if frames is None else [index[0] for index in frames if index]
    report = stopping(progress, cancel)
    return analysis.context(stack, calibration, shots=shots or None, progress=report)


def reconstruct(
    analysis: ReconstructLattice,
    stack: Any,
    context: Any,
    frames: list[tuple[int, ...]] | None,
    *,
    progress: Any = None,
    cancel: Any = None,
) -> Reconstructed:
    """Run the analysis and make its tables: all that takes time."""
    # more threads than processors would only hold up the window
    with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
        done = run(
            analysis,
            stack,
            executor=executor,
            progress=progress,
            cancel=cancel,
            frames=frames,
            context=context,
        )
    _ = done.failures  # made here and now, kept for later
    return summed_up(done)


def summed_up(done: Run, region: BoolArray | None = None) -> Reconstructed:
    """Return a run with its tables; of the sites of a region, (n,) bool, where one is given."""
    return Reconstructed(done, shots_table(done, region), compare_images(done, region))


def with_threshold(automatic: Run, threshold: float | None) -> Run:
    """Return a run with its sites judged by a threshold; None is by their probabilities.

    `automatic` is judged by the probabilities.
    """
    if threshold is None:
        return automatic
    assert isinstance(automatic.analysis, ReconstructLattice)
    frames = tuple(
        replace(frame, result=frame.result.with_threshold(threshold))
        if frame.error is None
        else frame
        for frame in automatic.frames
    )
    analysis = replace(automatic.analysis, threshold=threshold)
    return replace(automatic, analysis=analysis, frames=frames)


def failure_lines(done: Run) -> list[str]:
    """Return a line for each shot that could not be judged."""
    names = frame_columns(done.stack)
    return [
        f"{', '.join(f'{name} {each[name]}' for name in names)}: {each['error']}"
        for each in done.failures.to_dict("records")
    ]


def summary(found: Reconstructed) -> str:
    """Say in words what a run gave."""
    done = found.run
    first = [frame.result.images[0].atoms for frame in done.good]
    words = f"{_counted(sum(first), 'atom')} in "
    if any(len(frame.result.images) > 1 for frame in done.good):
        words += "the first images of "
    words += _counted(len(done.frames), "shot")
    failed = len(done.failures)
    if failed:
        words += f", {failed} failed"
    unclear = int((~found.shots["judged"]).sum()) if len(found.shots) else 0
    if unclear:
        words += f", {_counted(unclear, 'image')} without contrast"
    if not found.calibration.quality.trusted:
        words += "; the calibration is not trusted"
    return f"{words}; cancelled before the end." if done.cancelled else f"{words}."


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number != 1 else ''}"
