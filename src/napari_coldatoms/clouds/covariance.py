"""From the fitted matrix to radii, angle and their covariance; block means and their widening."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.levenberg import natural_directions
from napari_coldatoms.clouds.normal import linear_solution, normal_equations
from napari_coldatoms.clouds.sums import accumulate, profile_image


@njit(cache=True, nogil=True)
def binned(
    crop: NDArray[np.float64], binning: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """Return block means less an offset, their validity (1 or 0), the offset, the valid count.

    Rows and columns left over at the end are dropped; a block counts if all of it is valid.
    """
    ny, nx = crop.shape[0] // binning, crop.shape[1] // binning
    data = np.zeros((ny, nx))
    valid = np.zeros((ny, nx))
    total = 0.0
    count = 0
    for j in range(ny):
        for i in range(nx):
            value = 0.0
            for v in range(binning):
                for u in range(binning):
                    value += crop[j * binning + v, i * binning + u]
            if math.isfinite(value):
                data[j, i] = value / (binning * binning)
                valid[j, i] = 1.0
                total += data[j, i]
                count += 1
    offset = total / count if count else 0.0
    for j in range(ny):
        for i in range(nx):
            if valid[j, i] > 0:
                data[j, i] -= offset
    return data, valid, offset, count


def shape_of(
    x0: float,
    y0: float,
    cxx: float,
    cxy: float,
    cyy: float,
    *,
    binning: int,
    theta: float | None,
) -> NDArray[np.float64]:
    """Return x0, y0, a, b, c of ``exp(-(a dx² + 2 b dx dy + c dy²))`` in binned pixels."""
    if theta is not None:
        c, s = math.cos(theta), math.sin(theta)
        u = cxx * c * c + 2 * cxy * c * s + cyy * s * s
        v = cxx * s * s - 2 * cxy * c * s + cyy * c * c
        cxx, cxy, cyy = u * c * c + v * s * s, (u - v) * c * s, u * s * s + v * c * c
    widening = (binning**2 - 1) / 12
    square = binning**2
    cxx, cxy, cyy = (cxx + widening) / square, cxy / square, (cyy + widening) / square
    determinant = cxx * cyy - cxy * cxy
    centre = (binning - 1) / 2
    return np.array(
        [
            (x0 - centre) / binning,
            (y0 - centre) / binning,
            cyy / (2 * determinant),
            -cxy / (2 * determinant),
            cxx / (2 * determinant),
        ]
    )


@njit(cache=True, nogil=True)
def finish(
    data: NDArray[np.float64],
    valid: NDArray[np.float64],
    all_valid: bool,
    shape: NDArray[np.float64],
    free_angle: bool,
    theta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float, float]:
    """Return the fit's numbers and what they are worth.

    Returns
    -------
    numbers : (7,)
        x0, y0, a, b, c, peak, background; NaN if the shape determines no peak.
    errors : (7, 7)
        Inverse of J'J.
    residuals : (ny, nx)
        Pixels minus model, 0 where not valid.
    rest, signal : float
        Sum of squares of the residuals, and by how much the peak reduced it.
    """
    ny, nx = data.shape
    numbers = np.full(7, np.nan)
    errors = np.full((7, 7), np.nan)
    e2, e1, ep = np.zeros((5, 5)), np.zeros((5, 5)), np.zeros((5, 5))
    accumulate(data, valid, all_valid, shape, e2, e1, ep)
    count = total = square = 0.0
    for j in range(ny):
        for i in range(nx):
            count += valid[j, i]
            total += data[j, i]
            square += data[j, i] ** 2
    peak, background, rest = linear_solution(e2, e1, ep, count, total, square)
    residuals = np.zeros((ny, nx))
    if not math.isfinite(rest):
        return numbers, errors, residuals, rest, 0.0
    # directly: the difference of sums above loses digits where the fit is very good
    profile = profile_image(shape, ny, nx)
    rest = 0.0
    for j in range(ny):
        for i in range(nx):
            if valid[j, i] > 0:
                residuals[j, i] = data[j, i] - background - peak * profile[j, i]
                rest += residuals[j, i] ** 2
    gram, gradient = np.zeros((7, 7)), np.zeros(7)
    normal_equations(shape, peak, background, e2, e1, ep, count, gram, gradient)
    directions = natural_directions(shape, free_angle, math.cos(theta), math.sin(theta))
    n = directions.shape[1]
    change = np.zeros((7, n + 2))
    change[:5, :n] = directions
    change[5, n] = 1.0
    change[6, n + 1] = 1.0
    normal = change.T @ gram @ change
    scale = np.empty(n + 2)
    for i in range(n + 2):
        if not normal[i, i] > 0:
            return numbers, errors, residuals, rest, 0.0
        scale[i] = 1 / math.sqrt(normal[i, i])
    for i in range(n + 2):
        for j in range(n + 2):
            normal[i, j] *= scale[i] * scale[j]
    # a tiny ridge keeps a degenerate fit from raising: its errors come out huge instead
    for i in range(n + 2):
        normal[i, i] += 1e-13
    inverse = np.linalg.inv(normal)
    for i in range(n + 2):
        for j in range(n + 2):
            inverse[i, j] *= scale[i] * scale[j]
    errors = change @ inverse @ change.T
    numbers[:5] = shape
    numbers[5] = peak
    numbers[6] = background
    return numbers, errors, residuals, rest, peak * peak * (e2[0, 0] - e1[0, 0] ** 2 / count)


@njit(cache=True, nogil=True)
def radii(
    numbers: NDArray[np.float64],
    errors: NDArray[np.float64],
    binning: int,
    free_angle: bool,
    theta: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x0, y0, wx, wy, theta, peak, background in unbinned pixels, and their covariance.

    The mean over blocks of k pixels adds ``(k² - 1) / 12`` to both variances of the cloud and
    leaves its volume; both are undone.
    """
    k2 = float(binning * binning)
    a, b, c = numbers[2], numbers[3], numbers[4]
    determinant = a * c - b * b
    cxx, cxy, cyy = c / (2 * determinant), -b / (2 * determinant), a / (2 * determinant)
    # d(cxx, cxy, cyy) / d(a, b, c) = -2 C dM C
    to_c = np.array(
        [
            [cxx * cxx, 2 * cxx * cxy, cxy * cxy],
            [cxx * cxy, cxx * cyy + cxy * cxy, cxy * cyy],
            [cxy * cxy, 2 * cxy * cyy, cyy * cyy],
        ]
    )
    to_c *= -2.0 * k2
    area_before = k2 * math.sqrt(cxx * cyy - cxy * cxy)
    inner_before = np.array([cyy, -2 * cxy, cxx]) / (k2 * (cxx * cyy - cxy * cxy))
    widening = (k2 - 1) / 12
    # what is narrower than a block keeps a little width
    cxx = max(k2 * cxx - widening, 0.01 * k2 * cxx)
    cyy = max(k2 * cyy - widening, 0.01 * k2 * cyy)
    cxy = k2 * cxy
    mean, half = (cxx + cyy) / 2, (cxx - cyy) / 2
    if free_angle:
        split = math.sqrt(half * half + cxy * cxy)
        theta = 0.5 * math.atan2(cxy, half) if split > 0 else 0.0
        if theta <= -math.pi / 2:
            theta += math.pi
    cosine, sine = math.cos(theta), math.sin(theta)
    s1 = cxx * cosine * cosine + 2 * cxy * cosine * sine + cyy * sine * sine
    s2 = cxx * sine * sine - 2 * cxy * cosine * sine + cyy * cosine * cosine
    s1, s2 = max(s1, 1e-4 * mean), max(s2, 1e-12 * mean)
    inner = np.array([cyy, -2 * cxy, cxx]) / max(s1 * s2, 1e-300)
    area = math.sqrt(s1 * s2)
    peak = numbers[5] * area_before / area
    change = np.zeros((7, 7))
    change[0, 0] = binning
    change[1, 1] = binning
    first = np.array([cosine * cosine, 2 * cosine * sine, sine * sine])
    second = np.array([sine * sine, -2 * cosine * sine, cosine * cosine])
    turn = np.array([-cosine * sine, cosine * cosine - sine * sine, cosine * sine])
    spread = max(abs(s1 - s2), 1e-9 * mean)
    for j in range(3):
        for i in range(3):
            change[2, 2 + j] += first[i] * to_c[i, j] / math.sqrt(s1)
            change[3, 2 + j] += second[i] * to_c[i, j] / math.sqrt(s2)
            if free_angle:
                change[4, 2 + j] += turn[i] * to_c[i, j] / spread
            change[5, 2 + j] += peak * 0.5 * (inner_before[i] - inner[i]) * to_c[i, j]
    change[5, 5] = area_before / area
    change[6, 6] = 1.0
    centre = (binning - 1) / 2
    out = np.array(
        [
            numbers[0] * binning + centre,
            numbers[1] * binning + centre,
            2 * math.sqrt(s1),
            2 * math.sqrt(s2),
            theta,
            peak,
            numbers[6],
        ]
    )
    return out, change @ errors @ change.T


def scaling_jacobian(gaussian: Gaussian2D, pixel_size: tuple[float, float]) -> NDArray[np.float64]:
    """Return the derivative of the physical seven numbers with respect to those in pixels.

    By central differences for the radii and the angle: the axes turn where pixels are not square.
    """
    dy, dx = pixel_size
    jacobian = np.diag([abs(dx), abs(dy), abs(dx), abs(dx), 1.0, 1.0, 1.0])
    if abs(dy) == abs(dx):
        return jacobian
    numbers = gaussian.to_array()
    for j, step in ((2, 1e-5 * gaussian.wx), (3, 1e-5 * gaussian.wy), (4, 1e-5)):
        up, down = numbers.copy(), numbers.copy()
        up[j] += step
        down[j] -= step
        high = Gaussian2D(*up.tolist()).scaled(pixel_size).to_array()
        low = Gaussian2D(*down.tolist()).scaled(pixel_size).to_array()
        difference = high[2:5] - low[2:5]
        difference[2] = (difference[2] + math.pi / 2) % math.pi - math.pi / 2
        jacobian[2:5, j] = difference / (2 * step)
    return jacobian
