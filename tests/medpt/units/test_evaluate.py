"""The unit `evaluate`: tested as its fine-tuning was, on other images, and under classes in another order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import shades, squares

from medpt.data.arrays import ArrayLoader
from medpt.data.corruptions import Corruption
from medpt.errors import InputError
from medpt.protocol import TrainingProtocol
from medpt.specs import Evaluate, Finetune
from medpt.trained_network import TrainedNetwork, load_network
from medpt.units import evaluate, finetune

SHORT = TrainingProtocol(batch_size=4, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2)
SPEC = Finetune("random", None, "Toy", "digest", "shufflenet_v2", "classifier", protocol=SHORT)
TRAINED = ("steps", "best_step", "steps_to_95", "dense_steps_to_95", "val_auc", "val_miou")


def tuned(folder: Path, spec: Finetune, data: ArrayLoader) -> tuple[TrainedNetwork, dict[str, float]]:
    metrics = finetune.run(spec, MemoryInputs({spec.data: data}), job_in(folder))
    return load_network(spec, folder / "out"), {k: v for k, v in metrics.items() if k not in TRAINED}


def evaluated(folder: Path, network: TrainedNetwork, data: ArrayLoader, spec: Evaluate) -> dict[str, float]:
    inputs = MemoryInputs({spec.data: data}, networks={spec.network: network})
    return evaluate.run(spec, inputs, job_in(folder / "elsewhere"))


def as_external(data: ArrayLoader) -> ArrayLoader:
    """The test images alone, as data in which no image is a test image."""
    index, rows = data.index, data.index.rows("test")
    names = ("ids", "splits", "groups", "labels", *(["pixels"] if index.pixels is not None else []))
    part = replace(index, **{name: getattr(index, name)[rows] for name in names})
    part = replace(part, splits=np.full(len(rows), "train"))
    images, targets = data.arrays.images[rows], data.arrays.targets[rows]
    return ArrayLoader(replace(data.arrays, index=part, images=images, targets=targets))


@pytest.mark.parametrize(("architecture", "data"), [("classifier", shades(15, 7)), ("unet", squares(10, 4))])
def test_external_set_of_the_same_images_has_the_same_metrics(
    tmp_path: Path, architecture: str, data: ArrayLoader
) -> None:
    network, own = tuned(tmp_path, replace(SPEC, architecture=architecture), data)
    spec = Evaluate("network", "Other", "other", target_data="digest")
    assert evaluated(tmp_path, network, as_external(data), spec) == own
    with np.load(tmp_path / "out" / "items.npz") as one, np.load(tmp_path / "elsewhere/out/items.npz") as two:
        assert one.files == two.files
        assert all(np.array_equal(one[name], two[name]) for name in one.files)


def test_classes_in_another_order_give_the_same_metrics(tmp_path: Path) -> None:
    data = shades(train=15, test=7)
    network, own = tuned(tmp_path, SPEC, data)
    other = as_external(data)
    labels = 1 - other.index.labels
    index = replace(other.index, classes=("b", "a"), labels=labels)
    swapped = ArrayLoader(replace(other.arrays, index=index, targets=labels))
    assert evaluated(tmp_path, network, swapped, Evaluate("network", "Other", "other")) == own


def test_other_classes_are_refused_with_both_lists(tmp_path: Path) -> None:
    network, _ = tuned(tmp_path, SPEC, shades(train=15))
    other = shades(train=6, classes=3)
    with pytest.raises(InputError, match=r"has the classes a, b, c; the network was fine-tuned on a, b"):
        evaluated(tmp_path, network, other, Evaluate("network", "Other", "other"))


def test_corrupted_copy_is_that_of_the_test_images(tmp_path: Path) -> None:
    """Compared with the same network on images that were corrupted one by one beforehand."""
    data = shades(train=15, test=7)
    network, _ = tuned(tmp_path, SPEC, data)
    corruption = Corruption("noise", 3)
    found = evaluated(
        tmp_path, network, data, Evaluate("network", "Toy", "digest", corruption="noise", strength=3)
    )
    changed = data.arrays.images.copy()
    for row in data.index.rows("test").tolist():
        changed[row] = corruption.apply(changed[row], row)
    spoiled = as_external(ArrayLoader(replace(data.arrays, images=changed)))
    wanted = evaluated(tmp_path / "by hand", network, spoiled, Evaluate("network", "Toy", "other"))
    assert found == wanted
