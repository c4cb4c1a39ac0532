"""Statistics that several kinds of analysis share."""

from __future__ import annotations

from napari_coldatoms.statistics.bimodality import Bimodality, bimodality
from napari_coldatoms.statistics.intervals import Share, binomial_interval
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

__all__ = ["Bimodality", "Mixture", "Share", "bimodality", "binomial_interval", "fit_mixture"]
