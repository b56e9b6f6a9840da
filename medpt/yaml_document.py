"""YAML documents with places: safe loading, duplicate keys refused, every value's line remembered."""

from pathlib import Path
from typing import Any

import yaml

from medpt.errors import InputError

Place = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_NODES = 100_000


class Document:
    """The plain data of one YAML file and the line of each of its values, by path of keys and positions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Place, int] = {}
        self.problems: list[str] = []
        self._nodes = 0
        self.data = self._load()
        if self.problems:
            raise InputError(self.problems)

    def where(self, place: Place) -> str:
        """`file:line` of the value at `place`, or of the nearest value that encloses it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.path}:{self.lines.get(place, 1)}"

    def _load(self) -> Any:
        text = _read(self.path)
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            return self._plain(node, ()) if node is not None else {}
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line + 1) if error.problem_mark else 1
            raise InputError(f"{self.path}:{line}: not YAML: {error.problem or error}") from None
        except yaml.YAMLError as error:
            raise InputError(f"{self.path}:1: not YAML: {error}") from None

    def _plain(self, node: yaml.Node, place: Place) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise InputError(f"{self.path}: more than {MAX_NODES:,} values (aliases that multiply?)")
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*place, n)) for n, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in found:
                self.problems.append(f"{self.path}:{line}: the key `{key}` is given twice; keep one")
            found[key] = self._plain(value_node, (*place, key))
            self.lines[(*place, key)] = line
        return found


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


def _scalar(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        # YAML 1.1 reads 1e-4 as text; the field writes learning rates so.
        value = loader.construct_object(node)
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        return _number(value) if isinstance(value, str) and plain else value
    finally:
        loader.dispose()


def _number(text: str) -> str | float:
    try:
        return float(text) if text[:1] in "-+.0123456789" else text
    except ValueError:
        return text
