"""The numbers of one image of a lattice, and of pairs of images, as they are read."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.statistics.intervals import Share, binomial_interval
from napari_coldatoms.widgets.plots import unit_sign
from napari_coldatoms.widgets.table import value_text

BoolArray = NDArray[np.bool_]

NOT_JUDGED = "not judged"
NOTHING = "–"
_FEWEST_ERRORS = 1e-6

NUMBERS = (
    ("atoms", "atoms", 0, 0, 1, "sites judged to hold an atom, of all sites in the frame"),
    (
        "snr",
        "SNR",
        0,
        2,
        1,
        "signal-to-noise ratio (dB): light of an atom against the error with which a site's light "
        "is known, for this lattice, PSF, background and camera",
    ),
    (
        "filling",
        "filling",
        1,
        0,
        3,
        "part of the sites that hold an atom (%), with its binomial interval of one standard error "
        "(68 %)",
    ),
    (
        "errors",
        "errors",
        2,
        0,
        3,
        "part of the sites that are expected to be judged wrongly (%), from the probability of "
        "each decision",
    ),
    (
        "threshold",
        "threshold",
        3,
        0,
        2,
        "brightness that divides empty from occupied sites: drag the line in the histogram to set "
        "it by hand",
    ),
    (
        "brightness",
        "brightness",
        4,
        0,
        3,
        "light of one atom, and how much that scatters from atom to atom (standard deviation)",
    ),
    ("background", "background", 5, 0, 3, "mean light beside the atoms, per pixel"),
    (
        "offset",
        "offset",
        6,
        0,
        3,
        "place of the lattice in this image relative to the calibration (px), ± standard error",
    ),
)
"""Of an image: key, label, row, column and columns in the grid, tooltip."""

PAIRS = (
    ("survival", "survival", "atoms that are at their site in the second image as well"),
    ("hopping", "hopping", "atoms that are at an empty nearest neighbour in the second image"),
    ("loss", "loss", "all other atoms of the first image"),
    ("loading", "loading", "empty sites that hold an atom later, which no hop explains"),
    (
        "repeatability",
        "repeatability",
        "sites judged the same in both images: the fidelity, if no atom is lost",
    ),
)
"""Of pairs of images: key, label, tooltip."""


def image_words(
    image: SiteImage,
    *,
    chosen: BoolArray | None = None,
    by_hand: bool = False,
    unit: str = "photoelectrons",
) -> dict[str, str]:
    """Return the numbers of an image in words.

    Parameters
    ----------
    image : SiteImage
    chosen : (n,) bool array, optional
        The sites that atoms, filling and errors are of; all by default.
    by_hand : bool
        Whether its sites are judged by a threshold set by hand.
    unit : str
        Of the brightness.

    Returns
    -------
    dict of str
        "atoms", "filling", "errors", "snr", "threshold", "brightness", "background", "offset",
        "remarks".
    """
    found = image.found
    counted = found.valid if chosen is None else found.valid & chosen
    sites, atoms = int(counted.sum()), int((found.occupied & counted).sum())
    judged = found.has_contrast or by_hand
    sign = unit_sign(unit)
    light = found.parameters
    scatter = value_text(float(light.brightness), float(light.brightness_sd))
    return {
        "atoms": f"{atoms} of {sites}" if judged else NOT_JUDGED,
        "filling": share_text(*_filling(atoms, sites)) if judged else NOT_JUDGED,
        "errors": errors_text(_errors(image, counted), sites),
        "snr": f"{found.snr_db:.1f} dB" if math.isfinite(found.snr_db) else NOTHING,
        "threshold": f"{found.threshold:.4g} {sign}" if judged else NOTHING,
        "brightness": f"{scatter} {sign} per atom" if found.has_contrast else NOTHING,
        "background": f"{float(found.background.mean()):.4g} {sign} per px",
        "offset": _offset(image),
        "remarks": "\n".join(_remarks(image, judged=judged, sites=sites)),
    }


def share_text(value: float, low: float, high: float) -> str:
    """Return a share in percent with its interval, to the second digit of its width.

    >>> share_text(0.5, 0.4903, 0.5097)
    '50.0 % (49.0 – 51.0)'
    """
    if not math.isfinite(value):
        return NOTHING
    width = 100 * (high - low)
    digits = min(max(1 - math.floor(math.log10(width)), 0), 4) if width > 0 else 1
    return f"{100 * value:.{digits}f} % ({100 * low:.{digits}f} – {100 * high:.{digits}f})"


def pair_text(share: Share) -> str:
    """Return a share of what happened between two images; nothing where nothing was counted."""
    if not float(np.asarray(share.trials)) > 0:
        return NOTHING
    return share_text(float(share.value), float(share.low), float(share.high))


def errors_text(rate: float, sites: int) -> str:
    """Return an expected share of errors, and of how many sites that is.

    >>> errors_text(0.00123, 2500)
    '0.12 % (3.1 sites)'
    """
    if not math.isfinite(rate):
        return NOTHING
    if rate < _FEWEST_ERRORS:
        return f"below {100 * _FEWEST_ERRORS:.4f} %"
    number = rate * sites
    share = f"{100 * rate:.2g} %"
    return f"{share} ({number:.2g} sites)" if 0.05 <= number < 100 else share


def _filling(atoms: int, sites: int) -> tuple[float, float, float]:
    if not sites:
        return math.nan, 0.0, 1.0
    low, high = binomial_interval(atoms, sites)
    return atoms / sites, float(low), float(high)


def _errors(image: SiteImage, counted: BoolArray) -> float:
    """Return the share of wrong decisions to be expected of some sites."""
    probability = image.found.probability[counted]
    wrong = np.where(image.found.occupied[counted], 1 - probability, probability)
    return float(wrong.mean()) if len(wrong) else math.nan


def _offset(image: SiteImage) -> str:
    y, x = (
        value_text(float(value), float(error)).replace("-", "−")
        for value, error in zip(image.offset, image.place.stderr, strict=True)
    )
    return f"y {y} px\nx {x} px"


def _remarks(image: SiteImage, *, judged: bool, sites: int) -> list[str]:
    remarks = list(image.remarks)
    if not judged:
        why = [k for k, remark in enumerate(remarks) if remark.startswith("no contrast")]
        reason = remarks.pop(why[0]) if why else "the brightnesses do not form two modes"
        remarks.insert(0, f"{NOT_JUDGED}: {reason}")
    if image.bad_pixels:
        several = "s are" if image.bad_pixels > 1 else " is"
        remarks.append(f"{image.bad_pixels} bad pixel{several} left out")
    if not sites:
        remarks.append("no site to count here")
    return [f"! {remark}" for remark in remarks]
