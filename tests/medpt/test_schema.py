"""Data checked against a dataclass: one message for each value, in the words of the field."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from medpt.errors import InputError
from medpt.schema import STRICT, accepts, json_schema, option_problems, validate, without


@dataclass(frozen=True)
class Inner:
    __pydantic_config__: ClassVar[Any] = STRICT

    rate: float = field(default=0.1, metadata=accepts("a number above 0", gt=0))


@dataclass(frozen=True)
class Outer:
    """A docstring that no message quotes."""

    __pydantic_config__: ClassVar[Any] = STRICT

    name: str
    kind: Literal["one", "two"] = "one"
    count: int | None = None
    flag: bool = False
    inner: Inner | None = None
    by_name: Mapping[str, Inner] = field(default_factory=dict)
    numbers: (
        Annotated[
            tuple[Annotated[int, Field(ge=0, description="a whole number from 0")], ...], Field(min_length=1)
        ]
        | Annotated[int, Field(ge=0)]
    ) = 0
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Checked:
    __pydantic_config__: ClassVar[Any] = STRICT

    low: int = 0

    def __post_init__(self) -> None:
        if self.low > 5:
            raise InputError(["low is above 5", "use less"])


def problems(data: Any, written: Mapping[tuple[str | int, ...], str] | None = None) -> list[tuple[Any, str]]:
    found, problems = validate(Outer, data, written)
    assert (found is None) == bool(problems)
    return problems


def test_valid_data_become_the_dataclass() -> None:
    data = {"name": "x", "inner": {"rate": 1}, "numbers": [1, 2], "pair": [1, 2.5], "by_name": {"a": {}}}
    found, nothing = validate(Outer, data)
    assert nothing == []
    assert found == Outer("x", inner=Inner(1.0), numbers=(1, 2), pair=(1.0, 2.5), by_name={"a": Inner()})


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"kind": "tow"}, ("kind",), "`kind` is 'tow'; accepted: one, two"),
        ({"count": "3"}, ("count",), "`count` is '3'; a whole number is accepted"),
        ({"count": 3.0}, ("count",), "`count` is 3.0; a whole number is accepted"),
        ({"count": True}, ("count",), "`count` is True; a whole number is accepted"),
        ({"flag": 1}, ("flag",), "`flag` is 1; true or false is accepted"),
        ({"inner": {"rate": 0}}, ("inner", "rate"), "`rate` is 0; a number above 0 is accepted"),
        ({"inner": {"rat": 1}}, ("inner", "rat"), "unknown key `rat`; did you mean rate?"),
        ({"inner": 3}, ("inner",), "`inner` is 3; a mapping of keys to values is accepted"),
        (
            {"by_name": {"a": {"rate": -1}}},
            ("by_name", "a", "rate"),
            "`rate` is -1; a number above 0 is accepted",
        ),
        ({"numbers": [1, -2]}, ("numbers", 1), "`numbers` is -2; a whole number from 0 is accepted"),
        ({"numbers": []}, ("numbers",), "`numbers` is []; a value or more is accepted"),
        ({"pair": [1, "b"]}, ("pair", 1), "`pair` is 'b'; a number is accepted"),
        ({"name": None}, ("name",), "`name` is empty; text is accepted"),
        (
            {"name": "x" * 200 + "y", "kind": "y" * 200},
            ("kind",),
            f"`kind` is '{'y' * 79}...; accepted: one, two",
        ),
    ],
    ids=str,
)
def test_problem_names_key_value_and_what_is_accepted(
    changes: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    assert problems({"name": "x"} | changes) == [(path, message)]


def test_problems_are_all_found_in_one_pass() -> None:
    paths = [path for path, _ in problems({"kind": 3, "count": "x", "numbers": [-1, "a"], "odd": 1})]
    assert sorted(paths, key=str) == sorted(
        [("kind",), ("count",), ("numbers", 0), ("numbers", 1), ("odd",), ("name",)], key=str
    )


def test_missing_key_names_what_is_needed() -> None:
    assert problems({}) == [(("name",), "no `name`; needed: name")]


def test_text_that_yaml_reads_otherwise_gets_a_hint_to_quote_it() -> None:
    assert problems({"name": False}, {("name",): "NO"}) == [
        (("name",), '`name` is NO, which YAML reads as true or false; for text write "NO"')
    ]
    assert problems({"name": "x", "count": True}, {("count",): "on"}) == [
        (("count",), "`count` is on; a whole number is accepted")
    ]


def test_problems_of_the_dataclass_itself_are_reported() -> None:
    assert validate(Checked, {"low": 6}) == (None, [((), "low is above 5; use less")])


def test_option_problems_stand_at_their_place_in_the_document() -> None:
    written = {("a", "options", "rate"): "off"}
    found = option_problems(Inner, {"rate": False}, ("a", "options"), written)
    assert found == [(("a", "options", "rate"), "`rate` is off; a number above 0 is accepted")]


def test_without_drops_keys_and_empties_items() -> None:
    data = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert without(data, [("a", "b"), ("d", 0), ("x", "y")]) == {"a": {"c": 2}, "d": [None, 2]}
    assert data == {"a": {"b": 1, "c": 2}, "d": [1, 2]}


def test_json_schema_has_the_keys_and_refuses_others() -> None:
    found = json_schema(Outer)
    assert set(found["properties"]) == {
        "name",
        "kind",
        "count",
        "flag",
        "inner",
        "by_name",
        "numbers",
        "pair",
    }
    assert found["additionalProperties"] is False
    assert found["required"] == ["name"]
