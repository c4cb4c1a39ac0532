"""Parameters of analyses: as the form, the command line and recipes see them."""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest

from napari_coldatoms.backend.analysis import (
    Analysis,
    ParameterError,
    check,
    from_dict,
    parameters,
    to_dict,
)


@dataclass(frozen=True)
class Options:
    low: Annotated[float, {"min": 0.0, "tooltip": "lower edge"}] = 1.0
    high: float = 2.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"expected low <= high, found {self.low} > {self.high}")


@dataclass(frozen=True)
class Example:
    name: ClassVar[str] = "example"

    count: Annotated[int, {"min": 1, "max": 9, "tooltip": "how many"}] = 3
    factor: Annotated[float, {"max": 10.0}] = 1.5
    mode: Literal["a", "b"] = "a"
    on: bool = True
    note: str = ""
    path: Path | None = None
    limit: Annotated[float | None, {"min": 0.0}] = None
    region: tuple[int, int] | None = field(default=None, metadata={"advanced": True})
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        check(self)

    def prepare(self, stack: Any) -> None: ...
    def __call__(self, frame: Any, context: Any) -> None: ...
    def summarise(self, run: Any) -> Any: ...
    def layers(self, run: Any) -> Any: ...


def test_parameters_are_the_fields_in_order():
    found = parameters(Example)
    assert [p.name for p in found] == [
        "count", "factor", "mode", "on", "note", "path", "limit", "region", "options",
    ]  # fmt: skip
    by_name = {p.name: p for p in found}
    assert by_name["count"].type is int
    assert by_name["count"].default == 3
    assert by_name["count"].help == "how many"
    assert by_name["count"].options == {"min": 1, "max": 9, "tooltip": "how many"}
    assert by_name["mode"].choices == ("a", "b")
    assert [p.name for p in found if p.optional] == ["path", "limit", "region"]
    assert [p.name for p in found if p.advanced] == ["region"]
    assert by_name["options"].default == Options()
    assert [p.name for p in by_name["options"].parameters] == ["low", "high"]
    assert parameters(Example()) == found


def test_annotations_are_what_magicgui_takes():
    annotation = parameters(Example)[0].annotation
    assert annotation == Annotated[int, {"min": 1, "max": 9, "tooltip": "how many"}]


def test_example_follows_the_protocol():
    assert isinstance(Example(), Analysis)


def test_dict_and_back():
    example = Example(count=7, path=Path("a/b"), limit=2.5, region=(3, 4), options=Options(high=5))
    values = to_dict(example)
    assert values == {
        "count": 7,
        "factor": 1.5,
        "mode": "a",
        "on": True,
        "note": "",
        "path": str(Path("a/b")),
        "limit": 2.5,
        "region": [3, 4],
        "options": {"low": 1.0, "high": 5},
    }
    assert from_dict(Example, values) == example
    assert from_dict(Example, {}) == Example()
    assert isinstance(from_dict(Example, values).path, Path)
    # a nested dataclass itself will do as well as its dict
    assert from_dict(Example, {"options": Options(high=5)}).options.high == 5


@pytest.mark.parametrize("value", [4, 4.0, np.int64(4), np.float32(4)])
def test_whole_numbers_of_any_kind_are_taken(value):
    found = from_dict(Example, {"count": value}).count
    assert found == 4
    assert type(found) is int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 3}, "cuont: unknown parameter; expected one of count, factor, mode"),
        ({"count": 0}, "count: expected a whole number from 1 to 9, found 0"),
        ({"count": 2.5}, "count: expected a whole number from 1 to 9, found 2.5"),
        ({"count": True}, "count: expected a whole number from 1 to 9, found True"),
        ({"count": "3"}, "count: expected a whole number from 1 to 9, found '3'"),
        ({"count": None}, "count: expected a whole number from 1 to 9, found None"),
        ({"factor": 10.5}, "factor: expected a number of at most 10.0, found 10.5"),
        ({"factor": float("nan")}, "factor: expected a number of at most 10.0, found nan"),
        ({"factor": [1.0]}, r"factor: expected a number of at most 10.0, found \[1.0\]"),
        ({"mode": "c"}, "mode: expected one of 'a', 'b', found 'c'"),
        ({"on": 1}, "on: expected true or false, found 1"),
        ({"note": 1}, "note: expected a text, found 1"),
        ({"path": 1}, r"path: expected a path or nothing \(null\), found 1"),
        ({"limit": -1}, r"limit: expected a number of at least 0.0 or nothing \(null\), found -1"),
        ({"region": [1]}, r"region: expected \(a whole number, a whole number\) or nothing"),
        ({"region": "12"}, "region: expected .*, found '12'"),
        ({"options": {"low": -1}}, "options.low: expected a number of at least 0.0, found -1"),
        ({"options": {"x": 1}}, "options.x: unknown parameter; expected one of low, high"),
        ({"options": 3}, "options: expected a mapping of parameters, found 3"),
        ({"options": {"low": 3.0}}, "options: expected low <= high, found 3.0 > 2.0"),
        ([1], r"Example: expected a mapping of parameters, found \[1\]"),
    ],
)
def test_impossible_values_say_what_was_expected(values, message):
    with pytest.raises(ParameterError, match=message):
        from_dict(Example, values)


def test_construction_is_checked_too():
    with pytest.raises(
        ParameterError, match="count: expected a whole number from 1 to 9, found 10"
    ):
        Example(count=10)
    with pytest.raises(FrozenInstanceError):
        Example().count = 5  # type: ignore[misc]


def test_a_parameter_without_default_must_be_given():
    @dataclass(frozen=True)
    class Needs:
        size: float

    Needs.__annotations__["size"] = float
    assert parameters(Needs)[0].default is MISSING
    with pytest.raises(ParameterError, match="size: expected a number, found nothing"):
        from_dict(Needs, {})
