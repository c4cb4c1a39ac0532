"""Histograms drawn again from themselves: for independent values, and for values in order."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.int64]

# below so many values for each bin they are drawn one by one, which is faster then
_VALUES_PER_BIN = 80


def resample(
    occurrences: ArrayLike,
    totals: int | ArrayLike,
    resamples: int,
    rng: np.random.Generator,
) -> IntArray:
    """Draw histograms of independent values.

    Parameters
    ----------
    occurrences : (k,) int
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
    found = np.asarray(occurrences, dtype=np.int64)
    seen = np.flatnonzero(found)
    number = int(found.sum())
    wanted = np.broadcast_to(np.asarray(totals, dtype=np.int64), (resamples,)).copy()
    drawn = np.zeros((resamples, found.size), dtype=np.int64)
    if max(number, int(wanted.max())) < _VALUES_PER_BIN * len(seen):
        values = np.repeat(np.arange(found.size), found)
        _draw_values(values, wanted, int(rng.integers(2**63)), drawn)
    else:
        drawn[:, seen] = rng.multinomial(wanted, found[seen] / number)
    return drawn


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_values(values: IntArray, totals: IntArray, seed: int, out: IntArray) -> None:
    """Count values that are drawn one by one, two from each random number of 64 bits.

    Random numbers are those of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014). That a value is drawn
    more often than another by a few 1e-6 of its share, at most, is far below any statistics.
    """
    number = np.uint64(len(values))
    state = np.uint64(seed)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    for b in range(len(totals)):
        for _ in range((totals[b] + 1) // 2):
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            out[b, values[((z & low) * number) >> half]] += 1
            out[b, values[((z >> half) * number) >> half]] += 1
        if totals[b] % 2 == 1:  # the second of the last two was too many
            out[b, values[((z >> half) * number) >> half]] -= 1


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
