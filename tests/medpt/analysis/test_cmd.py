from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from medpt.analysis import average_cmd, cmd, coordinates
from medpt.analysis.cmd import PAPER_SCALES, cmv, subset_means
from medpt.analysis.distances import (
    controls,
    distances,
    grey_world,
    mean_colour,
    nearest_agreement,
    rank_correlation,
)
from medpt.analysis.projection import Projection, linear_network
from medpt.analysis.settings import DEFAULTS, INITS, Settings
from medpt.errors import InputError
from medpt.models.registry import build_encoder

SMALL = replace(DEFAULTS, n=5, t=12, seeds=1)


def noise(seed: int, mean: float = 128, n: int = 12, side: int = 32) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(mean, 30, (n, side, side, 3))
    return np.clip(drawn, 0, 255).astype(np.uint8)


def layer_by_layer(settings: Settings, init: str, seed: int, images: np.ndarray) -> np.ndarray:
    """F from torchvision's own network in float64, stripped here, with the projection's weights."""
    ours = Projection(settings, init, seed, images.shape[1:3])
    encoder = build_encoder(settings.network).eval()
    parameters = iter(ours.network.parameters())
    for module in list(encoder.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU | nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d) and settings.maxpool == "avg":
                setattr(module, name, nn.AvgPool2d(3, 2, 1))
    for weight in encoder.parameters():
        weight.data = next(parameters).data
    x = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255)
    with torch.no_grad():
        features = encoder.double()(x)[-1].mean(dim=(2, 3))
        head = next(parameters, None)
        return (features[:, :2] if head is None else features @ head.double().T).numpy()


@pytest.mark.parametrize(
    ("init", "changes"),
    [
        ("kaiming", {}),
        ("orthogonal", {"maxpool": "avg"}),
        ("xavier", {"head": "first"}),
        ("xavier", {"network": "densenet121"}),
        ("kaiming", {"network": "shufflenet_v2"}),
    ],
)
def test_short_way_is_the_network(init: str, changes: dict) -> None:
    chosen, images = replace(SMALL, **changes), noise(0, n=3, side=40)
    fast = Projection(chosen, init, 1, (40, 40))(images)
    slow = layer_by_layer(chosen, init, 1, images)
    assert fast.shape == (3, 2)
    np.testing.assert_allclose(fast, slow, rtol=2e-4, atol=2e-5 * np.abs(slow).max())


def test_coordinates_are_means_over_subsets_of_the_network() -> None:
    images = noise(0)
    values = layer_by_layer(SMALL, "xavier", 2, images)
    points = coordinates(images, "xavier", 2, SMALL)
    np.testing.assert_allclose(points, subset_means(values, 2, SMALL), rtol=2e-4)
    assert points.shape == (12, 2)


def test_subsets_hold_different_rows_and_at_most_half() -> None:
    """Each row marks a column of its own, so that a mean shows which rows it took."""
    for images, n in ((12, 5), (40, 5), (7, 3), (2, 1)):
        means = subset_means(np.eye(images), 0, SMALL)
        assert means.shape == (12, images)
        np.testing.assert_allclose(np.sort(means, axis=1)[:, -n:], 1 / n)
        assert np.count_nonzero(means) == 12 * n
    assert len(np.unique(subset_means(np.eye(40), 0, SMALL), axis=0)) == 12


@pytest.mark.parametrize("maxpool", ["max", "avg"])
def test_brightness_scales_the_projection(maxpool: str) -> None:
    """F(cx) = cF(x) for c > 0."""
    network = Projection(replace(SMALL, maxpool=maxpool), "orthogonal", 0, (32, 32))
    images = noise(0, mean=40, n=4) // 4
    np.testing.assert_allclose(network(images * 4), 4 * network(images), rtol=1e-4, atol=1e-6)


def test_average_pool_makes_a_point_the_projection_of_the_mean_image() -> None:
    images, chosen = noise(0) // 12 * 12, replace(SMALL, maxpool="avg")
    network = Projection(chosen, "kaiming", 0, (32, 32))
    mean = images.mean(0, keepdims=True)
    assert np.array_equal(mean, np.rint(mean))
    np.testing.assert_allclose(network(images).mean(0), network(mean.astype(np.uint8))[0], rtol=1e-3)


def test_maxpool_does_not() -> None:
    images = noise(0) // 12 * 12
    network = Projection(SMALL, "kaiming", 0, (32, 32))
    assert not np.allclose(
        network(images).mean(0), network(images.mean(0, keepdims=True).astype(np.uint8)), 0.02
    )


