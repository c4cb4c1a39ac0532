"""Do again what a recipe says."""

from __future__ import annotations

import warnings
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

    The analysis is an `Analysis` of pictures, or `CountFiles`, which is one of photon counts. A
    warning tells where its results depend on something that has changed since, such as the weights
    of a network.

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
    analysis = recipe.build(ANALYSES)
    _compare(recipe, analysis)
    return analysis, picture


def _compare(recipe: Recipe, analysis: Any) -> None:
    """Warn where the results will depend on something else than those of the recipe."""
    now = Recipe.of(analysis).made_with
    if recipe.made_with is None or now is None or recipe.made_with == now:
        return
    then, here = _in_words(recipe.made_with), _in_words(now)
    warnings.warn(
        f"recipe: made with {then}; this installation has {here}: results may differ",
        stacklevel=3,
    )


def _in_words(made_with: dict[str, Any]) -> str:
    # the first digits of a digest tell files apart
    words = [
        f"SHA-256 {str(value)[:12]}" if name == "sha256" else f"{name} {value}"
        for name, value in made_with.items()
    ]
    return ", ".join(words)


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
