"""Intervals from one measurement, by the bootstrap, beside those of many measurements (Fig. 7).

Samples of the paper hold exactly as many shots of each atom number as the proportions say. Nature
draws them, and so does the bootstrap, from the shots that were measured.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np

from benchmarks.accuracy import table
from benchmarks.photon_accuracy import model_fit, trials
from benchmarks.sweeps.gallery import Row
from benchmarks.sweeps.photon_looks import ATOMS, panel, widths
from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    FitWarning,
    bootstrap,
    fit_controls,
    simulate_controls,
    simulate_mixture,
)

SIZES = (100, 300, 600, 1000, 2000, 3000)  # shots of the sample
TRUTH = (0.3, 0.3, 0.4)
FIXED, DRAWN = "measurements, exact numbers of atoms", "measurements, drawn numbers of atoms"
KEPT, ANEW = "bootstrap, controls kept", "bootstrap, controls drawn anew"
LOOKS = {
    FIXED: {"color": "0.6", "marker": "s", "ls": ":"},
    DRAWN: {"color": "k", "marker": "o"},
    KEPT: {"color": "#d55e00", "marker": "^", "ls": ":"},
    ANEW: {"color": "#0072b2", "marker": "D"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--controls", type=int, default=600, help="control shots in all")
    parser.add_argument("--measurements", type=int, default=4000, help="of each size")
    parser.add_argument("--sets", type=int, default=60, help="measurements for the bootstrap")
    parser.add_argument("--resamples", type=int, default=200, help="of each bootstrap")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    rows = []
    for events in SIZES:
        row = {"events": float(events), "controls": float(options.controls)}
        for name, fixed in ((FIXED, True), (DRAWN, False)):
            given = trials(
                options.controls,
                events,
                np.tile(TRUTH, (options.measurements, 1)),
                options.seed,
                fixed_numbers=fixed,
            )
            found = widths(model_fit(given) - given.truth)
            row |= {f"{name} {k}": float(width) for k, width in enumerate(found)}
        sizes = bootstrapped(options, events)
        for name, of_sets in sizes.items():
            for k in range(3):
                row[f"{name} {k}"] = float(of_sets[:, k].mean())
                row[f"{name} {k} sd"] = float(of_sets[:, k].std(ddof=1))
        rows.append(row)
    return rows


def bootstrapped(options: argparse.Namespace, events: int) -> dict[str, np.ndarray]:
    """Return widths of the intervals of several measurements, (sets, 3) in %, by the way."""
    rng = np.random.default_rng([options.seed, events])
    found: dict[str, list] = {KEPT: [], ANEW: []}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # some measurements of many are bad ones
        for _ in range(options.sets):
            controls = simulate_controls(
                PAPER_MODEL, options.controls, single_atom_loss=PAPER_LOSS, rng=rng
            )
            known = fit_controls(controls, PAPER_MODEL.exposure)
            sample = simulate_mixture(
                PAPER_MODEL, TRUTH, events, single_atom_loss=PAPER_LOSS, rng=rng
            ).counts
            for name, anew in ((KEPT, False), (ANEW, True)):
                one = bootstrap(
                    sample,
                    known,
                    resamples=options.resamples,
                    resample_controls=anew,
                    rng=rng,
                )
                found[name].append(100 * (one.high - one.low))
    return {name: np.array(of_sets) for name, of_sets in found.items()}


def statements(rows: list[Row], note: str) -> str:
    cells = [
        [f"{row['events']:.0f}", name, *(f"{row[f'{name} {k}']:.2f}" for k in range(3))]
        for row in rows
        for name in LOOKS
    ]
    ratios = {
        name: np.array(
            [[row[f"{name} {k}"] / row[f"{DRAWN} {k}"] for k in range(3)] for row in rows]
        )
        for name in (KEPT, ANEW)
    }
    anew, kept = ratios[ANEW], ratios[KEPT]
    zero = [row[f"{ANEW} 0"] / row[f"{FIXED} 0"] for row in rows]
    return "\n".join(
        [
            f"`{note}`\n",
            f"Widths of 68 % intervals in %, {rows[0]['controls']:.0f} control shots, proportions "
            "of 30, 30 and 40 %: of the errors of many measurements, and the mean of what the "
            "bootstrap of a single one says.\n",
            table(["N_e", "", *ATOMS], cells),
            f"- With controls drawn anew, the bootstrap's intervals are {anew.min():.2f} to "
            f"{anew.max():.2f} times as wide as those of many measurements; with controls kept "
            f"{kept.min():.2f} to {kept.max():.2f} times.",
            f"- Beside measurements with exact numbers of atoms, they are {min(zero):.1f} to "
            f"{max(zero):.1f} times as wide for no atom.\n",
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
    events = [row["events"] for row in rows]
    for k, axis in enumerate(axes):
        panel(axis, "Fig. 7", f"width of the 68 % interval, {ATOMS[k]}")
        for name, looks in LOOKS.items():
            widths_of = [row[f"{name} {k}"] for row in rows]
            spread = [row.get(f"{name} {k} sd", 0.0) for row in rows]
            if name in (KEPT, ANEW):
                axis.errorbar(events, widths_of, spread, label=name, capsize=2, **looks)
            else:
                axis.plot(events, widths_of, label=name, **looks)
        axis.set(xlabel="N_e, shots of the sample", ylabel="%", xscale="log", ylim=(0, None))
        shown = (100, 300, 1000, 3000)
        axis.set_xticks(shown, [str(number) for number in shown])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure
