"""Photons: the distribution of atom numbers behind histograms of photon counts."""

from __future__ import annotations

from napari_coldatoms.photons.bootstrap import Intervals, bootstrap
from napari_coldatoms.photons.camera_gain import CameraGain, em_kernel
from napari_coldatoms.photons.checks import CountChecks, check_controls, check_counts
from napari_coldatoms.photons.comparison import Comparison, compare
from napari_coldatoms.photons.control_errors import ControlErrors
from napari_coldatoms.photons.controls import ControlFit, fit_controls
from napari_coldatoms.photons.exposure import BestExposure, best_exposure
from napari_coldatoms.photons.fit import AtomNumberFit, fit_atom_numbers
from napari_coldatoms.photons.goodness import Goodness
from napari_coldatoms.photons.grid_search import grid_search
from napari_coldatoms.photons.histogram import Histogram, histogram
from napari_coldatoms.photons.likelihoods import effective_log_likelihood
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.model_choice import ModelChoice, atom_number_table, choose_model
from napari_coldatoms.photons.planning import events_needed, mean_error, plan, predicted_errors
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    SimulatedMixture,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.simulated_errors import SimulatedErrors, simulated_errors
from napari_coldatoms.photons.single_atom_loss import correct_single_atom_loss
from napari_coldatoms.photons.site_counts import SiteCounts, counts_from_stack
from napari_coldatoms.photons.thresholds import Thresholds, thresholds
from napari_coldatoms.photons.time_resolved import (
    TimeResolvedFit,
    bootstrap_time_resolved,
    fit_time_resolved,
    posterior,
    shot_log_likelihood,
)
from napari_coldatoms.statistics.intervals import Share

__all__ = [
    "PAPER_LOSS",
    "PAPER_MODEL",
    "AtomNumberFit",
    "BestExposure",
    "CameraGain",
    "Comparison",
    "ControlErrors",
    "ControlFit",
    "CountChecks",
    "FitWarning",
    "Goodness",
    "Histogram",
    "Intervals",
    "LossModel",
    "ModelChoice",
    "Share",
    "SimulatedErrors",
    "SimulatedMixture",
    "SiteCounts",
    "Thresholds",
    "TimeResolvedFit",
    "atom_number_table",
    "best_exposure",
    "bootstrap",
    "bootstrap_time_resolved",
    "check_controls",
    "check_counts",
    "choose_model",
    "compare",
    "correct_single_atom_loss",
    "counts_from_stack",
    "effective_log_likelihood",
    "em_kernel",
    "events_needed",
    "fit_atom_numbers",
    "fit_controls",
    "fit_time_resolved",
    "grid_search",
    "histogram",
    "mean_error",
    "plan",
    "posterior",
    "predicted_errors",
    "shot_log_likelihood",
    "simulate_controls",
    "simulate_mixture",
    "simulated_errors",
    "thresholds",
]
