"""The numbers of a grid: spacing, rows, columns, angle."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QWidget

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.widgets.controls import choice, number, whole

KINDS = {"square": Lattice.square, "triangular": Lattice.triangular}
_SPACING = 5.0  # px, where nothing is known
_FILLED = 0.6  # of the image's shorter side
_MOST = 40  # sites on a side, where nothing is known


class GridControls(QWidget):
    """Kind, spacing, rows, columns and angle of a grid."""

    changed = Signal()
    """The user has changed a number."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("grid_controls")
        self.kind = choice(
            "grid_kind", "square: 90° between i and j; triangular: 60°", [(k, k) for k in KINDS]
        )
        self.spacing = number(
            "grid_spacing",
            "distance of neighbouring sites (px)",
            _SPACING,
            0.5,
            1e4,
            decimals=2,
            step=0.1,
            suffix=" px",
        )
        self.rows = whole("grid_rows", "number of sites along i", 10, 1, 2000)
        self.columns = whole("grid_columns", "number of sites along j", 10, 1, 2000)
        self.angle = number(
            "grid_angle",
            "direction of j from +x (right) towards +y (down) (°)",
            0.0,
            -180.0,
            180.0,
            decimals=2,
            step=0.5,
            suffix="°",
        )
        self.angle.setWrapping(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        cells = (
            ("grid", self.kind),
            ("spacing", self.spacing),
            ("rows", self.rows),
            ("columns", self.columns),
            ("angle", self.angle),
        )
        for position, (text, control) in enumerate(cells):
            line, column = divmod(position, 2)
            label = QLabel(text)
            label.setToolTip(control.toolTip())
            layout.addWidget(label, line, 2 * column)
            layout.addWidget(control, line, 2 * column + 1)
        layout.setColumnStretch(1, 1)
        layout.setColumnStretch(3, 1)
        self.kind.activated.connect(self._on_changed)
        for spin in (self.spacing, self.rows, self.columns, self.angle):
            spin.valueChanged.connect(self._on_changed)

    def lattice(self, image_shape: tuple[int, int]) -> Lattice:
        """Return the lattice of these numbers in the middle of an image."""
        make = KINDS[self.kind.currentData()]
        shape = (self.rows.value(), self.columns.value())
        made = make(self.spacing.value(), shape, angle=math.radians(self.angle.value()))
        middle = (np.array(image_shape) - 1) / 2
        return made.shift(middle - made.positions.mean(axis=0))

    def changed_lattice(self, lattice: Lattice) -> Lattice | None:
        """Return a lattice with these numbers where another is; None where they are of no use.

        What the numbers do not say, such as unequal spacings, stays.
        """
        if lattice.vectors is None or lattice.shape is None or lattice.origin is None:
            return None
        half = (np.array(lattice.shape) - 1) / 2
        middle = np.asarray(lattice.origin) + half @ lattice.vectors
        vectors: np.ndarray = lattice.vectors
        if self.kind.currentData() != _kind(vectors):
            other = self.lattice((1, 1)).vectors
            assert other is not None
            vectors = other
        else:
            # what is shown is rounded
            if not _shows(self.angle, math.degrees(_angle(vectors))):
                turn = math.radians(self.angle.value()) - _angle(vectors)
                c, s = math.cos(turn), math.sin(turn)
                vectors = vectors @ np.array([[c, -s], [s, c]])
            if not _shows(self.spacing, _spacing(vectors)):
                vectors = vectors * self.spacing.value() / _spacing(vectors)
        shape = (self.rows.value(), self.columns.value())
        origin = middle - (np.array(shape) - 1) / 2 @ vectors
        mask = lattice.mask if shape == lattice.shape else None
        return Lattice(vectors, origin, shape, mask=mask)

    def show_lattice(self, lattice: Lattice) -> None:
        """Show the numbers of a lattice; nothing changes where it has none."""
        if lattice.vectors is None or lattice.shape is None:
            return
        kind = _kind(lattice.vectors)
        self._set(
            _spacing(lattice.vectors), lattice.shape, math.degrees(_angle(lattice.vectors)), kind
        )

    def suggest(self, image_shape: tuple[int, int]) -> None:
        """Show numbers for an image of which nothing is known."""
        fitting = int(_FILLED * min(image_shape) / _SPACING) // 2 * 2
        sites = int(np.clip(fitting, 2, _MOST))
        self._set(_SPACING, (sites, sites), 0.0, "square")

    def _set(self, spacing: float, shape: tuple[int, int], angle: float, kind: str) -> None:
        controls = (self.kind, self.spacing, self.rows, self.columns, self.angle)
        for control in controls:
            control.blockSignals(True)
        self.kind.setCurrentIndex(self.kind.findData(kind))
        self.spacing.setValue(spacing)
        self.rows.setValue(shape[0])
        self.columns.setValue(shape[1])
        self.angle.setValue(angle)
        for control in controls:
            control.blockSignals(False)

    def _on_changed(self, *_: object) -> None:
        self.changed.emit()


def _shows(control: QDoubleSpinBox, value: float) -> bool:
    return math.isclose(control.value(), round(value, control.decimals()), abs_tol=1e-9)


def _spacing(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=1).mean())


def _angle(vectors: np.ndarray) -> float:
    return math.atan2(vectors[1, 0], vectors[1, 1])


def _kind(vectors: np.ndarray) -> str:
    """Return which of the kinds a lattice is nearer to."""
    cosine = abs(float(vectors[0] @ vectors[1])) / float(np.prod(np.linalg.norm(vectors, axis=1)))
    return "triangular" if math.degrees(math.acos(min(cosine, 1.0))) < 75 else "square"
