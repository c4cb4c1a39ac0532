"""The folder of a tuning with a cheap objective; what its process is told and says."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import torch  # noqa: F401  (before a window of other tests is there)

from napari_coldatoms.analyses.tuning_child import so_far
from napari_coldatoms.analyses.tuning_folder import (
    FIGURE,
    STORAGE,
    TABLE,
    read_trials,
    tune_in_folder,
)
from napari_coldatoms.clouds.recipe import PAPER, SHOTS, Recipe
from napari_coldatoms.clouds.search_space import Hyperparameters, Range, Space
from napari_coldatoms.clouds.training_messages import Trials, decoded, encoded, failure_of
from napari_coldatoms.clouds.training_request import TrainingRequest
from napari_coldatoms.clouds.tune import read_tuning
from napari_coldatoms.clouds.tune_training import check_start
from napari_coldatoms.clouds.tuning import Trial, Tuning, TuningError
from napari_coldatoms.clouds.tuning_request import TuningRequest
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError

VALUES = Hyperparameters(1e-3, 0.8, 9, 0.25)
TRIALS = (
    Trial(0, "done", "sobol", VALUES, 0.5, 12.5, {"box": 0.25, "mask": 0.75, "epoch": 2.0}),
    Trial(1, "failed", "sobol", VALUES, seconds=3.0, reason="its value was nan"),
    Trial(2, "stopped", "model", None),
)


@dataclass
class Cheap:
    """What a tuning asks of a training, without one: momentum is the value, but for one trial."""

    folder: Path
    stop_at: int = -1
    recipe: Recipe = PAPER

    def __post_init__(self) -> None:
        self.tidied: list[int] = []

    def __call__(self, values, attempt) -> float:
        if attempt.number == self.stop_at:
            raise InterruptedError
        attempt.notes.update(box=values.momentum, mask=values.momentum)
        return math.nan if attempt.number == 1 else values.momentum

    def describe(self) -> dict:
        return {"recipe": {"epochs": 2}}

    def tidy(self, number: int) -> None:
        self.tidied.append(number)


def test_files_are_written_after_each_trial_and_tell_the_trials(tmp_path):
    folder = tmp_path / "new" / "tuning"
    begun, ended = [], []

    def at_end(trial, found):
        assert read_trials(folder) == found.trials
        ended.append((trial.number, len(pd.read_csv(folder / TABLE))))

    cheap = Cheap(folder, stop_at=2)
    found = tune_in_folder(
        cheap, trials=3, begun=lambda number, now: begun.append((number, now.trials[-1].state)),
        ended=at_end,
    )  # fmt: skip
    assert begun == [(0, "running"), (1, "running"), (2, "running")]
    assert ended == [(0, 1), (1, 2)]
    assert cheap.tidied == [0, 1]
    assert not found.finished
    assert [each.state for each in found.trials] == ["done", "failed", "stopped"]
    # what a window reads is what the storage has
    assert read_trials(folder) == found.trials == read_tuning(folder / STORAGE).trials
    assert read_trials(folder)[0].notes == {"box": 0.7, "mask": 0.7}
    assert (folder / FIGURE).read_bytes().startswith(b"\x89PNG")
    # it goes on, here with what is kept elsewhere
    again = tune_in_folder(Cheap(tmp_path / "else"), trials=3, storage=str(folder / STORAGE))
    assert again.finished
    assert again.trials[:2] == found.trials[:2]
    assert read_trials(tmp_path / "else") == again.trials
    assert not (tmp_path / "else" / STORAGE).exists()


def test_a_folder_without_trials_has_none(tmp_path):
    assert read_trials(tmp_path) == ()
    for damaged in (b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"trial,state\nx,done\n", b'"'):
        (tmp_path / TABLE).write_bytes(damaged)
        assert read_trials(tmp_path) == ()
    request = TuningRequest(TrainingRequest(tmp_path, tmp_path))
    assert so_far(request) == Tuning(Space(), (), finished=False)


def test_a_request_arrives_as_it_was(tmp_path):
    training = TrainingRequest(tmp_path, tmp_path / "out", "random", replace(SHOTS, epochs=7))
    request = TuningRequest(
        training, 7, 3, Space(momentum=Range(0.1, 0.2)), "sqlite:///a/b.db", "mine"
    )
    assert TuningRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert request.storage == "sqlite:///a/b.db"
    # a file is the same from everywhere
    assert TuningRequest(training, storage="b.journal").storage == str(Path.cwd() / "b.journal")
    assert TuningRequest(training).space == Space()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 0}, "trials: expected at least 1, found 0"),
        ({"sobol": -1}, "sobol: expected no negative number, found -1"),
        ({"study": ""}, "study: expected a name, found nothing"),
    ],
)
def test_a_request_that_cannot_be(changes, words):
    with pytest.raises(ValueError, match=words):
        TuningRequest(TrainingRequest("a", "b"), **changes)


def test_messages_arrive_as_they_were():
    under_way = replace(TRIALS[2], state="running")
    for message in (
        Trials(0, TRIALS),
        Trials(2, (*TRIALS[:2], under_way)),
        Tuning(Space(decay=Range(0.1, 0.2, log=True)), TRIALS, finished=True),
    ):
        assert decoded(encoded(message)) == message
    assert not Trials(0, TRIALS).has_begun
    assert not Trials(2, TRIALS).has_begun
    assert Trials(2, (*TRIALS[:2], under_way)).has_begun
    told = decoded(encoded(failure_of(TuningError("another tuning")))).error()
    assert type(told) is TuningError


def test_start_weights_of_another_network_are_told():
    for start, architecture in ((None, "small"), ("shipped", "small"), ("coco", "resnet50")):
        check_start(start, architecture)
    check_start(SHIPPED, "small")
    with pytest.raises(WeightsError, match="shipped: expected a network resnet50, found small"):
        check_start("shipped", "resnet50")
    with pytest.raises(WeightsError, match="coco: expected a network small, found resnet50"):
        check_start("coco", "small")
