"""Detection by a network, which runs in a process of its own that all callers share.

Why it does: see `server`. Nothing here loads torch.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.network_child import Child, ChildEnded
from napari_coldatoms.clouds.picture import pixels_of
from napari_coldatoms.clouds.weights import WeightsError

# pictures go through the pipe in parts of this size, so that a long stack needs no second copy
_BYTES = 64 * 2**20

_Reply = tuple[dict[str, Any], list[NDArray[np.float32]]]
_Tell = Callable[[str], None]


class NetworkError(RuntimeError):
    """The network could not do what it was asked for."""


class NetworkStopped(NetworkError):
    """The process of the network was ended by `stop_network` before it replied."""


class NetworkWarning(UserWarning):
    """The network did what it was asked for, but not in the way that was meant."""


class NetworkRestarted(NetworkWarning):
    """The process of the network had ended, and a new one was started."""


class SharedNetwork:
    """A process of the network that is started on first use, and again when it has ended.

    Callers of several threads take turns.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._child: Child | None = None
        self.stops = 0

    @property
    def pid(self) -> int | None:
        """Number of the process, None where there is none."""
        with self._state:
            return self._child.pid if self._child and self._child.is_alive() else None

    def request(
        self, header: Mapping[str, Any], arrays: Sequence[NDArray], stops: int, tell: _Tell
    ) -> _Reply:
        """Return the reply to a request; it is repeated once if the process ends meanwhile.

        Parameters
        ----------
        header, arrays
            The request, see `server.answer`.
        stops : int
            What `stops` was when the caller's work began: who was stopped starts no new process.
        tell : callable
            Called with a message when a new process takes the place of one that has ended.
        """
        with self._turn:
            for last in (False, True):
                child = self._running(stops, tell)
                try:
                    return child.ask(header, arrays)
                except ChildEnded as ended:
                    self._drop(child, stops)
                    if last:
                        failed = NetworkError(f"The process of the network ended twice: {ended}")
                        failed.add_note(child.details())
                        raise failed from None
                    tell(_restarted(str(ended)))
                except BaseException:
                    # Ctrl-C while waiting: the reply to come would be taken for the next one's
                    self._drop(child)
                    raise
        raise AssertionError("every way through the loop returns or raises")

    def stop(self) -> None:
        """End the process at once; all who wait for it get `NetworkStopped`."""
        with self._state:
            self.stops += 1
            child, self._child = self._child, None
        if child is not None:
            child.end()

    def forget(self) -> None:
        """Leave the process to another session, of which this one is a copy."""
        child = self._child
        # the locks may have been copied while they were held
        self.__init__()  # type: ignore[misc]
        if child is not None:
            child.forget()

    def _running(self, stops: int, tell: _Tell) -> Child:
        with self._state:
            ended = self._child if self._child and not self._child.is_alive() else None
        if ended is not None:
            self._drop(ended, stops)
            tell(_restarted(ended.last_words()))
        with self._state:
            self._check(stops)
            if self._child is None:
                try:
                    self._child = Child()
                except OSError as error:
                    raise NetworkError(
                        f"The process of the network cannot be started: {error}"
                    ) from None
            return self._child

    def _drop(self, child: Child, stops: int | None = None) -> None:
        with self._state:
            if self._child is child:
                self._child = None
        child.end()
        if stops is not None:
            self._check(stops)

    def _check(self, stops: int) -> None:
        if self.stops != stops:
            raise NetworkStopped("The network was stopped.")


def _restarted(how: str) -> str:
    return f"The process of the network ended ({how}); a new one takes its place."


_shared = SharedNetwork()
atexit.register(_shared.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.forget)


