"""The process of a tuning: ``python -m napari_coldatoms.analyses.tuning_child``.

As that of a training, see `clouds.training_child`: one request, what happens, and a stop at the
next step. Each trial is a training.
"""

from __future__ import annotations

from napari_coldatoms.analyses.tuning_folder import read_trials, tune_in_folder
from napari_coldatoms.clouds.training_child import pictures
from napari_coldatoms.clouds.training_messages import Stage, Trials
from napari_coldatoms.clouds.training_talk import Judged, Talk, answer
from napari_coldatoms.clouds.tune_training import TrainingObjective, check_start
from napari_coldatoms.clouds.tuning import Trial, Tuning
from napari_coldatoms.clouds.tuning_request import TuningRequest


def work(talk: Talk[TuningRequest]) -> Tuning:
    """Tune as it is asked for."""
    request = talk.request
    training = request.training
    # named as in the command, which goes on with the same tuning
    start = None if training.start == "random" else training.start
    check_start(start, training.recipe.architecture)
    data = pictures(training, talk.tell)
    # a trial that was begun is left in good order
    talk.stepping.set()
    objective = TrainingObjective(
        data.training, Judged(data.validation, talk), training.output, training.recipe, data.labels,
        start_weights=start, device=training.device, about=data.about(training.dataset),
        progress=lambda _, now: talk.tell(now),
    )  # fmt: skip

    def begun(number: int, found: Tuning) -> None:
        talk.tell(Trials(number, found.trials))
        talk.tell(Stage("weights"))

    def ended(trial: Trial, found: Tuning) -> None:
        talk.tell(Trials(trial.number, found.trials))
        talk.tell(Stage("choosing"))

    return tune_in_folder(
        objective, trials=request.trials, storage=request.storage, study=request.study,
        space=request.space, sobol=request.sobol, begun=begun, ended=ended,
        cancelled=talk.stopped.is_set,
    )  # fmt: skip


def so_far(request: TuningRequest) -> Tuning:
    """Return what is known of a tuning that has not begun."""
    return Tuning(request.space, read_trials(request.training.output), finished=False)


if __name__ == "__main__":
    answer(work, TuningRequest.from_dict, so_far)
