"""Whether fits converge, to what, and how long they take: from a detection, and from nothing."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.evaluate_errors import LEAST_ASPECT
from napari_coldatoms.clouds.evaluate_truth import TrueFrame, patch_of
from napari_coldatoms.clouds.fit import fit_gaussian, fit_pixels, region
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.patch import Patch

SEEDED, UNSEEDED = "seeded", "unseeded"
SCIPY_SEEDED, SCIPY_UNSEEDED = "scipy, seeded", "scipy, unseeded"
AS_DETECTED = "seeded, as detected"
KINDS = (SEEDED, UNSEEDED, SCIPY_SEEDED, SCIPY_UNSEEDED, AS_DETECTED)
"""Kinds of fits: ours and scipy's `curve_fit`, seeded by the detected mask on twice its ellipse's
box, and with nothing known on the whole frame; and those that the detection made itself, with the
neighbours' models subtracted."""

MOST_PIXELS = 400_000
"""Of larger frames scipy would take minutes without a seed."""

# how far a fit may be from the right one: standard errors, or part of the radius and the peak
_ERRORS, _PART = 3.0, 0.05
_EVALUATIONS = 2000


@dataclass(frozen=True)
class FitTrial:
    """One fit.

    Attributes
    ----------
    frame : str
        Name of the frame.
    cloud : int
        Number of the true cloud in it.
    kind : str
        One of `KINDS`.
    alone : bool
        The frame has no other cloud.
    converged : bool
        The fit says that it succeeded.
    correct : bool or None
        It did, and is within three standard errors or 5 % of the fit from the truth; None where
        that one failed.
    seconds : float
        Processor time that it took; NaN where it was not timed.
    """

    frame: str
    cloud: int
    kind: str
    alone: bool
    converged: bool
    correct: bool | None
    seconds: float


def fit_trials(
    frame: TrueFrame,
    pixels: NDArray[np.float64],
    found: Sequence[Cloud],
    number: int,
    index: int,
    reference: GaussianFit,
    *,
    unseeded: bool = True,
) -> list[FitTrial]:
    """Return the fits of one cloud that was found.

    Parameters
    ----------
    frame : TrueFrame
        The frame.
    pixels : (ny, nx)
        Its picture, float64.
    found : sequence of Cloud
        What was detected in it.
    number, index : int
        Of the true cloud, and of the detected one.
    reference : GaussianFit
        The fit from the truth.
    unseeded : bool
        Whether to compare, in a frame of one cloud, with fits without a seed and with scipy's.
    """
    seed = found[index].gaussian
    pixels = _without_others(pixels, [patch_of(cloud) for cloud in found], index)
    alone = len(frame.clouds) == 1
    runs: dict[str, Callable[[], tuple[bool, Gaussian2D]]] = {
        SEEDED: lambda: _ours(pixels, seed),
    }
    if alone and unseeded:
        runs[UNSEEDED] = lambda: _ours(pixels, None)
        if pixels.size <= MOST_PIXELS:
            runs[SCIPY_SEEDED] = lambda: _scipy_seeded(pixels, seed)
            runs[SCIPY_UNSEEDED] = lambda: _scipy(pixels, generic_guess(pixels))
    trials = []
    for kind, run in runs.items():
        # other programs on the same cores do not count
        start = time.thread_time()
        converged, gaussian = run()
        seconds = time.thread_time() - start
        right = _correct(converged, gaussian, reference)
        trials.append(FitTrial(frame.name, number, kind, alone, converged, right, seconds))
    own = found[index].fit
    if own is not None:
        right = _correct(own.success, own.gaussian, reference)
        trials.append(
            FitTrial(frame.name, number, AS_DETECTED, alone, own.success, right, math.nan)
        )
    return trials


def _correct(converged: bool, found: Gaussian2D, reference: GaussianFit) -> bool | None:
    return converged and is_right(found, reference) if reference.success else None


def is_right(found: Gaussian2D, reference: GaussianFit) -> bool:
    """Whether a Gaussian is within three standard errors or 5 % of a fit.

    5 % of the radius for centres and radii, of the peak for peak and background; 0.05 rad for
    the angle, which is not looked at where the radii differ by less than a factor of 1.3.
    """
    found, true, error = found.principal(), reference.gaussian.principal(), reference.stderr
    along = (true.half_widths[0], true.half_widths[1], true.wx, true.wy, 1.0, true.peak, true.peak)
    off = found.to_array() - true.to_array()
    off[4] = math.remainder(off[4], math.pi)
    allowed = np.maximum(_ERRORS * np.nan_to_num(error.to_array()), _PART * np.abs(along))
    if true.wx < LEAST_ASPECT * true.wy:
        allowed[4] = math.inf
    return bool((np.abs(off) <= allowed).all())


def generic_guess(pixels: NDArray[np.float64]) -> Gaussian2D:
    """Return where a fit begins that knows nothing: at the brightest pixel, a quarter frame wide.

    The radii are not quite equal: with round ones the angle would have no effect.
    """
    ny, nx = pixels.shape
    y0, x0 = np.unravel_index(int(np.nanargmax(pixels)), pixels.shape)
    low, high = float(np.nanmedian(pixels)), float(np.nanmax(pixels))
    return Gaussian2D(float(x0), float(y0), nx / 4, 0.9 * ny / 4, 0.0, high - low, low)


def _without_others(
    pixels: NDArray[np.float64], masks: Sequence[Patch], index: int
) -> NDArray[np.float64]:
    """Return the picture with pixels NaN that belong to other clouds and not to this one."""
    others = np.zeros(pixels.shape, dtype=bool)
    for k, mask in enumerate(masks):
        if k != index:
            mask.paint(others)
    if not others.any():
        return pixels
    own = masks[index]
    y, x = own.offset
    others[y : y + own.pixels.shape[0], x : x + own.pixels.shape[1]] &= ~own.pixels
    return np.where(others, np.nan, pixels)


def _ours(pixels: NDArray[np.float64], seed: Gaussian2D | None) -> tuple[bool, Gaussian2D]:
    fit = fit_gaussian(pixels) if seed is None else fit_pixels(pixels, seed, known=True)
    return fit.success, fit.gaussian


def _scipy_seeded(pixels: NDArray[np.float64], seed: Gaussian2D) -> tuple[bool, Gaussian2D]:
    y0, x0, y1, x1 = region(seed, pixels.shape, 2.0)
    start = Gaussian2D(
        seed.x0 - x0, seed.y0 - y0, seed.wx, 0.95 * seed.wy, seed.theta, seed.peak, seed.background
    )
    success, best = _scipy(pixels[y0:y1, x0:x1], start)
    return success, Gaussian2D(best.x0 + x0, best.y0 + y0, *best.to_array()[2:])


def _scipy(pixels: NDArray[np.float64], start: Gaussian2D) -> tuple[bool, Gaussian2D]:
    """Return the fit as one writes it with scipy: no Jacobian, all pixels that are valid."""
    use = np.isfinite(pixels)
    y, x = np.nonzero(use)

    def model(_: object, *parameters: float) -> NDArray[np.float64]:
        return Gaussian2D(*parameters)(y, x)

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", OptimizeWarning)
            best, _ = curve_fit(model, None, pixels[use], p0=start.to_array(), maxfev=_EVALUATIONS)
    except (RuntimeError, ValueError, TypeError):
        return False, start
    x0, y0, wx, wy, theta, peak, background = best.tolist()
    if not (np.isfinite(best).all() and wx and wy):
        return False, start
    return True, Gaussian2D(x0, y0, abs(wx), abs(wy), theta, peak, background)
