"""Test items of a finished unit, as stored now and by version 0.3.1."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grid.results import items
from medpt import influence, metrics
from medpt.survival.study import TEST

SCORES = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2], [0.6, 0.4]])
LABELS = np.array([0, 1, 1, 0, 1])


def stored(path: Path, **arrays: object) -> str:
    np.savez(path, **{name: np.asarray(values) for name, values in arrays.items()})
    return str(path)


def test_influence_is_that_of_the_metric_in_points(tmp_path: Path) -> None:
    path = stored(tmp_path / "items.npz", scores=SCORES, labels=LABELS, patients=[0, 0, 1, 2, 2])
    found = items.read(path, "auc")
    assert found is not None
    assert found.influence == pytest.approx(100 * influence.micro_auc_influence(SCORES, LABELS))
    assert found.patients is not None
    assert found.patients.tolist() == [0, 0, 1, 2, 2]


def test_influence_predicts_how_the_metric_moves_without_an_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    scores = np.stack([1 - (s := labels * 0.3 + rng.normal(size=400)), s], 1)
    found = items.read(stored(tmp_path / "items.npz", scores=scores, labels=labels), "auc")
    assert found is not None
    left = [metrics.micro_auc(np.delete(scores, n, 0), np.delete(labels, n)) for n in range(40)]
    jackknife = -399 * 100 * (np.array(left) - metrics.micro_auc(scores, labels))
    assert found.influence[:40] == pytest.approx(jackknife, abs=1.5)


def test_scores_of_version_0_3_1_have_no_patients_and_drop_names(tmp_path: Path) -> None:
    path = stored(tmp_path / "scores.npz", scores=SCORES, labels=LABELS, ids=list("abcde"))
    found = items.read(path, "auc")
    assert found is not None
    assert found.patients is None
    assert found.truth == truth(tmp_path, LABELS)


def test_files_of_ten_thousand_units_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table goes through all files in the same order, so that a smaller cache would never be of use."""
    reads = Counter[str]()

    def arrays(file: str) -> dict[str, np.ndarray]:
        reads[file] += 1
        return {"scores": SCORES, "labels": LABELS}

    monkeypatch.setattr(items, "arrays", arrays)
    for _ in range(2):
        for number in range(10_000):
            items.read(f"unit {number}", "accuracy")
    assert reads.total() == 10_000


def truth(folder: Path, labels: np.ndarray) -> str:
    found = items.read(stored(folder / f"{labels.sum()}.npz", scores=SCORES, labels=labels), "auc")
    assert found is not None
    return found.truth


def test_truth_tells_test_sets_apart(tmp_path: Path) -> None:
    assert truth(tmp_path, LABELS) != truth(tmp_path, np.array([0, 1, 1, 0, 0]))


def test_risks_of_version_0_3_1_keep_the_test_patients_alone(tmp_path: Path) -> None:
    part = np.array([TEST + 1, TEST + 1, TEST, TEST, TEST] * 4)
    rng = np.random.default_rng(0)
    time, risk = rng.exponential(size=20), rng.normal(size=20)
    path = stored(tmp_path / "risks.npz", part=part, time=time, event=np.ones(20, bool), risk=risk)
    found = items.read(path, "c_index")
    assert found is not None
    assert (len(found.influence), found.trained) == (12, 8)


FINDINGS = np.array([[1, 0], [0, 1], [0, 1], [0, 1], [0, 0], [np.nan, 0], [np.nan, 0], [np.nan, 0]])
FEW_MASKS = np.zeros((12, 3, 3), int) + np.diag([10, 10, 0])
FEW_MASKS[:4, 2, 2] = 5
GROUPED = np.array([0, 0, 1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("metric", "arrays", "rarest"),
    [
        ("macro_auc", {"labels": np.array([0, 0, 0, 1, 1, 1, 2, 2])}, 2),
        ("macro_auc", {"labels": np.array([2, 2, 2, 0, 0, 0, 0, 1])}, 1),
        ("macro_auc", {"labels": np.array([1, 1, 0, 0, 0, 0, 0, 0]), "patients": GROUPED}, 1),
        ("auc", {"labels": np.array([2, 2, 2, 0, 0, 0, 0, 1])}, None),  # of all images' entries
        ("kappa", {"labels": np.array([2, 2, 2, 0, 0, 0, 0, 1])}, None),
        ("macro_auc", {"labels": FINDINGS}, 1),
        ("auc", {"labels": FINDINGS}, 4),
        ("miou", {"confusions": FEW_MASKS}, 4),
        ("dice", {"confusions": FEW_MASKS[:, :2, :2]}, 12),
        ("image_miou", {"confusions": FEW_MASKS}, None),
        ("c_index", {"event": np.arange(8) < 2}, 2),
    ],
)
def test_rarest_class_is_counted_in_patients(
    tmp_path: Path, metric: str, arrays: dict[str, np.ndarray], rarest: int | None
) -> None:
    rng = np.random.default_rng(0)
    rest = {"scores": rng.random((8, 2 if arrays.get("labels") is FINDINGS else 3))}
    rest |= {"time": rng.exponential(size=8), "risk": rng.normal(size=8)}
    found = items.read(stored(tmp_path / "items.npz", **rest | arrays), metric)
    assert found is not None
    assert found.rarest == rarest


def test_what_cannot_be_read_has_no_items(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(b"PK\x03\x04 half a file")
    path = stored(tmp_path / "items.npz", scores=SCORES, labels=LABELS)
    assert items.read(str(damaged), "auc") is None
    assert items.read(str(tmp_path / "absent.npz"), "auc") is None
    assert items.read(path, "miou") is None
    assert items.read(path, "seconds") is None


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_arrays_are_read_as_numpy_reads_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    written = {
        "scores": rng.random((rng.integers(1, 9), 3)).astype(np.float32),
        "confusions": np.asfortranarray(rng.integers(0, 9, (4, 2, 2))),
        "trained": np.array(7),
        "event": rng.random(5) < 0.5,
        "words": np.array(["a", "bc"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "items.npz")
        np.savez_compressed(path, allow_pickle=False, **written)
        found = items.arrays(path)
        with np.load(path) as stored:
            expected = dict(stored)
    assert found is not None
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_files_with_objects_or_damage_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "items.npz"
    np.savez(path, scores=np.array([{}], dtype=object))
    assert items.arrays(str(path)) is None
    path.write_bytes(path.read_bytes()[:40])
    assert items.arrays(str(path)) is None
