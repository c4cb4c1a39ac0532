"""What the dock widgets have in common: a layer, a job in the background, words about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QWidget

from napari_coldatoms.widgets.job_widget import MINIMUM_WIDTH, PREFERRED_WIDTH, JobWidget
from napari_coldatoms.widgets.layer_combo import LayerCombo
from napari_coldatoms.widgets.result_layers import is_result

__all__ = [
    "MINIMUM_WIDTH",
    "PREFERRED_WIDTH",
    "ImageWidget",
    "JobWidget",
    "button",
    "is_source",
    "row",
    "shown_frame",
]


def is_source(layer: Any) -> bool:
    """Tell whether a layer can be analysed: an Image layer that is no result of ours."""
    return isinstance(layer, Image) and not is_result(layer)


def shown_frame(viewer: Any, layer: Any, stack: Any) -> tuple[int, ...] | None:
    """Return which picture of a layer the sliders show; None where that is outside of it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    layer : napari.layers.Image
    stack : DataArray
        Taken from the layer, see `from_layer`.

    Returns
    -------
    tuple of int or None
        The place along the stack's dims but the last two, in their order: of raw frames the shot
        comes before the frame, while in their layer the frame comes first.
    """
    point = np.asarray(viewer.dims.point)[-layer.ndim :]
    place = np.rint(np.asarray(layer.world_to_data(point))[:-2]).astype(int).tolist()
    in_layer = stack.transpose(..., "shot", "y", "x", missing_dims="ignore").dims[:-2]
    along = dict(zip(in_layer, place, strict=True))
    dims = stack.dims[:-2]
    index = tuple(along[dim] for dim in dims)
    inside = all(0 <= i < stack.sizes[dim] for dim, i in zip(dims, index, strict=True))
    return index if inside else None


class ImageWidget(JobWidget):
    """A dock widget that works on an image layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    title : str
        What it does, for messages.
    layer_tooltip : str
    accept : callable
        Which layers are on offer.
    """

    def __init__(
        self,
        viewer: Any,
        *,
        title: str,
        layer_tooltip: str,
        accept: Callable[[Any], bool] = is_source,
    ) -> None:
        # first of all: when a layer is removed, the combo box is to know of it before the job does
        combo = LayerCombo(viewer, accept)
        super().__init__(viewer, title=title)
        self.layer_combo = combo
        self.layer_combo.setObjectName("image_layer")
        self.layer_combo.setToolTip(layer_tooltip)
        self.head = QFormLayout()
        self.head.setContentsMargins(0, 0, 0, 0)
        self.head.setVerticalSpacing(3)
        self.head.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.head.addRow("image", self.layer_combo)
        self.rows.addLayout(self.head)

    @property
    def layer(self) -> Any:
        """The layer that is chosen, or None."""
        return self.layer_combo.layer

    @property
    def _job_layer(self) -> Any:
        """The layer that the job works on, or None."""
        return self._job_layers[0] if self._job_layers else None

    def start(
        self, function: Callable[..., Any], done: Callable[[Any], None], *, words: str
    ) -> None:
        """Call a function in the background, see `start_job`; the chosen layer belongs to it."""
        layers = () if self.layer is None else (self.layer,)
        self.start_job(function, done, words=words, layers=layers)


def button(text: str, name: str, tooltip: str, clicked: Callable[[], Any]) -> QPushButton:
    """Return a push button."""
    made = QPushButton(text)
    made.setObjectName(name)
    made.setToolTip(tooltip)
    made.clicked.connect(clicked)
    return made


def row(*widgets: QWidget) -> QHBoxLayout:
    """Return widgets side by side."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout
