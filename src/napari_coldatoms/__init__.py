"""Cold-atom camera files turned into physics, in napari and headless."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_coldatoms import (
        analyses,
        backend,
        clouds,
        images,
        lattice,
        photons,
        readers,
        samples,
        statistics,
    )
    from napari_coldatoms.images.absorption import optical_depth
    from napari_coldatoms.readers import ReadError, read

try:
    from napari_coldatoms._version import __version__
except ImportError:  # a source tree that was never built or installed
    __version__ = "0.1.0.dev0"

# public name -> module that holds it; rooms are their own module
_PUBLIC = {
    "ReadError": "readers",
    "optical_depth": "images.absorption",
    "read": "readers",
}
_ROOMS = (
    "analyses",
    "backend",
    "clouds",
    "images",
    "lattice",
    "photons",
    "readers",
    "samples",
    "statistics",
)

__all__ = [
    "ReadError",
    "__version__",
    "analyses",
    "backend",
    "clouds",
    "images",
    "lattice",
    "optical_depth",
    "photons",
    "read",
    "readers",
    "samples",
    "statistics",
]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that the package itself loads in no time."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
