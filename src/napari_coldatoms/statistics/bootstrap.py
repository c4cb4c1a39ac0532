"""Histograms drawn again from themselves: for independent values, and for values in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]


def resample(
    occurrences: ArrayLike,
    totals: int | ArrayLike,
    resamples: int,
    rng: np.random.Generator,
) -> IntArray:
    """Draw histograms of independent values.

    Parameters
    ----------
    occurrences : (k,)
        How often each value was found, at least one of them.
    totals : int or (resamples,) int
        How many values to draw.
    resamples : int
        How many histograms to draw.
    rng : numpy.random.Generator

    Returns
    -------
    (resamples, k) int
        With the expectation ``totals * occurrences / sum(occurrences)``, multinomial.
    """
    found = np.asarray(occurrences)
    seen = np.flatnonzero(found)
    shares = found[seen] / found.sum()
    drawn = np.zeros((resamples, found.size), dtype=np.int64)
    drawn[:, seen] = rng.multinomial(totals, shares, size=resamples)
    return drawn


def resample_blocks(
    values: ArrayLike,
    block: int,
    totals: int | ArrayLike,
    resamples: int,
    rng: np.random.Generator,
    bins: int | None = None,
) -> IntArray:
    """Draw histograms of values that depend on their neighbours, by moving blocks.

    Blocks of successive values begin anywhere and are put together until there are enough, the last
    one cut (Künsch, Ann. Stat. 17, 1217 (1989)). What is correlated over less than a block keeps
    its variance.

    Parameters
    ----------
    values : (n,) int
        Whole numbers, >= 0, in the order of their measurement.
    block : int
        Length of a block.
    totals : int or (resamples,) int
        How many values to draw.
    resamples : int
        How many histograms to draw.
    rng : numpy.random.Generator
    bins : int, optional
        Length of the histograms; by default up to the largest value.

    Returns
    -------
    (resamples, bins) int

    Raises
    ------
    ValueError
        If the block is not a whole number from 1 to the number of values.
    """
    found = np.asarray(values, dtype=np.int64)
    if isinstance(block, bool) or block != int(block) or not 1 <= block <= found.size:
        raise ValueError(
            f"expected blocks of 1 to {found.size} values, as many as there are, found {block}"
        )
    if bins is None:
        bins = int(found.max()) + 1
    wanted = np.broadcast_to(np.asarray(totals, dtype=np.int64), (resamples,))
    steps = np.arange(int(block))
    drawn = np.empty((resamples, bins), dtype=np.int64)
    for histogram, total in zip(drawn, wanted, strict=True):
        begin = rng.integers(0, found.size - int(block) + 1, size=-(-int(total) // int(block)))
        taken = (begin[:, None] + steps).ravel()[:total]
        histogram[:] = np.bincount(found[taken], minlength=bins)
    return drawn
