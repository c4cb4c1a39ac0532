"""Photons: the distribution of atom numbers behind histograms of photon counts."""

from __future__ import annotations

from napari_coldatoms.photons.checks import CountChecks, check_controls, check_counts
from napari_coldatoms.photons.comparison import Comparison, compare
from napari_coldatoms.photons.control_errors import ControlErrors
from napari_coldatoms.photons.controls import ControlFit, fit_controls
from napari_coldatoms.photons.exposure import BestExposure, best_exposure
from napari_coldatoms.photons.goodness import Goodness
from napari_coldatoms.photons.histogram import Histogram, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.planning import events_needed, mean_error, plan, predicted_errors
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    SimulatedMixture,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.thresholds import Share, Thresholds, thresholds
from napari_coldatoms.photons.time_resolved import (
    TimeResolvedFit,
    fit_time_resolved,
    posterior,
    shot_log_likelihood,
)

__all__ = [
    "PAPER_LOSS",
    "PAPER_MODEL",
    "BestExposure",
    "Comparison",
    "ControlErrors",
    "ControlFit",
    "CountChecks",
    "FitWarning",
    "Goodness",
    "Histogram",
    "LossModel",
    "Share",
    "SimulatedMixture",
    "Thresholds",
    "TimeResolvedFit",
    "best_exposure",
    "check_controls",
    "check_counts",
    "compare",
    "events_needed",
    "fit_controls",
    "fit_time_resolved",
    "histogram",
    "mean_error",
    "plan",
    "posterior",
    "predicted_errors",
    "shot_log_likelihood",
    "simulate_controls",
    "simulate_mixture",
    "thresholds",
]
