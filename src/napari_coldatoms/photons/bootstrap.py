"""How uncertain atom numbers are: measurements drawn again from themselves, and fitted again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.event_basis import Rebin
from napari_coldatoms.photons.event_setting import fit_events
from napari_coldatoms.photons.fit import fit_histogram
from napari_coldatoms.photons.fit_setting import (
    Basis,
    EventSetting,
    Likelihood,
    ModelSetting,
    fit_setting,
    parts_of,
)
from napari_coldatoms.photons.histogram import Counts, CountsByAtomNumber, Histogram, histogram
from napari_coldatoms.photons.likelihoods import objective
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import tell
from napari_coldatoms.photons.simplex import maximise
from napari_coldatoms.photons.single_atom_loss import thinning, unthinning
from napari_coldatoms.statistics.bootstrap import resample, resample_blocks

if TYPE_CHECKING:
    from napari_coldatoms.photons.control_samples import ControlSamples
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# so many resamples are fitted between two looks at the progress
_AT_ONCE = 20
# so many resamples may come without a certificate or the end of a fit before it is told
_FEW = 0.01


@dataclass(frozen=True, eq=False)
class Intervals:
    """Intervals of the probabilities of atom numbers.

    Attributes
    ----------
    low, high : (atoms + 1,)
        Ends of the interval of each probability; the estimate lies within.
    level : float
        The share of resamples that lie within.
    samples : (resamples, atoms + 1)
        What was fitted to the resamples.
    estimate : (atoms + 1,)
        What was fitted to the measurement itself.
    remarks : tuple of str
        Doubts.
    """

    low: FloatArray
    high: FloatArray
    level: float
    samples: FloatArray = field(repr=False)
    estimate: FloatArray
    remarks: tuple[str, ...] = ()

    @property
    def stderr(self) -> FloatArray:
        """Standard deviation of the resamples, (atoms + 1,)."""
        return self.samples.std(axis=0, ddof=1)


def bootstrap(
    counts: Counts,
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber,
    *,
    single_atom_loss: float | None = None,
    resamples: int = 100,
    resample_controls: bool = True,
    block: int | None = None,
    level: float = 0.68,
    rng: np.random.Generator | int | None = None,
    likelihood: Likelihood = "poisson",
    basis: Basis = "auto",
    rebin: Rebin = "adaptive",
    progress: Callable[[int, int], None] | None = None,
    quiet: bool = False,
) -> Intervals:
    """Return intervals of the probabilities of atom numbers, by the bootstrap.

    As many shots as were measured are drawn from them, with repetition, and fitted
    (Sec. VII of Weyland et al. 2025, arXiv 2412.17434). Unlike in the paper, the controls are drawn
    again as well: each resample has as many control shots in all, how many of each atom number is
    left to chance. Without this, intervals are too narrow where controls are not much more numerous
    than shots.

    Parameters
    ----------
    counts, model_or_controls, single_atom_loss, likelihood, basis, rebin
        See `fit_atom_numbers`. The rates, losses and loss of single atoms of a `ControlFit` are
        fitted to each resample of its controls; a loss that is given stays as it is. Bins of
        event-based fits stay those of the controls.
    resamples : int
        How many times to draw, at least 2.
    resample_controls : bool
        Whether to draw the controls again; a bare model has none.
    block : int, optional
        Draw blocks of so many successive shots, which keeps slow variations: longer than what is
        seen in `check_counts`. The counts must be given in their order; controls are drawn in
        blocks where their order is known.
    level : float
        Probability of the intervals, between 0 and 1.
    rng : numpy.random.Generator or int, optional
        Random generator or seed.
    progress : callable, optional
        Called with (resamples done, all) now and then. What it raises ends the work.
    quiet : bool
        Leave doubts to the result's `remarks`, without warnings.

    Returns
    -------
    Intervals
        Between the quantiles ``(1 ± level)/2`` of the resamples.

    Warns
    -----
    FitWarning
        For each doubt about the fit itself, see `fit_atom_numbers`; and where resamples could not
        be fitted.

    Raises
    ------
    ValueError
        As `fit_atom_numbers`; if there are fewer than 2 resamples, the level is not between 0 and
        1, or there are blocks without an order of the shots, or longer than these.
    """
    if isinstance(resamples, bool) or resamples != int(resamples) or resamples < 2:
        raise ValueError(f"expected at least 2 resamples, found {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    generator = np.random.default_rng(rng)
    data = histogram(counts)
    if block is not None and data.in_order is None:
        raise ValueError("expected counts in the order of the shots for blocks, found a histogram")
    setting = fit_setting(
        model_or_controls,
        data.max_count,
        single_atom_loss=single_atom_loss,
        likelihood=likelihood,
        basis=basis,
        rebin=rebin,
    )
    fit, doubts = fit_histogram(data, setting)
    used = setting.bins_that_matter(data.occurrences)
    drawn = _draw_data(data, setting, used, int(resamples), block, generator)
    _, controls, _ = parts_of(model_or_controls, single_atom_loss)
    again: list[IntArray] = []
    if resample_controls and controls is not None:
        again = draw_controls(controls, int(resamples), block, generator)
    samples = np.empty((int(resamples), len(fit.probabilities)))
    gap = np.empty(int(resamples))
    unfinished = 0
    step = int(resamples) if progress is None else _AT_ONCE
    for begin in range(0, int(resamples), step):
        part = slice(begin, min(begin + step, int(resamples)))
        some = [control[part] for control in again]
        if not some:
            samples[part], _, gap[part] = setting.maximise(drawn[part], used, values=False)
        elif isinstance(setting, ModelSetting):
            known = _refit(cast("ControlFit", model_or_controls), some)
            unfinished += int((~known.ended).sum())
            samples[part], gap[part] = _fit_models(drawn[part], used, known, setting.likelihood)
        else:
            loss = np.full(part.stop - begin, setting.events.loss)
            if single_atom_loss is None and hasattr(model_or_controls, "histograms"):
                known = _refit(cast("ControlFit", model_or_controls), some)
                unfinished += int((~known.ended).sum())
                loss = known.single_atom_loss
            samples[part], gap[part] = _fit_events(drawn[part], some, loss, setting)
        if progress is not None:
            progress(part.stop, int(resamples))
    if unfinished > _FEW * resamples:
        doubts.append(f"controls could not be fitted in {unfinished} of {resamples} resamples")
    missed = int((gap > setting.tolerance(data.total)).sum())
    if missed > _FEW * resamples:
        doubts.append(f"the optimum was not reached in {missed} of {resamples} resamples")
    if not quiet:
        tell(doubts)
    return intervals(samples, fit.probabilities, level, (*setting.notes, *doubts))


def intervals(
    samples: FloatArray, estimate: FloatArray, level: float, remarks: tuple[str, ...]
) -> Intervals:
    """Return the intervals of an estimate from its resamples."""
    # Weibull's quantiles: another sample lies between them with just that probability
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(samples, ends, axis=0, method="weibull")
    return Intervals(
        np.minimum(low, estimate),
        np.maximum(high, estimate),
        float(level),
        samples,
        estimate,
        remarks,
    )


def draw_controls(
    controls: Sequence[Histogram], resamples: int, block: int | None, rng: np.random.Generator
) -> list[IntArray]:
    """Draw controls again: as many in all, with at least one shot of each atom number.

    Returns
    -------
    list of (resamples, max_count + 1) int
        Occurrences of each control.
    """
    totals = np.array([control.total for control in controls])
    numbers = np.maximum(rng.multinomial(totals.sum(), totals / totals.sum(), size=resamples), 1)
    drawn = []
    for control, number in zip(controls, numbers.T, strict=True):
        if block is None or control.in_order is None:
            drawn.append(resample(control.occurrences, number, resamples, rng))
        else:
            length = min(block, control.total)
            drawn.append(resample_blocks(control.in_order, length, number, resamples, rng))
    return drawn


def _draw_data(
    data: Histogram,
    setting: ModelSetting | EventSetting,
    used: IntArray,
    resamples: int,
    block: int | None,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw the measurement again, in some bins of the fit; every draw has a shot in them."""
    kept = setting.merge(data.occurrences)[used]
    dropped = data.total - kept.sum()
    if block is None:
        drawn = resample([*kept, dropped], data.total, resamples, rng)
    else:
        assert data.in_order is not None
        place = np.full(setting.size + 1, len(used))
        place[used] = np.arange(len(used))
        bin_ = place[setting.bin_of(data.in_order)]
        drawn = resample_blocks(bin_, block, data.total, resamples, rng, len(used) + 1)
    drawn = drawn[:, :-1]
    if dropped > 0:
        drawn[drawn.sum(axis=1) == 0] = kept
    return drawn.astype(np.float64)


