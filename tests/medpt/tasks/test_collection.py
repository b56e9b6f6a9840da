import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_inputs import run_pretrain
from torch import Tensor
from training_sets import shades, squares

from medpt.data.augment import normalise
from medpt.data.splits import validation
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.losses import balanced_cross_entropy
from medpt.models.classifier import select_head
from medpt.models.registry import build_classifier, build_segmenter
from medpt.models.weights import encoder_state, load, transfer_decoder, transfer_encoder
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain
from medpt.tasks import collection, supervised
from medpt.tasks.collection import CollectionLoader
from medpt.tasks.supervised import network
from medpt.train import TrainingState, evaluation_batches

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=6, evaluate_every=3, validation_fraction=0.2
)
NAMES = ("A", "B", "C")
SPEC = Pretrain(NAMES, ("a", "b", "c"), "shufflenet_v2", "classifier", seed=1, protocol=SHORT)
CPU = torch.device("cpu")


def loaders() -> list[Any]:
    return [shades(train=10, test=3), shades(train=20, test=2, classes=4), shades(train=40, classes=3)]


def masks() -> list[Any]:
    return [squares(train=6, test=1, size=64), squares(train=9, size=64, classes=3)]


def set_up(sets: Any = None, names: tuple[str, ...] = NAMES, **changes: Any) -> Any:
    return collection.set_up(replace(SPEC, datasets=names, **({"seed": 0} | changes)), sets or loaders())


def everything() -> tuple[CollectionLoader, np.ndarray]:
    loader = CollectionLoader(tuple(loaders()))
    rows = [
        start + own.index.rows("train") for start, own in zip(loader.starts, loader.loaders, strict=False)
    ]
    return loader, np.concatenate(rows)


def assert_equal(one: Any, other: Any) -> None:
    for batch, expected in zip(one, other, strict=True):
        assert len(batch) == len(expected) == 4
        assert all(torch.equal(a, b) for a, b in zip(batch[:3], expected[:3], strict=True))
        assert batch[3] == expected[3]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(0, 1000))
def test_collection_batches_depend_only_on_their_number(start: int, seed: int) -> None:
    loader, rows = everything()
    whole = islice(loader.batches(rows, 4, seed), start, start + 6)
    assert_equal(islice(loader.batches(rows, 4, seed, start=start), 6), list(whole))


def test_collection_keeps_the_batch_order_of_each_dataset() -> None:
    loader, rows = everything()
    drawn = list(islice(loader.batches(rows, 4, seed=2), 60))
    for number, own in enumerate(loader.loaders):
        found = [batch[:3] for batch in drawn if batch[3] == number]
        expected = own.batches(own.index.rows("train"), 4, stream_seed(2, "dataset", number))
        assert found
        for batch, alone in zip(found, expected, strict=False):
            assert all(torch.equal(a, b) for a, b in zip(batch, alone, strict=True))


def test_collection_draws_datasets_by_the_square_root_of_their_size() -> None:
    loader, rows = everything()
    count = 3000
    found = np.bincount([batch[3] for batch in islice(loader.batches(rows, 4, seed=0), count)])
    expected = count * np.sqrt([10, 20, 40]) / np.sqrt([10, 20, 40]).sum()
    assert ((found - expected) ** 2 / expected).sum() < 13.8  # chi-squared, 2 degrees: one seed in a thousand


def test_collection_scan_yields_each_row_once_and_one_dataset_per_batch() -> None:
    loader, _ = everything()
    rows = np.array([1, 3, 4, 13, 20, 34, 36, 40, 70])
    assert loader.starts == [0, 13, 35, 81]
    batches = list(loader.scan(rows, 2))
    assert [len(images) for images, _ in batches] == [2, 1, 2, 1, 2, 1]
    alone = [loader.loaders[0].arrays.images[[1, 3, 4]], loader.loaders[1].arrays.images[[0, 7, 21]]]
    alone.append(loader.loaders[2].arrays.images[[1, 5, 35]])
    found = torch.cat([images for images, _ in batches]).numpy()
    np.testing.assert_array_equal(found, np.concatenate(alone))


def test_collection_epoch_covers_all_datasets() -> None:
    loader, rows = everything()
    assert loader.steps_per_epoch(rows, 4) == 8 * (10 + 20 + 40) // 4


