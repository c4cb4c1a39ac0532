"""What was done, written down so that it can be done again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from napari_coldatoms import __version__
from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.analysis import Analysis, ParameterError, from_dict, to_dict

_VERSION_KEY = "napari-coldatoms"
_KEYS = (_VERSION_KEY, "analysis", "parameters", "picture", "source", "made_with")


class RecipeError(ValueError):
    """A recipe cannot be read, or not be followed by this version."""


@dataclass(frozen=True)
class Recipe:
    """An analysis written down.

    Attributes
    ----------
    analysis : str
        The name of the analysis, such as ``detect_clouds``.
    parameters : dict
        Its parameters as plain values.
    picture : dict, optional
        How the picture was made from raw frames; None where it was not made by us.
    version : str
        The version of napari-coldatoms that made it.
    source : str, optional
        The file or folder it was made on.
    made_with : dict, optional
        What else its results depend on, such as the weights of a network; what the analysis'
        method of the same name tells.
    """

    analysis: str
    parameters: dict[str, Any] = field(default_factory=dict)
    picture: dict[str, Any] | None = None
    version: str = __version__
    source: str | None = None
    made_with: dict[str, Any] | None = None

    @classmethod
    def of(
        cls, analysis: Analysis, *, picture: Mapping[str, Any] | None = None, source: Any = None
    ) -> Recipe:
        """Return the recipe of an analysis on a picture made with the parameters `picture`."""
        tell = getattr(analysis, "made_with", None)
        return cls(
            analysis=analysis.name,
            parameters=to_dict(analysis),
            picture=None if picture is None else dict(picture),
            source=None if source is None else str(source),
            made_with=(tell() or None) if callable(tell) else None,
        )

    def build(self, analyses: Mapping[str, type]) -> Any:
        """Return the analysis itself.

        Parameters
        ----------
        analyses : mapping
            Name to class: `napari_coldatoms.analyses.ANALYSES`.

        Raises
        ------
        RecipeError
            Where the analysis or one of its parameters is unknown or impossible.
        """
        if self.analysis not in analyses:
            raise RecipeError(
                f"recipe: analysis: expected one of {', '.join(sorted(analyses))}, "
                f"found {self.analysis!r}"
            )
        try:
            return from_dict(analyses[self.analysis], self.parameters)
        except ParameterError as error:
            raise RecipeError(f"recipe: parameters: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values."""
        values: dict[str, Any] = {
            _VERSION_KEY: self.version,
            "analysis": self.analysis,
            "parameters": self.parameters,
        }
        if self.picture is not None:
            values["picture"] = self.picture
        if self.source is not None:
            values["source"] = self.source
        if self.made_with is not None:
            values["made_with"] = self.made_with
        return values

    @classmethod
    def from_dict(cls, values: Any, *, where: str = "recipe") -> Recipe:
        """Return the recipe that `to_dict` gave; raise `RecipeError` where it is none."""
        if not isinstance(values, Mapping) or "analysis" not in values:
            raise RecipeError(
                f"{where}: expected a mapping with {', '.join(_KEYS)}, found {_short(values)}"
            )
        for key in values:
            if key not in _KEYS:
                raise RecipeError(f"{where}: {key}: expected one of {', '.join(_KEYS)}")
        version = str(values.get(_VERSION_KEY, __version__))
        _check_version(version, where)
        for key in ("parameters", "picture", "made_with"):
            value = values.get(key)
            if not (value is None or isinstance(value, Mapping)):
                raise RecipeError(f"{where}: {key}: expected a mapping, found {_short(value)}")
        picture, source = values.get("picture"), values.get("source")
        made_with = values.get("made_with")
        return cls(
            analysis=str(values["analysis"]),
            parameters=dict(values.get("parameters") or {}),
            picture=None if picture is None else dict(picture),
            version=version,
            source=None if source is None else str(source),
            made_with=None if made_with is None else dict(made_with),
        )

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str, *, where: str = "recipe") -> Recipe:
        """Return the recipe written as YAML; raise `RecipeError` where it is none."""
        try:
            values = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = " ".join(str(error).split())
            raise RecipeError(f"{where}: expected YAML, found {reason}") from error
        return cls.from_dict(values, where=where)

    def save(self, path: str | Path) -> None:
        """Write the recipe to a file, whole or not at all."""
        with replacing(path) as new:
            new.write_text(self.to_yaml(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read the recipe in a file; raise `RecipeError` where there is none."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"{path}: expected a recipe, found {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RecipeError(f"{path}: expected a recipe, found a file that is no text") from error
        return cls.from_yaml(text, where=str(path))


def _major(version: str) -> int | None:
    match = re.match(r"\s*v?(\d+)(\.|$)", version)
    return int(match.group(1)) if match else None


def _check_version(version: str, where: str) -> None:
    theirs, ours = _major(version), _major(__version__)
    if theirs is None:
        raise RecipeError(
            f"{where}: {_VERSION_KEY}: expected a version such as {__version__}, found {version!r}"
        )
    if ours is not None and theirs > ours:
        raise RecipeError(
            f"{where}: expected version {ours} of napari-coldatoms or older, "
            f"found a recipe of version {version}; update napari-coldatoms"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
