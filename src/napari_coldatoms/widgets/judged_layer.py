"""What was judged of one image layer, and which of it the sliders show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_coldatoms.analyses.lattice_images import frames_of_atoms
from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend.run import Run
from napari_coldatoms.images.stack import is_raw
from napari_coldatoms.widgets.base import shown_frame
from napari_coldatoms.widgets.reconstruction import Reconstructed

Shot = tuple[tuple[int, ...], int]
"""The place of a shot, and the number of an image among its images of atoms."""


@dataclass(eq=False)
class JudgedLayer:
    """What was judged of one image layer.

    Attributes
    ----------
    source : napari.layers.Image
    stack : DataArray
        As it is in the layer.
    automatic : Run or None
        The last run, judged by the probabilities.
    result : Reconstructed or None
        The same with its tables, judged as it is shown.
    preview : Reconstructed or None
        One shot, judged since then.
    rows : list of Shot
        That of each row of the table of shots.
    """

    source: Any
    stack: Any
    automatic: Run | None = None
    result: Reconstructed | None = None
    preview: Reconstructed | None = None
    rows: list[Shot] = field(default_factory=list)

    def take(self, found: Reconstructed) -> None:
        """Take over a run, or the same judged in another way."""
        self.result = found
        self.rows = [
            (frame.index, number)
            for frame in found.run.good
            for number in range(len(frame.result.images))
        ]

    @property
    def run(self) -> Run | None:
        """The run, or the preview where there is none yet."""
        return self.automatic or (None if self.preview is None else self.preview.run)

    def image(self, viewer: Any) -> tuple[SiteImage | None, Run | None]:
        """Return the image that is shown as judged by its probabilities, and the run it is of."""
        for run in (None if self.preview is None else self.preview.run, self.automatic):
            here = None if run is None else self._shown(viewer, run)
            if run is None or here is None:
                continue
            frame = next((each for each in run.good if each.index == here[0]), None)
            if frame is not None and here[1] < len(frame.result.images):
                return frame.result.images[here[1]], run
        return None, self.run

    def row(self, viewer: Any) -> int | None:
        """Return which row of the table of shots is shown."""
        here = None if self.automatic is None else self._shown(viewer, self.automatic)
        return self.rows.index(here) if here in self.rows else None

    def go_to(self, viewer: Any, row: int) -> None:
        """Move the sliders to the image in a row of the table of shots."""
        if self.automatic is None or not 0 <= row < len(self.rows):
            return
        shot, image = self.rows[row]
        stack, analysis = self.stack, self.automatic.analysis
        place = dict(zip((d for d in stack.dims[:-2] if d != "frame"), shot, strict=True))
        assert isinstance(analysis, ReconstructLattice)
        if analysis.takes(stack):
            place["frame"] = frames_of_atoms(stack, pairs=analysis.pairs)[image]
        dims = stack.transpose(..., "shot", "y", "x", missing_dims="ignore").dims[:-2]
        world = self.source.data_to_world((*(place.get(dim, 0) for dim in dims), 0, 0))
        first = viewer.dims.ndim - self.source.ndim
        for axis, dim in enumerate(dims):
            if dim in place:
                viewer.dims.set_point(first + axis, world[axis])

    def _shown(self, viewer: Any, run: Run) -> Shot | None:
        assert isinstance(run.analysis, ReconstructLattice)
        if self.source.ndim != self.stack.ndim:
            return None  # it is being given other data
        return shot_shown(viewer, self.source, self.stack, run.analysis)


def shot_shown(viewer: Any, layer: Any, stack: Any, analysis: ReconstructLattice) -> Shot | None:
    """Return which image of atoms of a layer the sliders show; None where they show none.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    stack : DataArray
        Taken from the layer.
    analysis : ReconstructLattice
        What tells which raw frames show the same atoms.
    """
    place = shown_frame(viewer, layer, stack)
    if place is None or not is_raw(stack):
        return None if place is None else (place, 0)
    at = stack.dims.index("frame")
    shot = place[:at] + place[at + 1 :]
    if not analysis.takes(stack):
        return shot, 0
    numbers = frames_of_atoms(stack, pairs=analysis.pairs)
    return (shot, numbers.index(place[at])) if place[at] in numbers else None
