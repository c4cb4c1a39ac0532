"""The compiled kernels of lattices: whether they are there, and how to get them.

All of them together take the better part of a minute, which is better spent before someone waits
for the first result, see `kernels`.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_coldatoms import kernels

_LATTICE = (
    "clusters",
    "defects",
    "discs",
    "linear",
    "neighbours",
    "optics",
    "overlaps",
    "projection",
    "psf_variations",
    "shot",
)
_STATISTICS = ("binned", "cholesky", "likelihood", "starts")
MODULES = (
    *(f"napari_coldatoms.lattice.{name}" for name in _LATTICE),
    *(f"napari_coldatoms.statistics.{name}" for name in _STATISTICS),
)
"""The modules that have kernels."""


def is_compiled() -> bool:
    """Return whether all kernels lie on disk, newer than their source."""
    return kernels.modules_are_compiled(MODULES)


def compile_elsewhere(cancel: Callable[[], bool] | None = None) -> bool:
    """Compile the kernels in a process of their own, see `kernels.compile_elsewhere`."""
    return kernels.compile_elsewhere(__name__, cancel)


def use_all_kernels() -> None:
    """Use every kernel once, on small images."""
    from napari_coldatoms.lattice.geometry import Lattice
    from napari_coldatoms.lattice.pairs import compare
    from napari_coldatoms.lattice.phase import PhaseFinder
    from napari_coldatoms.lattice.projection import projection
    from napari_coldatoms.lattice.psf import GaussianPSF
    from napari_coldatoms.lattice.psf_fit import measure_psf
    from napari_coldatoms.lattice.reconstruct import Reconstructor
    from napari_coldatoms.lattice.simulate import simulate

    lattice, psf, shape = Lattice.square(4.0, (12, 12)), GaussianPSF(2.4), (68, 68)
    images = [
        simulate(
            lattice,
            psf,
            image_shape=shape,
            occupancy=0.5,
            brightness=1000.0,
            brightness_sd=100.0,
            background=50.0,
            read_noise=2.0,
            rng=seed,
        ).image
        for seed in (0, 1)
    ]
    reconstructor = Reconstructor(lattice, psf, image_shape=shape)
    for method in ("alternating", "deconvolution"):
        reconstructor.reconstruct(images[0], method=method)
    results = reconstructor.reconstruct_stack(images, joint_mixture=True, brightness_map="learn")
    compare(results[0], results[1], lattice)
    finder = PhaseFinder(lattice, psf, shape)
    _, fit = finder.fit(finder.shot(images[0]))
    if fit is not None:
        measure_psf([fit], finder.setup.lattice, psf)
    projection(lattice, psf, shape)


if __name__ == "__main__":
    use_all_kernels()
