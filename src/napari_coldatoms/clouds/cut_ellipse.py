"""The ellipse of which a mask shows a part, because the frame cuts it off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_coldatoms.clouds.gaussian import Gaussian2D

# an ellipse of which less is inside the frame is not known from there
_LEAST_SEEN = 0.25
# part of a mask's size to which its edges are known
_EDGE = 0.01
# the moments agree to this part of the radius
_AGREE = 1e-3
# places and weights to integrate over the chords of an ellipse
_NODES = np.polynomial.legendre.leggauss(64)


def is_cut(mask: NDArray[np.bool_], offset: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Return whether a cropped mask reaches the border of the frame.

    Networks place edges to about a hundredth of the mask: so close to the border is at it.
    """
    found = False
    for axis in (0, 1):
        pixels = np.flatnonzero(mask.any(axis=1 - axis))
        if pixels.size:
            first, last = offset[axis] + pixels[0], offset[axis] + pixels[-1]
            near = _EDGE * (last - first + 1)
            found |= first <= near or last >= shape[axis] - 1 - near
    return bool(found)


def whole_ellipse(seen: Gaussian2D, shape: tuple[int, int]) -> Gaussian2D:
    """Return the ellipse whose part inside the frame has the moments of a mask.

    First and second moments of the part of an ellipse inside the frame are those of the mask.

    Parameters
    ----------
    seen : Gaussian2D
        With the moments of the mask.
    shape : (int, int)
        Rows and columns of the frame.

    Returns
    -------
    Gaussian2D
        `seen` itself where there is no such ellipse, or less than a quarter of it is in the frame.
    """
    size = np.sqrt(seen.wx * seen.wy)
    scale = np.array([size, size, size**2, size**2, size**2])
    wanted = np.array([seen.x0, seen.y0, *seen.covariance])

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        part, _ = _moments_inside(_ellipse(parameters, seen), shape)
        return (part - wanted) / scale

    found = least_squares(misfit, np.zeros(5), method="lm", x_scale=1.0)
    ellipse = _ellipse(found.x, seen)
    _, share = _moments_inside(ellipse, shape)
    if share < _LEAST_SEEN or np.abs(found.fun).max() > _AGREE:
        return seen
    return ellipse


def _ellipse(parameters: NDArray[np.float64], seen: Gaussian2D) -> Gaussian2D:
    """Return the ellipse that is moved from another one, all zeros for that itself.

    The covariance is L S Lᵀ, with S the other one's and L lower triangular with a positive
    diagonal: whatever the parameters, it is one of an ellipse.
    """
    x, y, across, skew, along = np.clip(parameters, -3, 3)
    cxx, cxy, cyy = seen.covariance
    factor = np.array([[np.exp(across), 0.0], [skew, np.exp(along)]])
    matrix = factor @ np.array([[cxx, cxy], [cxy, cyy]]) @ factor.T
    size = np.sqrt(seen.wx * seen.wy)
    return Gaussian2D.from_covariance(
        seen.x0 + x * size,
        seen.y0 + y * size,
        *(float(matrix[k]) for k in ((0, 0), (0, 1), (1, 1))),
    )


def _moments_inside(
    ellipse: Gaussian2D, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], float]:
    """Return the moments of the part of an ellipse inside the frame, and how large that is.

    Outside of the frame they are those of the whole ellipse.
    """
    cxx, cxy, cyy = ellipse.covariance
    half = 2 * np.sqrt(cxx), 2 * np.sqrt(cyy)
    # chords along y: at each x the ellipse reaches from `low` to `high`
    left, right = max(ellipse.x0 - half[0], -0.5), min(ellipse.x0 + half[0], shape[1] - 0.5)
    outside = np.array([ellipse.x0, ellipse.y0, cxx, cxy, cyy]), 0.0
    if left >= right:
        return outside
    nodes, weights = _NODES
    x = left + (right - left) * (nodes + 1) / 2
    weights = weights * (right - left) / 2
    u = x - ellipse.x0
    middle = ellipse.y0 + cxy / cxx * u
    reach = np.sqrt(np.maximum((cyy - cxy**2 / cxx) * (4 - u**2 / cxx), 0))
    low = np.maximum(middle - reach, -0.5)
    high = np.minimum(middle + reach, shape[0] - 0.5)
    length = np.maximum(high - low, 0)
    area = float(weights @ length)
    if area <= 0:
        return outside
    centre = (low + high) / 2
    x0 = float(weights @ (length * x) / area)
    y0 = float(weights @ (length * centre) / area)
    dx, dy = x - x0, centre - y0
    moments = np.array(
        [
            x0,
            y0,
            weights @ (length * dx**2) / area,
            weights @ (length * dx * dy) / area,
            weights @ (length * (dy**2 + length**2 / 12)) / area,
        ]
    )
    return moments, area / (4 * np.pi * np.sqrt(cxx * cyy - cxy**2))
