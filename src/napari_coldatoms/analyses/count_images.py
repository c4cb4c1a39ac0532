"""Sites in pictures: count their light, and tell which of them hold an atom."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr

from napari_coldatoms.analyses.counted_sites import SiteResult, count_sites
from napari_coldatoms.analyses.lattice_images import frames_of_atoms
from napari_coldatoms.backend.analysis import check
from napari_coldatoms.images.stack import StackError, is_raw
from napari_coldatoms.photons.camera_gain import CameraGain
from napari_coldatoms.photons.histogram import CountsByAtomNumber
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.site_counts import SiteCounts, counts_from_stack
from napari_coldatoms.readers.errors import ReadError, describe_content

LABEL_SUFFIXES = (".tif", ".tiff", ".npy")
"""Suffixes of label images."""


@dataclass(frozen=True)
class CountSites:
    """Count the light of sites in pictures, and tell by thresholds which of them hold an atom."""

    name: ClassVar[str] = "count_sites"
    thing: ClassVar[str] = "site"

    weights: Annotated[
        Literal["sum", "learnt"],
        {
            "tooltip": "'sum': the pixels of a site are added up; 'learnt': by weights that tell "
            "bright from dark pictures best, learnt from these"
        },
    ] = "sum"
    background: Annotated[
        Literal["none", "ring"],
        {"tooltip": "'ring': the mean of the pixels around each site is taken off"},
    ] = "none"
    images: Annotated[
        int,
        {
            "min": 1,
            "max": 1000,
            "label": "images of a shot",
            "tooltip": "so many pictures in a row show the same atoms; survival is told from the "
            "first to the second. Of raw frames all that show atoms are taken",
        },
    ] = 1
    offset: Annotated[
        float, {"min": -1e6, "max": 1e6, "tooltip": "of the camera: counts without light"}
    ] = field(default=0.0, metadata={"advanced": True})
    sensitivity: Annotated[
        float, {"min": 1e-6, "max": 1e6, "tooltip": "of the camera: electrons for each count"}
    ] = field(default=1.0, metadata={"advanced": True})
    em_gain: Annotated[
        float, {"min": 1.0, "max": 1e6, "tooltip": "of the camera: its electron multiplication"}
    ] = field(default=1.0, metadata={"advanced": True})
    quantum_efficiency: Annotated[
        float,
        {"min": 0.001, "max": 1.0, "tooltip": "of the camera: electrons for each photon"},
    ] = field(default=1.0, metadata={"advanced": True})

    def __post_init__(self) -> None:
        check(self)

    @property
    def camera(self) -> CameraGain | None:
        """What turns counts into photons; None where nothing is known of the camera."""
        gain = CameraGain(self.offset, self.sensitivity, self.em_gain, self.quantum_efficiency)
        return None if gain == CameraGain() else gain

    def count(
        self,
        stack: xr.DataArray,
        regions: Any,
        *,
        controls: CountsByAtomNumber | None = None,
        level: float = 0.68,
    ) -> SiteResult:
        """Count the light of each site in each picture, and find thresholds.

        Parameters
        ----------
        stack : DataArray, dims ([shot,] [frame,] y, x)
        regions : Regions, layer or array
            The sites, see `images.region_masks`.
        controls : sequence or mapping, optional
            Counts of shots with known atom number that tell the threshold of all sites; by default
            each site has its own, see `count_sites`.
        level : float
            Confidence of the intervals.

        Returns
        -------
        SiteResult
            Its doubts are in its `remarks`; nothing is warned of.

        Raises
        ------
        ValueError
            As `photons.counts_from_stack` and `count_sites`.
        """
        pictures, images = pictures_of(stack, self.images)
        counts = self.counts(pictures, regions)
        return count_sites(counts, images=images, model_or_controls=controls, level=level)

    def counts(self, pictures: xr.DataArray, regions: Any) -> SiteCounts:
        """Return the counts of each site in each picture, without a warning."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            return counts_from_stack(
                pictures,
                regions,
                weights="learn" if self.weights == "learnt" else None,
                background="ring" if self.background == "ring" else None,
                camera=self.camera,
            )


def pictures_of(stack: xr.DataArray, images: int = 1) -> tuple[xr.DataArray, int]:
    """Return pictures one after the other, and how many of them in a row show the same atoms.

    Parameters
    ----------
    stack : DataArray, dims ([shot,] [frame,] y, x)
        Of raw frames those that show atoms are taken; the pictures of a shot follow each other,
        with the scan parameters of their shot.
    images : int
        The number where the stack has pictures.

    Raises
    ------
    StackError
        Where raw frames show no atoms.
    """
    if not is_raw(stack):
        return stack, images
    frames = frames_of_atoms(stack) or frames_of_atoms(stack, pairs=True)
    if not frames:
        raise StackError("expected frames that show atoms, found none")
    chosen = stack.isel(frame=frames).drop_vars("frame")
    if "shot" not in chosen.dims:
        return chosen.rename(frame="shot"), len(frames)
    chosen = chosen.transpose("shot", "frame", "y", "x")
    coords: dict[str, Any] = {}
    for name, coord in chosen.coords.items():
        if coord.dims == ("shot",):
            coords[str(name)] = ("shot", np.repeat(coord.values, len(frames)), coord.attrs)
        elif coord.dims in ((), ("y",), ("x",)):
            coords[str(name)] = coord
    data = chosen.data.reshape(-1, *chosen.shape[-2:])
    flat = xr.DataArray(data, dims=("shot", "y", "x"), coords=coords, attrs=stack.attrs)
    return flat, len(frames)


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label image: whole numbers (y, x), 0 where there is no site.

    Raises
    ------
    ReadError
        Where the file holds no such image.
    """
    path = Path(path)
    expected = "a label image (y, x) of whole numbers (*.tif, *.npy)"
    if not path.is_file():
        raise ReadError(path, expected, "nothing of this name")
    if path.suffix.lower() not in LABEL_SUFFIXES:
        raise ReadError(path, expected, describe_content(path))
    try:
        if path.suffix.lower() == ".npy":
            image = np.load(path, allow_pickle=False)
        else:
            import tifffile

            image = tifffile.imread(path)
    except Exception as error:
        # libraries raise anything over damaged files
        raise ReadError(path, expected, describe_content(path)) from error
    image = np.squeeze(np.asarray(image))
    if image.ndim != 2 or image.dtype.kind not in "biu":
        raise ReadError(path, expected, f"values of type {image.dtype} and shape {image.shape}")
    return image
