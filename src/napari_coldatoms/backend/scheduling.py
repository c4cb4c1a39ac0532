"""Work through many jobs on any executor, with a bounded number of them in memory at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

Cancel = Event | Callable[[], bool] | None
"""An event that is set, or a function that returns True, once the work shall stop."""

# how long a cancel may go unnoticed while all workers are busy (s)
_CANCEL_LATENCY = 0.05


@dataclass(frozen=True)
class Outcome:
    """What became of one job: its place in the order, and its value or its error's text."""

    position: int
    value: Any = None
    error: str | None = None


def completed(
    work: Callable[..., Any],
    jobs: Iterable[Callable[[], tuple]],
    *,
    executor: Executor | None = None,
    cancel: Cancel = None,
    in_flight: int | None = None,
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs as they complete; an error in one job leaves the others alone.

    Parameters
    ----------
    work : callable
        A module-level function, so that it can go to another process.
    jobs : iterable of callables
        Each returns the arguments for `work`. They are called in the calling thread, one after the
        other and only when there is room, so that lazy data are read piece by piece.
    executor : concurrent.futures.Executor, optional
        Where to work; a ``dask.distributed.Client`` will do as well. None: in the calling thread.
    cancel : threading.Event or callable, optional
        Once set, jobs not yet started are dropped, and running ones are not waited for.
    in_flight : int, optional
        How many jobs may be under way at once; twice the number of processors by default.
    """
    if executor is None:
        for position, job in enumerate(jobs):
            if is_cancelled(cancel):
                return
            loaded = _load(position, job)
            if not isinstance(loaded, Outcome):
                yield _guarded(work, position, loaded)
            elif not is_cancelled(cancel):  # else it was stopped, and has not failed
                yield loaded
        return
    if hasattr(executor, "get_executor"):  # a dask client
        executor = executor.get_executor()
    room = in_flight or 2 * (os.cpu_count() or 1)
    places: dict[Future, int] = {}
    waiting = enumerate(jobs)
    broken: BrokenExecutor | None = None
    exhausted = False
    try:
        while not is_cancelled(cancel):
            while not exhausted and len(places) < room and not is_cancelled(cancel):
                following = next(waiting, None)
                if following is None:
                    exhausted = True
                    break
                position, job = following
                if broken is not None:  # nothing more can be computed: say so for each job
                    yield Outcome(position, error=describe(broken))
                    continue
                loaded = _load(position, job)
                if isinstance(loaded, Outcome):
                    if not is_cancelled(cancel):
                        yield loaded
                    continue
                try:
                    places[executor.submit(_guarded, work, position, loaded)] = position
                except BrokenExecutor as error:
                    broken = error
                    yield Outcome(position, error=describe(error))
            if not places:
                if exhausted:
                    return
                continue
            done, _ = wait(places, timeout=_CANCEL_LATENCY, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=places.__getitem__):
                yield _outcome(future, places.pop(future))
        # cancelled: keep what is done, drop the rest
        for future in sorted((f for f in places if f.done()), key=places.__getitem__):
            yield _outcome(future, places.pop(future))
    finally:
        for future in places:
            future.cancel()


def is_cancelled(cancel: Cancel) -> bool:
    """Return whether the work shall stop."""
    if cancel is None:
        return False
    return cancel.is_set() if isinstance(cancel, Event) else bool(cancel())


def describe(error: BaseException) -> str:
    """Return an error as one line of text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load(position: int, job: Callable[[], tuple]) -> tuple | Outcome:
    try:
        return job()
    except Exception as error:
        return Outcome(position, error=describe(error))


def _guarded(work: Callable[..., Any], position: int, arguments: tuple) -> Outcome:
    """Run in the worker; the error comes back as text, since not every exception can be pickled."""
    try:
        return Outcome(position, value=work(*arguments))
    except Exception as error:
        return Outcome(position, error=describe(error))


def _outcome(future: Future, position: int) -> Outcome:
    # errors here are the executor's own: a worker that died, arguments that cannot be pickled
    if future.cancelled():
        return Outcome(position, error="CancelledError: the executor was shut down")
    error = future.exception()
    return future.result() if error is None else Outcome(position, error=describe(error))
