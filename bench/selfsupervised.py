"""Do the self-supervised tasks learn? Jigsaw puzzles above ten times chance, restoration better than nothing.

    python -m bench.selfsupervised [--data FOLDER --dataset ChestXRay2017] [--size 64] [--steps 1500]

Without --data it uses 64 synthetic images (a hill of light, a slope and discs). Both methods are judged on
held-out images. Prints a line for each evaluation and a JSON line for each method. The exit code is 1 if a
method fails. Training stops at the first evaluation that passes unless --all-steps is given.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from medpt.data import open_dataset, preprocess
from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.manifest import Index
from medpt.data.preprocess import default_pipeline
from medpt.models.registry import BACKBONES
from medpt.protocol import TrainingProtocol
from medpt.specs import CLASSIFIER, Pretrain
from medpt.train import MetricsRow, fit
from medpt.units.pretrain import METHODS


class Passed(Exception):  # noqa: N818 - the way out of the loop, not an error
    pass


def real(folder: Path, dataset: str, size: int) -> tuple[np.ndarray, list[str]]:
    """Images uint8 (N, S, S, 3) and groups of the training part."""
    data = open_dataset(dataset, folder)
    records = [record for record in data if record.split != "test"]
    pipeline = default_pipeline(data.info.modality, size)
    images = np.stack([preprocess(data.image(record), pipeline) for record in records])
    return images, [record.group_id for record in records]


def synthetic(size: int, seed: int, count: int = 64) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    return np.stack([_hill(rng, size) for _ in range(count)]), [f"{n:03}" for n in range(count)]


def _hill(rng: np.random.Generator, size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    cy, cx = rng.normal(0.5, 0.04, 2)
    light = 60 + 150 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.12) + 40 * x
    for _ in range(4):
        by, bx = rng.uniform(0, 1, 2)
        light[(y - by) ** 2 + (x - bx) ** 2 < rng.uniform(0.03, 0.1) ** 2] += rng.integers(-40, 40)
    image = light[..., None] + rng.integers(-20, 20, 3) + rng.normal(0, 4, (size, size, 3))
    return image.clip(0, 255).astype(np.uint8)


def loader_of(images: np.ndarray, groups: list[str]) -> ArrayLoader:
    labels = np.zeros(len(images), dtype=np.int64)
    facts = ("bench", "classification", "natural", ("one", "two"), images.shape[1])
    ids, splits = np.array([f"{n:05}" for n in range(len(images))]), np.array(["train"] * len(images))
    return ArrayLoader(Arrays(Index(*facts, ids, splits, np.array(groups), labels, None), images, labels))


LEARNED: dict[str, Callable[[MetricsRow, float], bool]] = {
    "jigsaw": lambda row, chance: row["val_accuracy"] > 10 * chance,
    "context": lambda row, chance: row["val_mse_swapped"] < row["val_mse_identity_swapped"],
}
"""Whether a method has learned by a row of its history; `chance` is the accuracy of guessing."""


def learn(method: str, loader: ArrayLoader, args: argparse.Namespace) -> dict[str, object]:
    protocol = TrainingProtocol(
        learning_rate=args.learning_rate,
        batch_size=args.batch,
        min_steps=args.steps,
        max_steps=args.steps,
        evaluate_every=args.every,
        validation_fraction=0.2,
    )
    spec = Pretrain(("bench",), ("d",), args.backbone, args.decoder, method, args.seed, protocol)
    setup = METHODS[method](spec, [loader])
    chance = setup.figures.get("chance", 0.0)

    def learned(row: MetricsRow) -> bool:
        return LEARNED[method](row, chance)

    rows: list[MetricsRow] = []
    start = time.perf_counter()

    def tell(row: MetricsRow) -> None:
        rows.append({name: round(value, 4) for name, value in row.items() if name != "time"})
        print(method, rows[-1], flush=True)
        if learned(row) and not args.all_steps:
            raise Passed

    with suppress(Passed):
        fit(setup, protocol, args.seed, on_metrics=tell)
    facts = {
        "method": method,
        "passed": any(map(learned, rows)),
        "seconds": round(time.perf_counter() - start),
    }
    images = {"train_images": len(setup.train_rows), "val_images": len(setup.val_rows)}
    return facts | images | setup.figures | rows[-1]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dataset", default="ChestXRay2017")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--backbone", choices=BACKBONES, default="resnet18")
    parser.add_argument("--decoder", choices=(CLASSIFIER, "unet"), default=CLASSIFIER)
    parser.add_argument("--methods", nargs="+", choices=LEARNED, default=list(LEARNED))
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-steps", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    source = real(args.data, args.dataset, args.size) if args.data else synthetic(args.size, args.seed)
    results = [learn(method, loader_of(*source), args) for method in args.methods]
    for result in results:
        print(json.dumps(result))
    return 0 if all(result["passed"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
