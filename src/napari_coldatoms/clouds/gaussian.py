"""The two-dimensional Gaussian that describes a cloud."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray

PARAMETERS = ("x0", "y0", "wx", "wy", "theta", "peak", "background")


@dataclass(frozen=True)
class Gaussian2D:
    """Gaussian of a cloud, Eq. 1 of Hofer et al. 2021 (arXiv:2011.10536).

    ``I = background + peak * exp(-2 (u**2 / wx**2 + v**2 / wy**2))`` with
    ``u = (x-x0) cos(theta) + (y-y0) sin(theta)`` and
    ``v = -(x-x0) sin(theta) + (y-y0) cos(theta)``.

    Attributes
    ----------
    x0, y0 : float
        Centre, column and row; pixel centres are at integers.
    wx, wy : float
        1/e² radii (twice the standard deviation) along and across ``theta``.
    theta : float
        Angle (rad) of the ``wx`` axis from +x (columns) towards +y (rows), in (-pi/2, pi/2].
    peak : float
        Height above the background; NaN where it is not known (a mask without a picture).
    background : float
        Level far from the cloud; NaN where it is not known.
    """

    x0: float
    y0: float
    wx: float
    wy: float
    theta: float = 0.0
    peak: float = 1.0
    background: float = 0.0

    @classmethod
    def in_box(cls, box: Sequence[float]) -> Gaussian2D:
        """Return the ellipse in a box of pixel edges ``(y0, x0, y1, x1)``."""
        y0, x0, y1, x1 = (float(edge) for edge in box)
        # from edges to centres of pixels: the first pixel spans [0, 1)
        return cls((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, (x1 - x0) / 2, (y1 - y0) / 2)

    @classmethod
    def from_covariance(
        cls,
        x0: float,
        y0: float,
        cxx: float,
        cxy: float,
        cyy: float,
        peak: float = 1.0,
        background: float = 0.0,
        *,
        axis: float | None = None,
    ) -> Gaussian2D:
        """Return the Gaussian with the given covariance matrix (px², ``w = 2 sigma``).

        Parameters
        ----------
        x0, y0, peak, background : float
            As in the class.
        cxx, cxy, cyy : float
            Elements of the covariance matrix of the distribution.
        axis : float, optional
            Angle (rad). Given, ``wx`` belongs to the principal axis nearest to it; by default
            ``wx`` is the major one.
        """
        mean, half = (cxx + cyy) / 2, (cxx - cyy) / 2
        split = math.hypot(half, cxy)
        theta = 0.5 * math.atan2(cxy, half) if split > 0 else 0.0
        # the smaller eigenvalue from the determinant: the difference would cancel
        large = mean + split
        small = (cxx * cyy - cxy * cxy) / large if large > 0 else 0.0
        wx, wy = 2 * math.sqrt(max(large, 0.0)), 2 * math.sqrt(max(small, 0.0))
        if axis is not None:
            if split <= 1e-12 * mean:  # round: every axis is a principal one
                theta = axis
            elif abs(math.cos(theta - axis)) < math.sqrt(0.5):
                wx, wy, theta = wy, wx, theta + math.pi / 2
        return cls(x0, y0, wx, wy, wrap_angle(theta), peak, background)

    @property
    def covariance(self) -> tuple[float, float, float]:
        """Covariance matrix of the distribution, ``(cxx, cxy, cyy)`` in px²."""
        c, s = math.cos(self.theta), math.sin(self.theta)
        u, v = self.wx**2 / 4, self.wy**2 / 4
        return u * c * c + v * s * s, (u - v) * c * s, u * s * s + v * c * c

    @property
    def integral(self) -> float:
        """Volume under the Gaussian without its background, ``pi wx wy peak / 2``."""
        return math.pi * self.wx * self.wy * self.peak / 2

    @property
    def half_widths(self) -> tuple[float, float]:
        """Half extent of the 1/e² ellipse along x and y."""
        cxx, _, cyy = self.covariance
        return 2 * math.sqrt(cxx), 2 * math.sqrt(cyy)

    def profile(self, y: object, x: object) -> NDArray[np.float64]:
        """Return the shape alone (peak 1, background 0) at rows ``y`` and columns ``x``."""
        dx = np.asarray(x, dtype=float) - self.x0
        dy = np.asarray(y, dtype=float) - self.y0
        c, s = math.cos(self.theta), math.sin(self.theta)
        u, v = (dx * c + dy * s) / self.wx, (dy * c - dx * s) / self.wy
        return np.asarray(np.exp(-2 * (u * u + v * v)))

    def __call__(self, y: object, x: object) -> NDArray[np.float64]:
        """Return Eq. 1 at rows ``y`` and columns ``x`` (broadcast against each other)."""
        return self.background + self.peak * self.profile(y, x)

    def image(self, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Return Eq. 1 on a frame of ``shape`` (rows, columns)."""
        return self(np.arange(shape[0])[:, None], np.arange(shape[1])[None, :])

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels of a frame of ``shape`` with their centre inside the 1/e² ellipse."""
        mask = np.zeros(shape, dtype=bool)
        rows, columns = self.window(shape)
        dx = np.arange(columns.start, columns.stop)[None, :] - self.x0
        dy = np.arange(rows.start, rows.stop)[:, None] - self.y0
        c, s = math.cos(self.theta), math.sin(self.theta)
        u, v = (dx * c + dy * s) / self.wx, (dy * c - dx * s) / self.wy
        mask[rows, columns] = u * u + v * v <= 1
        return mask

    def ellipse_box(self, scale: float = 1.0) -> tuple[float, float, float, float]:
        """Return the extent of the 1/e² ellipse as pixel edges ``(y0, x0, y1, x1)``.

        Half-open edges, in which pixel ``i`` spans ``[i, i+1)``: half a pixel more than the
        coordinates of the class. ``scale`` widens the box about its centre.
        """
        hx, hy = (scale * h for h in self.half_widths)
        x, y = self.x0 + 0.5, self.y0 + 0.5
        return y - hy, x - hx, y + hy, x + hx

    def window(self, shape: tuple[int, int], scale: float = 1.0) -> tuple[slice, slice]:
        """Return the rows and columns of a frame that the (scaled) ellipse box touches."""
        box = self.ellipse_box(scale)
        limits = (shape[0], shape[1], shape[0], shape[1])
        edges = [
            int(min(max(round_(edge), 0), limit))
            for edge, limit, round_ in zip(
                box, limits, (math.floor, math.floor, math.ceil, math.ceil), strict=True
            )
        ]
        return slice(edges[0], max(edges[2], edges[0])), slice(edges[1], max(edges[3], edges[1]))

    def contour(self, n: int = 64) -> NDArray[np.float64]:
        """Return ``n`` points ``(y, x)`` on the 1/e² ellipse, shape ``(n, 2)``."""
        t = np.linspace(0, 2 * math.pi, n, endpoint=False)
        return self._place(self.wx * np.cos(t), self.wy * np.sin(t))

    def corners(self) -> NDArray[np.float64]:
        """Return the corners ``(y, x)`` of the rectangle around the rotated ellipse, ``(4, 2)``.

        This is what napari's Shapes layer takes for an ellipse.
        """
        u = self.wx * np.array([-1.0, 1.0, 1.0, -1.0])
        v = self.wy * np.array([-1.0, -1.0, 1.0, 1.0])
        return self._place(u, v)

    def _place(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        c, s = math.cos(self.theta), math.sin(self.theta)
        return np.stack([self.y0 + u * s + v * c, self.x0 + u * c - v * s], axis=-1)

    def principal(self) -> Gaussian2D:
        """Return the same Gaussian with ``wx >= wy`` and ``theta`` in (-pi/2, pi/2]."""
        if self.wx >= self.wy:
            return replace(self, theta=wrap_angle(self.theta))
        theta = wrap_angle(self.theta + math.pi / 2)
        return replace(self, wx=self.wy, wy=self.wx, theta=theta)

    def scaled(
        self,
        pixel_size: tuple[float, float] = (1.0, 1.0),
        origin: tuple[float, float] = (0.0, 0.0),
    ) -> Gaussian2D:
        """Return the Gaussian in physical coordinates.

        Parameters
        ----------
        pixel_size : (dy, dx)
            Size of a pixel. With ``dy != dx`` an ellipse keeps its shape in space, so that its
            axes turn: the covariance matrix is transformed, and ``wx`` stays with the axis
            nearest to where its old axis points.
        origin : (y, x)
            Coordinate of the centre of pixel (0, 0).
        """
        dy, dx = pixel_size
        x0, y0 = origin[1] + self.x0 * dx, origin[0] + self.y0 * dy
        if abs(dy) == abs(dx):
            theta = self.theta if dy * dx > 0 else -self.theta
            wx, wy = self.wx * abs(dx), self.wy * abs(dx)
            return replace(self, x0=x0, y0=y0, wx=wx, wy=wy, theta=wrap_angle(theta))
        cxx, cxy, cyy = self.covariance
        axis = math.atan2(dy * math.sin(self.theta), dx * math.cos(self.theta))
        return Gaussian2D.from_covariance(
            x0,
            y0,
            cxx * dx * dx,
            cxy * dx * dy,
            cyy * dy * dy,
            self.peak,
            self.background,
            axis=axis,
        )

    def to_array(self) -> NDArray[np.float64]:
        """Return the seven numbers in the order of `PARAMETERS`."""
        return np.array(astuple(self), dtype=float)


def wrap_angle(theta: float) -> float:
    """Return the angle of an axis (rad) in (-pi/2, pi/2]."""
    return math.pi / 2 - (math.pi / 2 - theta) % math.pi
