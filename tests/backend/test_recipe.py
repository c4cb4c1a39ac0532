"""Recipes: written, read, refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import yaml

from napari_coldatoms import __version__
from napari_coldatoms.backend import recipe as recipe_module
from napari_coldatoms.backend.recipe import Recipe, RecipeError


@dataclass(frozen=True)
class Smooth:
    name: ClassVar[str] = "smooth"
    width: Annotated[float, {"min": 0.0}] = 2.0
    folder: Path | None = None


def test_there_and_back(tmp_path):
    recipe = Recipe.of(
        Smooth(width=3.5, folder=Path("a")), picture={"kind": "absorption"}, source="shots/µ.h5"
    )
    path = tmp_path / "recipe.yaml"
    recipe.save(path)
    assert Recipe.load(path) == recipe
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert Recipe.load(path).build({"smooth": Smooth}) == Smooth(width=3.5, folder=Path("a"))
    assert [p.name for p in tmp_path.iterdir()] == ["recipe.yaml"]


@dataclass(frozen=True)
class Judged(Smooth):
    def made_with(self):
        return {"weights": "small"} if self.width > 1 else {}


def test_what_results_depend_on_besides_the_parameters(tmp_path):
    recipe = Recipe.of(Judged())
    assert recipe.made_with == {"weights": "small"}
    assert Recipe.from_yaml(recipe.to_yaml()) == recipe
    assert "made_with" not in Recipe.of(Judged(width=0.5)).to_dict()


def test_it_is_plain_yaml_for_people():
    text = Recipe.of(Smooth(), source="x.tif").to_yaml()
    assert yaml.safe_load(text) == {
        "napari-coldatoms": __version__,
        "analysis": "smooth",
        "parameters": {"width": 2.0, "folder": None},
        "source": "x.tif",
    }
    assert text.splitlines()[1] == "analysis: smooth"


def test_a_recipe_written_by_hand_needs_little():
    recipe = Recipe.from_yaml("analysis: smooth")
    assert recipe.build({"smooth": Smooth}) == Smooth()
    assert recipe.picture is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a mapping with napari-coldatoms, analysis, parameters.*found None"),
        ("[1, 2]", r"expected a mapping with .*found \[1, 2\]"),
        ("parameters: {}", "expected a mapping with .*analysis"),
        ("analysis: [", "expected YAML, found"),
        ("analysis: smooth\nwidht: 3", "widht: expected one of napari-coldatoms, analysis"),
        ("analysis: smooth\nparameters: 3", "parameters: expected a mapping, found 3"),
        ("analysis: smooth\npicture: [3]", r"picture: expected a mapping, found \[3\]"),
        ("analysis: smooth\nmade_with: net", "made_with: expected a mapping, found 'net'"),
        ("analysis: smooth\nnapari-coldatoms: new", "expected a version such as"),
        ("!!python/object/apply:os.system [ls]", "expected YAML, found could not determine"),
    ],
)
def test_what_is_no_recipe_is_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_yaml(text)


def test_unknown_analyses_and_parameters_are_refused():
    known = {"smooth": Smooth, "other": Smooth}
    with pytest.raises(RecipeError, match="analysis: expected one of other, smooth, found 'sharp'"):
        Recipe("sharp").build(known)
    with pytest.raises(RecipeError, match=r"parameters: width: expected a number of at least 0\.0"):
        Recipe("smooth", {"width": -1.0}).build(known)
    with pytest.raises(RecipeError, match="parameters: depth: unknown parameter; expected one of"):
        Recipe("smooth", {"depth": 1}).build(known)


def test_only_newer_major_versions_are_refused(monkeypatch):
    monkeypatch.setattr(recipe_module, "__version__", "2.3.1")
    for version in ("0.1.0.dev3", "1.9", "2.99.0"):
        text = f"napari-coldatoms: {version}\nanalysis: smooth"
        assert Recipe.from_yaml(text).version == version
    with pytest.raises(RecipeError, match=r"expected version 2 .* found a recipe of version 3\.0"):
        Recipe.from_yaml("napari-coldatoms: '3.0'\nanalysis: smooth")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.yaml: expected a recipe, found No such file"):
        Recipe.load(tmp_path / "none.yaml")
    picture = tmp_path / "picture.tif"
    picture.write_bytes(b"II*\0\xff\xfe\x00\x80")
    with pytest.raises(RecipeError, match=r"picture\.tif: expected a recipe, found a file that is"):
        Recipe.load(picture)
