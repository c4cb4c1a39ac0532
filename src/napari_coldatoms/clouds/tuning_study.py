"""The trials of a tuning in a storage: which one is next, and how it ends. Needs optuna."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from napari_coldatoms.clouds.search_space import Hyperparameters, Space
from napari_coldatoms.clouds.tuning import State, Trial
from napari_coldatoms.clouds.tuning_claims import (
    AGAIN,
    BEAT_SECONDS,
    FAILED,
    MOST_ATTEMPTS,
    NOTES,
    RUNNER,
    SECONDS,
    STOPPED,
    WITHDRAWN,
    Begun,
    begun,
    is_alive,
    runner,
)
from napari_coldatoms.clouds.tuning_sampler import distributions, make_sampler
from napari_coldatoms.clouds.tuning_storage import patiently

__all__ = ["Held", "TuningStudy"]


@dataclass(frozen=True)
class Held:
    """A trial that this process is at work on.

    Attributes
    ----------
    number : int
        Of the trial.
    entry, identity : int
        Number and key of its entry in the storage.
    values : Hyperparameters
        What was chosen.
    """

    number: int
    entry: int
    identity: int
    values: Hyperparameters


class TuningStudy:
    """The trials of a tuning in a storage.

    Parameters
    ----------
    study : optuna.Study
        From `tuning_storage.open_study`.
    space : Space
        What may be chosen.
    sobol : int
        How many trials are points of Sobol's sequence.
    seed : int
        Of what is random in the others.
    """

    def __init__(self, study: optuna.Study, space: Space, sobol: int, seed: int = 0) -> None:
        self._study, self._space, self._sobol, self._seed = study, space, sobol, seed
        self._storage = study._storage
        self._identity = study._study_id

    def begun(self) -> list[Begun]:
        """Return the trials that were begun, by any process."""
        return begun(patiently(lambda: self._study.get_trials(deepcopy=False)))

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials that were begun, by any process, as plain values."""
        # what was left before anything was chosen is there for a tuning of more trials
        return tuple(
            self._plain(each)
            for each in self.begun()
            if each.values is not None or not each.latest.user_attrs.get(STOPPED)
        )

    def next(self, trials: int) -> Held | None:
        """Return what to work on so that there are so many trials; None for nothing.

        What was stopped or killed comes first.
        """
        found = self.begun()
        for each in found[:trials]:
            if not each.is_settled and not each.is_running:
                held = self._go_on(each)
                if held is not None:
                    return held
        return self._begin(trials) if len(found) < trials else None

    def tell(self, held: Held, value: float, seconds: float, notes: Mapping[str, float]) -> None:
        """Keep the value of a trial, how long it took, and what the objective noted.

        A value that is not finite makes the trial fail.
        """
        marks = {NOTES: dict(notes), SECONDS: seconds}
        if math.isfinite(value):
            self._end(held.identity, marks, TrialState.COMPLETE, [value])
        else:
            self._end(held.identity, {**marks, FAILED: f"its value was {value}"})

    def stop(self, held: Held) -> None:
        """Leave a trial, which may go on."""
        self._mark(held.identity, {STOPPED: True})

    @contextmanager
    def alive(self, held: Held) -> Iterator[None]:
        """Tell other processes all the time that this one is at work on a trial."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT_SECONDS):
                # the next sign of life may get through
                with suppress(Exception):
                    self._storage.set_trial_user_attr(held.identity, RUNNER, runner())
            self._storage.remove_session()

        thread = threading.Thread(target=beat, name="signs of life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _begin(self, trials: int) -> Held | None:
        """Return a new trial; None where others began the last ones meanwhile."""
        identity = self._create({RUNNER: runner()})
        entry = self._storage.get_trial(identity)
        number = next(each.number for each in self.begun() if each.first == entry.number)
        if number >= trials:
            # it is there for a tuning of more trials
            self._mark(identity, {STOPPED: True})
            return None
        return self._held(number, entry)

    def _go_on(self, trial: Begun) -> Held | None:
        """Return a trial that nobody is at work on; None where another process has it now."""
        if trial.deaths >= MOST_ATTEMPTS:
            reason = f"{trial.deaths} processes ended at work on it"
            self._end(trial.latest._trial_id, {FAILED: reason})
            return None
        marks = {AGAIN: trial.first, RUNNER: runner()}
        entry = self._storage.get_trial(self._create(marks, trial.values))
        now = self.begun()[trial.number]
        earlier = [each for each in now.entries if each.number < entry.number]
        if now.is_settled or any(map(is_alive, earlier)):
            self._end(entry._trial_id, {WITHDRAWN: True})
            return None
        for each in earlier:
            if each.state == TrialState.RUNNING:
                self._end(each._trial_id, {})
        return self._held(trial.number, entry)

    def _create(self, marks: Mapping[str, Any], values: FrozenTrial | None = None) -> int:
        template = create_trial(
            state=TrialState.RUNNING,
            user_attrs=dict(marks),
            params=dict(values.params) if values else None,
            distributions=distributions(self._space) if values else None,
        )
        return patiently(lambda: self._storage.create_new_trial(self._identity, template))

    def _held(self, number: int, entry: FrozenTrial) -> Held:
        chosen = dict(entry.params)
        if not chosen:
            self._study.sampler = make_sampler(self._space, number, self._sobol, self._seed)
            trial = optuna.Trial(self._study, entry._trial_id)
            for name, own in self._space.ranges.items():
                if own.whole:
                    chosen[name] = trial.suggest_int(name, int(own.low), int(own.high))
                else:
                    chosen[name] = trial.suggest_float(name, own.low, own.high, log=own.log)
        return Held(number, entry.number, entry._trial_id, self._space.take(chosen))

    def _mark(self, identity: int, marks: Mapping[str, Any]) -> None:
        for name, mark in marks.items():
            patiently(_setting(self._storage, identity, name, mark))

    def _end(
        self,
        identity: int,
        marks: Mapping[str, Any],
        state: TrialState = TrialState.FAIL,
        values: list[float] | None = None,
    ) -> None:
        # another process may have taken it for dead and ended it
        with suppress(UpdateFinishedTrialError):
            self._mark(identity, marks)
            patiently(lambda: self._storage.set_trial_state_values(identity, state, values))

    def _plain(self, trial: Begun) -> Trial:
        entry, values = trial.latest, trial.values
        return Trial(
            trial.number,
            _state(trial),
            "sobol" if trial.number < self._sobol else "model",
            self._space.take(values.params) if values else None,
            value=entry.value if trial.complete is not None else None,
            seconds=entry.user_attrs.get(SECONDS),
            notes=entry.user_attrs.get(NOTES, {}),
            reason=trial.reason or "",
        )


def _state(trial: Begun) -> State:
    if trial.is_settled:
        return "failed" if trial.complete is None else "done"
    return "running" if trial.is_running else "stopped"


def _setting(storage: Any, identity: int, name: str, mark: Any) -> Callable[[], None]:
    return lambda: storage.set_trial_user_attr(identity, name, mark)
