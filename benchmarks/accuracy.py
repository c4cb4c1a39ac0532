"""The full accuracy tables: ``python -m benchmarks.accuracy`` writes docs/accuracy.md.

Everything is seeded, so that a run repeats the last one on the same code.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import curve_fit

import napari_coldatoms
from benchmarks import (
    calibration_accuracy,
    network_accuracy,
    own_detector,
    photon_accuracy,
    photon_intervals,
)
from benchmarks.bench_gaussian_fit import model
from napari_coldatoms.clouds import Gaussian2D, detect, fit_gaussian, moments
from napari_coldatoms.clouds.simulate import random_empty_triplet
from napari_coldatoms.images.absorption import optical_depth

SHAPE = (256, 256)
PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
REGULAR = ("x0", "y0", "Cxx", "Cxy", "Cyy", "peak", "background")

INTRODUCTION = """\
# Accuracy

Written by `make accuracy`; every number can be made again. Pictures are simulated with known truth
where not said otherwise; all parameters are the defaults.
"""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def random_cloud(rng):
    """Return a whole cloud (w from 3 px, aspect 1..8, any angle) and noise, peak/noise 5..100."""
    while True:
        minor = math.exp(rng.uniform(math.log(3), math.log(30)))
        cloud = Gaussian2D(
            *rng.uniform(0, 255, 2).tolist(),
            minor * rng.uniform(1, 8),
            minor,
            rng.uniform(-math.pi / 2, math.pi / 2),
            1.0,
            float(rng.uniform(-0.2, 0.5)),
        )
        y0, x0, y1, x1 = cloud.ellipse_box(1.5)
        if min(y0, x0) > 0 and y1 < SHAPE[0] and x1 < SHAPE[1]:
            return cloud, math.exp(-rng.uniform(math.log(5), math.log(100)))


def regular(p):
    """Return parameters without singular point at a round cloud: covariance for radii and angle."""
    c, s, u, v = np.cos(p[4]), np.sin(p[4]), p[2] ** 2 / 4, p[3] ** 2 / 4
    cov = (u * c**2 + v * s**2, (u - v) * c * s, u * s**2 + v * c**2)
    return np.array([p[0], p[1], *cov, p[5], p[6]])


def derivatives(function, parameters):
    """Return derivatives by complex steps."""
    steps = 1e-30j * np.eye(len(parameters))
    return np.stack([np.imag(function(parameters + h)).ravel() / 1e-30 for h in steps], axis=-1)


def bound(truth, roi, noise):
    """Return the Cramér-Rao bounds (standard errors) of the `regular` parameters."""
    y, x = np.mgrid[roi[0] : roi[2], roi[1] : roi[3]]
    p = truth.to_array()
    jacobian = derivatives(lambda q: model(q, y, x), p) @ np.linalg.inv(derivatives(regular, p))
    scale = 1 / np.sqrt((jacobian**2).sum(0))
    information = (jacobian * scale).T @ (jacobian * scale)
    return np.sqrt(np.diag(np.linalg.inv(information))) * scale * noise


def rms(values):
    return np.sqrt(np.mean(np.square(values), axis=0))


def single_clouds(number: int, binning: int) -> tuple[list, list, list]:
    """Return a row of figures, errors over bounds, errors over standard errors."""
    once = good = 0
    to_bound, to_stderr = [], []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        truth, noise = random_cloud(rng)
        found = detect(truth.image(SHAPE) + rng.normal(0, noise, SHAPE), binning=binning)
        if len(found) != 1:
            continue
        once += 1
        fit = found[0].fit
        good += fit.success and fit.quality == "good"
        if fit.success:
            error = regular(fit.gaussian.to_array()) - regular(truth.to_array())
            to_bound.append(error / bound(truth, fit.roi, noise))
        if fit.success and truth.wx > 1.3 * truth.wy:
            error = fit.gaussian.to_array() - truth.to_array()
            error[4] = math.remainder(error[4], math.pi)
            to_stderr.append(error / fit.stderr.to_array())
    row = [number, binning, f"{100 * once / number:.1f} %", f"{100 * good / number:.1f} %"]
    return row, to_bound, to_stderr


def clouds_section() -> str:
    rows, bounds, errors = [], [], []
    for number, binning in ((200, 1), (2000, 1), (1000, 2)):
        row, to_bound, to_stderr = single_clouds(number, binning)
        rows.append([*row, f"{rms(np.ravel(to_bound)):.3f}", f"{rms(np.ravel(to_stderr)):.3f}"])
        bounds.append([number, binning, *(f"{v:.2f}" for v in rms(to_bound))])
        errors.append([number, binning, *(f"{v:.2f}" for v in rms(to_stderr))])
    names = ("x0", "y0", "wx", "wy", "theta", "peak", "background")
    return "\n".join(
        [
            "## Single clouds: found, fitted\n",
            "Whole Gaussians on 256² pixels: w from 3 px, aspect 1 to 8, any angle, peak/noise 5 "
            "to 100, white noise. Errors are rms of (fit - truth) over the Cramér-Rao bound of "
            "the fitted pixels, and over the fit's own standard errors; 1 is the best possible, "
            "and an honest error.\n",
            table(
                ["clouds", "binning", "found once", "flag right", "error/bound", "error/stderr"],
                rows,
            ),
            "Error over bound, each parameter (C: covariance matrix, regular for round clouds):\n",
            table(["clouds", "binning", *REGULAR], bounds),
            "Error over standard error, each parameter (aspect above 1.3):\n",
            table(["clouds", "binning", *names], errors),
        ]
    )


def fringes(rng, shape):
    """Return an empty optical depth: 1 to 3 fringe systems and white noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = rng.normal(0, 10 ** rng.uniform(-2, -0.9), shape)
    for _ in range(rng.integers(1, 4)):
        period = rng.uniform(4, 16) if rng.random() < 0.5 else rng.uniform(30, 130)
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        picture += 10 ** rng.uniform(-2.3, -1.2) * np.cos(2 * np.pi * along / period + phase)
    return picture


