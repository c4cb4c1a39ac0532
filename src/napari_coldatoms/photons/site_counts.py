"""Photon counts of single sites, from a stack of camera pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.photons.camera_gain import CameraGain
from napari_coldatoms.photons.histogram import FloatArray, IntArray
from napari_coldatoms.photons.remarks import tell
from napari_coldatoms.photons.site_background import region_pixels, ring_pixels
from napari_coldatoms.photons.site_sums import SiteSums
from napari_coldatoms.photons.site_weights import given_weights, learnt_weights
from napari_coldatoms.photons.stack_pixels import stack_pixels

if TYPE_CHECKING:
    import pandas as pd

    from napari_coldatoms.images.regions import Regions

_ROUNDING_VARIANCE = 1 / 12
_MUCH_ROUNDING = 0.05  # of the variance
_MANY_CLIPPED = 0.01  # of the shots


@dataclass(frozen=True, eq=False)
class SiteCounts:
    """Counts of each site in each shot.

    Attributes
    ----------
    counts : (sites, shots)
        Photons where a camera was given, else the camera's counts; background taken off. Not
        rounded, and negative where noise leads there. NaN where a pixel is NaN.
    regions : Regions
        The sites and their pixels.
    weights : tuple of (k,) arrays
        By what each site's pixels, in the order of ``regions.pixels``, are multiplied.
    background : (sites, shots)
        What was taken off each pixel, in the unit of the counts.
    unit : str
        ``"photons"`` or ``"counts"``.
    shot_values : mapping
        Scan parameters and the like by name, (shots,) each; `units` has their units.
    remarks : tuple of str
        Doubts.
    """

    counts: FloatArray
    regions: Regions
    weights: tuple[FloatArray, ...]
    background: FloatArray
    unit: str
    shot_values: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def positions(self) -> FloatArray:
        """The place (y, x) of each site in pixels, (sites, 2)."""
        return self.regions.positions

    @property
    def pixels(self) -> IntArray:
        """Number of pixels of each site, (sites,)."""
        return self.regions.sizes

    @property
    def numbers(self) -> IntArray:
        """Which region each site is: its label, or its index among shapes, points, masks."""
        return self.regions.numbers

    def table(self) -> pd.DataFrame:
        """Return a tidy table: one row per site and shot, with the scan parameters of the shot.

        ``attrs["units"]`` has the units of the columns.
        """
        import pandas as pd

        sites, shots = self.counts.shape
        columns: dict[str, Any] = {
            "site": np.repeat(self.numbers, shots),
            "shot": np.tile(np.arange(shots), sites),
            "counts": self.counts.ravel(),
        }
        units = {"counts": self.unit}
        for name, values in self.shot_values.items():
            # a dim's own coordinate must not hide the place along it
            column = f"{name}_value" if name in ("site", "shot", "counts") else name
            columns[column] = np.tile(values, sites)
            if name in self.units:
                units[column] = self.units[name]
        table = pd.DataFrame(columns)
        table.attrs = {"units": units}
        return table

    def whole(self, site: int | None = None) -> IntArray:
        """Return whole counts for the statistics of photons.

        They are rounded to the nearest whole number; what is negative becomes 0. A `FitWarning`
        tells where that changes the statistics: where many shots were negative, or the counts
        scatter so little that the variance of rounding, 1/12, matters.

        Parameters
        ----------
        site : int, optional
            Index of a site, from 0 on. Its shots without a value (NaN) are left out.

        Returns
        -------
        (sites, shots) int, or (shots,) of one site

        Raises
        ------
        ValueError
            If shots without a value are among those of all sites.
        """
        values = self.counts if site is None else self.counts[site]
        missing = np.isnan(values)
        if missing.any():
            if site is None:
                raise ValueError(
                    f"expected a value for all sites in all shots, found {missing.sum()} without: "
                    "ask for one site at a time"
                )
            values = values[~missing]
        # adding 0.5 instead of rounding to even, which would prefer even counts
        rounded = np.maximum(np.floor(values + 0.5), 0.0).astype(np.int64)
        tell(_of_rounding(np.atleast_2d(values), self.unit))
        return rounded


def counts_from_stack(
    stack: Any,
    regions: Any,
    *,
    weights: Literal["learn"] | Sequence[ArrayLike] | ArrayLike | None = None,
    background: Any = None,
    camera: CameraGain | None = None,
    size: float | None = None,
    share_weights: bool = False,
    ring: tuple[float, float] = (1.0, 2.0),
) -> SiteCounts:
    """Count the light of each site in each shot of a stack.

    Lazy stacks are read block by block; with learnt weights twice.

    Parameters
    ----------
    stack : DataArray or array
        Dims ([shot,] y, x), see the image model; or a numpy or dask array (shots, y, x).
    regions : layer, Regions or array
        The sites: a napari layer of Shapes, Points or Labels, a label image, masks, polygons or
        centres; see `napari_coldatoms.images.region_masks`.
    weights : "learn" or array or sequence of arrays, optional
        None sums the pixels (times the values of masks). ``"learn"`` finds the linear weights that
        tell bright from dark shots best, from the stack itself, see `learn_weights`; scaled so that
        bright and dark shots differ by as much as in the plain sum, so that counts stay counts,
        but their noise is no longer that of a Poisson process: use them for thresholds, and for
        fits with controls that were counted by the same weights. Where a stack does not tell
        bright from dark, or has fewer than 40 shots, the sum stays plain, with a remark. An array
        gives the weights: (y, x) or (sites, y, x), or one array (k,) per site, such as the
        `SiteCounts.weights` of another stack.
    background : number, "ring", layer, Regions or array, optional
        What is taken off each pixel: a number in the unit of the result (photons where there is a
        camera, after its offset); or the mean of a region in each shot; or with ``"ring"`` of the
        pixels around each site that belong to no site. A mean of m pixels with the noise σ each
        adds the variance ``(Σw)² σ² / m`` to counts: as much as that of the site's own
        background where the region has as many pixels as the site; and counts whose background
        was taken off are not Poissonian.
    camera : CameraGain, optional
        Turns counts into photons.
    size : float, optional
        Diameter of the discs around plain centres, in pixels.
    share_weights : bool
        Whether one set of weights is learnt from all sites together, whose pixels must lie alike.
    ring : (float, float)
        Gap between a site and its ring, and the ring's width, in pixels.

    Returns
    -------
    SiteCounts

    Raises
    ------
    ValueError
        If the stack is none of pictures, if a region is empty or outside the image, or if weights
        or background do not suit them.

    Warns
    -----
    FitWarning
        Of each remark.
    """
    from napari_coldatoms.images.regions import region_masks  # takes a second

    source = stack_pixels(stack)
    image = source.shape if source.stack is None else source.stack
    sites = region_masks(regions, image, size=size)
    around, level = _background(background, sites, image, ring)
    parts = SiteSums(sites.pixels, around)
    remarks: list[str] = []
    if weights is None:
        used = sites.values
    elif isinstance(weights, str):
        if weights != "learn":
            raise ValueError(f"expected weights 'learn' or an array, found {weights!r}")
        used, remarks = learnt_weights(source, sites, parts, share=share_weights)
    else:
        used = given_weights(weights, sites)
    sums, means, saturated = parts.sums(source, used)
    gain = camera or CameraGain()
    if around:
        means = gain.photons(means)
    else:
        means = np.full(sums.shape, level)
    total = np.array([values.sum() for values in used])[:, None]
    counts = (sums - gain.offset * total) * gain.photons_per_count - means * total
    remarks = [*_doubts(sites, counts, saturated, camera), *remarks]
    tell(remarks)
    return SiteCounts(
        counts,
        sites,
        tuple(used),
        means,
        "counts" if camera is None else "photons",
        source.shot_values,
        source.units,
        tuple(remarks),
    )


def _background(
    background: Any, sites: Regions, image: Any, ring: tuple[float, float]
) -> tuple[tuple[IntArray, ...], float]:
    """Return the pixels whose mean is the background, none where it is a number."""
    if background is None:
        return (), 0.0
    if isinstance(background, str):
        if background != "ring":
            raise ValueError(
                f"expected the background 'ring', a region or a number, found {background!r}"
            )
        return ring_pixels(sites, *ring), 0.0
    if isinstance(background, Real):
        if not math.isfinite(background):
            raise ValueError(f"expected a finite background, found {background}")
        return (), float(background)
    return region_pixels(background, image), 0.0


def _doubts(
    sites: Regions, counts: FloatArray, saturated: int, camera: CameraGain | None
) -> list[str]:
    remarks = []
    if sites.clipped:
        names = ", ".join(sites.clipped[:5]) + (", ..." if len(sites.clipped) > 5 else "")
        remarks.append(f"the image's edge cuts off {names}: the pixels inside are counted")
    missing = int(np.isnan(counts).sum())
    if missing:
        remarks.append(f"{missing} of {counts.size} counts are NaN, as pixels of theirs are")
    if saturated:
        remarks.append(
            f"{saturated} of {counts.shape[1]} shots have saturated pixels in a site: more light "
            "than is counted"
        )
    if camera is not None and camera.em_gain > 1:
        remarks.append(
            f"electron multiplication makes the variance {camera.excess_noise:.2g} times that of "
            "photons, so that likelihoods of Poisson counts do not hold: fit with controls taken "
            "by the same camera (event based), or multiply distributions by camera.kernel(...)"
        )
    return remarks


def _of_rounding(values: FloatArray, unit: str) -> list[str]:
    """Return what rounding and clipping do to the counts (sites, shots)."""
    remarks = []
    negative = float((values < -0.5).mean()) if values.size else 0.0
    if negative > _MANY_CLIPPED:
        remarks.append(
            f"{100 * negative:.2g} % of the {unit} were negative and became 0, which raises the "
            "mean: keep the background in (background=None) where numbers of photons are fitted"
        )
    fractional = bool((values != np.rint(values)).any())
    scatter = float(values.var(axis=1).min()) if values.shape[1] > 1 else math.inf
    if fractional and scatter * _MUCH_ROUNDING < _ROUNDING_VARIANCE:
        remarks.append(
            f"rounding to whole {unit} matters: it adds 1/12 to a variance of {scatter:.2g}"
        )
    return remarks
