"""Photons: the distribution of atom numbers behind histograms of photon counts."""

from __future__ import annotations

from napari_coldatoms.photons.control_errors import ControlErrors
from napari_coldatoms.photons.controls import ControlFit, fit_controls
from napari_coldatoms.photons.goodness import Goodness
from napari_coldatoms.photons.histogram import Histogram, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.time_resolved import (
    TimeResolvedFit,
    fit_time_resolved,
    posterior,
    shot_log_likelihood,
)

__all__ = [
    "ControlErrors",
    "ControlFit",
    "FitWarning",
    "Goodness",
    "Histogram",
    "LossModel",
    "TimeResolvedFit",
    "fit_controls",
    "fit_time_resolved",
    "histogram",
    "posterior",
    "shot_log_likelihood",
]
