"""Control counts drawn again, and what is fitted to them: for bootstraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.control_setting import ControlSetting, bins_for
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.quadrature import legendre
from napari_coldatoms.photons.scoring import fit_stages, pure_distributions

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# what a step may promise and not be taken: less than 0.02 standard errors
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class ControlSamples:
    """Fits of controls that were drawn again.

    Attributes
    ----------
    parameters : (samples, parameters)
        In units of the exposure, in the order of `ControlSetting`.
    setting : ControlSetting
    ended : (samples,) bool
        Whether the fit came to its end.
    """

    parameters: FloatArray
    setting: ControlSetting
    ended: BoolArray

    @property
    def single_atom_loss(self) -> FloatArray:
        """Probability of losing a single atom before the counting, (samples,)."""
        return self.parameters[:, self.setting.single_loss]

    @property
    def rates(self) -> FloatArray:
        """Counts per second by atom number, (samples, atoms + 1)."""
        return self.parameters[:, : self.setting.atoms + 1] / self.setting.exposure

    @property
    def losses(self) -> dict[tuple[int, int], FloatArray]:
        """Rates of the losses, 1/s, (samples,) each."""
        first = self.setting.atoms + 2
        return {
            channel: self.parameters[:, first + k] / self.setting.exposure
            for k, channel in enumerate(self.setting.channels)
        }

    @property
    def brightness_sd(self) -> FloatArray:
        """Relative standard deviation of the brightness, (samples,)."""
        return np.sqrt(self.parameters[:, -1])

    def models(self) -> list[LossModel]:
        """Return the model of each sample."""
        return [self.setting.model(theta) for theta in self.parameters]

    def distributions(self, max_count: int) -> FloatArray:
        """Return the distributions of counts (samples, atoms + 1, max_count + 1)."""
        setting = self.setting
        means = self.parameters[:, : setting.atoms + 1]
        decay = self.parameters[:, setting.atoms + 2 : -1].sum(axis=1)
        nodes, weights = legendre(float(means.max()), float(decay.max(initial=0.0)))
        return pure_distributions(
            self.parameters,
            setting.atoms,
            setting.channel_array,
            setting.chain,
            nodes,
            weights,
            max_count + 1,
        )


def refit(fit: ControlFit, occurrences: Sequence[ArrayLike]) -> ControlSamples:
    """Fit controls that were drawn again, as the first ones were fitted.

    Every fit begins at the parameters of the first one.

    Parameters
    ----------
    fit : ControlFit
    occurrences : sequence of (samples, n_i) int arrays
        For each atom number how often each number of counts occurs, in each sample. A control
        without any shot leaves its parameters as they were.

    Returns
    -------
    ControlSamples

    Raises
    ------
    ValueError
        If there is not one array for each atom number, or they are not of one number of samples.
    """
    setting = fit.setting
    arrays = [np.asarray(array) for array in occurrences]
    if len(arrays) != setting.atoms + 1 or any(array.ndim != 2 for array in arrays):
        raise ValueError(
            f"expected {setting.atoms + 1} arrays (samples, counts), found "
            f"{[array.shape for array in arrays]}"
        )
    if len({len(array) for array in arrays}) != 1:
        raise ValueError(
            "expected as many samples of each control, found "
            f"{', '.join(str(len(array)) for array in arrays)}"
        )
    max_count = max(array.shape[1] for array in arrays) - 1
    histograms = np.zeros((len(arrays[0]), len(arrays), bins_for(max_count)))
    for i, array in enumerate(arrays):
        histograms[:, i, : array.shape[1]] = array
    start = setting.theta(fit.model, fit.single_atom_loss)
    start[0] = max(start[0], 0.5 / fit.histograms[0].total)
    means = start[: setting.atoms + 1]
    nodes, weights = legendre(
        1.2 * float(means.max()) + 5.0, 2.0 * float(start[setting.atoms + 2 : -1].sum()) + 3.0
    )
    stages, rows = setting.stages()
    parameters, ended = fit_stages(
        start,
        stages,
        rows,
        setting.upper(max_count),
        histograms,
        setting.atoms,
        setting.channel_array,
        setting.chain,
        nodes,
        weights,
        _TOLERANCE,
    )
    return ControlSamples(parameters, setting, ended)
