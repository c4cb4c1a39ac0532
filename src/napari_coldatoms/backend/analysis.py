"""The protocol every analysis follows, and its parameters as form, CLI and recipe see them.

An analysis is a frozen dataclass whose fields are its parameters. A field is a ``bool``, ``int``,
``float``, ``str``, ``Path``, ``Literal``, a fixed tuple of those, any of them or ``None``, or (at
most one level deep) another dataclass with the options of one method: of that of the field's name,
or of the option ``method``. ``Annotated`` carries magicgui's own options (``min``, ``max``,
``step``, ``tooltip``, ``label``);
``field(metadata={"advanced": True})`` marks what is rarely used.

An analysis may have more than `Analysis` asks for:

- ``thing``: what its table has one row of, as a word for the user;
- ``whole_series``: where true, all files are analysed as one stack, since the shots tell about each
  other;
- ``takes(stack)``: whether raw frames are analysed as they are, without a picture made of them;
- ``more_tables(run)``: further tables by their names;
- ``made_with()``: what its results depend on besides the parameters, as plain values.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from numbers import Real
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from napari_coldatoms.backend.run import Run

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keyword arguments, layer type."""

T = TypeVar("T")


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type or out of its bounds."""


@runtime_checkable
class Analysis(Protocol):
    """One job on every frame of a stack; see the module's text for its fields."""

    name: ClassVar[str]
    """How recipes and the command line call it, such as ``detect_clouds``."""

    def prepare(self, stack: xr.DataArray) -> Any:
        """Return what all frames share; raise where the stack cannot be analysed at all.

        What has a method ``of_frame`` (`FrameContexts`) is asked for each frame's own context.
        """

    def __call__(self, frame: xr.DataArray, context: Any) -> Any:
        """Analyse one frame (dims ``y, x``, in memory)."""

    def summarise(self, run: Run) -> pd.DataFrame:
        """Return the tidy table of a run, one row per thing found."""

    def layers(self, run: Run) -> list[LayerData]:
        """Return what a run shows in napari."""


@runtime_checkable
class FrameContexts(Protocol):
    """What all frames share, where each of them gets a context of its own."""

    def of_frame(self, index: tuple[int, ...]) -> Any:
        """Return the context of the frame at this place along the stack's leading dimensions."""


