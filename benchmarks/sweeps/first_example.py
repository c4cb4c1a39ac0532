"""The paper's first example: 4 px spacing, 3 px HWHM, every second site occupied, 14.8 dB.

Its Table 1 is not in the paper's text; these parameters give the signal-to-noise ratio and the
error rates that the text tells.
"""

from __future__ import annotations

import numpy as np

from napari_coldatoms.lattice import GaussianPSF, ImagingParameters, Lattice, Simulation, simulate

SPACING, HWHM = 4.0, 3.0  # px
PSF = GaussianPSF(HWHM)
IMAGING = ImagingParameters(
    occupancy=0.5, brightness=1000.0, brightness_sd=100.0, background=50.0, read_noise=2.0
)


def sites(side: int) -> tuple[Lattice, tuple[int, int]]:
    """Return side × side sites and the shape of a frame around them."""
    lattice = Lattice.square(SPACING, (side, side), origin=(10.3, 9.6))
    return lattice, lattice.frame_shape(12)


def image(lattice: Lattice, shape: tuple[int, int], seed: int, number: int) -> Simulation:
    """Return one of the images that belong to a seed."""
    return simulate(
        lattice,
        PSF,
        image_shape=shape,
        occupancy=IMAGING.occupancy,
        brightness=IMAGING.brightness,
        brightness_sd=IMAGING.brightness_sd,
        background=IMAGING.background,
        read_noise=IMAGING.read_noise,
        rng=np.random.default_rng([seed, number]),
    )
