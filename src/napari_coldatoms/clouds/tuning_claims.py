"""Who is at work on which trial of a tuning, told from what is in the storage. Needs optuna.

A trial that was stopped or killed goes on as a new entry of the storage, which names the first one.
The storage gives each entry its number in one step with its marks, so that entries have one order
for all processes: of those that try the same, the lowest whose process lives is the one that
counts, and of those begun, the lowest numbers are the ones that are wanted. Nothing else is locked.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from napari_coldatoms.clouds.search_space import Hyperparameters

__all__ = [
    "AGAIN",
    "BEAT_SECONDS",
    "FAILED",
    "MOST_ATTEMPTS",
    "NOTES",
    "RUNNER",
    "SECONDS",
    "STOPPED",
    "WITHDRAWN",
    "Begun",
    "begun",
    "is_alive",
    "runner",
]

AGAIN = "goes on with"
"""Mark of an entry: number of the first one of the same trial."""

RUNNER = "runner"
"""Mark of an entry: which process is at work on it, and when it last said so."""

STOPPED = "stopped"
"""Mark of an entry: its process left it in good order, and it may go on."""

WITHDRAWN = "withdrawn"
"""Mark of an entry: another process went on with the same trial."""

FAILED = "failed"
"""Mark of an entry: why it is of no use to go on."""

NOTES = "notes"
"""Mark of an entry: what the objective noted."""

SECONDS = "seconds"
"""Mark of an entry: how long the objective took."""

BEAT_SECONDS = 30.0
"""Time between two signs of life."""

MOST_ATTEMPTS = 3
"""How often a process may die of a trial until the trial has failed."""

_NAMES = {each.name for each in fields(Hyperparameters)}
# clocks of machines may differ by some minutes
_SILENT_SECONDS = 300.0


def runner(now: float | None = None) -> dict[str, Any]:
    """Return the mark of this process."""
    return {
        # two containers may have one name, but hardly one address
        "place": f"{socket.gethostname()} {uuid.getnode():012x}",
        "process": os.getpid(),
        "beat": time.time() if now is None else now,
    }


def is_alive(entry: FrozenTrial) -> bool:
    """Return whether a process is at work on an entry.

    A process of this machine is asked for; any other one has to have given a sign of life in the
    last five minutes.
    """
    if entry.state != TrialState.RUNNING or entry.user_attrs.get(STOPPED):
        return False
    mark = entry.user_attrs.get(RUNNER, {})
    if time.time() - mark.get("beat", 0.0) > _SILENT_SECONDS:
        return False
    if mark.get("place") == runner()["place"] and os.name == "posix":
        return _is_there(int(mark["process"]))
    return True


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True)
class Begun:
    """A trial that was begun, and the entries of the storage that try it.

    Attributes
    ----------
    number : int
        Of the trial, from 0.
    entries : tuple of FrozenTrial
        In the order of their numbers.
    """

    number: int
    entries: tuple[FrozenTrial, ...]

    @property
    def first(self) -> int:
        """Number of the first entry."""
        return self.entries[0].number

    @property
    def complete(self) -> FrozenTrial | None:
        """The entry that has a value."""
        return next((each for each in self.entries if each.state == TrialState.COMPLETE), None)

    @property
    def reason(self) -> str | None:
        """Why the trial has failed, if it has."""
        marks = (each.user_attrs.get(FAILED) for each in self.entries)
        return next((str(mark) for mark in marks if mark), None)

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to do."""
        return self.complete is not None or self.reason is not None

    @property
    def is_running(self) -> bool:
        """Whether a process is at work on it."""
        return any(map(is_alive, self.entries))

    @property
    def latest(self) -> FrozenTrial:
        """The entry that tells most: the complete one, or the last that was not withdrawn."""
        kept = [each for each in self.entries if not each.user_attrs.get(WITHDRAWN)]
        return self.complete or (kept or self.entries)[-1]

    @property
    def values(self) -> FrozenTrial | None:
        """An entry that has all hyperparameters; they come into the storage one by one."""
        return next((each for each in self.entries if each.params.keys() >= _NAMES), None)

    @property
    def deaths(self) -> int:
        """How many processes died at work on it."""
        left = (STOPPED, WITHDRAWN)
        return sum(not any(each.user_attrs.get(mark) for mark in left) for each in self.entries)


def begun(entries: Sequence[FrozenTrial]) -> list[Begun]:
    """Return the trials that were begun, in the order of their first entries."""
    groups: dict[int, list[FrozenTrial]] = {}
    for each in sorted(entries, key=lambda entry: entry.number):
        groups.setdefault(each.user_attrs.get(AGAIN, each.number), []).append(each)
    return [Begun(number, tuple(groups[first])) for number, first in enumerate(sorted(groups))]
