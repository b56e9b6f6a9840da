"""Cards by name: the built-in ones of medpt/data/cards/, each read when it is asked for."""

from functools import cache
from pathlib import Path
from typing import Any

from medpt.data.card import DatasetCard
from medpt.errors import InputError, did_you_mean

FOLDER = Path(__file__).parent / "cards"

OWN: dict[str, DatasetCard] = {}  # of users' datasets, as medpt.data.own has found them


@cache
def names() -> tuple[str, ...]:
    """Return the names of the built-in datasets in alphabetical order."""
    return tuple(sorted((path.stem for path in FOLDER.glob("*.yaml")), key=str.lower))


def card(name: str) -> DatasetCard:
    """Return the card of a dataset; case and punctuation of the name do not matter. Raises InputError."""
    for known in names():
        if plain(known) == plain(name):
            return _built_in(known)
    for entry in OWN.values():
        if plain(entry.name) == plain(name):
            return entry
    raise InputError(f"unknown dataset {name!r}; {did_you_mean(name, [*names(), *OWN])}")


def plain(name: str) -> str:
    """Return what two spellings of one dataset's name have in common."""
    return "".join(character for character in name.lower() if character.isalnum())


@cache
def _built_in(name: str) -> DatasetCard:
    from medpt.yaml_document import Document

    data = Document(FOLDER / f"{name}.yaml").data
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items()}
    return DatasetCard(**values)
