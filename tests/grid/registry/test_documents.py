"""What the JSON files of a shared unit may hold: keys, types and ranges."""

import json
import re
from typing import Any

import pytest

from grid.registry.documents import read_document, record_problems
from medpt.errors import InputError

ROW = {"step": 10, "train_loss": 0.5, "time": 1.7e9, "val_auc": 0.75, "val_kappa": float("nan")}
COUNTS = {
    "dataset": "Toy",
    "task": "classification",
    "modality": "x-ray",
    "classes": ["b", "a"],
    "size": 32,
    "images": {"train": 5, "test": 3},
    "counts": {"train": {"a": 2, "b": 3}, "test": {"a": 3, "b": 0}},
    "shared_groups": 0,
}
CURVE = {"time": [0.0, 10.0], "survival": [1.0, 0.5], "patients": 2, "deaths": 1}
CURVES = {"threshold": 0.5, "low": CURVE, "high": CURVE, "logrank_p": None}
SCORES = {"chosen": "file size", "numbers": {"file size": {"validation": 0.6, "test": 0.5}}}
RECORD = {"train_images": 9, "val_images": 2, "class_weights": [0.5, 2.0], "weighting": "none"}
FILES = {"counts.json": COUNTS, "curves.json": CURVES, "image_free.json": SCORES}


def read(value: Any, name: str) -> Any:
    return read_document(json.dumps(value).encode(), name)


def test_documents_of_units_are_read() -> None:
    for name, value in FILES.items():
        assert read(value, name) == value
    assert len(read([ROW, ROW | {"step": 20}], "history.json")) == 2
    assert read([], "early.json") == []
    assert record_problems(RECORD | {"val_auc": [0.5, float("nan")], "values": [1, 5], "chosen": 5}) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 0}, "`step` is 0; a whole number above 0"),
        ({"step": -3}, "`step` is -3; a whole number above 0"),
        ({"step": 2.5}, "`step` is 2.5; a whole number above 0"),
        ({"step": True}, "`step` is True; a whole number above 0"),
        ({"train_loss": float("nan")}, "`train_loss` is nan; a finite number"),
        ({"val_auc": float("inf")}, "`val_auc` is inf; a finite number"),
        ({"time": float("-inf")}, "`time` is -inf; a finite number"),
        ({"val_auc": "0.9"}, "`val_auc` is '0.9'; a finite number"),
        ({"comment": 1}, "`comment`; step, time, train_loss and val_METRIC are accepted"),
    ],
)
def test_step_that_no_training_has_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"has in row 1: {message}")):
        read([ROW | changes], "history.json")


@pytest.mark.parametrize("step", [10, 9])
def test_steps_that_do_not_increase_are_refused(step: int) -> None:
    for name, row in (("history.json", ROW), ("early.json", {"step": 10, "val_auc": 0.5})):
        with pytest.raises(InputError, match=f"row 2: `step` is {step}; a whole number above 10"):
            read([row, row | {"step": step}], name)


def test_history_without_a_step_or_a_loss_is_refused() -> None:
    with pytest.raises(InputError, match="has no step"):
        read([], "history.json")
    with pytest.raises(InputError, match="row 1: no `train_loss`"):
        read([{"step": 1, "time": 1.0}], "history.json")
    with pytest.raises(InputError, match="row 1: `train_loss`; step and val_METRIC are accepted"):
        read([ROW], "early.json")


@pytest.mark.parametrize("name", FILES)
def test_unknown_and_missing_keys_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="unknown key `path`"):
        read(FILES[name] | {"path": 1}, name)
    for key in FILES[name]:
        with pytest.raises(InputError, match=f"no `{key}`; needed"):
            read({other: value for other, value in FILES[name].items() if other != key}, name)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("counts.json", {"size": 0}, "has `size` is 0"),
        ("counts.json", {"images": {"train": -5}}, "has images: `train` is -5; a whole number from 0"),
        ("counts.json", {"images": {"train": 5}}, "`images` and `counts` are not of the same splits"),
        ("counts.json", {"images": {"train": 5, "test": 4}}, "do not add up to `images`"),
        ("counts.json", {"classes": ["a"]}, "`counts` are not of each of the `classes`, once"),
        ("counts.json", {"classes": ["a", "b", "b"]}, "`counts` are not of each of the `classes`, once"),
        ("curves.json", {"threshold": float("nan")}, "has `threshold` is nan; a finite number"),
        ("curves.json", {"logrank_p": 1.5}, "has `logrank_p` is 1.5; a number of 0 to 1"),
        ("curves.json", {"low": CURVE | {"survival": [1.0]}}, "`time` and `survival` are no curve"),
        ("curves.json", {"low": CURVE | {"survival": [0.5, 1.0]}}, "`time` and `survival` are no curve"),
        ("curves.json", {"high": CURVE | {"deaths": 3}}, "at most as many deaths as patients"),
        ("image_free.json", {"numbers": {"x": {"validation": 2, "test": 0.5}}}, "`validation` is 2"),
    ],
)
def test_value_that_no_unit_has_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(FILES[name] | changes, name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"note": "hello"}, "has unknown key `note`"),
        ({"train_images": -1}, "has `train_images` is -1; a whole number from 0"),
        ({"class_weights": [float("inf")]}, "has class_weights: "),
        ({"val_auc": 0.5}, "has `val_auc` 0.5; a list of scores is accepted"),
    ],
)
def test_record_that_no_training_has_is_refused(changes: dict[str, Any], message: str) -> None:
    (problem,) = record_problems(RECORD | changes)
    assert problem.startswith(message)
