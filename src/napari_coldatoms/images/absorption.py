"""Optical depth from raw frames: OD = -ln[(atoms - dark) / (r (probe - dark))].

``r`` is the power ratio: the light of the atoms frame divided by that of the probe frame where no
atoms are. It differs from 1 because the probe's power drifts between the two exposures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from napari_coldatoms.images.frames import average, full_scale, per_shot
from napari_coldatoms.images.power import region_power_ratio, robust_power_ratio
from napari_coldatoms.images.stack import StackError, check_stack, is_raw

PowerCorrection = Literal["none", "region", "robust"]


@dataclass(frozen=True)
class _Recipe:
    """All that one shot needs besides its frames; picklable for dask."""

    roles: tuple[str, ...]
    power_correction: PowerCorrection
    region: tuple[int, int, int, int] | None
    saturation: float | None
    min_probe: float | None


def optical_depth(
    stack: xr.DataArray,
    *,
    background_region: Sequence[float] | None = None,
    power_correction: PowerCorrection | None = None,
    saturation: float | None = None,
    min_probe: float | None = None,
) -> xr.DataArray:
    """Make the optical-depth picture of raw absorption frames.

    ``OD = -ln[(atoms - dark) / (probe - dark) / r]`` with the power ratio ``r`` = (atoms - dark)
    / (probe - dark) where no atoms are. Several frames of one role are averaged. The OD is not
    clipped: negative noise stays, so that sums are unbiased.

    Parameters
    ----------
    stack : DataArray, dims ([shot,] frame, y, x)
        Raw frames in counts with at least one ``atoms`` and one ``probe`` frame. Without ``dark``
        frame, dark is 0, and ``attrs["note"]`` says so. Lazy stacks give lazy pictures.
    background_region : (y0, x0, y1, x1), optional
        Region without atoms, pixel edges, half-open.
    power_correction : {"none", "region", "robust"}, optional
        ``"region"`` takes ``r`` from the light in `background_region`, ``"robust"`` from the
        whole frame (see `robust_power_ratio`), ``"none"`` takes 1. Default: ``"region"`` if a
        region is given, else ``"none"``.
    saturation : float, optional
        Counts from which a pixel counts as saturated. Default: ``attrs["saturation"]``, else the
        largest value of an integer camera (65535, 255); none for floating-point frames.
    min_probe : float, optional
        Pixels with less light than this, probe - dark in counts, are invalid. Default: pixels
        are invalid where most of the 5 x 5 pixels around have less light than three times the
        noise of the dark frame, as in a masked part of the chip: there is nothing but noise.
        Without dark frame nothing is left out so.

    Returns
    -------
    DataArray, dims ([shot,] y, x), float32
        ``kind="optical_depth"``. NaN where atoms <= dark, where probe <= dark (or not lit), or
        where either is saturated; the coordinate ``invalid`` marks these pixels,
        ``invalid_count`` and ``saturated_count`` count them, ``power_ratio`` is ``r`` (all three
        per shot).

    Raises
    ------
    StackError
        No raw frames, no atoms or no probe frame, or a region that does not lie in the picture.
    """
    check_stack(stack)
    if not is_raw(stack):
        raise StackError("expected raw frames, found a picture (without 'frame' dimension)")
    roles = tuple(str(role) for role in stack["frame"].values)
    for role in ("atoms", "probe"):
        if role not in roles:
            raise StackError(
                f"optical depth needs a frame with the role {role!r}, found only {', '.join(roles)}"
            )
    if power_correction is None:
        power_correction = "region" if background_region is not None else "none"
    if power_correction not in ("none", "region", "robust"):
        raise StackError(
            f"expected power_correction 'none', 'region' or 'robust', found {power_correction!r}"
        )
    if power_correction == "region" and background_region is None:
        raise StackError("power_correction='region' needs a background_region (y0, x0, y1, x1)")
    region = None
    if background_region is not None:
        region = _checked_region(background_region, stack.sizes["y"], stack.sizes["x"])
    level = full_scale(stack) if saturation is None else float(saturation)
    recipe = _Recipe(roles, power_correction, region, level, min_probe)

    picture, numbers = per_shot(stack, _optical_depth_of_shot, recipe, n_numbers=3)
    parameters = {
        "kind": "absorption",
        "power_correction": power_correction,
        "background_region": None if region is None else list(region),
        # as it was given, so that it suits another camera, too
        "saturation": saturation,
        "min_probe": min_probe,
    }
    attrs = {**stack.attrs, "kind": "optical_depth", "picture": parameters}
    if "dark" not in roles:
        attrs["note"] = "no dark frame: taken as 0"
    picture.attrs = attrs
    # NaN is what marks them; the coordinate is for those who look for it
    return picture.assign_coords(
        invalid=np.isnan(picture.variable),
        invalid_count=numbers[0].astype(int),
        saturated_count=numbers[1].astype(int),
        power_ratio=numbers[2],
    )


def _optical_depth_of_shot(frames: np.ndarray, recipe: _Recipe) -> tuple[np.ndarray, list[float]]:
    """Compute one shot. Frames (frame, y, x) to OD (y, x) and [invalid, saturated, power ratio]."""
    atoms, saturated = average(frames, recipe.roles, "atoms", recipe.saturation)
    probe, probe_saturated = average(frames, recipe.roles, "probe", recipe.saturation)
    saturated |= probe_saturated
    if "dark" in recipe.roles:
        dark, _ = average(frames, recipe.roles, "dark", None)
        atoms -= dark
        probe -= dark
        if recipe.min_probe is None:
            lit = _mostly(probe >= 3 * dark_noise(dark))
        else:
            lit = probe >= recipe.min_probe
    else:
        lit = probe >= (recipe.min_probe or 0.0)
    # pixels with atoms <= dark count in the light balance: the densest core must not drop out
    usable = (probe > 0) & lit & ~saturated
    valid = (atoms > 0) & usable
    ratio = 1.0
    if recipe.power_correction == "region" and recipe.region is not None:
        ratio = region_power_ratio(atoms, probe, usable, recipe.region)
    elif recipe.power_correction == "robust":
        ratio = robust_power_ratio(atoms, probe, usable)
    if not np.isfinite(ratio):  # no light to compare: there is no picture
        valid[:] = False
    od = np.full(atoms.shape, np.nan, dtype=np.float32)
    np.log(ratio * probe[valid] / atoms[valid], out=(values := np.empty(valid.sum())))
    od[valid] = values
    return od, [float((~valid).sum()), float(saturated.sum()), ratio]


def _mostly(mask: np.ndarray, size: int = 5) -> np.ndarray:
    """Tell where more than half of the pixels around are set."""
    from scipy.ndimage import uniform_filter

    return uniform_filter(mask.astype(np.float32), size, mode="nearest") > 0.5


def dark_noise(dark: np.ndarray) -> float:
    """Return the noise of a dark frame (standard deviation, counts), from neighbours.

    Differences of neighbouring pixels leave out slow structure; their median leaves out hot
    pixels and the tail of multiplied electrons.
    """
    if dark.shape[-1] < 2:
        return 0.0
    steps = np.abs(np.diff(dark.astype(float), axis=-1))
    noise = 1.4826 * float(np.median(steps)) / np.sqrt(2)
    if noise == 0:  # few grey levels: most neighbours are equal
        noise = float(np.sqrt(np.mean(np.clip(steps, 0, np.quantile(steps, 0.99)) ** 2) / 2))
    return noise


def _checked_region(region: Sequence[Any], ny: int, nx: int) -> tuple[int, int, int, int]:
    try:
        y0, x0, y1, x1 = (float(value) for value in region)
    except (TypeError, ValueError):
        raise StackError(f"expected a region (y0, x0, y1, x1), found {region!r}") from None
    if not (y0 < y1 and x0 < x1 and y1 > 0 and x1 > 0 and y0 < ny and x0 < nx):
        raise StackError(
            f"expected a region (y0, x0, y1, x1) in the picture of {ny} x {nx} pixels, "
            f"found {region!r}"
        )
    return (
        max(0, round(y0)),
        max(0, round(x0)),
        max(round(y0) + 1, min(ny, round(y1))),
        max(round(x0) + 1, min(nx, round(x1))),
    )
