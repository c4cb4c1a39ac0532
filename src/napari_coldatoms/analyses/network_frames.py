"""What a network finds in the frames of a stack, asked for a few frames ahead of the fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.backend.run import leading_dims
from napari_coldatoms.backend.scheduling import Cancel, is_cancelled
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.network_options import NetworkOptions
from napari_coldatoms.clouds.network_process import (
    NetworkStopped,
    detect_with_network,
    start_network,
    stop_network,
)
from napari_coldatoms.clouds.weights import SHIPPED, digest, read_card

if TYPE_CHECKING:
    import xarray as xr

# frames that go to the network together, and the memory that they may take there (bytes); two such
# batches are in memory at a time
_FRAMES = 4
_BYTES = 32_000_000
# how often a wait looks whether it was cancelled (s)
_POLL = 0.05
# a cancelled request that ends within this time (s) leaves the network warm for the next run
_GRACE = 1.0

Index = tuple[int, ...]
T = TypeVar("T")


def weights_digest(weights: Path) -> str:
    """Return the SHA-256 of a file of weights, as hexadecimal digits."""
    state = weights.stat()
    return _digest(weights, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _digest(weights: Path, changed: int, size: int) -> str:
    return digest(weights)


class NetworkFrames:
    """The detections of every frame of a stack, as `backend.run` asks for them (`of_frame`).

    Parameters
    ----------
    stack : xarray.DataArray
        Dims ``(..., y, x)``; lazy ones are read a few frames at a time.
    options : NetworkOptions
    frames : sequence of tuple of int, optional
        Which frames will be asked for, in this order; all by default.
    cancel : threading.Event or callable, optional
        Once set, waiting for the network ends with `NetworkStopped`.
    on_restart : callable, optional
        Called with a message, in another thread, when the network's process had to be started
        again; by default that is a warning.

    Raises
    ------
    WeightsError
        If the file of weights cannot be used.
    ValueError
        If the device is not there.
    NetworkError
        If the network cannot be started.
    """

    def __init__(
        self,
        stack: xr.DataArray,
        options: NetworkOptions,
        frames: Sequence[Index] | None = None,
        *,
        cancel: Cancel = None,
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        self._stack = stack
        self._options = options
        self._cancel = cancel
        self._on_restart = on_restart
        self._dims = leading_dims(stack)
        if frames is None:
            frames = list(product(*(range(stack.sizes[dim]) for dim in self._dims)))
        size = 4 * stack.sizes["y"] * stack.sizes["x"]
        together = int(np.clip(_BYTES // max(size, 1), 1, _FRAMES))
        self._batches = [frames[k : k + together] for k in range(0, len(frames), together)]
        self._batch_of = {index: n for n, batch in enumerate(self._batches) for index in batch}
        self._asked: dict[int, _Batch] = {}
        self._lock = threading.Lock()
        # said at once, before seconds are spent on a start
        read_card(options.weights or SHIPPED)
        _Request(
            lambda: start_network(options.weights, options.device, on_restart=on_restart)
        ).wait(cancel)

    def of_frame(self, index: Index) -> list[Detection]:
        """Return what the network finds in the frame at this place.

        While that is looked at, the network goes on with the following frames.

        Raises
        ------
        NetworkStopped
            If the work was cancelled, or `stop_network` called meanwhile.
        NetworkError
            If the network's process ended twice on these frames.
        Exception
            What reading the frame raises.
        """
        with self._lock:
            number = self._batch_of.get(index)
            if number is None:  # not announced
                return _Batch(self, [index]).of_frame(index)
            batch = self._asked.get(number) or self._ask(number)
            found = batch.of_frame(index)
            if number + 1 < len(self._batches) and number + 1 not in self._asked:
                self._ask(number + 1)
            for done in [n for n in self._asked if n < number]:
                del self._asked[done]
            return found

    def _ask(self, number: int) -> _Batch:
        self._asked[number] = _Batch(self, self._batches[number])
        return self._asked[number]

    def picture(self, index: Index) -> NDArray[Any]:
        """Return the pixels of a frame."""
        return np.asarray(self._stack.isel(dict(zip(self._dims, index, strict=True))).values)

    def detect(self, pictures: list[NDArray[Any]]) -> list[list[Detection]]:
        """Return what the network finds in pictures."""
        options = self._options
        return detect_with_network(
            pictures,
            weights=options.weights,
            device=options.device,
            least_score=options.score,
            on_restart=self._on_restart,
        )

    def wait(self, request: _Request[T]) -> T:
        """Return what a request gives, unless the work is cancelled."""
        return request.wait(self._cancel)


class _Batch:
    """Frames that were read, and sent to the network together."""

    def __init__(self, frames: NetworkFrames, indices: Sequence[Index]) -> None:
        self._frames = frames
        self._unreadable: dict[Index, Exception] = {}
        pictures: list[NDArray[Any]] = []
        self._place: dict[Index, int] = {}
        for index in indices:
            try:
                picture = frames.picture(index)
            except Exception as error:  # one broken frame leaves the others
                self._unreadable[index] = error
                continue
            self._place[index] = len(pictures)
            pictures.append(picture)
        self._request = _Request(lambda: frames.detect(pictures)) if pictures else None

    def of_frame(self, index: Index) -> list[Detection]:
        if index in self._unreadable or self._request is None:
            raise self._unreadable[index]
        return self._frames.wait(self._request)[self._place[index]]


class _Request(Generic[T]):
    """A call that waits for the network's process, in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call: Callable[[], T] | None = call
        self._done = threading.Event()
        self._value: T | None = None
        self._error: Exception | None = None
        # a daemon: whoever closes the program does not wait for it
        threading.Thread(target=self._run, name="network request", daemon=True).start()

    def _run(self) -> None:
        assert self._call is not None
        try:
            self._value = self._call()
        except Exception as error:
            self._error = error
        self._call = None  # and with it the pictures
        self._done.set()

    def wait(self, cancel: Cancel) -> T:
        """Return what the call gives, or raise its error; `NetworkStopped` once cancelled."""
        while not self._done.wait(_POLL):
            if is_cancelled(cancel):
                if not self._done.wait(_GRACE):
                    stop_network()
                raise NetworkStopped("The network was stopped.")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]
