"""What is known of a tuning: its trials, and what they came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from napari_coldatoms.clouds.search_space import Hyperparameters, Space

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Attempt", "Objective", "State", "Trial", "Tuning", "TuningError"]

State: TypeAlias = Literal["done", "running", "stopped", "failed"]


class TuningError(ValueError):
    """A storage that cannot be read, or that holds another tuning."""


@dataclass(frozen=True)
class Attempt:
    """What an objective is told of the trial that it is of.

    Attributes
    ----------
    number : int
        Of the trial, from 0; the same again when a trial goes on that was stopped or killed.
    cancelled : callable
        Whether the objective should raise `InterruptedError` soon.
    notes : dict of str to float
        For what else is worth knowing of the trial: it is kept with the value.
    """

    number: int
    cancelled: Callable[[], bool]
    notes: dict[str, float] = field(default_factory=dict)


Objective: TypeAlias = Callable[[Hyperparameters, Attempt], float]
"""What is tuned: the higher its value the better; not finite where there is none."""


@dataclass(frozen=True)
class Trial:
    """One choice of hyperparameters.

    Attributes
    ----------
    number : int
        From 0.
    state : "done", "running", "stopped" or "failed"
        What is stopped, or was killed, goes on when somebody tunes; what failed does not.
    source : "sobol" or "model"
        Whether it is a point of Sobol's sequence, or was chosen by a Gaussian process.
    hyperparameters : Hyperparameters or None
        None for a trial that ended before they were chosen.
    value : float or None
        What the objective returned, of trials that are done.
    seconds : float or None
        How long the objective took; of a trial that went on, the last time.
    notes : dict of str to float
        What the objective noted.
    reason : str
        Why it failed.
    """

    number: int
    state: State
    source: Literal["sobol", "model"]
    hyperparameters: Hyperparameters | None
    value: float | None = None
    seconds: float | None = None
    notes: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Tuning:
    """What a tuning came to.

    Attributes
    ----------
    space : Space
        What it may choose.
    trials : tuple of Trial
        In the order in which they were begun, those of other processes included.
    finished : bool
        Whether all trials that were asked for are done or have failed; false after a cancel, and
        while another process is at work.
    """

    space: Space
    trials: tuple[Trial, ...]
    finished: bool

    @property
    def done(self) -> tuple[Trial, ...]:
        """The trials that have a value."""
        return tuple(each for each in self.trials if each.value is not None)

    @property
    def best(self) -> Trial | None:
        """The trial of the highest value, the first of several; None before any is done."""
        values = [each.value for each in self.done if each.value is not None]
        return self.done[values.index(max(values))] if values else None

    def table(self) -> pd.DataFrame:
        """Return one row for each trial, with a column for each hyperparameter and note."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for each in self.trials:
            chosen = each.hyperparameters
            rows.append(
                {
                    "trial": each.number,
                    "source": each.source,
                    "state": each.state,
                    **(asdict(chosen) if chosen else dict.fromkeys(self.space.ranges)),
                    "value": each.value,
                    "seconds": each.seconds,
                    **each.notes,
                    "reason": each.reason,
                }
            )
        columns = ["trial", "source", "state", *self.space.ranges, "value", "seconds"]
        notes = {name for each in self.trials for name in each.notes}
        return pd.DataFrame(rows, columns=[*columns, *sorted(notes), "reason"])
