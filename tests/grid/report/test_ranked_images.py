"""A ranking shows the test images with the highest and the lowest probability of their true class."""

from pathlib import Path

import made_space
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid.report import ranked_images
from grid.report.tables import contrasts
from grid.results import frame
from grid.results.cells import find_cells
from grid.results.stored_space import StoredSpace
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.specs import Finetune, Prepare

SIZE = made_space.SIZE


def finetune(spec: Finetune, built: Path) -> dict[str, float]:
    """Score six test images of the made shard: the first best, the last worst."""
    right = np.linspace(0.95, 0.05, 6)
    labels = np.array([0, 1] * 3)
    scores = np.where(np.eye(2, dtype=bool)[labels], right[:, None], 1 - right[:, None])
    ids = np.array([f"image-{3 * n:03d}" for n in range(6)])
    np.savez_compressed(built / "scores.npz", scores=scores, labels=labels, ids=ids)
    value = 0.6 + 0.1 * (spec.initialization != "random")
    return {"auc": value, "accuracy": value, "macro_auc": value, "steps": 30.0, "best_step": 20.0}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredSpace:
    monkeypatch.setattr(made_space, "finetune", finetune)
    plan = made_space.plan(tmp_path, made_space.FEW_UNITS, "few")
    return StoredSpace(plan, made_space.publish(plan, tmp_path / "out", set(), {}))


def rankings(stored: StoredSpace, tmp_path: Path) -> list[ranked_images.Ranking]:
    uri = made_space.record_all(stored.store, stored.plan)
    found = contrasts(find_cells(frame.load("few", tmp_path / "out", uri)))
    return ranked_images.rankings(found, stored, 5)


def test_rankings_show_the_ends_with_class_prediction_and_probability(
    stored: StoredSpace, tmp_path: Path
) -> None:
    (ranking,) = rankings(stored, tmp_path)
    assert ranking.contrast.best
    assert (ranking.contrast.best.label, ranking.seed) == ("ISIC2019", 0)
    assert [(each.name, round(each.probability)) for each in ranking.best] == [
        ("image-000", 95),
        ("image-003", 77),
        ("image-006", 59),
    ]
    assert [(each.name, each.truth, each.predicted) for each in ranking.worst] == [
        ("image-015", "PNEUMONIA", "NORMAL"),
        ("image-012", "NORMAL", "PNEUMONIA"),
        ("image-009", "PNEUMONIA", "NORMAL"),
    ]
    assert all(each.uri.startswith("data:image/png") for each in (*ranking.best, *ranking.worst))


def test_shard_that_cannot_be_read_becomes_a_warning(stored: StoredSpace, tmp_path: Path) -> None:
    (digest,) = (unit.digest for unit, spec in stored.units_of(Prepare) if spec.dataset == "ChestXRay2017")
    (stored.store.folder(digest) / "shard-00000.parquet").write_bytes(b"not parquet")
    assert rankings(stored, tmp_path) == []
    assert "ChestXRay2017: the shard shard-00000.parquet cannot be read" in stored.warnings


def test_read_images_leaves_out_shards_that_are_not_here(stored: StoredSpace) -> None:
    (folder,) = (
        stored.store.folder(unit.digest)
        for unit, spec in stored.units_of(Prepare)
        if spec.dataset == "ChestXRay2017"
    )
    manifest = Manifest.read(folder)
    ((name, image),) = ranked_images.read_images(folder, manifest, {"image-004", "of no shard"})
    assert name == "image-004"
    np.testing.assert_array_equal(image, made_space.picture(4)[0])
    (folder / "shard-00000.parquet").unlink()
    assert list(ranked_images.read_images(folder, manifest, {"image-004"})) == []
    (folder / "shard-00000.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        list(ranked_images.read_images(folder, manifest, {"image-004"}))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_ends_have_each_row_once_and_no_row_between_is_more_extreme(right: list[float]) -> None:
    scores, labels = np.stack([right, 1 - np.array(right)], axis=1), np.zeros(len(right), int)
    best, worst = ranked_images.ends(scores, labels)
    assert len({*best, *worst}) == len(best) + len(worst) == min(len(right), 2 * ranked_images.EACH)
    between = [right[row] for row in set(range(len(right))) - {*best, *worst}]
    assert all(min(right[row] for row in best) >= value for value in between)
    assert all(max(right[row] for row in worst) <= value for value in between)
