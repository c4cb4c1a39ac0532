"""Statistics that several kinds of analysis share."""

from __future__ import annotations

from napari_coldatoms.statistics.bimodality import Bimodality, bimodality
from napari_coldatoms.statistics.intervals import binomial_interval
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

__all__ = ["Bimodality", "Mixture", "bimodality", "binomial_interval", "fit_mixture"]
