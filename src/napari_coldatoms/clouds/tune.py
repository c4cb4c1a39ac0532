"""Bayesian optimisation of the hyperparameters of a training, after Hofer et al. 2021.

Points of Sobol's sequence come first; then a Gaussian process of what is known chooses each point
by its expected improvement. Trials are kept in a storage: a tuning that was stopped or killed goes
on, and several processes and machines may share one. Nothing here loads torch before it is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.search_space import Space
from napari_coldatoms.clouds.tuning import Attempt, Objective, Trial, Tuning

__all__ = ["read_tuning", "tune"]

_SPACE, _SOBOL, _ABOUT = "space", "points of Sobol's sequence", "objective"


def tune(
    objective: Objective,
    *,
    trials: int = 25,
    storage: str | Path | None = None,
    study: str = "clouds",
    space: Space = Space(),  # noqa: B008
    sobol: int = 5,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
    progress: Callable[[Trial], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tuning:
    """Look for the hyperparameters of the highest value.

    Parameters
    ----------
    objective : callable
        Takes `Hyperparameters` and an `Attempt`, returns a value: the higher the better. A value
        that is not finite makes the trial fail. `InterruptedError` ends the tuning; the trial goes
        on with the next call, as it does after any other exception, which is raised.
    trials : int
        How many there are to be in all, with those that are in the storage.
    storage : path or str, optional
        An SQLite file, made if need be; a file ``*.journal`` that machines share in a folder of the
        network, where SQLite is not safe; or the URL of a database, such as
        ``postgresql://user@host/name``. Default none: nothing is kept.
    study : str
        Name of the tuning in the storage.
    space : Space
        Ranges of the hyperparameters.
    sobol : int
        How many trials are points of Sobol's sequence.
    seed : int
        Of what is random in the choice of the others.
    about : dict, optional
        What the objective depends on, as plain values: trials of another one are not gone on with.
    progress : callable, optional
        Called with each trial that this process ended.
    cancelled : callable, optional
        Asked before each trial, and by the objective; true ends the tuning.

    Returns
    -------
    Tuning
        All trials in the storage.

    Raises
    ------
    ValueError
        No trials, or a negative number of points.
    TuningError
        The storage cannot be opened, or holds a tuning of another space or objective.

    Notes
    -----
    A trial of a process that was killed is gone on with by the next process that looks: at once on
    the same machine, elsewhere after five minutes without a sign of life. It keeps its
    hyperparameters and its number. After three deaths it has failed.
    """
    from napari_coldatoms.clouds.tuning_storage import open_study
    from napari_coldatoms.clouds.tuning_study import TuningStudy

    if trials < 1:
        raise ValueError(f"trials: expected at least 1, found {trials}")
    if sobol < 0:
        raise ValueError(f"sobol: expected no negative number, found {sobol}")
    stopped = cancelled or (lambda: False)
    settings = {_SPACE: space.to_dict(), _SOBOL: sobol, _ABOUT: dict(about or {})}
    with open_study(storage, study, settings) as opened:
        own = TuningStudy(opened, space, sobol, seed)
        while not stopped() and (held := own.next(trials)) is not None:
            attempt, start = Attempt(held.number, stopped), time.monotonic()
            try:
                with own.alive(held):
                    value = float(objective(held.values, attempt))
            except InterruptedError:
                own.stop(held)
                break
            except BaseException:
                own.stop(held)
                raise
            own.tell(held, value, time.monotonic() - start, attempt.notes)
            if progress is not None:
                progress(next(each for each in own.trials() if each.number == held.number))
        found = own.begun()[:trials]
        finished = len(found) == trials and all(each.is_settled for each in found)
        return Tuning(space, own.trials(), finished)


def read_tuning(storage: str | Path, study: str = "clouds") -> Tuning:
    """Return what is known of a tuning, whether it is under way or not.

    Parameters
    ----------
    storage, study : path or str
        As for `tune`.

    Raises
    ------
    TuningError
        There is none.
    """
    from napari_coldatoms.clouds.tuning_storage import open_study
    from napari_coldatoms.clouds.tuning_study import TuningStudy

    with open_study(storage, study, None) as opened:
        known = opened.user_attrs
        space = Space.from_dict(known[_SPACE])
        trials = TuningStudy(opened, space, known[_SOBOL]).trials()
    settled = all(each.state in ("done", "failed") for each in trials)
    return Tuning(space, trials, finished=bool(trials) and settled)
