"""The key `datasets` of a space file: what it says of each dataset, compared with the dataset's card."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from os.path import isfile
from pathlib import Path
from typing import Any

from grid.space.factors import Factors
from grid.space.test_sets import read_test_sets
from grid.space.trials import DatasetSettings
from medpt.data import reader_options
from medpt.data.card import DatasetCard, plain
from medpt.data.card_reader import read_card
from medpt.data.catalog import names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.preprocess import canonical
from medpt.errors import InputError
from medpt.schema import option_problems
from medpt.survival.patches import PatchOptions
from medpt.yaml_document import Document, KeyPath, Problem


def read_datasets(
    document: Document, data: Mapping[str, Any], factors: Factors
) -> dict[str, DatasetSettings]:
    """Return the settings by dataset from `data`, the sound values; `factors` takes the problems."""
    found = {}
    for name, entry in data.items():
        path: KeyPath = ("datasets", name)
        if known := factors.dataset(name, path):
            given = entry or {}
            for problem in (*_problems(known, given), *_option_problems(known, given, document, path)):
                factors.problem((*path, *problem[0]), problem[1])
            keeps = document.data.get("keep") != "none"
            tests = read_test_sets(known, given, path, factors, keeps=keeps)
            found[known.name] = DatasetSettings(**given | tests | _paths(document, given))
    return found


def read_cards(document: Document, data: Mapping[str, Any]) -> tuple[dict[str, DatasetCard], list[str]]:
    """Return the cards that entries name by `card`, by their names, and the problems of these files."""
    found: dict[str, DatasetCard] = {}
    problems: list[str] = []
    for name, entry in data.items():
        if not entry or not (paths := _paths(document, entry)):
            continue
        if not isfile(paths["card"]):
            text = f"`card` is {entry['card']!r}: no such file; the path of a dataset.yaml is accepted"
            problems.append(f"{document.where(('datasets', name, 'card'))}: {text}")
            continue
        try:
            card = read_card(Path(paths["card"]), (*names(), *COLLECTIONS), Path(paths["folder"]))
        except InputError as error:
            problems += error.problems
            continue
        found[card.name] = card
        if plain(card.name) != plain(name):
            text = f"the card {entry['card']} is of `{card.name}`; use this name"
            problems += document.located([(("datasets", name), text)])
    return found, problems


def _paths(document: Document, entry: Mapping[str, Any]) -> dict[str, str]:
    """The absolute paths of a card and of its images, which lie beside it where no folder is named."""
    if not entry.get("card"):
        return {}
    card = document.path.parent.absolute() / entry["card"]
    folder = document.path.parent.absolute() / entry["folder"] if entry.get("folder") else card.parent
    return {"card": str(card), "folder": str(folder)}


def _problems(card: DatasetCard, entry: Mapping[str, Any]) -> Iterator[Problem]:
    """A square around the optic disc is cut from fundus photographs, and instead of a pipeline."""
    folder, pipeline = Path(entry.get("folder") or ""), entry.get("pipeline")
    if not entry.get("card") and (folder.is_absolute() or ".." in folder.parts):
        yield ("folder",), f"`folder` is '{folder}'; a folder below --data is accepted"
    if entry.get("roi") and pipeline:
        yield ("pipeline",), "`pipeline` beside `roi`; one of them is accepted"
    if entry.get("roi") and card.modality != "fundus":
        yield ("roi",), f"{card.name} is {card.modality}; `roi` is accepted with fundus photographs"
    if re.search(r"\broi\b", pipeline or ""):
        yield ("pipeline",), "roi in a `pipeline`; the key `roi` is accepted: it plans a detector"
        return
    try:
        canonical(pipeline or "resize(256)")
    except InputError as error:
        yield from ((("pipeline",), problem) for problem in error.problems)


def _option_problems(
    card: DatasetCard, entry: Mapping[str, Any], document: Document, path: KeyPath
) -> Iterator[Problem]:
    kinds: dict[str, Callable[[], type]] = {
        "options": partial(reader_options, card),
        "patches": lambda: PatchOptions,
    }
    for key, kind in kinds.items():
        if options := entry.get(key):
            for inner, text in option_problems(kind(), options, (*path, key), document.written):
                yield inner[len(path) :], text