@dataclass(frozen=True)
class Parameter:
    """One field of an analysis.

    Attributes
    ----------
    name : str
    annotation
        The type as written, ``Annotated`` included: what `magicgui.widgets.create_widget` takes.
    type
        The type without ``Annotated``.
    default
        Its default; `dataclasses.MISSING` where there is none.
    options : dict
        The options of ``Annotated``.
    advanced : bool
        Whether it is rarely used.
    parameters : tuple of Parameter
        The fields of a nested dataclass, else empty.
    """

    name: str
    annotation: Any
    type: Any
    default: Any = MISSING
    options: Mapping[str, Any] = field(default_factory=dict)
    advanced: bool = False
    parameters: tuple[Parameter, ...] = ()

    @property
    def help(self) -> str:
        """One line that explains it."""
        return str(self.options.get("tooltip", ""))

    @property
    def method(self) -> str:
        """The method that a nested dataclass belongs to."""
        return str(self.options.get("method", self.name))

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a ``Literal``, else empty."""
        return next((get_args(t) for t in _members(self.type) if get_origin(t) is Literal), ())

    @property
    def optional(self) -> bool:
        """Whether ``None`` is a value of it."""
        return type(None) in _members(self.type)

    @property
    def expected(self) -> str:
        """What values it takes, in words."""
        if self.parameters:
            return "a mapping of " + ", ".join(p.name for p in self.parameters)
        words = [_words(t, self.options) for t in _members(self.type) if t is not type(None)]
        return " or ".join([*words, "nothing (null)"] if self.optional else words)


def parameters(cls: Any) -> list[Parameter]:
    """Return the parameters of an analysis (class or instance), in the order of its fields."""
    cls = cls if isinstance(cls, type) else type(cls)
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for f in fields(cls):
        if not f.init:
            continue
        bare, options = _strip(hints[f.name])
        default = f.default
        if default is MISSING and f.default_factory is not MISSING:
            default = f.default_factory()
        nested = tuple(parameters(bare)) if is_dataclass(bare) else ()
        advanced = bool(f.metadata.get("advanced", False))
        found.append(Parameter(f.name, hints[f.name], bare, default, options, advanced, nested))
    return found


def to_dict(analysis: Any) -> dict[str, Any]:
    """Return the parameters of an analysis as plain values that YAML and JSON can hold."""
    return {f.name: _plain(getattr(analysis, f.name)) for f in fields(analysis) if f.init}


def from_dict(cls: type[T], values: Mapping[str, Any], *, where: str = "") -> T:
    """Return an analysis with these parameters; those left out keep their default.

    Parameters
    ----------
    cls : type
        The dataclass.
    values : mapping
        Plain values, as `to_dict` gives them.
    where : str
        A prefix for the names in error messages.

    Raises
    ------
    ParameterError
        With the name of the parameter, what was expected and what was found.
    """
    if not isinstance(values, Mapping):
        raise ParameterError(
            f"{where.rstrip('.') or cls.__name__}: expected a mapping of parameters, "
            f"found {values!r}"
        )
    known = {p.name: p for p in parameters(cls)}
    for name in values:
        if name not in known:
            raise ParameterError(
                f"{where}{name}: unknown parameter; expected one of {', '.join(known)}"
            )
    for p in known.values():
        if p.default is MISSING and p.name not in values:
            raise ParameterError(f"{where}{p.name}: expected {p.expected}, found nothing")
    checked = {name: _checked(known[name], value, where) for name, value in values.items()}
    try:
        return cls(**checked)
    except ParameterError:
        raise
    except ValueError as error:  # values that do not go together
        place = f"{where.rstrip('.')}: " if where else ""
        raise ParameterError(f"{place}{error}") from error


def check(analysis: Any, *, where: str = "") -> None:
    """Raise `ParameterError` where a field of an analysis has a wrong type or is out of bounds.

    Meant for ``__post_init__``, so that no analysis with impossible parameters exists.
    """
    for p in parameters(analysis):
        value = getattr(analysis, p.name)
        if p.parameters and is_dataclass(value):
            check(value, where=f"{where}{p.name}.")
        else:
            _checked(p, value, where)


def _strip(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """Return a type without ``Annotated``, and the options that it carried."""
    options: dict[str, Any] = {}
    while get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        for extra in extras:
            if isinstance(extra, Mapping):
                options.update(extra)
    return annotation, options


def _members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; of any other type the type itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(_strip(member)[0] for member in get_args(annotation))
    return (annotation,)


def _words(kind: Any, options: Mapping[str, Any]) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if get_origin(kind) is tuple:
        return "(" + ", ".join(_words(t, options) for t in get_args(kind)) + ")"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    words = names.get(kind, "a path" if kind is Path else getattr(kind, "__name__", str(kind)))
    if kind in (int, float):
        low, high = options.get("min"), options.get("max")
        if low is not None and high is not None:
            words += f" from {low} to {high}"
        elif low is not None:
            words += f" of at least {low}"
        elif high is not None:
            words += f" of at most {high}"
    return words


_REFUSED = object()


def _checked(parameter: Parameter, value: Any, where: str) -> Any:
    """Return the value in the parameter's own type, or raise."""
    if parameter.parameters:
        if isinstance(value, parameter.type):
            return value
        return from_dict(parameter.type, value, where=f"{where}{parameter.name}.")
    for kind in _members(parameter.type):
        taken = _take(kind, value, parameter.options)
        if taken is not _REFUSED:
            return taken
    raise ParameterError(f"{where}{parameter.name}: expected {parameter.expected}, found {value!r}")


def _take(kind: Any, value: Any, options: Mapping[str, Any]) -> Any:
    """Return the value as `kind`, or `_REFUSED`."""
    if get_origin(kind) is Literal:
        same = [c for c in get_args(kind) if type(c) is type(value) and c == value]
        return same[0] if same else _REFUSED
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        if isinstance(value, str) or not isinstance(value, (tuple, list)):
            return _REFUSED
        if len(kinds) == 2 and kinds[1] is Ellipsis:
            kinds = (kinds[0],) * len(value)
        if len(kinds) != len(value):
            return _REFUSED
        taken = tuple(_take(_strip(k)[0], v, options) for k, v in zip(kinds, value, strict=True))
        return _REFUSED if any(t is _REFUSED for t in taken) else taken
    if kind is type(None):
        return None if value is None else _REFUSED
    if kind is bool:
        return bool(value) if isinstance(value, (bool, np.bool_)) else _REFUSED
    if kind in (int, float):
        number = _number(kind, value)
        low, high = options.get("min", -math.inf), options.get("max", math.inf)
        return number if number is not _REFUSED and low <= number <= high else _REFUSED
    if kind is Path:
        return Path(value) if isinstance(value, (str, Path)) else _REFUSED
    return value if isinstance(value, kind) else _REFUSED


def _number(kind: type, value: Any) -> Any:
    # a bool is an int in Python, but `binning: yes` in a recipe is a mistake
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        return _REFUSED
    number = float(value)
    if not math.isfinite(number) or (kind is int and not number.is_integer()):
        return _REFUSED
    return kind(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
