from __future__ import annotations

import threading

import pytest

from napari_coldatoms.widgets.jobs import Job


def test_the_value_arrives_with_the_progress(qtbot) -> None:
    job = Job()
    told, threads = [], []
    job.progressed.connect(lambda done, total: told.append((done, total)))

    def work(*, progress, cancel):
        threads.append(threading.current_thread())
        for done in range(1001):
            progress(done, 1000)
        return "done"

    with qtbot.waitSignal(job.succeeded) as got, qtbot.waitSignal(job.finished):
        job.start(work)
        assert job.running
    assert got.args == ["done"]
    assert not job.running
    assert threads[0] is not threading.main_thread()
    assert told[-1] == (1000, 1000)
    assert len(told) < 100  # a thousand signals would drown the event loop


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError("superqt drops these")])
def test_an_error_is_handed_back_whatever_its_type(qtbot, error) -> None:
    job = Job()

    def work(*, progress, cancel):
        raise error

    with qtbot.waitSignal(job.failed) as got:
        job.start(work)
    assert got.args == [error]
    assert not job.running


def test_cancel_is_a_request_and_what_there_is_arrives(qtbot) -> None:
    job = Job()
    started = threading.Event()

    def work(*, progress, cancel):
        started.set()
        while not cancel():
            threading.Event().wait(0.005)
        return "half"

    with qtbot.waitSignal(job.succeeded) as got:
        job.start(work)
        with pytest.raises(RuntimeError, match="still at work"):
            job.start(work)
        qtbot.waitUntil(started.is_set)
        job.cancel()
    assert got.args == ["half"]


def test_an_abandoned_job_says_nothing_and_the_next_one_is_its_own(qtbot) -> None:
    job = Job()
    got, release = [], threading.Event()
    job.succeeded.connect(got.append)

    def slow(*, progress, cancel):
        release.wait(5)
        progress(1, 1)
        return ("slow", cancel())

    job.start(slow)
    qtbot.wait(20)
    job.abandon()
    assert not job.running
    with qtbot.waitSignal(job.succeeded):
        job.start(lambda *, progress, cancel: ("quick", cancel()))
        qtbot.waitUntil(lambda: not job.running)
    release.set()
    qtbot.wait(100)
    assert got == [("quick", False)]
