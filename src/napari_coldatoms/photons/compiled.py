"""The compiled kernels of photon counts: whether they are there, and how to get them.

See `kernels`: compiling them takes half a minute, which is better spent before someone waits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

from napari_coldatoms import kernels

_NAMES = (
    "chain_derivatives",
    "control_kernels",
    "effective_fit",
    "goodness",
    "interior_point",
    "least_squares",
    "likelihoods",
    "quadrature",
    "scoring",
    "small_arrays",
    "uniformisation",
)
MODULES = (
    *(f"napari_coldatoms.photons.{name}" for name in _NAMES),
    "napari_coldatoms.statistics.bootstrap",
    "napari_coldatoms.statistics.cholesky",
)
"""The modules that have kernels."""


def is_compiled() -> bool:
    """Return whether all kernels lie on disk, newer than their source."""
    return kernels.modules_are_compiled(MODULES)


def compile_elsewhere(cancel: Callable[[], bool] | None = None) -> bool:
    """Compile the kernels in a process of their own, see `kernels.compile_elsewhere`."""
    return kernels.compile_elsewhere(__name__, cancel)


def use_all_kernels() -> None:
    """Use every kernel once, on few shots."""
    from napari_coldatoms.photons.bootstrap import bootstrap
    from napari_coldatoms.photons.controls import fit_controls
    from napari_coldatoms.photons.fit import fit_atom_numbers
    from napari_coldatoms.photons.likelihoods import effective_log_likelihood
    from napari_coldatoms.photons.loss_model import LossModel
    from napari_coldatoms.photons.remarks import FitWarning
    from napari_coldatoms.photons.simulate import PAPER_MODEL, simulate_controls

    controls = simulate_controls(PAPER_MODEL, 400, single_atom_loss=0.03, rng=1)
    sample = PAPER_MODEL.sample([0, 1, 2] * 50, rng=2)
    PAPER_MODEL.distribution(60, method="uniformisation")
    PAPER_MODEL.transitions(60)
    effective_log_likelihood([3.0], [2.0], [0.5])
    for method in ("steps", "joint"):
        fitted = fit_controls(controls, PAPER_MODEL.exposure, method=method)
        bootstrap(sample, fitted, resamples=4, rng=3)
    bootstrap(sample, fitted, likelihood="effective", resamples=4, rng=3)
    fit_atom_numbers(sample, fitted, likelihood="least-squares")
    several = LossModel((1.0, 9.0, 17.0, 24.0), {(2, 1): 0.5, (3, 2): 0.5, (3, 1): 0.2}, 1.0)
    controls = simulate_controls(several, 800, rng=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fitted = fit_controls(controls, 1.0, brightness_sd="fit")
    bootstrap(several.sample([0, 1, 2, 3] * 20, rng=5), fitted, resamples=2, rng=6)


if __name__ == "__main__":
    use_all_kernels()
