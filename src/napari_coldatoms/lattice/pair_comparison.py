"""The result of comparing two images of the same atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.statistics.intervals import Share

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

PARITY_NOTE = (
    "Where the imaging light removes atoms in pairs, an occupied site held an odd number of them "
    "and an empty one an even number: survival and hopping are those of parities. An atom that "
    "hops to an occupied site then empties both."
)
"""What survival means where light-assisted collisions remove pairs of atoms."""


@dataclass(frozen=True, eq=False)
class PairComparison:
    """What happened between the first and the second images.

    Attributes
    ----------
    survival : Share
        Atoms of the first images that are at their site in the second ones.
    hopping : Share
        Atoms that are now at a nearest neighbour that was empty. Nothing was counted where no
        lattice was given.
    loss : Share
        All other atoms: ``1 - survival - hopping``.
    loading : Share
        Empty sites of the first images that hold an atom that no hop explains.
    repeatability : Share
        Sites judged the same in both images: the fidelity, if no atom is lost.
    fidelity : Share
        The same among the sites that neither lost nor received an atom. Decisions alone cannot
        tell an atom that is lost from one that is overlooked: without correction, only new atoms
        that no hop explains count as errors.
    atoms : float
        Atoms in the first images; expected number, if corrected.
    hops, losses, unexplained : float
        Atoms that hopped, that are gone, and those that are new without a hop.
    at_sites : dict of str to Share
        "survival", "hopping", "loss" and "repeatability" of each site, arrays (n,). A hop counts
        at the site where it begins.
    pairs : int
        Pairs of images with sites valid in both.
    sites : (n,) int array
        In how many pairs each site is valid in both images.
    corrected : bool
        Whether detection errors are taken into account.
    confidence : float
        Of the intervals.
    """

    survival: Share
    hopping: Share
    loss: Share
    loading: Share
    repeatability: Share
    fidelity: Share
    atoms: float
    hops: float
    losses: float
    unexplained: float
    at_sites: dict[str, Share]
    pairs: int
    sites: NDArray[np.intp]
    corrected: bool
    confidence: float

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{name} {100 * share.low:.2f} to {100 * share.high:.2f} %"
            for name, share in (
                ("survival", self.survival),
                ("hopping", self.hopping),
                ("loss", self.loss),
            )
            if np.any(np.asarray(share.trials) > 0)
        )
        return f"PairComparison({self.atoms:.0f} atoms in {self.pairs} pairs: {parts})"


def pair_table(comparison: PairComparison, lattice: Lattice) -> pd.DataFrame:
    """Return a table of what happened at each site, one row per site.

    Its columns are the label ``i, j``, the place ``y, x``, in how many ``pairs`` the site was
    valid, and survival, hopping, loss and repeatability, each with ``_low`` and ``_high``, and the
    ``_trials`` behind them. ``attrs["units"]`` maps each column that has a unit to it.

    Raises
    ------
    ValueError
        If the lattice has another number of sites.
    """
    import pandas as pd

    if len(lattice) != len(comparison.sites):
        raise ValueError(
            f"expected the lattice of {len(comparison.sites)} sites, found {len(lattice)}"
        )
    columns: dict[str, NDArray] = {
        "i": lattice.labels[:, 0],
        "j": lattice.labels[:, 1],
        "y": lattice.positions[:, 0],
        "x": lattice.positions[:, 1],
        "pairs": comparison.sites,
    }
    for name, found in comparison.at_sites.items():
        columns[name] = np.asarray(found.value)
        for limit in ("low", "high", "trials"):
            columns[f"{name}_{limit}"] = np.asarray(getattr(found, limit))
    table = pd.DataFrame(columns)
    table.attrs["units"] = {"y": "px", "x": "px"}
    return table
