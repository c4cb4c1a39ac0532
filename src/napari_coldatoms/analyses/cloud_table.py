"""The table of clouds: its columns, their units, one row per cloud.

Centre, radii, angle and the like are those of the fit. Of a cloud that was not fitted, or whose fit
failed (the column ``quality`` says so), they are those of its mask, without standard errors. What
comes from the mask alone is in the columns ``mask_...`` in any case.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_coldatoms.backend.run import Run, frame_columns, frame_values
from napari_coldatoms.images.stack import pixel_size, unit

if TYPE_CHECKING:
    from napari_coldatoms.clouds import Cloud, GaussianFit

NOT_FITTED = "not fitted"

# what a Gaussian has, and its unit in pixels; peak and background are in the picture's own unit
GAUSSIAN = {
    "x0": "px",
    "y0": "px",
    "wx": "px",
    "wy": "px",
    "theta": "deg",
    "peak": "",
    "background": "",
}
LENGTHS = ("x0", "y0", "wx", "wy")
TEXTS = ("source", "picture", "label", "quality", "message")


def cloud_table(run: Run) -> pd.DataFrame:
    """Return one row per cloud of a run; frames without clouds have none.

    ``attrs["units"]`` maps each column that has a unit to it.
    """
    stack = run.stack
    size, physical = pixel_size(stack), unit(stack)
    units = _units(physical, square=size is None or math.isclose(*size))
    pixel_area = math.nan if size is None else size[0] * size[1]
    names = frame_columns(stack)
    ours = {"cloud", *units}
    scanned: dict[str, None] = {}
    for frame in run.frames:
        scanned |= dict.fromkeys(_scan_names(frame_values(run, frame), ours))
    rows = []
    for frame in run.good:
        common = _scan_names(frame_values(run, frame), ours)
        for number, cloud in enumerate(frame.result, start=1):
            row = {**common, "cloud": number, **_of_cloud(cloud)}
            if physical is not None:
                row |= _physical(cloud, physical, pixel_area)
            rows.append(row)
    first = [*names, *(key for key in scanned if key not in (*names, "source", "picture"))]
    columns = [*first, "source", "picture", "cloud", *units]
    # the types shall not depend on what was found
    table = pd.DataFrame(rows, columns=columns).astype(_types(columns, first, names))
    table.attrs["units"] = {name: text for name, text in units.items() if text}
    return table


def _scan_names(values: dict[str, Any], ours: set[str]) -> dict[str, Any]:
    """Rename scan parameters that are called like a column of ours."""
    return {f"{key}_scan" if key in ours else key: value for key, value in values.items()}


def _units(physical: str | None, *, square: bool) -> dict[str, str]:
    """Return the columns that every cloud fills, in their order, and their units."""
    columns = {"label": "", "score": "", "significance": ""}
    columns |= {f"box_{edge}": "px" for edge in ("y0", "x0", "y1", "x1")}
    for name, text in GAUSSIAN.items():
        columns |= {name: text, f"{name}_stderr": text}
    columns |= {"integral": "px^2", "integral_stderr": "px^2"}
    if physical is not None:
        for name in LENGTHS:
            columns |= dict.fromkeys(_pair(name, physical), physical)
        if not square:
            # pixels that are not square turn the axes
            columns |= {"theta_physical": "deg", "theta_physical_stderr": "deg"}
        area = f"{physical}^2"
        columns |= {f"integral_{physical}2": area, f"integral_{physical}2_stderr": area}
    columns |= {"reduced_chi2": "", "success": "", "quality": "", "message": "", "mask_area": "px"}
    return columns | {f"mask_{name}": text for name, text in GAUSSIAN.items()}


def _types(columns: list[str], scanned: list[str], names: list[str]) -> dict[str, Any]:
    """Return the types of all columns but the scan parameters."""
    types: dict[str, Any] = dict.fromkeys(columns, float)
    for name in scanned:
        del types[name]
    types |= dict.fromkeys((*names, "cloud", "mask_area"), np.int64)
    return types | dict.fromkeys(TEXTS, "str") | {"success": bool}


def _pair(name: str, physical: str) -> tuple[str, str]:
    return f"{name}_{physical}", f"{name}_{physical}_stderr"


def _of_cloud(cloud: Cloud) -> dict[str, Any]:
    fit = cloud.fit
    good = fit is not None and fit.success
    row: dict[str, Any] = {
        "label": cloud.label,
        "score": cloud.score,
        "significance": cloud.significance,
    }
    row |= dict(zip(("box_y0", "box_x0", "box_y1", "box_x1"), cloud.box, strict=True))
    row |= _numbers(cloud.best)
    if fit is not None and good:
        row |= {f"{name}_stderr": value for name, value in _numbers(fit.stderr).items()}
    row |= {"integral": cloud.best.integral, "integral_stderr": _integral_stderr(fit)}
    row["reduced_chi2"] = math.nan if fit is None else fit.reduced_chi2
    row["success"] = good
    row["quality"] = NOT_FITTED if fit is None else fit.quality
    row["message"] = "" if fit is None else fit.message
    row["mask_area"] = cloud.area
    row |= {f"mask_{name}": value for name, value in _numbers(cloud.gaussian).items()}
    return row


def _numbers(gaussian: Any) -> dict[str, float]:
    values = {name: float(getattr(gaussian, name)) for name in GAUSSIAN}
    values["theta"] = math.degrees(values["theta"])
    return values


def _integral_stderr(fit: GaussianFit | None) -> float:
    """Return the standard error of ``pi wx wy peak / 2``, whose factors' errors are correlated."""
    if fit is None or not fit.success or fit.covariance is None:
        return math.nan
    g = fit.gaussian
    # in the order x0, y0, wx, wy, theta, peak, background
    slope = np.array([0, 0, g.wy * g.peak, g.wx * g.peak, 0, g.wx * g.wy, 0]) * math.pi / 2
    return math.sqrt(max(float(slope @ fit.covariance @ slope), 0.0))


def _physical(cloud: Cloud, physical: str, pixel_area: float) -> dict[str, float]:
    """Return the columns in physical units."""
    fit, best = cloud.fit, cloud.physical
    if best is None:
        return {}
    errors = fit.physical_stderr if fit is not None and fit.success else None
    row = {}
    for name in (*LENGTHS, "theta"):
        value, error = _pair(name, physical)
        row[value] = getattr(best, name)
        row[error] = math.nan if errors is None else getattr(errors, name)
    row["theta_physical"] = math.degrees(best.theta)
    row["theta_physical_stderr"] = math.degrees(row[f"theta_{physical}_stderr"])
    row[f"integral_{physical}2"] = best.integral
    row[f"integral_{physical}2_stderr"] = _integral_stderr(fit) * pixel_area
    return row
