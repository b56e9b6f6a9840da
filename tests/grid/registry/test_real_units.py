"""What units write as they are run is accepted of another laboratory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memory_inputs import MemoryInputs, job_in
from training_sets import findings, shades, squares

from grid.registry.artifacts import SHARED, check
from medpt import phantom
from medpt.data import open_dataset
from medpt.models.weights import random_weights
from medpt.protocol import TrainingProtocol
from medpt.specs import (
    HANDCRAFTED,
    NO_NETWORK,
    Coordinates,
    Filters,
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
from medpt.units.base import Job, run_unit

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
    "filters": lambda _: (Filters("source", "w", "resnet18"), MemoryInputs(**NETWORKS)),
    "coordinates": lambda _: (Coordinates("Toy", "data", options=SMALL), CLASSES),
}


@pytest.mark.parametrize("name", UNITS)
def test_files_of_real_units_are_accepted(name: str, tmp_path: Path) -> None:
    spec, inputs = UNITS[name](tmp_path)
    job: Job = job_in(tmp_path, keeps_network=False)
    job.folder.mkdir()
    run_unit(spec, inputs, job)
    shared = [path for path in job.folder.iterdir() if path.name in SHARED[spec.kind]]
    assert shared
    for path in shared:
        check(path.name, path.read_bytes())
