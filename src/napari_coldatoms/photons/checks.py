"""Whether counts are what a fit takes them for: independent shots of constant brightness."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.goodness import p_words
from napari_coldatoms.photons.histogram import Counts, Histogram, histogram
from napari_coldatoms.photons.run_order import (
    best_block,
    correlations,
    group_p_value,
    groups_of,
    trend,
)

if TYPE_CHECKING:
    import pandas as pd

    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]

DOUBTFUL = 1e-3
"""Probabilities below it are remarked."""

GROUPS = 20
"""Points of the run chart, unless groups would have fewer shots than `FEWEST`."""

FEWEST = 5


@dataclass(frozen=True, eq=False)
class CountChecks:
    """What counts look like, shot by shot.

    Attributes
    ----------
    shots : int
    mean, variance : float
        Of the counts.
    fano : float
        Variance over what it should be: over the mean for Poissonian counts (Fano factor), or over
        the variance of the distribution that was expected. NaN where that is zero.
    fano_stderr : float
        Its standard error, from the counts' own spread.
    fano_p : float
        Probability of a ratio at least as far from 1 if nothing else varies; two-sided.
    brightness_sd : float
        Relative standard deviation of a brightness that explains a larger variance; 0 if there is
        none.
    remarks : tuple of str
        Doubts.
    correlation : float or None
        Correlation of each shot with the next one; None where the order is not known.
    correlation_p : float or None
        Probability of one at least as far from 0 for independent shots; two-sided.
    drift : float or None
        Change of the mean from the first shot to the last, by a straight line, over the mean.
    drift_p : float or None
        Probability of one at least as large without a drift; two-sided.
    groups_p : float or None
        Probability that means of consecutive groups differ as much for independent shots.
    block : int or None
        Length of blocks for `bootstrap` that keeps the correlations; 1 for independent shots.
    groups : (groups, 4) float or None
        Points of the run chart: first shot, number of shots, mean, standard error from the scatter
        within groups.
    """

    shots: int
    mean: float
    variance: float
    fano: float
    fano_stderr: float
    fano_p: float
    brightness_sd: float
    remarks: tuple[str, ...]
    correlation: float | None = None
    correlation_p: float | None = None
    drift: float | None = None
    drift_p: float | None = None
    groups_p: float | None = None
    block: int | None = None
    groups: FloatArray | None = field(default=None, repr=False)

    def run_chart(self) -> pd.DataFrame:
        """Return the means of consecutive shots, with limits that few points should exceed.

        Columns: first (shot), shots, mean, low and high (overall mean ± 3 standard errors),
        outside.

        Raises
        ------
        ValueError
            If the order of the shots is not known, or they are too few.
        """
        import pandas as pd

        if self.groups is None:
            raise ValueError(
                f"expected at least {2 * FEWEST} shots in their order for a run chart, found "
                f"{self.shots} shots" + (" as a histogram" if self.correlation is None else "")
            )
        first, shots, mean, error = self.groups.T
        low, high = self.mean - 3 * error, self.mean + 3 * error
        return pd.DataFrame(
            {
                "first": first.astype(int),
                "shots": shots.astype(int),
                "mean": mean,
                "low": low,
                "high": high,
                "outside": (mean < low) | (mean > high),
            }
        )


def check_counts(
    counts: Counts, *, expected: ArrayLike | None = None, groups: int | None = None
) -> CountChecks:
    """Look whether shots are independent, and vary no more than they should.

    Parameters
    ----------
    counts : counts
        See `histogram`. Correlations and drifts are looked for if the order of the shots is known.
    expected : (max_count + 1,) array, optional
        Distribution of counts that is expected, of any norm: `ControlFit.expected` of a control,
        `AtomNumberFit.expected` of a mixture. By default the Poisson distribution of the same mean.
        That is right for shots of one atom number without any loss, such as controls of 0 atoms.
        Counts of different atom numbers vary more by nature, and so do controls of 1 atom of which
        a few were lost: see `check_controls`.
    groups : int, optional
        Number of points of the run chart; by default `GROUPS`, or fewer for few shots.

    Returns
    -------
    CountChecks
        Doubts are in its `remarks`; nothing is warned of.

    Raises
    ------
    ValueError
        If counts or expectation are not usable, or more groups are asked for than pairs of shots.
    """
    h = histogram(counts)
    distribution = None if expected is None else _distribution(expected)
    fano, error, fano_p, brightness = _dispersion(h, distribution)
    remarks = _dispersion_remarks(fano, fano_p, brightness, poissonian=distribution is None)
    ordered = h.in_order if h.total >= 2 * FEWEST and h.variance > 0 else None
    if groups is not None and not 2 <= groups <= h.total // 2:
        raise ValueError(
            f"expected from 2 to {h.total // 2} groups for {h.total} shots, found {groups}"
        )
    result = CountChecks(
        h.total, h.mean, h.variance, fano, error, fano_p, brightness, tuple(remarks)
    )
    if ordered is None:
        return result
    values = ordered.astype(np.float64)
    return _with_order(result, values, groups or min(GROUPS, h.total // FEWEST))


def check_controls(fit: ControlFit) -> tuple[CountChecks, ...]:
    """Check each control of a fit; the variance against that of the fitted distribution.

    Losses are fitted to the counts of several atoms, whose variance therefore tells less than that
    of the controls of 0 and 1 atoms.

    Parameters
    ----------
    fit : ControlFit

    Returns
    -------
    tuple of CountChecks
        One for each control, by atom number.
    """
    return tuple(check_counts(h, expected=fit.expected(i)) for i, h in enumerate(fit.histograms))


def _distribution(expected: ArrayLike) -> FloatArray:
    p = np.asarray(expected, dtype=np.float64)
    if p.ndim != 1 or not np.isfinite(p).all() or (p < 0).any() or not p.sum() > 0:
        raise ValueError(
            "expected a one-dimensional distribution of counts, finite and not below 0, found "
            f"{expected!r:.60}"
        )
    return p / p.sum()


def _dispersion(h: Histogram, p: FloatArray | None) -> tuple[float, float, float, float]:
    """Return the ratio of variances, its standard error, its p-value, and the implied brightness.

    For Poissonian counts by the index of dispersion: given the total, (N - 1) s²/m has the mean
    N - 1 and the variance 2 (N - 1)(1 - 1/total); a gamma distribution with these is χ² but for few
    counts. Else by the variance of s², which follows from the fourth moment.
    """
    from scipy.special import gdtr, gdtrc, ndtr

    shots = h.total
    deviation = np.arange(len(h.occurrences)) - h.mean
    if p is None:
        wanted, wanted_mean = h.mean, h.mean
    else:
        n = np.arange(len(p))
        wanted_mean = float(n @ p)
        wanted = float((n - wanted_mean) ** 2 @ p)
    if shots < 2 or wanted == 0:
        return math.nan, math.nan, math.nan, 0.0
    fano = h.variance / wanted
    influence = (deviation**2 - h.variance) / wanted
    if p is None:
        influence = influence - fano * deviation / wanted
    error = math.sqrt(float(influence**2 @ h.occurrences) / shots / shots)
    brightness = math.sqrt(max(h.variance - wanted, 0.0)) / wanted_mean if wanted_mean else 0.0
    if p is None:
        total = h.mean * shots
        if total < 2:
            return fano, error, math.nan, 0.0
        scale = 2 * (1 - 1 / total)
        index, shape = (shots - 1) * fano, (shots - 1) / scale
        tail = min(gdtr(1 / scale, shape, index), gdtrc(1 / scale, shape, index))
    else:
        fourth = float((n - wanted_mean) ** 4 @ p)
        spread = math.sqrt(max(fourth - wanted**2 * (shots - 3) / (shots - 1), 0.0) / shots)
        if spread == 0:
            return fano, error, math.nan, 0.0
        tail = float(ndtr(-abs(h.variance - wanted) / spread))
    return fano, error, min(2 * float(tail), 1.0), brightness


def _dispersion_remarks(fano: float, p: float, brightness: float, *, poissonian: bool) -> list[str]:
    if not p < DOUBTFUL:
        return []
    wanted = "Poissonian counts" if poissonian else "the expected ones"
    text = f"counts vary {fano:.3g} times as much as {wanted} ({p_words(p)})"
    if fano > 1:
        return [
            f"{text}: as if the brightness changed by {brightness:.2g} of itself from shot to "
            'shot; fit controls with brightness_sd="fit"'
        ]
    return [f"{text}: has the counter a dead time?"]


def _with_order(checks: CountChecks, values: FloatArray, number: int) -> CountChecks:
    """Add what the order of the shots tells."""
    from scipy.special import ndtr

    shots = len(values)
    rho = correlations(values)
    # of independent shots: mean -1/N, variance 1/N, but for higher orders
    z = (rho[1] + 1 / shots) * math.sqrt(shots)
    change, drift_p = trend(values)
    groups = groups_of(values, number)
    result = replace(
        checks,
        correlation=float(rho[1]),
        correlation_p=2 * float(ndtr(-abs(z))),
        drift=change / checks.mean,
        drift_p=drift_p,
        groups_p=group_p_value(values, groups),
        block=best_block(rho, shots),
        groups=groups,
    )
    return replace(result, remarks=(*checks.remarks, *_order_remarks(result)))


def _order_remarks(checks: CountChecks) -> list[str]:
    remarks = []
    advice = f"bootstrap with block={checks.block}"
    correlation, p = checks.correlation, checks.correlation_p
    if correlation is not None and p is not None and p < DOUBTFUL:
        kind = "alike" if correlation > 0 else "unlike"
        remarks.append(
            f"neighbouring shots are {kind}: correlation {correlation:.2f} ({p_words(p)}); {advice}"
        )
    p = checks.drift_p
    if p is not None and p < DOUBTFUL:
        remarks.append(
            f"the mean drifts by {checks.drift:+.0%} from the first shot to the last ({p_words(p)})"
        )
    p = checks.groups_p
    if p is not None and p < DOUBTFUL and not remarks:
        remarks.append(
            f"means of consecutive shots differ more than independent ones ({p_words(p)}); {advice}"
        )
    return remarks
