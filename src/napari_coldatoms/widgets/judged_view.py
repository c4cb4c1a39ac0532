"""What was judged of the image layers, shown as the sliders are: sites in the viewer, numbers."""

from __future__ import annotations

from typing import Any

from numpy import bool_
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend.run import Run
from napari_coldatoms.widgets.base import ImageWidget
from napari_coldatoms.widgets.form import ParameterForm
from napari_coldatoms.widgets.jobs import Job
from napari_coldatoms.widgets.judged_layer import JudgedLayer
from napari_coldatoms.widgets.readout import ReadoutPanel
from napari_coldatoms.widgets.reconstruction import Reconstructed, summed_up, with_threshold
from napari_coldatoms.widgets.region import RegionChooser
from napari_coldatoms.widgets.site_view import SiteView


class JudgedView(QObject):
    """Shows sites and numbers of the image that the sliders show, by threshold and region.

    Both come after the run: shots are judged again from what was kept of them.

    Parameters
    ----------
    host : ImageWidget
        Whose layer is read out; the sites of other layers follow the sliders, too.
    form : ParameterForm
        Holds the threshold that was set by hand.
    readout : ReadoutPanel
    region : RegionChooser
    """

    moved = Signal()
    """The sliders show another image, and it is shown."""

    def __init__(
        self, host: ImageWidget, form: ParameterForm, readout: ReadoutPanel, region: RegionChooser
    ) -> None:
        super().__init__(host)
        self._host = host
        self._form = form
        self._readout = readout
        self._region = region
        self._judged: dict[str, JudgedLayer] = {}  # by the layers' unique ids
        self._trial: float | None = None  # a threshold that is being dragged
        self._range: tuple[float, float] | None = None  # of selected bars
        self.sites = SiteView(host.viewer, self)
        self._job = Job(self)
        self._job.succeeded.connect(self._on_rejudged)
        self._job.failed.connect(host.complain)
        # a control may tell of one change several times
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._rejudge)
        self.sites.moved.connect(self._on_moved)
        self.sites.selected.connect(readout.mark_sites)
        form.changed.connect(self._on_form_changed)
        readout.threshold_moving.connect(self._on_threshold_moving)
        readout.threshold_set.connect(self._on_threshold_set)
        readout.brightness_selected.connect(self._on_brightness_selected)
        readout.image_selected.connect(self._on_image_selected)
        region.changed.connect(self._later.start)

    @property
    def threshold(self) -> float | None:
        """The threshold that was set by hand."""
        value = self._form.values()["threshold"]
        return None if value is None else float(value)

    @property
    def current(self) -> JudgedLayer | None:
        """What was judged of the chosen layer."""
        return self.of(self._host.layer)

    @property
    def result(self) -> Reconstructed | None:
        """The last run of the chosen layer with its tables, judged as it is shown; or None."""
        return None if self.current is None else self.current.result

    def of(self, layer: Any) -> JudgedLayer | None:
        """Return what was judged of a layer; None where nothing was."""
        return None if layer is None else self._judged.get(layer.unique_id)

    def keep(self, judged: JudgedLayer) -> None:
        """Keep what was judged of a layer, until its data change."""
        self._judged[judged.source.unique_id] = judged

    def forget(self, layer: Any) -> bool:
        """Forget what was judged of a layer, and tell whether there was anything."""
        judged = self._judged.pop(layer.unique_id, None)
        if judged is None:
            return False
        if judged.run is not None:
            self.sites.show(layer, judged.run, None)
        self.show_image()
        self.show_series()
        return True

    def turn(self) -> None:
        """Turn to the layer that is chosen now."""
        self._range = None
        self.show_series()
        self._later.start()

    def judge_again(self) -> None:
        """Judge again soon, if the threshold is another or there is a region."""
        found = self.result
        if found is None:
            return
        if self.threshold != found.threshold or self._region.layer is not None:
            self._later.start()

    def show_series(self) -> None:
        """Show what the tables of the chosen layer tell."""
        found = self.result
        self._readout.show_series(
            *((None, None) if found is None else (found.shots, found.comparison))
        )
        self._mark_image()

    def show_image(self, *, make: bool = False) -> None:
        """Show the sites and the numbers of the image of the chosen layer that is shown."""
        threshold = self.threshold if self._trial is None else self._trial
        if self.current is None:
            self.sites.leave()
            self._readout.show_image(None)
            return
        image = self._show_sites(self.current, threshold, make=make)
        self._readout.show_image(image, chosen=self._chosen(), threshold=threshold)
        if self._range is not None:
            self._on_brightness_selected(self._range)

    def _show_others(self) -> None:
        """Let the sites of the other layers follow."""
        for judged in self._judged.values():
            if judged is not self.current and judged.source.visible:
                self._show_sites(judged, self.threshold)

    def _show_sites(
        self, judged: JudgedLayer, threshold: float | None, *, make: bool = False
    ) -> SiteImage | None:
        """Show the sites of one layer, and return the image that they are of."""
        image, run = judged.image(self._host.viewer)
        if image is not None and threshold is not None:
            image = image.with_threshold(threshold)
        if run is not None:
            self.sites.show(judged.source, run, image, chosen=judged is self.current, make=make)
        return image

    def _mark_image(self) -> None:
        judged = self.current
        self._readout.mark_image(None if judged is None else judged.row(self._host.viewer))

    def _chosen(self) -> NDArray[bool_] | None:
        """Return the sites within the region of interest; None for all."""
        judged = self.current
        if judged is None or judged.run is None:
            return None
        return self._region.sites(judged.source, judged.run.context.calibration)

    def _on_moved(self) -> None:
        if not isalive(self) or not self._judged:
            return
        self.show_image()
        if self._trial is not None:
            return  # the line is dragged
        self._show_others()
        self._mark_image()
        self.moved.emit()

    def _on_form_changed(self) -> None:
        if self.result is not None and self.threshold != self.result.threshold:
            self._later.start()

    def _on_threshold_moving(self, value: float) -> None:
        self._trial = value
        self.sites.ask()

    def _on_threshold_set(self, value: float | None) -> None:
        self._trial = None
        self._form.set_values({"threshold": value})
        self._later.start()

    def _rejudge(self) -> None:
        """Judge all shots by the threshold and sum up the region, in the background."""
        judged = self.current
        self.show_image()
        self._show_others()
        if judged is None or judged.automatic is None:
            return  # a preview at most
        automatic, threshold, chosen = judged.automatic, self.threshold, self._chosen()

        def work(*, progress: Any, cancel: Any) -> tuple[Run, Reconstructed]:
            return automatic, summed_up(with_threshold(automatic, threshold), chosen)

        self._job.abandon()
        self._job.start(work)

    def _on_rejudged(self, made: tuple[Run, Reconstructed]) -> None:
        automatic, found = made
        for judged in self._judged.values():
            if judged.automatic is automatic:
                judged.take(found)
        self.show_series()

    def _on_brightness_selected(self, wanted: tuple[float, float] | None) -> None:
        self._range = wanted
        image = self.sites.image
        if image is None or wanted is None:
            self.sites.select(None)
            self._readout.mark_sites(None)
            return
        low, high = wanted
        sites = image.found.valid & (image.found.brightness >= low)
        sites &= image.found.brightness < high
        chosen = self._chosen()
        self.sites.select(sites if chosen is None else sites & chosen)

    def _on_image_selected(self, number: int) -> None:
        """Move the sliders to an image of the series."""
        if self.current is not None:
            self.current.go_to(self._host.viewer, number)
