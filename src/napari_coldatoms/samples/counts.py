"""Samples of photon counts: of a counter on one tweezer, and of a row of tweezers on a camera."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xarray import DataArray

from napari_coldatoms.images.stack import make_stack, to_layer
from napari_coldatoms.photons.camera_gain import CameraGain
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.readers.layers import contrast_limits

if TYPE_CHECKING:
    from napari.types import LayerData

IntArray = NDArray[np.int64]

# of the row of tweezers
_SHAPE = (9, 40)
_BOX = 5  # px, each side of a region
_PIXEL = 0.6  # um
_SHOTS = 400


@dataclass(frozen=True, eq=False)
class CountSample:
    """Simulated counts of control shots and of a sample, and what went in.

    Attributes
    ----------
    prepared : (control shots,) int
        Number of atoms that were prepared in each control shot, in the order of the shots.
    control_counts : (control shots,) int
        Counts of these shots.
    sample : (shots,) int
        Counts of shots with unknown atom numbers.
    exposure : float
        s.
    truth : dict
        ``probabilities`` of 0, 1 and 2 atoms in the sample, ``rates`` and ``losses`` per second,
        and ``single_atom_loss``, the probability that an atom of a control was lost before.
    """

    prepared: IntArray
    control_counts: IntArray
    sample: IntArray
    exposure: float
    truth: dict[str, Any]

    @property
    def controls(self) -> dict[int, IntArray]:
        """Counts of the control shots, by their number of atoms."""
        return {
            int(atoms): self.control_counts[self.prepared == atoms]
            for atoms in np.unique(self.prepared)
        }


def photon_counts() -> CountSample:
    """Return counts of 2000 control shots with 0, 1 and 2 atoms, and of a sample of 1000 shots.

    The setting is that of Weyland et al. 2025, arXiv:2412.17434: mean counts 1, 15 and 29, pairs of
    atoms that are lost within the exposure, and 2.9 % of the atoms of the controls lost before. The
    sample has 30, 30 and 40 % of shots with 0, 1 and 2 atoms.
    """
    rng = np.random.default_rng(20250217)
    probabilities = [0.3, 0.3, 0.4]
    controls = simulate_controls(PAPER_MODEL, 2000, single_atom_loss=PAPER_LOSS, rng=rng)
    order = rng.permutation(sum(len(counts) for counts in controls))
    sizes = [len(counts) for counts in controls]
    return CountSample(
        prepared=np.repeat(np.arange(len(controls)), sizes)[order],
        control_counts=np.concatenate(controls)[order],
        sample=simulate_mixture(PAPER_MODEL, probabilities, 1000, rng=rng).counts,
        exposure=PAPER_MODEL.exposure,
        truth={
            "probabilities": probabilities,
            "rates": list(PAPER_MODEL.rates),
            "losses": dict(PAPER_MODEL.losses),
            "single_atom_loss": PAPER_LOSS,
        },
    )


def photon_count_files(folder: str | Path) -> tuple[Path, Path]:
    """Write `photon_counts` as ``controls.csv`` and ``sample.csv`` into a folder.

    The first has the columns atoms (as prepared) and counts, the second counts alone. The folder is
    made if it is not there.

    Returns
    -------
    (Path, Path)
        The controls and the sample.
    """
    made = photon_counts()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    controls, sample = folder / "controls.csv", folder / "sample.csv"
    shots = zip(made.prepared.tolist(), made.control_counts.tolist(), strict=True)
    _write(controls, ("atoms", "counts"), shots)
    _write(sample, ("counts",), ((count,) for count in made.sample.tolist()))
    return controls, sample


def _write(path: Path, names: Sequence[str], rows: Iterable[Sequence[int]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(names)
        table.writerows(rows)


def tweezer_counts() -> DataArray:
    """Return 400 shots of five tweezers in a row, each with one atom or none, on an EMCCD.

    Pictures, dims (shot, y, x), pixels of 0.6 um: few photons of each atom, multiplied by a
    register, so that they scatter twice as much. The truth holds ``positions_px`` (y, x), ``boxes``
    (the regions of `tweezer_counts_layers`, as pixel edges y0, x0, y1, x1), ``hwhm_px`` of the
    Gaussian PSF, ``loading``, the ``photons`` of an atom in each tweezer and the ``background``
    photons of a pixel (both detected ones), ``camera`` (as `CameraGain` takes it, with the read
    noise in electrons) and which sites are ``occupied`` in each shot.
    """
    rng = np.random.default_rng(20250218)
    middles = np.array([(_SHAPE[0] // 2, 4 + 8 * site) for site in range(5)])
    positions = middles + rng.uniform(-0.3, 0.3, middles.shape)
    photons = np.array([28.0, 26.0, 30.0, 27.0, 29.0])
    background, loading, hwhm = 0.9, 0.55, 1.3
    camera = CameraGain(offset=200.0, sensitivity=12.0, em_gain=300.0, read_noise=60.0)
    occupied = rng.random((_SHOTS, len(positions))) < loading
    sigma = hwhm / math.sqrt(2 * math.log(2))
    y, x = np.indices(_SHAPE)
    spots = [
        np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        for cy, cx in positions
    ]
    light = background + np.einsum("ts,s,syx->tyx", occupied, photons, np.array(spots))
    counts = _multiplied(rng.poisson(light), camera, rng)
    half = _BOX // 2
    boxes = [[cy - half, cx - half, cy + half + 1, cx + half + 1] for cy, cx in middles.tolist()]
    truth = {
        "positions_px": positions.tolist(),
        "boxes": boxes,
        "hwhm_px": hwhm,
        "loading": loading,
        "photons": photons.tolist(),
        "background": background,
        "camera": {
            "offset": camera.offset,
            "sensitivity": camera.sensitivity,
            "em_gain": camera.em_gain,
            "quantum_efficiency": camera.quantum_efficiency,
            "read_noise": camera.read_noise,
        },
        "occupied": occupied.tolist(),
    }
    return make_stack(
        counts,
        name="five tweezers",
        pixel_size=_PIXEL,
        attrs={"kind": "fluorescence", "saturation": 65535.0, "truth": truth},
    )


def _multiplied(
    electrons: NDArray[np.integer], camera: CameraGain, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Return what the camera makes of so many electrons in each pixel."""
    there = electrons > 0
    # a register makes of n electrons about a sum of n exponential numbers
    output = np.where(there, rng.standard_gamma(np.where(there, electrons, 1)), 0.0)
    output = output * camera.em_gain + rng.normal(0.0, camera.read_noise or 0.0, output.shape)
    counts = np.rint(output / camera.sensitivity + camera.offset)
    return np.clip(counts, 0, 65535).astype(np.uint16)


def tweezer_counts_layers() -> list[LayerData]:
    """Return `tweezer_counts` as napari layers: an image, and boxes of 5 × 5 px to count in."""
    stack = tweezer_counts()
    data, kwargs, kind = to_layer(stack, colormap="magma", contrast_limits=contrast_limits(stack))
    # pixel i reaches from i - 0.5 to i + 0.5 in napari's coordinates
    corners = [
        np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]) - 0.5
        for y0, x0, y1, x1 in stack.attrs["truth"]["boxes"]
    ]
    looks = {
        "name": "five tweezers regions",
        "shape_type": "rectangle",
        "face_color": "transparent",
        "edge_color": "#e69f00",
        "edge_width": 0.2,
        "scale": kwargs["scale"][-2:],
        "units": kwargs["units"][-2:],
        "axis_labels": kwargs["axis_labels"][-2:],
    }
    return [(data, kwargs, kind), (corners, looks, "shapes")]
