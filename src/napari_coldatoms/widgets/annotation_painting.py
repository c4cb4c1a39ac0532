"""How clouds get into the layers of an image: by the brush, by a fit, from another layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_coldatoms.analyses.annotation_seeds import Ruled
from napari_coldatoms.analyses.annotations import Shot, ShotNotes
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.annotation_host import AnnotationHost
from napari_coldatoms.widgets.annotation_jobs import (
    Seeded,
    fit_outlines,
    label_images,
    take_seeds,
)
from napari_coldatoms.widgets.annotation_layers import can_be_imported
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_words import drawn, taken
from napari_coldatoms.widgets.base import button
from napari_coldatoms.widgets.layer_combo import LayerCombo

THIS_SHOT, ALL_SHOTS = "this shot", "all shots"


class PaintingActions:
    """The buttons that paint, for the host to place, and what they do."""

    def __init__(self, host: AnnotationHost) -> None:
        self._host = host
        self.new_button = button(
            "New cloud",
            "new_cloud",
            "take up the brush with a number of its own for the next cloud of the class (key M in "
            "the image); napari's controls at the left change its size",
            self.new_cloud,
        )
        self.rule_button = button(
            "Fit outlines",
            "fit_outlines",
            "fit a Gaussian to each cloud that is painted in this shot, and paint the pixels "
            "inside its 1/e² ellipse instead (rule of arXiv:2011.10536); a rough outline or a "
            "filled box will do; Ctrl+Z takes it back, layer by layer",
            self.fit_outlines,
        )
        self.layer = LayerCombo(host.viewer, can_be_imported)
        self.layer.setObjectName("import_layer")
        self.layer.setPlaceholderText("none")
        self.layer.setToolTip(
            "a layer of shapes (rectangles, ellipses, polygons) or labels, such as what “Detect "
            "clouds” has found"
        )
        self.scope = QComboBox()
        self.scope.setObjectName("import_scope")
        self.scope.addItems([THIS_SHOT, ALL_SHOTS])
        self.scope.setToolTip("take the clouds of the shot that is shown, or of all shots")
        self.take_button = button(
            "Take",
            "import",
            "paint the clouds of that layer: of those with the name of a class into this class, "
            "of all others into the chosen one; what is painted already stays",
            self.take_seeds,
        )

    def set_ready(self, ready: bool) -> None:
        """Enable what can be used."""
        self.rule_button.setEnabled(ready)
        self.take_button.setEnabled(ready and self.layer.layer is not None)

    def new_cloud(self) -> None:
        """Take up the brush for the next cloud of the chosen class."""
        session, name = self._host.session, self._host.classes.current
        if session is not None and name:
            self._host.attempt(lambda: session.activate(name))

    def fit_outlines(self) -> None:
        """Redraw the clouds of the shot that is shown by the paper's rule, in the background."""
        host = self._host
        session, shot = host.ready()
        if session is None or shot is None:
            return
        known = session.notes.notes(shot)
        if not known.clouds:
            host.complain("expected clouds painted in this shot, roughly, found none")
            return
        stack = from_layer(session.source)
        labels = label_images(session.notes, known)

        def work(*, progress: Any, cancel: Any) -> Ruled:
            picture = stack.isel(dict(zip(stack.dims, shot, strict=False))).values
            return fit_outlines(picture, labels, cancel=cancel)

        def done(ruled: Ruled) -> None:
            session.note()
            if session.notes.notes(shot) is not known:
                host.say("You have painted meanwhile: nothing was fitted, press again.")
                return
            session.paint(shot, ruled.labels)
            said = drawn(ruled)
            host.say(said, "\n".join([said, *ruled.failed]))

        host.start(work, done, words="Fitting the clouds of this shot …")

    def take_seeds(self) -> None:
        """Take the clouds of another layer, in the background."""
        host = self._host
        session, here = host.ready()
        layer, chosen = self.layer.layer, host.classes.current
        if session is None or layer is None or not chosen:
            return
        everywhere = self.scope.currentText() == ALL_SHOTS
        shots = list(session.notes.shots()) if everywhere else [] if here is None else [here]

        def work(*, progress: Any, cancel: Any) -> Seeded:
            return take_seeds(
                layer,
                session.source,
                shots,
                here,
                session.notes,
                chosen,
                progress=progress,
                cancel=cancel,
            )

        def done(seeded: Seeded) -> None:
            host.one_by_one(
                [
                    *(
                        partial(_paint, session, shot, labels, seeded.before[shot], everywhere)
                        for shot, labels in seeded.labels.items()
                    ),
                    lambda: host.say(taken(seeded, str(layer.name))),
                ]
            )

        host.start(work, done, words=f"Taking the clouds of “{layer.name}” …")


def _paint(
    session: AnnotationSession,
    shot: Shot,
    labels: dict[str, Any],
    before: ShotNotes,
    everywhere: bool,
) -> None:
    session.note()
    if session.notes.notes(shot) is before:  # else it was painted in meanwhile
        session.paint(shot, labels, undoable=not everywhere)