def test_collection_uses_rows_and_weights_of_each_dataset() -> None:
    setup, sets = set_up(), loaders()
    for number, loader in enumerate(sets):
        start = CollectionLoader(tuple(sets)).starts[number]
        alone = supervised.set_up(loader, loader.index.rows("train"), replace(SPEC, seed=0))
        assert torch.equal(setup.task.tasks[number].weights, alone.task.weights)
        assert set(alone.train_rows + start) <= set(setup.train_rows)
        assert set(alone.val_rows + start) <= set(setup.val_rows)
        assert setup.record["datasets"][NAMES[number]]["train_images"] == len(alone.train_rows)
    assert len(setup.train_rows) + len(setup.val_rows) == 70
    assert setup.task.val_images == tuple(
        len(
            validation(f.index.labels[f.index.rows("train")], f.index.groups[f.index.rows("train")], 0.2, 0)[
                1
            ]
        )
        for f in sets
    )


@pytest.mark.parametrize("number", [0, 1, 2])
def test_collection_step_changes_shared_layers_and_one_head(number: int) -> None:
    setup = set_up()
    run = TrainingState.start(setup, SHORT, CPU)
    batches = (batch for batch in setup.loader.batches(setup.train_rows, 4, seed=0))
    for batch in islice((batch for batch in batches if batch[3] != number), 3):
        run.train(*batch)  # leaves momentum in the other heads
    before = {name: tensor.clone() for name, tensor in setup.model.state_dict().items()}
    run.train(*next(batch for batch in batches if batch[3] == number))
    moved = {name for name, tensor in setup.model.named_parameters() if not torch.equal(tensor, before[name])}
    heads = {name for name in moved if name.startswith("logits.")}
    assert heads == {f"logits.{number}.weight", f"logits.{number}.bias"}
    assert any(name.startswith("encoder.") for name in moved)


@pytest.mark.parametrize("number", [0, 1])
def test_collection_loss_equals_that_of_a_single_network(number: int) -> None:
    for setup, alone in (
        (set_up(), build_classifier("shufflenet_v2", 2 + 2 * number)),
        (set_up(masks(), NAMES[:2], architecture="unet"), None),
    ):
        loader = setup.loader.loaders[number]
        images, targets = (
            torch.from_numpy(part[:3]) for part in (loader.arrays.images, loader.arrays.targets)
        )
        found = setup.task.loss(setup.model.train(), normalise(images), targets, number)
        if alone is not None:
            state = setup.model.state_dict()
            own = {name: state[name.replace("logits.", f"logits.{number}.")] for name in alone.state_dict()}
            alone.load_state_dict(own)
            logits = alone.train()(normalise(images))
        else:
            logits = select_head(setup.model, number)(normalise(images))
            assert logits.shape == (3, 2 + number, 64, 64)
        weights = setup.task.tasks[number].weights
        torch.testing.assert_close(found, balanced_cross_entropy(logits, targets, weights))


def test_collection_metric_is_the_mean_over_datasets() -> None:
    setup = set_up()
    found = dict(
        setup.task.evaluate(setup.model.train(), evaluation_batches(setup.loader, setup.val_rows, CPU))
    )
    starts, own = setup.loader.starts, []
    for number, (name, task) in enumerate(zip(NAMES, setup.task.tasks, strict=True)):
        rows = setup.val_rows[(setup.val_rows >= starts[number]) & (setup.val_rows < starts[number + 1])]
        loader = setup.loader.loaders[number]
        alone = dict(
            task.evaluate(
                select_head(setup.model, number), evaluation_batches(loader, rows - starts[number], CPU)
            )
        )
        assert {key: found[f"{name}_{key}"] for key in alone} == pytest.approx(alone, nan_ok=True)
        own.append(alone["auc"])
    assert setup.task.metric == "auc"
    assert found["auc"] == pytest.approx(np.mean(own))
    assert not any(module.training for module in setup.model.modules())


def test_collection_trains_a_dataset_of_one_patient_without_validation() -> None:
    sets = loaders()
    sets[1].index.groups[:] = "p"
    setup = set_up(sets)
    found = dict(setup.task.evaluate(setup.model, evaluation_batches(setup.loader, setup.val_rows, CPU)))
    assert setup.task.val_images[1] == 0
    assert not any(name.startswith("B_") for name in found)
    assert found["auc"] == pytest.approx((found["A_auc"] + found["C_auc"]) / 2)


