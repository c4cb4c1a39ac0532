"""Tuning of a cheap function of the four hyperparameters, with stops, kills and company."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: F401  (before a window of other tests is there)
from scipy.stats import qmc

from napari_coldatoms.analyses.tuning_figure import plot_tuning
from napari_coldatoms.clouds.recipe import PAPER
from napari_coldatoms.clouds.search_space import Hyperparameters, Range, Space
from napari_coldatoms.clouds.surrogate import surrogate_slices
from napari_coldatoms.clouds.tune import read_tuning, tune
from napari_coldatoms.clouds.tuning import Trial, Tuning, TuningError
from napari_coldatoms.clouds.tuning_claims import RUNNER, runner
from napari_coldatoms.clouds.tuning_storage import open_study
from napari_coldatoms.clouds.tuning_study import TuningStudy

BEST = (2e-3, 0.86, 11, 0.05)


def bowl(values: Hyperparameters, attempt=None, best=BEST) -> float:
    """Return a smooth function whose highest value is 1; rate and momentum interact."""
    a = math.log10(values.learning_rate / best[0]) / 1.95
    b = (values.momentum - best[1]) / 0.22
    c = (values.decay_epochs - best[2]) / 12
    d = math.log10(values.decay / best[3]) / 3
    return 1 - 2 * a**2 - b**2 - 2 * a * b - 0.5 * c**2 - 0.7 * d**2


def sobol_points(number: int) -> list[Hyperparameters]:
    """Return what scipy has, on the scales of the paper's Table 1."""
    unit = qmc.Sobol(4, scramble=False).random(8)[:number]
    low, high = np.log10([1e-4, 1e-3]), np.log10([9e-3, 1.0])
    logarithms = qmc.scale(unit[:, [0, 3]], low, high)
    momenta = qmc.scale(unit[:, [1]], 0.7, 0.92)[:, 0]
    epochs = 3 + np.floor(13 * unit[:, 2])
    return [
        Hyperparameters(10**rate, momentum, int(count), 10**decay)
        for (rate, decay), momentum, count in zip(logarithms, momenta, epochs, strict=True)
    ]


def assert_same(found: Hyperparameters | None, expected: Hyperparameters) -> None:
    assert found is not None
    assert found.decay_epochs == expected.decay_epochs
    for name in ("learning_rate", "momentum", "decay"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)


# what other processes do: an objective that writes down what it is asked, and may never answer
PROCESS = """
import json, sys, time
from napari_coldatoms.clouds.tune import tune
storage, log, trials, hang, pause = sys.argv[1:]

def objective(values, attempt):
    with open(log, "a") as file:
        file.write(json.dumps([attempt.number, values.learning_rate]) + "\\n")
    if attempt.number == int(hang):
        time.sleep(600)
    time.sleep(float(pause))
    return values.momentum

tune(objective, trials=int(trials), storage=storage)
"""


def process(storage: Path, log: Path, trials: int, hang: int = -1, pause: float = 0.0):
    arguments = map(str, (storage, log, trials, hang, pause))
    return subprocess.Popen([sys.executable, "-c", PROCESS, *arguments])


def logged(log: Path) -> list[list[float]]:
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def killed_in(number: int, storage: Path, log: Path, trials: int) -> None:
    """Run a process until it is in the middle of a trial, and kill it there."""
    running = process(storage, log, trials, hang=number)
    until = time.monotonic() + 120
    while not any(line[0] == number for line in logged(log)):
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    running.kill()
    assert running.wait() == -signal.SIGKILL


class Asked:
    """An objective that knows what it was asked."""

    def __init__(self, function=bowl) -> None:
        self.function = function
        self.numbers: list[int] = []
        self.values: list[Hyperparameters] = []

    def __call__(self, values, attempt) -> float:
        self.numbers.append(attempt.number)
        self.values.append(values)
        return self.function(values, attempt)


