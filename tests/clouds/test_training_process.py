"""A training's own process: what it is asked, what it says, and how it ends. Nothing is trained."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_coldatoms.clouds.annotations import Annotated, DatasetError, create_set
from napari_coldatoms.clouds.recipe import PAPER
from napari_coldatoms.clouds.training import (
    CheckpointError,
    Epoch,
    Progress,
    Training,
    TrainingError,
)
from napari_coldatoms.clouds.training_folder import (
    BEST,
    HISTORY,
    read_history,
    so_far,
    write_history,
)
from napari_coldatoms.clouds.training_messages import (
    Failure,
    Plan,
    Stage,
    decoded,
    encoded,
    failure_of,
)
from napari_coldatoms.clouds.training_process import TrainingRequest, train_in_process
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError

CHILD = "napari_coldatoms.clouds.training_child"
PATIENCE = 60.0  # s, on a machine that does other things
EPOCHS = (
    Epoch(1, {"mask": 0.5, "box_reg": 0.25}, 1e-3, 0.4, 0.5, 12.5),
    Epoch(2, {"mask": 0.25, "box_reg": 0.125}, 1e-4, 0.75, 0.25, 25.0),
)


@pytest.fixture
def request_of(tmp_path):
    """Return a function: a training on a dataset of two pictures, and so many simulated frames."""
    dataset = create_set(tmp_path / "dataset", ["MOT", "ODT"])
    rows, columns = np.mgrid[:40, :50]
    mask = (rows - 20) ** 2 + (columns - 25) ** 2 < 49
    for n in range(2):
        dataset.put(Annotated(f"shot {n}", np.where(mask, 1.0, 0.0), ("MOT",), mask[None]))

    def make(**changes) -> TrainingRequest:
        return TrainingRequest(tmp_path / "dataset", tmp_path / "training", **changes)

    return make


def children() -> list[psutil.Process]:
    """Return this session's processes that train."""
    found = (each for each in psutil.Process().children() if each.status() != "zombie")
    return [each for each in found if CHILD in each.cmdline()]


def wait_for(condition) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_request_arrives_as_it_was(tmp_path):
    request = TrainingRequest(
        tmp_path, tmp_path / "out", "mine.safetensors", replace(PAPER, epochs=7), 30, "cpu", False
    )
    assert TrainingRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert request.start_weights == Path.cwd() / "mine.safetensors"
    starts = [TrainingRequest("a", "b", start).start_weights for start in ("coco", "random")]
    assert starts == ["coco", None]
    assert TrainingRequest("a", "b").start_weights == SHIPPED
    assert TrainingRequest("~/a", "b").dataset == Path.home() / "a"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"simulated": -1}, "simulated: expected no negative number, found -1"),
        ({"device": "abacus"}, "device: expected one of auto, cpu, cuda, mps, found 'abacus'"),
        ({"start": ""}, "start: expected shipped, coco, random or a path, found nothing"),
    ],
)
def test_a_request_that_cannot_be(changes, words):
    with pytest.raises(ValueError, match=words):
        TrainingRequest("a", "b", **changes)


@pytest.mark.parametrize(
    "message",
    [
        Plan(("MOT", "µ-trap"), 19, 100, 5, (4, 9)),
        Stage("judging", 3, 5),
        Progress(3, 9, {"mask": 0.5}),
        Progress(4, 9, dict(EPOCHS[0].losses), EPOCHS[0]),
        Training(True, EPOCHS, Path("a/best.safetensors"), Path("a/last.safetensors")),
        Training(False, (), None, None),
        Failure("value", "two\nlines", "traceback"),
    ],
)
def test_a_message_arrives_as_it_was(message):
    line = encoded(message)
    assert line.count(b"\n") == 1
    assert decoded(line) == message


def test_numbers_that_are_none_arrive_too():
    found = decoded(encoded(Progress(1, 2, {"mask": math.nan})))
    assert math.isnan(found.losses["mask"])


def test_what_is_no_message_is_passed_over():
    for line in (b"\n", b"noise\n", b"[1]\n", b'{"is": "Stage"}\n', b'{"is": "x"}\n', b"\xff\n"):
        assert decoded(line) is None


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (DatasetError("no such folder"), DatasetError, "no such folder"),
        (CheckpointError("another"), CheckpointError, "another"),
        (WeightsError("a pickle"), WeightsError, "a pickle"),
        (ValueError("expected 1"), ValueError, "expected 1"),
        (OSError("disk full"), OSError, "disk full"),
        (TrainingError("no loss"), TrainingError, "no loss"),
        (RuntimeError("CUDA out of memory. Tried"), TrainingError, "too little memory .CUDA out"),
        (MemoryError(), TrainingError, "too little memory"),
        (ImportError("no torch"), TrainingError, "torch and torchvision cannot be loaded"),
        (KeyError("a"), TrainingError, "the training failed: 'a'"),
    ],
)
def test_errors_are_raised_as_they_were(error, kind, words):
    told = decoded(encoded(failure_of(error, "the traceback"))).error()
    assert type(told) is kind
    with pytest.raises(kind, match=words):
        raise told


def test_the_folder_of_a_training_tells_its_epochs(tmp_path):
    assert read_history(tmp_path) == ()
    assert so_far(tmp_path) == Training(False, (), None, None)
    write_history(tmp_path, EPOCHS)
    (tmp_path / BEST).write_bytes(b"")
    assert read_history(tmp_path) == EPOCHS
    assert so_far(tmp_path) == Training(False, EPOCHS, tmp_path / BEST, None)
    for damaged in ("{", "[1]", '[{"number": 1}]', "3"):
        (tmp_path / HISTORY).write_text(damaged)
        assert read_history(tmp_path) == ()


def test_what_it_cannot_do_is_raised_as_in_one_process(tmp_path):
    with pytest.raises(DatasetError, match="expected a dataset"):
        train_in_process(TrainingRequest(tmp_path / "nowhere", tmp_path / "out"))
    assert children() == []


def test_a_cancel_before_the_first_step(request_of):
    request = request_of(simulated=10**6)
    request.output.mkdir()
    write_history(request.output, EPOCHS)
    stages = []
    done = train_in_process(request, stage=stages.append, cancelled=lambda: True)
    assert done == Training(False, EPOCHS, None, None)
    assert {each.what for each in stages} <= {"frames"}
    assert children() == []


def test_a_killed_process_is_told_and_may_go_on(request_of):
    def kill():
        wait_for(children)
        os.kill(children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrainingError, match=r"killed by SIGKILL.*goes on from its last checkpoint"):
        train_in_process(request_of(simulated=10**6))
    killer.join(PATIENCE)


def test_an_error_of_the_caller_ends_the_process(request_of):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_process(request_of(simulated=10**6), stage=interrupt)
    wait_for(lambda: not children())


def test_it_ends_with_its_session(request_of, tmp_path):
    request = request_of(simulated=10**6)
    script = (
        "import json, sys\n"
        "from napari_coldatoms.clouds.training_process import TrainingRequest, train_in_process\n"
        "request = TrainingRequest.from_dict(json.loads(sys.argv[1]))\n"
        "assert 'torch' not in sys.modules\n"
        "train_in_process(request, stage=lambda stage: print(stage.what, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(request.to_dict())],
        stdout=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdout.readline() == "frames\n"
        (child,) = psutil.Process(session.pid).children()
        session.kill()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
