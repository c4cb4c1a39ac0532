"""How often intervals of proportions hold the truth, and how good predicted errors are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    FitWarning,
    bootstrap,
    fit_controls,
    predicted_errors,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.simulated_errors import simulated_errors

SIZES = ((2000, 1000), (600, 1000), (2000, 3000), (600, 3000))
"""Numbers of control shots and of shots of the sample."""


@dataclass(frozen=True)
class Coverage:
    """How often intervals hold the truth: of each proportion, of all, with controls kept."""

    each: tuple[float, ...]
    all: float
    without_controls: float


def coverage(
    control_events: int, events: int, sets: int = 300, resamples: int = 200, seed: int = 0
) -> Coverage:
    """Return how often 68 % intervals hold the truth, with proportions of 0.1 and more."""
    rng = np.random.default_rng([seed, control_events, events])
    held, kept = np.zeros(3), np.zeros(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # some measurements of many are bad ones
        for _ in range(sets):
            w = 0.1 + 0.7 * rng.dirichlet(np.ones(3))
            controls = simulate_controls(
                PAPER_MODEL, control_events, single_atom_loss=PAPER_LOSS, rng=rng
            )
            known = fit_controls(controls, PAPER_MODEL.exposure)
            sample = simulate_mixture(PAPER_MODEL, w, events, rng=rng).counts
            for total, anew in ((held, True), (kept, False)):
                found = bootstrap(
                    sample, known, resamples=resamples, resample_controls=anew, level=0.68, rng=rng
                )
                total += (found.low <= w) & (w <= found.high)
    each = held / sets
    return Coverage(tuple(each.tolist()), float(each.mean()), float(kept.mean() / sets))


def predictions(repeats: int = 1000) -> dict[tuple[int, int], np.ndarray]:
    """Return errors of simulated measurements over predicted ones, by (N_c, N_e)."""
    w = np.array([0.3, 0.3, 0.4])
    found = {}
    for size in SIZES:
        simulated = simulated_errors(
            PAPER_MODEL, w, size[1], size[0], repeats=repeats, single_atom_loss=PAPER_LOSS, rng=0
        )
        expected = predicted_errors(PAPER_MODEL, w, size[1], size[0], single_atom_loss=PAPER_LOSS)
        found[size] = simulated.errors / expected
    return found
