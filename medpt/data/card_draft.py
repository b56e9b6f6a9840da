"""A card as text, drafted from what a folder looks like, with a comment on each line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from medpt.data.card import FILE, plain
from medpt.data.card_reader import RESERVED
from medpt.data.catalog import is_built_in
from medpt.data.dataset_collections import COLLECTIONS
from medpt.data.folder_description import FolderDescription
from medpt.data.folder_guesses import Guess
from medpt.errors import InputError

LONGEST_NAME, WIDTH = 40, 44
HEAD = """\
# Drafted from what the folder looks like. Comments say why a line is as it is; check those with CONFIRM.
"""


def write_draft(described: FolderDescription) -> Path:
    """Write the card into the folder. Raises InputError where one is there, or the folder is read-only."""
    path = described.home / FILE
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(card_text(described))
    except FileExistsError:
        raise InputError(f"{path}: exists already; remove or rename it to draft a new one") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def card_text(described: FolderDescription) -> str:
    """Return the card that a folder would need."""
    return HEAD + "".join(f"{line}\n" for line in _lines(described))


def dataset_name(home: Path) -> str:
    """Return the name of a folder as a dataset's name that is not taken."""
    letters = re.sub(r"[^A-Za-z0-9_.-]+", "-", home.resolve().name).lstrip("0123456789_.-") or "Dataset"
    name = letters[:LONGEST_NAME].rstrip("-.")
    taken = is_built_in(name) or plain(name) in map(plain, COLLECTIONS) or RESERVED.fullmatch(name)
    return f"{name[: LONGEST_NAME - 4]}-own" if taken else name


def _lines(described: FolderDescription) -> Iterator[str]:
    guesses = described.guesses
    name = dataset_name(described.home)
    yield _line("name", name, Guess(f"the folder's name; space files call the dataset {name}"))
    for key in ("modality", "task"):
        yield _line(key, getattr(described, key), guesses[key])
    yield _line("classes", list(described.classes), _with_counts(described))
    for key in ("images", "masks"):
        if value := getattr(described, key):
            yield _line(key, value, guesses[key])
    if described.masks:
        values = {name: _plain(value) for name, value in described.values.items()}
        yield (
            _line("values", values, guesses["values"]) if values else f"# values: {guesses['values'].reason}"
        )
    if described.labels:
        yield _line("labels", described.labels, guesses["labels"])
    if described.columns:
        yield _line("columns", dict(described.columns), Guess("what this card calls otherwise"))
    yield _comment("patients", guesses["patient"])
    split = Guess("the test set will be a fifth of the patients, drawn once", unsure=False)
    given = Guess("the training and the test set are given")
    yield _comment("split", guesses.get("split", given if described.has_split else split))
    yield _line("licence", "not stated", Guess("write here what may be done with the data"))


def _with_counts(described: FolderDescription) -> Guess:
    guess = described.guesses["classes"]
    counts = ", ".join(f"{name} {count:,}" for name, count in list(described.class_images.items())[:12])
    return Guess(f"{guess.reason}{f' ({counts} images)' if counts else ''}", guess.unsure)


def _line(key: str, value: Any, guess: Guess) -> str:
    dumped = yaml.safe_dump(
        [value], default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False
    )
    return f"{key}: {dumped.strip()[1:-1]}".ljust(WIDTH) + f"  # {_comment_text(guess)}"


def _comment(subject: str, guess: Guess) -> str:
    return f"# {subject}: {_comment_text(guess)}"


def _comment_text(guess: Guess) -> str:
    text = " ".join(guess.reason.split())
    return f"CONFIRM: {text}" if guess.unsure else text


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
