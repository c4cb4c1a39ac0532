"""What all analyses share: runs over frames, layers, tables, recipes. No physics, no Qt."""

from __future__ import annotations

from napari_coldatoms.backend.analysis import (
    Analysis,
    FrameContexts,
    LayerData,
    Parameter,
    ParameterError,
    check,
    from_dict,
    parameters,
    to_dict,
)
from napari_coldatoms.backend.recipe import Recipe, RecipeError
from napari_coldatoms.backend.run import FrameResult, Run, run

__all__ = [
    "Analysis",
    "FrameContexts",
    "FrameResult",
    "LayerData",
    "Parameter",
    "ParameterError",
    "Recipe",
    "RecipeError",
    "Run",
    "check",
    "from_dict",
    "parameters",
    "run",
    "to_dict",
]
