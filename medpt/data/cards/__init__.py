"""What is known of each dataset before a file of it is seen, as plain data: one module a modality.

`counts` are what the owners published, `paper_counts` what Table 1 of Wen et al. 2021 says; `notes` tells
them apart. Licences are as last seen: the owner's page decides.
"""

from medpt.data.cards import eye, natural, tissue, volumes, xray
from medpt.data.cards.card import Card, Modality
from medpt.errors import InputError, did_you_mean

__all__ = ["CARDS", "OWN", "Card", "Modality", "card", "plain"]

CARDS: dict[str, Card] = {
    entry.name: entry for entry in (*xray.CARDS, *volumes.CARDS, *tissue.CARDS, *eye.CARDS, *natural.CARDS)
}

OWN: dict[str, Card] = {}  # of the user's own datasets, as medpt.data.own has found them


def card(name: str) -> Card:
    """The card of a dataset, whatever the name's case and punctuation. Raises InputError with near names."""
    for entry in (*CARDS.values(), *OWN.values()):
        if plain(entry.name) == plain(name):
            return entry
    raise InputError(f"unknown dataset {name!r}; {did_you_mean(name, [*CARDS, *OWN])}")


def plain(name: str) -> str:
    """What two names of one dataset have in common."""
    return "".join(character for character in name.lower() if character.isalnum())
