"""Values by a key: grouped, or in turn."""

from collections.abc import Callable, Hashable, Iterable
from itertools import zip_longest
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def grouped(values: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the values of each key: keys in the order of their first value, values in the order given."""
    found: dict[K, list[T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return found


def in_turn(values: Iterable[T], key: Callable[[T], Hashable]) -> list[T]:
    """Return the first value of each key, then the second of each, and so on."""
    groups = [[(value,) for value in group] for group in grouped(values, key).values()]
    return [value for turn in zip_longest(*groups, fillvalue=()) for one in turn for value in one]
