"""Time per image against the number of sites (Sec. VI.2, Fig. 4).

As in App. D of the paper, what depends on the geometry alone is left out, and with it the search
for the parameters: brightness, occupancy and background are known, λ follows from them, and κ and
the radius of the deconvolution are those of an earlier image. Beside that the time with nothing
known but lattice, PSF and read noise: parameters, background map and bad pixels found in the image,
lattice and PSF adjusted to it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.accuracy import table
from benchmarks.sweeps import first_example
from benchmarks.sweeps.gallery import LOOKS, METHODS, Row
from benchmarks.timing import medians
from napari_coldatoms.lattice import Reconstructor
from napari_coldatoms.lattice.deconvolution import Deconvolver

PSF, IMAGING = first_example.PSF, first_example.IMAGING
REAL_TIME = 0.1  # s, the paper's limit for 100 × 100 sites


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sites",
        type=int,
        nargs="+",
        default=[30, 50, 100, 200, 300],
        help="along each side of the lattice, such as 30 100 300 1000",
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring each way")


def measure(options: argparse.Namespace) -> list[Row]:
    rows = []
    for side in options.sites:
        rows.append(one_size(side, options.seconds))
        print(f"{side}² sites", flush=True)
    return rows


def one_size(side: int, seconds: float) -> Row:
    """Return the median times (s) of every method on one image of side² sites."""
    lattice, shape = first_example.sites(side)
    truth = first_example.image(lattice, shape, side, 0)
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    deconvolver = Deconvolver(lattice, PSF, shape)
    signal = truth.image - IMAGING.background
    tuned = deconvolver.estimate(signal)

    def deconvolve() -> object:
        return deconvolver.estimate(
            signal, regularisation=tuned.regularisation, radius=tuned.radius
        )

    def known(method: Any) -> Callable[[], object]:
        return lambda: reconstructor.reconstruct(
            truth.image,
            method=method,
            parameters=IMAGING,
            background=IMAGING.background,
            bad_pixels=None,
        )

    def found(method: Any) -> Callable[[], object]:
        return lambda: reconstructor.reconstruct(
            truth.image, method=method, read_noise=IMAGING.read_noise
        )

    ways = {f"{method} known": known(method) for method in METHODS}
    ways["deconvolution known"] = deconvolve
    ways |= {f"{method} found": found(method) for method in METHODS}
    return {"sites": float(len(lattice)), **medians(ways, seconds)}


def statements(rows: list[Row], note: str) -> str:
    cells = []
    for row in rows:
        times = [
            " / ".join(f"{1e3 * row[f'{method} {how}']:.3g}" for how in ("known", "found"))
            for method in METHODS
        ]
        cells.append([f"{row['sites']:.0f}", *times])
    text = [
        f"`{note}`\n",
        "Milliseconds per image, median: parameters known / all found in the image.\n",
        table(["sites", *METHODS], cells),
    ]
    for row in rows:
        if row["sites"] == 1e4:
            within = [m for m in METHODS if row[f"{m} known"] < REAL_TIME]
            text.append(
                f"- **100 × 100 sites, parameters known**: within {1e3 * REAL_TIME:.0f} ms are "
                f"{', '.join(within)}. Deconvolution is the fastest only where it needs no tuning:"
                f" the local estimate takes {row['local known'] / row['deconvolution known']:.2g} "
                f"times as long then, and {row['local found'] / row['deconvolution found']:.2g} "
                f"times as long where everything is found."
            )
    first, last = rows[0], rows[-1]
    growth = [
        f"{m} {last[f'{m} found'] / first[f'{m} found'] * first['sites'] / last['sites']:.2f}"
        for m in METHODS
    ]
    text.append(
        f"- **Time per site** at {last['sites']:.0f} sites over that at {first['sites']:.0f}, all "
        f"found: {', '.join(growth)}.\n"
    )
    return "\n".join(text)


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axis = pyplot.subplots(figsize=(7, 5), layout="constrained")
    sites = np.array([row["sites"] for row in rows])
    for how, style in (("known", "-"), ("found", "--")):
        for method in METHODS:
            times = [row[f"{method} {how}"] for row in rows]
            label = method if how == "known" else None
            axis.plot(sites, times, style, markersize=5, label=label, **LOOKS[method])
    axis.plot([], [], "k-", label="parameters known")
    axis.plot([], [], "k--", label="all found in the image")
    axis.axhline(REAL_TIME, color="0.6", lw=1, ls=":")
    axis.set(xscale="log", yscale="log", xlabel="sites", ylabel="time per image (s), one core")
    axis.grid(color="0.9")
    axis.legend()
    return figure
