import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_inputs import run_pretrain
from torch import Tensor, nn
from unlabelled_sets import Watched, hills

from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.models.permutations import maximin
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_encoder, build_segmenter
from medpt.models.self_supervised import JigsawNetwork
from medpt.models.weights import encoder_state, load, transfer_encoder
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain
from medpt.tasks import jigsaw
from medpt.tasks.jigsaw import DRAWS, GREY, JITTER, LUMA, Jigsaw, Mirrored, pixels, puzzles, tile_side
from medpt.tasks.self_supervision import uniform
from medpt.tasks.supervised import network
from medpt.train import fit

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
SPEC = Pretrain(("Toy",), ("d",), "shufflenet_v2", "classifier", method="jigsaw", seed=1, protocol=SHORT)
IDENTITY = torch.arange(9).repeat(10, 1)
TEN = torch.tensor(maximin(10))


@pytest.fixture(autouse=True)
def _few_puzzles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jigsaw, "EVALUATED", 6)


def coloured(count: int, side: int, seed: int = 0) -> Tensor:
    """uint8 (count, side, side, 3)."""
    return torch.randint(0, 256, (count, side, side, 3), generator=torch.Generator().manual_seed(seed)).byte()


def numbers(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_puzzle(image: np.ndarray, orders: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, int]:
    """One image, tile by tile, channel by channel, as the method is told: tiles (9, 3, T, T) and class."""
    side, cell = len(image), len(image) // 3
    tile = tile_side(side)
    image = image.astype(float)
    label, grey, crop_y, crop_x = int(draws[0] * len(orders)), draws[1] < GREY, *draws[2:4]
    if grey:
        image = np.repeat(np.round(image @ np.array(LUMA))[..., None], 3, 2)
    top, left = (int(crop * (side - 3 * cell + 1)) for crop in (crop_y, crop_x))
    tiles = []
    for place in range(9):
        y = top + place // 3 * cell + int(draws[4 + 2 * place] * (cell - tile + 1))
        x = left + place % 3 * cell + int(draws[5 + 2 * place] * (cell - tile + 1))
        channels = []
        for channel in range(3):
            shift = int(draws[22 + 3 * place + channel] * (2 * JITTER + 1)) - JITTER
            values = np.clip(image[y : y + tile, x : x + tile, channel] + shift, 0, 255)
            channels.append((values - values.mean()) / (values.std() or 1))
        tiles.append(channels)
    return np.array(tiles)[orders[label]], label


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([32, 48, 65, 96]))
def test_puzzles_equal_the_slow_definition(seed: int, side: int) -> None:
    images, draws = coloured(3, side, seed), numbers(3, seed)
    tiles, classes, flat = puzzles(normalise(images), TEN, draws)
    for image, row, found, label in zip(images.numpy(), draws.numpy(), tiles.numpy(), classes, strict=True):
        expected, k = slow_puzzle(image, TEN.numpy(), row)
        assert label == k
        # halves of a grey level round either way in float32
        np.testing.assert_allclose(found, expected, atol=0.03 if row[1] < GREY else 2e-4)
    assert not flat.any()


def test_the_inverse_permutation_restores_the_order() -> None:
    images, draws = normalise(coloured(6, 64)), numbers(6)
    shuffled, classes, _ = puzzles(images, TEN, draws)
    ordered, _, _ = puzzles(images, IDENTITY, draws)
    assert not torch.equal(shuffled, ordered)
    for tiles, own, k in zip(shuffled, ordered, classes, strict=True):
        assert torch.equal(tiles[TEN[k].long().argsort()], own)


