"""Before the next measurement: how many shots it takes, and how long to expose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.widgets.controls import choice, number, text_label
from napari_coldatoms.widgets.exposure_plot import HEIGHT, ExposurePlot
from napari_coldatoms.widgets.latest_job import LatestJob
from napari_coldatoms.widgets.planning import ErrorByExposure, Plan

_DELAY = 200  # ms after the last change
_ALL = -1


class PlanningPanel(QWidget):
    """Shots needed for a wanted error, and the best exposure, as the fitted controls predict.

    Computed in the background, a moment after the last change.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    def __init__(self, theme_id: str = "dark", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("count_planning")
        self._known: ControlFit | None = None
        self._probabilities: np.ndarray | None = None
        self._exposure: float | None = None
        self._needed: int | None = None
        self._curve: ErrorByExposure | None = None
        self._no_exposure = False
        self._waiting = False

        self.error_number = number(
            "count_planning_error",
            "wanted standard deviation of the probability, in percent of all shots",
            1.0,
            0.01,
            50.0,
            decimals=2,
            step=0.1,
            suffix=" %",
        )
        self.atoms_choice = choice(
            "count_planning_atoms",
            "whose probability: of one atom number, or the root mean square over all",
            [("of all", str(_ALL))],
        )
        self.ratio_number = number(
            "count_planning_ratio",
            "control shots of all atom numbers together, for each shot of the sample; they are "
            "taken to be split over the atom numbers as those that were fitted. 0: rates and "
            "losses are known well enough",
            1.0,
            0.0,
            100.0,
            decimals=2,
            step=0.25,
            suffix=" per shot",
        )
        self.ratio_number.setSpecialValueText("none needed")
        self.needed_label = text_label(
            "count_planning_needed",
            "predicted for the fit with the model, from the information in single shots",
            lines=2,
        )
        self.plot = ExposurePlot(theme_id)
        self.plot.setObjectName("count_planning_plot")
        self.plot.setMinimumHeight(HEIGHT)
        self.plot.setToolTip(
            "predicted error at other exposures, with the shots above, and the rates and losses "
            "that were fitted. Dashed: the present exposure; point: the best one"
        )
        self.exposure_label = text_label(
            "count_planning_exposure",
            "the exposure of the smallest predicted error; the number of shots stays the same",
            lines=2,
        )
        wanted = QHBoxLayout()
        wanted.setContentsMargins(0, 0, 0, 0)
        wanted.addWidget(self.error_number, 3)
        wanted.addWidget(self.atoms_choice, 2)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(QLabel("Wanted error"), wanted)
        form.addRow(QLabel("Control shots"), self.ratio_number)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.needed_label)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.exposure_label)
        layout.addStretch()

        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._timer.timeout.connect(self._compute)
        self._needed_job = LatestJob(self)
        self._needed_job.done.connect(self._on_needed)
        self._curve_job = LatestJob(self)
        self._curve_job.done.connect(self._on_curve)
        self.error_number.valueChanged.connect(self._on_error)
        self.atoms_choice.currentIndexChanged.connect(self._on_changed)
        self.ratio_number.valueChanged.connect(self._on_changed)
        self._tell()

    @property
    def busy(self) -> bool:
        """Whether something is being computed, or about to be."""
        return self._timer.isActive() or self._needed_job.running or self._curve_job.running

    @property
    def needed(self) -> int | None:
        """Shots of the sample that are needed; None where that is not known, or not possible."""
        return self._needed

    @property
    def curve(self) -> ErrorByExposure | None:
        """Errors of one shot by exposure; None where they are not known."""
        return self._curve

    def set_state(
        self,
        known: ControlFit | None,
        probabilities: ArrayLike | None = None,
        exposure: float | None = None,
    ) -> None:
        """Set what is planned from.

        Parameters
        ----------
        known : ControlFit or None
            None: nothing can be planned yet.
        probabilities : (atoms + 1,) array, optional
            Of the sample; all atom numbers equally often by default.
        exposure : float, optional
            The present one (s); that of the controls by default.
        """
        self._known = known
        self._probabilities = None
        if known is not None and probabilities is not None:
            values = np.asarray(probabilities, dtype=np.float64)
            self._probabilities = values if values.shape == (known.model.atoms + 1,) else None
        self._exposure = exposure or (None if known is None else known.model.exposure)
        self._offer_atoms()
        self._on_changed()

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self.plot.set_theme(theme_id)

    def showEvent(self, event: Any) -> None:
        """Compute what was put off while nobody looked."""
        super().showEvent(event)
        if self._waiting:
            self._timer.start()

    def _offer_atoms(self) -> None:
        classes = 0 if self._known is None else self._known.model.atoms + 1
        combo = self.atoms_choice
        if combo.count() == classes + 1:
            return
        before = combo.currentData()
        combo.blockSignals(True)
        combo.clear()
        combo.addItem("of all", str(_ALL))
        for atoms in range(classes):
            combo.addItem(f"of {atoms} atom{'s' * (atoms != 1)}", str(atoms))
        combo.setCurrentIndex(max(combo.findData(before), 0))
        combo.blockSignals(False)

    def _plan(self) -> Plan | None:
        if self._known is None or self._exposure is None:
            return None
        atoms = int(self.atoms_choice.currentData())
        return Plan(
            self._known,
            self._probabilities,
            self._exposure,
            self.ratio_number.value(),
            None if atoms == _ALL else atoms,
        )

    def _on_changed(self, *_: object) -> None:
        self._curve = None
        self._no_exposure = False
        self._on_error()

    def _on_error(self, *_: object) -> None:
        """Take another error: the curve is scaled only."""
        self._needed = None
        self._waiting = self._known is not None
        self._tell()
        if self._waiting and self.isVisible():
            self._timer.start()

    def _compute(self) -> None:
        plan = self._plan()
        self._waiting = False
        if plan is None:
            return
        error = self.error_number.value() / 100
        self._needed_job.request(lambda _cancel: plan.shots_needed(error))
        if self._curve is None:
            self._curve_job.request(lambda cancel: plan.by_exposure(cancel))

    def _on_needed(self, found: object) -> None:
        if self._waiting or self._known is None:
            return
        self._needed = found if isinstance(found, int) else None
        self._tell(failed=self._needed is None)

    def _on_curve(self, found: object) -> None:
        if self._waiting or self._known is None:
            return
        self._curve = found if isinstance(found, ErrorByExposure) else None
        self._no_exposure = self._curve is None
        self._tell_exposure()

    def _tell(self, *, failed: bool = False) -> None:
        self.needed_label.setText(self._needed_words(failed))
        self._tell_exposure()

    def _needed_words(self, failed: bool) -> str:
        if self._known is None:
            return "Fit the controls first: rates and losses come from them."
        if failed:
            return (
                "No number of shots is enough: with these controls the atom numbers cannot be told "
                "apart so well."
            )
        if self._needed is None:
            return "Computing …"
        shots = _grouped(self._needed)
        words = f"<b>{shots} shots</b> of the sample"
        if ratio := self.ratio_number.value():
            words += f" and <b>{_grouped(math.ceil(ratio * self._needed))}</b> control shots"
        words += f" are needed for an error of {self.error_number.value():.2f} %"
        if self._probabilities is None:
            words += ", if all atom numbers are equally frequent"
        return words + "."

    def _tell_exposure(self) -> None:
        curve, shots = self._curve, self._needed
        self.plot.show_curve(curve, 1.0 if shots is None else 1 / math.sqrt(shots))
        self.plot.setVisible(self._known is not None)
        if curve is None:
            words = "" if self._known is None else "Computing the best exposure …"
            if self._no_exposure:
                words = "No exposure can be recommended with these controls."
            self.exposure_label.setText(words)
            return
        fewer = 1 - (curve.best_error / curve.error) ** 2
        if curve.at_border:
            words = (
                f"Best of all that were tried: {_time(curve.best_exposure)}; {curve.at_border} "
                "exposures may be better still."
            )
        elif fewer < 0.01:
            words = f"The present exposure of {_time(curve.exposure)} is as good as the best one."
        else:
            words = (
                f"Best exposure: <b>{_time(curve.best_exposure)}</b> instead of "
                f"{_time(curve.exposure)}: {100 * fewer:.0f} % fewer shots for the same error."
            )
        self.exposure_label.setText(words)


def _grouped(shots: int) -> str:
    """Return a number with thin spaces between its thousands."""
    return f"{shots:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _time(seconds: float) -> str:
    unit, factor = ("s", 1.0) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{factor * seconds:.3g} {unit}"
