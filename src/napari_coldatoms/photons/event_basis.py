"""Counted controls as the components of a fit: their bins, and the loss taken out of them.

Bins are chosen from the controls alone. Narrow bins tell atom numbers apart best as long as the
controls are many; with few of them, each bin is mostly noise. By trial, in
three settings (mean counts of the brightest control of 6, 20 and 80) and with 100 to 3000 control
shots, errors are within a few per cent of their least for bins as wide as ::

    sqrt(m) (200 / n)^(1/4)

with the mean counts m of the brightest control (so that the width goes with the width of its peak)
and the mean number n of shots of a control. Equal widths did better than widths that follow the
number of shots in each bin, which depend on the noise that they are to average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.single_atom_loss import thinning, unthinning

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Rebin = Literal["adaptive", "none"] | int
"""Bins of event-based fits: as wide as the controls ask for, one count each, or a fixed width."""

LEAST_EVENTS = 3
"""Adaptive bins with fewer control shots in all are merged with the next one."""

_SHOTS = 200.0  # of a control, where bins are as wide as the brightest peak
_WIDEST = 2.0  # in units of that peak
_BEYOND = 3.0  # how far the last adaptive bin reaches, in standard deviations of its counts


@dataclass(frozen=True, eq=False)
class EventBasis:
    """Histograms of controls in the bins of a fit.

    Attributes
    ----------
    first : (bins,) int
        Smallest number of counts of each bin; the last bin, which no control reaches, has no
        upper end.
    counts : (atoms + 1, bins)
        Number of control shots in each bin, for 0, 1, 2, ... atoms.
    totals : (atoms + 1,)
        Number of shots of each control.
    loss : float
        Probability of losing a single atom before the exposure that the controls contain.
    width : int or None
        Width of the bins; None where they are single counts.
    """

    first: IntArray
    counts: FloatArray
    totals: FloatArray
    loss: float = 0.0
    width: int | None = None

    @property
    def atoms(self) -> int:
        """Largest number of atoms."""
        return len(self.totals) - 1

    @cached_property
    def unmix(self) -> FloatArray:
        """What turns atom numbers w into proportions w' of the controls, (atoms + 1, atoms + 1)."""
        return unthinning(self.atoms, self.loss)

    @cached_property
    def components(self) -> FloatArray:
        """Shares of each bin with the loss taken out, (atoms + 1, bins); they may be negative."""
        return self.unmix.T @ (self.counts / self.totals[:, None])

    @cached_property
    def start(self) -> FloatArray:
        """Atom numbers that mean equal proportions of all controls, which are always allowed."""
        equal = np.full(self.atoms + 1, 1 / (self.atoms + 1))
        return thinning(self.atoms, self.loss) @ equal

    def merge(self, occurrences: NDArray) -> FloatArray:
        """Return occurrences (..., counts) in the bins of the fit, (..., bins)."""
        return merge(occurrences, self.first)


def event_basis(
    controls: Sequence[Histogram], loss: float = 0.0, rebin: Rebin = "adaptive"
) -> EventBasis:
    """Choose bins for counted controls.

    Parameters
    ----------
    controls : sequence of Histogram
        For 0, 1, 2, ... atoms.
    loss : float
        Probability of losing a single atom before the exposure that they contain.
    rebin : {"adaptive", "none"} or int
        "adaptive" takes a width that follows from the controls (see the module) and merges bins
        until each has a few control shots, the last one reaching a little beyond all controls;
        "none" keeps each number of counts for itself; a number is the width of all bins. Shots in
        bins that no control reaches tell nothing.

    Raises
    ------
    ValueError
        If the loss is not from 0 to below 1, or the width not a whole number above 0.
    """
    largest = max(control.max_count for control in controls)
    shots = np.array([control.padded(largest) for control in controls], dtype=np.float64)
    if rebin == "adaptive":
        first, width = _adaptive(controls, shots.sum(axis=0))
    elif rebin == "none":
        first, width = np.arange(largest + 2), None
    elif not _is_width(rebin):
        raise ValueError(
            f'expected "adaptive", "none" or a width of bins from 1 on as rebin, found {rebin!r}'
        )
    else:
        # what lies beyond all controls has a bin of its own, that they do not reach
        width = int(rebin)
        first = np.arange(0, largest + 1 + width, width)
    basis = EventBasis(
        first.astype(np.int64), merge(shots, first), shots.sum(axis=1), float(loss), width
    )
    basis.unmix  # noqa: B018 checks the loss
    return basis


def merge(occurrences: NDArray, first: NDArray) -> FloatArray:
    """Return occurrences (..., counts) summed over bins that begin at `first`, (..., bins)."""
    values = np.asarray(occurrences)
    lacking = int(first[-1]) + 1 - values.shape[-1]
    if lacking > 0:
        values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, lacking)])
    return np.add.reduceat(values, first, axis=-1).astype(np.float64)


def _is_width(value: object) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= 1  # type: ignore[call-overload]


def _adaptive(controls: Sequence[Histogram], pooled: FloatArray) -> tuple[IntArray, int]:
    peak = math.sqrt(max(max(control.mean for control in controls), 1.0))
    shots = pooled.sum() / len(controls)
    width = round(peak * min((_SHOTS / shots) ** 0.25, _WIDEST))
    # atom numbers are told apart by as many bins at least
    width = max(min(width, len(pooled) // (2 * len(controls))), 1)
    begin = np.arange(0, len(pooled), width)
    events = np.add.reduceat(pooled, begin)
    first, total = [0], 0.0
    for k in range(len(begin)):
        total += events[k]
        if total >= LEAST_EVENTS and k + 1 < len(begin):
            first.append(begin[k + 1])
            total = 0.0
    if total < LEAST_EVENTS and len(first) > 1:
        first.pop()  # too little is left over for a bin
    # far beyond all controls is a bin that they do not reach
    beyond = len(pooled) + max(width, math.ceil(_BEYOND * math.sqrt(len(pooled))))
    return np.array([*first, beyond]), width
