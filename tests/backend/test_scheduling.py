"""Many jobs on an executor: other processes, and executors that break."""

from __future__ import annotations

import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from threading import Event

import pytest

from napari_coldatoms.backend.scheduling import completed, describe


def jobs(*arguments):
    return [partial(lambda x: (x,), argument) for argument in arguments]


@pytest.fixture
def processes():
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    yield pool
    pool.shutdown()


def test_errors_in_the_calling_thread_stay_with_their_job():
    found = list(completed(math.sqrt, jobs(4, -1, "x", 9)))
    assert [o.position for o in found] == [0, 1, 2, 3]
    assert [o.value for o in found] == [2.0, None, None, 3.0]
    assert found[1].error == "ValueError: math domain error"
    assert found[2].error is not None
    assert found[2].error.startswith("TypeError: ")


@pytest.mark.parametrize("threads", [False, True])
def test_what_a_cancel_stops_has_not_failed(threads):
    cancel = Event()

    def stopped():
        cancel.set()
        raise RuntimeError("stopped")

    work = [partial(lambda x: (x,), 4), stopped, partial(lambda x: (x,), 9)]
    pool = ThreadPoolExecutor(1) if threads else nullcontext()
    with pool as executor:
        found = list(completed(math.sqrt, work, executor=executor, cancel=cancel))
    assert all(outcome.error is None for outcome in found)
    assert [outcome.value for outcome in found] in ([2.0], [])


def test_processes_keep_errors_and_what_cannot_travel_apart(processes):
    found = list(completed(math.sqrt, jobs(4, -1, lambda: 0, 9), executor=processes))
    by_position = {o.position: o for o in found}
    assert sorted(by_position) == [0, 1, 2, 3]
    assert by_position[0].value == 2.0
    assert by_position[1].error == "ValueError: math domain error"
    assert "pickle" in str(by_position[2].error)
    assert by_position[3].value == 3.0


def test_a_dying_worker_fails_the_jobs_and_not_the_program(processes):
    found = list(completed(os._exit, jobs(*range(1, 40)), executor=processes, in_flight=2))
    assert sorted(o.position for o in found) == list(range(39))
    assert all(o.error is not None and o.error.startswith("BrokenProcessPool") for o in found)


def test_nothing_is_loaded_before_there_is_room():
    loaded = []

    def load(number):
        loaded.append(number)
        return (number,)

    with ThreadPoolExecutor(1) as threads:
        outcomes = completed(
            math.sqrt, [partial(load, n) for n in range(50)], executor=threads, in_flight=2
        )
        next(outcomes)
        assert len(loaded) <= 3
        outcomes.close()
    assert len(loaded) <= 3


def test_errors_become_one_line():
    assert describe(ValueError("a\n   b")) == "ValueError: a b"
    assert describe(KeyError()) == "KeyError"
