"""A finished space without training: real plan, store, shards and MLflow record around made-up numbers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_paper
import numpy as np

from grid.execution.worker import marker_of
from grid.plan.initialization import space_datasets
from grid.plan.plan import Plan, Unit
from grid.plan.planner import build_plan
from grid.plan.stored_plans import record_start
from grid.space import reader
from grid.store.store import Store
from grid.tracking.background import BackgroundTracker
from grid.tracking.client import default_uri
from medpt.data import image_hash, shards
from medpt.data.catalog import card
from medpt.data.file_facts import UNKNOWN
from medpt.data.manifest import ShardInfo
from medpt.files import sha256, write_json
from medpt.specs import Finetune, ImageFree, Prepare, Pretrain, Probe, UnitSpec

STARTED = 1_760_000_000.0
SIZE = 32

SPACE = """
title: made numbers & <b>sharp</b> names
metrics: paper
size: 32
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
controls: false
experiments:
  - name: classes
    initialization: [random, ISIC2019, ADE20K]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
  - name: masks
    initialization: [random, ISIC2019]
    backbone: [resnet18]
    architecture: [unet, hynet]
    target: [DRIVE]
    seed: [0, 1]
"""

FEW_UNITS = """
title: a few units
size: 32
pretrain: {min_steps: 0, max_steps: 40, evaluate_every: 10}
finetune: {min_steps: 0, max_steps: 30, evaluate_every: 10}
controls: false
experiments:
  - initialization: [random, ISIC2019]
    backbone: [shufflenet_v2]
    target: [ChestXRay2017]
    seed: [0, 1]
"""

SCORES = {"random": 0.70, "ISIC2019": 0.76, "ADE20K": 0.73, "imagenet*": 0.79}


def plan(folder: Path, text: str = SPACE, name: str = "made") -> Plan:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    loaded = reader.load(str(path))
    prints = dict.fromkeys(space_datasets(loaded), "f" * 64)
    weights = dict.fromkeys(("resnet18", "shufflenet_v2", "densenet121"), "e" * 64)
    return build_plan(loaded, prints, weights)


def publish(plan: Plan, out: Path, skip: set[str], failed: dict[str, tuple[str, str]]) -> Store:
    """A store in which every unit is finished but `skip` and `failed` (digest: cause, reason)."""
    store = Store(out)
    store.create()
    record_start(store, plan, Path(f"{plan.space}.yaml"))
    for digest, unit in plan.units.items():
        if digest in failed:
            store.fail(digest, *failed[digest], trace="Traceback")
        elif digest not in skip:
            finish(store, unit)
    return store


def finish(store: Store, unit: Unit) -> None:
    built = store.root / "units" / f"built-{unit.digest[:8]}"
    built.mkdir()
    metrics = write(unit.kind, unit.spec, built)
    marker = replace(marker_of(unit, metrics, STARTED, 1), host="made", ended=STARTED + 12.5)
    store.publish(unit.digest, built, marker)


def write(kind: str, spec: UnitSpec, built: Path) -> dict[str, float]:
    """The artifacts of a unit; its metrics."""
    own: dict[str, Callable[[Any, Path], dict[str, float]]]
    own = {"prepare": prepare, "pretrain": pretrain, "finetune": finetune}
    own |= {"probe": probe, "image_free": image_free}
    writers = own | made_paper.WRITERS
    return writers[kind](spec, built)


def prepare(spec: Prepare, built: Path) -> dict[str, float]:
    import pyarrow as pa

    info = card(spec.dataset)
    info = replace(info, classes=info.classes or tuple(f"scene {number}" for number in range(20)))
    rows = pa.table(columns(info.task, len(info.classes)), schema=shards.schema(SIZE))
    path = shards.shard_path(built, 0)
    shards._write_parquet(rows, path)
    facts = ShardInfo(path.name, rows.num_rows, path.stat().st_size, sha256(path), "made")
    shards.write_manifest(built, info, spec, [facts])
    return {"images": rows.num_rows}


def columns(task: str, classes: int) -> dict[str, list[Any]]:
    count, segments = 30, task == "segmentation"
    pictures = [picture(number) for number in range(count)]
    return {
        "id": [f"image-{number:03d}" for number in range(count)],
        "split": ["test" if number % 3 == 0 else "train" for number in range(count)],
        "group": [f"patient-{number}" for number in range(count)],
        "label": [-1 if segments else number % classes for number in range(count)],
        "file": [UNKNOWN] * count,
        "exact": [image_hash.exact_hash(image) for image, _ in pictures],
        "near": [image_hash.perceptual_hash(image) for image, _ in pictures],
        "image": [image.tobytes() for image, _ in pictures],
        "mask": [mask.tobytes() if segments else None for _, mask in pictures],
        "pixels": [
            np.bincount(m.ravel(), minlength=classes).tolist() if segments else None for _, m in pictures
        ],
    }


def picture(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on a gradient, uint8 (S, S, 3), and its mask (S, S)."""
    y, x = np.mgrid[:SIZE, :SIZE]
    mask = ((x - 8 - number % 16) ** 2 + (y - 12 - number % 7) ** 2 < 36).astype(np.uint8)
    image = np.stack([4 * x + 90 * mask, 3 * y + 60 * mask, 2 * x + y], axis=2)
    return image.astype(np.uint8), mask


