"""What the arrays of a shared file may hold: names, types, shapes and values."""

import io
import re
import zipfile
from typing import Any

import numpy as np
import pytest

from grid.registry.arrays import read_arrays
from medpt.errors import InputError

SCORES = np.array([[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)
CLASSES = {"scores": SCORES, "labels": np.array([1, 0, 1]), "patients": np.array([0, 1, 1])}
FINDINGS = {"scores": SCORES, "labels": np.array([[1, 0], [np.nan, 1], [0, 0]], np.float32)}
MASKS = {"confusions": np.ones((3, 2, 2), np.int64), "patients": np.arange(3)}
SURVIVAL = {name: np.array([1.0, 2.0, 3.0]) for name in ("time", "risk", "weight", "error")}
SURVIVAL |= {"event": np.array([True, False, True]), "trained": np.array(9)}
SVCCA = {name: np.array([0.5, 0.25]) for name in ("similarity", "floor", "weights")}
SVCCA |= {"layers": np.array(["conv1", "fc"]), "rows": np.array([9, 9]), "channels": np.array([3, 4])}
FILTERS = {name: np.ones((4, 3, 7, 7)) for name in ("before", "after")}
FILTERS |= {f"{name} gabor": np.zeros(4) for name in ("before", "after")}
FILTERS |= {f"{name} panel": np.zeros((9, 9, 3), np.uint8) for name in ("before", "after", "difference")}
COORDINATES = {"images": np.array(5), "mean colour": np.ones((2, 4, 3)), "xavier": np.ones((2, 4, 2))}
FILES = {
    "svcca.npz": SVCCA,
    "filters.npz": FILTERS,
    "coordinates.npz": COORDINATES,
    "probe.npz": {"auc": np.array([0.5, 0.75])},
}


def archive(arrays: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("arrays", [CLASSES, FINDINGS, MASKS, SURVIVAL])
def test_test_items_of_every_task_are_accepted(arrays: dict[str, Any]) -> None:
    assert read_arrays(archive(arrays), "items.npz").keys() == arrays.keys()


@pytest.mark.parametrize(
    ("arrays", "changes", "message"),
    [
        (CLASSES, {"scores": np.where(SCORES > 0.7, np.nan, SCORES)}, "`scores` with values that are not"),
        (CLASSES, {"scores": np.where(SCORES > 0.7, np.inf, SCORES)}, "`scores` with values that are not"),
        (CLASSES, {"scores": SCORES + 1}, "`scores` with values that are not accepted"),
        (CLASSES, {"scores": SCORES.astype(float)}, "`scores` of type float64; float32 is accepted"),
        (CLASSES, {"scores": SCORES.astype(">f4")}, "`scores` of type float32 in another order of bytes"),
        (CLASSES, {"scores": SCORES[:, 0]}, "`scores` of shape (3,); (N, K) of at least 1 each"),
        (CLASSES, {"scores": SCORES[:, :0]}, "`scores` of shape (3, 0); (N = 3, K = 1) of at least 1 each"),
        (CLASSES, {"labels": np.array([1, 0])}, "`labels` of shape (2,); (N = 3) of at least 1 each"),
        (CLASSES, {"labels": np.array([2, 0, 1])}, "`labels` up to 2; 0 to 1 is accepted"),
        (CLASSES, {"labels": np.array([-1, 0, 1])}, "`labels` with values that are not accepted"),
        (CLASSES, {"patients": np.array([0, 1, 3])}, "`patients` up to 3; 0 to 2 is accepted"),
        (CLASSES, {"patients": np.array([0, 1, -1])}, "`patients` with values that are not accepted"),
        (CLASSES, {"patients": np.array([0, 1, 1.5])}, "`patients` of type float64; int64 is accepted"),
        (CLASSES, {"ids": np.array(["a", "b", "c"])}, "other arrays than a file of this name"),
        (FINDINGS, {"labels": FINDINGS["labels"] + 1}, "`labels` with values that are not accepted"),
        (MASKS, {"confusions": -MASKS["confusions"]}, "`confusions` with values that are not accepted"),
        (MASKS, {"confusions": np.ones((3, 2, 3), int)}, "(3, 2, 3); (N = 3, K = 2, K = 2) of at least 1"),
        (
            SURVIVAL,
            {"risk": np.array([1.0, np.nan, 2.0])},
            "`risk` with values that are not accepted: finite",
        ),
        (SURVIVAL, {"time": np.array([1.0, -2.0, 2.0])}, "`time` with values that are not accepted"),
        (SURVIVAL, {"trained": np.array([9])}, "`trained` of shape (1,)"),
    ],
)
def test_test_items_that_no_unit_has_are_refused(
    arrays: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_arrays(archive(arrays | changes), "items.npz")


@pytest.mark.parametrize("arrays", [{}, {"scores": SCORES}, {"blob": np.array([b"x"])}])
def test_test_items_without_a_task_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="scores and labels or confusions or time and event and risk and"):
        read_arrays(archive(arrays), "items.npz")


@pytest.mark.parametrize("name", FILES)
def test_arrays_of_analyses_and_controls_are_checked_one_by_one(name: str) -> None:
    assert read_arrays(archive(FILES[name]), name).keys() == FILES[name].keys()
    for key, values in FILES[name].items():
        wrong = values.astype("<U8" if values.dtype.kind != "U" else bool)
        broken = [values[:0] if values.ndim else values[None], wrong]
        if values.dtype.kind == "f":
            broken.append(np.full_like(values, np.inf))
        for changed in broken:
            with pytest.raises(InputError, match=f"`{key}`"):
                read_arrays(archive(FILES[name] | {key: changed}), name)


def test_names_of_layers_that_may_be_paths_are_refused() -> None:
    with pytest.raises(InputError, match="may be a path"):
        read_arrays(archive(SVCCA | {"layers": np.array(["conv1", "/home/someone"])}), "svcca.npz")


def test_arrays_that_results_do_not_read_are_refused() -> None:
    """Of format 2, which results take for a damaged file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, SCORES, version=(2, 0))
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as made:
        made.writestr("scores.npy", file.getvalue())
    with pytest.raises(InputError, match="no archive of arrays of NumPy's format 1"):
        read_arrays(archived.getvalue(), "items.npz")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_second_array_of_a_name_is_refused() -> None:
    file = io.BytesIO(archive(CLASSES))
    with zipfile.ZipFile(file, "a") as made:
        made.writestr("scores.npy", made.read("scores.npy"))
    with pytest.raises(InputError, match="two arrays of one name"):
        read_arrays(file.getvalue(), "items.npz")
