"""The built-in cards by name, each read from medpt/data/cards/ when it is asked for.

Cards of users' datasets (medpt.data.locate) are handed from caller to caller: a space and a plan have those
that they name.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from medpt.data.card import DatasetCard, plain
from medpt.data.card_reader import read_card
from medpt.errors import InputError, did_you_mean

FOLDER = Path(__file__).parent / "cards"


@cache
def names() -> tuple[str, ...]:
    """Return the names of the built-in datasets in alphabetical order."""
    return tuple(sorted((path.stem for path in FOLDER.glob("*.yaml")), key=str.lower))


def card(name: str, users: Mapping[str, DatasetCard] | None = None) -> DatasetCard:
    """Return the card of a built-in dataset, or of one among `users`, by name.

    Case and punctuation of the name do not matter. Raises InputError with similar names.
    """
    if known := _names_by_spelling().get(plain(name)):
        return _built_in(known)
    users = users or {}
    for entry in users.values():
        if plain(entry.name) == plain(name):
            return entry
    raise InputError(f"unknown dataset {name!r}; {did_you_mean(name, [*names(), *users])}")


def is_built_in(name: str) -> bool:
    return plain(name) in _names_by_spelling()


@cache
def _names_by_spelling() -> dict[str, str]:
    return {plain(name): name for name in names()}


@cache
def _built_in(name: str) -> DatasetCard:
    return read_card(FOLDER / f"{name}.yaml")
