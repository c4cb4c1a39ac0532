"""Masks as run lengths, as COCO files keep them.

A mask is read column by column; its runs of pixels outside and inside are counted in turn,
beginning with those outside. The counts are a list of numbers, or a text in which each count,
from the fourth on less the one two before it, is written in digits of base 32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode", "encode"]

# digits are the characters from "0" on: five bits each, and one that says that more follow
_FIRST = 48
_BITS = 5
_MORE = 1 << _BITS
# the first counts are written as they are; later ones by how they differ from the last but one
_PLAIN = 3
# no count of a picture needs more digits
_MOST_DIGITS = 12


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask (ny, nx) as ``{"size": [ny, nx], "counts": text}``."""
    flat = np.concatenate([[False], np.asarray(mask, dtype=bool).ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff([0, *changes.tolist(), flat.size - 1]).tolist()
    return {"size": [int(n) for n in mask.shape], "counts": _text(counts)}


def decode(runs: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask (ny, nx) of run lengths.

    Parameters
    ----------
    runs : mapping
        ``size``, rows and columns, and ``counts``, a text or a list of whole numbers.

    Raises
    ------
    ValueError
        They are no run lengths, or do not fill the mask.
    """
    try:
        rows, columns = (int(n) for n in runs["size"])
        given = runs["counts"]
    except (KeyError, TypeError, ValueError):
        raise ValueError("expected run lengths with size and counts, found others") from None
    counts = _counts(given) if isinstance(given, str) else _whole(given)
    if min(rows, columns) < 1 or any(n < 0 for n in counts) or sum(counts) != rows * columns:
        raise ValueError(
            f"expected run lengths of {rows} x {columns} pixels, found counts of {sum(counts)}"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape((rows, columns), order="F")


def _whole(counts: Any) -> list[int]:
    whole = isinstance(counts, Sequence) and all(
        isinstance(n, int) and not isinstance(n, bool) for n in counts
    )
    if not whole:
        raise ValueError("expected run lengths as whole numbers or as a text, found others")
    return list(counts)


def _text(counts: Sequence[int]) -> str:
    characters = []
    for place, count in enumerate(counts):
        rest = count if place < _PLAIN else count - counts[place - 2]
        while True:
            digit = rest & (_MORE - 1)
            rest >>= _BITS
            # the sign is the highest bit of the last digit
            last = rest == (-1 if digit & (_MORE >> 1) else 0)
            characters.append(chr(_FIRST + (digit if last else digit | _MORE)))
            if last:
                break
    return "".join(characters)


def _counts(text: str) -> list[int]:
    counts: list[int] = []
    value = digits = 0
    for character in text:
        code = ord(character) - _FIRST
        if not 0 <= code < 2 * _MORE or digits == _MOST_DIGITS:
            raise ValueError(f"expected run lengths as a text, found {character!r} in it")
        value |= (code & (_MORE - 1)) << (_BITS * digits)
        digits += 1
        if code & _MORE:
            continue
        if code & (_MORE >> 1):
            value -= 1 << (_BITS * digits)
        counts.append(value if len(counts) < _PLAIN else value + counts[-2])
        value = digits = 0
    if digits:
        raise ValueError("expected run lengths as a whole text, found one that ends in a count")
    return counts
