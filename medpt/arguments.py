"""Arguments of commands: a parser that refuses options given twice or empty, types with clear messages."""

import argparse
import math
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from medpt.errors import InputError

T = TypeVar("T")

LARGEST = 10**12  # of whole numbers that have no limit of their own


class ArgumentParser(argparse.ArgumentParser):
    """Refuses an option that is given twice, of which argparse takes the last, and empty text. One parser is
    for one call.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)

    def given(self, values: argparse.Namespace, names: Collection[str]) -> str:
        """Return the options, of those whose values have these names, that differ from their defaults."""
        named = [action for action in self._actions if action.dest in names]
        differing = [action for action in named if getattr(values, action.dest) != action.default]
        return ", ".join(action.option_strings[0] for action in differing)


class _StoreOnce(argparse._StoreAction):
    is_given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if self.option_strings and self.is_given:
            raise argparse.ArgumentError(self, "given twice; give it once")
        given = values if isinstance(values, list) else [values]
        if blank := [value for value in given if isinstance(value, str) and not value.strip()]:
            raise argparse.ArgumentError(self, f"`{blank[0]}`: text that is not empty is accepted")
        self.is_given = True
        super().__call__(parser, namespace, values, option_string)


def program(module: str) -> str:
    """Return how this command was started, for its help: `medpt-grid query` or `python -m grid.query`."""
    scripts = {"medpt-grid": f"medpt-grid {module.removeprefix('grid.')}", "medpt-data": "medpt-data"}
    started = [Path(word).name for word in sys.orig_argv[:2]]
    return next((scripts[name] for name in started if name in scripts), f"python -m {module}")


def argument(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return `parse` with its InputError as the one that argparse prints beside the option's name."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def text_path(text: str) -> Path:
    """Return a path. Raises InputError for an empty one, which would be the working folder."""
    if not text.strip():
        raise InputError(f"`{text}`: a path is accepted; the working folder is `.`")
    return Path(text)


path = argument(text_path)


@argument
def name_list(text: str) -> tuple[str, ...]:
    """Return the parts of `A,B`, each once and none empty."""
    found = tuple(map(str.strip, text.split(",")))
    if not all(found) or len(set(found)) < len(found):
        raise InputError(f"`{text}`: names with a comma between them, each once, are accepted")
    return found


def whole_number(low: int = 0, high: int = LARGEST) -> Callable[[str], int]:
    """Return a type of whole numbers in decimal digits, from `low` to `high`."""

    def parse(text: str) -> int:
        if not (text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high):
            upper = f" to {high}" if high != LARGEST else ""
            raise InputError(f"`{text}`: a whole number from {low}{upper} is accepted")
        return int(text)

    return argument(parse)


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a type of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise InputError(f"`{text}`: a number from {low:g} to {high:g} is accepted")
        return value

    return argument(parse)