def test_the_space_is_that_of_the_paper():
    space = Space()
    assert space.at([0, 0, 0, 0]) == Hyperparameters(1e-4, 0.7, 3, 1e-3)
    assert_same(space.at([1, 1, 1, 1]), Hyperparameters(9e-3, 0.92, 15, 1.0))
    # the middle of a logarithmic range is the geometric mean
    assert space.at([0.5] * 4).learning_rate == pytest.approx(math.sqrt(1e-4 * 9e-3))
    shares = np.bincount(
        [space.at([0, 0, u, 0]).decay_epochs for u in (np.arange(130) + 0.5) / 130]
    )
    assert shares[3:].tolist() == [10] * 13
    values = space.at([0.2, 0.3, 0.4, 0.9])
    assert_same(space.at(space.parts(values)), values)
    # what the paper found best lies in it
    found = Hyperparameters(PAPER.learning_rate, PAPER.momentum, PAPER.decay_epochs, PAPER.decay)
    assert (space.parts(found) > 0).all()
    assert (space.parts(found) < 1).all()
    assert found.recipe(PAPER) == PAPER
    assert values.recipe(PAPER).rate(0, 100, 14) < values.recipe(PAPER).rate(0, 100, 0)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((2, 1), "expected a range low < high"),
        ((0.0, 1.0, True), "log: expected a range above 0"),
        ((0.5, 2, False, True), "whole: expected whole bounds"),
    ],
)
def test_ranges_are_checked(bounds, words):
    with pytest.raises(ValueError, match=words):
        Range(*bounds)


def test_five_points_of_sobols_sequence_then_a_model():
    asked, told = Asked(), []
    found = tune(asked, trials=7, progress=told.append)
    assert found.finished
    for own, expected in zip(asked.values[:5], sobol_points(5), strict=True):
        assert_same(own, expected)
    assert [each.source for each in found.trials] == ["sobol"] * 5 + ["model"] * 2
    assert asked.numbers == list(range(7)) == [each.number for each in told]
    assert len({(v.learning_rate, v.momentum, v.decay) for v in asked.values}) == 7
    assert not any(
        own == later for own in asked.values[5:] for later in map(Space().sobol, range(5, 8))
    )
    assert found.best is not None
    assert found.best.value == max(map(bowl, asked.values))
    # the choice is a function of what is known
    again = Asked()
    tune(again, trials=7)
    assert again.values == asked.values


def test_it_goes_on_and_repeats_nothing(tmp_path):
    storage = tmp_path / "new" / "trials.db"
    first, second, third = Asked(), Asked(), Asked()
    assert tune(first, trials=3, storage=storage).finished
    found = tune(second, trials=6, storage=storage)
    assert tune(third, trials=6, storage=storage) == found
    assert (first.numbers, second.numbers, third.numbers) == ([0, 1, 2], [3, 4, 5], [])
    # as if it had not been stopped
    assert [each.hyperparameters for each in tune(bowl, trials=6).trials] == [
        *first.values, *second.values,
    ]  # fmt: skip
    read = read_tuning(storage)
    assert read == found
    table = read.table()
    assert table["value"].tolist() == [bowl(each) for each in (*first.values, *second.values)]
    assert table["source"].tolist() == ["sobol"] * 5 + ["model"]


@pytest.mark.parametrize("number", [2, pytest.param(6, marks=pytest.mark.slow)])
def test_a_kill_loses_and_repeats_nothing(number, tmp_path):
    storage, log = tmp_path / "trials.db", tmp_path / "log"
    killed_in(number, storage, log, trials=10)
    before = logged(log)
    left = read_tuning(storage)
    assert [each.state for each in left.trials] == ["done"] * number + ["stopped"]
    assert not left.finished
    asked = Asked(lambda values, attempt: values.momentum)
    found = tune(asked, trials=number + 2, storage=storage)
    assert found.finished
    # the one that was running, with what had been chosen, and the next
    assert asked.numbers == [number, number + 1]
    assert [number, asked.values[0].learning_rate] == before[-1]
    assert [line[0] for line in before] == list(range(number + 1))
    done = [each.hyperparameters.learning_rate for each in found.done]
    assert done == [*(line[1] for line in before), asked.values[1].learning_rate]
    assert tune(asked, trials=number + 2, storage=storage) == found


@pytest.mark.parametrize(
    "name", ["trials.db", pytest.param("trials.journal", marks=pytest.mark.slow)]
)
def test_two_processes_share_the_points(name, tmp_path):
    storage, logs = tmp_path / name, [tmp_path / "one", tmp_path / "two"]
    both = [process(storage, log, trials=5, pause=0.3) for log in logs]
    assert [each.wait(240) for each in both] == [0, 0]
    asked = sorted(line for log in logs for line in logged(log))
    assert [line[0] for line in asked] == list(range(5))
    for (_, rate), expected in zip(asked, sobol_points(5), strict=True):
        assert rate == pytest.approx(expected.learning_rate)
    found = read_tuning(storage)
    assert found.finished
    assert len(found.done) == 5


