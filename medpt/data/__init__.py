"""Datasets: what is known of them, the owner's files to records, records to pixels of one form.

Importing this package imports neither torch nor OpenCV; a reader is imported when its dataset is opened.
"""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.data.dataset import Dataset, Record
from medpt.data.locate import find_dataset
from medpt.data.preprocess import preprocess
from medpt.errors import InputError, did_you_mean

__all__ = ["Dataset", "DatasetCard", "Record", "card", "open_dataset", "open_with_problems", "preprocess"]


def open_dataset(name: str, root: str | Path, **options: Any) -> Dataset:
    """The dataset `name` as its owner ships it, found at or below `root`.

    Raises InputError with every problem of one pass: an unknown name or option, a file that is missing or
    that nobody labelled, a label that is not a class.
    """
    dataset = open_with_problems(name, root, **options)
    if dataset.problems:
        raise InputError(dataset.problems)
    return dataset


def open_with_problems(name: str, root: str | Path, **options: Any) -> Dataset:
    """As `open_dataset`; where there are records, what the reader found wrong is told in `problems`."""
    found, folder = find_dataset(name, Path(root))
    reader = import_module(f"medpt.data.readers.{found.reader}")
    _known_options(found.name, reader.open, options)
    dataset: Dataset = reader.open(found, folder, **options)
    return dataset


def _known_options(name: str, reader: Any, options: dict[str, Any]) -> None:
    known = list(inspect.signature(reader).parameters)[2:]
    unknown = [option for option in options if option not in known]
    if unknown:
        accepted = did_you_mean(unknown[0], known) if known else "it has none"
        raise InputError(f"{name}: unknown option {option!r}; {accepted}" for option in unknown)
