"""Shapes of simulated clouds: what they add to the picture, their outline and their Gaussian.

A cloud is a sum of parts, each a radial profile on an ellipse: a bimodal cloud is a thermal
Gaussian and a Thomas-Fermi profile, a hollow one a Gaussian less a narrower one, a crossed dipole
trap two long Gaussians. Its outline is the contour at 1/e² of its peak, without holes: for a
Gaussian the 1/e² ellipse, where Hofer et al. 2021 (arXiv:2011.10536) draw the border of the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import spence

from napari_coldatoms.clouds.gaussian import Gaussian2D

Picture = NDArray[np.float64]
Window = tuple[int, int, int, int]

CONTOUR = math.exp(-2)
"""Height of the outline over the peak of the cloud."""

_ZETA_2 = math.pi**2 / 6
# g2(z) / g2(1) against z; denser towards z = 1, where its slope diverges
_FUGACITY = 1 - np.linspace(1, 0, 257) ** 3
_BOSE = spence(1 - _FUGACITY) / _ZETA_2


def _gaussian(square: Picture, detail: float) -> Picture:
    return np.exp(-2 * square)


def _bose(square: Picture, detail: float) -> Picture:
    return np.interp(np.exp(-2 * square), _FUGACITY, _BOSE)


def _thomas_fermi(square: Picture, detail: float) -> Picture:
    return np.maximum(1 - square, 0) ** 1.5


def _ring(square: Picture, detail: float) -> Picture:
    return np.exp(-2 * ((np.sqrt(square) - 1) / detail) ** 2)


PROFILES: dict[str, Callable[[Picture, float], Picture]] = {
    "gaussian": _gaussian,
    "bose": _bose,
    "thomas-fermi": _thomas_fermi,
    "ring": _ring,
}
"""Profiles as functions of r², in radii of the ellipse, and of one detail.

