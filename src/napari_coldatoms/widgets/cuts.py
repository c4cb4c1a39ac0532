"""Cuts through a cloud along its axes: what the plot beside the table shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Model = Callable[[NDArray, NDArray], NDArray]
"""Takes rows y and columns x (px), returns the model's values."""


@dataclass(frozen=True)
class Cut:
    """Values along a straight line through a cloud's centre.

    Attributes
    ----------
    position : ndarray, shape (n,)
        Distance from the centre, in `unit`.
    data : ndarray, shape (n,)
        The picture, interpolated between pixels; NaN outside of it.
    model : ndarray, shape (n,)
    radius : float
        The cloud's 1/e² radius along the line, in `unit`.
    title : str
    unit : str
    fitted : bool
        Whether the model was fitted; else it is that of the cloud's mask.
    """

    position: NDArray
    data: NDArray
    model: NDArray
    radius: float
    title: str
    unit: str
    fitted: bool = True


def principal_cuts(
    picture: NDArray,
    model: Model,
    *,
    centre: tuple[float, float],
    radii: tuple[float, float],
    theta: float,
    pixel_size: tuple[float, float] | None = None,
    unit: str | None = None,
    reach: float = 2.5,
) -> tuple[Cut, Cut]:
    """Cut a picture along a cloud's two principal axes.

    Parameters
    ----------
    picture : ndarray, shape (ny, nx)
    model : callable
        ``model(y, x)`` with rows and columns in pixels.
    centre : tuple
        ``(y0, x0)`` in pixels, pixel centres at whole numbers.
    radii : tuple
        1/e² radii ``(wx, wy)`` in pixels along the axis at `theta` and across it.
    theta : float
        Angle of the first axis from +x (columns) towards +y (rows), in radians.
    pixel_size : tuple, optional
        ``(dy, dx)`` in `unit`; without it distances are in pixels.
    reach : float
        How far the lines go from the centre, in radii.

    Returns
    -------
    tuple of Cut
        Along the first axis and along the second.
    """
    cos, sin = math.cos(theta), math.sin(theta)
    return (
        _cut(picture, model, centre, (sin, cos), radii[0], theta, pixel_size, unit, reach),
        _cut(
            picture,
            model,
            centre,
            (cos, -sin),
            radii[1],
            theta + math.pi / 2,
            pixel_size,
            unit,
            reach,
        ),
    )


def _cut(
    picture: NDArray,
    model: Model,
    centre: tuple[float, float],
    direction: tuple[float, float],
    radius: float,
    angle: float,
    pixel_size: tuple[float, float] | None,
    unit: str | None,
    reach: float,
) -> Cut:
    dy, dx = direction
    half = max(reach * radius, 3.0)
    # no more points than anybody can see, no fewer than there are pixels in a small cloud
    steps = int(np.clip(2 * half, 60, 600))
    distance = np.linspace(-half, half, steps + 1)
    y = centre[0] + distance * dy
    x = centre[1] + distance * dx
    size_y, size_x = pixel_size or (1.0, 1.0)
    stretch = math.hypot(dy * size_y, dx * size_x)
    return Cut(
        position=distance * stretch,
        data=bilinear(picture, y, x),
        model=np.asarray(model(y, x), dtype=float),
        radius=radius * stretch,
        title=f"along {_degrees(angle):.0f}°",
        unit=(unit or "px") if pixel_size else "px",
    )


def _degrees(angle: float) -> float:
    """Return the angle of an axis in degrees, in (-90, 90]."""
    degrees = round(math.degrees(angle)) % 180
    return degrees - 180 if degrees > 90 else degrees


def bilinear(picture: NDArray, y: NDArray, x: NDArray) -> NDArray:
    """Interpolate a picture at rows `y` and columns `x`; NaN beyond the outermost pixel centres."""
    rows, cols = picture.shape
    inside = (y >= 0) & (y <= rows - 1) & (x >= 0) & (x <= cols - 1)
    y0 = np.clip(np.floor(y).astype(int), 0, max(rows - 2, 0))
    x0 = np.clip(np.floor(x).astype(int), 0, max(cols - 2, 0))
    y1, x1 = np.minimum(y0 + 1, rows - 1), np.minimum(x0 + 1, cols - 1)
    fy, fx = y - y0, x - x0
    values = (
        picture[y0, x0] * (1 - fy) * (1 - fx)
        + picture[y0, x1] * (1 - fy) * fx
        + picture[y1, x0] * fy * (1 - fx)
        + picture[y1, x1] * fy * fx
    )
    return np.where(inside, values, np.nan)
