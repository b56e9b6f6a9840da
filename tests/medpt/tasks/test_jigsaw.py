"""The jigsaw task: its set-up, its evaluation, and pre-training by it."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from memory_inputs import run_pretrain
from torch import nn
from unlabelled_sets import Watched, hills

from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.models.permutations import maximin
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_segmenter
from medpt.models.weights import encoder_state, load, transfer_encoder
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain
from medpt.tasks import jigsaw
from medpt.tasks.jigsaw import Jigsaw, Mirrored
from medpt.tasks.supervised import network
from medpt.train import fit

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
SPEC = Pretrain(("Toy",), ("d",), "shufflenet_v2", "classifier", method="jigsaw", seed=1, protocol=SHORT)


@pytest.fixture(autouse=True)
def _few_puzzles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jigsaw, "EVALUATED", 6)


def test_mirrored_loader_never_rotates_images() -> None:
    loader, rows = hills(train=6), np.arange(6)
    found = next(Mirrored(loader).batches(rows, 48, seed=3))
    plain = next(loader.batches(rows, 48, seed=3))
    assert torch.equal(found[0], plain[0])
    assert found[2].unique(return_counts=True)[1].tolist() == [24, 24]
    assert found[2].unique().tolist() == [0, 4]
    assert torch.equal(found[2] == 4, plain[2] >= 4)


def set_up(loader: Any = None, seed: int = 0, backbone: str = "shufflenet_v2", **changes: Any) -> Any:
    spec = replace(SPEC, backbone=backbone, seed=seed, protocol=replace(SHORT, **changes))
    return jigsaw.set_up(spec, [loader or hills()])


def evaluated(task: Jigsaw, model: nn.Module, batch: int) -> dict[str, float]:
    images = normalise(torch.from_numpy(hills().arrays.images))
    return dict(task.evaluate(model, [(part, part) for part in images.split(batch)]))


def test_jigsaw_evaluation_repeats_its_puzzles_and_changes_nothing() -> None:
    setup = set_up()
    before = {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}
    together = evaluated(setup.task, setup.model.train(), 16)
    assert set(together) == {"accuracy", "loss"}
    torch.rand(5)
    assert evaluated(setup.task, setup.model, 16) == together
    for batch in (1, 5):
        assert evaluated(setup.task, setup.model, batch) == pytest.approx(together, abs=1e-5)
    assert evaluated(replace(setup.task, seed=1), setup.model, 16) != together
    assert not setup.model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in setup.model.state_dict().items())


def test_jigsaw_accuracy_is_nan_for_weights_that_are_not_finite() -> None:
    setup = set_up()
    setup.model.logits.bias.data[0] = math.nan
    assert math.isnan(evaluated(setup.task, setup.model, 16)["accuracy"])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_encoder_starts_as_that_of_the_random_row(backbone: str) -> None:
    loader = hills(size=128, train=4)
    random = encoder_state(network(loader.index, backbone, "classifier", 3).state_dict())
    own = encoder_state(set_up(loader, seed=3, backbone=backbone).model.state_dict())
    assert own.keys() == random.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in random.items())


@pytest.mark.parametrize(("images", "count"), [(20, 100), (999, 100), (1000, 1000), (50_000, 1000)])
def test_permutation_count_is_smaller_for_small_sets(images: int, count: int) -> None:
    assert jigsaw.permutation_count(images) == count


@pytest.mark.parametrize(
    ("backbone", "side"), [("resnet18", 32), ("shufflenet_v2", 32), ("densenet121", 128)]
)
def test_jigsaw_trains_on_the_smallest_accepted_images(backbone: str, side: int) -> None:
    loader = hills(size=side, train=4)
    setup = set_up(loader, backbone=backbone)
    images = normalise(torch.from_numpy(loader.arrays.images[:2]))
    assert setup.task.loss(setup.model.train(), images, images).isfinite()
    with pytest.raises(InputError, match=f"{backbone} needs"):
        set_up(hills(size=3 * side // 4, train=4), backbone=backbone)


def run(folder: Path, loader: Any = None, **options: Any) -> dict[str, float]:
    spec = replace(SPEC, **options.pop("changes", {}))
    return run_pretrain(spec, [loader or hills()], folder, **options)


def test_pretraining_leaves_weights_history_permutations_and_figures(tmp_path: Path) -> None:
    found = run(tmp_path)
    figures = {"chance", "flat_tiles", "val_accuracy", "val_loss"}
    assert set(found) == {"steps", "best_step", "images_seen", "steps_to_95"} | figures
    assert (found["chance"], found["flat_tiles"], found["images_seen"]) == (0.01, 0, 16)
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    (best,) = (row for row in history if row["step"] == found["best_step"])
    assert (found["val_accuracy"], found["val_loss"]) == (best["val_accuracy"], best["val_loss"])
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert (record["train_images"], record["val_images"]) == (13, 3)
    kept = load(tmp_path / "out" / "best.safetensors")["permutations"].numpy()
    np.testing.assert_array_equal(kept, maximin(100))
    assert record["permutations"] == jigsaw.describe(kept)


def test_flat_tiles_counts_black_images(tmp_path: Path) -> None:
    loader = hills()
    loader.arrays.images[:8] = 0
    assert set_up(loader).figures["flat_tiles"] == pytest.approx(0.5, abs=0.1)


def test_validation_set_does_not_depend_on_labels() -> None:
    for seed in range(4):
        parts = [
            set_up(hills(labels=np.array(labels)), seed=seed).val_rows.tolist()
            for labels in ([0] * 16, [0, 1] * 8, [0] * 8 + [1] * 8)
        ]
        assert parts[0] == parts[1] == parts[2]


def test_neither_labels_nor_test_images_are_read(tmp_path: Path) -> None:
    plain, watched = hills(test=4), Watched(hills(test=4, labels=np.array([0] * 13 + [1] * 7)).arrays)
    assert run(tmp_path / "one", plain) == run(tmp_path / "two", watched)
    assert watched.read == set(range(16))
    files = [(tmp_path / side / "out" / "best.safetensors").read_bytes() for side in ("one", "two")]
    assert files[0] == files[1]


class KilledError(Exception):
    pass


def test_killed_pretraining_resumes_to_the_same_weights(tmp_path: Path) -> None:
    def die(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise KilledError

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", checkpoint_seconds=0, on_metrics=die)
    assert run(tmp_path / "killed") == whole
    files = [(tmp_path / side / "out" / "best.safetensors").read_bytes() for side in ("whole", "killed")]
    assert files[0] == files[1]


def test_encoder_fits_the_classifier_and_every_segmenter(tmp_path: Path) -> None:
    run(tmp_path)
    state = load(tmp_path / "out" / "best.safetensors")
    for target in (
        build_classifier("shufflenet_v2", 3),
        *(build_segmenter(name, "shufflenet_v2", 3) for name in ARCHITECTURES),
    ):
        transfer_encoder(target, state)
        own = encoder_state(target.state_dict())
        assert own.keys() == encoder_state(state).keys()
        assert all(torch.equal(own[name], tensor) for name, tensor in encoder_state(state).items())


@pytest.mark.slow
def test_jigsaw_learns_a_hundred_orders() -> None:
    """Chance is 0.01; of 256 puzzles guessing names a tenth in no run that anybody will see."""
    protocol = replace(SHORT, learning_rate=1e-3, batch_size=16, max_steps=50, evaluate_every=50)
    loader = hills(train=64)
    rows = loader.index.rows("train")
    setup = jigsaw.set_up(replace(SPEC, backbone="resnet18", protocol=protocol, seed=0), [loader])
    outcome = fit(replace(setup, task=Jigsaw(0, 4), train_rows=rows, val_rows=rows), protocol, 0)
    assert outcome.best > 10 * setup.figures["chance"]