def empty_section() -> str:
    number = 300
    makers = {
        "raw triplets with fringes, dust, vignette (256²)": lambda rng: optical_depth(
            random_empty_triplet(rng)
        ),
        "fringes and white noise (256²)": lambda rng: fringes(rng, SHAPE),
        "fringes and white noise (512 × 640)": lambda rng: fringes(rng, (512, 640)),
        "white noise (512²)": lambda rng: rng.normal(0, 1, (512, 512)),
    }
    rows = []
    for name, make in makers.items():
        found = sum(
            len(detect(make(np.random.default_rng(50_000 + k)), fit=False)) for k in range(number)
        )
        rows.append([name, number, found])
    return "## Empty frames\n\n" + table(["frames", "number", "detections"], rows)


def touching_section() -> str:
    rows = []
    for separation in (1.6, 1.8, 2.0, 2.5, 3.0, 4.0):
        row = [f"{separation} w"]
        for ratio in (1.0, 0.5, 0.25):
            split, number, errors = 0, 40, []
            for seed in range(number):
                rng = np.random.default_rng(seed)
                w, angle = rng.uniform(6, 22), rng.uniform(0, 2 * np.pi)
                dx, dy = math.cos(angle) * separation * w / 2, math.sin(angle) * separation * w / 2
                pair = [
                    Gaussian2D(128 - dx, 128 - dy, w, w, 0.0, 1.0),
                    Gaussian2D(128 + dx, 128 + dy, w, w, 0.0, ratio),
                ]
                noise = ratio * math.exp(-rng.uniform(math.log(8), math.log(100)))
                picture = sum(c.image(SHAPE) for c in pair) + rng.normal(0, noise, SHAPE)
                found = detect(picture)
                split += len(found) == 2
                if len(found) == 2:
                    for truth in pair:
                        distance = [
                            math.hypot(c.best.x0 - truth.x0, c.best.y0 - truth.y0) for c in found
                        ]
                        best = found[int(np.argmin(distance))].best
                        errors.append(math.sqrt(best.wx * best.wy) / w - 1)
            width = f", w {100 * float(rms(errors)):.1f} %" if errors else ""
            row.append(f"{100 * split / number:.0f} %{width}")
        rows.append(row)
    return (
        "## Touching clouds\n\nTwo round Gaussians of equal w (6 to 22 px) and the given ratio of "
        "peaks; the weaker one has peak/noise 8 to 100. Found as two, and the rms error of their "
        "radii then.\n\n" + table(["distance", "1 : 1", "1 : 0.5", "1 : 0.25"], rows)
    )


