"""The Gaussian fit against scipy's and lmfit's, and the whole detection.

The goals: a seeded fit in its region of interest at least 20 times as fast as
`scipy.optimize.curve_fit` seeded on the full 512² frame, and 3 times as fast as `curve_fit` on the
same pixels. All start from the same seed and stop at the same relative tolerance, 1e-8; that they
found the same is checked.
"""

from __future__ import annotations

import lmfit
import numpy as np
from scipy.optimize import curve_fit

from benchmarks.timing import machine, medians
from napari_coldatoms.clouds import Gaussian2D, detect, fit_gaussian

SHAPE = (512, 512)
CLOUDS = {
    "MOT, 40 px": Gaussian2D(250.3, 240.7, 40.0, 34.0, 0.4, 1.0, 0.05),
    "ODT, 60 × 12 px": Gaussian2D(250.3, 240.7, 60.0, 12.0, 0.6, 0.6, 0.05),
    "small, 6 px": Gaussian2D(250.3, 240.7, 6.0, 5.0, 0.4, 1.0, 0.05),
}
NAMES = ("x0", "y0", "wx", "wy", "theta", "peak", "background")


def model(parameters, y, x):
    """Eq. 1, as one would write it for scipy."""
    x0, y0, wx, wy, theta, peak, background = parameters
    c, s = np.cos(theta), np.sin(theta)
    u, v = (x - x0) * c + (y - y0) * s, (y - y0) * c - (x - x0) * s
    return background + peak * np.exp(-2 * (u * u / wx**2 + v * v / wy**2))


def with_scipy(picture, seed, roi):
    y, x = np.mgrid[roi[0] : roi[2], roi[1] : roi[3]]
    data = picture[roi[0] : roi[2], roi[1] : roi[3]].ravel()
    best, _ = curve_fit(lambda _, *p: model(p, y, x).ravel(), None, data, p0=seed.to_array())
    return best


def with_lmfit(picture, seed, roi):
    y, x = np.mgrid[roi[0] : roi[2], roi[1] : roi[3]]
    data = picture[roi[0] : roi[2], roi[1] : roi[3]]
    start = lmfit.Parameters()
    for name, value in zip(NAMES, seed.to_array(), strict=True):
        start.add(name, value=value)
    found = lmfit.minimize(lambda p: (model(p.valuesdict().values(), y, x) - data).ravel(), start)
    return np.array([found.params[name].value for name in NAMES])


def main() -> None:
    print("Gaussian fit, 512 × 512, seeded, relative tolerance 1e-8; median times")
    print(machine())
    whole = (0, 0, *SHAPE)
    for title, truth in CLOUDS.items():
        rng = np.random.default_rng(1)
        picture = truth.image(SHAPE) + rng.normal(0, 0.1, SHAPE)
        seed = Gaussian2D(
            truth.x0 + 0.05 * truth.wx,
            truth.y0 - 0.05 * truth.wy,
            1.1 * truth.wx,
            0.92 * truth.wy,
            truth.theta + 0.08,
            0.9 * truth.peak,
            0.0,
        )
        fit = fit_gaussian(picture, seed)
        roi = fit.roi
        ways = {
            "curve_fit, full frame": lambda p=picture, s=seed: with_scipy(p, s, whole),
            "lmfit, full frame": lambda p=picture, s=seed: with_lmfit(p, s, whole),
            "curve_fit, same pixels": lambda p=picture, s=seed, r=roi: with_scipy(p, s, r),
            "lmfit, same pixels": lambda p=picture, s=seed, r=roi: with_lmfit(p, s, r),
            "fit_gaussian": lambda p=picture, s=seed: fit_gaussian(p, s),
            "fit_gaussian, binning 4": lambda p=picture, s=seed: fit_gaussian(p, s, binning=4),
            "fit_gaussian, full frame": lambda p=picture, s=seed: fit_gaussian(
                p, s, roi_factor=1e3, redraw=0
            ),
        }
        times = medians(ways, seconds=1.0)
        ours = times["fit_gaussian"]
        size = f"{roi[2] - roi[0]} × {roi[3] - roi[1]} px"
        print(f"\n{title}; region {size}, {fit.iterations} iterations")
        for name, value in times.items():
            print(f"  {name:28s} {1e3 * value:9.3f} ms  {value / ours:8.1f} ×")
        reference = with_scipy(picture, seed, roi)
        scale = np.array([truth.wx, truth.wy, truth.wx, truth.wy, 1.0, truth.peak, truth.peak])
        worst = np.abs((fit.gaussian.to_array() - reference) / scale).max()
        print(f"  largest difference to curve_fit on the same pixels: {worst:.1e}")
        if worst > 1e-4:
            raise SystemExit("the fits disagree")
    print("\nDetection, 512 × 512, one MOT; median times")
    picture = CLOUDS["MOT, 40 px"].image(SHAPE) + np.random.default_rng(2).normal(0, 0.1, SHAPE)
    times = medians(
        {
            "detect, without fit": lambda: detect(picture, fit=False),
            "detect and fit": lambda: detect(picture),
        }
    )
    for name, value in times.items():
        print(f"  {name:28s} {1e3 * value:9.2f} ms")


if __name__ == "__main__":
    main()
