"""The compiled kernels: whether they are there, and how to get them without holding up a window.

numba compiles the kernels when they are first used, which takes about twenty seconds, and keeps
them on disk. Compiling holds the interpreter for seconds at a time: a window would freeze even if
that is done in a thread. A process of its own leaves the window alone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

from napari_coldatoms.clouds import levenberg

_POLL = 0.05  # s


def is_compiled() -> bool:
    """Return whether the kernels of the fit lie on disk, newer than their source."""
    kernel = levenberg.minimise
    source = Path(levenberg.__file__)
    folder = Path(kernel.stats.cache_path)
    kept = folder.glob(f"{source.stem}.{kernel.py_func.__name__}-*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in kept)


def compile_elsewhere(cancel: Callable[[], bool] | None = None) -> bool:
    """Compile the kernels in a process of their own, and wait for it.

    Parameters
    ----------
    cancel : callable, optional
        Once it returns True, the process is ended.

    Returns
    -------
    bool
        Whether the kernels are there. If not, they are compiled when they are used, which works as
        well, but less smoothly.
    """
    command = [sys.executable, "-m", __name__]
    try:
        child = subprocess.Popen(
            command,
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


def use_all_kernels() -> int:
    """Find and fit clouds in a small picture that needs every kernel; return their number."""
    import numpy as np

    from napari_coldatoms.clouds.detect import detect
    from napari_coldatoms.clouds.gaussian import Gaussian2D

    shape = (128, 128)
    picture = np.random.default_rng(1).normal(0, 0.02, shape)
    picture += Gaussian2D(40.0, 45.0, 12.0, 8.0, 0.4, 1.0).image(shape)
    picture += Gaussian2D(90.0, 80.0, 10.0, 9.0, 0.0, 0.8).image(shape)
    picture[5:9, 100:110] = np.nan
    return len(detect(picture)) + len(detect(picture, axes="fixed", binning=2))


if __name__ == "__main__":
    use_all_kernels()