def detect_with_network(
    pictures: Sequence[Any],
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    least_score: float = 0.05,
    doubles: bool = False,
    on_restart: Callable[[str], None] | None = None,
) -> list[list[Detection]]:
    """Find clouds in pictures by a network.

    The first call starts the process of the network, which takes some seconds; later ones find it
    warm. It keeps the two networks that were used last. Threads may call this at the same time;
    they take turns.

    Parameters
    ----------
    pictures : sequence of (ny, nx) arrays or DataArrays
        Of any sizes, types and units; pixels that are not finite are taken for background. Lazy
        ones are loaded a few at a time.
    weights : path, optional
        A file of weights; default the one that comes with the package. When the file changes, it
        is loaded again.
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute. "auto" takes a graphics card where there is one, and the processor where
        that fails.
    least_score : float
        Clouds of a lower score are left out.
    doubles : bool
        Return also those that are clouds of higher score once more, or parts of them.
    on_restart : callable, optional
        Called with a message when the process has ended, such as for want of memory, before a new
        one takes its place and the request is repeated; by default that is a warning,
        `NetworkRestarted`.

    Returns
    -------
    list of lists of Detection
        Of each picture, highest score first.

    Raises
    ------
    WeightsError
        The file of weights cannot be used.
    ValueError
        A picture is none, or the device is not there.
    NetworkStopped
        `stop_network` was called meanwhile.
    NetworkError
        The process ended twice, cannot be started, or found too little memory.
    """
    stops = _shared.stops
    found: list[list[Detection]] = []
    remarks: list[str] = []
    header = {**_choice(weights, device), "task": "detect", "least_score": float(least_score)}
    for part in _parts(pictures):
        reply, arrays = _shared.request(header, part, stops, _teller(on_restart))
        _raise_error(reply)
        found += _detections(reply["found"], arrays)
        remarks += reply["remarks"]
    _warn(remarks)
    return found if doubles else [[each for each in one if not each.double] for one in found]


def start_network(
    weights: str | Path | None = None,
    device: str = "auto",
    *,
    on_restart: Callable[[str], None] | None = None,
) -> str:
    """Start the process of the network and load weights, so that the first pictures need not wait.

    Parameters
    ----------
    weights, device, on_restart
        As in `detect_with_network`, which raises the same errors.

    Returns
    -------
    str
        The device: "cpu", "cuda" or "mps".
    """
    header = {**_choice(weights, device), "task": "start"}
    reply, _ = _shared.request(header, [], _shared.stops, _teller(on_restart))
    _raise_error(reply)
    _warn(reply["remarks"])
    return str(reply["device"])


def stop_network() -> None:
    """End the process of the network at once; calls that wait for it raise `NetworkStopped`.

    The next call starts a new one. At the end of the session it is stopped by itself.
    """
    _shared.stop()


def network_pid() -> int | None:
    """Return the number of the network's process, None where none runs."""
    return _shared.pid


def _choice(weights: str | Path | None, device: str) -> dict[str, str | None]:
    # the process may have another working folder
    path = None if weights is None else str(Path(weights).expanduser().absolute())
    return {"weights": path, "device": str(device)}


def _teller(on_restart: Callable[[str], None] | None) -> _Tell:
    def warn(message: str) -> None:
        warnings.warn(message, NetworkRestarted, stacklevel=4)

    return warn if on_restart is None else on_restart


def _parts(pictures: Sequence[Any]) -> Iterator[list[NDArray[np.float32]]]:
    """Yield pictures as plain arrays, as many at a time as the pipe should carry."""
    part: list[NDArray[np.float32]] = []
    size = 0
    for picture in pictures:
        with np.errstate(over="ignore"):  # infinite is what a network takes for background
            plain = pixels_of(picture).astype(np.float32)
        if part and size + plain.nbytes > _BYTES:
            yield part
            part, size = [], 0
        part.append(plain)
        size += plain.nbytes
    if part:
        yield part


def _detections(
    found: Sequence[Sequence[Mapping[str, Any]]], arrays: Sequence[NDArray[np.float32]]
) -> list[list[Detection]]:
    masks = iter(arrays[0] if arrays else ())
    return [
        [
            Detection(each["label"], each["score"], tuple(each["box"]), next(masks), each["double"])
            for each in one
        ]
        for one in found
    ]


def _warn(remarks: Sequence[str]) -> None:
    for remark in dict.fromkeys(remarks):
        warnings.warn(remark, NetworkWarning, stacklevel=3)


def _raise_error(reply: Mapping[str, Any]) -> None:
    if "error" not in reply:
        return
    kinds = {"weights": WeightsError, "value": ValueError}
    error = kinds.get(reply["error"], NetworkError)(reply["message"])
    if reply.get("details"):
        error.add_note(reply["details"])
    raise error
