"""Jigsaw puzzles, the network that reads them, and the accuracy of answers that are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from unlabelled_sets import hills

from medpt.data.augment import normalise
from medpt.models.permutations import maximin
from medpt.models.registry import build_encoder
from medpt.models.self_supervised import JigsawNetwork
from medpt.tasks import jigsaw
from medpt.tasks.jigsaw import DRAWS, GREY, JITTER, LUMA, Jigsaw, pixels, puzzles, tile_side
from medpt.tasks.self_supervision import uniform

IDENTITY = torch.arange(9).repeat(10, 1)
TEN = torch.tensor(maximin(10))


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


def test_inverse_permutation_restores_the_order() -> None:
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
