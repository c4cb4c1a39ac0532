"""Errors of the proportions against the numbers of control shots and of shots (Figs. 4 and 6).

Δ (Eq. 6) is the root mean square error of the three proportions, the mean over all proportions in
steps of 10 % and all resamples, each with controls of its own; see `benchmarks.photon_accuracy`.
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
    EFFECTIVE,
    EVENTS,
    LEAST_SQUARES,
    LOOKS,
    MERGED,
    MODEL,
    panel,
    widths,
)

SIZES = (100, 200, 400, 600, 1000, 1500, 2000, 3000)
FIXED = 2000  # shots of what is not varied in Fig. 4
FEW, MANY = 600, 3000  # shots of the sample in Fig. 6
FIG4, FIG6 = (MODEL, LEAST_SQUARES), (MODEL, EVENTS, EFFECTIVE, MERGED)
SHOWN = (100, 400, 1000, 3000)  # control shots in the table of Fig. 6
SLOW = (EFFECTIVE,)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resamples", type=int, default=100, help="of each set of proportions")
    parser.add_argument("--effective", type=int, default=12, help="resamples for the slow fits")
    parser.add_argument("--seed", type=int, default=0)


def cases() -> list[tuple[int, int, tuple[str, ...]]]:
    """Return numbers of control shots and of shots, and the methods to compare there."""
    found: dict[tuple[int, int], set[str]] = {}
    for size in SIZES:
        for case in ((size, FIXED), (FIXED, size), (size, size)):
            found.setdefault(case, set()).update(FIG4)
        for case in ((size, FEW), (size, MANY)):
            found.setdefault(case, set()).update(FIG6)
    return [(*case, tuple(m for m in METHODS if m in some)) for case, some in found.items()]


def measure(options: argparse.Namespace) -> list[Row]:
    rows = []
    for controls, events, methods in cases():
        row = {"controls": float(controls), "events": float(events)}
        for slow in (False, True):
            chosen = [method for method in methods if (method in SLOW) == slow]
            if not chosen:
                continue
            resamples = options.effective if slow else options.resamples
            given = trials(controls, events, whole_simplex(resamples), options.seed)
            for method in chosen:
                estimates = METHODS[method](given)
                row[method] = delta(estimates, given.truth)
                for k, width in enumerate(widths(estimates - given.truth)):
                    row[f"{method} width {k}"] = float(width)
        rows.append(row)
    return rows


def along(
    rows: list[Row], name: str, *, controls: int | None = None, events: int | None = None
) -> np.ndarray:
    """Return sizes and values (2, k): with one of the numbers given, or as many of both."""
    found = []
    for row in rows:
        n_c, n_e = row["controls"], row["events"]
        if controls is None and events is None:
            fits, size = n_c == n_e, n_c
        else:
            fits = controls == n_c or events == n_e
            size = n_e if events is None else n_c
        if fits and name in row:
            found.append((size, row[name]))
    return np.array(sorted(found)).T


def at(rows: list[Row], controls: int, events: int) -> Row:
    return next(r for r in rows if (r["controls"], r["events"]) == (controls, events))


def statements(rows: list[Row], note: str) -> str:
    equal = [at(rows, number, number) for number in SIZES]
    fig4 = [
        [f"{row['controls']:.0f}"]
        + [f"{row[method]:.2f}" for method in FIG4]
        + [f"{row[f'{MODEL} width {k}']:.2f}" for k in range(3)]
        for row in equal
    ]
    fig6 = [
        [f"{controls} / {events}"]
        + [f"{at(rows, controls, events)[method]:.2f}" for method in FIG6]
        for events in (FEW, MANY)
        for controls in SHOWN
    ]
    ratio = np.mean([row[LEAST_SQUARES] / row[MODEL] for row in equal])
    return "\n".join(
        [
            f"`{note}`\n",
            "Fig. 4, as many control shots as shots of the sample: Δ in %, and the width of the "
            "68 % interval of each proportion's errors, fitted with the model.\n",
            table(["N_c = N_e", *FIG4, *(f"{name}, width" for name in ATOMS)], fig4),
            f"Least squares have {ratio:.2f} times the error of the likelihood.\n",
            "Fig. 6: Δ in %.\n",
            table(["N_c / N_e", *FIG6], fig6),
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 7.6), layout="constrained")
    views = (
        (f"Δ, N_e = {FIXED}", "N_c, control shots", {"events": FIXED}),
        (f"Δ, N_c = {FIXED}", "N_e, shots of the sample", {"controls": FIXED}),
        ("Δ, as many of both", "N_c = N_e", {}),
    )
    for axis, (title, label, where) in zip(axes[0], views, strict=True):
        panel(axis, "Fig. 4", title)
        for method in FIG4:
            x, y = along(rows, method, **where)
            axis.plot(x, y, label=method, **LOOKS[method])
        axis.set(xlabel=label, xscale="log", ylabel="%", ylim=(0, None))
        ticks(axis)
    axes[0, 0].legend(fontsize=9)
    axis = axes[1, 0]
    panel(axis, "Fig. 4", "width of the 68 % interval of errors")
    for k, name in enumerate(ATOMS):
        for method, dashes in zip(FIG4, ("-", ":"), strict=True):
            x, y = along(rows, f"{method} width {k}")
            axis.plot(x, y, dashes, color=COLOURS[k], label=f"{name}, {method}")
    axis.set(xlabel="N_c = N_e", xscale="log", ylabel="%", ylim=(0, None))
    axis.legend(fontsize=8)
    ticks(axis)
    for axis, events in zip(axes[1, 1:], (FEW, MANY), strict=True):
        panel(axis, "Fig. 6", f"Δ, N_e = {events}")
        for method in FIG6:
            x, y = along(rows, method, events=events)
            axis.plot(x, y, label=method, **LOOKS[method])
        axis.set(xlabel="N_c, control shots", xscale="log", ylabel="%", ylim=(0, None))
        ticks(axis)
    axes[1, 1].legend(fontsize=9)
    return figure


def ticks(axis: Any) -> None:
    """Label the sizes as numbers."""
    shown = (100, 200, 400, 1000, 2000)
    axis.set_xticks(shown, [str(number) for number in shown])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
