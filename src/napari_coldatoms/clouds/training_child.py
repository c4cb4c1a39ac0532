"""The process of a training: ``python -m napari_coldatoms.clouds.training_child``.

torch must not be loaded beside a window, see `server`; and a training that is asked for in a window
leaves that smooth. The process reads one request, a line of JSON, from its standard input, and
writes what happens to its standard output, see `training_messages`. The word ``cancel``, or the end
of its input, which comes with the end of its session, make it stop at the next step, with a
checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.mixing import TrainingData, training_data
from napari_coldatoms.clouds.recipe import Recipe
from napari_coldatoms.clouds.training import Progress, Training
from napari_coldatoms.clouds.training_folder import so_far
from napari_coldatoms.clouds.training_messages import Message, Plan, Stage
from napari_coldatoms.clouds.training_request import TrainingRequest
from napari_coldatoms.clouds.training_talk import Judged, Talk, answer

__all__ = ["pictures"]


def pictures(request: TrainingRequest, tell: Callable[[Message], None]) -> TrainingData:
    """Return what a training sees, simulated frames made if need be, and tell what is planned."""
    if request.simulated:
        tell(Stage("frames", 0, request.simulated))
    data = training_data(
        request.dataset,
        simulated=request.simulated,
        frames=request.output / "frames",
        progress=lambda done, total: tell(Stage("frames", done, total)),
    )
    tell(Stage("weights"))
    tell(_plan(data, request.recipe))
    return data


def work(talk: Talk[TrainingRequest]) -> Training:
    """Train as it is asked for."""
    from napari_coldatoms.clouds.train import train

    request = talk.request

    def stepped(progress: Progress) -> None:
        talk.stepping.set()
        talk.tell(progress)

    data = pictures(request, talk.tell)
    return train(
        data.training,
        Judged(data.validation, talk),
        request.recipe,
        output=request.output,
        labels=data.labels,
        start_weights=request.start_weights,
        device=request.device,
        about=_about(request, data),
        progress=stepped,
        cancelled=talk.stopped.is_set,
        resume=request.resume,
    )


def _plan(data: TrainingData, recipe: Recipe) -> Plan:
    from napari_coldatoms.clouds.batches import plan

    steps = plan(len(data.training), recipe)
    ends = {step.epoch: step.number + 1 for step in steps}
    return Plan(data.labels, data.own, data.simulated, len(data.validation), tuple(ends.values()))


def _about(request: TrainingRequest, data: TrainingData) -> dict[str, Any]:
    # a whole path is nobody's business where the weights go
    return {**data.about(request.dataset), "start weights": Path(request.start).name}


if __name__ == "__main__":
    answer(work, TrainingRequest.from_dict, lambda request: so_far(request.output))
