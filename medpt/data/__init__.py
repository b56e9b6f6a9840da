"""Datasets: what is known of them, the original files to records, records to pixels of one form.

Importing this package imports neither torch nor OpenCV; a reader is imported when its dataset is opened.
"""

import inspect
from collections.abc import Mapping
from dataclasses import field, make_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from medpt.data.card import DatasetCard
from medpt.data.catalog import card
from medpt.data.dataset import Dataset, Record
from medpt.data.locate import find_dataset
from medpt.data.preprocess import preprocess
from medpt.errors import InputError
from medpt.schema import STRICT, validate

__all__ = [
    "Dataset",
    "DatasetCard",
    "Record",
    "card",
    "open_as",
    "open_dataset",
    "open_with_problems",
    "preprocess",
]


def open_dataset(name: str, root: str | Path, **options: Any) -> Dataset:
    """The dataset `name` as its publisher ships it, found at or below `root`.

    Raises InputError with every problem of one pass: an unknown name or option, a file that is missing or
    has no label, a label that is not a class.
    """
    return open_as(*find_dataset(name, Path(root)), **options)


def open_as(card: DatasetCard, root: Path, **options: Any) -> Dataset:
    """The dataset that a card describes, whose files are in `root`; errors as of `open_dataset`."""
    dataset = _open(card, root, options)
    if dataset.problems:
        raise InputError(dataset.problems)
    return dataset


def open_with_problems(name: str, root: str | Path, **options: Any) -> Dataset:
    """As `open_dataset`; where there are records, what the reader found wrong is listed in `problems`."""
    return _open(*find_dataset(name, Path(root)), options)


def _open(found: DatasetCard, folder: Path, options: Mapping[str, Any]) -> Dataset:
    _, problems = validate(reader_options(found), options)
    if problems:
        raise InputError(f"{found.name}: {text}" for _, text in problems)
    dataset: Dataset = _reader(found).open(found, folder, **options)
    return dataset


def reader_options(found: DatasetCard) -> type:
    """Return a dataclass with the options of a dataset's reader, from the signature of its `open`."""
    function = _reader(found).open
    types, parameters = (
        get_type_hints(function, include_extras=True),
        list(inspect.signature(function).parameters.values())[2:],
    )
    options = [(each.name, types[each.name], field(default=each.default)) for each in parameters]
    return make_dataclass("Options", options, namespace={"__pydantic_config__": STRICT})


def _reader(found: DatasetCard) -> Any:
    return import_module(f"medpt.data.readers.{found.reader}")
