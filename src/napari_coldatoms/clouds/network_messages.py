"""Messages between a session and the process of the network: a JSON header, then float32 arrays.

Nothing that is received is ever executed. Both ends run on one machine, so numbers have its byte
order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import RawIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREETING = b"\nnapari-coldatoms network 1\n"
"""What the process writes first: all before it is noise of the interpreter's start."""

_LENGTH = 8  # bytes that tell the length of the header
_LARGEST_HEADER = 2**28
_MOST_NOISE = 2**20


class PipeEnded(EOFError):
    """The other end is gone, or says something that is no message."""


def send(pipe: RawIOBase, header: Mapping[str, Any], arrays: Sequence[NDArray] = ()) -> None:
    """Write a message.

    Parameters
    ----------
    pipe : unbuffered file
    header : mapping
        What JSON can hold.
    arrays : sequence of arrays
        Sent as float32.

    Raises
    ------
    PipeEnded
        Nobody reads.
    """
    plain = [np.ascontiguousarray(array, dtype=np.float32) for array in arrays]
    described = {**header, "shapes": [array.shape for array in plain]}
    text = json.dumps(described).encode()
    _write(pipe, memoryview(len(text).to_bytes(_LENGTH, "little") + text))
    for array in plain:
        if array.size:
            _write(pipe, array.data.cast("B"))


def receive(pipe: RawIOBase) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """Return header and arrays of the next message; wait for it.

    Raises
    ------
    PipeEnded
        The other end is gone, or what it says is no message.
    """
    size = int.from_bytes(_read(pipe, _LENGTH), "little")
    if size > _LARGEST_HEADER:
        raise PipeEnded(f"expected a message, found a header of {size} bytes")
    try:
        header = json.loads(_read(pipe, size))
        shapes = [tuple(map(int, shape)) for shape in header.pop("shapes")]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PipeEnded("expected a message, found something else") from None
    arrays = []
    for shape in shapes:
        array = np.empty(shape, dtype=np.float32)
        if array.size:
            _fill(pipe, array.data.cast("B"))
        arrays.append(array)
    return header, arrays


def greet(pipe: RawIOBase) -> None:
    """Write the greeting."""
    _write(pipe, memoryview(GREETING))


def await_greeting(pipe: RawIOBase) -> None:
    """Read up to and with the greeting.

    Raises
    ------
    PipeEnded
        The other end is gone, or says much, but no greeting.
    """
    seen = bytearray()
    while not seen.endswith(GREETING):
        if len(seen) > _MOST_NOISE:
            raise PipeEnded("expected a greeting, found something else")
        seen += _read(pipe, 1)


def _read(pipe: RawIOBase, size: int) -> bytearray:
    data = bytearray(size)
    _fill(pipe, memoryview(data))
    return data


def _fill(pipe: RawIOBase, into: memoryview) -> None:
    while into:
        try:
            number = pipe.readinto(into)
        except OSError as error:
            raise PipeEnded(str(error)) from None
        if not number:
            raise PipeEnded("the pipe is closed")
        into = into[number:]


def _write(pipe: RawIOBase, data: memoryview) -> None:
    while data:
        try:
            number = pipe.write(data)
        except OSError as error:  # a broken pipe, which Windows calls an invalid argument
            raise PipeEnded(str(error)) from None
        data = data[number or 0 :]
