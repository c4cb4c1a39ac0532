"""Accuracy against the signal-to-noise ratio, for random imaging parameters (Sec. VI.1, Fig. 3).

The paper's Table 2 of ranges is not in its text. Drawn here: spacing a 3 to 6 px, HWHM 0.5 to 1 a,
brightness 300 to 3000 counts (evenly on a logarithmic scale), σ/µ 0.05 to 0.15, background 5 to 100
counts, occupancy 0.2 to 0.8, any place within a pixel; read noise 2 counts.
"""

from __future__ import annotations

import argparse
import itertools
import math
from typing import Any

import numpy as np

from benchmarks.accuracy import table
from benchmarks.sweeps.gallery import LOOKS, METHODS, Row
from benchmarks.sweeps.scores import errors, least_errors, squared_residuals
from napari_coldatoms.lattice import (
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstructor,
    simulate,
)

READ_NOISE = 2.0
EDGES = (6, 8, 10, 12, 14, 15, 16, 17, 18, 20, 24)  # dB
TYPICAL = 15.0  # dB, above which the paper compares


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=160, help="parameter sets, one image each")
    parser.add_argument("--sites", type=int, default=100, help="along each side of the lattice")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    rows = []
    for k in range(options.images):
        rows.append(one_set(np.random.default_rng([options.seed, k]), options.sites))
        if (k + 1) % 20 == 0:
            print(f"{k + 1} of {options.images}", flush=True)
    return rows


def one_set(rng: np.random.Generator, sites: int) -> Row:
    """Draw imaging parameters and an image, and reconstruct it by every method."""
    spacing = rng.uniform(3, 6)
    hwhm = spacing * rng.uniform(0.5, 1)
    brightness = math.exp(rng.uniform(math.log(300), math.log(3000)))
    parameters = ImagingParameters(
        occupancy=rng.uniform(0.2, 0.8),
        brightness=brightness,
        brightness_sd=brightness * rng.uniform(0.05, 0.15),
        background=rng.uniform(5, 100),
        read_noise=READ_NOISE,
    )
    psf = GaussianPSF(hwhm)
    origin = math.ceil(3 * hwhm) + rng.uniform(0, 1, 2)
    lattice = Lattice.square(spacing, (sites, sites), origin=origin)
    shape = lattice.frame_shape(3 * hwhm)
    truth = simulate(
        lattice,
        psf,
        image_shape=shape,
        occupancy=parameters.occupancy,
        brightness=parameters.brightness,
        brightness_sd=parameters.brightness_sd,
        background=parameters.background,
        read_noise=READ_NOISE,
        rng=rng,
    )
    row = {
        "sites": float(len(lattice)),
        "spacing": spacing,
        "hwhm": hwhm,
        "occupancy": parameters.occupancy,
        "brightness": brightness,
        "brightness_sd": parameters.brightness_sd,
        "background": parameters.background,
    }
    reconstructor = Reconstructor(lattice, psf, image_shape=shape)
    for method in METHODS:
        found = reconstructor.reconstruct(
            truth.image,
            method=method,
            parameters=parameters,
            background=parameters.background,
            bad_pixels=None,
        )
        row["snr_db"] = found.snr_db
        row[f"{method} ssr"] = squared_residuals(found, truth) / brightness**2
        row[f"{method} errors"] = errors(found, truth)
        row[f"{method} least errors"] = least_errors(found, truth)
    return row


