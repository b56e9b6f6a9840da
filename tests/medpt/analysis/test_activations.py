from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medpt.analysis import activations, svcca
from medpt.analysis.activations import convolutions, first_filters, layer_similarities, read_encoder, settle
from medpt.data.augment import normalise
from medpt.errors import InputError
from medpt.identity import stream_seed
from medpt.models import weights
from medpt.models.encoders import Encoder
from medpt.models.registry import build_encoder

RESNET18 = [
    "conv1",
    *(f"layer{stage}.{block}.conv{n}" for stage in (1, 2, 3, 4) for block in (0, 1) for n in (1, 2)),
    "pooled",
]


def network(seed: int, backbone: str = "resnet18") -> Encoder:
    torch.manual_seed(seed)
    return build_encoder(backbone)


def smooth(n: int, side: int = 32, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (n, side // 4, side // 4, 3)).astype(np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


def whole_layer(encoder: Encoder, layer: str, images: np.ndarray) -> np.ndarray:
    """All positions of a layer's output as rows (N · h · w, C)."""
    kept = []
    module = encoder.get_submodule(layer)
    handle = module.register_forward_hook(lambda m, i, output: kept.append(output))
    with torch.no_grad():
        encoder(normalise(torch.from_numpy(images)))
    handle.remove()
    return kept[0].permute(0, 2, 3, 1).flatten(0, 2).numpy()


def test_resnet18_has_the_18_points_of_the_figure() -> None:
    found = layer_similarities(network(0), network(1), smooth(6))
    assert [point.layer for point in found] == RESNET18
    assert [point.p for point in found] == [64] * 5 + [128] * 4 + [256] * 4 + [512] * 5
    assert found[0].n == 6 * 16 * 16
    assert found[-1].n == 6


@pytest.mark.parametrize(("backbone", "points"), [("shufflenet_v2", 57), ("densenet121", 121)])
def test_other_backbones_have_all_their_convolutions(backbone: str, points: int) -> None:
    encoder = network(0, backbone)
    names = [name for name, _ in convolutions(encoder)]
    found = activations.sampled(
        encoder.eval(), torch.randn(2, 3, 32, 32), activations._Sampling(2, seed=0, start=0)
    )
    assert list(found) == [*names, "pooled"]
    assert len(found) == points


def mixed(images: np.ndarray) -> np.ndarray:
    """The images in the order in which they set the statistics of the untrained network, of seed 0."""
    return images[np.random.default_rng(stream_seed(0, "svcca settle")).permutation(len(images))]


def test_network_is_itself() -> None:
    """`before` gets statistics of its own; with those of the images in `after` as well, they are one
    network.
    """
    encoder, images = network(0), smooth(40)
    settled = network(0)
    settle(settled, mixed(images))
    found = layer_similarities(encoder, settled, images)
    assert all(point.similarity == pytest.approx(1, abs=1e-6) for point in found[:5])
    assert all(point.weights == pytest.approx(1) for point in found[:-1])
    others = layer_similarities(encoder, network(1), images)
    weights_of = [dict(network(seed).named_parameters())["layer2.0.conv1.weight"] for seed in (0, 1)]
    pair = [weight.detach().numpy().ravel() for weight in weights_of]
    assert others[5].weights == pytest.approx(np.corrcoef(*pair)[0, 1], abs=1e-6)
    assert np.isnan(others[-1].weights)
    assert all(point.similarity < 0.99 for point in others[1:5])


def test_layer_similarities_of_all_positions_equal_svcca_of_complete_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """40 images of 16 × 16 positions are fewer than 20,000 rows, so that none is excluded."""
    monkeypatch.setattr(activations, "BATCH", 16)
    before, after, images = network(0), network(1), smooth(40)
    settle(after, smooth(40, seed=5))
    found = {point.layer: point for point in layer_similarities(before, after, images)}
    settle(before, mixed(images))
    for layer in ("conv1", "layer1.0.conv2", "layer2.1.conv1"):
        expected = svcca(whole_layer(before, layer, images), whole_layer(after, layer, images))
        assert found[layer].similarity == pytest.approx(expected.mean(), abs=1e-4)
        assert found[layer].n == len(whole_layer(before, layer, images))


def test_positions_are_the_same_in_both_and_no_more_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one position an image, another draw in the second network would destroy the agreement."""
    monkeypatch.setattr(activations, "ROWS", 150)
    monkeypatch.setattr(activations, "ROWS_A_CHANNEL", 1)
    encoder, images = network(0), smooth(150)
    settled = network(0)
    settle(settled, mixed(images))
    first = layer_similarities(encoder, settled, images)[0]
    assert (first.layer, first.n) == ("conv1", 150)
    assert first.similarity == pytest.approx(1, abs=1e-6)
    maps = torch.arange(2 * 64.0).reshape(2, 1, 8, 8)
    rows = activations._Sampling(images=15, seed=0, start=0)("conv1", maps)
    assert rows.shape == (20, 1)
    assert len(rows.unique()) == 20
    assert not torch.equal(rows, activations._Sampling(images=15, seed=1, start=0)("conv1", maps))


def test_networks_stay_as_they_were() -> None:
    before, after, images = network(0), network(1), smooth(4)
    state = {k: v.clone() for k, v in before.state_dict().items()}
    layer_similarities(before, after, images)
    assert all(torch.equal(v, state[k]) for k, v in before.state_dict().items())
    assert before.training
    assert not any(module._forward_hooks for module in after.modules())


def test_statistics_of_the_untrained_network_come_from_mixed_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of one dataset follow each other; the first ones alone are no sample of all."""
    seen: list[np.ndarray] = []
    monkeypatch.setattr(activations, "STATISTICS_IMAGES", 6)
    monkeypatch.setattr(activations, "settle", lambda network, images, normalisation: seen.append(images))
    images = np.repeat(np.arange(2, dtype=np.uint8) * 200, 20)[:, None, None, None] + smooth(40) // 8
    layer_similarities(network(0), network(1), images)
    assert sorted({int(image.mean() > 100) for image in seen[0]}) == [0, 1]
    assert len(seen[0]) == 6


def test_settle_averages_statistics_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "BATCH", 5)
    layer, images = nn.Sequential(nn.BatchNorm2d(3)), smooth(10)
    settle(layer, images)
    halves = [normalise(torch.from_numpy(part)) for part in (images[:5], images[5:])]
    expected = sum(half.mean((0, 2, 3)) for half in halves) / 2
    torch.testing.assert_close(layer[0].running_mean, expected)
    assert layer[0].momentum == 0.1
    assert not layer.training


def test_weights_are_read_whatever_stands_on_the_encoder(tmp_path: Path) -> None:
    encoder = network(0, "shufflenet_v2")
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()} | {"logits.weight": torch.zeros(2)}
    weights.save(tmp_path / "best.safetensors", state)
    backbone, found = read_encoder(tmp_path / "best.safetensors")
    assert backbone == "shufflenet_v2"
    assert all(torch.equal(v, encoder.state_dict()[k]) for k, v in found.state_dict().items())
    assert first_filters(found).shape == (24, 3, 3, 3)
    weights.save(tmp_path / "other.safetensors", {"encoder.a": torch.zeros(2)})
    with pytest.raises(InputError, match="its encoder is not one of resnet18, shufflenet_v2, densenet121"):
        read_encoder(tmp_path / "other.safetensors")


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="two or more uint8 images"):
        layer_similarities(network(0), network(1), smooth(1))
    with pytest.raises(InputError, match="differ in layers"):
        layer_similarities(network(0), network(1, "shufflenet_v2"), smooth(4))
