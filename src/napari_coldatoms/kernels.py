"""Compiled kernels: whether they are on disk, and how to get them without holding up a window.

numba compiles a kernel when it is first used, and keeps it on disk. Compiling holds the interpreter
for seconds at a time: a window would freeze even if that is done in a thread. A process of its own
leaves the window alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from time import sleep
from types import ModuleType
from typing import Any

_POLL = 0.05  # s


def kernels_of(module: ModuleType) -> list[Any]:
    """Return the compiled functions that a module defines."""
    return [
        value
        for value in vars(module).values()
        if hasattr(value, "py_func") and value.__module__ == module.__name__
    ]


def are_compiled(kernels: Iterable[Any]) -> bool:
    """Return whether compiled functions lie on disk, newer than their source."""
    return all(map(_is_compiled, kernels))


def modules_are_compiled(names: Iterable[str]) -> bool:
    """Return whether all compiled functions of modules, by their full names, lie on disk."""
    return all(are_compiled(kernels_of(import_module(name))) for name in names)


def _is_compiled(kernel: Any) -> bool:
    source = Path(kernel.py_func.__code__.co_filename)
    folder = Path(kernel.stats.cache_path)
    kept = folder.glob(f"{source.stem}.{kernel.py_func.__name__}-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in kept)


def compile_elsewhere(module: str, cancel: Callable[[], bool] | None = None) -> bool:
    """Compile the kernels that a module uses when it is run, in a process of its own.

    Parameters
    ----------
    module : str
        Its full name.
    cancel : callable, optional
        Once it returns True, the process is ended.

    Returns
    -------
    bool
        Whether the kernels are there. If not, they are compiled when they are used, which works as
        well, but less smoothly.
    """
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return False
    with child:
        while child.poll() is None:
            if cancel is not None and cancel():
                child.kill()
                return False
            sleep(_POLL)
    return child.returncode == 0