def test_encoder_starts_as_that_of_the_random_row() -> None:
    for sets, architecture in ((loaders(), "classifier"), (masks(), "unet")):
        random = network(sets[0].index, "shufflenet_v2", architecture, 3)
        setup = set_up(sets, NAMES[: len(sets)], architecture=architecture, seed=3).model.state_dict()
        shared = {name: tensor for name, tensor in random.state_dict().items() if "logits" not in name}
        assert all(torch.equal(setup[name], tensor) for name, tensor in shared.items())


def test_set_heads_makes_linear_or_1x1_layers() -> None:
    classes = [tuple(head.weight.shape) for head in set_up().model.logits]
    assert classes == [(2, 1024), (4, 1024), (3, 1024)]
    pixels = [
        tuple(head.weight.shape) for head in set_up(masks(), NAMES[:2], architecture="unet").model.logits
    ]
    assert pixels == [(2, 16, 1, 1), (3, 16, 1, 1)]


def run(folder: Path, spec: Pretrain = SPEC, sets: Any = None, **options: Any) -> dict[str, float]:
    return run_pretrain(spec, sets or loaders(), folder, **options)


def test_pretraining_leaves_weights_that_fit_a_target(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert set(found) == {"steps", "best_step", "images_seen", "val_auc", "steps_to_95"}
    assert found["images_seen"] == 24
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    names = {f"val_{name}_{key}" for name in NAMES for key in ("auc", "macro_auc", "accuracy")}
    assert set(history[0]) == {"step", "train_loss", "time", "val_auc"} | names
    target, state = build_classifier("shufflenet_v2", 7), load(tmp_path / "out" / "best.safetensors")
    transfer_encoder(target, state)
    own = encoder_state(target.state_dict())
    assert all(torch.equal(own[name], tensor) for name, tensor in encoder_state(state).items())


def test_collection_of_masks_trains_a_decoder_that_fits_a_target(tmp_path: Path) -> None:
    spec = replace(SPEC, datasets=NAMES[:2], data=("a", "b"), architecture="unet")
    found = run(tmp_path, spec, masks())
    assert 0 <= found["val_miou"] <= 1
    target, state = build_segmenter("unet", "shufflenet_v2", 7), load(tmp_path / "out" / "best.safetensors")
    copied = transfer_decoder(target, state)
    outside = [name for name in target.state_dict() if not name.startswith(("encoder.", "logits."))]
    assert list(copied) == [name for name in state if name in outside]
    assert len(copied) == len(outside)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("step", [3, 6])
def test_killed_pretraining_resumes_to_the_same_weights(tmp_path: Path, step: int) -> None:
    def die(row: dict[str, float]) -> None:
        if row["step"] == step:
            raise KilledError

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", checkpoint_seconds=0, on_metrics=die)
    assert run(tmp_path / "killed") == whole
    states = [load(tmp_path / side / "out" / "best.safetensors") for side in ("whole", "killed")]
    assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())


@pytest.mark.parametrize(
    ("changes", "sets", "message"),
    [
        ({"names": ("A", "A", "C")}, None, "datasets: A is named twice"),
        ({"names": ("A", "B")}, None, "datasets: 2 names for the data of 3"),
        ({"names": ("A", "B")}, "mixed", "datasets: a collection has one task"),
        (
            {"architecture": "etnet", "names": ("A", "B")},
            "masks",
            "architecture: 'etnet' cannot be trained on a collection",
        ),
        ({"architecture": "unet"}, None, "architecture: 'unet' does not fit classification"),
        (
            {"protocol": replace(SHORT, batch_size=100)},
            None,
            "A: 8 training images without the validation set; a batch of 100 needs 13",
        ),
        ({"protocol": replace(SHORT, batch_size=9, augment="none")}, None, "A: 8 .* a batch of 9 needs 9"),
    ],
)
def test_collection_refuses_datasets_that_do_not_fit(
    changes: dict[str, Any], sets: str | None, message: str
) -> None:
    given = {"mixed": [shades(), squares()], "masks": masks()}.get(sets or "")
    with pytest.raises(InputError, match=message):
        set_up(given, **changes)


def test_select_head_shares_tensors_and_keeps_the_model() -> None:
    setup = set_up()
    view = select_head(setup.model, 2)
    assert len(setup.model.logits) == 3
    whole: dict[str, Tensor] = dict(setup.model.named_parameters())
    assert len(list(view.named_parameters())) == len(whole) - 4
    for name, parameter in view.named_parameters():
        assert parameter is whole[name.replace("logits.", "logits.2.")]