def _refit(fitted: ControlFit, again: list[IntArray]) -> ControlSamples:
    from napari_coldatoms.photons.control_samples import refit

    return refit(fitted, again)


def _fit_models(
    drawn: FloatArray, used: IntArray, known: ControlSamples, likelihood: Likelihood
) -> tuple[FloatArray, FloatArray]:
    """Fit each resample with the rates and losses that belong to it."""
    components = known.distributions(int(used[-1]))[:, :, used]
    weights, _, gap = maximise(drawn, components, kind=objective(likelihood), values=False)
    return weights, gap


def _fit_events(
    drawn: FloatArray, again: list[IntArray], loss: FloatArray, setting: EventSetting
) -> tuple[FloatArray, FloatArray]:
    """Fit each resample with the controls that belong to it."""
    events = setting.events
    counts = np.stack([events.merge(control) for control in again], axis=1)
    equal = np.full(events.atoms + 1, 1 / (events.atoms + 1))
    unmix = np.array([unthinning(events.atoms, value) for value in loss])
    start = np.array([thinning(events.atoms, value) @ equal for value in loss])
    weights, _, gap = fit_events(
        drawn,
        counts,
        counts.sum(axis=-1),
        unmix,
        start,
        setting.likelihood,
        values=False,
    )
    return weights, gap
