"""How exact the proportions of atom numbers are: figures shared by tests and accuracy tables.

The setting is that of Weyland et al. 2025, arXiv:2412.17434, Secs. V and VI: controls of N_c shots
in all, 6, 38 and 56 % of them with 0, 1 and 2 prepared atoms; samples of N_e shots, drawn from the
same lossy distributions in fixed shares; all shares in steps of 10 %. The truth are the atoms that
are there when the exposure begins. Each of the resamples has controls of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    LossModel,
    fit_time_resolved,
    predicted_errors,
    simulate_mixture,
)
from napari_coldatoms.photons.controls import ControlFit, fit_histograms, refit
from napari_coldatoms.photons.event_basis import event_basis
from napari_coldatoms.photons.event_setting import fit_events
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.likelihoods import Likelihood
from napari_coldatoms.photons.shares import PAPER_SHARES
from napari_coldatoms.photons.simplex import maximise
from napari_coldatoms.photons.single_atom_loss import thinning, unthinning
from napari_coldatoms.photons.thresholds import best_cuts

THRESHOLD_SIZE = (2000, 1000)
SIZES = ((600, 600), (2000, 2000), (3000, 3000), (100, 3000))
REFERENCE = {
    "least squares, model": {
        (600, 600): 2.79,
        (2000, 2000): 1.48,
        (3000, 3000): 1.28,
        (100, 3000): 5.34,
    },
    "Poisson, model": {
        THRESHOLD_SIZE: 1.28,
        (600, 600): 1.9,
        (2000, 2000): 0.97,
        (3000, 3000): 0.84,
        (100, 3000): 3.1,
    },
    "Poisson, events": {
        (600, 600): 2.81,
        (2000, 2000): 1.24,
        (3000, 3000): 0.99,
        (100, 3000): 9.35,
    },
    "effective, events": {(600, 600): 3.12, (3000, 3000): 1.04, (100, 3000): 10.3},
    "raw thresholds": {THRESHOLD_SIZE: 9.3},
    "thresholds, confusion matrix": {THRESHOLD_SIZE: 1.55},
}
"""Δ in %, of an independent calculation, by (N_c, N_e)."""

_LARGE = 1_000_000  # shots of controls that stand for the truth


def whole_simplex(resamples: int) -> np.ndarray:
    """Return all proportions in steps of 10 %, each some times, (66 * resamples, 3)."""
    grid = np.array([(10 - i - j, i, j) for i in range(11) for j in range(11 - i)]) / 10
    return np.repeat(grid, resamples, axis=0)


@dataclass(frozen=True, eq=False)
class Trials:
    """Simulated measurements: (b, a) truth, (b, k) samples, (b, a, k) controls; a fit of each."""

    truth: np.ndarray
    samples: np.ndarray
    controls: np.ndarray
    distributions: np.ndarray
    losses: np.ndarray


def trials(
    control_events: int,
    events: int,
    proportions: np.ndarray,
    seed: int = 0,
    *,
    model: LossModel = PAPER_MODEL,
    loss: float = PAPER_LOSS,
    fixed_numbers: bool = True,
    fits_brightness: bool = False,
) -> Trials:
    """Draw controls and a sample for each of the proportions, and fit the controls, in one batch.

    A sample has just as many shots of each prepared atom number as its proportions say, or their
    numbers are drawn, too.

    The fits begin at the truth; where they end does not depend on it.
    """
    rng = np.random.default_rng([seed, control_events, events])
    pure = model.distribution()
    left = thinning(model.atoms, loss)
    lossy = left.T @ pure
    lossy /= lossy.sum(axis=1, keepdims=True)
    w = np.asarray(proportions)
    numbers = np.rint(control_events * np.array(PAPER_SHARES)).astype(int)
    controls = [rng.multinomial(n, c, size=len(w)) for n, c in zip(numbers, lossy, strict=True)]
    each = np.rint(events * w).astype(int) if fixed_numbers else rng.multinomial(events, w)
    samples = sum(rng.multinomial(each[:, i], c) for i, c in enumerate(lossy))
    fitted = refit(_truth(model, loss, fits_brightness), controls)
    return Trials(
        w @ left.T,
        np.asarray(samples),
        np.stack(controls, axis=1),
        fitted.distributions(pure.shape[1] - 1),
        fitted.single_atom_loss,
    )


@cache
def _truth_of(key: tuple, fits_brightness: bool) -> ControlFit:
    rates, losses, exposure, brightness_sd, loss = key
    model = LossModel(rates, dict(losses), exposure, brightness_sd)
    lossy = thinning(model.atoms, loss).T @ model.distribution()
    histograms = []
    for p in lossy:
        many = np.rint(_LARGE * p).astype(np.int64)
        histograms.append(Histogram(many[: np.flatnonzero(many)[-1] + 1]))
    return fit_histograms(
        tuple(histograms), exposure, brightness_sd="fit" if fits_brightness else 0.0
    )


def _truth(model: LossModel, loss: float, fits_brightness: bool) -> ControlFit:
    """Return a fit to controls that are just as expected."""
    key = (
        tuple(model.rates),
        tuple(model.losses.items()),
        model.exposure,
        model.brightness_sd,
        loss,
    )
    return _truth_of(key, fits_brightness)


def delta(estimates: np.ndarray, truth: np.ndarray) -> float:
    """Return Eq. 6 in %: the mean over all of the root mean square over the atom numbers."""
    return 100 * float(np.sqrt(((estimates - truth) ** 2).mean(axis=1)).mean())


def model_fit(given: Trials, kind: str = "poisson") -> np.ndarray:
    """Return proportions fitted with the models of the controls."""
    return maximise(given.samples, given.distributions, kind=kind)[0]


def event_fit(given: Trials, likelihood: Likelihood = "poisson") -> np.ndarray:
    """Return proportions fitted with the controls; bins that these leave empty are left out."""
    atoms = given.truth.shape[1] - 1
    undo = np.array([unthinning(atoms, loss) for loss in given.losses])
    start = np.array([thinning(atoms, loss).mean(axis=1) for loss in given.losses])
    totals = given.controls.sum(axis=2)
    counts = given.controls.astype(float)
    return fit_events(given.samples, counts, totals, undo, start, likelihood)[0]


def merged_fit(given: Trials, likelihood: Likelihood = "poisson") -> np.ndarray:
    """Return proportions fitted with the controls in adaptively merged bins.

    Bins are different for each set of controls, so that this is done one by one.
    """
    estimates = np.empty_like(given.truth)
    for k, (sample, controls) in enumerate(zip(given.samples, given.controls, strict=True)):
        histograms = [Histogram(np.trim_zeros(control, "b")) for control in controls]
        basis = event_basis(histograms, given.losses[k])
        estimates[k] = fit_events(
            basis.merge(sample)[None],
            basis.counts[None],
            basis.totals[None],
            basis.unmix[None],
            basis.start[None],
            likelihood,
        )[0][0]
    return estimates


def threshold_fits(given: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Return proportions by thresholds, raw and with the confusion matrix of the fitted model."""
    raw, corrected = [], []
    for sample, distributions in zip(given.samples, given.distributions, strict=True):
        classes = len(distributions)
        cuts = best_cuts(distributions, np.full(classes, 1 / classes))
        edges = [0, *cuts, len(sample)]
        called = np.diff(np.pad(np.cumsum(sample), (1, 0))[edges])
        sums = np.pad(np.cumsum(distributions, axis=1), ((0, 0), (1, 0)))[:, edges]
        raw.append(called / called.sum())
        corrected.append(maximise(called[None], np.diff(sums, axis=1))[0][0])
    return np.array(raw), np.array(corrected)


