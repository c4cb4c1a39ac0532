"""Errors of Gaussian parameters that are had without a fit, as in Fig. 7 of Hofer et al. 2021.

(arXiv:2011.10536, section 5.) They are judged against a fit that begins at the truth, and against
the truth itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.evaluate_truth import TrueCloud, TrueFrame
from napari_coldatoms.clouds.fit import fit_pixels
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import amplitude, moments
from napari_coldatoms.clouds.noise import histogram_peak

Reference = Literal["fit", "truth"]
SUBSETS = ("all", "overlapping", "fringed", "overlapping or fringed", "clean")
"""Which clouds: all; boxes overlap; frames with fringes; one or the other; neither, nor cut."""

MOMENTS, PLAIN_MOMENTS = "moments in the true box", "moments, background kept"
"""Names of the conventional method, with the background subtracted and without."""

# the angle of rounder clouds means nothing
LEAST_ASPECT = 1.3
# how often fits beside each other are repeated with the newest models of the others
_SWEEPS = 3
# beyond so many radii a cloud adds nothing
_REACH = 2.5


@dataclass(frozen=True)
class CloudError:
    """Errors of the parameters of one cloud.

    Attributes
    ----------
    frame : str
        Name of the frame.
    cloud : int
        Number of the true cloud in it.
    label : str
        Its class.
    subsets : tuple of str
        Those of `SUBSETS` it belongs to.
    source : str
        Where the parameters are from.
    reference : "fit" or "truth"
        What they are compared with.
    values : tuple of 7 floats
        As `parameter_errors` returns them; all NaN where the source gives no ellipse.
    """

    frame: str
    cloud: int
    label: str
    subsets: tuple[str, ...]
    source: str
    reference: Reference
    values: tuple[float, ...]


def parameter_errors(found: Gaussian2D, reference: Gaussian2D) -> tuple[float, ...]:
    """Return the normalised errors of x0, y0, wx, wy, theta, peak and background.

    Centres are in units of the extents of the reference's 1/e² ellipse along x and y, major and
    minor radius relative to its own, peak and background in units of its peak; the angle is in rad,
    modulo pi, and NaN where the reference's radii differ by less than a factor of 1.3.
    """
    found, reference = found.principal(), reference.principal()
    hx, hy = reference.half_widths
    long = reference.wx > LEAST_ASPECT * reference.wy
    return (
        (found.x0 - reference.x0) / hx,
        (found.y0 - reference.y0) / hy,
        found.wx / reference.wx - 1,
        found.wy / reference.wy - 1,
        math.remainder(found.theta - reference.theta, math.pi) if long else math.nan,
        (found.peak - reference.peak) / reference.peak,
        (found.background - reference.background) / reference.peak,
    )


def cloud_errors(
    frame: TrueFrame,
    number: int,
    estimates: dict[str, Gaussian2D | None],
    fit: GaussianFit,
) -> list[CloudError]:
    """Return the errors of all estimates of one cloud, against its fit and against the truth.

    Parameters
    ----------
    frame : TrueFrame
        The frame.
    number : int
        Of the cloud in it.
    estimates : dict of str to Gaussian2D or None
        By their sources; None where a source gives no ellipse.
    fit : GaussianFit
        Fit from the truth; without success there are no errors against it.
    """
    cloud = frame.clouds[number]
    against: list[tuple[Reference, Gaussian2D]] = [("truth", cloud.gaussian)]
    if fit.success:
        against.append(("fit", fit.gaussian))
    nothing = (math.nan,) * 7
    return [
        CloudError(
            frame.name,
            number,
            cloud.label,
            subsets_of(frame, cloud),
            source,
            reference,
            nothing if estimate is None else parameter_errors(estimate, true),
        )
        for reference, true in against
        for source, estimate in estimates.items()
    ]


def subsets_of(frame: TrueFrame, cloud: TrueCloud) -> tuple[str, ...]:
    """Return which of `SUBSETS` a cloud belongs to."""
    belongs = {
        "all": True,
        "overlapping": cloud.overlapping,
        "fringed": frame.fringed,
        "overlapping or fringed": cloud.overlapping or frame.fringed,
        "clean": not (cloud.overlapping or frame.fringed or cloud.cut),
    }
    return tuple(name for name in SUBSETS if belongs[name])


def conventional(
    frame: TrueFrame, pixels: NDArray[np.float64]
) -> dict[str, list[Gaussian2D | None]]:
    """Return what the moments of the picture within the true boxes give for each cloud.

    Background: peak of the histogram of the pixels in no true mask. Peak: Eq. 3 within the ellipse
    of the moments. None where the moments are those of no ellipse.

    Parameters
    ----------
    frame : TrueFrame
        The frame.
    pixels : (ny, nx)
        Its picture, float64.
    """
    covered = np.zeros(frame.shape, dtype=bool)
    for cloud in frame.clouds:
        cloud.mask.paint(covered)
    outside = pixels[~covered]
    level = histogram_peak(outside if np.isfinite(outside).any() else pixels)
    return {
        source: [_moments(pixels, cloud, taken, level) for cloud in frame.clouds]
        for source, taken in ((MOMENTS, level), (PLAIN_MOMENTS, 0.0))
    }


def _moments(
    pixels: NDArray[np.float64], cloud: TrueCloud, subtracted: float, level: float
) -> Gaussian2D | None:
    limits = (*pixels.shape, *pixels.shape)
    y0, x0, y1, x1 = (
        min(max(round(edge), 0), limit) for edge, limit in zip(cloud.box, limits, strict=True)
    )
    try:
        shape = moments(pixels[y0:y1, x0:x1], kind="picture", background=subtracted)
    except ValueError:
        return None
    if not (shape.wx > 0 and shape.wy > 0):
        return None
    return amplitude(replace(shape, x0=shape.x0 + x0, y0=shape.y0 + y0), pixels, level)


def reference_fits(
    pixels: NDArray[np.float64], gaussians: Sequence[Gaussian2D]
) -> list[GaussianFit]:
    """Return the fits that begin at the truth, with the models of the other clouds subtracted.

    Parameters
    ----------
    pixels : (ny, nx)
        The picture, float64.
    gaussians : sequence of Gaussian2D
        The true clouds of the frame.
    """
    models = list(gaussians)
    fits: list[GaussianFit] = []
    for _ in range(_SWEEPS if len(models) > 1 else 1):
        fits = [
            fit_pixels(without(pixels, models[:k] + models[k + 1 :]), truth)
            for k, truth in enumerate(gaussians)
        ]
        models = [
            fit.gaussian if fit.success else model for fit, model in zip(fits, models, strict=True)
        ]
    return fits


def without(pixels: NDArray[np.float64], models: Sequence[Gaussian2D]) -> NDArray[np.float64]:
    """Return a picture with the clouds of other models subtracted; those without peak stay."""
    known = [model for model in models if math.isfinite(model.peak)]
    if not known:
        return pixels
    rest = pixels.copy()
    for model in known:
        rows, columns = model.window((pixels.shape[0], pixels.shape[1]), _REACH)
        y, x = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
        rest[rows, columns] -= model.peak * model.profile(y[:, None], x[None, :])
    return rest
