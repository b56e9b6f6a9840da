import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from memory_inputs import run_pretrain
from training_sets import shades, squares

from medpt.errors import InputError
from medpt.models.weights import encoder_state, load
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
SPEC = Pretrain(("Toy",), ("digest",), "resnet18", "classifier", seed=1, protocol=SHORT)
FILES = {"init.safetensors", "best.safetensors", "history.json", "record.json"}


def run(folder: Path, spec: Pretrain = SPEC, feeds: Any = None, **options: Any) -> dict[str, float]:
    return run_pretrain(spec, feeds or [shades(train=15)], folder, **options)


def test_it_leaves_both_networks_the_history_and_the_record(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    metrics = run(tmp_path, on_metrics=rows.append)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert set(metrics) == {"steps", "best_step", "images_seen", "val_auc", "steps_to_95"}
    assert (metrics["steps"], metrics["images_seen"]) == (4, 16)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history == rows
    assert [row["step"] for row in history] == [2, 4]
    assert metrics["val_auc"] == max(row["val_auc"] for row in history)
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["train_images"], record["val_images"], record["weighting"]) == (12, 3, "inverse_frequency")


def test_networks_before_and_after_have_the_same_tensors_and_other_values(tmp_path: Path) -> None:
    run(tmp_path)
    before, after = (load(tmp_path / "out" / name) for name in ("init.safetensors", "best.safetensors"))
    assert {name: tensor.shape for name, tensor in before.items()} == {n: t.shape for n, t in after.items()}
    weights = [name for name in encoder_state(before) if name.endswith("weight")]
    assert weights
    assert not any(torch.equal(before[name], after[name]) for name in weights)


def test_equal_seeds_give_equal_metrics_and_weights(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    other = run(tmp_path / "other", replace(SPEC, seed=2))
    assert one == two
    assert one != other
    files = [(tmp_path / side / "out" / "best.safetensors").read_bytes() for side in ("one", "two", "other")]
    assert files[0] == files[1] != files[2]


class KilledError(Exception):
    pass


def test_killed_pretraining_resumes_to_the_same_files(tmp_path: Path) -> None:
    def die(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise KilledError

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", checkpoint_seconds=0, on_metrics=die)
    assert run(tmp_path / "killed") == whole
    for name in ("init.safetensors", "best.safetensors"):
        assert (tmp_path / "killed" / "out" / name).read_bytes() == (
            tmp_path / "whole" / "out" / name
        ).read_bytes()
    assert list((tmp_path / "killed" / "checkpoints").iterdir())


def test_segmentation_sources_train_a_segmenter(tmp_path: Path) -> None:
    spec = replace(SPEC, architecture="unet", protocol=replace(SHORT, max_steps=2))
    metrics = run(tmp_path, spec, [squares(train=10, size=64)])
    assert set(metrics) == {"steps", "best_step", "images_seen", "val_miou", "steps_to_95"}
    assert "logits.weight" in load(tmp_path / "out" / "best.safetensors")


def test_single_patient_trains_without_validation(tmp_path: Path) -> None:
    feed = shades(train=6)
    feed.index.groups[:] = "p"
    assert set(run(tmp_path, SPEC, [feed])) == {"steps", "best_step", "images_seen"}


def test_batch_is_never_larger_than_an_eightfold_epoch(tmp_path: Path) -> None:
    small = replace(SPEC, protocol=replace(SHORT, batch_size=16, max_steps=3, validation_fraction=0))
    assert run(tmp_path, small, [shades(train=1)])["images_seen"] == 24


@pytest.mark.parametrize(
    ("changes", "feeds", "message"),
    [
        ({"architecture": "unet"}, 1, "architecture: 'unet' does not fit classification"),
        ({"method": "jigsw"}, 1, "method: no 'jigsw'; did you mean jigsaw?"),
        ({"backbone": "resnet19"}, 1, "backbone: no 'resnet19'"),
        ({"datasets": ("A", "B"), "method": "jigsaw"}, 2, "method: jigsaw takes one dataset, not 2: A, B"),
        ({"architecture": "etnet", "method": "context"}, 1, "context has one run for all segmentation"),
        ({"datasets": ("Toy", "Toy")}, 2, "datasets: Toy is named twice"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], feeds: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, replace(SPEC, **changes), [shades()] * feeds)
    assert not list(tmp_path.iterdir())
