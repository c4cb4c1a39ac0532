"""Histograms of true and estimated brightnesses of the first example, and the errors (Fig. 2).

Background and read noise are given, lattice and PSF are the true ones; everything else is found in
the image. `second step` is the paper's, one pass with a prior for each site; `local` makes two.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import table
from benchmarks.sweeps import first_example
from benchmarks.sweeps.gallery import LOOKS, METHODS, Row
from benchmarks.sweeps.scores import fewest_errors
from napari_coldatoms.lattice import (
    Reconstruction,
    Reconstructor,
    Simulation,
    predicted_error_rate,
    snr,
)
from napari_coldatoms.lattice.linear import estimate_brightness
from napari_coldatoms.lattice.optics import Optics, make_optics
from napari_coldatoms.lattice.prior import SitePrior
from napari_coldatoms.statistics import Mixture

FloatArray = NDArray[np.float64]

IMAGING = first_example.IMAGING
SECOND = "second step"
ESTIMATES = ("deconvolution", "global", SECOND, "local", "alternating")
# error rates in % as the paper gives them: of its first example, and of 50 images
PAPER = {
    "deconvolution": "1.46; 1.4 ± 0.1",
    "global": "0.85; 0.9 ± 0.1",
    SECOND: "0.21; 0.2 ± 0.1",
}
SHOWN = {
    "truth": "true brightnesses",
    "global": "first step: global",
    SECOND: "second step, as in the paper",
    "local": "local: second step twice",
    "alternating": "alternating: each site's own light",
}
COLOURS = {"truth": "0.35", SECOND: "#e69f00", **{m: str(LOOKS[m]["color"]) for m in METHODS}}
# the two modes of the others are not normal
NORMAL = ("deconvolution", "global", "alternating")
EDGES = np.arange(-810.0, 1900.0, 20.0)  # counts, 0 in the middle of a bin
STATES = ("empty", "occupied")
MIXTURE = ("weight", "m0", "m1", "s0", "s1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=250, help="of the first example")
    parser.add_argument("--sites", type=int, default=100, help="along each side of the lattice")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    lattice, shape = first_example.sites(options.sites)
    reconstructor = Reconstructor(lattice, first_example.PSF, image_shape=shape)
    optics = make_optics(lattice, first_example.PSF, shape)
    beforehand = {"snr_db": snr(lattice, first_example.PSF, IMAGING)}
    for method in METHODS:
        rate = predicted_error_rate(lattice, first_example.PSF, IMAGING, method=method)
        beforehand[f"{method} from the ratio"] = rate
    images = []
    first: dict[str, FloatArray] = {}
    counts: dict[str, FloatArray] = {}
    for k in range(options.images):
        truth = first_example.image(lattice, shape, options.seed, k)
        row = {"image": float(k), "sites": float(len(lattice))}
        found = {method: one_method(reconstructor, truth.image, method) for method in METHODS}
        values = {method: one.brightness for method, one in found.items()}
        for method, one in found.items():
            row |= scores(method, one.brightness, truth, one.occupied, one.threshold)
            row[f"{method} expected"] = one.predicted_error_rate
            if method in NORMAL:
                row |= modes(method, one.mixture)
        values[SECOND] = second_step(optics, truth.image, found["global"])
        threshold = 0.5 * found["global"].parameters.brightness
        row |= scores(SECOND, values[SECOND], truth, values[SECOND] > threshold, threshold)
        images.append(row)
        values["truth"] = truth.brightness
        for name in SHOWN:
            for state, chosen in zip(STATES, (~truth.occupied, truth.occupied), strict=True):
                number, _ = np.histogram(values[name][chosen], EDGES)
                column = f"{name} {state}"
                first.setdefault(column, number)
                counts[column] = counts.get(column, 0.0) + number
        if (k + 1) % 20 == 0:
            print(f"{k + 1} of {options.images}", flush=True)
    bins = [
        {"bin": float(low)}
        | {f"{column}, one image": float(number[i]) for column, number in first.items()}
        | {f"{column}, all": float(number[i]) for column, number in counts.items()}
        for i, low in enumerate(EDGES[:-1])
    ]
    return [beforehand, *images, *bins]


def one_method(reconstructor: Reconstructor, image: FloatArray, method: Any) -> Reconstruction:
    """Reconstruct an image with the true background, lattice and PSF."""
    return reconstructor.reconstruct(
        image,
        method=method,
        background=IMAGING.background,
        read_noise=IMAGING.read_noise,
        bad_pixels=None,
        misfit=None,
    )


def second_step(optics: Optics, image: FloatArray, first: Reconstruction) -> FloatArray:
    """Return the brightnesses after the paper's second step (Eqs. 37-42)."""
    found = first.parameters
    prior = SitePrior(found.occupancy, found.brightness, found.brightness_sd**2)
    mean = prior.mean(first.probability)
    noise = optics.image(mean) + IMAGING.background + IMAGING.read_noise**2
    signal = image - IMAGING.background
    return estimate_brightness(
        optics, signal, 1 / noise, mean, prior.spread(first.probability), steps=4
    )


def scores(
    name: str,
    brightness: FloatArray,
    truth: Simulation,
    judged: NDArray[np.bool_],
    threshold: float,
) -> Row:
    """Return the numbers of errors of one estimate, and its threshold."""
    return {
        f"{name} errors": float(np.count_nonzero(judged != truth.occupied)),
        f"{name} least errors": float(fewest_errors(brightness, truth.occupied)),
        f"{name} threshold": threshold,
    }


def modes(name: str, mixture: Mixture) -> Row:
    """Return the two modes and what is in their tails beyond the threshold."""
    values = (mixture.weights[1], *mixture.means, *mixture.sds)
    row = {f"{name} {part}": float(value) for part, value in zip(MIXTURE, values, strict=True)}
    return row | {f"{name} tails": mixture.error_rate}


