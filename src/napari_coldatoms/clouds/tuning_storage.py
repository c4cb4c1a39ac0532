"""Where the trials of a tuning are kept, for one machine or several. Needs optuna."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from napari_coldatoms.clouds.tuning import TuningError

__all__ = ["open_study", "patiently"]

JOURNAL = ".journal"
"""Suffix of a file that may lie in a folder of the network."""

# how long SQLite waits for another process, and how often a busy storage is asked
_WAIT_SECONDS = 60.0
_TRIES = 6

_Found = TypeVar("_Found")


@contextmanager
def open_study(
    storage: str | Path | None, name: str, settings: Mapping[str, Any] | None
) -> Iterator[optuna.Study]:
    """Give the study of a name, made if need be; without settings only one that is there.

    Raises
    ------
    TuningError
        The storage cannot be opened, has no such study, or one of other settings.
    """
    from sqlalchemy.exc import SQLAlchemyError

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    opened: BaseStorage | None = None
    try:
        try:
            opened = _opened(storage, settings is not None)
            study = _study(opened, name, settings is not None)
        except (SQLAlchemyError, StorageInternalError, OSError, ImportError, ValueError) as error:
            raise TuningError(
                f"{storage}: expected the trials of a tuning, or a new file, found "
                f"{_first_line(error)}"
            ) from error
        except KeyError:
            raise TuningError(f"{storage}: expected a tuning {name!r}, found none") from None
        if settings is not None:
            _compare(study, storage, settings)
        yield study
    finally:
        optuna.logging.set_verbosity(before)
        if isinstance(opened, RDBStorage):
            opened.engine.dispose()


def patiently(action: Callable[[], _Found]) -> _Found:
    """Return what an action on a storage gives, tried again while the storage is busy."""
    for number in range(_TRIES - 1):
        try:
            return action()
        except StorageInternalError:
            time.sleep(random.uniform(0.5, 1.0) * 2**number)
    return action()


def _opened(storage: str | Path | None, make: bool) -> BaseStorage:
    if storage is None:
        return InMemoryStorage()
    text = str(storage)
    if "://" in text:
        return _database(text)
    path = Path(storage).resolve()
    if not make and not path.is_file():
        raise FileNotFoundError("no file")
    if path.is_dir():
        raise IsADirectoryError("a folder")
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == JOURNAL:
        return JournalStorage(JournalFileBackend(str(path)))
    return _database(f"sqlite:///{path.as_posix()}")


def _database(url: str) -> BaseStorage:
    options = {"connect_args": {"timeout": _WAIT_SECONDS}} if url.startswith("sqlite") else {}

    def connect() -> BaseStorage:
        from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

        try:
            return RDBStorage(url, options)
        except (IntegrityError, OperationalError, ProgrammingError) as error:
            # another process makes the same tables just now
            if "already exists" in str(error) or "locked" in str(error) or "UNIQUE" in str(error):
                raise StorageInternalError(_first_line(error)) from error
            raise

    return patiently(connect)


def _study(storage: BaseStorage, name: str, make: bool) -> optuna.Study:
    if not make:
        return optuna.load_study(study_name=name, storage=storage)
    return patiently(
        lambda: optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
    )


def _compare(study: optuna.Study, storage: str | Path | None, settings: Mapping[str, Any]) -> None:
    """Raise `TuningError` where a study has other settings; give them to a new one."""
    known = study.user_attrs
    # as it comes back from a file
    for name, own in json.loads(json.dumps(dict(settings))).items():
        if name not in known:
            study.set_user_attr(name, own)
        elif known[name] != own:
            what, expected, found = _difference(name, own, known[name])
            raise TuningError(
                f"{storage}: expected a tuning with {what} {expected}, found {found}; choose "
                "another storage, or another name for the study"
            )


def _difference(name: str, own: Any, known: Any) -> tuple[str, Any, Any]:
    """Return where two values first differ, and what is there."""
    if isinstance(own, dict) and isinstance(known, dict):
        for key in [*own, *known]:
            if own.get(key) != known.get(key):
                return _difference(f"{name}: {key}", own.get(key), known.get(key))
    return name, own, known


def _first_line(error: BaseException) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
