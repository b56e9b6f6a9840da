"""A fine-tuned network that was kept computes what its fine-tuning tested."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from memory_inputs import MemoryInputs, job_in
from training_sets import findings, shades, squares

from medpt.data.arrays import ArrayLoader
from medpt.errors import InputError
from medpt.files import read_json, write_json
from medpt.models import weights
from medpt.normalisation import Normalisation
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune
from medpt.tasks.classify import scores
from medpt.tasks.segment import predictions
from medpt.train import evaluation_batches
from medpt.trained_network import (
    FACTS,
    WEIGHTS,
    NetworkFacts,
    TrainedNetwork,
    class_masks,
    image_probabilities,
    load_network,
)
from medpt.units import finetune

SHORT = TrainingProtocol(batch_size=4, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2)
SPEC = Finetune("random", None, "Toy", "digest", "shufflenet_v2", "classifier", protocol=SHORT)


def tuned(folder: Path, spec: Finetune, data: ArrayLoader) -> TrainedNetwork:
    finetune.run(spec, MemoryInputs({spec.data: data}), job_in(folder))
    return load_network(spec, folder / "out")


def batches(network: TrainedNetwork, data: ArrayLoader) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rows = data.index.rows("test")
    return list(evaluation_batches(data, rows, torch.device("cpu"), network.normalisation))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"normalisation": Normalisation((0.5,) * 3, (0.5,) * 3)},
        {"protocol": replace(SHORT, precision="bf16")},
    ],
)
def test_kept_classifier_gives_the_scores_of_its_test(tmp_path: Path, changed: dict[str, object]) -> None:
    data = shades(train=15, test=7)
    network = tuned(tmp_path, replace(SPEC, **changed), data)  # type: ignore[arg-type]
    with np.load(tmp_path / "out" / "scores.npz") as saved:
        np.testing.assert_array_equal(scores(network.model, batches(network, data))[0], saved["scores"])
    assert network.facts == NetworkFacts("Toy", "classification", "fundus", ("a", "b"), 32)


@pytest.mark.parametrize("architecture", ["unet", "etnet"])
def test_kept_segmenter_gives_the_masks_of_its_test(tmp_path: Path, architecture: str) -> None:
    data = squares(train=10, test=4, size=64)
    spec = replace(SPEC, architecture=architecture, protocol=replace(SHORT, max_steps=2))
    network = tuned(tmp_path, spec, data)
    with np.load(tmp_path / "out" / "predictions.npz") as saved:
        ids, masks = (
            data.index.ids[data.index.rows("test")],
            predictions(network.model, batches(network, data)),
        )
        found = dict(zip(ids, masks, strict=True))
        for name, prediction in zip(saved["ids"], saved["prediction"], strict=True):
            np.testing.assert_array_equal(found[name], prediction)


def test_findings_have_probabilities_of_their_own(tmp_path: Path) -> None:
    data = findings()
    network = tuned(tmp_path, SPEC, data)
    rows = data.index.rows("test")
    found = image_probabilities([network], data.arrays.images[rows])
    with np.load(tmp_path / "out" / "scores.npz") as saved:
        np.testing.assert_array_equal(found, saved["scores"])
    assert not np.allclose(found.sum(1), 1)


def test_several_networks_are_averaged(tmp_path: Path) -> None:
    data = squares(train=10, test=4, size=64)
    spec = replace(SPEC, architecture="unet", protocol=replace(SHORT, max_steps=2))
    networks = [tuned(tmp_path / str(seed), replace(spec, seed=seed), data) for seed in (0, 1)]
    images = data.arrays.images[-2:]
    mean = (networks[0].logits(images).softmax(1) + networks[1].logits(images).softmax(1)) / 2
    np.testing.assert_array_equal(class_masks(networks, images), mean.argmax(1).numpy())


def test_network_is_not_kept_where_the_job_is_reported(tmp_path: Path) -> None:
    job = job_in(tmp_path, keeps_network=False)
    finetune.run(SPEC, MemoryInputs({SPEC.data: shades(train=15)}), job)
    assert not {FACTS, WEIGHTS} & {path.name for path in job.folder.iterdir()}


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    tuned(tmp_path, SPEC, shades(train=15))
    with pytest.raises(InputError, match="missing tensor encoder"):
        load_network(replace(SPEC, backbone="resnet18"), tmp_path / "out")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    network = tuned(tmp_path, SPEC, shades(train=15))
    state = network.model.state_dict()
    state["logits.bias"] = torch.full_like(state["logits.bias"], value)
    weights.save(tmp_path / "out" / WEIGHTS, state)
    with pytest.raises(InputError, match=f"{WEIGHTS}: logits.bias is not finite"):
        load_network(SPEC, tmp_path / "out")


@pytest.mark.parametrize("changed", [{"task": "nope"}, {"classes": [1, 2]}, {"classes": None}, {"more": 1}])
def test_damaged_facts_are_refused(changed: dict[str, object], tmp_path: Path) -> None:
    tuned(tmp_path, SPEC, shades(train=15))
    path = tmp_path / "out" / FACTS
    write_json(path, read_json(path) | changed)
    with pytest.raises(InputError, match="has no facts of a network"):
        load_network(SPEC, tmp_path / "out")
