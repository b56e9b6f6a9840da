"""Which class weights serve the mean IoU of vessels: U-Net/ResNet-18 from random weights on DRIVE.

    python -m bench.weighting DRIVE_FOLDER [--size 128] [--steps 400] [--batch 8] [--seeds 0 1]

Every weighting trains on the training images for the same number of steps and is tested at equal intervals;
nothing is selected. Prints a line a test and, at the end, the table of the means over seeds as Markdown.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medpt.data import open_dataset
from medpt.data.arrays import ArrayLoader, Arrays
from medpt.data.manifest import Index
from medpt.data.preprocess import default_pipeline, preprocess_pair
from medpt.losses import WEIGHTINGS
from medpt.protocol import TrainingProtocol
from medpt.specs import Finetune
from medpt.tasks.supervised import set_up
from medpt.train import MetricsRow, fit

COLUMNS = ("val_miou", "val_foreground_miou", "val_image_miou", "val_dice", "val_background_miou")


def load(folder: Path, size: int) -> ArrayLoader:
    """DRIVE in memory, in the owner's split."""
    data = open_dataset("DRIVE", folder)
    pipeline = default_pipeline("fundus", size)
    pairs = [preprocess_pair(data.image(record), data.mask(record), pipeline) for record in data.records]
    images, masks = (np.stack(parts) for parts in zip(*pairs, strict=True))
    pixels = np.stack([np.bincount(mask.ravel(), minlength=2) for mask in masks])
    ids, splits, groups = (
        np.array([getattr(record, name) for record in data.records]) for name in ("id", "split", "group_id")
    )
    facts = (data.info.name, "segmentation", "fundus", data.info.classes, size)
    index = Index(*facts, ids, splits, groups, np.full(len(ids), -1), pixels)
    return ArrayLoader(Arrays(index, images, masks))


def trial(loader: ArrayLoader, weighting: Any, steps: int, batch: int, seed: int) -> MetricsRow:
    """Tests after every fifth of the steps; returns the last test."""
    protocol = TrainingProtocol(
        batch_size=batch,
        min_steps=steps,
        max_steps=steps,
        evaluate_every=steps // 5,
        validation_fraction=0,
        weighting=weighting,
    )
    rows, tested = loader.index.rows("train"), loader.index.rows("test")
    spec = Finetune("random", None, "bench", "d", "resnet18", "unet", seed=seed, protocol=protocol)
    setup = set_up(loader, rows, spec)

    def tell(row: MetricsRow) -> None:
        values = ", ".join(f"{row[name]:.4f}" for name in COLUMNS)
        print(f"{weighting} seed {seed} step {row['step']}: {values}", flush=True)

    return fit(replace(setup, train_rows=rows, val_rows=tested), protocol, seed, on_metrics=tell).history[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--weightings", nargs="+", choices=WEIGHTINGS, default=list(WEIGHTINGS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    loader = load(options.folder, options.size)
    print(f"step: {', '.join(COLUMNS)}")
    final: dict[str, list[MetricsRow]] = {
        weighting: [trial(loader, weighting, options.steps, options.batch, seed) for seed in options.seeds]
        for weighting in options.weightings
    }
    print("| weighting |", " | ".join(name.removeprefix("val_") for name in COLUMNS), "|")
    print("| --- |" + " ---: |" * len(COLUMNS))
    for weighting, runs in final.items():
        print(
            f"| {weighting} |",
            " | ".join(f"{np.mean([run[name] for run in runs]):.3f}" for name in COLUMNS),
            "|",
        )


if __name__ == "__main__":
    main()
