"""Readers: camera files in, stacks out. One module for each format, one registry."""

from __future__ import annotations

from napari_coldatoms.readers.combine import concatenate
from napari_coldatoms.readers.count_files import (
    COUNT_SUFFIXES,
    CountFile,
    is_count_file,
    read_counts,
)
from napari_coldatoms.readers.count_series import CountSeries
from napari_coldatoms.readers.errors import ReadError, ReadWarning
from napari_coldatoms.readers.registry import SUFFIXES, group, read, read_many

__all__ = [
    "COUNT_SUFFIXES",
    "SUFFIXES",
    "CountFile",
    "CountSeries",
    "ReadError",
    "ReadWarning",
    "concatenate",
    "group",
    "is_count_file",
    "read",
    "read_counts",
    "read_many",
]
