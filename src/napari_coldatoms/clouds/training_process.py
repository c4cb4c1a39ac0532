"""Training in a process of its own, such as beside a window. Nothing here loads torch.

What happens in that process: see `training_child`.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from napari_coldatoms.clouds.child_process import ChildProcess
from napari_coldatoms.clouds.training import Progress, Training, TrainingError
from napari_coldatoms.clouds.training_messages import (
    CANCEL,
    Failure,
    Message,
    Plan,
    Stage,
    decoded,
)
from napari_coldatoms.clouds.training_request import TrainingRequest

__all__ = ["TrainingRequest", "ask_process", "train_in_process"]

_CHILD = "napari_coldatoms.clouds.training_child"
# how often `cancelled` is asked (s)
_LOOK = 0.1
# a step and a checkpoint take seconds; what does not stop within this time (s) is ended
_LONGEST_STOP = 120.0
# s, for a process that has said its last word
_FAREWELL = 10.0

_Outcome = TypeVar("_Outcome")


def train_in_process(
    request: TrainingRequest,
    *,
    progress: Callable[[Progress], None] | None = None,
    stage: Callable[[Stage], None] | None = None,
    planned: Callable[[Plan], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Training:
    """Train a network on a dataset folder, in a process of its own; wait for it.

    All functions are called in the caller's thread.

    Parameters
    ----------
    request : TrainingRequest
        On what, from what, how, and where the files go.
    progress : callable, optional
        Called after each step and each epoch.
    stage : callable, optional
        Called while frames are simulated, weights loaded, pictures judged.
    planned : callable, optional
        Called once, when the pictures are known.
    cancelled : callable, optional
        Asked all the time; true ends the training at the next step, with a checkpoint.

    Returns
    -------
    Training
        Not finished after a cancel; the same request then goes on.

    Raises
    ------
    DatasetError, CheckpointError, WeightsError, ValueError, OSError
        What `train` and `mixing.training_data` raise.
    TrainingError
        It cannot go on; or the process ended by itself, such as for want of memory: the same
        request then goes on from the last checkpoint.
    """
    calls = {Progress: progress, Stage: stage, Plan: planned}
    return ask_process(
        _CHILD, request.to_dict(), Training, calls, cancelled,
        goes_on="the same training goes on from its last checkpoint",
    )  # fmt: skip


def ask_process(
    child: str,
    request: Mapping[str, Any],
    outcome: type[_Outcome],
    calls: Mapping[type, Callable[[Any], None] | None],
    cancelled: Callable[[], bool] | None,
    *,
    goes_on: str,
) -> _Outcome:
    """Have a process do what is requested, and wait for what it comes to.

    Parameters
    ----------
    child : str
        The module that it runs, see `training_talk.answer`.
    request : dict
        As plain values.
    outcome : type
        The message that is the last one.
    calls : dict of type to callable
        Which function is called with which other messages.
    cancelled : callable, optional
        Asked all the time; true makes it stop.
    goes_on : str
        What is said of a process that has ended before: what happens when it is asked again.

    Raises
    ------
    Exception
        What is raised in the process, where it is of a known kind.
    TrainingError
        All other ones; or the process ended by itself.
    """
    try:
        process = ChildProcess(child)
    except OSError as error:
        raise TrainingError(f"The process of the training cannot be started: {error}") from None
    lines: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_read_all, args=(process, lines), daemon=True).start()
    try:
        _say(process, json.dumps(request).encode() + b"\n")
        messages = _messages(process, lines, cancelled or (lambda: False), goes_on)
        while True:
            message = next(messages)
            if isinstance(message, Failure):
                process.end(_FAREWELL)
                raise message.error()
            if isinstance(message, outcome):
                process.end(_FAREWELL)
                return message
            call = calls.get(type(message))
            if call is not None:
                call(message)
    finally:
        # whatever has happened here: without an input it stops at its next step
        process.requests.close()
        if process.is_alive():
            threading.Thread(target=process.end, args=(_LONGEST_STOP,), daemon=True).start()


def _messages(
    process: ChildProcess,
    lines: SimpleQueue[bytes | None],
    cancelled: Callable[[], bool],
    goes_on: str,
) -> Iterator[Message]:
    """Give what the process says; raise when it has ended, or does not stop."""
    deadline = float("inf")
    while True:
        if deadline == float("inf") and cancelled():
            _say(process, CANCEL)
            deadline = time.monotonic() + _LONGEST_STOP
        if time.monotonic() > deadline:
            process.end()
            raise TrainingError(f"The training did not stop, and was ended; {goes_on}.")
        try:
            line = lines.get(timeout=_LOOK)
        except Empty:
            continue
        if line is None:
            process.end(_FAREWELL)
            ended = TrainingError(
                f"The process of the training ended ({process.last_words()}); {goes_on}."
            )
            ended.add_note(process.details())
            raise ended
        message = decoded(line)
        if message is not None:
            yield message


def _read_all(process: ChildProcess, lines: SimpleQueue[bytes | None]) -> None:
    """Queue lines, and None when there are no more."""
    try:
        with BufferedReader(process.replies) as replies:
            for line in replies:
                lines.put(line)
    finally:
        lines.put(None)


def _say(process: ChildProcess, line: bytes) -> None:
    with contextlib.suppress(OSError):  # it has ended: that is seen by its silence
        left = memoryview(line)
        while left:
            left = left[process.requests.write(left) or 0 :]