def flags_section() -> str:
    number = 500
    counts = dict.fromkeys(("clouds", "round", "none", "noise", "fringes", "elsewhere"), 0)
    for k in range(number):
        rng = np.random.default_rng(70_000 + k)
        cloud, noise = random_cloud(rng)
        picture = cloud.image(SHAPE) + rng.normal(0, noise, SHAPE)

        def right(fit, cloud=cloud):
            return fit.success and abs(fit.gaussian.x0 - cloud.x0) < 6 * fit.stderr.x0 + 1e-3

        def wrong(fit, cloud=cloud):
            return fit.success and not right(fit, cloud)

        off = Gaussian2D(
            cloud.x0 + 0.4 * cloud.wy * rng.normal(),
            cloud.y0 + 0.4 * cloud.wy * rng.normal(),
            cloud.wx * math.exp(0.4 * rng.normal()),
            cloud.wy * math.exp(0.4 * rng.normal()),
            cloud.theta + 0.4 * rng.normal(),
        )
        counts["clouds"] += right(fit_gaussian(picture, off))
        counts["round"] += right(fit_gaussian(picture, Gaussian2D(cloud.x0, cloud.y0, 10.0, 10.0)))
        counts["none"] += right(fit_gaussian(picture))
        counts["noise"] += not fit_gaussian(rng.normal(0, 1, SHAPE), cloud).success
        counts["fringes"] += not fit_gaussian(fringes(rng, SHAPE), cloud).success
        away = Gaussian2D((cloud.x0 + 128) % 256, (cloud.y0 + 128) % 256, 5.0, 4.0)
        counts["elsewhere"] += not wrong(fit_gaussian(picture, away))
    names = {
        "clouds": "cloud, seed off by 0.4 w, 40 %, 0.4 rad (rms): true, and at the truth",
        "round": "cloud, exactly round seed of 10 px: true, and at the truth",
        "none": "cloud, no seed: true, and at the truth",
        "noise": "white noise: false",
        "fringes": "fringes: false",
        "elsewhere": "cloud, small seed half a frame away: false, or the right cloud",
    }
    rows = [[names[key], f"{100 * value / number:.1f} %"] for key, value in counts.items()]
    return f"## The success flag, {number} fits each\n\n" + table(["fit", "right"], rows)


def masks_section() -> str:
    """Parameters without a fit, as in Fig. 7 of Hofer et al. 2021."""
    failed = 0
    errors: dict[str, list] = {"mask": [], "conventional moments": []}
    for seed in range(500):
        rng = np.random.default_rng(seed)
        truth, noise = random_cloud(rng)
        picture = truth.image(SHAPE) + rng.normal(0, noise, SHAPE)
        found = detect(picture, fit=False)
        if len(found) != 1:
            continue
        y0, x0, y1, x1 = (round(edge) for edge in truth.ellipse_box())
        try:
            plain = moments(picture[y0:y1, x0:x1], kind="picture", background=truth.background)
        except ValueError:
            failed += 1
            continue
        for name, got, dx, dy in (
            ("mask", found[0].gaussian, 0, 0),
            ("conventional moments", plain, x0, y0),
        ):
            errors[name].append(
                [
                    (got.x0 + dx - truth.x0) / truth.wx,
                    (got.y0 + dy - truth.y0) / truth.wx,
                    got.wx / truth.wx - 1,
                    got.wy / truth.wy - 1,
                    got.peak - 1,
                ]
            )
    rows = [
        [
            name,
            *(f"{100 * v:.1f} %" for v in rms(values)),
            *(f"{100 * v:+.1f} %" for v in np.mean(values, axis=0)[2:]),
        ]
        for name, values in errors.items()
    ]
    head = ["from", "x0/wx", "y0/wx", "wx", "wy", "peak", "bias wx", "bias wy", "bias peak"]
    return (
        "## Without a fit\n\nRms errors of what the detected mask gives (moments, Eq. 3 of Hofer "
        "et al. 2021), and of the moments of the picture within the true box, true background "
        "subtracted (which needs both to be known; "
        f"{failed} of 500 gave no ellipse and are left out).\n\n" + table(head, rows)
    )


