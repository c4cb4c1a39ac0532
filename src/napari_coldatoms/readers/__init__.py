"""Readers: camera files in, stacks out. One module for each format, one registry."""

from __future__ import annotations

from napari_coldatoms.readers.combine import concatenate
from napari_coldatoms.readers.errors import ReadError, ReadWarning
from napari_coldatoms.readers.registry import SUFFIXES, group, read, read_many

__all__ = [
    "SUFFIXES",
    "ReadError",
    "ReadWarning",
    "concatenate",
    "group",
    "read",
    "read_many",
]
