"""What units write as they are run is accepted of another laboratory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import findings, shades, squares

from grid.registry.artifacts import SHARED, read
from grid.registry.documents import record_problems
from medpt import phantom
from medpt.data import open_dataset
from medpt.models.weights import random_weights
from medpt.protocol import TrainingProtocol
from medpt.specs import (
    HANDCRAFTED,
    NO_NETWORK,
    Coordinates,
    Finetune,
    Frozen,
    ImageFree,
    Pretrain,
    Probe,
    Slides,
    Survive,
    Svcca,
    UnitSpec,
)
from medpt.survival import patch_files
from medpt.survival.cohort import open_cohort
from medpt.units.base import Job, Tested, run_unit, stored_metrics

SHORT = TrainingProtocol(
    batch_size=4, patience=9, min_steps=0, max_steps=4, evaluate_every=2, validation_fraction=0.2
)
TUNED = Finetune("random", None, "Toy", "data", "resnet18", "classifier", seed=1, protocol=SHORT)
GRADED = replace(TUNED, metric="kappa", evaluate_by="patient")
UNET = replace(TUNED, architecture="unet", protocol=replace(SHORT, max_steps=2))
FROZEN = Frozen("random", None, "Toy", "data", "features", "resnet18", "linear_probe", metric="macro_auc")
NETWORKS = {"before": random_weights("resnet18", 0), "after": random_weights("resnet18", 1)}
CLASSES = MemoryInputs({"data": shades(train=24, test=9, classes=3)})
FOUND = MemoryInputs({"data": findings()})
MASKS = MemoryInputs({"data": squares(train=9, test=4)})
FEATURES = {"features": np.random.default_rng(0).normal(size=(33, 5)).astype(np.float32)}
SMALL = {"n": 3, "t": 4, "seeds": 2}

Made = tuple[UnitSpec, MemoryInputs]


def cohort_inputs(folder: Path) -> MemoryInputs:
    phantom.write("TCGA-LGG", folder / "lgg", train=30, test=1, size=48)
    dataset = open_dataset("TCGA-LGG", folder / "lgg")
    spec = Slides("TCGA-LGG", "f", {}, {"candidates": 12, "box": 32, "size": 32})
    infos = [patch_files.write(folder, dataset.root, record, spec) for record in patch_files.plan(dataset)]
    patch_files.write_manifest(folder, dataset, spec, infos)
    return MemoryInputs(cohorts={"data": open_cohort(folder, folder / "cache")})


UNITS: dict[str, Callable[[Path], Made]] = {
    "classes": lambda _: (TUNED, CLASSES),
    "grades": lambda _: (GRADED, CLASSES),
    "findings": lambda _: (TUNED, FOUND),
    "masks": lambda _: (UNET, MASKS),
    "frozen": lambda _: (FROZEN, replace(CLASSES, matrices=FEATURES)),
    "pretrain": lambda _: (Pretrain(("Toy",), ("data",), "resnet18", "classifier", protocol=SHORT), CLASSES),
    "collection": lambda _: (
        Pretrain(("A", "B"), ("data", "more"), "resnet18", "classifier", protocol=SHORT),
        MemoryInputs({"data": shades(train=24), "more": shades(train=24, classes=3)}),
    ),
    "jigsaw": lambda _: (
        Pretrain(("Toy",), ("data",), "resnet18", "classifier", "jigsaw", protocol=SHORT),
        MemoryInputs({"data": shades(train=24, size=64)}),
    ),
    "probe": lambda _: (Probe("random", None, "Toy", "data", "resnet18", networks=2), CLASSES),
    "probe of masks": lambda _: (Probe("random", None, "Toy", "data", "resnet18"), MASKS),
    "image_free": lambda _: (ImageFree("Toy", "data"), CLASSES),
    "survive": lambda folder: (
        Survive("cox", NO_NETWORK, None, "TCGA-LGG", "data", None, HANDCRAFTED, 0),
        cohort_inputs(folder),
    ),
    "svcca": lambda _: (
        Svcca("source", "w", "resnet18", ("data",), images=8, fresh=2),
        replace(CLASSES, **NETWORKS),
    ),
    "coordinates": lambda _: (Coordinates("Toy", "data", options=SMALL), CLASSES),
}


UNDETERMINED = {  # by the unit: metrics that none of its files gives
    "masks": {"hd95", "surface_dice"},
    "pretrain": {"images_seen"},
    "collection": {"images_seen"},
    "svcca": {"probe_images"},
    "survive": {"c_index_low", "c_index_high", "c_index_random", "integrated_brier_trivial", "logrank_p"},
}


@pytest.mark.parametrize("name", UNITS)
def test_files_of_real_units_are_accepted_and_give_their_metrics(name: str, tmp_path: Path) -> None:
    spec, inputs = UNITS[name](tmp_path)
    job: Job = job_in(tmp_path, keeps_network=False)
    job.folder.mkdir()
    metrics = run_unit(spec, inputs, job)
    shared = [path for path in job.folder.iterdir() if path.name in SHARED[spec.kind]]
    assert shared
    files = {path.name: read(path.name, path.read_bytes()) for path in shared}
    assert record_problems(files.get("record.json", {"train_images": 0, "val_images": 0})) == []
    classes = inputs.loaders["data"].index.classes if inputs.loaders else ()
    found = stored_metrics(spec, files, Tested(classes, getattr(spec, "metric", None) or headline(files)))
    together = {key: value for values in found.values() for key, value in values.items()}
    others = {key for key in metrics.keys() - together.keys() if not key.startswith("fit_")}
    assert others == UNDETERMINED.get(name, set()) or not found
    assert {key: metrics[key] for key in together} == pytest.approx(together, rel=0, abs=1e-12, nan_ok=True)
    assert bool(found) == (name not in ("jigsaw", "image_free"))


def headline(files: dict[str, Any]) -> str:
    return "miou" if "confusions" in files.get("items.npz", {}) else "auc"
