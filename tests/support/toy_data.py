"""Small datasets held in memory, with pixels that tell their record apart."""

from pathlib import Path

import numpy as np

from medpt.data import shards
from medpt.data.card import DatasetCard
from medpt.data.dataset import IGNORE, Dataset, Record
from medpt.data.manifest import Manifest
from medpt.errors import InputError
from medpt.specs import Prepare

SIZE = 12
PIPELINE = f"resize({SIZE})"
CLASSES = ("ground", "disc", "cup")


def record(
    number: int, *, label: int | tuple[float, ...] | None = None, split: str | None = None, group: str = ""
) -> Record:
    group = group or f"p{number // 2}"
    return Record(
        dataset="Toy",
        image_path=f"images/{number:03d}.png",
        patient_id=group,
        group_id=group,
        label=label,
        mask_path=None if label is not None else f"masks/{number:03d}.png",
        split=split,  # type: ignore[arg-type]
    )


def image_of(one: Record) -> np.ndarray:
    seed = int(one.image_path[-7:-4])
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def mask_of(one: Record) -> np.ndarray:
    """Classes by the red channel, and one row of unlabelled pixels."""
    mask = image_of(one)[:, :, 0] // 86
    mask[0] = IGNORE
    return mask


def dataset(task: str, count: int = 24, broken: tuple[int, ...] = (), order: int = 0) -> Dataset:
    """`count` images of count / 2 patients, the last quarter official test images; some cannot be read."""
    records = [
        record(
            number,
            label=_label(task, number // 2),
            split="test" if number >= count * 3 // 4 else "train",
        )
        for number in np.random.default_rng(order).permutation(count).tolist()
    ]
    unreadable = {f"images/{number:03d}.png" for number in broken}

    def read_image(root: Path, one: Record) -> np.ndarray:
        if one.image_path in unreadable:
            raise InputError(f"{one.image_path}: is truncated")
        return image_of(one)

    return Dataset(_card(task), Path(), tuple(records), read_image, lambda root, one: mask_of(one))


def _label(task: str, patient: int) -> int | tuple[float, ...] | None:
    if task == "multilabel":
        return float(patient % 2), float(patient % 3 == 0), float("nan") if patient % 4 == 0 else 1.0
    return patient % 3 if task == "classification" else None


def _card(task: str) -> DatasetCard:
    return DatasetCard("Toy", "natural", task, CLASSES, official_split=True)  # type: ignore[arg-type]


def prepare(folder: Path, data: Dataset, sample_size: int | None = None) -> Manifest:
    rows = shards.plan(data, "official", 0, sample_size)
    infos = [
        shards.write(data, part, PIPELINE, shards.shard_path(folder, number))
        for number, part in enumerate(shards.chunks(rows))
    ]
    return shards.write_manifest(
        folder, data.info, Prepare("Toy", "f" * 64, PIPELINE, sample_size=sample_size), infos
    )
