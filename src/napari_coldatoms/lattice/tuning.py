"""The regularisation and the radius of highest contrast between empty and occupied sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from napari_coldatoms.statistics import Bimodality, Mixture

# decimal logarithms of κ: all that are tried, those tried first, those for want of contrast, and
# the finer steps
_POWERS = (-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0)
_FIRST_POWERS = (-3.0, -2.0, -1.0)
_PLAIN_POWERS = (-2.0, -1.0)
_STEPS = (0.5, 0.25)
# a few values far off make a high contrast, too, but gain little in likelihood
_LEAST_EVIDENCE = 0.5


@dataclass(frozen=True, eq=False)
class Trial:
    """What one choice of parameters gives.

    Attributes
    ----------
    power : float
        Decimal logarithm of the regularisation κ.
    radius : float
        Radius of the disc, in px.
    mixture : Mixture
        Of the brightnesses.
    bimodality : Bimodality
        How well its two modes are supported.
    """

    power: float
    radius: float
    mixture: Mixture
    bimodality: Bimodality


Attempt = Callable[[float, list[float]], list[Trial]]


def tune(attempt: Attempt, radii: list[float]) -> Trial:
    """Return the trial of highest contrast, over κ from 1e-5 to 10 and the given radii.

    Decades first, then halves and quarters around the best one with the neighbouring radii, at last
    the vertex of a parabola. Where no two modes are supported, there is nothing to tune: κ is 0.01
    or 0.1.

    Parameters
    ----------
    attempt : callable
        Takes log κ and radii, returns a trial for each radius.
    radii : list of float
        Ascending.
    """
    seen: dict[float, list[Trial]] = {}

    def look(powers: Iterable[float], some: list[float]) -> Trial:
        for power in powers:
            if power not in seen and _POWERS[0] <= power <= _POWERS[-1]:
                seen[power] = attempt(power, some)
        return best_trial([trial for row in seen.values() for trial in row])

    best = look(_FIRST_POWERS, radii)
    if not best.bimodality.is_supported:
        best = look(_POWERS, radii)
        if not best.bimodality.is_supported:
            return best_trial([trial for power in _PLAIN_POWERS for trial in seen[power]])
    # on while the highest contrast is at the end of what has been tried
    number = 0
    while len(seen) > number:
        number = len(seen)
        best = look((best.power - 1, best.power + 1), radii)
    for step in _STEPS:
        place = radii.index(best.radius)
        near = radii[max(place - 1, 0) : place + 2]
        best = look((best.power - step, best.power + step), near)
    vertex = _vertex(seen, best, _STEPS[-1])
    return best if vertex is None else look([vertex], [best.radius])


def best_trial(trials: list[Trial]) -> Trial:
    """Return the trial of highest contrast among those whose modes the values support best.

    Where two modes are supported nowhere, it is the one of most evidence.
    """
    counted = [
        replace(trial, bimodality=replace(trial.bimodality, trials=len(trials))) for trial in trials
    ]
    supported = [trial for trial in counted if trial.bimodality.is_supported]
    if not supported:
        return max(counted, key=_evidence)
    least = _LEAST_EVIDENCE * max(map(_evidence, supported))
    return max(
        (trial for trial in supported if _evidence(trial) >= least),
        key=lambda trial: trial.mixture.contrast,
    )


def _evidence(trial: Trial) -> float:
    return trial.bimodality.evidence


def _vertex(seen: dict[float, list[Trial]], best: Trial, step: float) -> float | None:
    """Return log κ at the vertex of the parabola through the contrasts, if there is one."""
    contrasts = []
    for power in (best.power - step, best.power, best.power + step):
        row = [trial for trial in seen.get(power, []) if trial.radius == best.radius]
        if not row:
            return None
        contrasts.append(row[0].mixture.contrast)
    lower, middle, upper = contrasts
    bend = lower - 2 * middle + upper
    if bend >= 0:
        return None
    shift = 0.5 * step * (lower - upper) / bend
    return best.power + min(max(shift, -step), step)
