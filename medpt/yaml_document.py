"""YAML files as plain data, with the line of every value; what YAML would guess is refused or is text.

Read as something else than text are true and false (also yes, no, on, off), null, decimal numbers and nothing
else: a date is text, `007` and `0x1F` are refused, as are tags.
"""

import math
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from medpt.errors import InputError

KeyPath = tuple[str | int, ...]
Problem = tuple[KeyPath, str]  # where in a document, and what is wrong there

MAX_BYTES = 5_000_000
MAX_NODES = 250_000
MAX_DEPTH = 50
MAX_DIGITS = 18
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C reads eight times faster

TRUE, FALSE = ("true", "yes", "on"), ("false", "no", "off")
CONSTANTS: dict[str, Any] = {
    spelling: value
    for words, value in ((TRUE, True), (FALSE, False), (("null",), None))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}
INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
DECIMAL = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(e[-+]?[0-9]+)?", re.IGNORECASE)
AMBIGUOUS = re.compile(r"[-+]?0([0-9_]+|[xob][0-9a-f_]+)", re.IGNORECASE)  # octal here, decimal there


class Document:
    """The plain data of one YAML file.

    `lines` has the line of each value by key path, `written` the text of each value that is not text.
    `problems` are keys given twice and numbers of several meanings; `located` reports them too. Raises
    InputError for a file that cannot be read, is too large or is not YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self.written: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._nodes = 0
        self.data = self._load()

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of the value at `path`, or of the nearest value that encloses it."""
        return f"{self.path}:{self._line(path)}"

    def located(self, problems: Iterable[Problem] = ()) -> list[str]:
        """Return the document's and the given problems as messages with file and line, in their order."""
        known = {path for path, _ in self.problems}
        found = [*self.problems, *(problem for problem in problems if problem[0] not in known)]
        ordered = sorted(found, key=lambda problem: self._line(problem[0]))
        return [f"{self.where(path)}: {text}" for path, text in ordered]

    def _line(self, path: KeyPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def _load(self) -> Any:
        text = _read(self.path)
        try:
            self._check_events(text)
            node = yaml.compose(text, Loader=LOADER)
            return self._plain(node, ()) if node is not None else {}
        except yaml.MarkedYAMLError as error:
            line = (error.problem_mark.line + 1) if error.problem_mark else 1
            raise InputError(f"{self.path}:{line}: not YAML: {error.problem or error}") from None
        except yaml.YAMLError as error:
            found = yaml.reader.Reader.NON_PRINTABLE.search(text)
            line = text.count("\n", 0, found.start()) + 1 if found else 1
            raise InputError(f"{self.path}:{line}: not YAML: {' '.join(str(error).split())}") from None

    def _check_events(self, text: str) -> None:
        """Refuse tags, and deep nesting before composing, which recurses in C without a limit of its own."""
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=LOADER)):
            if number > 2 * MAX_NODES:  # each value has at most a start and an end
                raise self._too_many()
            line = event.start_mark.line + 1 if event.start_mark else 1
            if tag := getattr(event, "tag", None):
                tag = tag.replace("tag:yaml.org,2002:", "!!")
                raise InputError(f"{self.path}:{line}: the tag `{tag}` is not accepted; remove it")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise self._too_deep(line)

    def _too_many(self) -> InputError:
        return InputError(f"{self.path}: more than {MAX_NODES:,} values (aliases that multiply?)")

    def _too_deep(self, line: int) -> InputError:
        return InputError(f"{self.path}:{line}: values are nested more than {MAX_DEPTH} levels deep")

    def _plain(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._too_many()
        if len(path) > MAX_DEPTH:  # an alias that stands inside its own anchor
            raise self._too_deep(line)
        self.lines[path] = line
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if "\0" in node.value:
            self.problems.append((path, "a value has the character NUL; remove `\\0` or `\\u0000`"))
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*path, n)) for n, item in enumerate(node.value)]
        return str(node.value) if getattr(node, "style", None) else self._scalar(str(node.value), path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InputError(f"{self.path}:{line}: a key is a list or a mapping; text is accepted")
            key = str(key_node.value)
            if key in mapping:
                self.problems.append(((*path, key), f"the key `{key}` is given twice; keep one"))
            mapping[key] = self._plain(value_node, (*path, key))
            self.lines[(*path, key)] = line
        return mapping

    def _scalar(self, text: str, path: KeyPath) -> Any:
        if AMBIGUOUS.fullmatch(text):
            key = next((f"`{part}` is " for part in reversed(path) if isinstance(part, str)), "")
            hint = f'write "{text}" for text, or decimal digits'
            self.problems.append(
                (path, f"{key}{text}, which YAML readers take for different numbers; {hint}")
            )
        value = read_scalar(text)
        if not isinstance(value, str):
            self.written[path] = text
        return value


def read_scalar(text: str) -> Any:
    """Return what an unquoted `text` stands for: a truth value, None, a finite decimal number, or itself."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    digits = text.replace("_", "")
    if INTEGER.fullmatch(text) and len(digits) <= MAX_DIGITS:
        return int(digits)
    if DECIMAL.fullmatch(text) and not AMBIGUOUS.fullmatch(text) and not INTEGER.fullmatch(text):
        number = float(digits)
        return number if math.isfinite(number) else text
    return text


def blank_problems(data: Mapping[str, Any], keys: Iterable[str]) -> Iterator[Problem]:
    """Report which of the keys have an empty text."""
    for key in keys:
        if isinstance(text := data.get(key), str) and not text.strip():
            yield (key,), f"`{key}` is {text!r}; text that is not empty is accepted"


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path}: not a file; a text file is accepted")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: a larger file; at most {MAX_BYTES:,} bytes are accepted")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text at byte {error.start}") from None
