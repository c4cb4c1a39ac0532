"""Maximum likelihood by Fisher scoring, for control counts: compiled, one fit or thousands.

A fit is a list of stages. Each stage climbs in some of the parameters, with the likelihood of some
of the controls, while the other parameters are held: the three steps of Weyland et al. 2025
(Sec. IV.2) are three stages, the joint fit is one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.photons.control_kernels import control_counts, pure_counts, set_scaled
from napari_coldatoms.statistics.cholesky import solve

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_STEPS = np.int64(200)
# typed, so that numba does not compile a version for this number alone
_ZERO = np.int64(0)
# a probability that is zero where there were counts
_IMPOSSIBLE = 1e-300
# of a diagonal element of the information, where a step can be told
_LEAST_PIVOT = 1e-13
# a small step, in standard errors of a parameter when the others are known
_SMALL = 0.1


@njit(cache=True, nogil=True)
def score(
    occurrences: FloatArray, c: FloatArray, dc: FloatArray, gradient: FloatArray, info: FloatArray
) -> float:
    """Add gradient and expected (Fisher) information of one control; return its log-likelihood."""
    total = 0.0
    for n in range(occurrences.size):
        total += occurrences[n]
    result = 0.0
    size = dc.shape[0]
    for n in range(c.size):
        if occurrences[n] > 0:
            result += occurrences[n] * math.log(max(c[n], _IMPOSSIBLE))
        if c[n] <= _IMPOSSIBLE:
            continue
        inverse = 1 / c[n]
        for a in range(size):
            slope = dc[a, n] * inverse
            gradient[a] += occurrences[n] * slope
            for b in range(a + 1):
                info[a, b] += total * slope * dc[b, n]
    return result


@njit(cache=True, nogil=True)
def damped_step(
    matrix: FloatArray, damping: float, free: NDArray[np.bool_], right: FloatArray
) -> bool:
    """Solve in place for the free rows; only the lower half is read.

    The diagonal is scaled to one, and `damping` added to it. Return whether that was possible.
    """
    size = right.size
    scaled, scale = np.zeros((size, size)), np.zeros(size)
    for a in range(size):
        if not free[a]:
            # an equation of its own, with the solution 0
            scaled[a, a] = 1.0
            right[a] = 0.0
            continue
        if matrix[a, a] <= 0 or not math.isfinite(matrix[a, a]):
            return False
        scale[a] = 1 / math.sqrt(matrix[a, a])
        for b in range(a + 1):
            scaled[a, b] = matrix[a, b] * scale[a] * scale[b]
        scaled[a, a] += damping
    for a in range(size):
        right[a] *= scale[a]
    if not solve(scaled, right, _LEAST_PIVOT, right):
        return False
    for a in range(size):
        right[a] *= scale[a]
    return True


@njit(cache=True, nogil=True)
def climb(
    theta: FloatArray,
    active: IntArray,
    rows: IntArray,
    upper: FloatArray,
    occurrences: FloatArray,
    atoms: int,
    channels: IntArray,
    chain: bool,
    nodes: FloatArray,
    weights: FloatArray,
    tolerance: float,
    damping: float,
    most_steps: int,
    p: FloatArray,
    dp: FloatArray,
) -> tuple[float, bool]:
    """Climb to the maximum of the likelihood of some controls, in some parameters.

    Parameters
    ----------
    theta : (parameters,)
        Where to begin; moved to the maximum.
    active : (k,)
        Parameters that move; between 0 and `upper`.
    rows : (2,)
        First and last control.
    upper : (parameters,)
    occurrences : (atoms + 1, max_count + 1)
    atoms, channels, chain, nodes, weights
        As in `pure_counts`.
    tolerance : float
        It is enough when a step promises to gain less log-likelihood.
    damping : float
        To begin with.
    most_steps : int
    p, dp
        Room for distributions and derivatives, as in `pure_counts`.

    Returns
    -------
    float
        Log-likelihood.
    bool
        Whether the tolerance was reached.
    """
    size = active.size
    wanted = np.zeros(theta.size, dtype=np.bool_)
    bottom = rows[0]
    for a in range(size):
        wanted[active[a]] = True
    if wanted[-1] or rows[1] > rows[0]:
        bottom = 0
    elif bottom > 0:
        # what does not change
        for k in range(theta.size):
            for i in range(bottom):
                set_scaled(0.0, p[i], dp[k, i])
        pure_counts(
            theta,
            atoms,
            channels,
            chain,
            nodes,
            weights,
            _ZERO,
            bottom - 1,
            np.zeros(theta.size, dtype=np.bool_),
            p,
            dp,
        )
    c, dc = np.empty(p.shape[1]), np.empty((size, p.shape[1]))
    gradient, info = np.zeros(size), np.zeros((size, size))
    new_gradient, new_info = np.zeros(size), np.zeros((size, size))
    free = np.ones(size, dtype=np.bool_)
    step = np.empty(size)
    trial = theta.copy()
    likelihood = -np.inf
    reached = False
    for iteration in range(most_steps):
        pure_counts(trial, atoms, channels, chain, nodes, weights, bottom, rows[1], wanted, p, dp)
        for a in range(size):
            new_gradient[a] = 0.0
            for b in range(size):
                new_info[a, b] = 0.0
        value = 0.0
        for i in range(rows[0], rows[1] + 1):
            control_counts(trial, atoms, i, active, p, dp, c, dc)
            value += score(occurrences[i], c, dc, new_gradient, new_info)
        if iteration == 0 or value >= likelihood:
            likelihood = value
            set_scaled(1.0, trial, theta)
            gradient, new_gradient = new_gradient, gradient
            info, new_info = new_info, info
            damping *= 0.1
            if damping < 1e-5:
                damping = 0.0
        else:
            damping = max(10 * damping, 1e-3)
            if damping > 1e8:
                break
        # what presses against its bound stays there
        for a in range(size):
            at_bottom = theta[active[a]] <= 0 and gradient[a] <= 0
            at_top = theta[active[a]] >= upper[active[a]] and gradient[a] >= 0
            free[a] = not (at_bottom or at_top) and info[a, a] > 0
        set_scaled(1.0, gradient, step)
        while not damped_step(info, damping, free, step):
            damping = max(10 * damping, 1e-3)
            if damping > 1e8:
                break
            set_scaled(1.0, gradient, step)
        gain = 0.0
        set_scaled(1.0, theta, trial)
        for a in range(size):
            if free[a]:
                moved = min(max(theta[active[a]] + step[a], 0.0), upper[active[a]])
                gain += gradient[a] * (moved - theta[active[a]])
                trial[active[a]] = moved
        if gain < 2 * tolerance:
            if damping <= 1.0:
                reached = True
                # the last step is taken unseen, if it is too small to be wrong
                for a in range(size):
                    if free[a] and abs(trial[active[a]] - theta[active[a]]) > _SMALL / math.sqrt(
                        info[a, a]
                    ):
                        break
                else:
                    set_scaled(1.0, trial, theta)
                break
            if damping > 1e6:
                break
    return likelihood, reached


@njit(cache=True, nogil=True)
def fit_stages(
    start: FloatArray,
    stages: IntArray,
    rows: IntArray,
    upper: FloatArray,
    occurrences: FloatArray,
    atoms: int,
    channels: IntArray,
    chain: bool,
    nodes: FloatArray,
    weights: FloatArray,
    tolerance: float,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Fit many sets of controls, all from one start.

    Parameters
    ----------
    start : (parameters,)
    stages : (stages, parameters)
        Parameters of each stage, filled up with -1.
    rows : (stages, 2)
        First and last control of each stage.
    upper, atoms, channels, chain, nodes, weights, tolerance
        As in `climb`.
    occurrences : (sets, atoms + 1, max_count + 1)

    Returns
    -------
    (sets, parameters)
        Parameters of the maxima.
    (sets,) bool
        Whether the tolerance was reached.
    """
    sets, bins = occurrences.shape[0], occurrences.shape[2]
    p = np.zeros((atoms + 1, bins))
    dp = np.zeros((start.size, atoms + 1, bins))
    result = np.empty((sets, start.size))
    reached = np.ones(sets, dtype=np.bool_)
    for b in range(sets):
        theta = result[b]
        set_scaled(1.0, start, theta)
        for stage in range(rows.shape[0]):
            number = 0
            while number < start.size and stages[stage, number] >= 0:
                number += 1
            _, ended = climb(
                theta,
                stages[stage, :number],
                rows[stage],
                upper,
                occurrences[b],
                atoms,
                channels,
                chain,
                nodes,
                weights,
                tolerance,
                0.0,
                MOST_STEPS,
                p,
                dp,
            )
            reached[b] = reached[b] and ended
    return result, reached


