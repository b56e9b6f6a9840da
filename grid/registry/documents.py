"""What the JSON files of a shared unit may hold: their keys, and the types and ranges of their values."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any

from annotated_types import Interval
from pydantic import Field

from grid.registry.arrays import check_text
from grid.registry.records import Text
from medpt.errors import InputError
from medpt.schema import strict_dataclass, validate

Count = Annotated[int, Interval(ge=0), Field(description="a whole number from 0")]
Share = Annotated[float, Interval(ge=-1e-9, le=1 + 1e-9), Field(description="a number of 0 to 1")]
Weight = Annotated[float, Interval(ge=0, lt=math.inf), Field(description="a finite number from 0")]
Days = Annotated[float, Interval(ge=0, lt=math.inf), Field(description="days from 0")]
Number = Annotated[float, Interval(gt=-math.inf, lt=math.inf), Field(description="a finite number")]

ROWS = {  # by file: the keys of each row; all others are of the validation set
    "history.json": {"step", "train_loss", "time"},
    "early.json": {"step"},
}
VALIDATION = "val_"  # before the name of a metric


@strict_dataclass
class Counts:
    """Prepared data without names of files: medpt.data.manifest."""

    dataset: Text
    task: Text
    modality: Text
    classes: tuple[Text, ...]
    size: Annotated[int, Interval(ge=1)]
    images: Mapping[Text, Count]
    counts: Mapping[Text, Mapping[Text, Count]]
    shared_groups: Count

    def __post_init__(self) -> None:
        """Refuse numbers that do not fit together."""
        classes = sorted(set(self.classes))
        if len(classes) < len(self.classes) or any(sorted(c) != classes for c in self.counts.values()):
            raise InputError("`counts` are not of each of the `classes`, once")
        if self.images.keys() != self.counts.keys():
            raise InputError("`images` and `counts` are not of the same splits")
        sums = {split: sum(counts.values()) for split, counts in self.counts.items()}
        if self.task == "classification" and sums != self.images:
            raise InputError("`counts` of the classes do not add up to `images`")


@strict_dataclass
class Curve:
    """A Kaplan-Meier estimate: medpt.survival.evaluate.Curve."""

    time: tuple[Days, ...]
    survival: tuple[Share, ...]
    patients: Count
    deaths: Count

    def __post_init__(self) -> None:
        """Refuse numbers that are no curve."""
        falls = all(a >= b for a, b in pairwise(self.survival))
        rises = all(a <= b for a, b in pairwise(self.time))
        if len(self.time) != len(self.survival) or not (falls and rises) or self.deaths > self.patients:
            accepted = "as many ascending times as falling shares, and at most as many deaths as patients"
            raise InputError(f"`time` and `survival` are no curve; {accepted} are accepted")


@strict_dataclass
class Curves:
    """The risk groups of a survival model: medpt.survival.evaluate.RiskGroups."""

    threshold: Number
    low: Curve
    high: Curve
    logrank_p: Share | None


@strict_dataclass
class NumberScores:
    """The macro AUC, or C-index, of a number that is known of each image."""

    validation: Share
    test: Share


@strict_dataclass
class ImageFreeScores:
    """What predicted without images: medpt.units.image_free."""

    chosen: Text
    numbers: Mapping[Text, NumberScores]


@strict_dataclass
class Permutations:
    """The order of a jigsaw's tiles: medpt.tasks.jigsaw.describe."""

    count: Count
    sha256: Text
    mean_distance: Weight
    least_distance: Weight


@strict_dataclass
class DatasetRecord:
    """The classes of a training, and the images of one dataset of a collection."""

    train_images: Count
    val_images: Count
    loss: Text | None = None
    weighting: Text | None = None
    class_weights: tuple[Weight, ...] | tuple[tuple[Weight, ...], ...] | None = None
    edge_weights: tuple[Weight, ...] | None = None


@strict_dataclass
class Record(DatasetRecord):
    """How a network was trained, or fixed features were fitted."""

    parameters: Count | None = None
    datasets: Mapping[Text, DatasetRecord] | None = None
    permutations: Permutations | None = None
    mode: Text | None = None
    values: tuple[Weight, ...] | None = None
    chosen: Weight | None = None


KINDS: Mapping[str, type] = {"counts.json": Counts, "curves.json": Curves, "image_free.json": ImageFreeScores}


def read_document(content: bytes, name: str) -> Any:
    """Return the value of a shared JSON file. Raises InputError unless it is what such a file has."""
    try:
        value = json.loads(content)
        texts = list(_texts(value))
    except (ValueError, RecursionError):
        raise InputError("is no JSON") from None
    for text in texts:
        check_text(text)
    if name in ROWS:
        problems = list(_row_problems(value, ROWS[name], may_be_empty=name == "early.json"))
    elif not isinstance(value, dict):
        problems = ["has no names with values"]
    else:
        problems = document_problems(KINDS[name], value) if name in KINDS else []
    if problems:
        raise InputError("; ".join(problems))
    return value


def document_problems(kind: type, value: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a JSON value that should be of `kind`, with the names on the way to it."""
    return [
        f"has {'.'.join(map(str, path[:-1]))}{': ' if path[:-1] else ''}{text}"
        for path, text in validate(kind, value)[1]
    ]


def record_problems(value: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the record of a built-in kind of training; others have keys of their own."""
    scores = {key: kept for key, kept in value.items() if key.startswith(VALIDATION) and key != "val_images"}
    problems = [
        f"has `{key}` {kept!r}; a list of scores is accepted"
        for key, kept in scores.items()
        if not (isinstance(kept, list) and all(map(_is_score, kept)))
    ]
    return problems + document_problems(Record, {k: v for k, v in value.items() if k not in scores})


def _row_problems(rows: Any, keys: set[str], *, may_be_empty: bool) -> Iterator[str]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        yield 'has no list of steps such as {"step": 1, "train_loss": 0.5}'
    elif not rows and not may_be_empty:
        yield "has no step"
    else:
        yield from (f"has in row {number}: {text}" for number, text in _first_problems(rows, keys))


def _first_problems(rows: Sequence[Mapping[str, Any]], keys: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the first row whose step, keys or values are not accepted, with the reason."""
    last = 0
    for number, row in enumerate(rows, 1):
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or step <= last:
            yield number, f"`step` is {step!r}; a whole number above {last} is accepted"
            return
        last = step
        if wrong := [key for key in row if key not in keys and not key.startswith(VALIDATION)]:
            yield number, f"`{wrong[0]}`; {', '.join(sorted(keys))} and {VALIDATION}METRIC are accepted"
            return
        if missing := keys - row.keys():
            yield number, f"no `{min(missing)}`"
            return
        for key, value in row.items():
            if not (_is_score(value) if key.startswith(VALIDATION) else _is_score(value) and value == value):
                yield number, f"`{key}` is {value!r}; a finite number is accepted"
                return


def _is_score(value: Any) -> bool:
    """Whether a value is a number that is not infinite; a metric may be undefined."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isinf(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
