"""Timing of several ways to do the same thing, taken in turns."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def medians(ways: Mapping[str, Callable[[], object]], seconds: float = 2.0) -> dict[str, float]:
    """Return the median time (s) of each way.

    They take turns, so that what else the machine does hits all of them; each runs once before
    (compilation, caches) and then for about `seconds` in all, at least five times.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    spent = dict.fromkeys(ways, 0.0)
    while any(spent[name] < seconds or len(times[name]) < 5 for name in ways):
        for name, way in ways.items():
            if spent[name] >= seconds and len(times[name]) >= 5:
                continue
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
            spent[name] += times[name][-1]
    return {name: float(np.median(values)) for name, values in times.items()}


def machine() -> str:
    """Return a line about the machine."""
    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open() as lines:
            model = next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
