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
from training_sets import squares
from unlabelled_sets import Watched, hills

from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.models.registry import ARCHITECTURES, BACKBONES, build_classifier, build_encoder, build_segmenter
from medpt.models.self_supervised import Restorer
from medpt.models.unet import UNet
from medpt.models.weights import encoder_state, load, transfer_encoder
from medpt.protocol import TrainingProtocol
from medpt.specs import Pretrain
from medpt.tasks import context
from medpt.tasks.context import DRAWS, Context, rearranged, sources, swaps
from medpt.tasks.self_supervision import uniform
from medpt.tasks.supervised import network
from medpt.train import fit

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
SPEC = Pretrain(("Toy",), ("d",), "shufflenet_v2", "classifier", method="context", seed=1, protocol=SHORT)
SEEDS, SIDES = st.integers(0, 10_000), st.sampled_from([32, 64, 96])


def numbers(count: int, seed: int) -> Tensor:
    return torch.rand(count, DRAWS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def pictures(count: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def slow_swaps(image: np.ndarray, rows: list[list[int]]) -> np.ndarray:
    image = image.copy()
    for top, left, other_top, other_left, height, width in rows:
        one = (slice(None), slice(top, top + height), slice(left, left + width))
        other = (slice(None), slice(other_top, other_top + height), slice(other_left, other_left + width))
        image[one], image[other] = image[other].copy(), image[one].copy()
    return image


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIDES)
def test_sources_equal_swaps_done_one_by_one(seed: int, side: int) -> None:
    images, drawn = pictures(3, side, seed), swaps(numbers(3, seed), side)
    found = rearranged(images, sources(drawn, side))
    for image, rows, expected in zip(images.numpy(), drawn.tolist(), found.numpy(), strict=True):
        np.testing.assert_array_equal(slow_swaps(image, rows), expected)


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIDES)
def test_rearranged_image_has_the_same_pixels(seed: int, side: int) -> None:
    images = pictures(2, side, seed)
    found = rearranged(images, sources(swaps(numbers(2, seed), side), side))
    assert ((found - images) ** 2).mean((1, 2, 3)).min() > 0
    for image, corrupted in zip(images, found, strict=True):
        pixels = {tuple(pixel) for pixel in image.flatten(1).T.tolist()}
        assert {tuple(pixel) for pixel in corrupted.flatten(1).T.tolist()} == pixels
        assert torch.equal(image.flatten().sort()[0], corrupted.flatten().sort()[0])


def test_sources_without_swaps_keep_the_image() -> None:
    drawn, images = swaps(numbers(3, 0), 64), pictures(3, 64)
    drawn[:, :, 4:] = 0
    assert torch.equal(rearranged(images, sources(drawn, 64)), images)


@settings(max_examples=30, deadline=None)
@given(SEEDS, SIDES)
def test_swaps_lie_inside_the_image_and_do_not_overlap(seed: int, side: int) -> None:
    top, left, other_top, other_left, height, width = swaps(numbers(8, seed), side).unbind(-1)
    real = height > 0
    assert 10 <= real.sum(1).min() <= real.sum(1).max() <= 20
    assert side // 16 <= height[real].min() <= height.max() <= side // 8
    assert side // 16 <= width[real].min() <= width.max() <= side // 8
    for start, size in ((top, height), (other_top, height), (left, width), (other_left, width)):
        assert start.min() >= 0
        assert (start + size).max() <= side
    alongside = ((top - other_top).abs() < height) | ((left - other_left).abs() < width)
    assert alongside[real].any()  # apart along one axis is enough
    apart = ((top - other_top).abs() >= height) | ((left - other_left).abs() >= width)
    assert apart.all()


def test_swaps_at_full_size_are_as_specified() -> None:
    drawn = swaps(numbers(300, 1), 256)
    counts = (drawn[..., 4] > 0).sum(1)
    assert counts.unique().tolist() == list(range(10, 21))
    heights = drawn[..., 4][drawn[..., 4] > 0]
    assert heights.unique().tolist() == list(range(16, 33))
    moved = (sources(drawn[:50], 256) != torch.arange(256**2)).double().mean()
    assert 0.2 < moved < 0.26  # 26 % less what swaps share


def test_swaps_skip_patches_without_a_free_place() -> None:
    assert not swaps(torch.zeros(2, DRAWS, dtype=torch.float64), 64)[..., 4].any()


@pytest.mark.parametrize(("backbone", "expected"), [("resnet18", 2_794_899), ("densenet121", 4_892_051)])
def test_restorer_has_the_specified_parameter_counts(backbone: str, expected: int) -> None:
    with torch.device("meta"):
        model = Restorer(build_encoder(backbone))
    decoder = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("encoder."))
    assert decoder == expected
    assert model.to_empty(device="cpu")(torch.zeros(2, 3, 64, 64)).shape == (2, 3, 64, 64)