``gaussian`` is exp(-2 r²), ``bose`` g2(exp(-2 r²)) / g2(1), ``thomas-fermi`` (1 - r²)**1.5 and
``ring`` exp(-2 ((r - 1) / detail)²).
"""


@dataclass(frozen=True)
class Part:
    """One profile on an ellipse.

    Parameters
    ----------
    ellipse : Gaussian2D
        Centre, radii and angle, and the height of the profile.
    profile : str
        Name in `PROFILES`.
    detail : float
        Half thickness of a ring at 1/e², over its radius.
    lean : (float, float)
        How much the height of a ring varies around it (0 to below 1), and at which angle (rad)
        from the ``wx`` axis it is highest.
    """

    ellipse: Gaussian2D
    profile: str = "gaussian"
    detail: float = 0.0
    lean: tuple[float, float] = (0.0, 0.0)

    @property
    def reach(self) -> float:
        """Radius beyond which nothing is left to be seen, over that of the ellipse."""
        if self.profile == "ring":
            return 1 + 2.2 * self.detail
        return 1.0 if self.profile == "thomas-fermi" else 2.4

    def blurred(self, blur: float) -> Part:
        """Return the part convolved with a Gaussian of standard deviation `blur` (px).

        Exact for a Gaussian; for a ring the thickness alone, for ``bose`` as for a Gaussian.
        A Thomas-Fermi profile is returned as it is.
        """
        e, square = self.ellipse, 4 * blur**2
        if self.profile == "thomas-fermi" or blur == 0:
            return self
        if self.profile == "ring":
            radius = math.sqrt(e.wx * e.wy)
            detail = math.hypot(self.detail, 2 * blur / radius)
            peak = e.peak * self.detail / detail
            return replace(self, ellipse=replace(e, peak=peak), detail=detail)
        wx, wy = math.sqrt(e.wx**2 + square), math.sqrt(e.wy**2 + square)
        peak = e.peak * e.wx * e.wy / (wx * wy)
        return replace(self, ellipse=replace(e, wx=wx, wy=wy, peak=peak))

    def image(self, y: Picture, x: Picture) -> Picture:
        """Return the part at rows `y` (n, 1) and columns `x` (1, n)."""
        e = self.ellipse
        c, s = math.cos(e.theta), math.sin(e.theta)
        u = (x - e.x0) * (c / e.wx) + (y - e.y0) * (s / e.wx)
        v = (y - e.y0) * (c / e.wy) - (x - e.x0) * (s / e.wy)
        found = e.peak * PROFILES[self.profile](u * u + v * v, self.detail)
        amount, angle = self.lean
        if amount:
            # cos(phi - angle) without an arctangent
            radius = np.sqrt(u * u + v * v) + 1e-12
            along = (u * math.cos(angle) + v * math.sin(angle)) / radius
            found *= (1 + amount * along) / (1 + amount)
        return found


@dataclass(frozen=True)
class SimulatedCloud:
    """A cloud of one or more parts.

    Parameters
    ----------
    label : str
        Class: ``"MOT"`` or ``"ODT"``.
    shape : str
        What the cloud is: ``"gaussian"``, ``"bimodal"``, ``"ring"``, ...
    parts : sequence of Part
        What it is made of.
    blur : float
        Standard deviation (px) of the imaging; the parts are those before it.
    """

    label: str
    shape: str
    parts: tuple[Part, ...]
    blur: float = 0.0

    @property
    def highest(self) -> float:
        """Height of the highest part."""
        return max(part.ellipse.peak for part in self.parts)

    def scaled(self, factor: float) -> SimulatedCloud:
        """Return the cloud with all heights multiplied by `factor`."""
        parts = tuple(
            replace(part, ellipse=replace(part.ellipse, peak=factor * part.ellipse.peak))
            for part in self.parts
        )
        return replace(self, parts=parts)

    def render(self, shape: tuple[int, int]) -> Rendered:
        """Return what is seen of the cloud on a frame of `shape` (rows, columns)."""
        parts = tuple(part.blurred(self.blur) for part in self.parts)
        if coaxial(parts):
            outline = _outer_ellipse(parts)
            inside = _clip(_around(parts, self.blur), shape)
            heights = self._heights(parts, inside)
            mask = _in_ellipse(outline, inside)
            area = math.pi * outline.wx * outline.wy
            return Rendered(inside, heights, mask, outline, area, True)
        # the contour has no closed form: draw all of it, on the frame or not
        canvas = _around(parts, self.blur)
        heights = self._heights(parts, canvas)
        peak = float(heights.max())
        mask = heights >= CONTOUR * peak
        outline = _moments(mask, canvas, peak)
        inside = _clip(canvas, shape)
        cut = (
            slice(inside[0] - canvas[0], inside[2] - canvas[0]),
            slice(inside[1] - canvas[1], inside[3] - canvas[1]),
        )
        return Rendered(inside, heights[cut], mask[cut], outline, float(mask.sum()), False)

    def _heights(self, parts: Sequence[Part], window: Window) -> Picture:
        y = np.arange(window[0], window[2], dtype=float)[:, None]
        x = np.arange(window[1], window[3], dtype=float)[None, :]
        total = np.zeros((y.size, x.size))
        if total.size == 0:
            return total
        for part in parts:
            # most of a narrow part's window is empty
            near = _clip(_around([part], self.blur), total.shape, (window[0], window[1]))
            rows = slice(near[0] - window[0], near[2] - window[0])
            columns = slice(near[1] - window[1], near[3] - window[1])
            found = part.image(y[rows], x[:, columns])
            if part.profile == "thomas-fermi" and self.blur:
                found = gaussian_filter(found, self.blur, mode="constant", truncate=3)
            total[rows, columns] += found
        return total


@dataclass(frozen=True)
class Rendered:
    """A cloud on a frame.

    Attributes
    ----------
    window : (int, int, int, int)
        The part of the frame it covers: pixel edges ``(y0, x0, y1, x1)``.
    heights : (y, x) array
        What it adds to the picture there.
    mask : (y, x) array of bool
        Pixels there inside its outline.
    gaussian : Gaussian2D
        The Gaussian of its outline: the cloud itself, if it is Gaussian, else the ellipse with the
        moments of the outline. The height is that of the cloud; ``wx >= wy``.
    area : float
        Area (px) inside the outline, whether on the frame or not.
    ellipse : bool
        The outline is exactly the ellipse of `gaussian`.
    """

    window: Window
    heights: Picture
    mask: NDArray[np.bool_]
    gaussian: Gaussian2D
    area: float
    ellipse: bool

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as an index."""
        y0, x0, y1, x1 = self.window
        return slice(y0, y1), slice(x0, x1)


