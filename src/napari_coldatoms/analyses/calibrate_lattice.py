"""Calibrate the lattice in a stack of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_coldatoms.analyses.lattice_images import Images
from napari_coldatoms.lattice.calibrate import calibrate
from napari_coldatoms.lattice.learn_sites import learn_sites

if TYPE_CHECKING:
    import xarray as xr

    from napari_coldatoms.lattice.calibration import Calibration
    from napari_coldatoms.lattice.first_model import Arrangement, Extent
    from napari_coldatoms.lattice.geometry import Lattice


def calibrate_lattice(
    stack: xr.DataArray,
    *,
    guess: Lattice | Calibration | None = None,
    arrangement: Arrangement = "auto",
    extent: Extent = "as given",
    pairs: bool = False,
    sites: bool = False,
    offset: float = 0.0,
    gain: float = 1.0,
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    source: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Calibration:
    """Find lattice, point spread function and drift in the pictures of a stack.

    Parameters
    ----------
    stack : DataArray, dims ([shot,] [frame,] y, x)
        Pictures, or raw frames with several images of the same atoms in each shot.
    guess, arrangement, extent, read_noise, excess_noise
        See `napari_coldatoms.lattice.calibrate`.
    pairs : bool
        All frames of a shot show the same atoms, whatever role they have.
    sites : bool
        Learn the brightness and the threshold of each site, too.
    offset, gain : float
        Of the camera: offset (counts) and counts per photoelectron.
    source : str, optional
        Where the images are from; default the stack's ``attrs["source"]``.
    progress : callable, optional
        Called with (images done, all). What it raises ends the work.

    Returns
    -------
    Calibration
        In photoelectrons; in counts where offset and gain are left as they are.

    Raises
    ------
    StackError
        Where raw frames hold one image of atoms only.
    ValueError
        Where no sites are seen.
    """
    images = Images(stack, pairs=pairs, offset=offset, gain=gain)
    found = calibrate(
        images,
        guess=guess,
        arrangement=arrangement,
        extent=extent,
        read_noise=read_noise,
        excess_noise=excess_noise,
        source=str(stack.attrs.get("source") or "") if source is None else source,
        on_progress=progress,
    )
    if sites:
        found = learn_sites(found, images, read_noise=read_noise, excess_noise=excess_noise)
    return replace(found, offset=offset, gain=gain)