def a_dead_process() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_many_that_look_at_once_get_different_trials(tmp_path):
    storage, space = tmp_path / "trials.db", Space()
    dead = runner() | {"process": a_dead_process()}
    with open_study(storage, "clouds", {}) as study:
        own = TuningStudy(study, space, 5)
        study._storage.set_trial_user_attr(own.next(9).identity, RUNNER, dead)
    together, got = threading.Barrier(4), []

    def look() -> None:
        with open_study(storage, "clouds", {}) as study:
            own = TuningStudy(study, space, 5)
            together.wait()
            got.append(own.next(3))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = sorted((each for each in got if each is not None), key=lambda each: each.number)
    numbers = [each.number for each in held]
    assert len(got) == 4
    assert numbers == sorted(set(numbers))
    # who came too late for one may have left without another; nothing is lost
    with open_study(storage, "clouds", {}) as study:
        own = TuningStudy(study, space, 5)
        while (each := own.next(3)) is not None:
            held.append(each)
    assert sorted(each.number for each in held) == [0, 1, 2]
    for each in held:
        assert_same(each.values, sobol_points(5)[each.number])


def test_a_kill_between_the_numbers_of_a_trial(tmp_path):
    from optuna.distributions import FloatDistribution
    from optuna.trial import TrialState, create_trial

    dead = runner() | {"process": a_dead_process()}
    with open_study(tmp_path / "trials.db", "clouds", {}) as study:
        one = {"learning_rate": FloatDistribution(1e-4, 9e-3, log=True)}
        running = create_trial(
            state=TrialState.RUNNING, user_attrs={RUNNER: dead},
            params={"learning_rate": 1e-3}, distributions=one,
        )  # fmt: skip
        study.add_trial(running)
        own = TuningStudy(study, Space(), 5)
        assert own.trials()[0].hyperparameters is None
        held = own.next(1)
        assert held.number == 0
        assert_same(held.values, sobol_points(1)[0])


def test_another_machine_is_waited_for(tmp_path):
    with open_study(tmp_path / "trials.db", "clouds", {}) as study:
        own = TuningStudy(study, Space(), 5)
        held = own.next(2)
        elsewhere = {"place": "another machine", "process": 1}
        study._storage.set_trial_user_attr(held.identity, RUNNER, runner() | elsewhere)
        assert own.next(1) is None
        # silent for more than five minutes
        silent = runner(time.time() - 301) | elsewhere
        study._storage.set_trial_user_attr(held.identity, RUNNER, silent)
        again = own.next(1)
        assert (again.number, again.values) == (held.number, held.values)
        # it was only slow: its value comes too late
        own.tell(held, 0.5, 1.0, {})
        assert own.trials()[0].value is None
        own.tell(again, 0.7, 1.0, {})
        assert own.trials()[0].value == 0.7


def test_a_trial_that_kills_has_failed_at_last(tmp_path):
    dead = runner() | {"process": a_dead_process()}
    with open_study(tmp_path / "trials.db", "clouds", {}) as study:
        own = TuningStudy(study, Space(), 5)
        for _ in range(3):
            held = own.next(2)
            assert held.number == 0
            study._storage.set_trial_user_attr(held.identity, RUNNER, dead)
        assert own.next(2).number == 1
        first = own.trials()[0]
    assert (first.state, first.reason) == ("failed", "3 processes ended at work on it")


@pytest.mark.parametrize("error", [InterruptedError, KeyboardInterrupt])
def test_what_was_broken_off_goes_on(error, tmp_path):
    storage = tmp_path / "trials.db"

    def breaks(values, attempt):
        if attempt.number == 1:
            raise error
        attempt.notes["box"] = 0.25
        return bowl(values)

    if error is InterruptedError:
        found = tune(breaks, trials=3, storage=storage)
        assert not found.finished
    else:
        with pytest.raises(error):
            tune(breaks, trials=3, storage=storage)
    assert [each.state for each in read_tuning(storage).trials] == ["done", "stopped"]
    asked = Asked()
    found = tune(asked, trials=3, storage=storage)
    assert asked.numbers == [1, 2]
    assert found.finished
    assert found.trials[0].notes == {"box": 0.25}
    assert found.table()["box"].tolist()[0] == 0.25


def test_a_cancel_ends_it_between_trials():
    asked = Asked()
    found = tune(asked, trials=5, cancelled=lambda: len(asked.numbers) == 2)
    assert not found.finished
    assert asked.numbers == [0, 1]


def test_no_value_is_a_failure(tmp_path):
    def no_value(values, attempt):
        return math.nan if attempt.number < 4 else math.inf

    found = tune(no_value, trials=6, storage=tmp_path / "trials.db")
    assert found.finished
    assert {each.state for each in found.trials} == {"failed"}
    assert found.best is None
    assert found.trials[0].reason == "its value was nan"


