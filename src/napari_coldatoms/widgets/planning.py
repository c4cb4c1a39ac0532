"""What is planned from fitted controls: shots for a wanted error, and the error by exposure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.exposure import best_exposure
from napari_coldatoms.photons.planning import events_needed, mean_error, predicted_errors
from napari_coldatoms.photons.shares import equal_probabilities
from napari_coldatoms.widgets.jobs import Cancelled

FloatArray = NDArray[np.float64]

_EXPOSURES = 21
_RANGE = (0.1, 10.0)  # of exposures, relative to the present one
_FEW, _MANY = 20.0, 1500.0  # mean counts beyond which they are not looked at
_LEAST_REACH = 1.5  # ... but up to so many times the present one
_SHOTS = 100_000  # of the curve, which is scaled: so many that ratios of controls are met


@dataclass(frozen=True, eq=False)
class Plan:
    """What shall be planned.

    Attributes
    ----------
    known : ControlFit
        Its rates, losses and shares of control shots are taken for granted.
    probabilities : (atoms + 1,) or None
        None: all atom numbers equally often.
    exposure : float
        s.
    ratio : float
        Control shots for each shot of the sample; 0 where rates and losses are known otherwise.
    atoms : int or None
        Whose probability the error is of; None for the root mean square over all.
    """

    known: ControlFit
    probabilities: FloatArray | None
    exposure: float
    ratio: float
    atoms: int | None

    def shots_needed(self, error: float) -> int:
        """Return how many shots of the sample make the error as small as wanted.

        Raises
        ------
        ValueError
            If no number of shots is enough.
        """
        return events_needed(
            self.known.model.with_exposure(self.exposure),
            self._probabilities,
            error,
            atoms=self.atoms,
            control_ratio=self.ratio or None,
            control_shares=self._shares,
            single_atom_loss=self.known.single_atom_loss,
        )

    def by_exposure(self, cancel: Callable[[], bool] = lambda: False) -> ErrorByExposure:
        """Return the errors at other exposures.

        Parameters
        ----------
        cancel : callable
            Asked between exposures whether to stop.

        Raises
        ------
        Cancelled
            When asked to stop.
        ValueError
            If nothing can be predicted.
        """
        brightest = float(max(self.known.model.with_exposure(self.exposure).mean_counts))
        low = min(_RANGE[0], _FEW / brightest)
        high = min(max(_MANY / brightest, _LEAST_REACH), _RANGE[1])
        times = self.exposure * np.geomspace(low, high, _EXPOSURES)
        errors = np.empty(len(times))
        # one by one, since many counts take seconds
        for i, time in enumerate(times):
            if cancel():
                raise Cancelled("Cancelled.")
            errors[i] = self._error(float(time))
        middle = int(np.argmin(errors))
        if middle in (0, len(times) - 1):
            border = "longer" if middle else "shorter"
            best, least = float(times[middle]), float(errors[middle])
        else:
            border = ""
            found = best_exposure(
                self.known.model,
                self._probabilities,
                events=_SHOTS,
                exposures=times[middle - 1 : middle + 2].tolist(),
                atoms=self.atoms,
                **self._controls,
            )
            best, least = found.exposure, _one(found.errors, self.atoms)
        root = math.sqrt(_SHOTS)
        return ErrorByExposure(
            times,
            root * errors,
            self.exposure,
            root * self._error(self.exposure),
            best,
            root * least,
            border,
        )

    def _error(self, exposure: float) -> float:
        """Return the predicted error with `_SHOTS` shots."""
        model = self.known.model.with_exposure(exposure)
        errors = predicted_errors(model, self._probabilities, _SHOTS, **self._controls)
        return _one(errors, self.atoms)

    @property
    def _controls(self) -> dict[str, Any]:
        return {
            "control_events": max(1, round(self.ratio * _SHOTS)) if self.ratio else None,
            "control_shares": self._shares,
            "single_atom_loss": self.known.single_atom_loss,
        }

    @property
    def _probabilities(self) -> FloatArray:
        if self.probabilities is not None:
            return self.probabilities
        return equal_probabilities(self.known.model.atoms + 1)

    @property
    def _shares(self) -> FloatArray:
        totals = np.array([h.total for h in self.known.histograms], dtype=np.float64)
        return totals / totals.sum()


@dataclass(frozen=True, eq=False)
class ErrorByExposure:
    """How the error depends on the exposure.

    All errors are those of one shot: of N shots they are smaller by the root of N.

    Attributes
    ----------
    exposures, errors : (n,)
        s; standard deviations.
    exposure, error : float
        Of the present exposure.
    best_exposure, best_error : float
    at_border : {"", "shorter", "longer"}
        Where exposures that were not tried may be better still.
    """

    exposures: FloatArray
    errors: FloatArray
    exposure: float
    error: float
    best_exposure: float
    best_error: float
    at_border: str


def _one(errors: FloatArray, atoms: int | None) -> float:
    return mean_error(errors) if atoms is None else float(errors[atoms])
