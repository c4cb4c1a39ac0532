"""Errors where the histograms of 1 and 2 atoms overlap more (Fig. 8).

The paper changes the detection light; its rates are not in the text. Here two atoms give 1.4 times
the counts of one instead of 1.9 times, and are lost half as fast again.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.accuracy import table
from benchmarks.photon_accuracy import METHODS, delta, trials, whole_simplex
from benchmarks.sweeps.gallery import Row
from benchmarks.sweeps.photon_looks import (
    ATOMS,
    COLOURS,
    EVENTS,
    LOOKS,
    MERGED,
    MODEL,
    panel,
    widths,
)
from napari_coldatoms.photons import PAPER_MODEL, LossModel

STRONG = LossModel(rates=(1e3, 13e3, 18.2e3), losses={(2, 1): 1.2e3, (2, 0): 0.6e3}, exposure=1e-3)
MODELS = {"less overlap": PAPER_MODEL, "more overlap": STRONG}
FITS = (MODEL, EVENTS, MERGED)
BINS = 51


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--controls", type=int, default=2000, help="control shots in all")
    parser.add_argument("--events", type=int, default=2000, help="shots of the sample")
    parser.add_argument("--resamples", type=int, default=100, help="of each set of proportions")
    parser.add_argument("--seed", type=int, default=0)


def overlap(p: np.ndarray, q: np.ndarray) -> float:
    """Return the share of two distributions that they have in common."""
    return float(np.minimum(p, q).sum())


def measure(options: argparse.Namespace) -> list[Row]:
    rows = []
    for number, model in enumerate(MODELS.values()):
        pure = model.distribution()
        row = {
            "model": float(number),
            "overlap 1 2": overlap(pure[1], pure[2]),
            "overlap 0 2": overlap(pure[0], pure[2]),
            "controls": float(options.controls),
            "events": float(options.events),
        }
        given = trials(
            options.controls,
            options.events,
            whole_simplex(options.resamples),
            options.seed,
            model=model,
        )
        for method in FITS:
            errors = METHODS[method](given) - given.truth
            row[method] = delta(errors, np.zeros_like(errors))
            row |= {f"{method} width {k}": float(w) for k, w in enumerate(widths(errors))}
        rows.append(row)
    shapes = {name: model.distribution(BINS - 1) for name, model in MODELS.items()}
    for n in range(BINS):
        rows.append(
            {"n": float(n)}
            | {f"{name} {k}": float(p[k, n]) for name, p in shapes.items() for k in range(3)}
        )
    return rows


def statements(rows: list[Row], note: str) -> str:
    cells = [
        [
            name,
            f"{100 * row['overlap 1 2']:.0f} %",
            method,
            f"{row[method]:.2f}",
            *(f"{row[f'{method} width {k}']:.2f}" for k in range(3)),
        ]
        for name, row in zip(MODELS, rows, strict=False)
        for method in FITS
    ]
    ratio = {method: rows[1][method] / rows[0][method] for method in FITS}
    return "\n".join(
        [
            f"`{note}`\n",
            f"N_c = {rows[0]['controls']:.0f}, N_e = {rows[0]['events']:.0f}. Overlap: the share "
            "of the distributions of 1 and 2 atoms that they have in common. Δ and widths of 68 % "
            "intervals of the errors in %.\n",
            table(["", "overlap", "fit", "Δ", *(f"{name}, width" for name in ATOMS)], cells),
            f"More overlap makes Δ {ratio[MODEL]:.2f} times as large with the model, and "
            f"{ratio[EVENTS]:.2f} times with events ({ratio[MERGED]:.2f} times in merged bins).\n",
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    bins = {name: np.array([row[name] for row in rows if "n" in row]) for name in rows[-1]}
    for axis, letter, name in zip(axes[0], "ab", MODELS, strict=True):
        panel(axis, f"Fig. 8{letter}", name)
        for k in range(3):
            values = bins[f"{name} {k}"]
            axis.fill_between(bins["n"], values, color=COLOURS[k], alpha=0.35, step="mid", lw=0)
            axis.step(bins["n"], values, where="mid", color=COLOURS[k], label=ATOMS[k])
        axis.set(xlabel="counts", ylabel="probability", ylim=(0, 0.13))
    axes[0, 0].legend()
    models = rows[: len(MODELS)]
    bars(axes[1, 0], {method: [row[method] for row in models] for method in FITS}, list(MODELS))
    panel(axes[1, 0], "Fig. 8c", "Δ")
    axes[1, 0].legend(fontsize=9)
    values = {
        method: [row[f"{method} width {k}"] for k in range(3) for row in models] for method in FITS
    }
    names = [f"{atoms}\n{name.split()[0]}" for atoms in ATOMS for name in MODELS]
    bars(axes[1, 1], values, names)
    panel(axes[1, 1], "Fig. 8d", "width of the 68 % interval of errors")
    return figure


def bars(axis: Any, values: dict[str, list[float]], names: list[str]) -> None:
    """Draw one bar for each method, side by side at each name."""
    width = 0.8 / len(values)
    for place, (method, heights) in enumerate(values.items()):
        x = np.arange(len(names)) + (place - (len(values) - 1) / 2) * width
        axis.bar(x, heights, width, color=LOOKS[method]["color"], label=method)
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("%")
