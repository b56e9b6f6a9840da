"""The units that train nothing: what they write is what the functions of medpt.analysis give."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import training_sets

from medpt.analysis import cmd
from medpt.analysis.cmd import Settings, cmv
from medpt.errors import InputError
from medpt.specs import Coordinates, Filters, Svcca
from medpt.units import svcca

SMALL = {"n": 3, "t": 4, "seeds": 2}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def test_coordinates_are_those_of_the_training_images(tmp_path: Path) -> None:
    feed, settings = training_sets.shades(), Settings(**SMALL)
    metrics = svcca.run_coordinates(Coordinates("Toy", "d", options=SMALL), feed, tmp_path)
    found = arrays(tmp_path / svcca.COORDINATES)
    images = np.concatenate([part.numpy() for part, _ in feed.scan(feed.index.rows("train"), 64)])
    assert found["images"] == len(images) == 12
    for seed in range(2):
        np.testing.assert_allclose(found["xavier"][seed], cmv({"": images}, "xavier", seed, settings)[""])
    pooled = cmv({"": images}, "xavier", 1, replace(settings, maxpool="avg"))[""]
    np.testing.assert_allclose(found["average pool|xavier"][1], pooled)
    assert found["mean colour"].shape == (2, 4, 3)
    own = np.mean([cmd(cloud, cloud) for cloud in found["kaiming"]])
    assert metrics["cmd_kaiming"] == pytest.approx(own)


def test_more_images_than_asked_for_are_drawn_by_the_dataset_s_name() -> None:
    feed = training_sets.shades(train=12)
    some, same, other = (svcca.sampled(feed, 5, name) for name in ("a", "a", "b"))
    assert len(some) == 5
    assert np.array_equal(some, same)
    assert not np.array_equal(some, other)


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"subsets": 4}, "options subsets; accepted: network"), ({"head": "pca"}, "linear is accepted")],
)
def test_options_that_a_unit_cannot_have_are_refused(options: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        svcca.settings_of(Coordinates("Toy", "d", options=options))


def test_svcca_sees_a_layer_that_changed_and_one_that_did_not(tmp_path: Path) -> None:
    before = svcca.random_weights("resnet18", seed=0)
    after = {name: tensor.clone() for name, tensor in before.items()}
    changed = "encoder.layer4.1.conv2.weight"
    after[changed] = torch.randn(after[changed].shape, generator=torch.Generator().manual_seed(1)) * 0.02
    spec = Svcca("source", "w", "resnet18", ("a", "b"), images=16)
    feeds = [training_sets.shades(size=64), training_sets.squares(size=64)]
    metrics = svcca.run_svcca(spec, feeds, before, after, tmp_path)
    found = arrays(tmp_path / svcca.SIMILARITY)
    assert found["layers"][0] == "conv1"
    assert found["similarity"][0] == pytest.approx(1, abs=1e-6)
    place = list(found["layers"]).index("layer4.1.conv2")
    assert found["weights"][place] < 0.1 < 0.99 < found["weights"][0]
    assert {len(column) for column in found.values()} == {18}
    assert metrics["probe_images"] == 16


def test_filters_are_counted_before_and_after(tmp_path: Path) -> None:
    before = svcca.random_weights("resnet18", seed=0)
    after = {name: tensor.clone() for name, tensor in before.items()}
    axis = torch.arange(7) - 3.0
    wave = torch.cos(2 * torch.pi * axis / 4) * torch.exp(-(axis**2) / 8)
    after["encoder.conv1.weight"][:32] = wave * torch.exp(-(axis[:, None] ** 2) / 8)
    metrics = svcca.run_filters(Filters("source", "w", "resnet18"), before, after, tmp_path)
    found = arrays(tmp_path / svcca.FILTERS)
    assert found["after gabor"][:32].all()
    assert metrics["gabor_fraction_after"] >= 0.5 > metrics["gabor_fraction_before"]
    assert found["after panel"].dtype == np.uint8
    assert np.array_equal(found["before"], before["encoder.conv1.weight"].double().numpy())


def test_random_weights_are_of_their_seed() -> None:
    one, same, other = (svcca.random_weights("resnet18", seed) for seed in (0, 0, 1))
    name = "encoder.conv1.weight"
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])
