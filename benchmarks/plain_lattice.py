"""The published lattice reconstruction as one would write it with scipy and scikit-learn.

Cheneau et al. 2025 (arXiv:2502.08511), Eqs. 8 and 32-42, and the alternation of estimates and
decisions on top. Nothing here is taken from `napari_coldatoms`: it is what that is measured by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg
from scipy.special import erf
from sklearn.mixture import GaussianMixture

# of the conjugate gradients, in the norm of the residual over that of the right side: what is left
# is 0.2 counts (rms) of 1000, and the error rates are those of 1e-4
TOLERANCE = 1e-3
RATIO = 3.0  # between trial values of λ
MOST_TRIALS = 12
ROUNDS = 8


@dataclass(frozen=True)
class PlainLattice:
    """What is computed once per geometry, as sparse arrays.

    Attributes
    ----------
    light : (pixels, n) csr_array
        M: light of each site in each pixel.
    sites : (n, pixels) csr_array
        Mᵀ, with its own rows in memory.
    squares : (n, pixels) csr_array
        The elements of Mᵀ squared: times the weights they are the diagonal of MᵀWM.
    overlap : (n, n) csr_array
        MᵀM.
    """

    light: csr_array
    sites: csr_array
    squares: csr_array
    overlap: csr_array


def prepare(positions: np.ndarray, hwhm: float, image_shape: tuple[int, int]) -> PlainLattice:
    """Return M and MᵀM of Gaussian PSFs cut at 3 HWHM, of sum 1.

    Parameters
    ----------
    positions : (n, 2) array
        Sites (y, x), at least 3 HWHM within the frame.
    hwhm : float
        Half width at half maximum, in px.
    image_shape : (int, int)
        Rows and columns.
    """
    cutoff = 3 * hwhm
    half = math.ceil(cutoff) + 1
    pixels = np.arange(-half, half + 1)
    nearest = np.rint(positions).astype(np.int64)
    offset = positions - nearest
    scale = math.sqrt(math.log(2)) / hwhm  # 1 / (σ √2)
    edges = np.arange(-half, half + 2) - 0.5
    along = np.diff(0.5 * erf(scale * (edges - offset[:, :, None])), axis=2)
    light = along[:, 0, :, None] * along[:, 1, None, :]
    distance = pixels - offset[:, :, None]
    light[distance[:, 0, :, None] ** 2 + distance[:, 1, None, :] ** 2 > cutoff**2] = 0
    light /= light.sum(axis=(1, 2), keepdims=True)
    y = (nearest[:, 0, None] + pixels)[:, :, None]
    x = (nearest[:, 1, None] + pixels)[:, None, :]
    pixel = (y * image_shape[1] + x)[light > 0]
    site = np.nonzero(light.reshape(len(light), -1))[0]
    size = (len(positions), image_shape[0] * image_shape[1])
    sites = csr_array((light[light > 0], (site.astype(np.int32), pixel.astype(np.int32))), size)
    matrix = sites.T.tocsr()
    return PlainLattice(matrix, sites, sites.power(2), (sites @ matrix).tocsr())


def estimate(
    plain: PlainLattice,
    signal: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    background: float,
    read_noise: float,
    *,
    start: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Return Eq. 8 with the noise of Eq. 37: the final step of the locally optimal estimator.

    ``x̂ = x̄ + S (1 + S MᵀWM S)⁻¹ S MᵀW (y - M x̄)``, ``S = Σx^{1/2}``, with M and Mᵀ applied one
    after the other: for the few steps that conjugate gradients take, building MᵀWM is slower.
    Sites of variance 0 are left out of M.

    Parameters
    ----------
    plain : PlainLattice
        The matrices.
    signal : (pixels,) array
        Image minus background.
    mean, variance : (n,) arrays
        Of the brightness of each site.
    background : float
        In counts.
    read_noise : float
        Standard deviation in counts.
    start : (n,) array, optional
        An earlier estimate.
    tolerance : float
        Of the conjugate gradients.
    """
    light = plain.light @ mean
    weights = 1 / (light + background + read_noise**2)
    matrix, sites, squares = plain.light, plain.sites, plain.squares
    unknown = np.flatnonzero(variance > 0)
    if len(unknown) < len(variance):
        sites, squares = sites[unknown], squares[unknown]
        matrix = sites.T
    root = np.sqrt(variance[unknown])

    def apply(z):
        return z + root * (sites @ (weights * (matrix @ (root * z))))

    right = root * (sites @ (weights * (signal - light)))
    jacobi = 1 / (1 + root**2 * (squares @ weights))
    if start is not None:
        start = (start - mean)[unknown] / root
    found = mean.copy()
    found[unknown] += root * solve(apply, right, jacobi, start, tolerance)
    return found


