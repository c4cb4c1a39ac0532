"""Contrast and squared residuals against the regularisation of an estimate (App. B.1, Fig. 6).

λ is that of the first, globally optimal estimate, which the paper's figure is about; κ that of the
Wiener deconvolution. Images of the paper's first example. The background is given, and λ and κ are
also found in each image as the package does it, by the largest contrast.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import table
from benchmarks.sweeps import first_example
from benchmarks.sweeps.gallery import LOOKS, Row
from benchmarks.sweeps.scores import best_affine, fewest_errors
from napari_coldatoms.lattice import Simulation
from napari_coldatoms.lattice.deconvolution import Deconvolver
from napari_coldatoms.lattice.global_step import global_step
from napari_coldatoms.lattice.linear import estimate_brightness
from napari_coldatoms.lattice.modes import modes_of
from napari_coldatoms.lattice.optics import Optics, make_optics
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]

IMAGING = first_example.IMAGING
# over its decimal logarithm; λ is in 1/counts² times counts²: a pure number, as κ
POWERS = {"lambda": np.arange(-6.0, -0.9, 0.125), "kappa": np.arange(-4.5, 1.1, 0.125)}
METHOD = {"lambda": "global", "kappa": "deconvolution"}
LETTER = {"lambda": "λ", "kappa": "κ"}
FILL = {"lambda": LOOKS["global"]["color"], "kappa": "0.35"}
STRENGTHS = {"weak": 1 / 30, "optimal": 1.0, "strong": 30.0}
EDGES = np.arange(-1500.0, 2500.0, 20.0)  # counts
STATES = ("empty", "occupied")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=40, help="of the first example")
    parser.add_argument("--sites", type=int, default=100, help="along each side of the lattice")
    parser.add_argument("--seed", type=int, default=0)


def measure(options: argparse.Namespace) -> list[Row]:
    lattice, shape = first_example.sites(options.sites)
    optics = make_optics(lattice, first_example.PSF, shape)
    deconvolver = Deconvolver(lattice, first_example.PSF, shape)
    images, curves, counts = [], {}, {}
    for k in range(options.images):
        truth = first_example.image(lattice, shape, options.seed, k)
        row = {"image": float(k), "sites": float(len(lattice))}
        for way in (Global(optics, truth), Deconvolution(deconvolver, truth)):
            name = way.name
            found = [one_power(way, truth, power) for power in POWERS[name]]
            curves.setdefault(name, []).append(found)
            row |= {f"{name} {key}": value for key, value in extremes(name, found).items()}
            row[f"{name} tuned"] = way.tuned
            tuned = one_power(way, truth, np.log10(way.tuned))
            row |= {f"{name} tuned {key}": value for key, value in tuned.items()}
            for strength, factor in STRENGTHS.items():
                brightness, _ = way.estimate(way.tuned * factor)
                for state, chosen in zip(STATES, (~truth.occupied, truth.occupied), strict=True):
                    number, _ = np.histogram(brightness[chosen], EDGES)
                    column = f"{name} {strength} {state}"
                    counts[column] = counts.get(column, 0) + number
        images.append(row)
        print(f"{k + 1} of {options.images}", flush=True)
    bins = [
        {"bin": float(low)} | {column: float(number[i]) for column, number in counts.items()}
        for i, low in enumerate(EDGES[:-1])
    ]
    return [*images, *means("lambda", curves), *means("kappa", curves), *bins]


class Global:
    """The first estimate of one image, for any λ (Eq. 34)."""

    name = "lambda"

    def __init__(self, optics: Optics, truth: Simulation) -> None:
        self.optics = optics
        self.signal = truth.image - IMAGING.background
        self.good = np.ones(self.signal.shape)
        self.mean = np.full(len(optics), self.signal.sum() / len(optics))  # Eq. 33
        background = np.full(self.signal.shape, IMAGING.background)
        valid = np.ones(len(optics), dtype=bool)
        shot = Shot(optics, truth.image, self.good, background, IMAGING.read_noise, 1.0, valid)
        self.tuned = global_step(shot).regularisation

    def estimate(self, regularisation: float) -> tuple[FloatArray, float]:
        """Return brightnesses and their contrast."""
        variance = np.full(len(self.optics), 1 / regularisation)
        brightness = estimate_brightness(
            self.optics, self.signal, self.good, self.mean, variance, steps=6
        )
        return brightness, contrast(brightness)


class Deconvolution:
    """The deconvolution of one image, for any κ and the radius that the package finds."""

    name = "kappa"

    def __init__(self, deconvolver: Deconvolver, truth: Simulation) -> None:
        self.deconvolver = deconvolver
        self.truth = truth.brightness
        self.signal = truth.image - IMAGING.background
        found = deconvolver.estimate(self.signal)
        self.tuned, self.radius = found.regularisation, found.radius

    def estimate(self, regularisation: float) -> tuple[FloatArray, float]:
        """Return brightnesses, after the best affine map (App. C), and their contrast."""
        found = self.deconvolver.estimate(
            self.signal, regularisation=regularisation, radius=self.radius
        )
        return best_affine(found.brightness, self.truth), contrast(found.brightness)


def contrast(brightness: FloatArray) -> float:
    """Return the contrast (Eq. 36); NaN where the brightnesses do not support two modes."""
    mixture, modes = modes_of(brightness)
    return mixture.contrast if modes.is_supported else float("nan")


def one_power(way: Global | Deconvolution, truth: Simulation, power: float) -> Row:
    """Return what the estimate of one regularisation is worth."""
    brightness, found = way.estimate(10.0**power)
    ssr = float(np.mean((brightness - truth.brightness) ** 2)) / IMAGING.brightness**2
    wrong = fewest_errors(brightness, truth.occupied) / len(brightness)
    return {"contrast": found, "ssr": ssr, "errors": wrong}


def extremes(name: str, found: list[Row]) -> Row:
    """Return where the contrast is largest and the squared residuals are least, as logarithms."""
    contrasts = np.array([row["contrast"] for row in found])
    ssr = np.log([row["ssr"] for row in found])
    return {
        "most contrast": vertex(POWERS[name], np.nan_to_num(contrasts, nan=0.0)),
        "least ssr at": vertex(POWERS[name], -ssr),
        "least ssr": float(np.exp(ssr.min())),
    }


def vertex(x: FloatArray, y: FloatArray) -> float:
    """Return where the parabola through the highest of evenly spaced points is highest."""
    k = int(np.argmax(y))
    if k in (0, len(y) - 1):
        return float(x[k])
    low, top, high = y[k - 1 : k + 2]
    return float(x[k] + 0.5 * (x[1] - x[0]) * (low - high) / (low - 2 * top + high))


def means(name: str, curves: dict[str, list[list[Row]]]) -> list[Row]:
    """Return means and standard deviations over the images, for each value.

    Where an image does not support two modes, there is no contrast.
    """
    rows = []
    for k, power in enumerate(POWERS[name]):
        row = {name: 10.0 ** float(power)}
        for key in ("contrast", "ssr", "errors"):
            values = np.array([found[k][key] for found in curves[name]])
            row[f"{name} {key}"], row[f"{name} {key} sd"] = values.mean(), values.std()
        rows.append(row)
    return rows


def of_images(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "image" in row]


def expected() -> float:
    """Return σn²/σx², with the light spread evenly over the sites (Eqs. 15 and 16)."""
    return IMAGING.noise_variance(first_example.SPACING**2) / IMAGING.site_variance


def column(rows: list[Row], name: str) -> FloatArray:
    return np.array([row[name] for row in rows])


def spread(values: FloatArray, digits: int) -> str:
    """Return mean and standard deviation."""
    sd = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{values.mean():.{digits}f} ± {sd:.{digits}f}"


def findings(rows: list[Row], way: str) -> dict[str, str]:
    """Return what the images say about λ or κ, each with its heading."""
    images = of_images(rows)
    most, least = (column(images, f"{way} {name}") for name in ("most contrast", "least ssr at"))
    tuned = column(images, f"{way} tuned")
    excess = column(images, f"{way} tuned ssr") / column(images, f"{way} least ssr") - 1
    found = {
        "log₁₀ of the one of most contrast": spread(most, 3),
        "log₁₀ of the one of least squared residuals": spread(least, 3),
        "difference of the two, in the same image": spread(most - least, 3),
        "log₁₀ of the one that the package finds": spread(np.log10(tuned), 3),
        "squared residuals there, above the least ones (%)": spread(100 * excess, 2),
        "error rate there (%)": f"{100 * column(images, f'{way} tuned errors').mean():.2f}",
    }
    curve = [row for row in rows if way in row]
    powers = np.log10(column(curve, way))
    for strength in ("weak", "strong"):
        wanted = np.log10(tuned).mean() + np.log10(STRENGTHS[strength])
        rate = np.interp(wanted, powers, column(curve, f"{way} errors"))
        found[f"error rate with thirty times {strength}er regularisation (%)"] = f"{100 * rate:.1f}"
    return found


def statements(rows: list[Row], note: str) -> str:
    images = of_images(rows)
    both = [findings(rows, way) for way in POWERS]
    least = column(images, "lambda least ssr at").mean()
    return "\n".join(
        [
            f"`{note}`\n",
            f"{len(images)} images of {images[0]['sites']:.0f} sites; ± is the standard deviation "
            "over them. Error rates with the best threshold.\n",
            table(
                ["", *(f"{METHOD[way]}, {LETTER[way]}" for way in POWERS)],
                [[name, *(found[name] for found in both)] for name in both[0]],
            ),
            "- $\\sigma_n^2/\\sigma_x^2$ of the true parameters is "
            f"$10^{{{np.log10(expected()):.3f}}}$; the squared residuals of the "
            f"global estimate are least at $10^{{{least:.3f}}}$.\n",
        ]
    )


def draw(pyplot: Any, rows: list[Row]) -> Any:
    images = of_images(rows)
    bins = [row for row in rows if "bin" in row]
    edges = np.array([row["bin"] for row in bins] + [2 * bins[-1]["bin"] - bins[-2]["bin"]])
    figure = pyplot.figure(figsize=(10, 9.5), layout="constrained")
    grid = figure.add_gridspec(5, 2, height_ratios=(1, 1, 1, 2, 2))
    for side, way in enumerate(POWERS):
        curve = [row for row in rows if way in row]
        look = {"color": LOOKS[METHOD[way]]["color"], "lw": 1.5}
        tuned = 10 ** np.log10(column(images, f"{way} tuned")).mean()
        above: Any = None
        for place, (strength, factor) in enumerate(STRENGTHS.items()):
            axis = above = figure.add_subplot(grid[place, side], sharex=above)
            empty, occupied = (column(bins, f"{way} {strength} {state}") for state in STATES)
            axis.stairs(empty, edges, fill=True, color="0.8")
            axis.stairs(occupied, edges, fill=True, color=FILL[way], alpha=0.6)
            axis.stairs(empty + occupied, edges, color="k", lw=0.8)
            digits, power = f"{tuned * factor:.1e}".split("e")
            text = f"{strength}\n{LETTER[way]} = ${digits}\\cdot 10^{{{int(power)}}}$"
            axis.text(0.99, 0.92, text, transform=axis.transAxes, ha="right", va="top")
            axis.set_xlim(-800, 2100)
            axis.set_yticks([])
            axis.tick_params(labelbottom=place == 2)
            if place == 0:
                axis.set_title(f"{METHOD[way]}: {LETTER[way]}")
            if place == 1 and side == 0:
                axis.set_ylabel("sites")
        above.set_xlabel("brightness (counts)")
        residuals = figure.add_subplot(grid[3, side])
        contrasts = figure.add_subplot(grid[4, side], sharex=residuals)
        for axis, key in ((residuals, "ssr"), (contrasts, "contrast")):
            mean, sd = column(curve, f"{way} {key}"), column(curve, f"{way} {key} sd")
            x = column(curve, way)
            axis.fill_between(x, mean - sd, mean + sd, color=look["color"], alpha=0.25, lw=0)
            axis.plot(x, mean, **look)
            for strength, factor in STRENGTHS.items():
                style = "-" if strength == "optimal" else ":"
                axis.axvline(tuned * factor, color="k", ls=style, lw=0.8)
            if way == "lambda":
                axis.axvline(expected(), color="#d55e00", ls="--", lw=1.2)
            axis.set_xscale("log")
            axis.grid(color="0.9")
        residuals.set_yscale("log")
        residuals.tick_params(labelbottom=False)
        contrasts.set_ylim(0, None)
        contrasts.set_xlabel(f"regularisation {LETTER[way]}")
        if side == 0:
            residuals.set_ylabel("squared residuals / (sites · µ²)")
            contrasts.set_ylabel("contrast")
            residuals.text(expected() * 1.2, 0.15, "$σ_n^2/σ_x^2$", color="#d55e00")
    return figure