@njit(cache=True, nogil=True)
def information(
    theta: FloatArray,
    totals: FloatArray,
    atoms: int,
    channels: IntArray,
    chain: bool,
    nodes: FloatArray,
    weights: FloatArray,
    bins: int,
) -> FloatArray:
    """Return the expected information on all parameters, of each control.

    Parameters
    ----------
    totals : (atoms + 1,)
        Shots of each control.
    bins : int
        Numbers of counts that are taken into account.

    Returns
    -------
    (atoms + 1, parameters, parameters)
    """
    size = theta.size
    p = np.zeros((atoms + 1, bins))
    dp = np.zeros((size, atoms + 1, bins))
    pure_counts(
        theta,
        atoms,
        channels,
        chain,
        nodes,
        weights,
        _ZERO,
        atoms,
        np.ones(size, dtype=np.bool_),
        p,
        dp,
    )
    result = np.zeros((atoms + 1, size, size))
    c, dc = np.empty(bins), np.empty((size, bins))
    active = np.arange(size)
    for i in range(atoms + 1):
        control_counts(theta, atoms, i, active, p, dp, c, dc)
        for n in range(bins):
            if c[n] > _IMPOSSIBLE:
                for a in range(size):
                    for b in range(size):
                        result[i, a, b] += totals[i] * dc[a, n] * dc[b, n] / c[n]
    return result


@njit(cache=True, nogil=True)
def pure_distributions(
    thetas: FloatArray,
    atoms: int,
    channels: IntArray,
    chain: bool,
    nodes: FloatArray,
    weights: FloatArray,
    bins: int,
) -> FloatArray:
    """Return the distributions (sets, atoms + 1, bins) for many vectors of parameters."""
    result = np.zeros((thetas.shape[0], atoms + 1, bins))
    dp = np.zeros((thetas.shape[1], 1, 1))
    nothing = np.zeros(thetas.shape[1], dtype=np.bool_)
    for b in range(thetas.shape[0]):
        pure_counts(
            thetas[b], atoms, channels, chain, nodes, weights, _ZERO, atoms, nothing, result[b], dp
        )
    return result
