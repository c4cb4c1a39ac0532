"""Photons: the distribution of atom numbers behind histograms of photon counts."""

from __future__ import annotations

from napari_coldatoms.photons.histogram import Histogram, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import FitWarning

__all__ = ["FitWarning", "Histogram", "LossModel", "histogram"]
