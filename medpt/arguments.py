"""Arguments of commands: a parser that refuses an option given twice, and types with clear messages."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from medpt.errors import InputError

T = TypeVar("T")

LARGEST = 10**12  # of whole numbers that have no limit of their own


class ArgumentParser(argparse.ArgumentParser):
    """Refuses an option that is given twice, of which argparse takes the last. One parser is for one call."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)


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
        self.is_given = True
        super().__call__(parser, namespace, values, option_string)


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
