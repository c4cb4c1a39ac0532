"""From an image to the occupation of every site."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.judging import Options, judge, prepare
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.preparation import Background, BadPixels
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.snr import Method


def reconstruct(
    image: ArrayLike,
    lattice: Lattice,
    psf: PSF,
    *,
    method: Method = "alternating",
    background: Background = "auto",
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    parameters: ImagingParameters | None = None,
    bad_pixels: BadPixels = "auto",
    misfit: Literal["auto"] | None = "auto",
) -> Reconstruction:
    """Judge every site of a lattice in one image.

    For many images of one lattice make a `Reconstructor`, which keeps what they share.

    Parameters
    ----------
    image : (y, x) array or DataArray
        Counts.
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    method, background, read_noise, excess_noise, parameters, bad_pixels, misfit
        See `Reconstructor.reconstruct`.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ValueError
        See `Reconstructor.reconstruct`.
    """
    shape = np.shape(image)
    if len(shape) != 2:
        raise ValueError(f"expected an image of shape (y, x), found shape {shape}")
    return Reconstructor(lattice, psf, image_shape=(shape[0], shape[1])).reconstruct(
        image,
        method=method,
        background=background,
        read_noise=read_noise,
        excess_noise=excess_noise,
        parameters=parameters,
        bad_pixels=bad_pixels,
        misfit=misfit,
    )


class Reconstructor:
    """Reconstructs images of one lattice; keeps all that depends on the geometry alone.

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    image_shape : (int, int)
        Rows and columns of the images.
    relative_brightness : (n,) array, optional
        Brightness of each site relative to the mean: a brightness map.

    Raises
    ------
    ValueError
        If no site is in the frame.
    """

    def __init__(
        self,
        lattice: Lattice,
        psf: PSF,
        *,
        image_shape: tuple[int, int],
        relative_brightness: ArrayLike | None = None,
    ) -> None:
        self._setup = Setup(lattice, psf, image_shape, relative_brightness)
        self.lattice = lattice
        self.psf = psf
        self.image_shape = self._setup.image_shape

    def reconstruct(
        self,
        image: ArrayLike,
        *,
        method: Method = "alternating",
        background: Background = "auto",
        read_noise: float = 0.0,
        excess_noise: float = 1.0,
        parameters: ImagingParameters | None = None,
        bad_pixels: BadPixels = "auto",
        misfit: Literal["auto"] | None = "auto",
    ) -> Reconstruction:
        """Judge every site in one image.

        Parameters
        ----------
        image : (y, x) array or DataArray
            Counts. Pixels that are not finite are left out.
        method : {"alternating", "local", "global", "deconvolution"}
            The estimator; the first is the most accurate, the others are faster.
        background : "auto", float or (y, x) array
            Counts per pixel without light of the sites. "auto" takes it from the parameters, if
            there are any, and otherwise finds a smooth map.
        read_noise : float
            Standard deviation of the camera's read noise, in counts.
        excess_noise : float
            Factor on the variance of the shot noise, 2 for a camera with electron multiplication.
        parameters : ImagingParameters, optional
            What is known of brightness, occupancy, background and camera; its read noise and
            excess noise replace the arguments. By default all is found in the image.
        bad_pixels : "auto", None or (y, x) bool array
            Pixels to leave out. "auto" finds hot and dead pixels and cosmic hits.
        misfit : "auto" or None
            "auto" adjusts the lattice's place, by a fraction of a site, and the PSF's width to the
            image, for "alternating" and "local" where no imaging parameters are given.

        Returns
        -------
        Reconstruction

        Raises
        ------
        ValueError
            If the image has another shape or no finite pixel, a parameter is out of its range, or
            fewer than four sites are in the frame and no parameters are given.
        TypeError
            If the mask of bad pixels is not boolean.
        """
        options = Options(
            method, background, read_noise, excess_noise, parameters, bad_pixels, misfit
        )
        return judge(self._setup, prepare(self._setup, image, options), options)