def solve(apply, right, jacobi, start, tolerance):
    """Return scipy's conjugate gradients with Jacobi preconditioner."""
    shape = (len(right), len(right))
    found, failed = cg(
        LinearOperator(shape, matvec=apply, dtype=np.float64),
        right,
        x0=start,
        rtol=tolerance,
        M=LinearOperator(shape, matvec=lambda r: jacobi * r, dtype=np.float64),
    )
    if failed:
        raise ArithmeticError(f"expected conjugate gradients to converge, found none in {failed}")
    return found


def mixture(brightness: np.ndarray, last: GaussianMixture | None) -> GaussianMixture:
    """Return a mixture of two normal distributions (Eq. 35), started at the last one's."""
    how = {}
    if last is not None:
        how = {
            "weights_init": last.weights_,
            "means_init": last.means_,
            "precisions_init": last.precisions_,
        }
    return GaussianMixture(2, random_state=0, **how).fit(brightness[:, None])


def contrast(fitted: GaussianMixture) -> float:
    """Return Fisher's linear discriminant (Eq. 36)."""
    return float(np.diff(fitted.means_.ravel())[0] ** 2 / fitted.covariances_.sum())


def estimate_global(
    plain: PlainLattice,
    signal: np.ndarray,
    background: float,
    read_noise: float,
    *,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, GaussianMixture]:
    """Return the globally optimal estimate of the most contrast, and its mixture (Eqs. 32-36).

    λ walks from the value that fits half filling to the side on which the contrast grows. Each
    trial starts from the last one's solution and mixture.
    """
    sites = plain.overlap.shape[0]
    mean = signal.sum() / sites
    right = plain.sites @ (signal - plain.light @ np.full(sites, mean))
    diagonal = plain.overlap.diagonal()
    expected = (signal.mean() + background + read_noise**2) / mean**2
    above = fitted = None
    tried: dict[int, tuple[float, np.ndarray, GaussianMixture]] = {}

    def rank(k):
        nonlocal above, fitted
        if k not in tried:
            trial = expected * RATIO**k
            above = solve(
                lambda z: plain.overlap @ z + trial * z,
                right,
                1 / (diagonal + trial),
                above,
                tolerance,
            )
            fitted = mixture(mean + above, fitted)
            tried[k] = (contrast(fitted), mean + above, fitted)
        return tried[k][0]

    best = max((1, 0, -1), key=rank)
    while len(tried) < MOST_TRIALS:
        side = max((best - 1, best + 1), key=rank)
        if rank(side) <= rank(best):
            break
        best = side
    return tried[best][1:]


def brightness_moments(brightness, fitted):
    """Return the probability of each site to be occupied, µ and σ² (Eqs. 40-42)."""
    lower, upper = np.argsort(fitted.means_.ravel())
    probability = fitted.predict_proba(brightness[:, None])[:, upper]
    mu = brightness.sum() / probability.sum()
    spread = fitted.covariances_.ravel()
    return probability, mu, max(spread[upper] - spread[lower], 0)


def prior_moments(probability, mu, variance):
    """Return mean and variance of each site's brightness (Eqs. 38 and 39)."""
    return mu * probability, probability * (1 - probability) * mu**2 + probability * variance


def two_step(
    plain: PlainLattice,
    image: np.ndarray,
    background: float,
    read_noise: float,
    *,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, float, float, float]:
    """Return the locally optimal estimate, µ, σ² and p, from nothing but the image."""
    signal = image.ravel() - background
    first, fitted = estimate_global(plain, signal, background, read_noise, tolerance=tolerance)
    probability, mu, variance = brightness_moments(first, fitted)
    brightness = estimate(
        plain,
        signal,
        *prior_moments(probability, mu, variance),
        background,
        read_noise,
        tolerance=tolerance,  # no start: the prior mean is nearer than the first estimate
    )
    return brightness, mu, variance, float(probability.mean())


def alternating(
    plain: PlainLattice,
    image: np.ndarray,
    background: float,
    read_noise: float,
    *,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, float]:
    """Return the estimate after rounds of deciding half of the undecided sites, and µ."""
    brightness, mu, variance, occupancy = two_step(
        plain, image, background, read_noise, tolerance=tolerance
    )
    signal = image.ravel() - background
    probability = np.full(len(brightness), occupancy)
    undecided = np.arange(len(brightness))
    for _ in range(ROUNDS):
        distance = np.abs(brightness[undecided] - mu / 2)
        order = np.argsort(-distance)
        half = (len(order) + 1) // 2
        clear, undecided = undecided[order[:half]], undecided[order[half:]]
        probability[clear] = brightness[clear] > mu / 2
        brightness = estimate(
            plain,
            signal,
            *prior_moments(probability, mu, variance),
            background,
            read_noise,
            start=brightness,
            tolerance=tolerance,
        )
    return brightness, mu