def coaxial(parts: Sequence[Part]) -> bool:
    """Tell whether the outline is an ellipse: all parts smooth, with centre and axes in common."""
    first = parts[0].ellipse
    return all(
        part.profile != "thomas-fermi"
        and (part.ellipse.x0, part.ellipse.y0) == (first.x0, first.y0)
        and part.ellipse.theta == first.theta
        and math.isclose(part.ellipse.wx * first.wy, part.ellipse.wy * first.wx)
        for part in parts
    )


def _outer_ellipse(parts: Sequence[Part]) -> Gaussian2D:
    """Return the outermost ellipse on which coaxial parts have fallen to 1/e² of their peak."""
    first = parts[0].ellipse
    if len(parts) == 1 and parts[0].profile == "gaussian":
        return first.principal()
    r = np.linspace(0, max(part.reach * part.ellipse.wx / first.wx for part in parts), 4001)
    total = sum(
        part.ellipse.peak
        * PROFILES[part.profile]((r * first.wx / part.ellipse.wx) ** 2, part.detail)
        for part in parts
    )
    heights = np.asarray(total)
    last = int(np.flatnonzero(heights >= CONTOUR * heights.max())[-1])
    outer = float(r[last])
    wx, wy = outer * first.wx, outer * first.wy
    return replace(first, wx=wx, wy=wy, peak=float(heights.max())).principal()


def _around(parts: Sequence[Part], blur: float) -> Window:
    """Return the window, on the frame or not, outside of which nothing is to be seen."""
    boxes = [part.ellipse.ellipse_box(part.reach) for part in parts]
    more = 3 * blur
    return (
        math.floor(min(box[0] for box in boxes) - more),
        math.floor(min(box[1] for box in boxes) - more),
        math.ceil(max(box[2] for box in boxes) + more),
        math.ceil(max(box[3] for box in boxes) + more),
    )


def _clip(window: Window, shape: tuple[int, int], origin: tuple[int, int] = (0, 0)) -> Window:
    y0, x0, y1, x1 = window
    (oy, ox), (ny, nx) = origin, shape
    top, left = min(max(y0, oy), oy + ny), min(max(x0, ox), ox + nx)
    return top, left, max(top, min(y1, oy + ny)), max(left, min(x1, ox + nx))


def _in_ellipse(ellipse: Gaussian2D, window: Window) -> NDArray[np.bool_]:
    moved = replace(ellipse, x0=ellipse.x0 - window[1], y0=ellipse.y0 - window[0])
    return moved.mask((window[2] - window[0], window[3] - window[1]))


def _moments(mask: NDArray[np.bool_], window: Window, peak: float) -> Gaussian2D:
    """Return the ellipse with the first and second moments of a mask; wx is the major radius."""
    y, x = np.nonzero(mask)
    mean_y, mean_x = float(y.mean()), float(x.mean())
    dy, dx = y - mean_y, x - mean_x
    cxx, cxy, cyy = (float(np.mean(a * b)) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    return Gaussian2D.from_covariance(
        window[1] + mean_x, window[0] + mean_y, cxx, cxy, cyy, peak=peak
    )
