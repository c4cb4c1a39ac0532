"""What a histogram is fitted with: distributions of a model, or counted controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.event_basis import Rebin, event_basis
from napari_coldatoms.photons.event_setting import EventSetting
from napari_coldatoms.photons.histogram import CountsByAtomNumber, Histogram, control_histograms
from napari_coldatoms.photons.likelihoods import Likelihood
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.model_setting import ModelSetting, model_components
from napari_coldatoms.photons.shares import checked_loss

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
Basis = Literal["auto", "model", "events"]

__all__ = ["Basis", "EventSetting", "Likelihood", "ModelSetting", "fit_setting", "parts_of"]

FEW_CONTROLS = 20
"""Controls of fewer shots are told."""


def fit_setting(
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber,
    max_count: int,
    *,
    single_atom_loss: float | None = None,
    likelihood: Likelihood = "poisson",
    basis: Basis = "auto",
    rebin: Rebin = "adaptive",
) -> ModelSetting | EventSetting:
    """Return what to fit histograms with, of up to `max_count` counts; see `fit_atom_numbers`."""
    _check(likelihood, Likelihood, "a likelihood")
    _check(basis, Basis, "a basis")
    if basis == "model" and likelihood == "effective":
        raise ValueError(
            'expected "poisson" or "least-squares" for a model-based fit, found "effective", '
            "which is about counted controls"
        )
    if single_atom_loss is not None:
        single_atom_loss = checked_loss(single_atom_loss)
    model, controls, loss = parts_of(model_or_controls, single_atom_loss)
    if basis == "auto":
        basis = "model" if model is not None and likelihood != "effective" else "events"
    if basis == "model":
        if model is None:
            raise ValueError(
                "expected a LossModel or a ControlFit for a model-based fit, found counts of "
                "controls"
            )
        return ModelSetting(
            model_components(model, max_count),
            likelihood,
            _order(model.mean_counts, "rates"),
            controls=(
                None
                if isinstance(model_or_controls, LossModel)
                else cast("ControlFit", model_or_controls)
            ),
        )
    if controls is None:
        raise ValueError(
            "expected counts of controls or a ControlFit for an event-based fit, found a model"
        )
    events = event_basis(controls, loss, rebin)
    notes = (
        (f"bins of {events.width} counts",) if events.width is not None and events.width > 1 else ()
    )
    return EventSetting(
        events,
        max(control.max_count for control in controls),
        likelihood,
        (*_order([control.mean for control in controls], "mean counts"), *_few(controls)),
        notes,
    )


def parts_of(
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber, loss: float | None
) -> tuple[LossModel | None, tuple[Histogram, ...] | None, float]:
    """Return model, controls and loss, as far as they are known."""
    if isinstance(model_or_controls, LossModel):
        return model_or_controls, None, 0.0
    if hasattr(model_or_controls, "histograms"):
        fitted: ControlFit = model_or_controls  # type: ignore[assignment]
        return fitted.model, fitted.histograms, fitted.single_atom_loss if loss is None else loss
    return None, control_histograms(model_or_controls), loss or 0.0


def _order(means: Sequence[float] | FloatArray, name: str) -> tuple[str, ...]:
    falls = np.flatnonzero(np.diff(np.asarray(means)) <= 0)
    if not len(falls):
        return ()
    i = int(falls[0])
    return (
        f"{name} do not rise with the atom number: {means[i]:.4g} for {i}, {means[i + 1]:.4g} for "
        f"{i + 1} atom{'s' * (i > 0)} (controls in a wrong order?)",
    )


def _few(controls: Sequence[Histogram]) -> list[str]:
    return [
        f"controls for {i} atom{'s' * (i != 1)} have {control.total} shot"
        f"{'s' * (control.total > 1)} only"
        for i, control in enumerate(controls)
        if control.total < FEW_CONTROLS
    ]


def _check(value: str, choices: object, name: str) -> None:
    if value not in get_args(choices):
        names = ", ".join(get_args(choices))
        raise ValueError(f"expected {name} of {names}, found {value!r}")