def test_seeds_decide_and_the_generator_of_others_is_left_alone() -> None:
    images = noise(0)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = coordinates(images, "kaiming", 3, SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert np.array_equal(coordinates(images, "kaiming", 3, SMALL), first)
    assert not np.allclose(coordinates(images, "kaiming", 4, SMALL), first)


def test_network_has_no_bias_and_no_norm() -> None:
    for name in ("resnet18", "shufflenet_v2", "densenet121"):
        network = linear_network(replace(SMALL, network=name))
        kinds = {type(module).__name__ for module in network.modules()}
        assert not kinds & {"ReLU", "BatchNorm2d", "Dropout"}
        assert all(parameter.ndim > 1 for parameter in network.parameters())


@pytest.mark.parametrize(
    ("init", "gain", "fan"), [("kaiming", 2.0, "in"), ("xavier", 2.0, "both"), ("orthogonal", 1.0, "out")]
)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_weights_have_the_scale_of_their_init(init: str, gain: float, fan: str, distribution: str) -> None:
    chosen = replace(SMALL, distribution=distribution)
    weight = dict(Projection(chosen, init, 0, (32, 32)).network.named_parameters())["layer2.0.conv1.weight"]
    out, inner = 128, 64 * 9
    expected = gain / {"in": inner, "both": inner + out * 9, "out": inner}[fan]
    assert float(weight.var()) == pytest.approx(expected, rel=0.02)
    if init == "orthogonal":
        np.testing.assert_allclose(weight.flatten(1) @ weight.flatten(1).T, np.eye(128), atol=1e-5)


def test_spread_between_inits_is_that_of_the_paper() -> None:
    """analysis.md, section 2.2: Kaiming over Xavier 194-316 and orthogonal over Xavier 2.4-2.8 (277.6,
    1.96).
    """
    images = noise(0, n=24)
    intra = {}
    for init in INITS:
        clouds = [coordinates(images, init, seed, SMALL) for seed in range(4)]
        intra[init] = np.median([cmd(cloud, cloud) for cloud in clouds])
    assert 100 < intra["kaiming"] / intra["xavier"] < 500
    assert 1.5 < intra["orthogonal"] / intra["xavier"] < 4


def slow_cmd(a: np.ndarray, b: np.ndarray, same: bool) -> float:
    pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
    return sum(np.hypot(*(a[i] - b[j])) for i, j in pairs) / len(pairs)


points = hnp.arrays(
    np.float64, st.tuples(st.integers(2, 6), st.just(2)), elements=st.integers(-400, 400).map(lambda k: k / 8)
)


@given(points, points)
@settings(max_examples=50, deadline=None)
def test_cmd_is_the_mean_over_pairs(a: np.ndarray, b: np.ndarray) -> None:
    assert cmd(a, b) == pytest.approx(slow_cmd(a, b, np.array_equal(a, b)), abs=1e-9)
    assert cmd(a, a) == pytest.approx(slow_cmd(a, a, True), abs=1e-9)
    assert cmd(a, a, self_pairs=True) == pytest.approx(slow_cmd(a, a, False), abs=1e-9)
    assert cmd(a, b) == pytest.approx(cmd(b, a))
    assert cmd(a + 3, b + 3) == pytest.approx(cmd(a, b), abs=1e-9)


def test_coordinates_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="accepted: real numbers"):
        cmd(np.array([["a", "b"]]), np.zeros((1, 2)))
    assert cmd(np.zeros((1, 2), np.uint8), np.array([[3, 4]], np.uint8)) == 5


def test_average_cmd_divides_each_init_by_its_epsilon() -> None:
    per_init = {"kaiming": 9.0, "xavier": 0.04}
    scales = {"kaiming": 4.5, "xavier": 0.01, "orthogonal": 1.0}
    assert average_cmd(per_init, scales) == pytest.approx((2 + 4) / 2)
    assert average_cmd(per_init, scales, "multiply") == pytest.approx((40.5 + 0.0004) / 2)
    matrices = {init: np.full((2, 2), value) for init, value in per_init.items()}
    np.testing.assert_allclose(average_cmd(matrices, scales), np.full((2, 2), 3))
    assert average_cmd(PAPER_SCALES, PAPER_SCALES) == pytest.approx(1)
    with pytest.raises(InputError, match="epsilon of kaiming: None"):
        average_cmd(per_init, {"xavier": 1.0})