def test_other_tunings_are_not_mixed(tmp_path):
    storage = tmp_path / "trials.db"
    tune(bowl, trials=1, storage=storage, about={"recipe": {"epochs": 3}})
    with pytest.raises(TuningError, match="with objective: recipe: epochs 4, found 3"):
        tune(bowl, trials=2, storage=storage, about={"recipe": {"epochs": 4}})
    with pytest.raises(TuningError, match=r"with space: momentum: low 0.8, found 0.7"):
        tune(bowl, trials=2, storage=storage, space=Space(momentum=Range(0.8, 0.92)))
    tune(bowl, trials=1, storage=storage, study="others")
    with pytest.raises(TuningError, match="expected a tuning 'none', found none"):
        read_tuning(storage, "none")


def test_what_is_no_storage(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to be looked at " * 10)
    for storage in (text, tmp_path, "nosuch://host/name"):
        with pytest.raises(TuningError, match="expected the trials of a tuning"):
            tune(bowl, trials=1, storage=storage)
    with pytest.raises(TuningError, match="found no file"):
        read_tuning(tmp_path / "none.db")
    assert text.read_text().startswith("no database")
    with pytest.raises(ValueError, match="trials: expected at least 1"):
        tune(bowl, trials=0)
    with pytest.raises(ValueError, match="sobol: expected no negative number"):
        tune(bowl, sobol=-1)


@pytest.mark.slow
def test_it_beats_random_search():
    wins, length = 0, 20
    for seed in range(10):
        rng = np.random.default_rng(seed)
        # the points of the sequence are always the same: the highest place is not
        best = dataclasses.astuple(Space().at(rng.uniform(0.1, 0.9, 4)))
        random = max(bowl(Space().at(point), best=best) for point in rng.random((length, 4)))
        found = tune(partial(bowl, best=best), trials=length, seed=seed)
        assert found.best is not None
        wins += found.best.value > random
    assert wins >= 8


@pytest.fixture(scope="module")
def known() -> Tuning:
    """Return a tuning of many trials, which no optimiser chose."""
    space = Space()
    points = qmc.Sobol(4, seed=1).random(32)
    trials = [
        Trial(n, "done", "sobol" if n < 5 else "model", space.at(point), bowl(space.at(point)))
        for n, point in enumerate(points)
    ]
    return Tuning(space, tuple(trials), finished=True)


def test_slices_of_the_surrogate_are_those_of_the_function(known):
    slices = surrogate_slices(known, points=9)
    assert [(each.x, each.y) for each in slices] == [
        ("learning_rate", "momentum"), ("learning_rate", "decay_epochs"),
        ("learning_rate", "decay"), ("momentum", "decay_epochs"), ("momentum", "decay"),
        ("decay_epochs", "decay"),
    ]  # fmt: skip
    best = known.best.hyperparameters
    for each in slices:
        assert each.mean.shape == each.error.shape == (len(each.y_values), len(each.x_values))
        truth = [
            [bowl(known.space.take(vars(best) | {each.x: x, each.y: y})) for x in each.x_values]
            for y in each.y_values
        ]
        wrong = each.mean - np.array(truth)
        assert np.sqrt(np.mean(wrong**2)) < 0.05
        # and it knows how well it knows
        assert np.mean(np.abs(wrong) <= 3 * each.error) > 0.9
    assert slices[1].y_values.tolist() == list(range(3, 16))
    with pytest.raises(ValueError, match="expected 5 trials that are done, found 4"):
        surrogate_slices(Tuning(known.space, known.trials[:4], finished=True))


def test_the_figure_shows_slices_and_the_best_value(known, tmp_path):
    figure = plot_tuning(known, value="mAP", points=9)
    *slices, course = figure.axes[:3] + figure.axes[4:7] + figure.axes[3:4]
    assert [len(axis.collections) for axis in slices] == [4] * 6
    for axis in slices:
        star = axis.collections[-1].get_offsets()
        names = {"learning rate": "learning_rate", "momentum": "momentum", "decay": "decay"}
        if axis.get_xlabel() in names:
            value = getattr(known.best.hyperparameters, names[axis.get_xlabel()])
            assert star[0, 0] == pytest.approx(value)
    best = course.lines[1].get_ydata()
    assert best[-1] == known.best.value
    assert (np.diff(best) >= 0).all()
    figure.savefig(tmp_path / "tuning.png", dpi=50)
    # before there is anything to see, and where all is the same
    equal = [dataclasses.replace(each, value=0.0) for each in known.trials[:5]]
    for trials in ((), known.trials[:2], equal):
        plot_tuning(Tuning(known.space, tuple(trials), finished=False), points=3)
