"""What a calibration says, in words and numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_coldatoms.lattice.calibration import Calibration


def told(calibration: Calibration) -> list[tuple[str, str]]:
    """Return what a calibration found and what it is worth, as pairs of a name and a text."""
    quality = calibration.quality
    lines = [*numbers(calibration), ("trusted", "yes" if quality.trusted else "NO")]
    return [*lines, *(("remark", remark) for remark in quality.remarks)]


def numbers(calibration: Calibration) -> list[tuple[str, str]]:
    """Return what a calibration found, as pairs of a name and a text; without what is not known."""
    quality = calibration.quality
    sites = "lattice" if calibration.lattice.is_regular else "positions"
    lines = [
        ("sites", f"{len(calibration.lattice)} ({sites})"),
        ("spacing", _several(quality.spacing, quality.spacing_error, "px")),
        ("angle", _several(quality.angle, quality.angle_error, "°")),
        ("PSF HWHM", _several((calibration.psf.hwhm,), (quality.hwhm_error,), "px")),
        ("SNR", _number(quality.snr_db, "dB")),
        ("expected errors", _share(quality.predicted_error_rate)),
        ("shots", f"{quality.shots}, {quality.trusted_shots} of them trusted"),
    ]
    return [(name, text) for name, text in lines if text]


def verdict(calibration: Calibration) -> str:
    """Return in one line whether a calibration can be relied upon, and if not, why."""
    quality = calibration.quality
    if quality.trusted:
        return "✓ trusted"
    reasons = "; ".join(quality.remarks)
    return f"! not trusted: {reasons}" if reasons else "! not trusted"


def _several(values: tuple[float, ...], errors: tuple[float, ...], unit: str) -> str:
    parts = [
        f"{value:.4f} ± {error:.2g} {unit}" if math.isfinite(error) else f"{value:.4f} {unit}"
        for value, error in zip(values, errors, strict=True)
    ]
    return ", ".join(parts)


def _share(value: float) -> str:
    return "below 0.0001 %" if value < 1e-6 else _number(100 * value, "%")


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if math.isfinite(value) else ""