def column(rows: list[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def scatter(rows: list[Row], method: str, *, more: bool = False) -> float:
    """Return the relative scatter of the squared residuals about a cubic in dB.

    With `more`, powers of σ/µ, the occupancy, HWHM/a and µ are fitted as well.
    """
    decibel = column(rows, "snr_db")
    terms = [decibel**k for k in range(4)]
    if more:
        mean, spacing = column(rows, "brightness"), column(rows, "spacing")
        other = (
            column(rows, "brightness_sd") / mean,
            column(rows, "occupancy"),
            column(rows, "hwhm") / spacing,
            mean,
        )
        terms += [np.log(values) for values in other]
    design = np.column_stack(terms)
    logarithm = np.log(column(rows, f"{method} ssr"))
    off = logarithm - design @ np.linalg.lstsq(design, logarithm, rcond=None)[0]
    return float(np.expm1(off.std()))


def pooled(rows: list[Row], name: str) -> float:
    """Return an error rate over all sites of all sets."""
    return float(column(rows, name).sum() / column(rows, "sites").sum())


def statements(rows: list[Row], note: str) -> str:
    decibel = column(rows, "snr_db")
    typical = [row for row in rows if row["snr_db"] >= TYPICAL]
    expected = column(rows, "global ssr") * 10 ** (decibel / 10)
    better = np.mean(column(rows, "global ssr") < column(rows, "deconvolution ssr"))
    gain = np.exp(np.mean(np.log(column(typical, "deconvolution ssr"))))
    gain /= np.exp(np.mean(np.log(column(typical, "local ssr"))))
    shown = {"errors": "errors as reported", "least errors": "with the best threshold"}
    counts, ratios = [], []
    for name, words in shown.items():
        number = [int(column(typical, f"{method} {name}").sum()) for method in METHODS]
        counts.append([words, *number])
        over = [number[0] / max(other, 1) for other in number]
        ratios.append([f"deconvolution over this, {words}", *(f"{value:.2g}" for value in over)])
    rates = []
    for low, high in itertools.pairwise(EDGES):
        some = [row for row in rows if low <= row["snr_db"] < high]
        if some:
            found = [f"{100 * pooled(some, f'{method} errors'):.2g} %" for method in METHODS]
            rates.append([f"{low} to {high}", len(some), *found])
    return "\n".join(
        [
            f"`{note}`\n",
            f"{len(rows)} sets of parameters from {decibel.min():.1f} to {decibel.max():.1f} dB, "
            f"{rows[0]['sites']:.0f} sites each.\n",
            f"- The squared residuals of the global estimate are what the SNR says: "
            f"{expected.mean():.3f} ± {expected.std():.3f} times "
            f"$10^{{-\\mathrm{{SNR}}/10}}$ (mean and standard deviation over the sets). "
            f"Those of deconvolution are larger in "
            f"{100 * better:.0f} % of the sets; above {TYPICAL:g} dB they are {gain:.0f} times "
            f"those of the local estimate (geometric mean).",
            "- Scatter of the squared residuals about one curve, a cubic in dB on a logarithmic "
            f"scale; and above {TYPICAL:g} dB, the same with powers of σ/µ, p, HWHM/a and µ:\n",
            table(
                ["", *METHODS],
                [
                    ["about the curve", *percents(rows)],
                    [f"above {TYPICAL:g} dB", *percents(typical)],
                    [f"above {TYPICAL:g} dB, with those", *percents(typical, more=True)],
                ],
            ),
            f"- Errors in the {len(typical)} sets above {TYPICAL:g} dB:\n",
            table(["", *METHODS], [counts[0], ratios[0], counts[1], ratios[1]]),
            "- Error rates as reported, pooled over the sets of an interval:\n",
            table(["SNR (dB)", "sets", *METHODS], rates),
        ]
    )


def percents(rows: list[Row], *, more: bool = False) -> list[str]:
    return [f"{100 * scatter(rows, method, more=more):.0f} %" for method in METHODS]


def draw(pyplot: Any, rows: list[Row]) -> Any:
    figure, axes = pyplot.subplots(2, 1, figsize=(7, 8.5), sharex=True, layout="constrained")
    decibel = column(rows, "snr_db")
    for method in METHODS:
        look = {**LOOKS[method], "linestyle": "", "markersize": 4, "alpha": 0.7, "mew": 0}
        axes[0].plot(decibel, column(rows, f"{method} ssr"), label=method, **look)
        wrong = np.maximum(column(rows, f"{method} errors"), 0.5)
        axes[1].plot(decibel, wrong / column(rows, "sites"), label=method, **look)
    line = np.array([decibel.min(), decibel.max()])
    axes[0].plot(line, 10 ** (-line / 10), "k:", lw=1, label="$10^{-\\mathrm{SNR}/10}$")
    axes[0].set_ylabel("squared residuals / (sites · µ²)")
    axes[1].set_ylabel("detection error rate")
    axes[1].set_xlabel("signal-to-noise ratio (dB)")
    least = 0.5 / rows[0]["sites"]
    axes[1].axhspan(0.7 * least, 1.4 * least, color="0.93", zorder=0)
    axes[1].text(decibel.min(), least, "no error", va="center", fontsize="small")
    for axis in axes:
        axis.set_yscale("log")
        axis.grid(color="0.9")
    axes[0].legend()
    return figure
