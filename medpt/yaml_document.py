"""Safe loading of YAML files, with the line of every value, so that a message can name file and line."""

from pathlib import Path
from typing import Any

import yaml

from medpt.errors import InputError

KeyPath = tuple[str | int, ...]

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
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.path}:{self.lines.get(path, 1)}"

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