def real_section() -> str:
    folder = os.environ.get("COLDATOMS_TEST_DATA")
    if not folder:
        return "## Real pictures\n\nNot measured: COLDATOMS_TEST_DATA is not set.\n"
    root = Path(folder)
    pictures = {}
    for file in sorted((root / "oqtant_rb87").glob("*.json")):
        for stack in napari_coldatoms.read(file):
            pictures[f"Rb-87, {stack.name}"] = stack
    for number in ("0147", "0149", "0156", "0162"):
        names = [f"{role}_2020_11_24_{number}.tiff" for role in ("Image", "Probe", "Background")]
        (raw,) = napari_coldatoms.read([root / "ring_bec_tiff" / name for name in names])
        pictures[f"ring {number}"] = optical_depth(raw, power_correction="robust")
    for file in (root / "li6_fits").glob("*.fits"):
        (raw,) = napari_coldatoms.read(file)
        pictures["Li-6"] = optical_depth(raw, power_correction="robust")
    rows = []
    for name, picture in pictures.items():
        found = detect(picture)
        if not found:
            rows.append([name, 0, *[""] * 5])
        for cloud in found:
            fit = cloud.fit
            if not fit.success:
                g = cloud.gaussian
                size = f"mask: {g.wx:.1f} × {g.wy:.1f}"
                rows.append(
                    [name, len(found), f"{cloud.score:.2f}", size, fit.quality, "", fit.message]
                )
                continue
            y0, x0, y1, x1 = fit.roi
            y, x = np.mgrid[y0:y1, x0:x1]
            data = np.squeeze(np.asarray(picture.data, dtype=float))[y0:y1, x0:x1]
            use = np.isfinite(data)
            best, _ = curve_fit(
                lambda _, *p, y=y, x=x, use=use: model(p, y[use], x[use]),
                None,
                data[use],
                p0=cloud.gaussian.to_array() * [1, 1, 1, 0.95, 1, 1, 1],
                maxfev=20_000,
            )
            widths = np.sort(np.abs(best[2:4]))[::-1]
            off = max(abs(fit.gaussian.wx / widths[0] - 1), abs(fit.gaussian.wy / widths[1] - 1))
            size = f"{fit.gaussian.wx:.1f} × {fit.gaussian.wy:.1f}"
            rows.append(
                [
                    name,
                    len(found),
                    f"{cloud.score:.2f}",
                    size,
                    fit.quality,
                    f"{off:.0e}",
                    fit.message,
                ]
            )
    head = ["picture", "clouds", "score", "w (px)", "quality", "Δw to scipy", "message"]
    return (
        "## Real pictures\n\nΔw: largest relative difference of the radii to "
        "`scipy.optimize.curve_fit` on the same pixels, started from the mask's Gaussian.\n\n"
        + table(head, rows)
    )


def network_section() -> str:
    return network_accuracy.section(table)


def own_detector_section() -> str:
    return own_detector.section(table)


def calibration_section() -> str:
    errors, pulls = calibration_accuracy.phase_errors(200)
    phases = [[len(errors), f"{rms(np.ravel(errors)):.3f} px", f"{np.abs(errors).max():.3f} px"]]
    phases[0].append(f"{rms(np.ravel(pulls)):.2f}")
    rows = []
    for decibel in calibration_accuracy.WIDTHS:
        for name in calibration_accuracy.LATTICES:
            tries = [_calibrated(name, decibel, seed) for seed in range(3)]
            found = [one for one in tries if one is not None]
            if not found:
                rows.append([f"{decibel:g} dB", name, "refused", "", "", 0, ""])
                continue
            rows.append(
                [
                    f"{decibel:g} dB",
                    name,
                    f"{100 * max(one.spacing for one in found):.3f} %",
                    f"{max(one.angle for one in found):.4f}°",
                    f"{100 * max(one.hwhm for one in found):.2f} %",
                    sum(one.trusted for one in found),
                    f"{sum(one.wrong for one in found)} : "
                    f"{sum(one.wrong_with_truth for one in found)} of "
                    f"{sum(one.decisions for one in found)}",
                ]
            )
    told = [
        [
            one.kind,
            "" if math.isnan(one.decibel) else f"{one.decibel:.1f} dB",
            one.shots,
            one.wrong,
            one.wrong_flagged,
            one.right_flagged,
        ]
        for one in calibration_accuracy.flags(40)
    ]
    return "\n".join(
        [
            "## Calibration of lattices\n",
            "Phase of each shot, T1 with 50 × 50 sites, up to 0.5 px from where the lattice is "
            "told to be:\n",
            table(["shots", "rms", "largest", "error/stderr"], phases),
            "Calibration without a guess, from 20 shots of about 50 × 50 sites that are displaced "
            "by up to 0.5 px: largest errors of three stacks, how many are trusted, and wrong "
            "decisions with the own calibration : with the true lattice and PSF.\n",
            table(["SNR", "lattice", "spacing", "angle", "HWHM", "trusted", "wrong"], rows),
            "What the flag says of single shots (T1, 50 × 50 sites), displaced by up to 2 px; a "
            "phase is wrong when it is more than 0.5 px off, or there is none to be found:\n",
            table(["shots", "SNR", "number", "wrong", "flagged of these", "right, flagged"], told),
        ]
    )


