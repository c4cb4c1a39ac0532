"""Tuning in a process of its own, such as beside a window. Nothing here loads torch or optuna.

What happens in that process: see `tuning_child`.
"""

from __future__ import annotations

from collections.abc import Callable

from napari_coldatoms.clouds.training import Progress
from napari_coldatoms.clouds.training_messages import Plan, Stage, Trials
from napari_coldatoms.clouds.training_process import ask_process
from napari_coldatoms.clouds.tuning import Tuning
from napari_coldatoms.clouds.tuning_request import TuningRequest

__all__ = ["TuningRequest", "tune_in_process"]

_CHILD = "napari_coldatoms.analyses.tuning_child"


def tune_in_process(
    request: TuningRequest,
    *,
    trials: Callable[[Trials], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stage: Callable[[Stage], None] | None = None,
    planned: Callable[[Plan], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Tuning:
    """Look for the hyperparameters of a training, in a process of its own; wait for it.

    All functions are called in the caller's thread.

    Parameters
    ----------
    request : TuningRequest
        What is tuned, and where its files go: table and figure are written after each trial.
    trials : callable, optional
        Called when a trial begins, and when one has ended.
    progress : callable, optional
        Called after each step and each epoch of a trial.
    stage : callable, optional
        Called while frames are simulated, weights loaded, pictures judged, a trial chosen.
    planned : callable, optional
        Called once, when the pictures are known, with what each trial is going to do.
    cancelled : callable, optional
        Asked all the time; true ends the tuning at the next step, with a checkpoint.

    Returns
    -------
    Tuning
        Not finished after a cancel; the same request then goes on.

    Raises
    ------
    DatasetError, WeightsError, TuningError, ValueError, OSError
        What `tune_in_folder` and `mixing.training_data` raise.
    TrainingError
        It cannot go on; or the process ended by itself: the same request then goes on.
    """
    calls = {Trials: trials, Progress: progress, Stage: stage, Plan: planned}
    return ask_process(
        _CHILD, request.to_dict(), Tuning, calls, cancelled,
        goes_on="the same tuning goes on where it was",
    )  # fmt: skip
