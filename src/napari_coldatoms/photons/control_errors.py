"""Standard errors of what was fitted to control counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_setting import Channel, ControlSetting
from napari_coldatoms.photons.quadrature import legendre
from napari_coldatoms.photons.scoring import information

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# eigenvalues of the scaled information below it mean nothing, as do parameters that have such a
# part in their eigenvectors
_SMALLEST_INFORMATION = 1e-11
_PART = 1e-3


@dataclass(frozen=True)
class ControlErrors:
    """Standard errors of fitted rates and losses; NaN for a parameter at its bound.

    Attributes
    ----------
    rates : tuple of float
        Of the counts per second with 0, 1, ... atoms.
    losses : dict of (int, int) to float
        Of the losses, 1/s.
    single_atom_loss : float
    brightness_sd : float
        0 where it was given, not fitted.
    """

    rates: tuple[float, ...]
    losses: dict[Channel, float]
    single_atom_loss: float
    brightness_sd: float


def covariance(
    setting: ControlSetting, theta: FloatArray, totals: FloatArray, upper: FloatArray
) -> FloatArray:
    """Return the covariance of all parameters, in the units of the vector.

    Of a joint fit it is the inverse of the expected information. Of a fit in steps, each of which
    takes the results of the ones before as exact, it is the sandwich A⁻¹ B A⁻ᵀ of the estimating
    equations: B is the information of each step on its own parameters, A also has that on the
    parameters of earlier steps. So the errors of earlier steps carry over.

    Returns
    -------
    (parameters, parameters)
        0 for parameters that are not fitted. NaN for those at a bound and those that the counts do
        not tell apart; they are taken as exact for the others.
    """
    result = np.zeros((setting.size, setting.size))
    fitted = np.array(setting.fitted)
    free = fitted[(theta[fitted] > 0) & (theta[fitted] < upper[fitted])]
    outer = np.zeros((setting.size, setting.size))
    inner = np.zeros((setting.size, setting.size))
    for control, info in enumerate(informations(setting, theta, totals)):
        if setting.method == "joint":
            outer += info
            inner += info
        else:
            own = setting.own(control)
            outer[own] = info[own]
            inner[np.ix_(own, own)] = info[np.ix_(own, own)]
    free = _determined(inner, free)
    selected = np.ix_(free, free)
    scale = 1 / np.sqrt(np.diag(inner)[free])
    units = np.outer(scale, scale)
    inverse = np.linalg.inv(outer[selected] * units)
    result[selected] = inverse @ (inner[selected] * units) @ inverse.T * units
    unknown = np.setdiff1d(fitted, free)
    result[unknown] = math.nan
    result[:, unknown] = math.nan
    return result


def _determined(info: FloatArray, parameters: IntArray) -> IntArray:
    """Return the parameters that the counts determine: those without a part in a null vector."""
    parameters = parameters[np.diag(info)[parameters] > 0]
    scale = 1 / np.sqrt(np.diag(info)[parameters])
    values, vectors = np.linalg.eigh(info[np.ix_(parameters, parameters)] * np.outer(scale, scale))
    flat = values < _SMALLEST_INFORMATION
    return parameters[(np.abs(vectors[:, flat]) < _PART).all(axis=1)]


def informations(setting: ControlSetting, theta: FloatArray, totals: FloatArray) -> FloatArray:
    """Return the expected information of each control (controls, parameters, parameters)."""
    mean = float(theta[: setting.atoms + 1].max())
    sd = math.sqrt(theta[-1])
    bins = math.ceil(mean + (8 + 10 * sd) * math.sqrt(mean + theta[-1] * mean**2) + 15)
    decay = float(theta[setting.atoms + 2 : -1].sum())
    nodes, weights = legendre(mean, decay)
    return information(
        theta,
        totals,
        setting.atoms,
        setting.channel_array,
        setting.chain,
        nodes,
        weights,
        bins,
    )


def control_errors(
    setting: ControlSetting, theta: FloatArray, covariance: FloatArray
) -> ControlErrors:
    """Return the standard errors by name, in units of time."""
    errors = np.sqrt(np.diag(covariance)) * setting.scale(theta)
    if not setting.fits_brightness:
        errors[-1] = 0.0
    first = setting.atoms + 2
    return ControlErrors(
        tuple(float(error) for error in errors[: setting.atoms + 1]),
        {channel: float(errors[first + k]) for k, channel in enumerate(setting.channels)},
        float(errors[setting.single_loss]),
        float(errors[-1]),
    )
