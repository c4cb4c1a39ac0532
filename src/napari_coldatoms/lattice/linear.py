"""The optimal linear estimator: Eq. 8 of Cheneau et al. 2025 (arXiv:2502.08511).

``x̂ = x̄ + (Σx⁻¹ + Mᵀ Σn⁻¹ M)⁻¹ Mᵀ Σn⁻¹ (y - M x̄)`` is solved as
``x̂ = x̄ + S z`` with ``(1 + S MᵀWM S) z = S MᵀW (y - M x̄)``, ``S = Σx^{1/2}``, ``W = Σn⁻¹``, so that
sites that are certain (of zero variance) need no care. M is applied pixel by pixel; MᵀWM is never
built: MᵀM with weights taken from pixels to sites is close enough to it to be the preconditioner
of a few conjugate gradient steps, and is the same for every image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.optics import Optics
from napari_coldatoms.lattice.sums import dot

FloatArray = NDArray[np.float64]

_INNER_TOLERANCE = 0.03
_MOST_INNER = 200
_AT_ONCE = 2048  # values, which stay in the processor's first cache


def estimate_brightness(
    optics: Optics,
    signal: FloatArray,
    weights: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    *,
    start: FloatArray | None = None,
    steps: int = 2,
    scale: FloatArray | None = None,
) -> FloatArray:
    """Return the optimal linear estimate of the brightnesses.

    Parameters
    ----------
    optics : Optics
        The operator M.
    signal : (y, x) array
        Image minus background, in counts; finite also where the weight is 0.
    weights : (y, x) array
        Inverse variance of each pixel's noise, 0 where the pixel is bad.
    mean, variance : (n,) arrays
        Prior mean x̄ and variance, the diagonal of Σx.
    start : (n,) array, optional
        Where to begin; default at the prior mean.
    steps : int
        Conjugate gradient steps with the exact operator. Each takes the error down by about a
        factor of thirty.
    scale : (n,) array, optional
        `site_scale` of the weights, where it is at hand.

    Returns
    -------
    (n,) array
        Brightnesses in counts.
    """
    root = np.sqrt(variance)
    z = np.zeros(len(optics))
    if start is not None:
        np.divide(start - mean, root, out=z, where=root > 0)
    scale = root * (site_scale(optics, weights) if scale is None else scale)
    residual = root * collect_rest(optics, signal, weights, mean + root * z) - z
    direction, image, norm = z, z, 1.0
    light: FloatArray | None = None
    for step in range(steps):
        new = precondition(optics, scale, residual)
        if step:
            new -= dot(new, image) / norm * direction
        direction = new
        if step == steps - 1:
            # the last step's length is 1 but for a few per cent of what is left
            return np.asarray(mean + root * (z + direction))
        light = optics.image(root * direction, out=light)
        light *= weights
        image = direction + root * optics.collect(light)
        norm = dot(direction, image)
        if not norm > 0:
            break
        length = dot(direction, residual) / norm
        z = z + length * direction
        residual = residual - length * image
    return np.asarray(mean + root * z)


def collect_rest(
    optics: Optics, signal: FloatArray, weights: FloatArray, brightness: FloatArray
) -> FloatArray:
    """Return ``MᵀW (y - M x)``: what brightnesses leave unexplained, as each site sees it.

    Parameters are those of `estimate_brightness`.
    """
    rest = optics.image(brightness)
    np.subtract(signal, rest, out=rest)
    rest *= weights
    return optics.collect(rest)


def site_scale(optics: Optics, weights: FloatArray) -> FloatArray:
    """Return c with ``MᵀWM ≈ c_i (MᵀM)_ij c_j``."""
    return optics.relative * np.sqrt(optics.site_weights(weights))


def precondition(
    optics: Optics,
    scale: FloatArray,
    right: FloatArray,
    *,
    start: FloatArray | None = None,
    shift: float = 1.0,
    tolerance: float = _INNER_TOLERANCE,
) -> FloatArray:
    """Solve ``(shift + scale_i (MᵀM)_ij scale_j) z = right``."""
    z = np.zeros(len(optics)) if start is None else start.copy()
    overlaps = optics.overlaps
    _conjugate_gradients(
        overlaps.ends,
        overlaps.sites,
        overlaps.values,
        overlaps.stencil.weights,
        overlaps.stencil.place,
        *overlaps.stencil.shape,
        scale,
        optics.strength,
        shift,
        right,
        z,
        tolerance,
        _MOST_INNER,
    )
    return z


@njit(cache=True, nogil=True, fastmath=True)
def _multiply(
    ends: Any,
    sites: Any,
    overlap: Any,
    stencil: Any,
    at: Any,
    width: int,
    scale: Any,
    root: Any,
    shift: float,
    x: Any,
    t: Any,
    grid: Any,
    total: Any,
    out: Any,
) -> None:
    """Fill in ``(shift + scale_i (MᵀM)_ij scale_j) x``; t, grid and total are scratch.

    `root` is scale times the square root of the diagonal of MᵀM, for the stencil. The grid holds
    one row of sites after the other, each `width` long, and site i at ``at[i]``, ascending; its
    border, as wide as the stencil reaches, is and stays 0. Whole rows, border and all, go through
    the stencil at once: loops that are long need no time to begin.
    """
    count = x.size
    if stencil.size == 0:
        for i in range(count):
            t[i] = scale[i] * x[i]
        for i in range(count):
            value = 0.0
            if scale[i] != 0.0:
                for k in range(ends[i], ends[i + 1]):
                    value += overlap[k] * t[sites[k]]
            out[i] = shift * x[i] + scale[i] * value
        return
    a, b = stencil.shape[0] // 2, stencil.shape[1] // 2
    for i in range(count):
        grid[at[i]] = root[i] * x[i]
    first = a * width + b
    last = grid.size - first
    i = 0
    for start in range(first, last, total.size):
        size = min(total.size, last - start)
        part = total[:size]
        middle, own = grid[start : start + size], stencil[a, b]
        for k in range(size):
            part[k] = own * middle[k]
        # MᵀM is symmetric: a step and its opposite have one weight
        for d in range(a + 1):
            for e in range(2 * b + 1 if d < a else b):
                weight = stencil[d, e]
                if weight != 0.0:
                    step = (a - d) * width + b - e
                    before = grid[start - step : start - step + size]
                    after = grid[start + step : start + step + size]
                    for k in range(size):
                        part[k] += weight * (before[k] + after[k])
        while i < count and at[i] < start + size:
            out[i] = shift * x[i] + root[i] * part[at[i] - start]
            i += 1


@njit(cache=True, nogil=True, fastmath=True)
def _conjugate_gradients(
    ends: Any,
    sites: Any,
    overlap: Any,
    stencil: Any,
    place: Any,
    rows: int,
    columns: int,
    scale: Any,
    strength: Any,
    shift: float,
    right: Any,
    x: Any,
    tolerance: float,
    most: int,
) -> int:
    """Jacobi-preconditioned conjugate gradients; x is start and result. Returns the steps."""
    n = x.size
    r, p, q, t = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    jacobi, root = np.empty(n), np.empty(n)
    a, b = stencil.shape[0] // 2, stencil.shape[1] // 2
    width = columns + 2 * b
    at = np.zeros(n, dtype=np.int64)
    grid = np.zeros((rows + 2 * a) * width if stencil.size else 0)
    total = np.empty(_AT_ONCE)
    for i in range(n):
        root[i] = scale[i] * math.sqrt(strength[i])
        if stencil.size:
            at[i] = (a + place[i] // columns) * width + b + place[i] % columns
    _multiply(ends, sites, overlap, stencil, at, width, scale, root, shift, x, t, grid, total, q)
    rz = 0.0
    goal = 0.0
    for i in range(n):
        jacobi[i] = 1.0 / (shift + scale[i] * scale[i] * strength[i])
        r[i] = right[i] - q[i]
        p[i] = jacobi[i] * r[i]
        rz += r[i] * p[i]
        goal += right[i] * right[i] * jacobi[i]
    goal *= tolerance * tolerance
    step = 0
    while step < most and rz > goal:
        step += 1
        _multiply(
            ends, sites, overlap, stencil, at, width, scale, root, shift, p, t, grid, total, q
        )
        pq = 0.0
        for i in range(n):
            pq += p[i] * q[i]
        if pq <= 0.0:  # nothing is left but numbers too small to be squared
            break
        length = rz / pq
        new = 0.0
        for i in range(n):
            x[i] += length * p[i]
            r[i] -= length * q[i]
            new += r[i] * r[i] * jacobi[i]
        turn = new / rz
        rz = new
        for i in range(n):
            p[i] = jacobi[i] * r[i] + turn * p[i]
    return step