@pytest.fixture(scope="module")
def three() -> dict[str, np.ndarray]:
    """Two sets of nearly one brightness, and one apart; one of them by the name of a reference."""
    return {"dark": noise(1, 60), "darker": noise(2, 40), "ADE20K": noise(3, 190)}


@pytest.mark.parametrize("head", ["linear", "first", "pca"])
def test_dataset_is_nearer_to_itself_than_to_others(three: dict[str, np.ndarray], head: str) -> None:
    found = distances(three, replace(SMALL, head=head))
    for matrix in (*found.per_init.values(), found.average):
        np.testing.assert_allclose(matrix, matrix.T)
        off = matrix[~np.eye(3, dtype=bool)].reshape(3, 2)
        assert (matrix.diagonal() < off.min(1)).all()
    assert found.nearest() == ("darker", "dark", "dark")


def test_reference_is_at_1_from_itself(three: dict[str, np.ndarray]) -> None:
    chosen = replace(SMALL, seeds=2)
    found = distances(three, chosen)
    assert found.reference == "ADE20K"
    assert found.average[2, 2] == pytest.approx(1)
    assert found.scales == {init: found.per_init[init][2, 2] for init in INITS}
    assert found.coordinates["xavier"].shape == (2, 3, 12, 2)
    clouds = [cmv(three, "xavier", seed, chosen) for seed in range(2)]
    assert found.per_init["xavier"][0, 2] == pytest.approx(
        np.mean([cmd(c["dark"], c["ADE20K"]) for c in clouds])
    )
    with_papers = distances(three, replace(chosen, paper_scales=True))
    expected = np.mean([found.per_init[init] / PAPER_SCALES[init] for init in INITS], axis=0)
    np.testing.assert_allclose(with_papers.average, expected)
    assert distances({k: three[k] for k in ("dark", "darker")}, SMALL).reference == "dark"


def test_controls_stand_beside_it(three: dict[str, np.ndarray]) -> None:
    found = distances(three, replace(SMALL, inits=("kaiming",)))
    beside = controls(three, found)
    assert list(beside) == ["mean colour", "average pool", "grey world"]
    averages = {name: images.mean() / 255 for name, images in three.items()}
    expected = np.sqrt(3) * (averages["ADE20K"] - averages["dark"])
    assert beside["mean colour"][0, 2] == pytest.approx(expected, rel=0.01)
    assert rank_correlation(found.average, beside["mean colour"]) == pytest.approx(1)
    assert nearest_agreement(found.average, beside["average pool"]) == 1
    assert np.allclose(mean_colour(three, SMALL), beside["mean colour"])


def test_grey_world_takes_the_cast_out() -> None:
    images = (noise(0, 100) * np.array([1.0, 0.5, 0.25])).astype(np.uint8)
    neutral = grey_world(images).mean(axis=(1, 2))
    np.testing.assert_allclose(
        neutral, np.broadcast_to(images.mean(axis=(1, 2, 3))[:, None], (12, 3)), rtol=0.01
    )
    assert np.array_equal(grey_world(images[..., :1].repeat(3, 3)), images[..., :1].repeat(3, 3))
    assert not grey_world(np.zeros((2, 4, 4, 3), np.uint8)).any()


def test_ranks_are_compared_over_pairs() -> None:
    a = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], float)
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(rank_correlation(a[:2, :2], a[:2, :2]))


def test_cmd_refuses_bad_images_and_settings_in_one_pass() -> None:
    with pytest.raises(InputError) as caught:
        distances({"a": noise(0), "b": noise(0, side=40), "c": noise(0)[:1], "d": noise(0) / 2}, SMALL)  # type: ignore[dict-item]
    assert [line[0] for line in caught.value.problems] == ["b", "c", "d"]
    with pytest.raises(InputError) as caught:
        Settings(network="vgg", maxpool="min", t=1, inits=("he",))  # type: ignore[arg-type]
    assert [line.split(":")[0] for line in caught.value.problems] == ["network", "maxpool", "t", "inits"]
    with pytest.raises(InputError, match="did you mean kaiming"):
        coordinates(noise(0), "kaming", 0)
    with pytest.raises(InputError, match="head: 'pca'"):
        coordinates(noise(0), "kaiming", 0, replace(SMALL, head="pca"))
    with pytest.raises(InputError, match="1 dataset; two or more"):
        distances({"a": noise(0)}, SMALL)
