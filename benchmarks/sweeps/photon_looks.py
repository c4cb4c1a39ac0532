"""How the pictures of photon counts look, and numbers that several of them show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ATOMS = ("no atom", "1 atom", "2 atoms")
# colours that differ for the colour-blind, too
COLOURS = ("#009e73", "#e69f00", "#0072b2")
MODEL, LEAST_SQUARES = "Poisson, model", "least squares, model"
EVENTS, EFFECTIVE = "Poisson, events", "effective, events"
MERGED = "Poisson, events in merged bins"
LOOKS = {
    MODEL: {"color": "#0072b2", "marker": "o"},
    LEAST_SQUARES: {"color": "#7f7f7f", "marker": "s"},
    EVENTS: {"color": "#d55e00", "marker": "^"},
    EFFECTIVE: {"color": "#cc79a7", "marker": "D"},
    MERGED: {"color": "#e69f00", "marker": "v"},
}


def widths(errors: FloatArray) -> FloatArray:
    """Return the width of the 68 % interval of errors (b, atoms) of each proportion, in %."""
    low, high = np.quantile(errors, (0.16, 0.84), axis=0)
    return np.asarray(100 * (high - low))


def panel(axis: Any, letter: str, title: str) -> None:
    """Name a panel."""
    axis.set_title(f"({letter}) {title}", loc="left", fontsize=10)