def of_images(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "image" in row]


def rate(rows: list[Row], name: str, kind: str) -> tuple[float, float, float]:
    """Return an error rate in %, its standard error, and the standard deviation over images."""
    rates = np.array([row[f"{name} {kind}"] / row["sites"] for row in rows]) * 100
    sd = float(rates.std(ddof=1)) if len(rates) > 1 else float("nan")
    return float(rates.mean()), sd / len(rates) ** 0.5, sd


def with_error(value: float, error: float) -> str:
    """Return a number and its error, to the first digit of the error."""
    if not error > 0:
        return f"{value:.2g}"
    digits = max(-int(np.floor(np.log10(error))), 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def percent(rows: list[Row], name: str) -> str:
    """Return the mean of a share in %, or nothing where there is none."""
    shares = [row[name] for row in rows if name in row]
    return f"{100 * np.mean(shares):.2g}" if shares else ""


def statements(rows: list[Row], note: str) -> str:
    images, beforehand = of_images(rows), rows[:1]
    cells = []
    for name in ESTIMATES:
        cells.append(
            [
                name,
                PAPER.get(name, ""),
                with_error(*rate(images, name, "least errors")[:2]),
                with_error(*rate(images, name, "errors")[:2]),
                percent(images, f"{name} tails"),
                percent(images, f"{name} expected"),
                percent(beforehand, f"{name} from the ratio"),
            ]
        )
    best, error, sd = rate(images, "global", "least errors")
    tails = 100 * np.mean([row["global tails"] for row in images])
    gain = best / rate(images, SECOND, "least errors")[0]
    return "\n".join(
        [
            f"`{note}`\n",
            f"Error rates in %, {len(images)} images of {images[0]['sites']:.0f} sites, "
            f"{rows[0]['snr_db']:.1f} dB. The paper has those of its Fig. 2, and of 50 images with "
            "the standard deviation over them. Measured here, with the standard error: with the "
            "best threshold of each image, as the paper does, and as reported. Computed: from the "
            "tails of the two modes, from the probabilities of the sites, and from the SNR "
            "alone.\n",
            table(
                [
                    "",
                    "paper",
                    "best threshold",
                    "as reported",
                    "tails",
                    "probabilities",
                    "SNR",
                ],
                cells,
            ),
            f"- First step: {best:.3f} ± {error:.3f} % measured with the best threshold of each "
            f"image, {rate(images, 'global', 'errors')[0]:.3f} % as reported, {tails:.3f} % from "
            f"the tails of the modes fitted to it. Single images scatter by {sd:.2g} percentage "
            "points.",
            f"- The second step makes {gain:.1f} times fewer errors than the first, in the paper "
            f"{0.85 / 0.21:.1f} times.\n",
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    images = of_images(rows)
    bins = [row for row in rows if "bin" in row]
    edges = np.array([row["bin"] for row in bins] + [2 * bins[-1]["bin"] - bins[-2]["bin"]])
    figure, axes = pyplot.subplots(
        len(SHOWN), 2, figsize=(10, 11), sharex=True, layout="constrained"
    )
    some = {"one image": images[:1], f"all {len(images)} images": images}
    for side, (title, chosen) in enumerate(some.items()):
        kind = "one image" if side == 0 else "all"
        for axis, (name, words) in zip(axes[:, side], SHOWN.items(), strict=True):
            empty, occupied = (
                np.array([row[f"{name} {state}, {kind}"] for row in bins]) for state in STATES
            )
            axis.stairs(empty, edges, fill=True, color="0.75", label="empty")
            axis.stairs(
                occupied, edges, fill=True, color=COLOURS[name], alpha=0.6, label="occupied"
            )
            if side == 1:
                axis.set_yscale("log")
                axis.set_ylim(0.7, 2 * sum(row["sites"] for row in chosen))
            else:
                # next to all empty sites may be in one bin
                narrow = empty.max() > 4 * occupied.max()
                top = 1.4 * occupied.max() if narrow else 1.15 * (empty + occupied).max()
                axis.set_ylim(0, top)
                if narrow:
                    axis.text(40, 0.9 * top, f"↑ {empty.max():.0f}", va="center", fontsize="small")
            text = words
            if name != "truth":
                draw_modes(axis, edges, chosen, name)
                text += f"\n{rate(chosen, name, 'least errors')[0]:.2g} % errors"
            axis.text(0.99, 0.94, text, transform=axis.transAxes, ha="right", va="top")
        axes[0, side].set_title(title)
        axes[-1, side].set_xlabel("brightness (counts)")
        axes[-1, side].set_xlim(-600, 1800)
    for axis in axes[:, 0]:
        axis.set_ylabel("sites")
    axes[0, 0].legend(loc=(0.31, 0.25), title="in truth")
    return figure


def draw_modes(axis: Any, edges: FloatArray, rows: list[Row], name: str) -> None:
    """Draw threshold and normal modes, if there are any, of the mean over the images."""
    threshold = np.mean([row[f"{name} threshold"] for row in rows])
    axis.axvline(threshold, color="k", ls=":", lw=0.8)
    if name not in NORMAL:
        return
    weight, m0, m1, s0, s1 = (np.mean([row[f"{name} {part}"] for row in rows]) for part in MIXTURE)
    mixture = Mixture(np.array([1 - weight, weight]), np.array([m0, m1]), np.array([s0, s1]))
    x = np.linspace(edges[0], edges[-1], 600)
    scale = sum(row["sites"] for row in rows) * (edges[1] - edges[0])
    axis.plot(x, scale * mixture.density(x), "k-", lw=0.8)