def test_tiles_have_mean_0_and_deviation_1_per_channel() -> None:
    tiles, _, _ = puzzles(normalise(coloured(4, 256) // 8 + 100), TEN, numbers(4))
    assert tiles.shape == (4, 9, 3, 64, 64)
    assert tiles.mean((-2, -1)).abs().max() < 1e-5
    assert (tiles.std((-2, -1), correction=0) - 1).abs().max() < 1e-3


def test_tiles_without_contrast_are_zero_and_counted() -> None:
    images = coloured(3, 64)
    images[0] = 77
    images[1, :, :, :2] = 9  # two channels of three
    images[2, :22] = 0  # the three tiles on top, one row beyond their cells
    tiles, _, flat = puzzles(normalise(images), IDENTITY, numbers(3).where(torch.arange(DRAWS) != 1, 0.9))
    assert flat.sum(1).tolist() == [9, 0, 3]
    assert flat[2, :3].all()
    assert not tiles[0].any()
    assert not tiles[2, :3].any()
    assert not tiles[1, :, :2].any()
    assert tiles[1, :, 2].any()


def test_tiles_lie_anywhere_inside_their_cell() -> None:
    side, count = 256, 400
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    image = torch.stack([y, x, y]).float()[None].expand(count, -1, -1, -1)
    draws = numbers(count)
    tiles = jigsaw._cut(image, draws[:, 2:4], draws[:, 4:22])
    crop = (draws[:, 2:4] * 2).long()
    start = tiles[:, :, :2, 0, 0] - crop[:, None]
    corner = torch.stack([torch.arange(9) // 3, torch.arange(9) % 3], -1) * 85
    assert torch.equal(tiles[:, :, 0, -1, 0] - tiles[:, :, 0, 0, 0], torch.full((count, 9), 63.0))
    inside = start - corner
    assert (inside.min(), inside.max()) == (0, 21)  # 85 - 64: gaps of 0 to 42 pixels
    assert crop.unique().tolist() == [0, 1]


def test_three_in_ten_puzzles_are_grey() -> None:
    tiles, _, _ = puzzles(normalise(coloured(600, 32)), TEN, numbers(600))
    grey = (tiles[:, :, 0] - tiles[:, :, 1]).abs().amax((1, 2, 3)) < 0.2  # the jitter may clip
    assert 0.24 < grey.double().mean() < 0.36


def test_classes_are_drawn_evenly() -> None:
    _, classes, _ = puzzles(normalise(coloured(1, 32)).expand(4000, -1, -1, -1), TEN, numbers(4000))
    counts = classes.bincount(minlength=10)
    assert ((counts - 400) ** 2 / 400).sum() < 27.9  # chi-squared, 9 degrees: one seed in a thousand


def test_pixels_undo_normalisation_exactly() -> None:
    values = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(3, 16, 16).movedim(0, -1)[None]
    assert torch.equal(pixels(normalise(values)), values.permute(0, 3, 1, 2).float())


@pytest.mark.parametrize(
    ("backbone", "count", "expected"),
    [
        ("resnet18", 100, 5_084_772),
        ("resnet18", 1000, 6_007_272),
        ("shufflenet_v2", 100, 5_346_916),
        ("densenet121", 1000, 6_269_416),
    ],
)
def test_jigsaw_head_has_the_specified_number_of_parameters(backbone: str, count: int, expected: int) -> None:
    with torch.device("meta"):
        model = JigsawNetwork(build_encoder(backbone), torch.zeros(count, 9))
    head = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("encoder."))
    assert head == expected


def test_jigsaw_network_encodes_each_tile_separately() -> None:
    model = JigsawNetwork(build_encoder("resnet18"), TEN).eval()
    tiles = torch.randn(2, 9, 3, 32, 32)
    features = [
        torch.cat([model.fc6(model.encoder(tile[None])[-1].mean((2, 3)))[0] for tile in puzzle])
        for puzzle in tiles
    ]
    torch.testing.assert_close(
        model(tiles), model.logits(model.fc7(torch.stack(features))), atol=1e-4, rtol=1e-4
    )


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


class Oracle(nn.Module):
    """Names the order of puzzles by comparing them with those it is told to expect."""

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = known
        self.register_buffer("permutations", TEN)

    def forward(self, tiles: Tensor) -> Tensor:
        ways = self.known[:, TEN.long()]  # (images, 10, 9, 3, T, T)
        same = (tiles[:, None, None] == ways).all((-1, -2, -3, -4)).any(1)
        return 50.0 * same


def test_jigsaw_accuracy_is_1_for_an_oracle_and_chance_for_guessing() -> None:
    images = normalise(torch.from_numpy(hills(train=4).arrays.images))
    generator = jigsaw.fixed_generator(5)
    known, _, _ = puzzles(images, IDENTITY, uniform(images, DRAWS, generator))
    found = dict(Jigsaw(seed=5, rounds=1).evaluate(Oracle(known), [(images, images)]))
    assert found["accuracy"] == 1
    assert found["loss"] < 1e-6
    blind = Oracle(torch.zeros_like(known))
    guessed = dict(Jigsaw(seed=5, rounds=200).evaluate(blind, [(images, images)]))
    assert guessed["accuracy"] == pytest.approx(0.1, abs=0.04)
    assert guessed["loss"] == pytest.approx(math.log(10))


def test_jigsaw_accuracy_is_nan_for_weights_that_are_not_finite() -> None:
    setup = set_up()
    setup.model.logits.bias.data[0] = math.nan
    assert math.isnan(evaluated(setup.task, setup.model, 16)["accuracy"])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_encoder_starts_as_that_of_the_random_row(backbone: str) -> None:
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


def test_a_pretraining_leaves_weights_history_permutations_and_figures(tmp_path: Path) -> None:
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


def test_the_validation_part_does_not_depend_on_labels() -> None:
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


def test_a_killed_pretraining_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    def die(row: dict[str, float]) -> None:
        if row["step"] == 4:
            raise KilledError

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "killed", checkpoint_seconds=0, on_metrics=die)
    assert run(tmp_path / "killed") == whole
    files = [(tmp_path / side / "out" / "best.safetensors").read_bytes() for side in ("whole", "killed")]
    assert files[0] == files[1]


def test_the_encoder_fits_the_classifier_and_every_segmenter(tmp_path: Path) -> None:
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
