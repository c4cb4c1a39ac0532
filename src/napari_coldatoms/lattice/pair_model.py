"""What happened between two images of the same atoms, by maximum likelihood.

Each site was empty or occupied before, and is now: four joint states. An atom stays (probability
s), is lost (l) or hops to an empty nearest neighbour (h), s + l + h = 1; an empty site may be
loaded (a). An image says of a site how much likelier it is if it is occupied, that is posterior
odds over prior odds; the errors of the two images are independent. A hop joins two sites, see
`hops`.

The rates of the largest likelihood are found by expectation and maximisation (Dempster, Laird and
Rubin 1977), their errors from the information that is missing where sites are undecided (Louis
1982): I = I_complete - Cov(score of the states, given the images).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.hops import Dimers
from napari_coldatoms.lattice.occupations import Shots
from napari_coldatoms.lattice.prior import likely_occupancy

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_SUREST = 1e-9  # no image is trusted more than that
_RAREST = 1e-6
_LEAST_EDGE = 1e-7  # evidence for both ends of a hop, below which it is not looked at
_MOST_STEPS = 300
_SITE_STEPS = 50
_SETTLED = 1e-4  # of the scatter of a count
_NUDGE = 1e-3
_LEAST_INFORMATION = 0.01  # of what certain sites would tell


@dataclass(frozen=True, eq=False)
class Evidence:
    """What two images tell about the sites, pair by pair.

    Attributes
    ----------
    states : (4, pairs, n) array
        Likelihood of both images if the site is occupied in both, in the first only, in the second
        only, in none; of sum 1. Equal where the site is not valid in both.
    seen : (pairs, n) bool array
        Sites that are.
    prior : (pairs, 1) array
        Occupancy of the first image, to begin with.
    dimers : Dimers
        The hops that are worth looking at.
    hop : (m,) array
        The evidence for each, over the number of neighbours of where it begins.
    """

    states: FloatArray
    seen: BoolArray
    prior: FloatArray
    dimers: Dimers
    hop: FloatArray


@dataclass(frozen=True, eq=False)
class Rates:
    """Probabilities of what happens; each a number, or of shape (n,), (pairs, 1)."""

    lost: float | FloatArray
    hop: float | FloatArray
    loaded: float | FloatArray
    occupied: FloatArray

    def weights(self) -> dict[str, FloatArray]:
        """Return the prior weight of each state."""
        p, a = self.occupied, self.loaded
        return {
            "stays": p * (1 - self.lost - self.hop),
            "lost": p * self.lost,
            "hop": p * self.hop,
            "loaded": (1 - p) * a,
            "empty": (1 - p) * (1 - a),
        }


@dataclass(frozen=True, eq=False)
class States:
    """Probability of each state given the images, (pairs, n); 0 where a site is not seen."""

    stays: FloatArray
    lost: FloatArray
    hop: FloatArray
    loaded: FloatArray
    empty: FloatArray
    arrived: FloatArray

    @property
    def atoms(self) -> FloatArray:
        """Probability that the site was occupied in the first image."""
        return self.stays + self.lost + self.hop

    def totals(self) -> FloatArray:
        """Return the expected numbers of stays, lost, hop, loaded, empty."""
        names = ("stays", "lost", "hop", "loaded", "empty")
        return np.array([getattr(self, name).sum() for name in names])


def evidence(first: Shots, second: Shots, neighbours: tuple[IntArray, IntArray]) -> Evidence:
    """Return what pairs of images tell, with the possible hops between nearest neighbours."""
    seen = first.valid & second.valid
    one, two = (np.where(seen, _likelihood(shots), 0.5) for shots in (first, second))
    states = np.array([one * two, one * (1 - two), (1 - one) * two, (1 - one) * (1 - two)])
    source, target = neighbours
    around = np.bincount(source, minlength=seen.shape[1])
    leaves, comes = np.where(seen, states[1], 0.0), np.where(seen, states[2], 0.0)
    # most sites certainly hold no event: look at the few that may be where a hop begins
    shot, site = np.nonzero(leaves > _LEAST_EDGE)
    order = np.argsort(source, kind="stable")
    ends = np.concatenate([[0], np.cumsum(around)])
    count = around[site]
    shot, begin = np.repeat(shot, count), np.repeat(ends[site], count)
    within = np.arange(len(begin)) - np.repeat(np.cumsum(count) - count, count)
    edge = order[begin + within]
    weight = leaves[shot, source[edge]] * comes[shot, target[edge]]
    kept = weight > _LEAST_EDGE
    shot, edge, weight = shot[kept], edge[kept], weight[kept]
    dimers = Dimers(shot * seen.shape[1] + source[edge], shot * seen.shape[1] + target[edge])
    return Evidence(states, seen, _prior(first), dimers, weight / around[source[edge]])


def _likelihood(shots: Shots) -> FloatArray:
    """Return how much likelier the image is if a site is occupied; both ways add up to 1."""
    assert shots.probability is not None
    prior = _prior(shots)
    occupied = shots.probability * (1 - prior)
    empty = (1 - shots.probability) * prior
    return np.clip(occupied / (occupied + empty), _SUREST, 1 - _SUREST)


def _prior(shots: Shots) -> FloatArray:
    """Return the occupancy that each reconstruction began with, (shots, 1)."""
    assert shots.occupancy is not None
    sites = shots.valid.shape[1]
    return np.array([[likely_occupancy(float(share), sites)] for share in shots.occupancy])


def expect(given: Evidence, weights: dict[str, FloatArray]) -> States:
    """Return the probability of each state at every site."""
    both, left, came, none = given.states
    stays, lost = weights["stays"] * both, weights["lost"] * left
    loaded, empty = weights["loaded"] * came, weights["empty"] * none
    total = stays + lost + loaded + empty
    hops = given.dimers
    leave = np.zeros(total.size)
    arrive = np.zeros(total.size)
    if len(given.hop):
        prior = np.broadcast_to(weights["hop"], total.shape).reshape(-1)[hops.source]
        apart = total.reshape(-1)
        odds = prior * given.hop / (apart[hops.source] * apart[hops.target])
        chance = hops.probabilities(np.minimum(odds, 1e12))
        leave = np.bincount(hops.source, chance, minlength=total.size)
        arrive = np.bincount(hops.target, chance, minlength=total.size)
    leave, arrive = leave.reshape(total.shape), arrive.reshape(total.shape)
    share = np.where(given.seen, np.maximum(1 - leave - arrive, 0.0) / total, 0.0)
    return States(share * stays, share * lost, leave, share * loaded, share * empty, arrive)


def overall_rates(given: Evidence, start: Rates) -> tuple[Rates, States]:
    """Return the rates of the largest likelihood, the same for all sites and pairs."""
    rates, before = start, np.full(5, np.inf)
    for _ in range(_MOST_STEPS):
        found = expect(given, rates.weights())
        stays, lost, hop, loaded, empty = now = found.totals()
        atoms, vacant = max(stays + lost + hop, 1e-300), max(loaded + empty, 1e-300)
        rates = Rates(lost / atoms, hop / atoms, loaded / vacant, _occupancy(given, found))
        if np.all(np.abs(now - before) < _SETTLED * np.sqrt(now + 1)):
            break
        before = now
    return rates, found


def site_rates(given: Evidence, overall: Rates) -> tuple[Rates, States]:
    """Return the rates of each site over many pairs; loading is the same for all."""
    # what never happens at a site at first could not be found to happen there
    least = (_RAREST, _RAREST if len(given.hop) else 0.0)
    lost, hop = (
        np.full(given.seen.shape[1], max(float(rate), low))
        for rate, low in zip((overall.lost, overall.hop), least, strict=True)
    )
    rates = replace(overall, lost=lost, hop=hop)
    before = np.inf
    for _ in range(_SITE_STEPS):
        found = expect(given, rates.weights())
        lost, hop = found.lost.sum(axis=0), found.hop.sum(axis=0)
        atoms = np.maximum(found.atoms.sum(axis=0), 1e-300)
        rates = replace(rates, lost=lost / atoms, hop=hop / atoms)
        if np.abs(lost + hop - before).max() < 1e-3:
            break
        before = lost + hop
    return rates, found


def _occupancy(given: Evidence, found: States) -> FloatArray:
    seen = np.maximum(given.seen.sum(axis=1), 1)
    share = found.atoms.sum(axis=1) / seen
    return np.clip(share, _RAREST, 1 - _RAREST)[:, None]


def effective_atoms(given: Evidence, rates: Rates, found: States) -> dict[str, float]:
    """Return how many certain atoms would tell each rate as well, for survival, loss and hopping.

    Also under "loading" how many certain empty sites.
    """
    stays, lost, hop, loaded, empty = found.totals()
    atoms, vacant = stays + lost + hop, loaded + empty
    hops = bool(len(given.hop))
    # half an event more of each kind keeps the information finite where there is none
    more = atoms + (1.5 if hops else 1.0)
    near = Rates(
        (lost + 0.5) / more,
        (hop + 0.5) / more if hops else 0.0,
        (loaded + 0.5) / (vacant + 1.0),
        rates.occupied,
    )
    weights = near.weights()
    middle = expect(given, weights).totals()
    spread = np.array(
        [
            expect(given, weights | {name: weights[name] * (1 + _NUDGE)}).totals() - middle
            for name in ("stays", "lost", "hop", "loaded", "empty")
        ]
    ) / np.log1p(_NUDGE)
    spread = 0.5 * (spread + spread.T)
    loss, hopping, load = float(near.lost), float(near.hop), float(near.loaded)
    stay = 1 - loss - hopping
    score = np.array(
        [
            [-1 / stay, 1 / loss, 0, 0, 0],
            [-1 / stay, 0, 1 / hopping if hops else 0, 0, 0],
            [0, 0, 0, 1 / load, -1 / (1 - load)],
        ]
    )
    complete = np.zeros((3, 3))
    complete[:2, :2] = max(atoms, 1e-12) / stay
    complete[0, 0] += max(atoms, 1e-12) / loss
    complete[1, 1] += max(atoms, 1e-12) / hopping if hops else 1.0
    complete[2, 2] = max(vacant, 1e-12) / (load * (1 - load))
    if not hops:
        complete[0, 1] = complete[1, 0] = 0.0
        score[1] = 0.0
    variance = _inverse(complete, score @ spread @ score.T)
    both = variance[0, 0] + variance[1, 1] + 2 * variance[0, 1] if hops else variance[0, 0]
    return {
        "survival": min(stay * (1 - stay) / both, atoms),
        "loss": min(loss * (1 - loss) / variance[0, 0], atoms),
        "hopping": min(hopping * (1 - hopping) / variance[1, 1], atoms) if hops else atoms,
        "loading": min(load * (1 - load) / variance[2, 2], vacant),
    }


def _inverse(complete: FloatArray, missing: FloatArray) -> FloatArray:
    """Return the inverse of complete minus missing information, however little is left."""
    root = np.linalg.cholesky(complete)
    back = np.linalg.inv(root)
    share, axes = np.linalg.eigh(np.eye(len(root)) - back @ missing @ back.T)
    turned = back.T @ axes
    return np.asarray(turned / np.clip(share, _LEAST_INFORMATION, 1.0) @ turned.T)


def effective_atoms_at_sites(given: Evidence, rates: Rates, found: States) -> dict[str, FloatArray]:
    """Return the same as `effective_atoms` for the rates of each site, (n,) each."""
    atoms = found.atoms.sum(axis=0)
    hops = bool(len(given.hop))
    more = atoms + (1.5 if hops else 1.0)
    near = replace(
        rates,
        lost=(found.lost.sum(axis=0) + 0.5) / more,
        hop=(found.hop.sum(axis=0) + 0.5) / more if hops else np.zeros_like(atoms),
    )
    middle = expect(given, near.weights())
    outcomes = {
        "survival": (middle.stays, 1 - near.lost - near.hop),
        "loss": (middle.lost, near.lost),
        "hopping": (middle.hop, near.hop),
    }
    return {
        name: np.minimum(_certain_trials(yes, middle.atoms - yes, rate), atoms)
        for name, (yes, rate) in outcomes.items()
        if hops or name != "hopping"
    } | ({} if hops else {"hopping": atoms})


def _certain_trials(yes: FloatArray, no: FloatArray, rate: float | FloatArray) -> FloatArray:
    """Return how many certain trials would tell a site's rate as well, (n,).

    `yes` and `no` are the probabilities (pairs, n) that a trial was made, with the one outcome or
    the other; no site holds more than one trial.
    """
    first, second = yes / rate, no / (1 - rate)
    variance = first / rate + second / (1 - rate) - (first - second) ** 2
    trials = (yes + no).sum(axis=0)
    left = trials - rate * (1 - rate) * variance.sum(axis=0)
    return np.clip(left, _LEAST_INFORMATION * trials, trials)
