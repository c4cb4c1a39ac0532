"""What a recipe says is done again."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_coldatoms import samples
from napari_coldatoms.analyses import DetectClouds, MakePicture, apply, follow
from napari_coldatoms.backend import Recipe, RecipeError, run, to_dict


def test_a_run_repeats_itself_from_its_recipe(tmp_path):
    raw = samples.single_cloud()
    analysis = DetectClouds(method="threshold", roi_factor=1.5, binning=2)
    done = run(analysis, MakePicture(background_region=(0, 0, 80, 80))(raw))
    path = tmp_path / "recipe.yaml"
    done.recipe.save(path)
    again = apply(path, raw)
    pd.testing.assert_frame_equal(again.table, done.table)
    assert again.table.attrs == done.table.attrs
    assert again.recipe == done.recipe
    # the power ratio was corrected, so the recipe's picture counts
    assert again.table["power_ratio"][0] == pytest.approx(0.985, abs=0.005)


def test_the_recipe_of_a_layer_is_one(tmp_path):
    done = run(DetectClouds(method="threshold"), MakePicture()(samples.single_cloud()))
    for _, kwargs, _ in done.analysis.layers(done):
        recipe = Recipe.from_dict(kwargs["metadata"]["napari_coldatoms"]["recipe"])
        assert follow(recipe) == (DetectClouds(method="threshold"), MakePicture(kind="absorption"))


def test_without_a_picture_the_defaults_make_it():
    analysis, picture = follow(
        Recipe("detect_clouds", to_dict(DetectClouds(method="threshold", binning=4)))
    )
    assert analysis == DetectClouds(method="threshold", binning=4)
    assert picture == MakePicture()


def test_what_cannot_be_followed_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"picture\.kind: expected one of 'auto', 'absorption'"):
        follow(Recipe("detect_clouds", {}, picture={"kind": "phase contrast"}))
    with pytest.raises(
        RecipeError, match=r"analysis: expected one of count_atoms, detect_clouds, .*found 'c"
    ):
        follow(Recipe("count"))
    with pytest.raises(RecipeError, match=r"no\.yaml: expected a recipe"):
        follow(tmp_path / "no.yaml")