METHODS: dict[str, Callable[[Trials], np.ndarray]] = {
    "least squares, model": lambda given: model_fit(given, "least-squares"),
    "Poisson, model": model_fit,
    "Poisson, events": event_fit,
    "effective, events": lambda given: event_fit(given, "effective"),
    "Poisson, events in merged bins": merged_fit,
    "effective, events in merged bins": lambda given: merged_fit(given, "effective"),
}


def table_of_deltas(
    resamples: int = 100,
    sizes: Iterable[tuple[int, int]] = SIZES,
    methods: Iterable[str] = tuple(METHODS),
) -> dict[str, dict[tuple[int, int], float]]:
    """Return Δ in % by method and by (N_c, N_e)."""
    found: dict[str, dict[tuple[int, int], float]] = {method: {} for method in methods}
    for size in sizes:
        given = trials(*size, whole_simplex(resamples))
        for method, of_size in found.items():
            of_size[size] = delta(METHODS[method](given), given.truth)
    return found


def table_of_thresholds(resamples: int = 100) -> dict[str, float]:
    """Return Δ in % by thresholds and by the model."""
    given = trials(*THRESHOLD_SIZE, whole_simplex(resamples))
    raw, corrected = threshold_fits(given)
    return {
        "raw thresholds": delta(raw, given.truth),
        "thresholds, confusion matrix": delta(corrected, given.truth),
        "Poisson, model": delta(model_fit(given), given.truth),
    }


@dataclass(frozen=True)
class SubBins:
    """Errors of P2 in %, with the whole exposure and in two sub-bins; found and predicted."""

    one: float
    two: float
    predicted_one: float
    predicted_two: float


def sub_bins(repeats: int = 300, events: int = 1000, seed: int = 0) -> SubBins:
    """Return how much two sub-bins help; rates are known, half of the shots have two atoms."""
    w = np.array([0.2, 0.3, 0.5])
    rng = np.random.default_rng(seed)
    estimates = np.empty((repeats, 2))
    pure = PAPER_MODEL.distribution(120)
    for estimate in estimates:
        counts = simulate_mixture(PAPER_MODEL, w, events, bins=2, rng=rng).counts
        whole = np.bincount(counts.sum(axis=1), minlength=121)[None]
        estimate[0] = maximise(whole, pure)[0][0, 2]
        estimate[1] = fit_time_resolved(counts, PAPER_MODEL).probabilities[2]
    one, two = 100 * np.sqrt(((estimates - w[2]) ** 2).mean(axis=0))
    expected = [100 * predicted_errors(PAPER_MODEL, w, events, bins=bins)[2] for bins in (1, 2)]
    return SubBins(float(one), float(two), *map(float, expected))


@dataclass(frozen=True, eq=False)
class Brightness:
    """Δ and, for 30, 30 and 40 %, mean errors of each proportion; in %."""

    delta: float
    bias: np.ndarray


def varying_brightness(brightness_sd: float = 0.2, resamples: int = 20) -> dict[str, Brightness]:
    """Return what a brightness that varies from shot to shot does, N_c = 2000 and N_e = 1000."""
    model = replace(PAPER_MODEL, brightness_sd=brightness_sd)
    here = np.tile([0.3, 0.3, 0.4], (20 * resamples, 1))
    found = {}
    for name, fit, fits_brightness in (
        ("Poisson, model", model_fit, False),
        ("gamma-Poisson, model", model_fit, True),
        ("Poisson, events", event_fit, False),
    ):
        everywhere, there = (
            trials(2000, 1000, w, model=model, fits_brightness=fits_brightness)
            for w in (whole_simplex(resamples), here)
        )
        bias = (fit(there) - there.truth).mean(axis=0)
        found[name] = Brightness(delta(fit(everywhere), everywhere.truth), 100 * bias)
    return found
