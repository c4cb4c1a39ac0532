"""Samples of lattices and tweezer arrays: fluorescence pictures of single atoms.

Their truth holds the lattice (``vectors_px``, ``origin_px``, ``shape``, or ``positions_px``), the
``hwhm_px`` of the Gaussian PSF, the imaging parameters in counts as in `ImagingParameters`, and for
each image the place of the lattice ``offset_px`` (y, x) and the sites that are ``occupied``. A
single picture has these without the outer list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xarray import DataArray

from napari_coldatoms.images.stack import make_stack, to_layer
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.hops import nearest_neighbours
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.psf import GaussianPSF
from napari_coldatoms.lattice.simulate import simulate
from napari_coldatoms.readers.layers import contrast_limits

if TYPE_CHECKING:
    from napari.types import LayerData

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_SPACING = 0.532  # um, of a lattice of light of 1064 nm


def lattice_image() -> DataArray:
    """Return one image of 50 × 50 sites, half of them occupied, that are not resolved (14.8 dB).

    A picture, dims (y, x), pixels of 0.133 um: the spacing is 4 px, the PSF's half width at half
    maximum 3 px.
    """
    sites = Lattice.square(4.0, (50, 50))
    light = ImagingParameters(0.5, 1000, 100, 50, read_noise=2)
    rng = np.random.default_rng(20250211)
    return _pictures("lattice", sites, 3.0, light, [rng.random(len(sites)) < 0.5], rng)[0]


def triangular_lattice() -> DataArray:
    """Return six shots of a round gas in a triangular lattice that is turned by 7°.

    Pictures, dims (shot, y, x), pixels of 0.106 um: the spacing is 5 px, the PSF's half width at
    half maximum 3.3 px. The lattice moves by some 0.1 px from shot to shot.
    """
    whole = Lattice.triangular(5.0, (61, 61), origin=(0, 0), angle=math.radians(7))
    whole = whole.shift(110 - whole.positions.mean(axis=0))
    y, x = whole.positions.T - 110
    sites = whole.select(np.hypot(y, x) < 92)
    rng = np.random.default_rng(20250212)
    light = ImagingParameters(0.45, 1000, 100, 40, read_noise=2)
    occupied = rng.random((6, len(sites))) < light.occupancy
    offsets = rng.normal(0, 0.1, (6, 2))
    return _pictures("triangular lattice", sites, 3.3, light, occupied, rng, offsets, (221, 221))


def tweezer_array() -> DataArray:
    """Return 24 shots of 45 tweezers in rings, whose positions follow no lattice.

    Pictures, dims (shot, y, x), pixels of 0.5 um: the tweezers are 9 px apart or more, the PSF's
    half width at half maximum is 2 px. Their brightnesses scatter by 8 %.
    """
    rng = np.random.default_rng(20250213)
    rings = [(1, 0.0), (8, 14.0), (14, 27.0), (22, 40.0)]
    angles = [2 * np.pi * (np.arange(n) + 0.3 * n) / n for n, _ in rings]
    places = [
        radius * np.column_stack([np.sin(angle), np.cos(angle)])
        for (_, radius), angle in zip(rings, angles, strict=True)
    ]
    sites = Lattice.from_positions(54 + np.concatenate(places) + rng.uniform(-0.6, 0.6, (45, 2)))
    light = ImagingParameters(0.55, 400, 40, 15, read_noise=2)
    occupied = rng.random((24, len(sites))) < light.occupancy
    relative = rng.normal(1.0, 0.08, len(sites))
    return _pictures(
        "tweezers",
        sites,
        2.0,
        light,
        occupied,
        rng,
        rng.normal(0, 0.08, (24, 2)),
        (109, 109),
        pixel_size=0.5,
        relative=relative,
    )


def drifting_lattice() -> DataArray:
    """Return 20 shots of a lattice that drifts by some 3 px; one of them is empty.

    Pictures, dims (shot, y, x) with the coordinate ``time`` (s) along shot, pixels of 0.133 um: the
    spacing is 4 px, the PSF's half width at half maximum 2.8 px. From shot to shot the lattice
    jumps by 0.06 px beside its drift. The truth names the ``empty`` shot.
    """
    sites = Lattice.square(4.0, (40, 40), origin=(14, 16), angle=0.01)
    rng = np.random.default_rng(20250214)
    light = ImagingParameters(0.5, 1000, 100, 50, read_noise=2)
    part = np.linspace(0, 1, 20)
    drift = np.column_stack([3 * part**2, -1.6 * np.sin(0.5 * np.pi * part)])
    occupied = rng.random((20, len(sites))) < light.occupancy
    occupied[12] = False
    stack = _pictures(
        "drifting lattice",
        sites,
        2.8,
        light,
        occupied,
        rng,
        drift + rng.normal(0, 0.06, (20, 2)),
        (186, 188),
        coords={"time": ("shot", 30.0 * np.arange(20), {"units": "s"})},
    )
    stack.attrs["truth"]["empty"] = 12
    return stack


def survival_pair() -> DataArray:
    """Return eight shots with two images each of the same atoms in a square lattice.

    Raw frames, dims (shot, frame, y, x), both with the role ``fluorescence``, pixels of 0.133 um.
    Between the images an atom stays with a probability of 0.95, hops to a nearest neighbour with
    0.02, unless all are taken, and is lost otherwise. The truth has these as ``survival`` and
    ``hopping``, and offsets and occupations of both images of each shot.
    """
    sites = Lattice.square(4.0, (40, 40))
    rng = np.random.default_rng(20250215)
    light = ImagingParameters(0.4, 1000, 100, 50, read_noise=2)
    occupied = [
        image
        for first in rng.random((8, len(sites))) < light.occupancy
        for image in (first, _later(first, sites, 0.95, 0.02, rng))
    ]
    drift = np.repeat(rng.normal(0, 0.1, (8, 2)), 2, axis=0)
    offsets = drift + rng.normal(0, 0.02, (16, 2))
    flat = _pictures("survival", sites, 2.8, light, occupied, rng, offsets)
    truth = flat.attrs["truth"]
    truth |= {"survival": 0.95, "hopping": 0.02}
    for name in ("offset_px", "occupied"):
        truth[name] = [truth[name][k : k + 2] for k in range(0, 16, 2)]
    return make_stack(
        flat.to_numpy().reshape(8, 2, *flat.shape[-2:]),
        roles=["fluorescence", "fluorescence"],
        name="survival pairs",
        pixel_size=_SPACING / 4,
        attrs={**flat.attrs, "kind": "counts"},
    )


def lattice_image_layers() -> list[LayerData]:
    """Return `lattice_image` as a napari layer."""
    return _layers(lattice_image())


def triangular_lattice_layers() -> list[LayerData]:
    """Return `triangular_lattice` as a napari layer."""
    return _layers(triangular_lattice())


def tweezer_array_layers() -> list[LayerData]:
    """Return `tweezer_array` as a napari layer."""
    return _layers(tweezer_array())


def drifting_lattice_layers() -> list[LayerData]:
    """Return `drifting_lattice` as a napari layer."""
    return _layers(drifting_lattice())


def survival_pair_layers() -> list[LayerData]:
    """Return `survival_pair` as a napari layer, with both images of each shot."""
    return _layers(survival_pair())


def _layers(stack: DataArray) -> list[LayerData]:
    return [to_layer(stack, colormap="magma", contrast_limits=contrast_limits(stack))]


def _later(
    first: BoolArray, sites: Lattice, survival: float, hopping: float, rng: np.random.Generator
) -> BoolArray:
    """Return the occupation after some atoms hopped to an empty neighbour or were lost."""
    starts, ends = nearest_neighbours(sites)
    later = first.copy()
    fate = rng.random(len(first))
    for site in np.flatnonzero(first & (fate >= survival)):
        later[site] = False
        # empty before as well, so that no two atoms exchange their sites
        free = [k for k in ends[starts == site] if not first[k] and not later[k]]
        if fate[site] < survival + hopping and free:
            later[rng.choice(free)] = True
    return later


def _pictures(
    name: str,
    sites: Lattice,
    hwhm: float,
    light: ImagingParameters,
    occupied: Iterable[BoolArray],
    rng: np.random.Generator,
    offsets: FloatArray | None = None,
    image_shape: tuple[int, int] | None = None,
    *,
    pixel_size: float | None = None,
    relative: FloatArray | None = None,
    coords: dict[str, Any] | None = None,
) -> DataArray:
    """Return pictures of the sites, dims (shot, y, x), and their truth."""
    shots = list(occupied)
    offsets = np.zeros((len(shots), 2)) if offsets is None else offsets
    # as far from the last sites as the first ones are from the frame's border
    shape = image_shape or sites.frame_shape(float(sites.positions.min()))
    psf = GaussianPSF(hwhm)
    brightness = light.brightness * (np.ones(len(sites)) if relative is None else relative)
    images = [
        simulate(
            sites.shift(offset),
            psf,
            image_shape=shape,
            occupancy=present,
            brightness=brightness,
            brightness_sd=light.brightness_sd,
            background=light.background,
            read_noise=light.read_noise,
            rng=rng,
        ).image
        for present, offset in zip(shots, offsets, strict=True)
    ]
    truth: dict[str, Any] = {"positions_px": sites.positions.tolist()}
    if sites.vectors is not None:
        assert sites.origin is not None
        assert sites.shape is not None
        truth |= {
            "vectors_px": sites.vectors.tolist(),
            "origin_px": list(sites.origin),
            "shape": list(sites.shape),
        }
        pixel_size = _SPACING / float(np.linalg.norm(sites.vectors[1]))
    if relative is not None:
        truth["relative_brightness"] = relative.tolist()
    truth |= {
        "hwhm_px": hwhm,
        "occupancy": light.occupancy,
        "brightness": light.brightness,
        "brightness_sd": light.brightness_sd,
        "background": light.background,
        "read_noise": light.read_noise,
        "offset_px": offsets.tolist(),
        "occupied": [present.tolist() for present in shots],
    }
    counts = np.clip(np.rint(images), 0, 65535).astype(np.uint16)
    return make_stack(
        counts,
        name=name,
        pixel_size=pixel_size,
        coords=coords,
        attrs={"kind": "fluorescence", "saturation": 65535.0, "truth": truth},
    )
