"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a new file name beside `path`; what was written there takes its place at the end.

    A reader of `path` sees the old content or the new one, never half of it. After an error the old
    content stays and nothing is left behind.

    Raises
    ------
    OSError
        Such as `FileNotFoundError` where the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: expected an existing folder, found no {path.parent}")
    # not tempfile.mkstemp: its files are private to the user, and would stay so
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
