"""Doubts about a result, told to who reads it and to who writes scripts."""

from __future__ import annotations

import warnings
from collections.abc import Iterable


class FitWarning(UserWarning):
    """A result is there, but not to be trusted without a look."""


def tell(remarks: Iterable[str], stacklevel: int = 3) -> None:
    """Warn of each remark; by default the warning names the line that called the caller."""
    for remark in remarks:
        warnings.warn(remark, FitWarning, stacklevel=stacklevel)
