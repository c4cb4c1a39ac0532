"""A child process that runs a module of this package: its pipes, and in words how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import cast

_ROOT = Path(__file__).parents[2]
_LINES = 20  # of what it wrote last to its standard error
_PATIENCE = 5.0  # s, for a process that was killed to be gone


class ChildProcess:
    """A running process.

    Parameters
    ----------
    module : str
        The module that it runs.

    Attributes
    ----------
    requests, replies : unbuffered file
        Its standard input and output.

    Raises
    ------
    OSError
        It cannot be started.
    """

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(
            command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.requests = cast(RawIOBase, self._process.stdin)
        self.replies = cast(RawIOBase, self._process.stdout)
        self._errors = cast(RawIOBase, self._process.stderr)
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether it runs."""
        return self._process.poll() is None

    def end(self, farewell: float = 0.0) -> None:
        """Wait so many seconds for it to end by itself, then kill it."""
        try:
            self._process.wait(farewell)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                return
        self._listener.join(_PATIENCE)

    def forget(self) -> None:
        """Close the pipes and leave the process alone: it belongs to another session."""
        for pipe in (self.requests, self.replies, self._errors):
            pipe.close()
        self._process.returncode = 0

    def last_words(self) -> str:
        """Return in words how it ended."""
        code = self._process.poll()
        if code is None:
            return "it does not reply"
        if code < 0:
            return _signal(-code)
        line = next((line for line in reversed(self._lines) if line.strip()), "")
        number = hex(code) if code > 255 else str(code)
        return f"exit code {number}{': ' if line else ''}{line.strip()[:300]}"

    def details(self) -> str:
        """Return what it wrote last to its standard error."""
        return "\n".join(self._lines)

    def _listen(self) -> None:
        with BufferedReader(self._errors) as errors:
            for line in errors:
                self._lines.append(line.decode(errors="replace").rstrip())


def command(module: str) -> list[str]:
    """Return the command that starts the process.

    Without the folder of the session on Python's path (``-P``): a file there may have the name of
    a module that torch needs. Warnings of libraries would be read by nobody.
    """
    return [sys.executable, "-P", "-W", "ignore", "-m", module]


def environment() -> dict[str, str]:
    """Return the environment, in which the package is found even where it is not installed."""
    here = dict(os.environ)
    # before the standard library on Python's path, so never a folder with other packages
    if _ROOT.name not in ("site-packages", "dist-packages"):
        paths = [str(_ROOT), *filter(None, [here.get("PYTHONPATH")])]
        here["PYTHONPATH"] = os.pathsep.join(paths)
    return here


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return "killed by SIGKILL, as happens when memory runs out"
    return f"killed by {name}"
