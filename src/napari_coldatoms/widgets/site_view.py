"""The sites of the image that is shown, as layers that follow the sliders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.analyses.site_layers import image_outline, image_sites
from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend.run import Run
from napari_coldatoms.widgets.result_layers import (
    is_edited,
    mark_of,
    release,
    show_steps,
    shown,
)

BoolArray = NDArray[np.bool_]

ANALYSIS = ReconstructLattice.name
_GROUP = "sites"
_REST = 120  # ms after the last step of a slider, until outlines follow


class SiteView(QObject):
    """Shows the sites of one image, and tells which of them the user selects.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject
    """

    selected = Signal(object)
    """The sites that the user has selected, (n,) bool over all sites; None for none."""
    moved = Signal()
    """The sliders show another image, or `ask` was called."""

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: SiteImage | None = None
        self._points: Any = None
        self._choosing = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.moved)
        self._stepping = False
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._on_rest)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.dims.events.ndisplay.connect(self._on_view)

    @property
    def image(self) -> SiteImage | None:
        """The image whose sites are shown."""
        return self._image

    def show(
        self,
        source: Any,
        run: Run,
        image: SiteImage | None,
        *,
        chosen: bool = True,
        make: bool = False,
    ) -> None:
        """Show the sites of an image of a layer; of None, no sites.

        What the user selects is told of the image that was shown last with `chosen`. Layers that
        are not there are made only if that is wanted: the user may have deleted them, or be about
        to delete all.
        """
        for step in self.show_steps(source, run, image, chosen=chosen, make=make):
            step()

    def show_steps(
        self,
        source: Any,
        run: Run,
        image: SiteImage | None,
        *,
        chosen: bool = True,
        make: bool = True,
    ) -> list[Callable[[], None]]:
        """Return what `show` does, one function per layer."""
        if chosen:
            self._image = image
        if source not in self._viewer.layers:
            return []
        if image is None:
            return [partial(self._hide, source)]
        there = {type(layer).__name__.lower() for layer in self._layers(source)}
        wanted = [(image_outline, "shapes"), (image_sites, "points")]
        if self._stepping and not make:
            wanted = wanted[1:]
        layers = [draw(run, image) for draw, kind in wanted if make or kind in there]
        steps = show_steps(
            self._viewer, source, ANALYSIS, layers, group=_GROUP, picture=str(run.stack.name)
        )
        if self._stepping and not make:
            steps = steps[:-1]  # the outline stays as it is
        return [*steps, partial(self._follow, source)] if chosen else steps

    def leave(self) -> None:
        """Tell of no image what is selected; its sites stay."""
        self._image = None
        self._listen(None)

    def ask(self) -> None:
        """Let `moved` be told soon, once for all that ask."""
        self._later.start()

    def select(self, sites: BoolArray | None) -> None:
        """Select some sites, (n,) bool over all sites, as if the user had done so."""
        if self._points is None or self._points not in self._viewer.layers or self._image is None:
            return
        chosen = () if sites is None else np.flatnonzero(sites[self._image.found.valid])
        self._choosing = True
        try:
            self._points.selected_data = {int(number) for number in chosen}
        finally:
            self._choosing = False

    def _follow(self, source: Any) -> None:
        """Listen to what is selected among the points."""
        for layer in self._layers(source):
            if isinstance(layer, Points) and (self._points is None or layer != self._points):
                self._listen(layer)

    def _listen(self, points: Any) -> None:
        if self._points is not None:
            self._points.selected_data.events.items_changed.disconnect(self._on_selected)
        self._points = points
        if points is not None:
            points.selected_data.events.items_changed.connect(self._on_selected)

    def _layers(self, source: Any) -> list[Any]:
        return shown(self._viewer, source, ANALYSIS, group=_GROUP)

    def _hide(self, source: Any) -> None:
        """Empty the layers: they stay, with the user's looks, for the next image."""
        for layer in self._layers(source):
            if is_edited(layer):
                release(layer)
                continue
            layer.data = np.empty((0, layer.ndim)) if isinstance(layer, Points) else []
            mark_of(layer)["edited"] = False

    def _on_step(self, event: object = None) -> None:
        # at once, so that image and sites are drawn together
        if isalive(self):
            self._later.stop()
            self._stepping = True
            self._rest.start()
            self.moved.emit()

    def _on_rest(self) -> None:
        self._stepping = False
        self.moved.emit()

    def _on_view(self, event: object = None) -> None:
        if isalive(self):
            self.ask()  # outlines wait for the view in 2-D

    def _on_selected(self, *_: object) -> None:
        if self._choosing or not isalive(self) or self._image is None or self._points is None:
            return
        numbers = sorted(self._points.selected_data)
        valid = np.flatnonzero(self._image.found.valid)
        if not numbers or numbers[-1] >= len(valid):  # the user has added points
            self.selected.emit(None)
            return
        sites = np.zeros(len(self._image.found.valid), dtype=np.bool_)
        sites[valid[numbers]] = True
        self.selected.emit(sites)
