"""The cards of users' datasets that this process knows, until spaces and plans have theirs."""

from pathlib import Path

from medpt.data.card import DatasetCard
from medpt.data.catalog import OWN
from medpt.data.locate import user_cards
from medpt.files import read_json, write_json

RECORDED = "datasets"  # folder of cards below a folder of results


def register(data: Path) -> None:
    OWN.update(user_cards(data))


def record(folder: Path, names: list[str]) -> None:
    """Keep the cards of users' datasets among `names` beside the results, for reports without the data."""
    for name in names:
        if own := OWN.get(name):
            write_json(folder / RECORDED / f"{name}.json", own.to_json())


def recall(folder: Path) -> None:
    for path in sorted((folder / RECORDED).glob("*.json")):
        found = DatasetCard.from_json(read_json(path))
        OWN.setdefault(found.name, found)
