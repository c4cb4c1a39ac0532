"""How the process of a training, or of a tuning, talks to its session, see `training_child`.

torch is loaded by what the process is asked to do.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from io import BufferedReader, RawIOBase
from typing import Any, Generic, TypeVar

from napari_coldatoms.clouds.dataset import Sample, Samples
from napari_coldatoms.clouds.server import take_pipes
from napari_coldatoms.clouds.training_messages import Message, Stage, encoded, failure_of

__all__ = ["Judged", "Stopped", "Talk", "answer"]

# the window goes first where both want the processor
_NICENESS = 5

_Request = TypeVar("_Request")


class Stopped(InterruptedError):
    """Told to stop where nothing would be lost."""


class Talk(Generic[_Request]):
    """The pipes to the session: what it wants, and what it is told.

    Parameters
    ----------
    requests, replies : unbuffered file
        From `server.take_pipes`.
    read : callable
        Makes the request of its plain values.
    so_far : callable
        What is told after a stop: what is there of what was requested.
    """

    def __init__(
        self,
        requests: RawIOBase,
        replies: RawIOBase,
        read: Callable[[Mapping[str, Any]], _Request],
        so_far: Callable[[_Request], Message],
    ) -> None:
        self._requests, self._replies = BufferedReader(requests), replies
        self._writing = threading.Lock()
        self._so_far = so_far
        self.request = read(json.loads(self._requests.readline()))
        self.stopped = threading.Event()
        """Set when it shall stop."""
        self.stepping = threading.Event()
        """Set once there is something to be kept when it stops."""
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, message: Message) -> None:
        """Write a message; where nobody reads, stop."""
        line = memoryview(encoded(message))
        with self._writing:
            while line:
                try:
                    line = line[self._replies.write(line) or 0 :]
                except OSError:
                    self.stopped.set()
                    return

    def tell_so_far(self) -> None:
        """Write what is there of what was requested."""
        self.tell(self._so_far(self.request))

    def _listen(self) -> None:
        # both the word and the end of the pipe
        self._requests.readline()
        self.stopped.set()
        if not self.stepping.is_set():
            self.tell_so_far()
            os._exit(0)


class Judged:
    """Samples that tell when they are looked at, and of which none is given after a stop."""

    def __init__(self, samples: Samples, talk: Talk[Any]) -> None:
        self._samples, self._talk = samples, talk

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> Sample:
        # a checkpoint was written before
        if self._talk.stopped.is_set():
            raise Stopped
        self._talk.tell(Stage("judging", index, len(self)))
        return self._samples[index]


def answer(
    work: Callable[[Talk[_Request]], Message],
    read: Callable[[Mapping[str, Any]], _Request],
    so_far: Callable[[_Request], Message],
) -> None:
    """Answer one request by what the work returns, and end the process."""
    # Ctrl-C in a terminal goes to both processes, and is the session's business
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    talk = Talk(*take_pipes(), read, so_far)
    try:
        talk.tell(work(talk))
    except Stopped:
        talk.tell_so_far()
    except Exception as error:
        talk.tell(failure_of(error, traceback.format_exc()))
    # what torch leaves behind is of no use
    os._exit(0)
