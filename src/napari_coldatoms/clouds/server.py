"""The process of the network: ``python -m napari_coldatoms.clouds.server``.

torch must not be loaded beside a window: `import torchvision` loads a second LLVM next to the one
of the OpenGL driver, and the process crashes. A process of its own also leaves the window smooth,
can be ended at any time, and takes nobody with it when memory runs out.

It reads requests from its standard input and writes replies to its standard output, see
`network_messages`. It ends when its input is closed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from io import RawIOBase
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.network_messages import PipeEnded, greet, receive, send
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError
from napari_coldatoms.clouds.without_compiler import without_compiler

if TYPE_CHECKING:
    from napari_coldatoms.clouds.inference import Network

_MOST_NETWORKS = 2

_Result = TypeVar("_Result")
_Message = tuple[dict[str, Any], list[NDArray[np.float32]]]


class Networks:
    """The networks that were used last, ready to be used again."""

    def __init__(self, most: int = _MOST_NETWORKS) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[object, ...], Network] = OrderedDict()

    def get(self, weights: str | None, device: str) -> Network:
        """Return a network; it is loaded where it is not there, or its file has changed."""
        key = _key(weights, device)
        if key not in self._kept:
            self._keep(key, weights, device)
        self._kept.move_to_end(key)
        return self._kept[key]

    def use(
        self, weights: str | None, device: str, work: Callable[[Network], _Result]
    ) -> tuple[_Result, list[str]]:
        """Return what a network is asked for, and remarks.

        Where the graphics card fails, the processor takes its place from then on: on any error if
        the card was not asked for, else if its memory is too small.
        """
        import torch

        from napari_coldatoms.clouds.inference import choose_device

        used = choose_device(device).type  # type: ignore[arg-type]
        try:
            return work(self.get(weights, device)), []
        except RuntimeError as error:
            full = "out of memory" in str(error).lower()
            if used == "cpu" or not (full or device == "auto"):
                raise
            what = "has too little memory" if full else f"failed ({_one_line(error)})"
        # outside of the handler: the error's traceback holds the card's memory
        key = _key(weights, device)
        self._kept.pop(key, None)
        if used == "cuda":
            torch.cuda.empty_cache()
        remark = f"The device {used!r} {what}; the processor is used instead."
        return work(self._keep(key, weights, "cpu")), [remark]

    def _keep(self, key: tuple[object, ...], weights: str | None, device: str) -> Network:
        from napari_coldatoms.clouds.inference import Network

        while len(self._kept) >= self._most:
            self._kept.popitem(last=False)
        network = Network(None if weights is None else Path(weights), device)  # type: ignore[arg-type]
        self._kept[key] = network
        return network


def _key(weights: str | None, device: str) -> tuple[object, ...]:
    path = SHIPPED if weights is None else Path(weights)
    try:
        state = path.stat()
    except OSError:
        return str(path), None, None, device
    return str(path), state.st_mtime_ns, state.st_size, device


def answer(
    networks: Networks, header: dict[str, Any], arrays: Sequence[NDArray[np.float32]]
) -> _Message:
    """Return the reply to a request; errors are replies, too."""
    try:
        return _answer(networks, header, arrays)
    except WeightsError as error:
        return _error("weights", str(error))
    except ValueError as error:
        return _error("value", str(error))
    except ImportError as error:
        return _error("network", f"torch and torchvision cannot be loaded: {_one_line(error)}")
    except Exception as error:
        told = f"the network failed: {_one_line(error)}"
        if isinstance(error, MemoryError) or "memory" in str(error).lower():
            told = f"the network found too little memory: {_one_line(error)}"
        return _error("network", told, traceback.format_exc())


def _answer(
    networks: Networks, header: dict[str, Any], arrays: Sequence[NDArray[np.float32]]
) -> _Message:
    task = header.get("task")
    choice = header.get("weights"), header.get("device", "auto")
    if task == "start":
        device, remarks = networks.use(*choice, lambda network: network.device.type)
        return {"device": device, "remarks": remarks}, []
    if task != "detect":
        raise ValueError(f"expected a task 'start' or 'detect', found {task!r}")
    least = header["least_score"]
    found, remarks = networks.use(
        *choice, lambda network: network.detect(arrays, least_score=least)
    )
    told = [
        [
            {"label": each.label, "score": each.score, "box": each.box, "double": each.double}
            for each in one
        ]
        for one in found
    ]
    masks = [each.mask for one in found for each in one]
    return {"found": told, "remarks": remarks}, [np.stack(masks)] if masks else []


def _error(kind: str, message: str, details: str = "") -> _Message:
    return {"error": kind, "message": message, "details": details}, []


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def take_pipes() -> tuple[RawIOBase, RawIOBase]:
    """Return the pipes of requests and replies, out of reach of everyone else.

    What libraries print, in Python or in C, goes to the standard error from then on; the standard
    input is empty, because on Windows libraries that look at it while it is read hang.
    """
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _read_all(requests: RawIOBase, queue: SimpleQueue[_Message]) -> None:
    """Queue requests; end the process with its session, even in the middle of a request."""
    try:
        while True:
            queue.put(receive(requests))
    except BaseException:
        os._exit(0)


def main() -> None:
    """Answer requests until the input is closed."""
    # Ctrl-C in a terminal goes to both processes, and is the session's business
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, replies = take_pipes()
    queue: SimpleQueue[_Message] = SimpleQueue()
    threading.Thread(target=_read_all, args=(requests, queue), daemon=True).start()
    networks = Networks()
    try:
        greet(replies)
        # where torch cannot be loaded, the reply to the first request says why
        with contextlib.suppress(Exception), without_compiler():
            importlib.import_module("napari_coldatoms.clouds.inference")
        while True:
            send(replies, *answer(networks, *queue.get()))
    except PipeEnded:
        os._exit(0)


if __name__ == "__main__":
    main()
