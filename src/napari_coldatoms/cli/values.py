"""Several numbers in one flag: lists and ranges."""

from __future__ import annotations

import math

import numpy as np

from napari_coldatoms.cli import UsageError

_MOST = 10_000


def numbers(text: str, flag: str) -> list[float]:
    """Return the numbers that a text such as ``3,4,5``, ``2.5:3.5:5`` or ``1,10:30:3`` lists.

    Parameters
    ----------
    text : str
        Numbers and ranges ``start:stop:count``, ends included, separated by commas.
    flag : str
        Its name, for the error.

    Raises
    ------
    UsageError
        If it is none, with what was expected.
    """
    found: list[float] = []
    for part in text.split(","):
        try:
            found += _part(part)
        except ValueError:
            raise UsageError(
                f"{flag}: expected numbers such as 3,4,5 or start:stop:count such as 2.5:3.5:5, "
                f"found {text!r}"
            ) from None
    return found


def _part(text: str) -> list[float]:
    ends = text.split(":")
    if len(ends) == 1:
        return [_finite(ends[0])]
    start, stop, count = ends
    if not 2 <= int(count) <= _MOST:
        raise ValueError
    steps = np.linspace(_finite(start), _finite(stop), int(count))
    # 0.30000000000000004 in a table helps nobody
    return [float(f"{step:.12g}") for step in steps]


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value
