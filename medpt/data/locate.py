"""Finding the folder of a dataset, and users' cards."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medpt.data.card import FILE, IMAGE_FOLDER, DatasetCard, plain
from medpt.data.card_reader import read_card
from medpt.data.catalog import card, is_built_in, names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.file_tree import entries, folder_identity, folders, is_folder
from medpt.errors import InputError

MISNAMED = (
    *("dataset.yml", "dataset.yaml", "datasets.yaml", "datasets.yml", "dataset.yaml.txt"),
    "dataset.yml.txt",
)


@dataclass(frozen=True)
class UserDataset:
    """A folder of a user's images with its card."""

    card: DatasetCard
    home: Path


@dataclass(frozen=True)
class UserDatasets:
    """The users' datasets of a folder by name, and what is wrong with other cards in it.

    A faulty card, or a folder that cannot be read, stops nobody who does not ask for it, so its problems are
    kept and not raised.
    """

    found: dict[str, UserDataset]
    problems: list[str]


def find_user_datasets(data: Path) -> UserDatasets:
    """Return the users' datasets that lie at `data` or up to two folders below it.

    A name that two cards have belongs to neither. Raises InputError where there is no such folder.
    """
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; it should hold one folder for each dataset")
    found: dict[str, UserDataset] = {}
    paths, problems = _card_files(data)
    twice: set[str] = set()
    for path in paths:
        try:
            user = UserDataset(read_card(path, taken=(*names(), *COLLECTIONS)), path.parent)
        except InputError as error:
            problems += error.problems
            continue
        first = found.setdefault(plain(user.card.name), user)
        if first is not user:
            other = first.home / FILE
            problems.append(f"{path}: the name {user.card.name} is also that of {other}; rename one")
            twice.add(plain(user.card.name))
    kept = {user.card.name: user for key, user in found.items() if key not in twice}
    return UserDatasets(kept, problems)


def user_cards(data: Path | None) -> dict[str, DatasetCard]:
    """Return the cards of the users' datasets at or below `data`, by name; none without `data`."""
    return {name: user.card for name, user in find_user_datasets(data).found.items()} if data else {}


def card_problems(data: Path | None) -> list[str]:
    """What is wrong with cards at or below `data`, which `user_cards` leaves out."""
    return find_user_datasets(data).problems if data else []


def find_dataset(name: str, data: Path) -> tuple[DatasetCard, Path]:
    """Return the card of a dataset, and `data` or, of a user's dataset at or below `data`, its folder.

    Raises InputError for a name that is neither built in nor found, with the problems of faulty cards, one
    of which may be the one that is meant.
    """
    if is_built_in(name):
        return card(name), data
    users = find_user_datasets(data)
    if users.problems and plain(name) not in map(plain, users.found):
        raise InputError(users.problems)
    found = card(name, {key: user.card for key, user in users.found.items()})
    return found, users.found[found.name].home if found.name in users.found else data


def locate(name: str, data: Path) -> Path:
    """Return the folder of a dataset under `data`.

    A built-in dataset lies in one of the folders that its card names, there or one level deeper; case does
    not matter and the upper level is preferred. Raises InputError when it is missing (saying where the data
    come from) or when one level holds several.
    """
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; it should hold one folder for each dataset")
    found, home = find_dataset(name, data)
    if home != data or found.reader == IMAGE_FOLDER:
        return home
    matches = matching_folders(found, data)
    if len(matches) > 1:
        raise InputError(
            f"{found.name}: several folders could be it: {', '.join(map(str, matches))}; keep one"
        )
    if not matches:
        raise InputError(_missing(found, data))
    return matches[0]


def matching_folders(built_in: DatasetCard, data: Path) -> list[Path]:
    """Return the folders in `data` that a card names or, if there are none, those one level deeper."""
    upper, names = folders(data), {name.lower() for name in built_in.folders}
    for level in (upper, [inner for folder in upper if _is_readable(folder) for inner in folders(folder)]):
        if matches := {folder_identity(path): path for path in reversed(level) if path.name.lower() in names}:
            return list(reversed(matches.values()))  # without links to the others
    return []


def _is_readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _card_files(data: Path) -> tuple[list[Path], list[str]]:
    """Return the cards at or up to two folders below `data`, each once though links may lead there too.

    The problems are folders that cannot be read, and files that look like cards under another name.
    """
    cards: list[Path] = []
    problems: list[str] = []
    seen: set[tuple[int, int]] = set()
    level = [data]
    for _ in range(3):
        upper, level = level, []
        for folder in upper:
            try:
                identity, inside = folder_identity(folder), entries(folder)
            except (InputError, OSError) as error:
                problems.append(
                    str(error) if isinstance(error, InputError) else f"{folder}: {error.strerror}"
                )
                continue
            if identity in seen:
                continue
            seen.add(identity)
            level += [Path(entry.path) for entry in inside if is_folder(entry)]
            if os.path.lexists(folder / FILE):
                cards.append(folder / FILE)
            else:
                problems += _misnamed_cards(inside)
    return cards, problems


def _misnamed_cards(inside: Iterable[os.DirEntry[str]]) -> list[str]:
    """Files that look like cards under another name, such as dataset.yml and dataset.yaml.txt."""
    return [
        f"{entry.path}: is it a card? Rename it to {FILE}"
        for entry in inside
        if entry.name.lower() in MISNAMED and os.path.isfile(entry)
    ]


def _missing(found: DatasetCard, data: Path) -> str:
    where = f"no folder {' or '.join(found.folders)} in {data} or one level below"
    text = f"{found.name}: {where}; the data come from {found.source}"
    if locked := [str(folder) for folder in folders(data) if not _is_readable(folder)]:
        text += f"; no permission to look into {', '.join(locked[:3])}"
    if found.name == "ImageNet":  # often typed for the published weights
        text += " (it is pre-trained on here; the published weights are `imagenet*`)"
    return text
