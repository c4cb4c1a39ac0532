"""Do again what a recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_coldatoms.analyses import ANALYSES
from napari_coldatoms.analyses.make_picture import MakePicture, to_analyse
from napari_coldatoms.backend.analysis import Analysis, ParameterError
from napari_coldatoms.backend.recipe import Recipe, RecipeError
from napari_coldatoms.backend.run import Run, run

if TYPE_CHECKING:
    import xarray as xr


def follow(recipe: Recipe | str | Path) -> tuple[Any, MakePicture]:
    """Return the analysis of a recipe, or of a recipe's file, and how it makes its pictures.

    The analysis is an `Analysis` of pictures, or `CountFiles`, which is one of photon counts.

    Raises
    ------
    RecipeError
        Where the file is no recipe, is from a newer major version, or names an unknown analysis or
        impossible parameters.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.load(recipe)
    try:
        picture = MakePicture.from_recipe(recipe.picture)
    except ParameterError as error:
        raise RecipeError(f"recipe: {error}") from error
    return recipe.build(ANALYSES), picture


def apply(recipe: Recipe | str | Path, stack: xr.DataArray, **options: Any) -> Run:
    """Make the picture of a stack, raw or not, and analyse it as a recipe says.

    Parameters
    ----------
    recipe : Recipe or path
    stack : xarray.DataArray
    **options
        Those of `napari_coldatoms.backend.run`.

    Raises
    ------
    RecipeError
        As `follow`; or where the recipe is one for photon counts, which are no pictures.
    """
    analysis, picture = follow(recipe)
    if not isinstance(analysis, Analysis):
        raise RecipeError(
            f"expected a recipe for pictures, found one for {analysis.name}: follow(recipe) "
            "returns its analysis"
        )
    return run(analysis, to_analyse(analysis, picture, stack), **options)
