"""Where the fit of control counts begins, and the best of several climbs."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_setting import ControlSetting
from napari_coldatoms.photons.quadrature import legendre
from napari_coldatoms.photons.scoring import MOST_STEPS, climb

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-10
"""A step that promises less log-likelihood is the last one."""

_QUANTILES = (0.5, 0.75, 0.9, 0.97)
_SINGLE_LOSSES = (0.02, 0.2)
# all losses of one atom number together, times the exposure
_LOSSES = (0.1, 0.5, 1.5)
_VARIANCE = 0.01
# of all starts, so many are followed to the top
_FOLLOWED = 4


def stepwise(
    setting: ControlSetting, occurrences: FloatArray, brightness_sd: float
) -> tuple[FloatArray, bool]:
    """Fit control after control, each from several starts.

    Parameters
    ----------
    setting : ControlSetting
    occurrences : (atoms + 1, bins)
    brightness_sd : float
        Where it is not fitted.

    Returns
    -------
    (parameters,)
    bool
        Whether all climbs came to their end.
    """
    theta = np.zeros(setting.size)
    theta[-1] = _VARIANCE if setting.fits_brightness else brightness_sd**2
    bins = occurrences.shape[1]
    theta[0] = occurrences[0] @ np.arange(bins) / occurrences[0].sum()
    theta[1 : setting.atoms + 1] = theta[0]
    arguments = climb_arguments(setting, occurrences)
    all_ended = True
    for control in range(1, setting.atoms + 1):
        active = np.array(setting.own(control))
        rows = np.array([control, control])
        starts = _starts(setting, control, occurrences[control], theta)
        seen = [_climb(start, active, rows, 0.5, 2, arguments) for start in starts]
        seen.sort(key=lambda one: -one[0])
        climbed = [
            _climb(start, active, rows, TOLERANCE, None, arguments)
            for _, start, _ in seen[:_FOLLOWED]
        ]
        _, theta, ended = max(climbed, key=lambda one: one[0])
        all_ended = all_ended and ended
    return theta, all_ended


def joint(
    setting: ControlSetting, occurrences: FloatArray, start: FloatArray
) -> tuple[FloatArray, bool]:
    """Fit all controls together, from a start near by."""
    rows = np.array([0, setting.atoms])
    start = start.copy()
    # where no dark count was seen, a rate of zero would make those of other controls impossible
    start[0] = max(start[0], 0.5 / occurrences[0].sum())
    _, theta, ended = _climb(
        start,
        np.array(setting.fitted),
        rows,
        TOLERANCE,
        None,
        climb_arguments(setting, occurrences),
    )
    return theta, ended


def climb_arguments(setting: ControlSetting, occurrences: FloatArray) -> tuple:
    """Return what every climb is given."""
    max_count = int(np.flatnonzero(occurrences.any(axis=0))[-1])
    nodes, weights = legendre(1.5 * max_count, 60.0)
    room = np.zeros((setting.size, *occurrences.shape))
    return (
        setting.upper(max_count),
        occurrences,
        setting.atoms,
        setting.channel_array,
        setting.chain,
        nodes,
        weights,
        np.zeros(occurrences.shape),
        room,
    )


def _climb(
    start: FloatArray,
    active: NDArray[np.int64],
    rows: NDArray[np.int64],
    tolerance: float,
    steps: int | None,
    arguments: tuple,
) -> tuple[float, FloatArray, bool]:
    upper, occurrences, atoms, channels, chain, nodes, weights, p, dp = arguments
    theta = start.copy()
    likelihood, ended = climb(
        theta,
        active,
        rows,
        upper,
        occurrences,
        atoms,
        channels,
        chain,
        nodes,
        weights,
        tolerance,
        1e-2,
        MOST_STEPS if steps is None else steps,
        p,
        dp,
    )
    return likelihood, theta, ended


def _starts(
    setting: ControlSetting, control: int, occurrences: FloatArray, theta: FloatArray
) -> list[FloatArray]:
    """Return starts for the parameters of one control, those of the ones before it known."""
    share = np.cumsum(occurrences) / occurrences.sum()
    means = [float(np.searchsorted(share, quantile)) for quantile in _QUANTILES]
    means.append(float(occurrences @ np.arange(len(occurrences)) / occurrences.sum()))
    if control > 1:
        means.append(2 * theta[control - 1] - theta[control - 2])
    means = sorted({max(mean, 0.1) for mean in means})
    channels = [k for k, (start, _) in enumerate(setting.channels) if start == control]
    shares = np.array([2.0**-k for k in range(len(channels))])
    losses = _LOSSES if channels else (0.0,)
    singles = _SINGLE_LOSSES if control == 1 else (theta[setting.single_loss],)
    result = []
    for mean, loss, single in product(means, losses, singles):
        start = theta.copy()
        start[control : setting.atoms + 1] = mean
        start[setting.single_loss] = single
        for k, part in zip(channels, shares / max(shares.sum(), 1.0), strict=True):
            start[setting.atoms + 2 + k] = loss * part
        result.append(start)
    return result