def history(metric: str, top: float, steps: int) -> list[dict[str, float]]:
    return [
        {
            "step": step,
            "train_loss": 1 / step,
            f"val_{metric}": top * (1 - 0.5 ** (step / 10)),
            "time": STARTED + step,
        }
        for step in range(10, steps + 1, 10)
    ]


def record(metric: str) -> dict[str, Any]:
    return {
        "weighting": "inverse_frequency",
        "class_weights": [0.6, 3.0],
        "train_images": 18,
        "val_images": 2,
        "parameters": 11_000_000,
    }


def pretrain(spec: Pretrain, built: Path) -> dict[str, float]:
    write_json(built / "history.json", history("auc", 0.8, 40))
    write_json(built / "record.json", record("auc"))
    if spec.guards:
        write_json(built / "leaks.json", {"pairs": []})
    return {"steps": 40.0, "best_step": 40.0, "val_auc": 0.8, "images_seen": 640.0}


def other_score(spec: Finetune) -> float:
    """Between 0.71 and 0.79, by the names of source and target, and a little by the seed."""
    names = (spec.initialization, spec.dataset)
    return (
        0.71 + 0.07 * made_paper.drawn(*names).random() + 0.01 * made_paper.drawn(*names, spec.seed).random()
    )


def finetune(spec: Finetune, built: Path) -> dict[str, float]:
    metric = "auc" if card(spec.dataset).task == "classification" else "miou"
    base = SCORES.get(spec.initialization) or other_score(spec)
    value = base + 0.013 * (spec.seed % 3) - 0.02 * (spec.architecture == "hynet")
    write_json(built / "history.json", history(metric, value, 30))
    write_json(built / "record.json", record(metric))
    metrics = {metric: value, "steps": 30.0, "best_step": 20.0, f"val_{metric}": value, "steps_to_95": 20.0}
    metrics["dense_steps_to_95"] = 14.0
    write_json(built / "early.json", [{"step": 14, f"val_{metric}": 0.96 * value}])
    if metric == "auc":
        return metrics | {"accuracy": value - 0.1, "macro_auc": value}
    pictures = [picture(number) for number in range(4)]
    images, targets = (np.stack(parts) for parts in zip(*pictures, strict=True))
    shifted = np.roll(targets, spec.seed + (3 if spec.initialization == "random" else 1), axis=2)
    np.savez_compressed(
        built / "predictions.npz",
        ids=np.array([f"test-{n}" for n in range(4)]),
        image=images,
        target=targets,
        prediction=shifted,
    )
    return metrics | {
        "foreground_miou": value - 0.2,
        "dice": value - 0.1,
        "image_miou": value,
        "background_miou": 0.4725,
    }


def probe(spec: Probe, built: Path) -> dict[str, float]:
    return {"auc": 0.6, "auc_std": 0.02, "miou": 0.5, "miou_std": 0.01}


def image_free(spec: ImageFree, built: Path) -> dict[str, float]:
    write_json(built / "image_free.json", {"chosen": "file size", "numbers": {}})
    return {"auc": 0.75, "trivial_auc": 0.5, "miou": 0.48, "trivial_miou": 0.4725}


def record_all(store: Store, plan: Plan) -> str:
    """Everything that ended, in MLflow; its address."""
    uri = default_uri(store.root)
    tracker = BackgroundTracker(uri, store, plan)
    for digest in store.failures() & set(plan.units):
        tracker.on_event("failed", plan.units[digest])
    tracker.start()
    assert tracker.finish() == 0
    return uri