class Fixed(nn.Module):
    """Answers the corrupted image times `factor`."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


def test_context_metrics_equal_the_slow_definition() -> None:
    images = pictures(5, 32)
    source = sources(swaps(uniform(images, DRAWS, context.fixed_generator(3)), 32), 32)
    corrupted = rearranged(images, source)
    moved = (source != torch.arange(32**2)).view(5, 1, 32, 32).expand(-1, 3, -1, -1)
    found = dict(Context(3).evaluate(Fixed(0.5), [(part, part) for part in images.split(2)]))
    error, identity = (corrupted * 0.5 - images) ** 2, (corrupted - images) ** 2
    assert found == pytest.approx(
        {
            "mse": float(error.mean()),
            "mse_swapped": float(error[moved].mean()),
            "mse_identity": float(identity.mean()),
            "mse_identity_swapped": float(identity[moved].mean()),
        },
        rel=1e-5,
    )
    unchanged = dict(Context(3).evaluate(Fixed(1), [(images, images)]))
    assert unchanged["mse"] == unchanged["mse_identity"]
    assert unchanged["mse_swapped"] == unchanged["mse_identity_swapped"] > unchanged["mse"]
    assert math.isnan(dict(Context(3).evaluate(Fixed(math.nan), [(images, images)]))["mse"])


def test_context_loss_is_over_all_pixels_of_the_original_image() -> None:
    images = pictures(4, 32)
    torch.manual_seed(4)
    loss = Context(0).loss(Fixed(1), images, images)
    torch.manual_seed(4)
    corrupted = rearranged(images, sources(swaps(uniform(images, DRAWS), 32), 32))
    torch.testing.assert_close(loss, ((corrupted - images) ** 2).mean())


def set_up(loader: Any = None, architecture: str = "classifier", **changes: Any) -> Any:
    loader = loader or hills()
    options = {"backbone": "shufflenet_v2", "protocol": SHORT, "seed": 0} | changes
    return context.set_up(replace(SPEC, architecture=architecture, **options), [loader])


def test_context_decoder_depends_on_the_kind_of_target() -> None:
    assert isinstance(set_up().model, Restorer)
    unet = set_up(squares(size=64), "unet").model
    assert isinstance(unet, UNet)
    assert unet.logits.out_channels == 3


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("architecture", ["classifier", "unet"])
def test_encoder_starts_as_that_of_the_random_row(backbone: str, architecture: str) -> None:
    random = encoder_state(network(hills().index, backbone, "classifier", 3).state_dict())
    own = encoder_state(set_up(architecture=architecture, backbone=backbone, seed=3).model.state_dict())
    assert own.keys() == random.keys()
    assert all(torch.equal(own[name], tensor) for name, tensor in random.items())


def test_context_refuses_sides_that_are_no_multiples_of_32() -> None:
    with pytest.raises(InputError, match="images of 48 pixels; multiples of 32 are accepted"):
        set_up(hills(size=48))


def run(folder: Path, loader: Any = None, spec: Pretrain = SPEC, **options: Any) -> dict[str, float]:
    loaders = [loader or hills()]
    return run_pretrain(spec, loaders, folder, **options)


def test_pretraining_leaves_weights_history_and_figures(tmp_path: Path) -> None:
    found = run(tmp_path)
    names = {"val_mse", "val_mse_swapped", "val_mse_identity", "val_mse_identity_swapped"}
    assert set(found) == {"steps", "best_step", "images_seen", "steps_to_95"} | names
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert found["val_mse"] == min(row["val_mse"] for row in history)
    assert len({row["val_mse_identity"] for row in history}) == 1
    (best,) = (row for row in history if row["step"] == found["best_step"])
    assert {name: found[name] for name in names} == {name: best[name] for name in names}


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
    assert watched.read
    assert watched.read <= set(range(16))


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


@pytest.mark.parametrize("architecture", ["classifier", "unet"])
def test_encoder_fits_the_classifier_and_every_segmenter(tmp_path: Path, architecture: str) -> None:
    run(tmp_path, spec=replace(SPEC, architecture=architecture))
    state = load(tmp_path / "out" / "best.safetensors")
    for target in (
        build_classifier("shufflenet_v2", 3),
        *(build_segmenter(name, "shufflenet_v2", 3) for name in ARCHITECTURES),
    ):
        transfer_encoder(target, state)
        own = encoder_state(target.state_dict())
        assert all(torch.equal(own[name], tensor) for name, tensor in encoder_state(state).items())


def test_context_learns_more_than_leaving_the_image_as_it_is() -> None:
    loader = hills(train=32)
    protocol = replace(SHORT, learning_rate=2e-3, batch_size=8, max_steps=50, evaluate_every=50)
    setup = set_up(loader, backbone="resnet18", protocol=protocol)
    (row,) = fit(setup, protocol, 0).history
    assert row["val_mse_swapped"] < 0.8 * row["val_mse_identity_swapped"]
    images = normalise(torch.from_numpy(loader.arrays.images[setup.val_rows]))
    mean = normalise(torch.from_numpy(loader.arrays.images[setup.train_rows])).mean(0)
    assert row["val_mse"] < 1.5 * ((images - mean) ** 2).mean()  # about as good as the mean image, or better
