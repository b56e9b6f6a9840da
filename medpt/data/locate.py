"""Finding a dataset's folder, and its files without the debris that archives leave behind."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from medpt.data.card import FILE, IMAGE_FOLDER, DatasetCard, plain
from medpt.data.card_reader import read_card
from medpt.data.catalog import card, is_built_in, names
from medpt.data.dataset_collections import COLLECTIONS
from medpt.errors import InputError

DEBRIS = {  # of archives, operating systems, network drives, notebooks and viewers, in lower case
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__", "thumbnails"),
    *("$recycle.bin", "recycler", "system volume information", "lost+found", "found.000"),
    *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@snapshot", "@sharebin", "@sharesnap"),
    *("#recycle", "#snapshot"),
}
MISNAMED = (
    "dataset.yml",
    "dataset.yaml",
    "datasets.yaml",
    "datasets.yml",
    "dataset.yaml.txt",
    "dataset.yml.txt",
)
DEEPEST = 40  # folders within each other; what publishers have is less than ten
RESULTS = ("done", "units", "leases", "plans")  # what every folder of results holds
DEBRIS_STARTS = (".", "~$", "synophoto_thumb", "synofile_thumb")  # hidden; Office's locks; thumbnails


def is_debris(name: str) -> bool:
    """Whether an entry is one that no publisher meant to publish: bookkeeping of systems, hidden files."""
    lower = name.lower()
    return lower in DEBRIS or lower.startswith(DEBRIS_STARTS)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What `folder` holds, sorted by name, no debris or results. Raises InputError if it is unreadable."""
    try:
        with os.scandir(folder) as found:
            kept = (entry for entry in found if not is_debris(entry.name) and not _holds_results(entry))
            return sorted(kept, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror}") from None


def _holds_results(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder of results, which may lie below the data."""
    return is_folder(entry) and all(os.path.isdir(f"{entry.path}/{name}") for name in RESULTS)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one; False of a link without end."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def folders(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in entries(folder) if is_folder(entry)]


def files(folder: Path, *suffixes: str) -> list[Path]:
    """The folder's own files, sorted, of the given lower-case suffixes in whatever case (none: all)."""
    paths = [Path(entry.path) for entry in entries(folder) if os.path.isfile(entry)]
    return [path for path in paths if not suffixes or path.suffix.lower() in suffixes]


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every file below `folder`, depth first in the order of names, without debris.

    Raises InputError for a link to a folder that leads back to one above it, since such a tree has no end,
    and for more than DEEPEST folders within each other.
    """
    yield from _walk(folder, ())


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[os.DirEntry[str]]:
    if len(above) > DEEPEST:
        raise InputError(f"{folder}: more than {DEEPEST} folders deep; move the images up, or remove it")
    for entry in entries(folder):
        if not is_folder(entry):
            yield entry
            continue
        status = entry.stat()
        identity = (status.st_dev, status.st_ino)
        if entry.is_symlink() and (identity in above or identity == _identity(folder)):
            raise InputError(f"{entry.path}: a link to a folder above it; remove the link")
        yield from _walk(Path(entry.path), (*above, _identity(folder)))


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def child(folder: Path, name: str) -> Path | None:
    """The entry of that name, whatever its case."""
    if not folder.is_dir():
        return None
    return next((Path(entry.path) for entry in entries(folder) if entry.name.lower() == name.lower()), None)


def find_root(root: Path, is_root: Callable[[Path], bool], expected: str, depth: int = 4) -> Path:
    """The shallowest folder at or below `root` that `is_root`: unpacking often adds outer folders.

    Raises InputError saying that `expected` was not found.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    level = [root]
    for _ in range(depth + 1):
        for folder in level:
            if is_root(folder):
                return folder
        level = [inner for folder in level for inner in folders(folder)]
    raise InputError(f"{root}: expected {expected} here or up to {depth} folders below")


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
        if matches := {_identity(path): path for path in reversed(level) if path.name.lower() in names}:
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
                identity, inside = _identity(folder), entries(folder)
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