def _calibrated(name: str, decibel: float, seed: int) -> calibration_accuracy.Calibrated | None:
    """Return the errors of a calibration; None where the images are refused."""
    try:
        return calibration_accuracy.calibrated(name, decibel, seed, judged=20)
    except ValueError:
        return None


def photons_section() -> str:
    deltas = photon_accuracy.table_of_deltas()
    sizes = photon_accuracy.SIZES
    rows = [
        [method, *(_beside(of_size[size], method, size) for size in sizes)]
        for method, of_size in deltas.items()
    ]
    size = photon_accuracy.THRESHOLD_SIZE
    thresholds = [
        [method, _beside(found, method, size)]
        for method, found in photon_accuracy.table_of_thresholds().items()
    ]
    brightness = [
        [method, f"{found.delta:.2f} %", *(f"{one:+.2f} %" for one in found.bias)]
        for method, found in photon_accuracy.varying_brightness(resamples=100).items()
    ]
    bins = photon_accuracy.sub_bins()
    sub_bins = [
        ["whole exposure", f"{bins.one:.2f} %", f"{bins.predicted_one:.2f} %"],
        ["two halves", f"{bins.two:.2f} %", f"{bins.predicted_two:.2f} %"],
    ]
    covered = [
        [
            f"{control_events} / {events}",
            *(f"{100 * one:.0f} %" for one in (*found.each, found.all)),
            f"{100 * found.without_controls:.0f} %",
        ]
        for (control_events, events), found in (
            (size, photon_intervals.coverage(*size)) for size in photon_intervals.SIZES
        )
    ]
    predicted = [
        [f"{control_events} / {events}", *(f"{one:.2f}" for one in ratio)]
        for (control_events, events), ratio in photon_intervals.predictions().items()
    ]
    pair = "N_c / N_e"
    return "\n".join(
        [
            "## Photon counts\n",
            "The setting of Weyland et al. 2025, arXiv:2412.17434: mean counts 1, 15 and 29, 0.8 "
            "and 0.4 losses per exposure, 2.9 % of single atoms lost before it. Δ (Eq. 6): the "
            "root mean square error of the three proportions, averaged over all proportions in "
            "steps of 10 % and 100 resamples, with N_c control shots and N_e shots of the sample. "
            "In brackets what an independent calculation has.\n",
            table(["fit", *(f"{pair} = {c} / {e}" for c, e in sizes)], rows),
            f"Thresholds, {pair} = {size[0]} / {size[1]}:\n",
            table(["method", "Δ"], thresholds),
            f"A brightness that varies by 20 % from shot to shot, {pair} = 2000 / 1000: Δ, and "
            "mean errors at 30, 30 and 40 %:\n",
            table(["fit", "Δ", "P0", "P1", "P2"], brightness),
            "Error of P2 at 20, 30 and 50 %, with 1000 shots and known rates, in 300 repeats, and "
            "what is predicted:\n",
            table(["counted in", "found", "predicted"], sub_bins),
            "How often the 68 % intervals hold the truth: 300 sets of controls, random numbers of "
            "shots of each atom number, proportions of 0.1 and more; and on average if controls "
            "are not drawn anew:\n",
            table([pair, "P0", "P1", "P2", "all", "controls kept"], covered),
            "Errors found in 1000 simulated measurements over predicted ones, at 30, 30 and "
            "40 %:\n",
            table([pair, "P0", "P1", "P2"], predicted),
        ]
    )


def _beside(found: float, method: str, size: tuple[int, int]) -> str:
    """Return Δ and the reference in brackets, where there is one."""
    expected = photon_accuracy.REFERENCE.get(method, {}).get(size)
    return f"{found:.2f} %" + ("" if expected is None else f" ({expected:g} %)")


def main() -> int:
    sections = [INTRODUCTION]
    for section in (
        clouds_section,
        empty_section,
        touching_section,
        flags_section,
        masks_section,
        real_section,
        network_section,
        own_detector_section,
        calibration_section,
        photons_section,
    ):
        sections.append(section())
        print(sections[-1], flush=True)
    PAGE.write_text("\n".join(sections), encoding="utf-8")
    print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
