"""What errors of the calibration cost: lattice position and width of the PSF (Sec. VI.3, Fig. 5).

The paper's first example, 4 px spacing and 3 px HWHM at 14.8 dB. Everything but the background and
the read noise is found in the image. `as given` takes lattice and PSF as they are, as the paper
does; `adjusted` is the default, which adjusts both to the image.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.accuracy import table
from benchmarks.sweeps import first_example
from benchmarks.sweeps.gallery import LOOKS, METHODS, Row
from benchmarks.sweeps.scores import errors, squared_residuals
from napari_coldatoms.lattice import Reconstructor, Simulation

IMAGING = first_example.IMAGING
OFFSETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # px
WIDTHS = (-0.2, -0.15, -0.1, -0.05, 0.05, 0.1, 0.15, 0.2)  # of the HWHM
WAYS = (
    *((method, "as given") for method in METHODS),
    ("local", "adjusted"),
    ("alternating", "adjusted"),
)
KINDS = {
    "offset": "error of the position along x (px)",
    "width": "error of the HWHM (%)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=5, help="for each error of the calibration")
    parser.add_argument("--sites", type=int, default=100, help="along each side of the lattice")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    lattice, shape = first_example.sites(options.sites)
    truths = [first_example.image(lattice, shape, options.seed, k) for k in range(options.images)]
    rows = []
    for offset, width in [(x, 0.0) for x in OFFSETS] + [(0.0, w) for w in WIDTHS]:
        moved = lattice.shift((0.0, offset))
        reconstructor = Reconstructor(moved, first_example.PSF.scaled(1 + width), image_shape=shape)
        rows.append(one_error(reconstructor, truths, {"offset": offset, "width": width}))
        print(f"{offset} px, {100 * width:.0f} %", flush=True)
    return rows


def one_error(reconstructor: Reconstructor, truths: list[Simulation], row: Row) -> Row:
    """Reconstruct all images by all ways, with one error of the calibration."""
    row["sites"] = float(sum(len(truth.occupied) for truth in truths))
    for method, how in WAYS:
        results = [
            reconstructor.reconstruct(
                truth.image,
                method=method,
                background=IMAGING.background,
                read_noise=IMAGING.read_noise,
                bad_pixels=None,
                misfit="auto" if how == "adjusted" else None,
            )
            for truth in truths
        ]
        pairs = list(zip(results, truths, strict=True))
        ssr = np.mean([squared_residuals(found, truth) for found, truth in pairs])
        row[f"{method} {how} ssr"] = float(ssr) / IMAGING.brightness**2
        row[f"{method} {how} errors"] = sum(errors(found, truth) for found, truth in pairs)
    return row


def chosen(rows: list[Row], kind: str) -> list[Row]:
    """Return the rows with an error of one kind or none, in the order of that error."""
    other = "width" if kind == "offset" else "offset"
    return sorted((row for row in rows if row[other] == 0), key=lambda row: row[kind])


def rate(row: Row, method: str, how: str) -> float:
    """Return an error rate in %."""
    return 100 * row[f"{method} {how} errors"] / row["sites"]


def statements(rows: list[Row], note: str) -> str:
    cells = []
    for kind, unit, factor in (("offset", "px", 1), ("width", "%", 100)):
        for row in chosen(rows, kind):
            value = f"{factor * row[kind]:.3g} {unit}"
            cells.append([value, *(f"{rate(row, *way):.2g}" for way in WAYS)])
    far, narrow, wide = (
        next(row for row in rows if (row["offset"], row["width"]) == place)
        for place in ((1.0, 0.0), (0.0, -0.2), (0.0, 0.2))
    )
    text = [
        f"`{note}`\n",
        f"Error rates in %, {rows[0]['sites']:.0f} sites for each row:\n",
        table(["", *(f"{method}, {how}" for method, how in WAYS)], cells),
    ]
    for method in ("local", "alternating"):
        pairs = [
            f"{rate(row, method, 'as given'):.2g} % → {rate(row, method, 'adjusted'):.2g} %"
            for row in (far, narrow, wide)
        ]
        text.append(
            f"- What the adjustment wins, {method}: {pairs[0]} at 1 px, {pairs[1]} at a HWHM "
            f"20 % too small, {pairs[2]} at one 20 % too large."
        )
    return "\n".join(text) + "\n"


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axes = pyplot.subplots(
        2, 2, figsize=(10, 8), sharex="col", sharey="row", layout="constrained"
    )
    for side, (kind, name) in enumerate(KINDS.items()):
        some = chosen(rows, kind)
        x = np.array([row[kind] for row in some]) * (100 if kind == "width" else 1)
        for method, how in WAYS:
            look = {**LOOKS[method], "markersize": 4, "ls": "-" if how == "as given" else "--"}
            if how == "adjusted":
                look["mfc"] = "none"
            label = f"{method}, {how}"
            ssr = [row[f"{method} {how} ssr"] for row in some]
            rates = [max(row[f"{method} {how} errors"], 0.5) / row["sites"] for row in some]
            axes[0, side].plot(x, ssr, label=label, **look)
            axes[1, side].plot(x, rates, label=label, **look)
        axes[1, side].set_xlabel(name)
    axes[0, 0].set_ylabel("squared residuals / (sites · µ²)")
    axes[1, 0].set_ylabel("detection error rate")
    for axis in axes.flat:
        axis.set_yscale("log")
        axis.grid(color="0.9")
    axes[0, 0].legend(fontsize="small")
    return figure
