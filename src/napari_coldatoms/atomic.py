"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a new file name beside `path`; what was written there takes its place at the end.

    A reader of `path` sees the old content or the new one, never half of it. After an error the old
    content stays and nothing is left behind.

    Raises
    ------
    OSError
        Such as `FileNotFoundError` where the folder does not exist; in words about `path`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: expected an existing folder, found no {path.parent}")
    if path.exists() and not path.is_file():
        # a device would be replaced, too, by who may do that
        found = "a folder" if path.is_dir() else "no file, but a device or the like"
        raise OSError(f"{path}: expected a file that can be written, found {found}")
    # not tempfile.mkstemp: its files are private to the user, and would stay so
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield new
        new.replace(path)
    except OSError as error:
        if new.name not in str(error):
            raise
        # nobody knows that name
        why = error.strerror or "none can be made there"
        raise type(error)(f"{path}: expected a file that can be written, found: {why}") from error
    finally:
        with suppress(OSError):  # the first error is the one to tell
            new.unlink(missing_ok=True)
