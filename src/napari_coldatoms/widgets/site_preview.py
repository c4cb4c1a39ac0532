"""The shot that is shown, judged at once while the user changes slider or parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.base import ImageWidget
from napari_coldatoms.widgets.jobs import Cancelled, Job
from napari_coldatoms.widgets.judged_layer import JudgedLayer, shot_shown
from napari_coldatoms.widgets.reconstruction import (
    Reconstructed,
    compiled_first,
    prepared,
    reconstruct,
    to_reconstruct,
)

_DELAY = 150  # ms


class SitePreview(QObject):
    """Judges the shot of the host's layer that is shown, some time after it was asked to.

    Parameters
    ----------
    host : ImageWidget
        Whose layer and calibration are taken; while it is busy nothing is judged.
    analysis : callable
        Returns the analysis as the controls say.
    judged : callable
        Returns the `JudgedLayer` of a layer or None: what is known already is not judged again.
    """

    made = Signal(object, object, object)
    """Layer, its stack and what was found, a `Reconstructed`."""

    def __init__(
        self,
        host: ImageWidget,
        analysis: Callable[[], ReconstructLattice],
        judged: Callable[[Any], JudgedLayer | None],
    ) -> None:
        super().__init__(host)
        self._host = host
        self._analysis = analysis
        self._judged = judged
        self._job = Job(self)
        self._job.succeeded.connect(self._on_made)
        self._job.failed.connect(self._on_failed)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_DELAY)
        self._later.timeout.connect(self._start)

    def ask(self) -> None:
        """Judge the shot that is shown soon, once for all that ask."""
        self._later.start()

    def stop(self) -> None:
        """Judge no more, and take nothing from what is at work."""
        self._later.stop()
        self._job.abandon()

    def _start(self) -> None:
        host = self._host
        if not isalive(host) or host.busy or host.layer is None:
            return
        known, source = host.calibrate.calibration, host.layer
        if known is None:
            return
        try:
            stack = from_layer(source)
            analysis = self._analysis()
            pictures = to_reconstruct(analysis, stack)
        except ValueError as error:
            host.say(str(error))
            return
        here = shot_shown(host.viewer, source, stack, analysis)
        if here is None:
            return
        before = self._judged(source)
        for made in (None, None) if before is None else (before.preview, before.result):
            if made is not None and made.is_of(analysis, known, here[0]):
                return
        frames = [here[0]]

        def work(*, progress: Any, cancel: Any) -> tuple[Any, Any, Reconstructed]:
            context = prepared(analysis, pictures, known, frames, progress=progress, cancel=cancel)
            return source, stack, reconstruct(analysis, pictures, context, frames)

        self._job.abandon()
        self._job.start(compiled_first(work))

    def _on_made(self, found: tuple[Any, Any, Reconstructed]) -> None:
        source = found[0]
        if source in self._host.viewer.layers and source == self._host.layer:
            self.made.emit(*found)

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, Cancelled):
            self._host.say(str(error))
