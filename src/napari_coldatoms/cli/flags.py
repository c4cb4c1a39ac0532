"""The flags of an analysis, made from its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, get_args

import cyclopts

from napari_coldatoms.backend.analysis import Parameter, ParameterError, from_dict, parameters
from napari_coldatoms.cli import UsageError


def flags(cls: type, group: str, **defaults: Any) -> Any:
    """Return a dataclass that cyclopts makes flags of: one for each parameter, with its help.

    Parameters
    ----------
    cls : type
        An analysis. Its nested dataclasses give flags such as ``--threshold.significance``.
    group : str
        The heading of the flags in ``--help``.
    **defaults
        Defaults by the names of parameters, in place of the analysis' own.
    """
    members = []
    for parameter in parameters(cls):
        if parameter.parameters:
            kind = flags(parameter.type, f"{group}, method '{parameter.method}'")
            members.append((parameter.name, kind, field(default=kind())))
            continue
        note = cyclopts.Parameter(
            help=_help(parameter),
            group=group,
            negative_iterable=(),
            converter=_whole if int in (parameter.type, *get_args(parameter.type)) else None,
        )
        default = defaults.get(parameter.name, parameter.default)
        value = field() if default is MISSING else field(default=default)
        members.append((parameter.name, Annotated[parameter.type, note], value))
    made = make_dataclass(f"{cls.__name__}Flags", members, frozen=True)
    # cyclopts leaves classes alone that seem to be Python's own
    made.__module__ = __name__
    return made


def build(cls: type, values: Any, prefix: str = "") -> Any:
    """Return the analysis with the values of its flags, which start with `prefix`.

    Raises
    ------
    UsageError
        Where a value is out of bounds.
    """
    try:
        return from_dict(cls, _as_dict(values), where=prefix)
    except ParameterError as error:
        name, colon, rest = str(error).partition(":")
        raise UsageError(f"--{name.replace('_', '-')}{colon}{rest}") from error


def _as_dict(values: Any) -> dict[str, Any]:
    found = {f.name: getattr(values, f.name) for f in fields(values)}
    return {key: _as_dict(value) if is_dataclass(value) else value for key, value in found.items()}


def _whole(kind: type, tokens: Sequence[cyclopts.Token]) -> int:
    """Return a whole number; cyclopts would cut the rest of others off."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"expected a whole number, found {tokens[0].value!r}") from None


def _help(parameter: Parameter) -> str:
    low, high = parameter.options.get("min"), parameter.options.get("max")
    bounds = f" [{low} to {high}]" if low is not None and high is not None else ""
    return f"{parameter.help}{bounds}"
