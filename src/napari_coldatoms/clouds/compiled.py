"""The compiled kernels of clouds: whether they are there, and how to get them.

All of them together take about twenty seconds, see `kernels`.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_coldatoms import kernels
from napari_coldatoms.clouds import levenberg


def is_compiled() -> bool:
    """Return whether the kernels of the fit lie on disk, newer than their source."""
    return kernels.are_compiled([levenberg.minimise])


def compile_elsewhere(cancel: Callable[[], bool] | None = None) -> bool:
    """Compile the kernels in a process of their own, see `kernels.compile_elsewhere`."""
    return kernels.compile_elsewhere(__name__, cancel)


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
