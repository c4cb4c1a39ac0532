"""Sample data: simulated, with a known truth, the same at every call.

The functions that end in ``_layers`` are napari's sample data menu; the others give the same
data as stacks, or as counts. ``stack.attrs["truth"]``, or ``truth``, says what went in.
"""

from __future__ import annotations

from napari_coldatoms.samples.clouds import (
    mot_and_odt,
    mot_and_odt_layers,
    single_cloud,
    single_cloud_layers,
    time_of_flight,
    time_of_flight_layers,
)
from napari_coldatoms.samples.counts import (
    CountSample,
    photon_count_files,
    photon_counts,
    tweezer_counts,
    tweezer_counts_layers,
)
from napari_coldatoms.samples.lattices import (
    drifting_lattice,
    drifting_lattice_layers,
    lattice_image,
    lattice_image_layers,
    survival_pair,
    survival_pair_layers,
    triangular_lattice,
    triangular_lattice_layers,
    tweezer_array,
    tweezer_array_layers,
)

__all__ = [
    "CountSample",
    "drifting_lattice",
    "drifting_lattice_layers",
    "lattice_image",
    "lattice_image_layers",
    "mot_and_odt",
    "mot_and_odt_layers",
    "photon_count_files",
    "photon_counts",
    "single_cloud",
    "single_cloud_layers",
    "survival_pair",
    "survival_pair_layers",
    "time_of_flight",
    "time_of_flight_layers",
    "triangular_lattice",
    "triangular_lattice_layers",
    "tweezer_array",
    "tweezer_array_layers",
    "tweezer_counts",
    "tweezer_counts_layers",
]
