"""Two images of the same atoms: who stayed, who hopped, who is gone, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.hops import most_hops, nearest_neighbours
from napari_coldatoms.lattice.occupations import Occupations, Shots, check_sites, read_shots
from napari_coldatoms.lattice.pair_comparison import PairComparison
from napari_coldatoms.lattice.pair_model import (
    Rates,
    States,
    effective_atoms,
    effective_atoms_at_sites,
    evidence,
    overall_rates,
    site_rates,
)
from napari_coldatoms.statistics.intervals import ONE_SIGMA, share

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


def compare(
    first: Occupations,
    second: Occupations,
    lattice: Lattice | None = None,
    *,
    confidence: float = ONE_SIGMA,
    corrected: bool | None = None,
) -> PairComparison:
    """Compare two images of the same atoms, or many such pairs.

    An atom of the first image *survives* if its site is occupied in the second, *hops* if its site
    is empty and a nearest neighbour that was empty is occupied, and is *lost* otherwise. Each new
    atom explains one that is gone.

    Counts of decisions make a detection error a loss or a hop. With the probabilities of
    reconstructions the rates of the largest likelihood are found instead, over the joint states of
    both images at all sites, with independent errors. An occupied site without light in the second
    image then counts as lost as far as the two probabilities and the rate of losses make it one.

    Parameters
    ----------
    first, second : Reconstruction, sequence of Reconstruction, or bool array (n,) or (pairs, n)
        Occupations in the first and in the second images. Sites that are not valid in both do not
        count.
    lattice : Lattice, optional
        The n sites. Without it, hops count as losses. Nearest neighbours are sites at the shortest
        distance of a regular lattice, up to a tenth more; among arbitrary positions those within
        1.3 times the distance of the nearest one.
    confidence : float
        Of the intervals.
    corrected : bool, optional
        Whether to take detection errors into account; by default where there are probabilities.

    Returns
    -------
    PairComparison

    Raises
    ------
    ValueError
        If the numbers of sites or images differ, no site is valid in both images of a pair, the
        confidence is not between 0 and 1, or there are no probabilities to correct with.
    TypeError
        If something is neither a reconstruction nor boolean.
    """
    one, two = read_shots(first), read_shots(second)
    if one.valid.shape != two.valid.shape:
        raise ValueError(
            f"expected as many second images and sites as first ones, found {two.valid.shape} "
            f"and {one.valid.shape}"
        )
    if lattice is not None:
        check_sites(one, sites=len(lattice))
    if not (one.valid & two.valid).any():
        raise ValueError("expected sites that are valid in both images, found none")
    known = one.probability is not None and two.probability is not None
    if corrected and not known:
        raise ValueError("expected reconstructions, to correct with probabilities, found decisions")
    nowhere = np.empty(0, dtype=np.intp)
    near = (nowhere, nowhere) if lattice is None else nearest_neighbours(lattice)
    estimate = known if corrected is None else corrected
    events = _estimated(one, two, near) if estimate else _counted(one, two, near)
    if lattice is None:
        events = events.without_hops()
    return _comparison(one, two, events, corrected=estimate, confidence=confidence)


@dataclass(frozen=True, eq=False)
class _Events:
    """What was counted, or is to be expected: of all sites together, and of each, (n,).

    Attributes
    ----------
    counts : dict
        Number of atoms that show "survival", "hopping" or "loss", and of new atoms that no hop
        explains under "loading".
    of : dict
        The number of atoms, or of empty sites, that these are a part of.
    trials : dict
        How many certain ones would tell as much.
    at_sites : tuple of three such dicts
        Without "loading".
    wrong : float
        Sites judged differently though nothing happened there.
    """

    counts: dict[str, float]
    of: dict[str, float]
    trials: dict[str, float]
    at_sites: tuple[dict[str, FloatArray], dict[str, FloatArray], dict[str, FloatArray]]
    wrong: float

    def without_hops(self) -> _Events:
        """Return the same with hopping not counted."""
        counts, of, trials = self.at_sites
        nothing = np.zeros_like(of["hopping"])
        return replace(
            self,
            of=self.of | {"hopping": 0.0},
            at_sites=(counts, of | {"hopping": nothing}, trials),
        )


def _counted(one: Shots, two: Shots, near: tuple[IntArray, IntArray]) -> _Events:
    seen = one.valid & two.valid
    vanished = seen & one.occupied & ~two.occupied
    appeared = seen & ~one.occupied & two.occupied
    hopped = np.zeros(seen.size)
    hopped[most_hops(vanished, appeared, near)[0]] = 1
    hops = hopped.reshape(seen.shape).sum(axis=0)
    own = {
        "survival": (seen & one.occupied & two.occupied).sum(axis=0).astype(np.float64),
        "hopping": hops,
        "loss": vanished.sum(axis=0) - hops,
    }
    atoms = dict.fromkeys(own, (seen & one.occupied).sum(axis=0).astype(np.float64))
    loaded = float(appeared.sum() - hops.sum())
    vacant = float((seen & ~one.occupied).sum() - hops.sum())
    of = _sums(atoms) | {"loading": vacant}
    return _Events(_sums(own) | {"loading": loaded}, of, of, (own, atoms, atoms), loaded)


def _estimated(one: Shots, two: Shots, near: tuple[IntArray, IntArray]) -> _Events:
    given = evidence(one, two, near)
    start = Rates(0.05, 0.02 if len(given.hop) else 0.0, 0.01, given.prior)
    rates, found = overall_rates(given, start)
    # judged differently, though the atoms most likely did not change
    differ = given.seen & (one.occupied != two.occupied)
    wrong = float((found.stays + found.empty)[differ].sum())
    own_rates, own_found = site_rates(given, rates)
    own, at_sites = _outcomes(found), _outcomes(own_found)
    loaded = float(found.loaded.sum())
    return _Events(
        _sums(own) | {"loading": loaded},
        _sums(dict.fromkeys(own, found.atoms.sum(axis=0)))
        | {"loading": loaded + float(found.empty.sum())},
        effective_atoms(given, rates, found),
        (
            at_sites,
            dict.fromkeys(at_sites, own_found.atoms.sum(axis=0)),
            effective_atoms_at_sites(given, own_rates, own_found),
        ),
        wrong,
    )


def _outcomes(found: States) -> dict[str, FloatArray]:
    return {
        "survival": found.stays.sum(axis=0),
        "hopping": found.hop.sum(axis=0),
        "loss": found.lost.sum(axis=0),
    }


def _sums(counts: dict[str, FloatArray]) -> dict[str, float]:
    return {name: float(count.sum()) for name, count in counts.items()}


def _comparison(
    one: Shots, two: Shots, events: _Events, *, corrected: bool, confidence: float
) -> PairComparison:
    seen = one.valid & two.valid
    sites = seen.sum(axis=0)
    same = (seen & (one.occupied == two.occupied)).sum(axis=0)
    shares = {
        name: share(events.counts[name], events.of[name], confidence, trials=events.trials[name])
        for name in ("survival", "hopping", "loss", "loading")
    }
    counts, of, trials = events.at_sites
    at_sites = {
        name: share(counts[name], of[name], confidence, trials=trials[name])
        for name in ("survival", "hopping", "loss")
    }
    unchanged = same.sum() + events.wrong
    return PairComparison(
        **shares,
        repeatability=share(same.sum(), sites.sum(), confidence),
        fidelity=share(same.sum(), unchanged, confidence),
        atoms=events.of["survival"],
        hops=events.counts["hopping"],
        losses=events.counts["loss"],
        unexplained=events.counts["loading"],
        at_sites=at_sites | {"repeatability": share(same, sites, confidence)},
        pairs=int(seen.any(axis=1).sum()),
        sites=sites,
        corrected=corrected,
        confidence=confidence,
    )
