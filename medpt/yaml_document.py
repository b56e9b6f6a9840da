"""YAML files: loaded safely, checked against a dataclass, with file and line in every message.

A dataclass is the schema: its fields are the keys, their types say what is accepted, and `metadata` takes
the arguments of pydantic's `Field`, of which `description` is quoted in messages. pydantic is imported when
the first file is checked.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from medpt.errors import InputError, did_you_mean

T = TypeVar("T")
KeyPath = tuple[str | int, ...]
Problem = tuple[KeyPath, str]  # where in a document, and what is wrong there
Schema = Mapping[str, Any]

STRICT: Any = {"strict": True, "extra": "forbid"}  # the `__pydantic_config__` of a schema
ACCEPTED = {  # by pydantic's type of error
    "bool_type": "true or false",
    "dataclass_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping of keys to values",
    "string_type": "text (in quotes, if YAML reads it as something else)",
    "tuple_type": "a list",
}

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 50
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C reads eight times faster


class Document:
    """The plain data of one YAML file and the line of each value, by key path (keys and list positions).

    Raises InputError for a file that cannot be read, is too large or is not YAML, and for duplicate keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self._problems: list[str] = []
        self._nodes = 0
        self._scalars = yaml.constructor.SafeConstructor()
        self.data = self._load()
        if self._problems:
            raise InputError(self._problems)

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of the value at `path`, or of the nearest value that encloses it."""
        return f"{self.path}:{self._line(path)}"

    def located(self, problems: Iterable[Problem]) -> list[str]:
        """Return the problems as messages that start with file and line, in the order of the lines."""
        ordered = sorted(problems, key=lambda problem: self._line(problem[0]))
        return [f"{self.where(path)}: {text}" for path, text in ordered]

    def _line(self, path: KeyPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def _load(self) -> Any:
        text = _read(self.path)
        try:
            self._check_depth(text)
            node = yaml.compose(text, Loader=LOADER)
            return self._plain(node, ()) if node is not None else {}
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line + 1) if error.problem_mark else 1
            raise InputError(f"{self.path}:{line}: not YAML: {error.problem or error}") from None
        except yaml.YAMLError as error:
            raise InputError(f"{self.path}:1: not YAML: {error}") from None

    def _check_depth(self, text: str) -> None:
        """Refuse deep nesting before composing, which recurses in C without a limit of its own."""
        depth = 0
        for event in yaml.parse(text, Loader=LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._too_deep(event.start_mark.line + 1 if event.start_mark else 1)

    def _too_deep(self, line: int) -> InputError:
        return InputError(f"{self.path}:{line}: values are nested more than {MAX_DEPTH} levels deep")

    def _plain(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InputError(f"{self.path}: more than {MAX_NODES:,} values (aliases that multiply?)")
        if len(path) > MAX_DEPTH:  # an alias that stands inside its own anchor
            raise self._too_deep(line)
        self.lines[path] = line
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, n)) for n, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in mapping:
                self._problems.append(f"{self.path}:{line}: the key `{key}` is given twice; keep one")
            mapping[key] = self._plain(value_node, (*path, key))
            self.lines[(*path, key)] = line
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        value = self._scalars.construct_object(node)
        plain = isinstance(node, yaml.ScalarNode) and not node.style
        return _number(value) if isinstance(value, str) and plain else value


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: {len(content):,} bytes; at most {MAX_BYTES:,} are accepted")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text at byte {error.start}") from None


def _number(text: str) -> str | float:
    """YAML 1.1 reads 1e-4 as text, which is how learning rates are written."""
    try:
        return float(text) if text[:1] in "-+.0123456789" else text
    except ValueError:
        return text


def validate(kind: type[T], data: Any) -> tuple[T | None, list[Problem]]:
    """Return `data` as a `kind`, a dataclass with STRICT types; or None, and every problem."""
    from pydantic import ValidationError

    schema: Any = kind
    try:
        # In pydantic's JSON mode strict types take a list for a tuple and a mapping for a dataclass
        value: T = _adapter(schema).validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        problems: dict[KeyPath, str] = {}
        for each in error.errors(include_url=False):
            path, text = _problem(json_schema(kind), data, each)
            problems.setdefault(path, text)
        return None, list(problems.items())
    return value, []


def without(data: dict[str, Any], paths: Iterable[KeyPath]) -> dict[str, Any]:
    """Return a copy of `data` without the values at `paths`; an item of a list becomes None."""
    copied: dict[str, Any] = deepcopy(data)
    for path in paths:
        _, parent = _existing(copied, path[:-1])
        if isinstance(parent, dict):
            parent.pop(path[-1], None)
        else:
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


def _problem(root: Schema, data: Any, error: Mapping[str, Any]) -> Problem:
    path, value = _existing(data, error["loc"])
    schemas = list(_schemas(root, path))
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if error["type"] == "missing" and "required" in schemas[-1]:
        return error["loc"], f"no `{error['loc'][-1]}`; needed: {', '.join(schemas[-1]['required'])}"
    if error["type"] == "unexpected_keyword_argument":
        return path, f"unknown key `{key}`; {did_you_mean(key, schemas[-2]['properties'])}"
    return path, f"{f'`{key}`' if key else 'the file'} is {value!r}; {_accepted(error, path, schemas)}"


def _accepted(error: Mapping[str, Any], path: KeyPath, schemas: list[Schema]) -> str:
    if error["type"] == "literal_error" and "enum" in schemas[-1]:
        return did_you_mean(str(error["input"]), map(str, schemas[-1]["enum"]))
    descriptions = [schema["description"] for schema in schemas if schema.get("description")]
    in_union = len(path) < len(error["loc"])
    if descriptions and (in_union or schemas[-1].get("description")):
        return f"{descriptions[-1]} is accepted"
    plain = error["msg"].removeprefix("Input should be ")
    return f"{ACCEPTED.get(error['type'], plain)} is accepted"


def _existing(data: Any, path: KeyPath) -> tuple[KeyPath, Any]:
    """The start of pydantic's path that is in the data, and the value there; it adds the type it tried."""
    for length, part in enumerate(path):
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return path[:length], data
    return path, data


def _schemas(root: Schema, path: KeyPath) -> Iterator[Schema]:
    """The JSON Schemas of the values on the way to `path`, from the root; without docstrings of classes."""
    node: Schema = {**root, "description": None}
    for part in (None, *path):
        if isinstance(part, int):
            node = node.get("items", {})
        elif part is not None:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
        if len(options) == 1:
            node = {**options[0], "description": node.get("description")}
        if "$ref" in node:
            node = {**root["$defs"][node["$ref"].rpartition("/")[2]], "description": node.get("description")}
        yield node
