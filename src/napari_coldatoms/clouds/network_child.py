"""The process of the network as its session sees it: started, asked, ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.child_process import ChildProcess
from napari_coldatoms.clouds.network_messages import PipeEnded, await_greeting, receive, send

_SERVER = "napari_coldatoms.clouds.server"
_FAREWELL = 0.2  # s, for one that ends by itself to tell why by its exit code


class ChildEnded(Exception):
    """The process ended before it replied; the message says how, in words."""


class Child:
    """A running process of the network.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self) -> None:
        self._process = ChildProcess(_SERVER)
        self._greeted = False
        self._asking = threading.Lock()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether it runs."""
        return self._process.is_alive()

    def ask(
        self, header: Mapping[str, Any], arrays: Sequence[NDArray]
    ) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
        """Return the reply to a request; wait for it.

        Raises
        ------
        ChildEnded
            It ended before it replied.
        """
        requests, replies = self._process.requests, self._process.replies
        with self._asking:
            try:
                if requests.closed:
                    raise PipeEnded("the pipe is closed")
                if not self._greeted:
                    await_greeting(replies)
                    self._greeted = True
                send(requests, header, arrays)
                return receive(replies)
            except PipeEnded:
                self._process.end(_FAREWELL)
                raise ChildEnded(self.last_words()) from None

    def end(self) -> None:
        """End it at once, whatever it does; who waits for a reply gets `ChildEnded`."""
        self._process.end()
        # the pipes are closed by none who may still read them
        with self._asking:
            self._process.requests.close()
            self._process.replies.close()

    def forget(self) -> None:
        """Close the pipes and leave the process alone: it belongs to another session."""
        self._process.forget()

    def last_words(self) -> str:
        """Return in words how it ended."""
        return self._process.last_words()

    def details(self) -> str:
        """Return what it wrote last to its standard error."""
        return self._process.details()
