"""Histograms of control shots, a sample of mixed atom numbers, cold and hot atoms (Figs. 2, 3, 9).

Rates and losses are fitted to the controls, the proportions to the sample. Cold and hot atoms
differ only by the loss of single atoms before the exposure.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
from scipy.stats import poisson

from benchmarks.accuracy import table
from benchmarks.sweeps.gallery import Row
from benchmarks.sweeps.photon_looks import ATOMS, COLOURS, panel
from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    ControlFit,
    FitWarning,
    bootstrap,
    compare,
    fit_atom_numbers,
    fit_controls,
    simulate_controls,
    simulate_mixture,
)

EXPOSURE = PAPER_MODEL.exposure
TRUTH = (0.3, 0.3, 0.4)
BINS = 51
# Sec. VIII.2 of the paper: losses before the exposure, and events of each preparation
LOSSES = {"cold": 0.008, "hot": 0.020}
EVENTS = 2400
PAIRS = (("hot", "cold"), ("cold", "hot"))  # these counts, with the model of those
ATOM = range(3)
INSET = 15  # counts, at the peak of one atom


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--controls", type=int, default=2000, help="control shots in all")
    parser.add_argument("--events", type=int, default=1000, help="shots of the sample")
    parser.add_argument("--repeats", type=int, default=100, help="of cold and hot measurements")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    rng = np.random.default_rng(options.seed)
    controls = simulate_controls(
        PAPER_MODEL, options.controls, single_atom_loss=PAPER_LOSS, fixed_numbers=True, rng=rng
    )
    sample = simulate_mixture(
        PAPER_MODEL, TRUTH, options.events, fixed_numbers=True, rng=rng
    ).counts
    known = fit_controls(controls, EXPOSURE)
    found = fit_atom_numbers(sample, known)
    spread = bootstrap(sample, known, resamples=1000, rng=rng)
    numbers = of_controls(known) | {
        "controls": float(options.controls),
        "events": float(options.events),
        "sample chi2": found.goodness.chi2,
        "sample dof": float(found.goodness.dof),
        "sample p": found.goodness.p_value,
    }
    for atoms in range(3):
        numbers |= {
            f"w{atoms}": found.probabilities[atoms],
            f"w{atoms} low": spread.low[atoms],
            f"w{atoms} high": spread.high[atoms],
        }
    columns = {f"control {atoms}": shots(counts) for atoms, counts in enumerate(controls)}
    columns |= {f"control {k} fit": len(controls[k]) * known.expected(k, BINS - 1) for k in ATOM}
    columns["sample"] = shots(sample)
    pure = known.model.distribution(BINS - 1)
    columns |= {f"sample {k} fit": len(sample) * found.probabilities[k] * pure[k] for k in ATOM}
    comparisons = []
    for repeat in range(options.repeats):
        row, measured, fits = cold_and_hot(rng)
        comparisons.append({"repeat": float(repeat)} | row)
        if repeat == 0:
            for name, counts in measured.items():
                columns |= {f"{name} {k}": shots(counts[k]) for k in ATOM}
                columns |= {
                    f"{name} {k} fit": len(counts[k]) * fits[name].expected(k, BINS - 1)
                    for k in ATOM
                }
    bins = [
        {"n": float(n)} | {name: float(values[n]) for name, values in columns.items()}
        for n in range(BINS)
    ]
    return [numbers, *comparisons, *bins]


def shots(counts: Any) -> np.ndarray:
    return np.bincount(counts, minlength=BINS)[:BINS]


def of_controls(known: ControlFit) -> Row:
    """Return what the controls tell, and its standard errors."""
    row = {"loss": known.single_atom_loss, "loss error": known.stderr.single_atom_loss}
    for k in ATOM:
        row[f"rate {k}"] = known.model.rates[k] * EXPOSURE
        row[f"rate {k} error"] = known.stderr.rates[k] * EXPOSURE
        row[f"p {k}"] = known.goodness[k].p_value
    for (i, j), value in known.model.losses.items():
        row[f"loss {i}{j}"] = value * EXPOSURE
        row[f"loss {i}{j} error"] = known.stderr.losses[i, j] * EXPOSURE
    return row


def cold_and_hot(rng: np.random.Generator) -> tuple[Row, dict, dict[str, ControlFit]]:
    """Measure both, and compare each with the model of the other."""
    measured = {
        name: simulate_controls(
            PAPER_MODEL, EVENTS, single_atom_loss=loss, fixed_numbers=True, rng=rng
        )
        for name, loss in LOSSES.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # some measurements of many are bad ones
        fits = {name: fit_controls(counts, EXPOSURE) for name, counts in measured.items()}
    row = {f"{name} loss": known.single_atom_loss for name, known in fits.items()}
    for name, other in PAIRS:
        for how, errors in (("", False), (" with errors", True)):
            test = compare(measured[name], fits[other], fit_errors=errors)
            row[f"{name} reduced{how}"] = test.reduced
            row[f"{name} p{how}"] = test.p_value
    return row, measured, fits


def statements(rows: list[Row], note: str) -> str:
    numbers = rows[0]
    repeats = [row for row in rows if "repeat" in row]
    truth = {f"rate {k}": mean for k, mean in enumerate(PAPER_MODEL.mean_counts)}
    truth |= {f"loss {i}{j}": v * EXPOSURE for (i, j), v in PAPER_MODEL.losses.items()}
    truth["loss"] = PAPER_LOSS
    words = {
        "rate 0": "mean counts, no atom",
        "rate 1": "mean counts, 1 atom",
        "rate 2": "mean counts, 2 atoms, none lost",
        "loss 21": "losses per exposure, 2 to 1",
        "loss 20": "losses per exposure, 2 to 0",
        "loss": "lost before the exposure",
    }
    cells = [
        [text, f"{numbers[name]:.3f} ± {numbers[f'{name} error']:.3f}", f"{truth[name]:.3g}"]
        for name, text in words.items()
    ]
    shares = [
        [
            ATOMS[k],
            f"{100 * numbers[f'w{k}']:.1f} %",
            f"{100 * numbers[f'w{k} low']:.1f} to {100 * numbers[f'w{k} high']:.1f} %",
            f"{100 * TRUTH[k]:.0f} %",
        ]
        for k in ATOM
    ]
    tests = []
    for name, other in PAIRS:
        for how, text in (("", "as exact"), (" with errors", "with its errors")):
            reduced = np.array([row[f"{name} reduced{how}"] for row in repeats])
            p = np.array([row[f"{name} p{how}"] for row in repeats])
            tests.append(
                [
                    f"{name} atoms, model of {other} ones",
                    text,
                    f"{reduced[0]:.2f} (p = {p[0]:.2g})",
                    f"{np.median(reduced):.2f}",
                    f"{100 * np.mean(p < 0.05):.0f} %",
                ]
            )
    p_values = ", ".join(f"{numbers[f'p {k}']:.2f}" for k in ATOM)
    return "\n".join(
        [
            f"`{note}`\n",
            f"{numbers['controls']:.0f} control shots, fitted one after the other as in the paper; "
            f"p-values of their χ²: {p_values}.\n",
            table(["", "fitted", "truth"], cells),
            f"Sample of {numbers['events']:.0f} shots, χ² {numbers['sample chi2']:.0f} of "
            f"{numbers['sample dof']:.0f} degrees of freedom (p = {numbers['sample p']:.2f}). "
            "Intervals hold 68 %, controls are drawn anew.\n",
            table(["", "fitted", "interval", "truth"], shares),
            f"{EVENTS} control shots each of cold and hot atoms; single atoms are lost before the "
            f"exposure by {100 * LOSSES['cold']:.1f} % and {100 * LOSSES['hot']:.1f} %. Reduced χ² "
            f"of the pair in the picture, and of {len(repeats)} pairs: the median, and how many "
            "differ at the 5 % level. The model is taken as exact, as in the paper, or with the "
            "errors of its parameters.\n",
            table(["", "model", "in the picture", "median", "differ"], tests),
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    numbers = rows[0]
    bins = {name: np.array([row[name] for row in rows if "n" in row]) for name in rows[-1]}
    n = bins["n"]
    figure = pyplot.figure(figsize=(11, 8.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.05, 1))
    left, right = top.subfigures(1, 2)
    axes = left.subplots(3, 1, sharex=True)
    panel(axes[0], "Fig. 2", "control shots")
    for k, axis in enumerate(axes):
        axis.bar(n, bins[f"control {k}"], 1.0, color=COLOURS[k], alpha=0.4)
        axis.plot(n, bins[f"control {k} fit"], color=COLOURS[k])
        axis.text(0.98, 0.85, ATOMS[k], transform=axis.transAxes, ha="right", va="top")
    axes[-1].set_xlabel("counts")
    left.supylabel("shots", fontsize=10)
    axis = right.subplots()
    panel(axis, "Fig. 3", "a sample, and what each atom number gives of it")
    axis.bar(n, bins["sample"], 1.0, color="0.82", label="sample")
    below = np.zeros(len(n))
    for k in ATOM:
        above = below + bins[f"sample {k} fit"]
        label = f"{ATOMS[k]}: {100 * numbers[f'w{k}']:.1f} %"
        axis.fill_between(n, below, above, color=COLOURS[k], alpha=0.5, lw=0, label=label)
        below = above
    axis.plot(n, below, color="k", lw=1)
    axis.set(xlabel="counts", ylabel="shots")
    axis.legend(loc="upper right", fontsize=9)
    draw_inset(axis, below[INSET], bins["sample"][INSET])
    cells = bottom.subplots(3, 2, sharex=True, sharey="row")
    for column, name in enumerate(LOSSES):
        title = f"{name} atoms, {100 * LOSSES[name]:.1f} % lost before"
        panel(cells[0, column], "Fig. 9", title)
        for k in ATOM:
            axis = cells[k, column]
            axis.bar(n, bins[f"{name} {k}"], 1.0, color=COLOURS[k], alpha=0.4)
            for model in LOSSES:
                dashes = "-" if model == name else (0, (4, 2))
                axis.plot(n, bins[f"{model} {k} fit"], color="k", ls=dashes, lw=1)
        cells[-1, column].set_xlabel("counts")
    cells[0, 0].plot([], [], "k-", lw=1, label="own model")
    cells[0, 0].plot([], [], "k", ls=(0, (4, 2)), lw=1, label="model of the others")
    cells[0, 0].legend(fontsize=8)
    bottom.supylabel("shots", fontsize=10)
    return figure


def draw_inset(axis: Any, expected: float, found: float) -> None:
    """Draw how likely each number of shots in one bin is."""
    inset = axis.inset_axes((0.6, 0.34, 0.36, 0.26))
    number = np.arange(max(int(expected - 4 * expected**0.5), 0), int(expected * 2))
    inset.plot(number, poisson.pmf(number, expected), color="k", lw=1)
    inset.bar([found], [poisson.pmf(found, expected)], 1.0, color="0.6")
    inset.set_title(f"shots with {INSET} counts:\nexpected and found", fontsize=8)
    inset.set_yticks([])
    inset.tick_params(labelsize=8)
