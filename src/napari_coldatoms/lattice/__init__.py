"""Lattice: the atoms in site-resolved images of microtrap arrays, found site by site."""

from __future__ import annotations

from napari_coldatoms.lattice.calibrate import calibrate
from napari_coldatoms.lattice.calibration import Calibration, Quality
from napari_coldatoms.lattice.correlations import DensityCorrelations, density_correlations
from napari_coldatoms.lattice.design import design
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.learn_sites import learn_sites
from napari_coldatoms.lattice.pair_comparison import (
    PARITY_NOTE,
    PairComparison,
    pair_table,
)
from napari_coldatoms.lattice.pairs import compare
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.phase import Phase, find_phase
from napari_coldatoms.lattice.projection import Patches, patches, projection
from napari_coldatoms.lattice.psf import PSF, AiryPSF, GaussianPSF, SampledPSF
from napari_coldatoms.lattice.reconstruct import Reconstructor, reconstruct
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.rings import RadialProfile, azimuthal_average
from napari_coldatoms.lattice.simulate import Simulation, simulate
from napari_coldatoms.lattice.site_thresholds import SiteThresholds, site_thresholds
from napari_coldatoms.lattice.snr import (
    error_rate_at,
    predicted_error_rate,
    snr,
    snr_without_overlap,
)
from napari_coldatoms.lattice.track import PhaseTrack, track_phase
from napari_coldatoms.statistics.intervals import Share

__all__ = [
    "PARITY_NOTE",
    "PSF",
    "AiryPSF",
    "Calibration",
    "DensityCorrelations",
    "GaussianPSF",
    "ImagingParameters",
    "Lattice",
    "PairComparison",
    "Patches",
    "Phase",
    "PhaseTrack",
    "Quality",
    "RadialProfile",
    "Reconstruction",
    "Reconstructor",
    "SampledPSF",
    "Share",
    "Simulation",
    "SiteThresholds",
    "azimuthal_average",
    "calibrate",
    "compare",
    "density_correlations",
    "design",
    "error_rate_at",
    "find_phase",
    "learn_sites",
    "pair_table",
    "patches",
    "predicted_error_rate",
    "projection",
    "reconstruct",
    "simulate",
    "site_thresholds",
    "snr",
    "snr_without_overlap",
    "track_phase",
]
