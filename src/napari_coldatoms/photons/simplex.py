"""Weights of a mixture of known components, for many histograms at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons import interior_point, least_squares
from napari_coldatoms.photons.likelihoods import Objective

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-9
"""No weights are better than those found by more than this, in the log-likelihood."""


def maximise(
    occurrences: ArrayLike,
    components: ArrayLike,
    *,
    start: ArrayLike | None = None,
    kind: Objective = "poisson",
    keep_positive: bool = False,
    tolerance: float = TOLERANCE,
    values: bool = True,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Find the weights w of components that describe each histogram best.

    The weights are >= 0 and sum to 1; both objectives are concave, so each result carries a
    certificate of how much better any other weights could be.

    Parameters
    ----------
    occurrences : (b, k)
        Histograms, >= 0, each with at least one shot.
    components : (a, k) or (b, a, k)
        Probability of bin n with component i; the same for all histograms, or one set for each.
        Their sums over all bins should be 1, but may be less where bins are left out.
    start : (a,) or (b, a), optional
        Weights to begin with. Only needed where components have negative entries: with these
        weights every bin that must be positive is.
    kind : {"poisson", "least-squares"}
        Maximise ``Σ h ln µ - µ`` or ``-½ Σ (h - µ)²`` with ``µ_n = N Σ_i w_i p_i(n)``.
    keep_positive : bool
        Keep ``µ_n >= 0`` in bins where components have negative entries. With "poisson" the
        likelihood itself does so in bins with shots.
    tolerance : float
        The gap to stop at.
    values : bool
        Whether log-likelihoods are wanted; without them it is a little faster.

    Returns
    -------
    weights : (b, a)
    log_likelihood : (b,)
        ``Σ_n h ln µ - ln Γ(h + 1)`` minus N, over the bins that some component reaches; others are
        left out, with their shots. Empty if not wanted. For "least-squares" ``-½ Σ (h - µ)²``,
        which is no likelihood.
    gap : (b,)
        No weights are better by more than this, in the units of `log_likelihood`. At most the
        tolerance, or what rounding allows (about 1e-15 N; 1e-15 N² for "least-squares").

    Raises
    ------
    ValueError
        If shapes do not fit, occurrences are negative or not finite, a histogram is empty, or the
        start leaves a bin that must be positive at 0 or below.
    """
    h = np.ascontiguousarray(occurrences, dtype=np.float64)
    p = np.ascontiguousarray(components, dtype=np.float64)
    if h.ndim != 2 or p.ndim not in (2, 3) or p.shape[-1] != h.shape[1]:
        raise ValueError(
            "expected occurrences (b, k) and components (a, k) or (b, a, k), found shapes "
            f"{h.shape} and {p.shape}"
        )
    if p.ndim == 3 and len(p) != len(h):
        raise ValueError(f"expected {len(h)} sets of components, found {len(p)}")
    sets = p if p.ndim == 3 else p[None]
    atoms = sets.shape[1]
    first = np.full((1, atoms), 1 / atoms) if start is None else _start(start, len(h), atoms)
    if p.min() < 0:
        _check_start(h, sets, first, keep_positive, kind)
    weights = np.empty((len(h), atoms))
    value, gap = np.empty(len(h) if values else 0), np.empty(len(h))
    if kind == "poisson":
        wrong = interior_point.climb_all(
            h, sets, first, keep_positive, tolerance, weights, value, gap
        )
    else:
        wrong = _wrong(h, sets)
        value = np.empty(len(h))
        if not wrong:
            least_squares.fit_all(h, sets, first, keep_positive, tolerance, weights, value, gap)
    if wrong == interior_point.WRONG_OCCURRENCES:
        raise ValueError("expected occurrences that are finite, >= 0, and at least one shot each")
    if wrong == interior_point.WRONG_COMPONENTS:
        raise ValueError("expected finite components, found some that are not")
    return weights, value, gap


def _wrong(occurrences: FloatArray, components: FloatArray) -> int:
    """Return what is wrong with the numbers, as `interior_point.climb_all` does on its way."""
    totals = occurrences.sum(axis=1)
    if not ((occurrences >= 0).all() and np.isfinite(totals).all() and totals.all()):
        return interior_point.WRONG_OCCURRENCES
    return 0 if np.isfinite(components).all() else interior_point.WRONG_COMPONENTS


def _start(start: ArrayLike, problems: int, atoms: int) -> FloatArray:
    first = np.ascontiguousarray(np.atleast_2d(np.asarray(start, dtype=np.float64)))
    if first.shape not in ((1, atoms), (problems, atoms)) or not (first >= 0).all():
        raise ValueError(
            f"expected weights >= 0 of shape ({atoms},) or ({problems}, {atoms}) to begin with, "
            f"found shape {first.shape}"
        )
    return first / first.sum(axis=1, keepdims=True)


def _check_start(
    occurrences: FloatArray,
    components: FloatArray,
    start: FloatArray,
    keep_positive: bool,
    kind: Objective,
) -> None:
    f = np.matmul(start[:, None, :], components)[:, 0]
    must = (components.max(axis=1) > 0) & (occurrences > 0) & (kind == "poisson")
    if keep_positive:
        must = must | (components.min(axis=1) < 0)
    if (start <= 0).any():
        raise ValueError(f"expected weights above 0 to begin with, found {start.min():.3g}")
    if (must & (f <= 0)).any():
        bin_ = int(np.argmax((must & (f <= 0)).any(axis=0)))
        raise ValueError(
            "expected weights to begin with that make every bin positive, found bin "
            f"{bin_} with {np.broadcast_to(f, must.shape)[:, bin_].min():.3g}"
        )
