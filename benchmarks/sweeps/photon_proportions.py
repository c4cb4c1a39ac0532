"""Errors of the proportions, over all proportions there are (Fig. 5).

Each of three errors is the root mean square over resamples with controls of their own.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import table
from benchmarks.photon_accuracy import METHODS, trials
from benchmarks.sweeps.gallery import Row
from benchmarks.sweeps.photon_looks import ATOMS, MODEL, panel

STEPS = 20  # along each side of the triangle
COLUMNS = ("rmse 0", "rmse 1", "rmse 2", "rmse")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--controls", type=int, default=2000, help="control shots in all")
    parser.add_argument("--events", type=int, default=2000, help="shots of the sample")
    parser.add_argument("--resamples", type=int, default=1000, help="of each set of proportions")
    parser.add_argument("--seed", type=int, default=0)


def grid() -> NDArray[np.float64]:
    """Return proportions in steps of 5 %, (points, 3)."""
    steps = [(STEPS - i - j, i, j) for i in range(STEPS + 1) for j in range(STEPS + 1 - i)]
    return np.array(steps) / STEPS


def measure(options: argparse.Namespace) -> list[Row]:
    points = grid()
    squares = np.zeros((len(points), 3))
    overall = np.zeros(len(points))
    for part in range(0, options.resamples, 50):
        number = min(50, options.resamples - part)
        given = trials(
            options.controls, options.events, np.repeat(points, number, axis=0), options.seed + part
        )
        errors = (METHODS[MODEL](given) - given.truth) ** 2
        squares += errors.reshape(-1, number, 3).sum(axis=1)
        overall += np.sqrt(errors.mean(axis=1)).reshape(-1, number).sum(axis=1)
    each = 100 * np.sqrt(squares / options.resamples)
    return [
        {f"w{k}": w[k] for k in range(3)}
        | {f"rmse {k}": float(found[k]) for k in range(3)}
        | {"rmse": float(100 * total / options.resamples)}
        for w, found, total in zip(points, each, overall, strict=True)
    ]


def statements(rows: list[Row], note: str) -> str:
    cells = []
    for name, title in zip(COLUMNS, (*ATOMS, "all, as in Δ"), strict=True):
        values = np.array([row[name] for row in rows])
        worst = rows[int(np.argmax(values))]
        where = ", ".join(f"{100 * worst[f'w{k}']:.0f}" for k in range(3))
        cells.append(
            [title, *(f"{v:.2f}" for v in (values.min(), values.mean(), values.max())), where]
        )
    return "\n".join(
        [
            f"`{note}`\n",
            "Errors in %, and for which proportions of 0, 1 and 2 prepared atoms they are largest. "
            "The means differ a little from Δ, which is over steps of 10 %.\n",
            table(["proportion of", "least", "mean", "largest", "there (%)"], cells),
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    w = np.array([[row[f"w{k}"] for k in range(3)] for row in rows])
    # corners: no atom lower left, 1 atom lower right, 2 atoms at the top
    x, y = w[:, 1] + 0.5 * w[:, 2], w[:, 2] * np.sqrt(0.75)
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 8.4), layout="constrained")
    top = max(row[name] for row in rows for name in COLUMNS)
    titles = ("error of $P_0$", "error of $P_1$", "error of $P_2$", "all three, as in Δ")
    for axis, letter, name, title in zip(axes.ravel(), "abcd", COLUMNS, titles, strict=True):
        values = np.array([row[name] for row in rows])
        shown = axis.tripcolor(x, y, values, shading="gouraud", vmin=0, vmax=top, cmap="viridis")
        lines = axis.tricontour(
            x, y, values, levels=np.arange(0.5, top, 0.5), colors="w", linewidths=0.7
        )
        axis.clabel(lines, fontsize=7, fmt="%.2g")
        axis.set_axis_off()
        axis.set_aspect("equal")
        axis.set_ylim(-0.06, 1.0)
        panel(axis, f"Fig. 5{letter}", title)
        corners = ((0, -0.02), (1, -0.02), (0.5, np.sqrt(0.75) + 0.02))
        for place, text in zip(corners, ATOMS, strict=True):
            axis.text(*place, text, ha="center", va="bottom" if place[1] > 0 else "top")
    figure.colorbar(shown, ax=axes, shrink=0.6, label="root mean square error (%)")
    return figure
