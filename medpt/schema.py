"""Plain data checked against a dataclass: one message for each value that does not fit.

The dataclass is the schema: its fields are the keys, their types say what is accepted, and `metadata` takes
the arguments of pydantic's `Field`, of which `description` is quoted in messages. pydantic is imported when
the first data are checked.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, dataclass_transform

from medpt.errors import InputError, did_you_mean
from medpt.yaml_document import KeyPath, Problem

T = TypeVar("T")
Node = Mapping[str, Any]  # of a JSON Schema
Error = Mapping[str, Any]  # of pydantic

STRICT: Any = {"strict": True, "extra": "forbid"}  # the `__pydantic_config__` of a schema
ACCEPTED = {  # by pydantic's type of error
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping of keys to values",
    "string_type": "text",
    "too_short": "a value or more",
    "tuple_type": "a list",
}
SHOWN = 80  # characters of a value in a message
READ_AS = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def strict_dataclass(kind: type[T]) -> type[T]:
    """Make a frozen dataclass that `validate` takes: its types are strict, and unknown keys are refused."""
    kind.__pydantic_config__ = STRICT  # type: ignore[attr-defined]
    return dataclass(frozen=True)(kind)


def accepts(description: str, **rules: Any) -> dict[str, Any]:
    """Return the metadata of a field whose values are described, such as "a number above 0", gt=0."""
    return {"description": description, **rules}


def validate(
    kind: type[T], data: Any, written: Mapping[KeyPath, str] | None = None
) -> tuple[T | None, list[Problem]]:
    """Return `data` as a `kind`, a dataclass with STRICT types; or None, and every problem.

    `written` has the text of values that are not text, as in the file (`Document.written`).
    """
    from pydantic import ValidationError

    schema: Any = kind
    try:
        # In pydantic's JSON mode strict types take a list for a tuple and a mapping for a dataclass
        value: T = _adapter(schema).validate_json(json.dumps(data))
    except ValidationError as error:
        return None, _Problems(json_schema(kind), data, written or {}).of(error.errors(include_url=False))
    return value, []


def option_problems(
    kind: type, options: Mapping[str, Any], path: KeyPath, written: Mapping[KeyPath, str]
) -> list[Problem]:
    """Return what is wrong with options of `kind`, a dataclass as of `validate`, that stand at `path`."""
    depth = len(path)
    inner = {key[depth:]: text for key, text in written.items() if key[:depth] == path}
    return [((*path, *key), text) for key, text in validate(kind, options, inner)[1]]


def without(data: dict[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """Return a copy of `data` without the values at `paths`; an item of a list becomes None."""
    copied: dict[str, Any] = deepcopy(data)
    for path in paths:
        found, parent = _existing(copied, path[:-1])
        if found != path[:-1]:
            continue
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        elif isinstance(parent, list) and isinstance(path[-1], int):
            parent[path[-1]] = None
    return copied


def json_schema(kind: type) -> dict[str, Any]:
    """Return the JSON Schema of `kind`, by which editors complete and check files."""
    schema: dict[str, Any] = _adapter(kind).json_schema()
    return schema


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


class _Problems:
    """Writes pydantic's errors as messages, one for each value."""

    def __init__(self, root: Node, data: Any, written: Mapping[KeyPath, str]) -> None:
        self.root, self.data, self.written = root, data, written

    def of(self, errors: Iterable[Error]) -> list[Problem]:
        """Of the types of a union, those that fit a part of the value tell more than the others."""
        ordered = sorted(errors, key=lambda error: error["type"] != "string_type")
        found: dict[KeyPath, str] = {}
        vague: set[KeyPath] = set()  # where a union or a list as a whole does not fit
        for error in ordered:
            path, _ = _existing(self.data, error["loc"])
            if _lacks_key(error, path):
                path = error["loc"]
            elif path != error["loc"] or error["type"] == "too_short":
                vague.add(path)
            found.setdefault(path, self._text(path, error))
        inner = {path[:length] for path in found for length in range(len(path))}
        return [(path, text) for path, text in found.items() if path not in vague & inner]

    def _text(self, path: KeyPath, error: Error) -> str:
        schemas = list(_schemas(self.root, path))
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        if _lacks_key(error, path[:-1]):
            return f"no `{key}`; needed: {', '.join(schemas[-2].get('required', [key]))}"
        if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            return f"unknown key `{key}`; {did_you_mean(key, schemas[-2].get('properties', {}))}"
        if isinstance(reason := error.get("ctx", {}).get("error"), InputError):
            return "; ".join(reason.problems)
        name = f"`{key}`" if key else "the file"
        text, value = self.written.get(path), _existing(self.data, path)[1]
        if text and error["type"] == "string_type":
            hint = f'{name} is {text}, which YAML reads as {READ_AS[type(value)]}; for text write "{text}"'
            return hint + (f" ({described} is accepted)" if (described := _description(schemas[-1])) else "")
        shown = text or ("empty" if value is None else _shortened(repr(value)))
        return f"{name} is {shown}; {_accepted(error, schemas, union=path != error['loc'])}"


def _lacks_key(error: Error, path: KeyPath) -> bool:
    """Whether the mapping at `path` lacks a key that it needs."""
    key = error["loc"][-1] if error["loc"] else None
    return error["type"] == "missing" and isinstance(key, str) and path == error["loc"][:-1]


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _accepted(error: Error, schemas: list[Node], *, union: bool) -> str:
    if error["type"] == "literal_error" and "enum" in schemas[-1]:
        return f"accepted: {', '.join(map(str, schemas[-1]['enum']))}"
    described = map(_description, reversed(schemas[-2:] if union else schemas[-1:]))
    plain = ACCEPTED.get(error["type"], error["msg"].removeprefix("Input should be "))
    return f"{next(filter(None, described), plain)} is accepted"


def _description(schema: Node) -> str:
    """Of the value itself, or of the first of its types that has one."""
    options = (option.get("description") for option in schema.get("anyOf", ()))
    return schema.get("description") or next(filter(None, options), "")


def _existing(data: Any, location: KeyPath) -> tuple[KeyPath, Any]:
    """Return the part of pydantic's location that is in the data, and the value there.

    pydantic puts the name of each type that it tried into the location.
    """
    path: KeyPath = ()
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            continue
        path = (*path, part)
    return path, data


def _schemas(root: Node, path: KeyPath) -> Iterator[Node]:
    """The JSON Schemas of the values on the way to `path`, from the root; without docstrings of classes."""
    node: Node = {**root, "description": None}
    yield node
    for part in path:
        options = [_resolved(root, option) for option in (node, *node.get("anyOf", ()))]
        node = next(filter(None, (_inner(option, part) for option in options)), {})
        types = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
        resolved = _resolved(root, types[0] if len(types) == 1 else node)
        node = {**resolved, "description": node.get("description") or resolved.get("description")}
        yield node


def _inner(schema: Node, part: str | int) -> Node:
    keys: Node = schema.get("properties", {})
    inner: Any = schema.get("items") if isinstance(part, int) else keys.get(part)
    if inner is None and isinstance(part, str):
        inner = schema.get("additionalProperties") or next(
            iter(schema.get("patternProperties", {}).values()), None
        )
    return inner if isinstance(inner, dict) else {}


def _resolved(root: Node, schema: Node) -> Node:
    """Follow a reference to a class, whose docstring is not a description for users."""
    if "$ref" not in schema:
        return schema
    return {**root["$defs"][schema["$ref"].rpartition("/")[2]], "description": None}
