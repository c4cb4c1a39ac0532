"""The point spread function measured in images whose occupation is about known.

An image of sites that are occupied with the probabilities p is ``f Σ p_i h(r - r_i) + k``, which
is linear in the PSF h. How h differs from a given one is a sum of smooth functions of the radius
times low harmonics of the angle; their coefficients follow by weighted least squares from the
light of all sites of many shots together, overlapping or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.misfit import fit_light
from napari_coldatoms.lattice.phase import Fit
from napari_coldatoms.lattice.psf import PSF, SampledPSF
from napari_coldatoms.lattice.psf_variations import PSFVariations, Window
from napari_coldatoms.lattice.track import spread

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CERTAIN = 0.1  # probability of being wrong below which an occupation is taken as it is
_UNKNOWN = 0.02  # of the light of a site in its brightest pixel
_TILE = 256  # px, side of the largest window that is fitted at once
_MOST_PIXELS = 500_000  # of all windows together
_BLOCK = 2.0  # reaches of the PSF; light in different blocks is about independent
_LONGEST = 6.0  # reaches of the PSF; longer waves of the background are fitted
_MOST_WAVES, _UNEVEN = 6, 4  # along each axis, of the background and of the brightness
_FOLDS = 4
_SIGNIFICANT = 5.0  # standard deviations
_MATTERS = 0.01  # of the light


@dataclass(frozen=True, eq=False)
class MeasuredPSF:
    """A point spread function measured in images.

    Attributes
    ----------
    psf : SampledPSF
        The PSF, out to 4.5 half widths of the one given.
    error : (P, P) array
        Standard error of its samples ``psf.array``; the scatter of blocks of pixels.
    hwhm_error : float
        Standard error of its half width at half maximum, in px.
    improvement : float
        How much better than the given PSF it predicts parts of the images that it was not fitted
        to, in standard deviations. Negative where the given one is better.
    moved : float
        Part of the light that is elsewhere than with the given PSF.
    significant : bool
        Whether the images refute the given PSF, and by an amount that matters: the improvement is
        beyond five standard deviations, and more than 1 % of the light is elsewhere.
    """

    psf: SampledPSF
    error: FloatArray
    hwhm_error: float
    improvement: float
    moved: float
    significant: bool


def measure_psf(fits: Sequence[Fit], lattice: Lattice, psf: PSF) -> MeasuredPSF:
    """Measure the point spread function in shots whose occupation is about known.

    Parameters
    ----------
    fits : sequence of Fit
        Shots with their occupation, see `phase.PhaseFinder.fit`. Of many, some that are spread
        evenly are used.
    lattice : Lattice
        The sites of the shots before they were displaced: that of the `PhaseFinder`'s setup.
    psf : PSF
        Point spread function that the occupation was found with.

    Returns
    -------
    MeasuredPSF

    Raises
    ------
    ValueError
        If there are no shots, or none with light of the sites; if the lattice has another number
        of sites; if what the shots show is not brightest in the middle, which takes a wrong
        occupation.
    """
    if not fits:
        raise ValueError("expected shots with their occupation, found none")
    if len(lattice) != len(fits[0].probability):
        raise ValueError(
            f"expected the lattice that the {len(fits[0].probability)} occupations are of, found "
            f"{len(lattice)} sites"
        )
    model = PSFVariations(psf)
    windows = _windows(fits, model.half)
    parts = [part for part in (_part(lattice, model, *each) for each in windows) if part]
    if not parts:
        raise ValueError("expected shots with light of the sites, found none")
    normal = np.concatenate([part.normal for part in parts])
    score = np.concatenate([part.score for part in parts])
    fold = np.concatenate([part.fold for part in parts])
    ridge = model.ridge()
    found = np.linalg.solve(normal.sum(axis=0) + ridge, score.sum(axis=0))
    # what the other folds tell, and how well it predicts each block
    others = np.array(
        [
            np.linalg.solve(normal[fold != k].sum(axis=0) + ridge, score[fold != k].sum(axis=0))
            for k in range(_FOLDS)
        ]
    )[fold]
    predicted = np.einsum("bij,bj->bi", normal, others)
    gain = np.einsum("bi,bi->b", others, 2 * score - predicted)
    scatter = float(np.linalg.norm(gain - gain.mean()))
    improvement = float(gain.sum()) / scatter if len(gain) > 1 and scatter > 0 else 0.0
    left = score - predicted
    inverse = np.linalg.inv(normal.sum(axis=0) + ridge)
    covariance = inverse @ (left.T @ left) @ inverse
    return _result(model, found, covariance, improvement)


def _result(
    model: PSFVariations, found: FloatArray, covariance: FloatArray, improvement: float
) -> MeasuredPSF:
    shape = model.samples()
    array = model.start + shape @ found
    psf = SampledPSF(array, model.oversampling, model.reach)
    middle = len(array) // 2
    scale = float(psf.array[middle, middle] / array[middle, middle])
    variance = np.einsum("yxi,yxi->yx", shape @ covariance, shape)
    before, after = model.start * model.inside, psf.array * model.inside
    change = before / before.sum() - after / after.sum()
    moved = 0.5 * float(np.abs(change).sum())
    # the half width grows with the value there, less half of that in the middle, over the slope
    # (that of a Gaussian)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    around = model.basis.at(psf.hwhm * np.sin(angle), psf.hwhm * np.cos(angle)).mean(axis=0)
    excess = around - 0.5 * model.basis.at(np.zeros(1), np.zeros(1))[0]
    scatter = math.sqrt(max(float(excess @ covariance @ excess), 0.0))
    return MeasuredPSF(
        psf,
        scale * np.sqrt(np.maximum(variance, 0.0)),
        scatter * psf.hwhm / math.log(2) * model.peak / float(array[middle, middle]),
        improvement,
        moved,
        improvement > _SIGNIFICANT and moved > _MATTERS,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """What the blocks of a window tell of the coefficients."""

    normal: FloatArray
    score: FloatArray
    fold: IntArray


def _windows(fits: Sequence[Fit], half: int) -> list[tuple[int, Fit, Window]]:
    """Return windows of shots, spread evenly over all of them, of not too many pixels in all."""
    shape = fits[0].shot.image.shape
    side = max(_TILE, 8 * half)
    edges = [np.linspace(0, n, math.ceil(n / side) + 1).astype(int).tolist() for n in shape]
    tiles = [
        (slice(*rows), slice(*columns))
        for rows in zip(edges[0], edges[0][1:], strict=False)
        for columns in zip(edges[1], edges[1][1:], strict=False)
    ]
    count = len(fits) * len(tiles)
    most = max(round(_MOST_PIXELS * len(tiles) / (shape[0] * shape[1])), 2)
    chosen = spread(count, most)
    # all shots come before the second tile
    return [
        (turn, fits[k % len(fits)], tiles[k // len(fits)]) for turn, k in enumerate(chosen.tolist())
    ]


def _part(
    lattice: Lattice, model: PSFVariations, turn: int, fit: Fit, window: Window
) -> _Part | None:
    shot = fit.shot
    sure = np.rint(fit.probability)
    occupied = np.where(np.abs(fit.probability - sure) < _CERTAIN, sure, fit.probability)
    occupied[~shot.valid] = 0.0
    brightness, _ = fit_light(shot.signal, shot.good, shot.optics.image(occupied))
    if not brightness > 0:
        return None
    each = brightness * shot.optics.relative * occupied
    positions = lattice.positions + np.asarray(fit.place)
    columns = model.columns(positions, each, window)
    light = columns[..., 0]
    if not light.any():
        return None
    weights = shot.weights(brightness * occupied)
    # sites that the frame hardly shows may hold atoms or not, whatever their probabilities say
    unknown = shot.optics.image(np.where(shot.valid, 0.0, 1.0))
    weights[unknown > _UNKNOWN * shot.optics.patches.values.max()] = 0.0
    weights = weights[window]
    waves = _waves(light.shape, _LONGEST * model.reach, _MOST_WAVES)
    uneven = _waves(light.shape, _LONGEST * model.reach, _UNEVEN)
    own = np.concatenate([light[..., None] * uneven, columns[..., 1:3], waves], axis=-1)
    image = shot.image[window][..., None]
    # each window has its own displacement, smooth brightness and background: not the map, which
    # has taken some of the light far from the sites for background)
    rest = _without(own, weights, np.concatenate([image, columns[..., 3:]], axis=-1))
    residual = rest[..., 0]
    count = float((weights > 0).sum())
    if count < 2 * rest.shape[-1]:
        return None
    weights = weights * count / max(float((weights * residual**2).sum()), 1e-300)
    normal, score, fold = [], [], []
    for (i, j), block in _blocks(light.shape, _BLOCK * model.reach):
        functions = rest[block].reshape(-1, rest.shape[-1])
        weighted = functions * weights[block].reshape(-1, 1)
        products = functions.T @ weighted
        normal.append(products[1:, 1:])
        score.append(products[1:, 0])
        fold.append((2 * (i % 2) + j % 2 + turn) % _FOLDS)
    return _Part(np.array(normal), np.array(score), np.array(fold))


def _waves(shape: tuple[int, ...], longest: float, most: int) -> FloatArray:
    """Return the products of long cosines along y and x, the constant among them, (y, x, k)."""
    along = []
    for n in shape:
        count = 1 + min(int(2 * n / longest), most - 1)
        along.append(np.cos(np.pi * np.outer((np.arange(n) + 0.5) / n, np.arange(count))))
    waves = along[0][:, None, :, None] * along[1][None, :, None, :]
    return waves.reshape(*shape, -1)


def _without(own: FloatArray, weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return what weighted least squares with some columns leave of others."""
    shape = values.shape
    own, values = own.reshape(-1, own.shape[-1]), values.reshape(-1, shape[-1])
    weighted = own * weights.reshape(-1, 1)
    normal, right = weighted.T @ own, weighted.T @ values
    scale = 1 / np.sqrt(np.maximum(np.diagonal(normal), 1e-300))
    inverse = np.linalg.pinv(normal * np.outer(scale, scale), rcond=1e-9, hermitian=True)
    found = scale[:, None] * (inverse @ (scale[:, None] * right))
    rest: FloatArray = (values - own @ found).reshape(shape)
    return rest


def _blocks(shape: tuple[int, ...], size: float) -> Iterator[tuple[tuple[int, int], Window]]:
    rows, columns = (
        np.linspace(0, n, max(round(n / size), 1) + 1).astype(int).tolist() for n in shape
    )
    for i in range(len(rows) - 1):
        for j in range(len(columns) - 1):
            yield (i, j), (slice(rows[i], rows[i + 1]), slice(columns[j], columns[j + 1]))
