"""Clouds: found, masked, and described by Gaussians.

Pictures go in as arrays or DataArrays, small frozen dataclasses come out, in pixels and, where the
picture knows its pixel size, in physical units.
"""

from __future__ import annotations

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.detect import METHODS, clouds_of, detect
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.fit import fit_gaussian
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.gaussian import PARAMETERS, Gaussian2D
from napari_coldatoms.clouds.moments import amplitude, moments
from napari_coldatoms.clouds.network_options import NetworkOptions
from napari_coldatoms.clouds.noise import difference_noise, histogram_peak
from napari_coldatoms.clouds.threshold import ThresholdOptions

__all__ = [
    "METHODS",
    "PARAMETERS",
    "Cloud",
    "Detection",
    "Gaussian2D",
    "GaussianFit",
    "NetworkOptions",
    "ThresholdOptions",
    "amplitude",
    "clouds_of",
    "detect",
    "difference_noise",
    "fit_gaussian",
    "histogram_peak",
    "moments",
]
